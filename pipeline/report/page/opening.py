"""The first screen of a report: the method in a sentence, what it gains, and one row of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.evaluation.best import best_pair
from pipeline.names import printable
from pipeline.report.page import findings
from pipeline.report.page.cells import signed
from pipeline.report.page.compare import ComparedSystem, Gain
from pipeline.report.page.scenes import PanelRow, Pictured
from pipeline.units import several

NAMED = 4
"""Target classes that are named before "and 3 more"."""

MEASURES = (
    ("target_miou", "points of mIoU on the target classes"),
    ("miou", "points of mIoU over all classes"),
)


@dataclass(frozen=True)
class Figure:
    """One difference, large."""

    value: str  # with its sign; "none" where it cannot be told from chance
    what: str
    sure: str  # how sure it is, where that is known


@dataclass(frozen=True)
class Opening:
    """What the first screen says and shows."""

    method: str
    figures: tuple[Figure, ...]  # empty where no difference is taken
    text: str  # what is compared, with which seeds, measured on what; or why nothing is
    row: PanelRow | None
    runs: str = ""  # whose predictions it shows


def opening(
    targets: Sequence[str],
    systems: Sequence[ComparedSystem],
    gains: Sequence[Gain],
    shown: Pictured | None,
    runs: Sequence[str] = (),
) -> Opening:
    """Of the best adaptive system that may be compared with a uniform one.

    Parameters
    ----------
    targets
        Names of the target classes.
    gains
        Of adaptive systems over uniform ones at the same resolution.
    shown
        The image whose pictures are shown.
    runs
        Whose predictions these show.
    """
    row = shown.first if shown else None
    adaptive, _ = best_pair([system.group for system in systems])
    gain = next((gain for gain in gains if gain.ours.group is adaptive), None)
    return Opening(_method(targets), *_gained(gain), row, ", ".join(runs))


def _gained(gain: Gain | None) -> tuple[tuple[Figure, ...], str]:
    """Figures and text; no figures where no difference may be taken."""
    if gain is None:
        return (), "No gain is known yet: no adaptive system has been compared with a uniform one."
    if gain.differing:
        return (), f"No gain is given for {_place(gain)}. {findings.UNEQUAL.format(gain.differing)}"
    figures = (_figure(gain, key, what) for key, what in MEASURES)
    return tuple(figure for figure in figures if figure is not None), _text(gain)


def _figure(gain: Gain, key: str, what: str) -> Figure | None:
    spread = gain.difference(key)
    if spread is None:
        return None
    value, sure = signed(100 * spread.mean), findings.intervals(gain, key)
    if gain.is_none(key):
        return Figure("none", what, f"{value} cannot be told from chance: {sure}")
    return Figure(value, what, sure)


def _method(targets: Sequence[str]) -> str:
    more = len(targets) - NAMED
    named = ", ".join(map(printable, targets[:NAMED])) + (f" and {more} more" if more > 0 else "")
    return (
        f"Adaptive downsampling (Marin et al., ICCV 2019): an auxiliary network looks at a small copy of "
        f"each image and moves the points where it is sampled towards boundaries of the target classes "
        f"({named}), a base network labels these samples, and its scores are interpolated back to every "
        f"pixel."
    )


def _place(gain: Gain) -> str:
    group = gain.ours.group
    return f"{group.architecture} at {group.resolution} x {group.resolution} px"


def _text(gain: Gain) -> str:
    group = gain.ours.group
    seeds = ", ".join(map(str, group.seeds))
    word = f"seed {seeds}" if len(group.seeds) == 1 else f"seeds {seeds}"
    return (
        f"Adaptive against uniform sampling: {_place(gain)}, {word}, {findings.cost(gain)}; measured on "
        f"{measured_on(group.evaluations[0])}. {findings.seeds(gain)}{findings.improving(gain)}"
    )


def measured_on(evaluation: dict[str, Any]) -> str:
    """Images and region: "16 images of demo/val, at the full resolution of the central square crop (...)"."""
    low, high = evaluation["crop_sides"]
    sides = f"{low} x {low}" if low == high else f"{low} x {low} to {high} x {high}"
    return (
        f"{several(evaluation['images'], 'image')} of {evaluation['dataset']}/{evaluation['split']}, at the "
        f"{evaluation['measured_at']} ({sides} pixels)"
    )
