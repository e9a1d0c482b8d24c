"""The command line that does by hand what a step of a recipe does."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pipeline.recipes.schema import DEFAULT_WORKSPACE, Bounds, Recipe
from pipeline.stores import lambda_name
from pipeline.train.settings import Auxiliary, Base, Request

APART = ("networks", "auxiliary", "base", "augmentation", "splits", "grid", "lam", "sampler", "arguments")
"""Fields that do not become an option of their own name."""


def line(name: str, *parts: str) -> str:
    """A command with its arguments, quoted for a shell."""
    return shlex.join(["adaprep", name, *parts])


def generate(recipe: Recipe) -> str:
    """`adaprep demo`, as far as the scenes."""
    scenes = recipe.generate
    counts = ("--train", str(scenes.train), "--val", str(scenes.val)) if scenes else ()
    return line("demo", "--data-only", *_root(recipe), *counts)


def check(recipe: Recipe, split: str) -> str:
    """`adaprep check` of a split."""
    return line("check", *_data(recipe), "--split", split, "--limit", str(recipe.check))


def boundaries(recipe: Recipe, split: str) -> str:
    """`adaprep boundaries` of a split."""
    grid = () if recipe.grid == (8, 8) else ("--grid", size(recipe.grid))
    crops = ("--crops", str(recipe.crops)) if recipe.crops else ()
    return line("boundaries", *_data(recipe), "--split", split, *grid, *crops, *_workspace(recipe))


def solve_tensors(recipe: Recipe, split: str) -> str:
    """`adaprep solve-tensors` of a split."""
    chosen = ",".join(map(lambda_name, recipe.lambdas))
    lam = () if recipe.lambdas == [1.0] else ("--lambda", chosen)
    return line("solve-tensors", *_held(recipe), "--split", split, *lam, *_workspace(recipe))


def upper_bound(recipe: Recipe, bounds: Bounds) -> str:
    """`adaprep upper-bound --save`; of a data set with settings as the workspace holds it."""
    data = [] if recipe.said_settings else _data(recipe)
    options = ["--resolution", ",".join(map(str, bounds.resolutions))]
    options += [part for grid in bounds.grids for part in ("--grid", size(grid))]
    options += ["--lambda", ",".join(map(lambda_name, bounds.lambdas))]
    options += ["--limit", str(bounds.limit)] if bounds.limit else []
    return line("upper-bound", *data, "--split", bounds.split, *options, "--save", *_workspace(recipe))


def train(recipe: Recipe, request: Request) -> str:
    """`adaprep train` of one network; options that say what is so by default are left out."""
    sampler = ("--sampler", request.base.sampler) if request.networks == ("base",) else ()
    options = ["--network", request.networks[0], *sampler]
    options += _changed(request.auxiliary, Auxiliary(), "--aux-")
    if request.networks == ("base",):
        options += _changed(request.base, Base(), "--")
    options += ["--grid", size(recipe.grid)] if recipe.grid != (8, 8) else []
    lam = request.auxiliary.lam if _predicts(request) else recipe.lam
    options += ["--lambda", lambda_name(lam)] if lam != 1.0 else []
    options += _changed(request, Request(()), "--")
    options += [f"--augment={name}={value:g}" for name, value in request.augmentation.items()]
    for option, name, usual in zip(
        ("--train-split", "--val-split"), request.splits, ("train", "val"), strict=True
    ):
        options += [option, name] if name != usual else []
    return line("train", *options, *_held(recipe), *_root(recipe), *_workspace(recipe))


def _predicts(request: Request) -> bool:
    """Whether an auxiliary network is trained, or samples."""
    return request.networks == ("auxiliary",) or request.base.sampler == "auxiliary"


def evaluate(recipe: Recipe, split: str) -> str:
    """`adaprep evaluate` of every base network in the workspace."""
    device = () if recipe.device == "auto" else ("--device", recipe.device)
    where = (*_held(recipe), *_root(recipe), "--split", split)
    return line("evaluate", *where, *_bases(recipe), *device, *_workspace(recipe))


def report(recipe: Recipe, split: str) -> str:
    """`adaprep report` on a split."""
    device = () if recipe.device == "auto" else ("--device", recipe.device)
    where = (*_held(recipe), *_root(recipe), "--split", split)
    return line("report", *where, *_bases(recipe), *device, *_workspace(recipe))


def factories(recipe: Recipe) -> tuple[str, ...]:
    """``package.module:factory`` of the base networks that are not ours."""
    every = (request.base.architecture for request in recipe.trainings if request.networks == ("base",))
    return tuple(dict.fromkeys(name for name in every if ":" in name))


def _bases(recipe: Recipe) -> list[str]:
    return [part for name in factories(recipe) for part in ("--base", name)]


def size(grid: tuple[int, int]) -> str:
    """As --grid takes it."""
    return f"{grid[0]}x{grid[1]}"


def _changed(chosen: Any, usual: Any, start: str) -> list[str]:
    """Options for the fields of a dataclass that differ from its usual values."""
    options = []
    for name in (f.name for f in fields(chosen) if f.name not in APART):
        value = getattr(chosen, name)
        if value != getattr(usual, name):
            flag = "--base" if name == "architecture" else f"{start}{name.replace('_', '-')}"
            options += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return options


def _data(recipe: Recipe) -> list[str]:
    """What opens the data set."""
    options = ["--dataset", recipe.said_dataset, *_root(recipe)]
    options += ["--targets", ",".join(recipe.said_targets)] if recipe.said_targets else []
    return options + _set(recipe.said_settings)


def _set(settings: Mapping[str, str]) -> list[str]:
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


def _held(recipe: Recipe) -> tuple[str, ...]:
    """The data set in the workspace."""
    return "--dataset", recipe.dataset.name


def _root(recipe: Recipe) -> tuple[str, ...]:
    return ("--root", str(recipe.said_root)) if recipe.said_root else ()


def _workspace(recipe: Recipe) -> tuple[str, ...]:
    return ("--workspace", str(recipe.workspace)) if recipe.workspace != DEFAULT_WORKSPACE else ()
