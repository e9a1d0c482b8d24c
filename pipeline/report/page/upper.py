"""Rows of a kept upper bound: what sampled, how that is called and drawn, and which lambda is best."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from pipeline.samplers.mean import Mean
from pipeline.samplers.predicted import Predicted
from pipeline.samplers.proposal import Proposals
from pipeline.samplers.uniform import Uniform
from pipeline.workspace.stores import lambda_name

BoundRow = dict[str, Any]

KEYS = ("target_miou", "miou")
"""What a lambda is chosen by; the second where there is no target class to measure."""


def kind_of(row: BoundRow) -> str:
    """What a setting shares with others: uniform, a grid, a fixed warp, an auxiliary network."""
    return str(row["sampler"]) if row["grid"] is None else "x".join(map(str, row["grid"]))


def is_uniform(row: BoundRow) -> bool:
    """Whether a row is of uniform sampling."""
    return kind_of(row) == Uniform.word and not row.get("auxiliary") and not row.get("fixed")


def is_proposal(row: BoundRow) -> bool:
    """Whether a row is of proposals, made from the ground truth."""
    return row["grid"] is not None and row["lambda"] is not None


def style_of(row: BoundRow) -> int:
    """Of the row's sampler."""
    if row.get("fixed"):
        return Mean.style
    return Uniform.style if is_uniform(row) else Proposals.style if is_proposal(row) else Predicted.style


def name_of(row: BoundRow) -> str:
    """As tables and charts call it."""
    if is_proposal(row):
        return f"{Proposals.word} {kind_of(row)}, λ {lambda_name(row['lambda'])}"
    return str(row["sampler"])


def best(rows: Sequence[BoundRow], key: str) -> list[BoundRow]:
    """The proposals with the highest figure, those of the highest other figure where several have it.

    Nothing where none has the figure.
    """
    known = [row for row in rows if is_proposal(row) and row[key] is not None]
    for name in (key, *KEYS):
        highest = max((row[name] for row in known if row[name] is not None), default=None)
        known = [row for row in known if row[name] == highest]
    return known


def best_lambda(rows: Sequence[BoundRow]) -> float | None:
    """The lambda with the highest mean mIoU over the resolutions: on target classes, where there are any."""
    for key in KEYS:
        values: dict[float, list[float]] = {}
        for row in rows:
            if row["lambda"] is not None and row[key] is not None:
                values.setdefault(row["lambda"], []).append(row[key])
        if values:
            most = max(map(len, values.values()))
            return max(
                (lam for lam in values if len(values[lam]) == most), key=lambda lam: fmean(values[lam])
            )
    return None
