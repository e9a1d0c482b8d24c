"""The charts of a report, after the paper's Fig. 8 to 14, and what a training run leaves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.evaluation.comparison import Spread, size_recall, trimap
from pipeline.names import safe_component
from pipeline.report.page import paper
from pipeline.report.page.collect import Facts, RunFacts
from pipeline.report.page.compare import ComparedSystem, Gain
from pipeline.report.page.drawing import Axes, Chart, Line, draw_bars, draw_lines
from pipeline.report.page.tables import BINS, is_uniform, kind_of
from pipeline.samplers import registry
from pipeline.samplers.predicted import Predicted
from pipeline.samplers.uniform import Uniform

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
    family = system.group.kind.style
    alone = len({sampler for _, sampler in lines}) == len(lines)
    place = list(lines).index((system.line, system.group.sampler))
    return {"style": family if alone else place, "family": family}


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
        if lines:
            base = [s.group for s in systems if s.role == Uniform.role] or [s.group for s in systems]
            words = _cost_axes((group.gmacs, group.resolution) for group in base)
            alt = f"mIoU of {title} against cost: " + "; ".join(_said(line) for line in lines)
            charts.append(draw_lines(f"cost-{short}", f"mIoU, {title}", alt, lines, words))
    return charts


def _cost_axes(points: Iterable[tuple[float, int]]) -> Axes:
    """Ticks at (cost, resolution), those left out that would stand in another's place."""
    known = sorted(set(points))
    span = max(math.log2(known[-1][0] / known[0][0]), 1e-9)
    kept = known[:1]
    for point in known[1:]:
        if math.log2(point[0] / kept[-1][0]) > 0.09 * span:
            kept.append(point)
    names = [f"{cost:.2g}\n{side}" if cost < 10 else f"{cost:.0f}\n{side}" for cost, side in kept]
    return Axes(
        "GMACs an image, both networks; pixels a side", "mIoU", True, [cost for cost, _ in kept], names
    )


def _said(line: Line) -> str:
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
            for ours in (True, False):
                found = [
                    e
                    for e in table.entries
                    if (e.network, e.ours) == (network, ours) and getattr(e, key) is not None
                ]
                kind = Predicted if ours else Uniform
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
        if lines:
            words = _cost_axes((e.gmacs, e.resolution) for e in table.entries if not e.ours)
            alt = f"The paper's mIoU of {title} against cost: " + "; ".join(_said(line) for line in lines)
            charts.append(draw_lines(f"paper-cost-{short}", f"The paper: mIoU, {title}", alt, lines, words))
    return charts


def trimap_gain(gains: Sequence[Gain]) -> list[Chart]:
    """Accuracy of ours less baseline's within bands around boundaries, a curve a resolution."""
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
                )
            )
    if not lines:
        return []
    ticks = sorted({x for line in lines for x in line.x})
    words = Axes("width of the band, pixels", "gain in accuracy, points", True, ticks, zero=0.0)
    alt = "Accuracy of ours less baseline by band width: " + "; ".join(_said(line) for line in lines)
    return [draw_lines("trimap-gain", "Gain around boundaries", alt, lines, words)]


def _gain_name(gain: Gain, gains: Sequence[Gain]) -> str:
    several = len({g.ours.line for g in gains}) > 1
    pixels = f"{gain.ours.group.resolution} px"
    return "\n".join([*gain.ours.line.split(", "), pixels]) if several else pixels


def _bin_names(system: ComparedSystem) -> list[str]:
    bins = system.first["recall_by_size"]
    return [f"{i}\n≤ {_pixels(b['pixels'][1])}" for i, b in enumerate(bins, 1)]


def _pixels(count: int) -> str:
    return (
        f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k" if count < 1e6 else f"{count / 1e6:.1f}M"
    )


