"""Recall of single objects (section 4.4 and Figs. 12 and 14 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.base import Metric
from pipeline.metrics.labels import VOID, paired

if TYPE_CHECKING:
    from pipeline.datasets.base import ClassTable

Source = Literal["instances", "components", "mixed"]

MAX_ID = 2**54
"""Ids of instances lie below it."""


@dataclass(frozen=True)
class ObjectRecall:
    """Recall of every object of one or more images; add those of several images."""

    source: Source  # what an object is: an annotated instance, a connected component of a class, or both
    classes: NDArray[np.int64]  # (objects,) train id
    areas: NDArray[np.int64]  # (objects,) pixels inside the crop
    recalls: NDArray[np.float64]  # (objects,) share of those pixels that are given the object's class

    def __add__(self, other: Self) -> Self:
        """The objects of both sets of images; `source` says "mixed" where only some are annotated."""
        return type(self)(
            self.source if self.source == other.source else "mixed",
            np.concatenate([self.classes, other.classes]),
            np.concatenate([self.areas, other.areas]),
            np.concatenate([self.recalls, other.recalls]),
        )


@dataclass(frozen=True)
class SizeBin:
    """Objects of about the same size."""

    count: int
    smallest: int  # area of the smallest and largest object in pixels, 0 in an empty bin
    largest: int
    recall: float  # mean over the objects, NaN in an empty bin

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"objects": self.count, "pixels": [self.smallest, self.largest], "recall": self.recall}


def object_recall(
    truth: NDArray[np.integer[Any]],
    prediction: NDArray[np.integer[Any]],
    instances: NDArray[np.integer[Any]] | None,
    targets: Sequence[int] | None = None,
    void: int = VOID,
) -> ObjectRecall:
    """Recall of every object of the target classes in a crop.

    An object's class is the one that most of its pixels outside void have in the ground truth (the smallest
    on ties), its area is the number of those pixels. Without instances, an object is a connected component of
    a target class, touching corners included.

    Parameters
    ----------
    truth, prediction
        (H, W) train ids.
    instances
        (H, W) a positive id for each object, the same in all its pixels, and 0 or less where there is none;
        or None.
    targets
        Train ids of the classes whose objects count; all classes when None, which needs instances.
    void
        Train id of the pixels without a class.

    Returns
    -------
    ObjectRecall
        Objects by ascending class, then instance id or order of their first pixels.

    Raises
    ------
    ValueError
        Shapes differ, labels are not integers in 0..255, or neither instances nor targets are given.
    """
    labels, predicted = paired(truth, prediction)
    if instances is None:
        if targets is None:
            raise ValueError("object recall needs target classes where there are no instances")
        return _recall("components", labels, predicted, _components(labels, targets), targets, void)
    if instances.shape != truth.shape:
        raise ValueError(f"instances have shape {instances.shape}, ground truth {truth.shape}: must agree")
    _check_ids(instances)
    return _recall("instances", labels, predicted, instances, targets, void)


def recall_by_size(objects: ObjectRecall, bins: int = 4) -> tuple[list[SizeBin], dict[int, list[SizeBin]]]:
    """Mean recall of objects of similar size: bins that hold equally many objects, from small to large.

    Objects are sorted by area, those of equal area by recall, so that the bins do not depend on the order of
    the images. Where their number is no multiple of `bins`, the first bins hold one more.

    Parameters
    ----------
    objects
        From `object_recall`, summed over images.
    bins
        Number of bins.

    Returns
    -------
    overall : list of SizeBin
        All objects together (Fig. 14).
    by_class : dict of int to list of SizeBin
        For each class that has objects, by ascending train id, its objects in bins of its own (Fig. 12).

    Raises
    ------
    ValueError
        `bins` is below 1.
    """
    if bins < 1 or bins != int(bins):
        raise ValueError(f"number of bins is {bins}, must be at least 1")
    bins = int(bins)
    shapes = {array.shape for array in (objects.classes, objects.areas, objects.recalls)}
    if len(shapes) > 1 or objects.areas.ndim != 1:
        raise ValueError(
            f"objects have classes {objects.classes.shape}, areas {objects.areas.shape} and recalls "
            f"{objects.recalls.shape}, must be (objects,)"
        )
    by_class = {
        int(label): _bins(
            objects.areas[objects.classes == label], objects.recalls[objects.classes == label], bins
        )
        for label in np.unique(objects.classes)
    }
    return _bins(objects.areas, objects.recalls, bins), by_class


class Objects(Metric[ObjectRecall]):
    """Recall of single objects: its mean, by size, and by class and size."""

    name = "objects"

    def count(
        self,
        truth: NDArray[np.uint8],
        prediction: NDArray[np.uint8],
        instances: NDArray[np.int32] | None,
        classes: ClassTable,
    ) -> ObjectRecall:
        return object_recall(truth, prediction, instances, classes.targets)

    def figures(self, counts: ObjectRecall, classes: ClassTable) -> dict[str, Any]:
        bins, by_class = recall_by_size(counts)
        return {
            "object_recall": counts.recalls.mean() if len(counts.recalls) else None,
            "recall_by_size": [part.as_dict() for part in bins],
            "recall_by_class": {
                classes.names[label]: [part.as_dict() for part in parts] for label, parts in by_class.items()
            },
        }


def _check_ids(instances: NDArray[np.integer[Any]]) -> None:
    """Ids are multiplied by 256, so that those of 64 bits must leave room for it."""
    if not np.issubdtype(instances.dtype, np.integer):
        raise ValueError(
            f"instances of shape {instances.shape} have dtype {instances.dtype}, must be integers"
        )
    if instances.dtype.itemsize == 8 and instances.size and instances.max() >= MAX_ID:
        raise ValueError(
            f"instances of shape {instances.shape} have ids up to {instances.max()}, must lie below {MAX_ID}"
        )


def _components(truth: NDArray[np.uint8], targets: Sequence[int]) -> NDArray[np.integer[Any]]:
    """(H, W) ids from 1 of the connected components of the target classes, 0 elsewhere."""
    from skimage.measure import label

    marked = np.where(np.isin(truth, list(targets)), truth.astype(np.int16) + 1, 0)
    components: NDArray[np.integer[Any]] = label(marked, background=0, connectivity=2)
    return components


def _recall(
    source: Source,
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    instances: NDArray[np.integer[Any]],
    targets: Sequence[int] | None,
    void: int,
) -> ObjectRecall:
    inside = (instances > 0) & (truth != void)
    labels = truth[inside].astype(np.int64)
    parts, part = np.unique(instances[inside].astype(np.int64) * 256 + labels, return_inverse=True)
    areas = np.bincount(part, minlength=len(parts))
    right = np.bincount(part[labels == prediction[inside]], minlength=len(parts))
    ids, classes = parts // 256, parts % 256
    order = np.lexsort((classes, -areas, ids))
    kept = order[np.diff(ids[order], prepend=-1) > 0]  # the largest part of each object
    if targets is not None:
        kept = kept[np.isin(classes[kept], list(targets))]
    kept = kept[np.lexsort((ids[kept], classes[kept]))]
    return ObjectRecall(source, classes[kept], areas[kept], right[kept] / areas[kept])


def _bins(areas: NDArray[np.int64], recalls: NDArray[np.float64], bins: int) -> list[SizeBin]:
    parts = np.array_split(np.lexsort((recalls, areas)), bins)
    return [
        SizeBin(len(part), int(areas[part[0]]), int(areas[part[-1]]), float(recalls[part].mean()))
        if len(part)
        else SizeBin(0, 0, 0, float("nan"))
        for part in parts
    ]
