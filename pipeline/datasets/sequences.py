"""Videos among a data set's frames: clips in order of time, and frames filmed next to each other."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

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


def near(dataset: Dataset, frames: Iterable[Frame], others: Sequence[Sequence[Frame]]) -> Iterator[Near]:
    """The frames with one of the others within `Dataset.near` in their sequence, each with the nearest.

    Of the others, which come in several lists, numbers and places are in memory, no frames.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for place, other in enumerate(chain.from_iterable(others)):
        if moment := dataset.moment(other):
            found.setdefault(moment.sequence, []).append((moment.number, place))
    for there in found.values():
        there.sort()
    for frame in frames:
        moment = dataset.moment(frame)
        if moment is None or moment.sequence not in found:
            continue
        number, place = _nearest(moment, found[moment.sequence])
        if (apart := abs(number - moment.number)) <= dataset.near:
            yield frame, _frame_at(others, place), apart


def _nearest(moment: Moment, there: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The number that is nearest to a frame's, and its place."""
    after = bisect_left(there, (moment.number, -1))
    around = [there[i] for i in (after - 1, after) if 0 <= i < len(there)]
    return min(around, key=lambda pair: abs(pair[0] - moment.number))


def _frame_at(lists: Sequence[Sequence[Frame]], place: int) -> Frame:
    """The frame at a place of lists one after the other."""
    for frames in lists:
        if place < len(frames):
            return frames[place]
        place -= len(frames)
    raise IndexError(place)
