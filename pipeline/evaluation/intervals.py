"""How sure a difference is: intervals from a bootstrap over images, and over sequences where these are known.

Images (or whole sequences) are drawn again, with replacement, as many as there are, the same for both sides;
the difference is taken of each draw, and the interval holds the middle 95 % of them. Frames of one video look
alike, so that an interval over images is too narrow where there are few videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.workspace.per_image import PerImage

DRAWS = 2000
SEED = 0
LEVEL = 0.95

FIGURES = ("miou", "target_miou")
"""Those that intervals can be taken of."""

IMAGES, SEQUENCES = "images", "sequences"


@dataclass(frozen=True)
class Interval:
    """The middle 95 % of a difference over draws."""

    low: float
    high: float
    units: int  # images or sequences
    over: str  # "images" or "sequences"

    @property
    def holds_zero(self) -> bool:
        return self.low <= 0 <= self.high


def of_difference(
    ours: Sequence[PerImage], base: Sequence[PerImage], figure: str, targets: Sequence[int]
) -> tuple[Interval, ...]:
    """Intervals of a difference of two means over seeds: over images, then over sequences.

    Parameters
    ----------
    ours, base
        One per seed, all of the same images.
    figure
        One of `FIGURES`.
    targets
        Places of the target classes.

    Returns
    -------
    tuple of Interval
        None where the images differ or are fewer than two; over sequences only where there are two of them.
    """
    every = [*ours, *base]
    if not ours or not base or len({(one.images, one.pixels.shape) for one in every}) > 1:
        return ()
    chosen = list(targets) if figure == "target_miou" else list(range(every[0].pixels.shape[2]))
    found = []
    for over, groups in ((IMAGES, None), (SEQUENCES, every[0].sequences)):
        if over == SEQUENCES and groups is None:
            continue
        sums = [_summed(one.pixels, groups) for one in every]
        units = len(sums[0])
        if units < 2:
            continue
        weights = _draws(units)
        drawn = [_mean_iou(weights, pixels, chosen) for pixels in sums]
        difference = np.mean(drawn[: len(ours)], axis=0) - np.mean(drawn[len(ours) :], axis=0)
        known = difference[~np.isnan(difference)]
        if known.size:
            low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            found.append(Interval(float(low), float(high), units, over))
    return tuple(found)


def _draws(units: int) -> NDArray[np.float64]:
    """(draws, units) how often each unit is drawn; the same for the same number of units."""
    rng = np.random.default_rng([SEED, units])
    return rng.multinomial(units, np.full(units, 1 / units), DRAWS).astype(np.float64)


def _summed(pixels: NDArray[np.int64], groups: Sequence[str] | None) -> NDArray[np.int64]:
    """(N, 3, C) counts added up by group: (groups, 3, C)."""
    if groups is None:
        return pixels
    names = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    found = np.zeros((len(names), *pixels.shape[1:]), np.int64)
    np.add.at(found, [names[name] for name in groups], pixels)
    return found


def _mean_iou(
    weights: NDArray[np.float64], pixels: NDArray[np.int64], chosen: Sequence[int]
) -> NDArray[np.float64]:
    """(draws,) mean IoU of the chosen classes that a draw has seen, NaN where it has seen none."""
    units, _, classes = pixels.shape
    sums = weights @ pixels.reshape(units, -1).astype(np.float64)
    right, true, predicted = sums.reshape(len(weights), 3, classes)[:, :, list(chosen)].transpose(1, 0, 2)
    seen = true > 0
    iou = np.where(seen, right / np.maximum(true + predicted - right, 1), 0.0)
    counts = seen.sum(axis=1)
    return np.where(counts > 0, iou.sum(axis=1) / np.maximum(counts, 1), np.nan)
