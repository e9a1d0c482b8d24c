"""The metrics that `adaprep upper-bound` and `adaprep evaluate` measure, and a door for others.

A new one of adaprep's is one line here. ``package.module:factory`` names one of the user's: a class derived
from `Metric`, or a function that returns one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import doors
from pipeline.errors import AdaprepError
from pipeline.metrics.base import Metric
from pipeline.metrics.confusion import Overlap
from pipeline.metrics.objects import Objects
from pipeline.metrics.trimap import Trimap
from pipeline.workspace.disk import plain

if TYPE_CHECKING:
    from pipeline.datasets.base import ClassTable

METRICS: list[Metric[Any]] = [
    Overlap(),
    Trimap(),
    Objects(),
]
"""In the order of their figures in JSON."""


def opened(names: Sequence[str], classes: ClassTable) -> dict[str, Metric[Any]]:
    """Metrics of the user's own, by name; each is tried on a label map of four pixels first.

    Parameters
    ----------
    names
        ``package.module:factory``, from the command line or a recipe of the user's: the code is run.
    classes
        Of the data set that is measured.

    Raises
    ------
    AdaprepError
        There is no such code, it makes no metric, or the metric fails.
    """
    return {name: _opened(name, classes) for name in dict.fromkeys(names)}


def _opened(name: str, classes: ClassTable) -> Metric[Any]:
    if not doors.is_door(name):
        raise AdaprepError(
            f"--metric {name}: must be {doors.DOOR}, a metric of your own; adaprep's are always measured."
        )
    metric = doors.opened(name, "metric", ())()
    if not isinstance(metric, Metric):
        raise AdaprepError(
            f"{name} returned a {type(metric).__name__}, must be a pipeline.metrics.base.Metric."
        )
    labels = np.zeros((2, 2), np.uint8)
    try:
        one = metric.count(labels, labels, None, classes)
        figures_of(name, metric, one + one, classes)
    except AdaprepError:
        raise
    except Exception as error:
        raise AdaprepError(
            f"the metric {name} failed on a label map of 2 x 2 pixels without objects: "
            f"{type(error).__name__}: {error}"
        ) from error
    return metric


def figures_of(name: str, metric: Metric[Any], counts: Any, classes: ClassTable) -> dict[str, Any]:
    """Figures of a metric of the user's own as plain data, None where there is nothing to measure.

    Raises
    ------
    AdaprepError
        The metric fails, or its figures cannot be written as JSON.
    """
    try:
        figures = plain(metric.figures(counts, classes))
        json.dumps(figures, allow_nan=False)
        if not isinstance(figures, dict):
            raise TypeError(f"figures() returned a {type(figures).__name__}, must be a dictionary")
    except (AdaprepError, MemoryError):
        raise
    except Exception as error:
        raise AdaprepError(f"the figures of the metric {name} cannot be used: {error}") from error
    return figures
