"""The charts of a report, after the paper's Fig. 8 to 14: what was measured of systems.

No chart is drawn whose curves have fewer than three points, or that is of fewer than ten objects per bin.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.evaluation.comparison import Spread, size_recall, trimap
from pipeline.geometry.crops import CENTRAL
from pipeline.names import safe_component
from pipeline.report.page import paper
from pipeline.report.page.compare import ComparedSystem, Gain
from pipeline.report.page.drawing import Axes, Chart, Line, draw_bars, draw_lines, worth_drawing
from pipeline.report.page.tables import BINS
from pipeline.samplers.predicted import Predicted
from pipeline.samplers.uniform import Uniform

FEWEST_OBJECTS = 10
"""In every bin of a chart of recall by size."""

MEASURES = (("target_miou", "target classes", "targets"), ("miou", "all classes", "all"))


def _bounds(spreads: Sequence[Spread], scale: float = 1.0) -> dict[str, Any]:
    """Lowest and highest seed, where any figure has several."""
    if all(len(s.values) == 1 for s in spreads):
        return {}
    return {
        "low": [scale * min(s.values) for s in spreads],
        "high": [scale * max(s.values) for s in spreads],
    }


def _look(system: ComparedSystem, others: Sequence[ComparedSystem]) -> dict[str, Any]:
    """Of a line: colour by sampler; dashes and marker too while each sampler has one line, else by place."""
    lines = dict.fromkeys((s.line, s.group.sampler) for s in others)
    alone = len({sampler for _, sampler in lines}) == len(lines)
    place = list(lines).index((system.line, system.group.sampler))
    return {"style": system.style if alone else place, "family": system.style}


def _name(system: ComparedSystem, systems: Sequence[ComparedSystem]) -> str:
    several = len({s.group.architecture for s in systems}) > 1
    return (
        f"{system.group.architecture},\n{system.sampler}" if several else system.sampler.replace(" (", "\n(")
    )


def cost(systems: Sequence[ComparedSystem]) -> list[Chart]:
    """MIoU against multiply-adds of the whole system, a curve a sampler, a point a resolution."""
    charts = []
    for key, title, short in MEASURES:
        lines = []
        for line in dict.fromkeys(s.line for s in systems):
            found = [(s, spread) for s in systems if s.line == line and (spread := s.spread(key))]
            if not found:
                continue
            found.sort(key=lambda pair: pair[0].group.gmacs)
            first, spreads = found[0][0], [spread for _, spread in found]
            lines.append(
                Line(
                    _name(first, systems),
                    [s.group.gmacs for s, _ in found],
                    [spread.mean for spread in spreads],
                    **_bounds(spreads),
                    **_look(first, systems),
                )
            )
        if worth_drawing(lines):
            base = [s.group for s in systems if s.role == Uniform.role] or [s.group for s in systems]
            words = _cost_axes((group.gmacs, group.resolution) for group in base)
            alt = f"mIoU of {title} against cost: " + "; ".join(said(line) for line in lines)
            charts.append(draw_lines(f"cost-{short}", f"mIoU, {title}", alt, lines, words))
    return charts


def _cost_axes(points: Iterable[tuple[float, int]]) -> Axes:
    """Round costs below, resolutions above; those left out that would stand in another's place."""
    known = sorted(set(points))
    span = max(math.log2(known[-1][0] / known[0][0]), 1e-9)
    kept = known[:1]
    for point in known[1:]:
        if math.log2(point[0] / kept[-1][0]) > 0.09 * span:
            kept.append(point)
    return Axes(
        "GMACs per image, both networks",
        "mIoU",
        True,
        above=[(cost, f"{side} px") for cost, side in kept],
        above_title="resolution of uniform systems",
    )


def said(line: Line) -> str:
    """A curve in words."""
    values = ", ".join(f"{y:.3f} at {x:.3g}" for x, y in zip(line.x, line.y, strict=True))
    return f"{' '.join(line.label.split())} {values}"


def cost_of_paper(table: paper.PaperTable) -> list[Chart]:
    """The same of the paper's own figures."""
    charts = []
    networks = sorted({e.network for e in table.entries})
    for key, title, short in MEASURES:
        lines = []
        for network in networks:
            for kind in (Predicted, Uniform):
                found = [
                    e
                    for e in table.entries
                    if (e.network, e.sampler) == (network, kind) and getattr(e, key) is not None
                ]
                if found:
                    lines.append(
                        Line(
                            f"{network},\n{kind.word}" if len(networks) > 1 else kind.word,
                            [e.gmacs for e in found],
                            [getattr(e, key) for e in found],
                            style=kind.style + 2 * networks.index(network),
                            family=kind.style,
                        )
                    )
        if worth_drawing(lines):
            words = _cost_axes((e.gmacs, e.resolution) for e in table.entries if not e.adaptive)
            alt = f"The paper's mIoU of {title} against cost: " + "; ".join(said(line) for line in lines)
            charts.append(draw_lines(f"paper-cost-{short}", f"The paper: mIoU, {title}", alt, lines, words))
    return charts


