"""From a recipe to its steps, and to those of them that are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.datasets.yaml_nodes import did_you_mean
from pipeline.errors import AdaprepError
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.steps import (
    Boundaries,
    Check,
    Evaluate,
    GenerateScenes,
    SolveTensors,
    Step,
    Train,
    UpperBound,
    WriteReport,
)

STAGES = ("generate", "check", "boundaries", "solve-tensors", "upper-bound", "train", "evaluate", "report")
"""In the order in which they are done."""


def steps(recipe: Recipe) -> list[Step]:
    """Every step of a recipe, in order."""
    return list(_steps(recipe))


def _steps(recipe: Recipe) -> Iterator[Step]:
    if recipe.generate:
        yield GenerateScenes(recipe, recipe.generate)
    if recipe.check:
        yield from (Check(recipe, split) for split in recipe.all_splits)
    yield from (Boundaries(recipe, split) for split in recipe.all_splits)
    yield from (SolveTensors(recipe, split) for split in recipe.trained_splits)
    if recipe.bounds:
        yield UpperBound(recipe, recipe.bounds)
    yield from (Train(recipe, request) for request in recipe.trainings)
    yield from (Evaluate(recipe, split) for split in recipe.evaluated)
    if recipe.report:
        yield from (WriteReport(recipe, split) for split in recipe.reported)


def select(
    recipe: Recipe, planned: Sequence[Step], only: Sequence[str] = (), first: str | None = None
) -> list[Step]:
    """The steps of the stages in `only`, or of `first` and all later stages; all steps without either.

    Raises
    ------
    AdaprepError
        No such stage; or the recipe has no step of it.
    """
    there = {step.stage for step in planned}
    for option, stage in [("--only", stage) for stage in only] + ([("--from", first)] if first else []):
        if stage not in STAGES:
            hint = did_you_mean(stage, STAGES)
            raise AdaprepError(f"{option} {stage}: no such stage{hint} The stages are: {', '.join(STAGES)}")
        if stage not in there:
            own = ", ".join(stage for stage in STAGES if stage in there)
            raise AdaprepError(f"{option} {stage}: {recipe.path} has no such step; its stages are: {own}")
    begin = STAGES.index(first) if first else 0
    wanted = {stage for stage in STAGES[begin:] if not only or stage in only}
    return [step for step in planned if step.stage in wanted]
