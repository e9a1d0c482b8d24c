"""The findings on top of a report in words: what adaptive sampling gains or loses, how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import advice
from pipeline.report.page import paper
from pipeline.report.page.cells import signed
from pipeline.report.page.compare import ComparedSystem, Gain
from pipeline.report.page.tables import is_uniform, paper_gains
from pipeline.samplers.predicted import Predicted
from pipeline.samplers.uniform import Uniform

NOTHING = 0.05
"""Points below which a difference is called none: half of the last digit that is shown."""

UNEQUAL = "Trained unequally, so that no difference is taken (predicted / uniform): {}."


@dataclass(frozen=True)
class PageFinding:
    """One finding: what it is about, and the sentence."""

    about: str
    text: str


def of_gains(gains: Sequence[Gain], table: paper.PaperTable | None) -> list[PageFinding]:
    """One a system with an auxiliary network: its gain on targets and over all classes."""
    return [_of_gain(gain, table) for gain in gains]


def _of_gain(gain: Gain, table: paper.PaperTable | None) -> PageFinding:
    group = gain.ours.group
    about = f"{group.architecture}, {group.resolution} x {group.resolution}"
    about += f", {gain.ours.word}" if gain.ours.word else ""
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
    text = f"Against {uniform}, predicted sampling {' and '.join(part for part in parts if part)}"
    text += f", {_cost(gain)}. {_seeds(gain)}{_improving(gain)}"
    beside = "" if gain.at_cost else _paper(group.architecture, group.resolution, table)
    return PageFinding(about, f"{text} {beside}".strip())


def _part(gain: Gain, name: str, where: str) -> str:
    spread = gain.difference(name)
    ours, base = gain.ours.spread(name), gain.baseline.spread(name)
    if spread is None or ours is None or base is None:
        return ""
    low, high = 100 * min(spread.values), 100 * max(spread.values)
    seeds = f"; seeds: {signed(low)} to {signed(high)}" if len(spread.values) > 1 else ""
    figures = f"mIoU {ours.mean:.3f}, uniform {base.mean:.3f}{seeds}"
    return f"{verb(100 * spread.mean)} {where} ({figures})"


def _headline(gain: Gain) -> list[str]:
    """The differences alone."""
    found = (
        ("points on targets", gain.difference("target_miou")),
        ("over all", gain.difference("miou")),
    )
    return [f"{signed(100 * spread.mean)} {where}" for where, spread in found if spread is not None]


def verb(points: float) -> str:
    """2.13 -> "gains 2.1 points"; less than half of the last digit is nothing."""
    if abs(points) < NOTHING:
        return "neither gains nor loses"
    amount = f"{abs(points):.1f}"
    return f"{'gains' if points > 0 else 'loses'} {amount} {'point' if amount == '1.0' else 'points'}"


def _cost(gain: Gain) -> str:
    if gain.at_cost:
        ours, base = gain.ours.group.gmacs, gain.baseline.group.gmacs
        return f"at {ours:.3g} GMACs an image against {base:.3g}"
    extra = 100 * gain.extra
    return f"at {extra:.1f} % more multiply-adds" if extra >= 0 else f"at {-extra:.1f} % fewer multiply-adds"


def _seeds(gain: Gain) -> str:
    mine, theirs = len(gain.ours.group.seeds), len(gain.baseline.group.seeds)
    if not gain.paired:
        return f"Means of {mine} and {theirs} seeds, not the same ones."
    if mine == 1:
        return "One seed each: how much of it is the luck of the seed is not known."
    spread = gain.difference("target_miou") or gain.difference("miou")
    if spread is not None and min(spread.values) < 0 < max(spread.values):
        return f"The {mine} seeds disagree on the sign for the target classes: it may be luck."
    return f"Mean of {mine} seeds, which agree on the sign for the target classes."


def _improving(gain: Gain) -> str:
    """What more training may change."""
    told = [
        f"{word}: {group.improving}"
        for word, group in (("predicted", gain.ours.group), ("uniform", gain.baseline.group))
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
    """What sampling alone would allow, at the lambda nearest to 1."""
    parts = []
    for resolution in dict.fromkeys(r["resolution"] for r in found["settings"]):
        rows = [r for r in found["settings"] if r["resolution"] == resolution]
        base = next(filter(is_uniform, rows), None)
        adaptive = [r for r in rows if r["grid"] is not None and r["lambda"] is not None]
        if base is None or not adaptive:
            continue
        best = min(adaptive, key=lambda r: (abs(r["lambda"] - 1), abs(r["grid"][0] - 8)))
        if any(r[k] is None for r in (best, base) for k in ("target_miou", "miou")):
            continue
        on_targets, over_all = (100 * (best[k] - base[k]) for k in ("target_miou", "miou"))
        parts.append(_two(signed(on_targets), signed(over_all), resolution))
        name = best["sampler"]
    if not parts:
        return []
    text = (
        f"If every sample were classified perfectly, {name} would keep, in points of mIoU against uniform "
        f"sampling: {'; '.join(parts)}."
    )
    return [PageFinding("Upper bound", text)]


def alone(systems: Sequence[ComparedSystem], gains: Sequence[Gain]) -> list[PageFinding]:
    """Evaluated systems that no gain is known of, named with what is missing."""
    known = {id(s) for gain in gains for s in (gain.ours, gain.baseline)}
    missing = {Predicted.role: Uniform.kind, Uniform.role: Predicted.kind}
    left = [s for s in systems if id(s) not in known and s.role in missing]
    found = []
    for system in left:
        group = system.group
        miou = system.spread("target_miou")
        value = f"mIoU on targets {miou.mean:.3f}. " if miou else ""
        command = advice.command(
            "train",
            architecture=group.architecture,
            sampler=missing[system.role],
            resolution=group.resolution,
        )
        text = f"{value}Nothing to compare with yet: {command}"
        found.append(PageFinding(f"{group.architecture}, {system.sampler}, at {group.resolution} px", text))
    return found
