"""The baseline that a skeptic would choose: the best of those that look at no image and cost no more.

Uniform samples (at nearest pixels or anti-aliased, of the same or of a higher resolution) and the fixed warp
sample every image alike. A sampler that adapts to the image has to beat the best of them, not only the
uniform samples of its own resolution.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.evaluation.comparison import FILTER, Group, Pair
from pipeline.samplers.base import Fixed
from pipeline.workspace.runs import LATER

SAME_COST = 0.05
"""Systems whose costs differ by no larger part cost the same."""


def best_baseline(group: Group, found: Iterable[Group], figure: str) -> Pair | None:
    """A group beside the baseline that shows the highest mean of a figure.

    Parameters
    ----------
    group
        What adapts to the image.
    found
        All groups of the workspace.
    figure
        A column of `comparison.frame`, such as ``target_miou``.

    Returns
    -------
    Pair or None
        None where the group itself samples every image alike, and where there is no baseline that was
        trained like it, measured on the same region, at a cost at most 5 % higher.
    """
    if issubclass(group.kind, Fixed):
        return None
    pairs = [
        (pair, spread.mean)
        for other in found
        if is_rival(group, other)
        and not (pair := against(group, other)).differing
        and (spread := other.figure(figure)) is not None
    ]
    return max(pairs, key=lambda pair: pair[1])[0] if pairs else None


def is_rival(group: Group, other: Group) -> bool:
    """Whether a group is a baseline of the same network and region that costs no more."""
    alike = (other.architecture, other.region) == (group.architecture, group.region)
    affordable = other.gmacs <= group.gmacs * (1 + SAME_COST)
    return issubclass(other.kind, Fixed) and alike and affordable


def against(group: Group, other: Group) -> Pair:
    """The two, whatever the baseline's filter: anti-aliasing is part of a baseline."""
    return Pair(group, other, beside=(FILTER,))


def describe(group: Group) -> str:
    """A baseline in a cell: "uniform, area, 40 px", "fixed warp, 32 px"."""
    filtered = "" if group.filter == LATER["filter"] else group.filter
    return ", ".join(filter(None, (group.kind.word, filtered, f"{group.resolution} px")))