def recall(gains: Sequence[Gain], systems: Sequence[ComparedSystem]) -> list[Chart]:
    """Recall by size of objects: absolute, a chart a resolution; then all relative to the baseline."""
    charts = []
    for key in dict.fromkeys(gain.ours.key for gain in gains):
        same = [s for s in systems if s.key == key]
        lines = []
        for system in same:
            spreads = [s for i in range(BINS) if (s := system.spread(size_recall(i)))]
            if len(spreads) == BINS:
                lines.append(
                    Line(
                        _name(system, same),
                        range(1, BINS + 1),
                        [s.mean for s in spreads],
                        **_bounds(spreads),
                        **_look(system, same),
                    )
                )
        if lines:
            words = Axes(
                "bin by size; largest object in pixels",
                "mean recall",
                ticks=range(1, BINS + 1),
                names=_bin_names(same[0]),
            )
            title = f"Recall by size, {key[0]} at {key[1]} px"
            alt = f"{title}: " + "; ".join(_said(line) for line in lines)
            charts.append(draw_lines(f"recall-{safe_component(key[0])}-{key[1]}", title, alt, lines, words))
    return charts + _relative_recall(gains)


def _relative_recall(gains: Sequence[Gain]) -> list[Chart]:
    lines = []
    for k, gain in enumerate(gains):
        values = [gain.pair.ratio(size_recall(i)) for i in range(BINS)]
        known = [(i, v) for i, v in enumerate(values, 1) if v is not None]
        if known:
            lines.append(Line(_gain_name(gain, gains), [i for i, _ in known], [v for _, v in known], style=k))
    if not lines:
        return []
    words = Axes("bin by size, 1 the smallest", "recall, baseline's = 1", ticks=range(1, BINS + 1), zero=1.0)
    alt = "Recall relative to the baseline by size: " + "; ".join(_said(line) for line in lines)
    return [draw_lines("recall-relative", "Recall relative to the baseline", alt, lines, words)]


def recall_by_class(gains: Sequence[Gain], names: Sequence[str]) -> list[Chart]:
    """After Fig. 12: bars of relative recall by class and size, at 64 pixels or the resolution next to it."""
    if not gains:
        return []
    gain = min(gains, key=lambda g: abs(g.ours.group.resolution - 64))
    found = gain.ours.first.get("recall_by_class", {})
    shown = [n for n in names if n in found and any(gain.pair.ratio(size_recall(i, n)) for i in range(BINS))]
    if not shown:
        return []
    bars = []
    for i in range(BINS):
        values = [(k, gain.pair.ratio(size_recall(i, name))) for k, name in enumerate(shown)]
        known = [(k, v) for k, v in values if v is not None]
        label = f"bin {i + 1}" + (" (smallest)" if i == 0 else " (largest)" if i == BINS - 1 else "")
        bars.append(Line(label, [k for k, _ in known], [v for _, v in known]))
    groups = [f"{name}\n#{sum(b['objects'] for b in found[name])}" for name in shown]
    where = f"{gain.ours.line}, {gain.ours.group.resolution} px"
    title = f"Recall by class and size, relative to the baseline ({where})"
    alt = f"{title}; the figures are in the table recall-by-class"
    return [
        draw_bars("recall-by-class", title, alt, groups, bars, Axes("", "recall, baseline's = 1", zero=1.0))
    ]


def bound(found: dict[str, Any]) -> list[Chart]:
    """MIoU of perfect classification against resolution: uniform, and the lambda next to 1 of each grid."""
    rows = found["settings"]
    kinds = list(dict.fromkeys(map(kind_of, rows)))
    charts = []
    for key, title, short in MEASURES:
        lines = []
        for k, kind in enumerate(kinds):
            same = [r for r in rows if kind_of(r) == kind]
            nearest = min((r["lambda"] for r in same if r["lambda"] is not None), key=_from_one, default=None)
            same = [r for r in same if r["lambda"] == nearest and r[key] is not None]
            if same:
                name = same[0]["sampler"].replace(", ", ",\n")
                style = Uniform.style if is_uniform(same[0]) else (0, 2, 3, 4, 5)[(k - 1) % 5]
                lines.append(Line(name, [r["resolution"] for r in same], [r[key] for r in same], style=style))
        if not lines:
            continue
        ticks = sorted({r["resolution"] for r in rows})
        words = Axes("resolution of the sampled image", "mIoU, perfect classification", True, ticks)
        alt = f"Upper bound of mIoU, {title}: " + "; ".join(_said(line) for line in lines)
        charts.append(draw_lines(f"upper-bound-{short}", f"Upper bound, {title}", alt, lines, words))
    return charts


def _from_one(lam: float) -> float:
    return max(lam, 1e-9) if lam >= 1 else 1 / max(lam, 1e-9)


