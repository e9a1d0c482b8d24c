"""Scores of one image, their sum over many, and the figures of a score as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import ClassTable
from pipeline.geometry.crops import CENTRAL, WHOLE, Region
from pipeline.metrics import ConfusionMatrix, ObjectRecall, TrimapCounts, registry
from pipeline.metrics.base import Metric
from pipeline.metrics.confusion import Overlap
from pipeline.metrics.objects import Objects
from pipeline.metrics.trimap import Trimap
from pipeline.workspace.disk import plain

MEASURED_AT: dict[Region, str] = {
    CENTRAL: "full resolution of the central square crop",
    WHOLE: "full resolution of the whole image",
}
"""By region, in words."""

FRAMES_PER_TASK = 4

Key = TypeVar("Key")

OwnMetrics = Mapping[str, Metric[Any]]
"""Metrics of the user's own, by ``package.module:factory``."""


@dataclass(frozen=True)
class Score:
    """What one way to label images reaches on one or more of them; add those of several."""

    counts: Mapping[str, Any]  # by name of the metric
    folded: int = 0  # cells of the sampling tensors
    own: OwnMetrics = field(default_factory=dict)

    def __add__(self, other: Score) -> Score:
        counts = {name: mine + other.counts[name] for name, mine in self.counts.items()}
        return Score(counts, self.folded + other.folded, self.own)

    @property
    def confusion(self) -> ConfusionMatrix:
        return cast(ConfusionMatrix, self.counts[Overlap.name])

    @property
    def trimap(self) -> TrimapCounts:
        return cast(TrimapCounts, self.counts[Trimap.name])

    @property
    def objects(self) -> ObjectRecall:
        return cast(ObjectRecall, self.counts[Objects.name])


def total(parts: Iterable[Mapping[Key, Score]]) -> dict[Key, Score]:
    """Scores of all parts together; empty when there are none."""
    summed: dict[Key, Score] = {}
    for part in parts:
        for key, score in part.items():
            summed[key] = summed[key] + score if key in summed else score
    return summed


def score_labels(
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    instances: NDArray[np.int32] | None,
    classes: ClassTable,
    folded: int = 0,
    own: OwnMetrics | None = None,
) -> Score:
    """Compare one prediction (S, S) of train ids with the truth; `instances` as from `read_instances`."""
    metrics = {**{m.name: m for m in registry.METRICS}, **(own or {})}
    counts = {name: m.count(truth, prediction, instances, classes) for name, m in metrics.items()}
    return Score(counts, folded, own or {})


def figures(score: Score, classes: ClassTable) -> dict[str, Any]:
    """The figures of every metric as plain data, None where there is nothing to measure.

    Those of the user's own metrics stand together under the key `metrics`.

    Raises
    ------
    ValueError
        Two of adaprep's metrics give a figure of the same key.
    AdaprepError
        One of the user's own cannot give its figures.
    """
    row: dict[str, Any] = {}
    for metric in registry.METRICS:
        found = metric.figures(score.counts[metric.name], classes)
        if taken := row.keys() & found.keys():
            raise ValueError(f"metric {metric.name}: another one has the figures {', '.join(sorted(taken))}")
        row |= found
    figures: dict[str, Any] = plain({**row, "folded_cells": score.folded})
    if score.own:
        figures["metrics"] = {
            name: registry.figures_of(name, metric, score.counts[name], classes)
            for name, metric in score.own.items()
        }
    return figures


def facts(scores: Iterable[Score], classes: ClassTable) -> dict[str, Any]:
    """What holds for all rows of a report, from any of its scores."""
    some = next(iter(scores), None)
    return {
        "targets": [classes.names[t] for t in classes.targets],
        "objects_from": some.objects.source if some else None,
        "classes_never_seen": list(some.confusion.unseen) if some else [],
    }