def trimap_gain(gains: Sequence[Gain]) -> list[Chart]:
    """Accuracy of adaptive less uniform sampling within bands around boundaries, a curve per resolution."""
    lines = []
    for k, gain in enumerate(gains):
        widths = list(gain.ours.first["trimap"])
        found = [(int(w), d) for w in widths if (d := gain.difference(trimap(w)))]
        if found:
            spreads = [d for _, d in found]
            lines.append(
                Line(
                    _gain_name(gain, gains),
                    [w for w, _ in found],
                    [100 * d.mean for d in spreads],
                    **_bounds(spreads, 100),
                    style=k,
                    family=gain.ours.style,
                )
            )
    if not worth_drawing(lines):
        return []
    ticks = sorted({x for line in lines for x in line.x})
    words = Axes("width of the band, pixels", "gain in accuracy, points", True, ticks, zero=0.0)
    alt = "Accuracy of adaptive less uniform sampling by band width: " + "; ".join(
        said(line) for line in lines
    )
    return [draw_lines("trimap-gain", "Gain around boundaries", alt, lines, words)]


def _gain_name(gain: Gain, gains: Sequence[Gain]) -> str:
    """What tells a gain from the others: network, sampler and resolution."""
    parts = [
        (gain.ours.group.architecture, {g.ours.group.architecture for g in gains}),
        (gain.ours.sampler, {g.ours.sampler for g in gains}),
    ]
    told = [word for word, known in parts if len(known) > 1]
    return ", ".join([*told, f"{gain.ours.group.resolution} px"])


def _bin_names(system: ComparedSystem) -> list[str]:
    bins = system.first["recall_by_size"]
    return [f"{i}\n≤ {_pixels(b['pixels'][1])}" for i, b in enumerate(bins, 1)]


def _pixels(count: int) -> str:
    return (
        f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k" if count < 1e6 else f"{count / 1e6:.1f}M"
    )


def enough_objects(system: ComparedSystem, name: str | None = None) -> bool:
    """Whether every bin by size holds objects enough for a chart: of all objects, or of those of a class."""
    first = system.first
    bins = first["recall_by_size"] if name is None else first.get("recall_by_class", {}).get(name, [])
    return len(bins) == BINS and all(part["objects"] >= FEWEST_OBJECTS for part in bins)


def recall(gains: Sequence[Gain], systems: Sequence[ComparedSystem]) -> list[Chart]:
    """Recall by size of objects: absolute, a chart per resolution; then all relative to uniform sampling."""
    charts = []
    for key in dict.fromkeys(gain.ours.key for gain in gains):
        same = [s for s in systems if s.key == key]
        lines = []
        for system in same:
            spreads = [s for i in range(BINS) if (s := system.spread(size_recall(i)))]
            if len(spreads) == BINS and enough_objects(system):
                lines.append(
                    Line(
                        _name(system, same),
                        range(1, BINS + 1),
                        [s.mean for s in spreads],
                        **_bounds(spreads),
                        **_look(system, same),
                    )
                )
        if worth_drawing(lines):
            words = Axes(
                "bin by size; largest object in pixels",
                "mean recall",
                ticks=range(1, BINS + 1),
                names=_bin_names(same[0]),
            )
            title = f"Recall by size, {key[0]} at {key[1]} px"
            place = f"{safe_component(key[0])}-{key[1]}" + ("" if key[2] == CENTRAL else f"-{key[2]}")
            alt = f"{title}: " + "; ".join(said(line) for line in lines)
            charts.append(draw_lines(f"recall-{place.replace(' ', '-')}", title, alt, lines, words))
    return charts + _relative_recall(gains)


def _relative_recall(gains: Sequence[Gain]) -> list[Chart]:
    lines = []
    for k, gain in enumerate(gains):
        values = [gain.pair.ratio(size_recall(i)) for i in range(BINS)]
        known = [(i, v) for i, v in enumerate(values, 1) if v is not None]
        if known and enough_objects(gain.ours):
            x, y = [i for i, _ in known], [v for _, v in known]
            lines.append(Line(_gain_name(gain, gains), x, y, style=k, family=gain.ours.style))
    if not worth_drawing(lines):
        return []
    words = Axes("bin by size, 1 the smallest", "recall, uniform = 1", ticks=range(1, BINS + 1), zero=1.0)
    alt = "Recall of adaptive relative to uniform sampling by size: "
    alt += "; ".join(said(line) for line in lines)
    return [draw_lines("recall-relative", "Recall relative to uniform sampling", alt, lines, words)]


def recall_by_class(gains: Sequence[Gain], names: Sequence[str]) -> list[Chart]:
    """After Fig. 12: bars of relative recall by class and size, at 64 pixels or the resolution next to it."""
    if not gains:
        return []
    gain = min(gains, key=lambda g: abs(g.ours.group.resolution - 64))
    found = gain.ours.first.get("recall_by_class", {})
    large = [name for name in names if enough_objects(gain.ours, name)]
    shown = [n for n in large if any(gain.pair.ratio(size_recall(i, n)) for i in range(BINS))]
    if not shown:
        return []
    bars = []
    for i in range(BINS):
        values = [(k, gain.pair.ratio(size_recall(i, name))) for k, name in enumerate(shown)]
        known = [(k, v) for k, v in values if v is not None]
        label = f"bin {i + 1}" + (" (smallest)" if i == 0 else " (largest)" if i == BINS - 1 else "")
        bars.append(Line(label, [k for k, _ in known], [v for _, v in known], family=gain.ours.style))
    groups = [f"{name}\n{sum(b['objects'] for b in found[name])} objects" for name in shown]
    where = f"{gain.ours.line}, {gain.ours.group.resolution} px"
    title = f"Recall by class and size, relative to uniform sampling ({where})"
    alt = f"{title}; the figures are in the table recall-by-class"
    return [draw_bars("recall-by-class", title, alt, groups, bars, Axes("", "recall, uniform = 1", zero=1.0))]
