"""The findings on top of a report in words: what adaptive sampling gains or loses, how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import advice
from pipeline.evaluation.baselines import describe
from pipeline.report.page import paper, upper
from pipeline.report.page.cells import signed
from pipeline.report.page.compare import PARTNERS, ComparedSystem, Gain
from pipeline.report.page.tables import paper_gains
from pipeline.samplers.uniform import Uniform
from pipeline.workspace.stores import lambda_name

NOTHING = 0.05
"""Points below which a difference is called none: half of the last digit that is shown."""

UNEQUAL = "Trained unequally, so that no difference is taken (adaptive / uniform): {}."


@dataclass(frozen=True)
class PageFinding:
    """One finding: what it is about, the sentence, and what it lists."""

    about: str
    text: str
    items: tuple[str, ...] = ()


def of_gains(gains: Sequence[Gain], table: paper.PaperTable | None) -> list[PageFinding]:
    """One a system with an auxiliary network: its gain on targets and over all classes."""
    return [_of_gain(gain, table) for gain in gains]


def _of_gain(gain: Gain, table: paper.PaperTable | None) -> PageFinding:
    group = gain.ours.group
    about = f"{group.architecture}, {group.resolution} x {group.resolution}"
    about += f", {gain.ours.variant}" if gain.ours.variant else ""
    about += ", at the same cost" if gain.at_cost else ""
    about += f": {', '.join(_headline(gain)) or 'not compared'}"
    parts = [
        _part(gain, "target_miou", "on the target classes"),
        _part(gain, "miou", "over all classes"),
    ]
    if gain.differing:
        return PageFinding(about, UNEQUAL.format(gain.differing))
    side = gain.baseline.group.resolution
    uniform = f"uniform sampling at {side} x {side}" if gain.at_cost else "uniform sampling"
    text = f"Against {uniform}, adaptive sampling {' and '.join(part for part in parts if part)}"
    text += f", {cost(gain)}. {seeds(gain)}{improving(gain)}"
    beside = "" if gain.at_cost else _paper(group.architecture, group.resolution, table)
    return PageFinding(about, f"{text} {beside}".strip())


def of_best(by_figure: Mapping[str, Sequence[Gain]]) -> list[PageFinding]:
    """One a system that adapts to the image: against the baseline that a skeptic would choose."""
    found: dict[str, list[str]] = {}
    for name, words in (("target_miou", "on targets"), ("miou", "over all")):
        for gain in by_figure.get(name, ()):
            found.setdefault(_place(gain.ours), []).append(_against_best(gain, name, words))
    return [
        PageFinding(f"Against the best baseline: {place}", f"{text[:1].upper()}{text[1:]}.")
        for place, text in ((place, "; ".join(parts)) for place, parts in found.items())
    ]


def _against_best(gain: Gain, name: str, words: str) -> str:
    spread = gain.difference(name)
    assert spread is not None  # else it would not be a baseline
    points = signed(100 * spread.mean)
    around = intervals(gain, name)
    said = (
        f"no difference {words} that can be told from chance: {points}"
        if gain.is_none(name)
        else f"{points} {words}"
    )
    return f"{said} ({'; '.join(filter(None, (describe(gain.baseline.group), around)))})"


def _part(gain: Gain, name: str, where: str) -> str:
    spread = gain.difference(name)
    ours, base = gain.ours.spread(name), gain.baseline.spread(name)
    if spread is None or ours is None or base is None:
        return ""
    low, high = 100 * min(spread.values), 100 * max(spread.values)
    each = f"; seeds: {signed(low)} to {signed(high)}" if len(spread.values) > 1 else ""
    figures = f"mIoU {ours.mean:.3f}, uniform {base.mean:.3f}{each}"
    figures = "; ".join(filter(None, (figures, intervals(gain, name))))
    if gain.is_none(name):
        return f"makes no difference {where} that can be told from chance ({figures})"
    return f"{verb(100 * spread.mean)} {where} ({figures})"


def intervals(gain: Gain, name: str) -> str:
    """How sure a difference is, in words; empty where that is not known."""
    return "; ".join(
        f"95 % interval over {interval.units} {interval.over}: "
        f"{signed(100 * interval.low)} to {signed(100 * interval.high)}"
        for interval in gain.intervals(name)
    )


def _headline(gain: Gain) -> list[str]:
    """The differences alone."""
    said = []
    for words, name in (("points on targets", "target_miou"), ("over all", "miou")):
        if (spread := gain.difference(name)) is not None:
            none = f"none {words.removeprefix('points ')}"
            said.append(none if gain.is_none(name) else f"{signed(100 * spread.mean)} {words}")
    return said


def verb(points: float) -> str:
    """2.13 -> "gains 2.1 points"; less than half of the last digit is nothing."""
    if abs(points) < NOTHING:
        return "neither gains nor loses"
    amount = f"{abs(points):.1f}"
    return f"{'gains' if points > 0 else 'loses'} {amount} {'point' if amount == '1.0' else 'points'}"


def cost(gain: Gain) -> str:
    """What it costs more, in words."""
    if gain.at_cost:
        ours, base = gain.ours.group.gmacs, gain.baseline.group.gmacs
        return f"at {ours:.3g} GMACs an image against {base:.3g}"
    extra, slower = 100 * gain.extra, gain.pair.slower
    said = f"at {extra:.1f} % more multiply-adds" if extra >= 0 else f"at {-extra:.1f} % fewer multiply-adds"
    if slower is None:
        return said
    return f"{said} and {abs(100 * slower):.0f} % {'more' if slower >= 0 else 'less'} time"


def seeds(gain: Gain) -> str:
    """How many seeds there are, and whether they agree."""
    mine, theirs = len(gain.ours.group.seeds), len(gain.baseline.group.seeds)
    if not gain.paired:
        return f"Means of {mine} and {theirs} seeds, not the same ones."
    if mine == 1:
        return "One seed each: how much of it is the luck of the seed is not known."
    spread = gain.difference("target_miou") or gain.difference("miou")
    if spread is not None and min(spread.values) < 0 < max(spread.values):
        return f"The {mine} seeds disagree on the sign for the target classes: it may be luck."
    return f"Mean of {mine} seeds, which agree on the sign for the target classes."


def improving(gain: Gain) -> str:
    """What more training may change."""
    told = [
        f"{word}: {group.improving}"
        for word, group in (("adaptive", gain.ours.group), ("uniform", gain.baseline.group))
        if group.improving
    ]
    return f" Trained too briefly ({'; '.join(told)})." if told else ""


def _paper(architecture: str, resolution: int, table: paper.PaperTable | None) -> str:
    if table is None:
        return ""
    for network, side, over_all, on_targets in paper_gains(table):
        if (network, side) == (architecture, resolution):
            targets = "" if on_targets is None else f"{signed(on_targets)} on targets and "
            return f"The paper reports {targets}{signed(over_all)} over all classes (Table {table.number})."
    return ""


def of_reference(gains: Sequence[Gain]) -> list[PageFinding]:
    """What the ground truth's own proposals would gain, in one sentence an architecture."""
    found = []
    for architecture in dict.fromkeys(g.ours.group.architecture for g in gains):
        parts = []
        for gain in (g for g in gains if g.ours.group.architecture == architecture):
            on_targets, over_all = (gain.difference(k) for k in ("target_miou", "miou"))
            if gain.differing:
                parts.append(f"not compared at {gain.ours.group.resolution} px ({gain.differing})")
            elif on_targets is not None and over_all is not None:
                differences = (signed(100 * on_targets.mean), signed(100 * over_all.mean))
                parts.append(_two(*differences, gain.ours.group.resolution))
        if parts:
            text = f"With the ground truth's own proposals in place of predictions: {'; '.join(parts)}."
            found.append(PageFinding(f"{architecture}, a perfect auxiliary network", text))
    return found


