"""Which runs stand for a workspace where there is room for one pair: on the first screen, in pictures."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.evaluation import comparison
from pipeline.evaluation.comparison import Group, Pair
from pipeline.geometry.crops import CENTRAL
from pipeline.samplers.predicted import Predicted
from pipeline.samplers.uniform import Uniform

FIGURES = ("target_miou", "miou")
"""What runs are ranked by; the second where there is no target class to measure."""


def best_pair(groups: Sequence[Group]) -> tuple[Group | None, Group | None]:
    """The adaptive system with the highest mIoU on target classes, and the uniform one beside it.

    One that may be compared with a uniform system comes before any that may not, and that before one without
    a uniform system at its resolution; figures of central squares before those of whole images, which are no
    figures of the same thing. Among equals the highest resolution counts.

    Returns
    -------
    adaptive, uniform
        Either is None where there is none: a uniform system alone is the best of its kind.
    """
    adaptive = [g for g in groups if g.kind.role == Predicted.role]
    if adaptive:
        pairs = [(group, comparison.baseline(group, groups)) for group in adaptive]
        return max(pairs, key=lambda pair: (_comparable(*pair), *_rank(pair[0])))
    uniform = [g for g in groups if g.kind.role == Uniform.role]
    return None, max(uniform, key=_rank, default=None)


def best_runs(groups: Sequence[Group]) -> dict[str, str]:
    """Names of the two runs of the best pair, by the roles of their samplers.

    Of several seeds the one with the highest figure; the uniform run has the same seed where there is one.
    """
    adaptive, uniform = best_pair(groups)
    chosen: dict[str, str] = {}
    seed = None
    for group in (adaptive, uniform):
        if group is not None:
            chosen[group.kind.role], seed = _run(group, seed)
    return chosen


def _comparable(group: Group, beside: Group | None) -> int:
    if beside is None:
        return 0
    return 1 if Pair(group, beside).differing else 2


def _rank(group: Group) -> tuple[bool, float, int]:
    spreads = (group.figure(name) for name in FIGURES)
    value = next((spread.mean for spread in spreads if spread is not None), -1.0)
    return group.region == CENTRAL, value, group.resolution


def _run(group: Group, seed: int | None) -> tuple[str, int]:
    """Name and seed of the run that stands for a group."""
    rows = group.rows
    same = rows[rows["seed"] == seed]
    name = next((name for name in FIGURES if rows[name].notna().any()), FIGURES[0])
    ranked = (
        (rows if same.empty else same)
        .fillna({name: -1.0})
        .sort_values([name, "seed"], ascending=[False, True])
    )
    return str(ranked["run"].iloc[0]), int(ranked["seed"].iloc[0])