def trade_off(found: dict[str, Any]) -> list[Chart]:
    """What each lambda gains on targets and costs over all classes, in points, a chart a resolution.

    Nothing where fewer than two lambdas above 0 were measured.
    """
    charts = []
    for resolution in dict.fromkeys(r["resolution"] for r in found["settings"]):
        rows = [r for r in found["settings"] if r["resolution"] == resolution]
        base = next(filter(is_uniform, rows), None)
        lines = []
        for number, grid in enumerate(dict.fromkeys(str(r["grid"]) for r in rows if r["grid"])):
            same = sorted(
                (r for r in rows if str(r["grid"]) == grid and r["lambda"]), key=lambda r: r["lambda"]
            )
            for k, (key, title, _) in enumerate(MEASURES):
                known = [r for r in same if base is not None and None not in (r[key], base[key])]
                if base is not None and len(known) > 1:
                    several = (
                        ""
                        if number == 0 and len({str(r["grid"]) for r in rows}) == 2
                        else f"\n{same[0]['sampler'].split(',')[0]}"
                    )
                    values = [100 * (r[key] - base[key]) for r in known]
                    lines.append(
                        Line(title + several, [r["lambda"] for r in known], values, style=2 * number + k)
                    )
        if lines:
            ticks = sorted({x for line in lines for x in line.x})
            words = Axes("lambda", "points against uniform", True, ticks, zero=0.0)
            title = f"{resolution} px"
            alt = f"Points against uniform by lambda at {title}: " + "; ".join(_said(line) for line in lines)
            charts.append(draw_lines(f"lambda-{resolution}", f"Lambda at {title}", alt, lines, words))
    return charts


def training(facts: Facts) -> list[Chart]:
    """Validation mIoU and loss of base networks by architecture and resolution; then auxiliary losses."""
    bases = [run for run in facts.runs if run.network == "base"]
    charts = []
    for key in sorted({(r.settings["architecture"], int(r.settings["resolution"])) for r in bases}):
        same = [r for r in bases if (r.settings["architecture"], int(r.settings["resolution"])) == key]
        where = f"{key[0]} at {key[1]} px"
        for column, title, y in (("miou", "Validation mIoU", "mIoU"), ("loss", "Training loss", "loss")):
            lines = _curves(same, column, lambda run: registry.kind(run.settings["sampler"]).word)
            if lines:
                name = f"training-{safe_component(key[0])}-{key[1]}-{column}"
                charts.append(_training_chart(name, f"{title}, {where}", y, lines))
    return charts + _auxiliary_losses(facts.runs)


def _curves(runs: Sequence[RunFacts], column: str, word: Any) -> list[Line]:
    """A thin line a run; the first of each sampler bears the name."""
    lines: list[Line] = []
    for run in runs:
        if points := run.curve(column):
            name = word(run)
            label = "" if name in {line.label for line in lines} else name
            style = registry.kind(run.settings["sampler"]).style
            lines.append(_thin(label, points, style))
    return lines


def _thin(label: str, points: Sequence[tuple[float, float]], style: int) -> Line:
    """A curve of many points, without markers."""
    return Line(label, [x for x, _ in points], [y for _, y in points], style=style, thin=True)


def _auxiliary_losses(runs: Sequence[RunFacts]) -> list[Chart]:
    """Losses of the auxiliary networks on validation, beside what always predicting u would lose."""
    lines: list[Line] = []
    for run in (r for r in runs if r.network == "auxiliary"):
        loss, uniform = run.curve("validation_loss"), run.curve("uniform_loss")
        if loss:
            named = {line.label for line in lines}
            lines.append(_thin("" if "network" in named else "network", loss, 0))
        if loss and uniform:
            label = "" if "uniform" in {line.label for line in lines} else "uniform"
            lines.append(_thin(label, uniform, 1))
    if not lines:
        return []
    return [_training_chart("training-auxiliary", "Validation loss of auxiliary networks", "loss", lines)]


def _training_chart(name: str, title: str, y: str, lines: Sequence[Line]) -> Chart:
    ends = "; ".join(f"{line.label or 'another seed'} ends at {line.y[-1]:.4g}" for line in lines)
    return draw_lines(name, title, f"{title} by epoch: {ends}", lines, Axes("epoch", y, integer=True))
