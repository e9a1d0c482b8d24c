"""The metrics that `adaprep upper-bound` and `adaprep evaluate` measure. A new one is one line here."""

from __future__ import annotations

from typing import Any

from pipeline.metrics.base import Metric
from pipeline.metrics.confusion import Overlap
from pipeline.metrics.objects import Objects
from pipeline.metrics.trimap import Trimap

METRICS: list[Metric[Any]] = [
    Overlap(),
    Trimap(),
    Objects(),
]
"""In the order of their figures in JSON."""
