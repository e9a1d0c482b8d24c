"""What a metric is: counts of one image that can be added, and figures of their sum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pipeline.datasets.base import ClassTable

Counts = TypeVar("Counts")
"""Anything that can be added with ``+`` and pickled."""


class Metric(ABC, Generic[Counts]):
    """One way to say how good labels are; listed in `registry.METRICS`."""

    name: ClassVar[str]
    """Key of its counts in a score."""

    @abstractmethod
    def count(
        self,
        truth: NDArray[np.uint8],
        prediction: NDArray[np.uint8],
        instances: NDArray[np.int32] | None,
        classes: ClassTable,
    ) -> Counts:
        """Counts of one image.

        Parameters
        ----------
        truth, prediction
            (S, S) train ids.
        instances
            (S, S) a positive id for each object, 0 or less where there is none; None where objects are not
            annotated.
        classes
            Names and targets by train id.
        """

    @abstractmethod
    def figures(self, counts: Counts, classes: ClassTable) -> dict[str, Any]:
        """The figures of one or more images by their keys in JSON; NaN where there is nothing to measure."""
