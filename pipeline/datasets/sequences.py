"""Videos among a data set's frames: clips in order of time, and frames filmed next to each other."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from pipeline.datasets.base import Dataset, Frame, Moment

Near = tuple[Frame, Frame, int]
"""A frame, the frame that is nearest to it in time, and how far apart their numbers are."""


def names(dataset: Dataset, frames: Sequence[Frame]) -> list[str] | None:
    """The sequence of each frame; None where the data set does not say it of all."""
    moments = [dataset.moment(frame) for frame in frames]
    found = [moment.sequence for moment in moments if moment is not None]
    return found if len(found) == len(frames) else None


def clips(dataset: Dataset, frames: Sequence[Frame]) -> list[list[int]] | None:
    """Places of the frames of each clip, by time; None where the data set does not say it of all.

    A clip is what one camera filmed of a sequence.
    """
    moments = [dataset.moment(frame) for frame in frames]
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for place, moment in enumerate(moments):
        if moment is None:
            return None
        found.setdefault((moment.sequence, moment.camera), []).append((moment.number, place))
    return [[place for _, place in sorted(found[clip])] for clip in sorted(found)]


def near(dataset: Dataset, frames: Sequence[Frame], others: Sequence[Frame]) -> list[Near]:
    """The frames with one of the others within `Dataset.near` in their sequence, each with the nearest."""
    by_sequence: dict[str, list[tuple[int, Frame]]] = {}
    for other in others:
        if moment := dataset.moment(other):
            by_sequence.setdefault(moment.sequence, []).append((moment.number, other))
    ordered = {name: sorted(there, key=lambda pair: pair[0]) for name, there in by_sequence.items()}
    numbers = {name: [number for number, _ in there] for name, there in ordered.items()}
    found = []
    for frame in frames:
        moment = dataset.moment(frame)
        if moment is None or moment.sequence not in ordered:
            continue
        nearest = _nearest(moment, numbers[moment.sequence])
        number, other = ordered[moment.sequence][nearest]
        if (apart := abs(number - moment.number)) <= dataset.near:
            found.append((frame, other, apart))
    return found


def _nearest(moment: Moment, numbers: Sequence[int]) -> int:
    """Place of the number that is nearest to a frame's."""
    after = bisect_left(numbers, moment.number)
    around = [place for place in (after - 1, after) if 0 <= place < len(numbers)]
    return min(around, key=lambda place: abs(numbers[place] - moment.number))
