"""Weights of classes in the base network's loss: by how often each occurs in the training split, or as given.

They come from the label maps alone, so that networks of all samplers and resolutions have the same.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pipeline.errors import AdaprepError, FileError
from pipeline.names import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.datasets.base import ClassTable, Dataset, Frame
    from pipeline.stages.inputs import Inputs

NONE, INVERSE, MEDIAN = "none", "inverse", "median"
BY_FREQUENCY = (INVERSE, MEDIAN)

MOST_MAPS = 1000
"""Label maps that classes are counted in; of more, so many at even distances."""


def parse(text: str) -> str | dict[str, float]:
    """What ``--class-weights`` says: a word, or numbers by name.

    Raises
    ------
    AdaprepError
        It is neither none, inverse or median, nor NAME=NUMBER with commas; or a number is not above 0.
    """
    if text in (NONE, *BY_FREQUENCY):
        return text
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not name.strip() or not 0 < weight < math.inf:
            raise AdaprepError(
                f"--class-weights {printable(text)}: must be none, inverse, median, or numbers above 0 by "
                f"class, such as car=2,person=4"
            )
        weights[name.strip()] = weight
    return weights


def word(text: str) -> str:
    """What the name of a run says of its weights."""
    return "" if text == NONE else f"-{text}" if text in BY_FREQUENCY else "-weighted"


def weights(text: str, found: Inputs, title: str) -> dict[str, float] | None:
    """Weights by class, of those that occur in the training split; None where all are alike.

    Parameters
    ----------
    text
        As for `parse`.
    found
        The training split.
    title
        What messages call it.

    Raises
    ------
    AdaprepError
        As `parse`; or a class that is named is not in the class table, or in no label map.
    """
    import numpy as np

    chosen, classes = parse(text), found.dataset.classes
    if chosen == NONE:
        return None
    if isinstance(chosen, dict):
        _check_names(chosen, classes)
    counts = pixels(found)
    seen = counts.sum(axis=0) > 0
    if isinstance(chosen, dict):
        named = (i for i, name in enumerate(classes.names) if name in chosen)
        if absent := [classes.names[i] for i in named if not seen[i]]:
            raise AdaprepError(
                f"--class-weights: no pixel of {printable(absent[0])} is in the label maps of "
                f"{title}, so a weight of it does nothing. Leave it out."
            )
        each = np.array([chosen.get(name, 1.0) for name in classes.names])
    else:
        each = inverse(counts) if chosen == INVERSE else median(counts)
    return {name: float(each[i]) for i, name in enumerate(classes.names) if seen[i]}


def unseen(found: Mapping[str, float], classes: ClassTable) -> list[str]:
    """Classes without a weight, for there is no pixel of them to train on."""
    return [name for name in classes.names if name not in found]


def inverse(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Inverse frequency: the mean weight of a pixel is 1, and all classes that occur weigh the same together.

    Parameters
    ----------
    counts
        (N, C) pixels of each class in each label map.

    Returns
    -------
    NDArray
        (C,) ``total / (classes that occur * pixels of the class)``; 0 where there is none.
    """
    import numpy as np

    total = counts.sum(axis=0)
    return np.where(total > 0, total.sum() / (np.maximum(total, 1) * max((total > 0).sum(), 1)), 0.0)


def median(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Median frequency balancing (Eigen and Fergus, 2015): (N, C) counts to (C,) weights, 0 without a pixel.

    The frequency of a class is its share of the pixels of those label maps in which it occurs; its weight is
    the median of all frequencies over its own.
    """
    import numpy as np

    there = counts > 0
    pixels_beside = (there * counts.sum(axis=1, keepdims=True)).sum(axis=0)
    frequency = counts.sum(axis=0) / np.maximum(pixels_beside, 1)
    seen = frequency > 0
    middle = np.median(frequency[seen]) if seen.any() else 0.0
    return np.where(seen, middle / np.where(seen, frequency, 1.0), 0.0)


def pixels(found: Inputs) -> NDArray[np.int64]:
    """(N, C) pixels of each class in each of at most `MOST_MAPS` label maps; those that fail are left out."""
    import numpy as np

    frames = found.frames
    places = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MOST_MAPS)).round().astype(int))
    return _counted(found.dataset, tuple(frames[i] for i in places))


@functools.lru_cache(maxsize=4)
def _counted(dataset: Dataset, frames: tuple[Frame, ...]) -> NDArray[np.int64]:
    import numpy as np

    from pipeline.stages.engine import cores

    with ThreadPoolExecutor(cores()) as pool:
        rows = [row for row in pool.map(lambda frame: _count(dataset, frame), frames) if row is not None]
    return np.stack(rows) if rows else np.zeros((0, len(dataset.classes.names)), np.int64)


def _count(dataset: Dataset, frame: Frame) -> NDArray[np.int64] | None:
    import numpy as np

    from pipeline.stages.check import histogram
    from pipeline.stages.frame import read_label_map

    try:
        found = histogram(read_label_map(dataset, frame).ids)
    except FileError:
        return None
    row = np.zeros(256, np.int64)
    for raw, count in found.items():
        row[dataset.classes.lut[raw]] += count
    return row[: len(dataset.classes.names)]


def _check_names(chosen: Mapping[str, float], classes: ClassTable) -> None:
    if unknown := [name for name in chosen if name not in classes.names]:
        raise AdaprepError(
            f"--class-weights: there is no class {printable(unknown[0])}. The classes are: "
            f"{printable(', '.join(classes.names))}"
        )


def as_row(found: Mapping[str, float], names: Sequence[str]) -> list[float]:
    """Weights by train id; 0 for a class that does not occur, of which no sample is trained on."""
    return [found.get(name, 0.0) for name in names]