def _two(on_targets: str, over_all: str, resolution: int) -> str:
    return f"{on_targets} on targets and {over_all} over all at {resolution} px"


def of_bound(found: dict[str, Any]) -> list[PageFinding]:
    """What sampling alone would allow at each resolution, with the lambda that keeps most."""
    items = []
    for resolution in dict.fromkeys(row["resolution"] for row in found["settings"]):
        rows = [row for row in found["settings"] if row["resolution"] == resolution]
        base = next(filter(upper.is_uniform, rows), None)
        on_targets, over_all = (upper.best(rows, key) for key in upper.KEYS)
        if base is not None and _whole([base, *on_targets, *over_all]):
            items.append(f"{resolution} px: {_most(base, on_targets, over_all)}")
    if not items:
        return []
    text = (
        "What proposals made from the ground truth would keep if every sample were classified perfectly, in "
        "points of mIoU against uniform sampling:"
    )
    return [PageFinding("Upper bound", text, tuple(items))]


def _whole(rows: Sequence[upper.BoundRow]) -> bool:
    """Whether there are two rows at least, and all have both figures."""
    return len(rows) > 1 and not any(row[key] is None for row in rows for key in upper.KEYS)


def _most(
    base: upper.BoundRow, on_targets: Sequence[upper.BoundRow], over_all: Sequence[upper.BoundRow]
) -> str:
    """Points of the best lambdas for target classes, and of those for all where they are others."""
    if on_targets == over_all:
        return f"best with {_setting(on_targets)}: {_against(base, on_targets[0])}"
    return (
        f"best on targets with {_setting(on_targets)}: {_against(base, on_targets[0])}; "
        f"best over all with {_setting(over_all)}: {_against(base, over_all[0])}"
    )


def _against(base: upper.BoundRow, row: upper.BoundRow) -> str:
    on_targets, over_all = (signed(100 * (row[key] - base[key])) for key in upper.KEYS)
    return f"{on_targets} on targets, {over_all} over all"


def _setting(rows: Sequence[upper.BoundRow]) -> str:
    """The lambdas that are equally good, by grid."""
    grids = dict.fromkeys(map(upper.kind_of, rows))
    known = {
        grid: ", ".join(lambda_name(row["lambda"]) for row in rows if upper.kind_of(row) == grid)
        for grid in grids
    }
    return " and ".join(f"λ {lambdas} ({grid})" for grid, lambdas in known.items())


def alone(systems: Sequence[ComparedSystem], gains: Sequence[Gain]) -> list[PageFinding]:
    """Evaluated systems that no gain is known of."""
    found = []
    for system in without_partner(systems, gains):
        miou = system.spread("target_miou") or system.spread("miou")
        value = f"mIoU {miou.mean:.3f}. " if miou else ""
        found.append(PageFinding(_place(system), f"{value}There is nothing to compare it with yet."))
    return found


def without_partner(systems: Sequence[ComparedSystem], gains: Sequence[Gain]) -> list[ComparedSystem]:
    """Adaptive and uniform systems that are in no gain, nor beside an adaptive one of their place."""
    known = {id(s) for gain in gains for s in (gain.ours, gain.baseline)}
    compared = {gain.ours.key for gain in gains}
    lone = [s for s in systems if id(s) not in known and s.role in PARTNERS]
    return [s for s in lone if s.role != Uniform.role or s.key not in compared]


def to_compare(system: ComparedSystem, dataset: str | None) -> tuple[str, str]:
    """What a system without a partner lacks, and the command that trains it."""
    group, sampler = system.group, PARTNERS[system.role]
    command = advice.command(
        "train",
        architecture=group.architecture,
        sampler=sampler.kind,
        resolution=group.resolution,
        dataset=dataset,
    )
    return f"no {sampler.word} system beside {_place(system)}", command


def _place(system: ComparedSystem) -> str:
    return f"{system.group.architecture}, {system.sampler}, at {system.group.resolution} px"
