"""`adaprep run`: the steps of a recipe one after the other, trainings side by side, or what they would be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from pipeline import advice
from pipeline.commands.output import State
from pipeline.errors import AdaprepError, SizeError
from pipeline.metrics import registry
from pipeline.networks import need_torch
from pipeline.recipes import side_by_side
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.steps import Boundaries, Check, Step
from pipeline.train import environment

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.networks.adapter import BaseNetwork

MAX_TRIED = 128
"""Pixels along a side of an image that a network is applied to before anything is done."""


@dataclass(frozen=True)
class PlannedStep:
    """What a dry run says of one step."""

    step: Step
    state: State

    def describe(self) -> str:
        """Two lines for people."""
        return f"{self.state:<6} {self.step.title}\n       {self.step.command}"


def plan(recipe: Recipe, chosen: Sequence[Step], every: Sequence[Step]) -> list[PlannedStep]:
    """The state of the chosen steps; nothing is written.

    A step is looked at only where all that it needs is done: until then it is to do.

    Parameters
    ----------
    every
        All steps of the recipe, in order.

    Raises
    ------
    AdaprepError
        A step cannot be gone on with as the recipe says: something there was made otherwise.
    """
    _check_machine(recipe, chosen)
    _check_metrics(recipe, chosen)
    states: dict[str, State] = {}
    for step in every:
        states[step.title] = "to do" if step.waits(states) else step.state()
    return [PlannedStep(step, states[step.title]) for step in chosen]


def run(recipe: Recipe, chosen: Sequence[Step], say: Callable[[str], None], jobs: int = 1) -> bool:
    """Do the chosen steps, in order; those that are done already are skipped.

    Parameters
    ----------
    say
        Told which step is next.
    jobs
        Networks that are trained at the same time, each in a process of its own.

    Returns
    -------
    bool
        Whether every file could be used. A step goes on without a file that could not.

    Raises
    ------
    AdaprepError
        A step cannot go on: says which, and how to go on with the recipe.
    """
    if _processes() > 1:
        _only_training(recipe, chosen)
        if jobs > 1:
            raise AdaprepError("--jobs starts processes by itself: leave it out under torchrun")
    _check_machine(recipe, chosen)
    _check_metrics(recipe, chosen)
    _check_frames(recipe, chosen)
    went_well = []
    numbered = [(f"{number}/{len(chosen)}", step) for number, step in enumerate(chosen, 1)]
    with _joined(recipe):
        for stage, group in groupby(numbered, key=lambda item: item[1].stage):
            steps = list(group)
            if stage == "train" and jobs > 1:
                went_well.append(_train(recipe, steps, say, jobs))
            else:
                went_well += [_do(recipe, number, step, say) for number, step in steps]
    return all(went_well)


def _train(recipe: Recipe, steps: Sequence[tuple[str, Step]], say: Callable[[str], None], jobs: int) -> bool:
    """Several trainings at a time; whether every file could be used. Raises as `run`."""
    from pipeline.train.processes import gpus

    with _going_on(f"{recipe.path}, training"):
        return side_by_side.run(steps, jobs, gpus(recipe.device), say)


def _do(recipe: Recipe, number: str, step: Step, say: Callable[[str], None]) -> bool:
    """One step, "1/7"; whether every file could be used. Raises as `run`."""
    say = say if _first() else _silent
    say(f"[{number}] {step.title}")
    with _going_on(f"{recipe.path}, step {number.replace('/', ' of ')}, {step.title}"):
        if _processes() == 1 and step.state() == "done":
            say("  done before")
            return True
        say(f"  {step.command}")
        return step.run()


@contextmanager
def _going_on(where: str) -> Iterator[None]:
    """Say of an error where it was met, and how to go on."""
    try:
        yield
    except AdaprepError as error:
        raise AdaprepError(
            f"{where}: {error}\n"
            f"What is finished is kept: fix this, then run the recipe again, and it goes on here."
        ) from error


@contextmanager
def _joined(recipe: Recipe) -> Iterator[None]:
    """All processes that `torchrun` started, for as long as there are steps."""
    if _processes() == 1:
        yield
        return
    from pipeline.train.processes import started

    with started(recipe.device):
        yield


def _check_frames(recipe: Recipe, chosen: Sequence[Step]) -> None:
    """Raise AdaprepError unless every split that is to be looked at has frames."""
    if recipe.generate:
        return
    for split in dict.fromkeys(s.split for s in chosen if isinstance(s, Check | Boundaries)):
        try:
            recipe.dataset.frames(split)
        except AdaprepError as error:
            raise AdaprepError(f"{recipe.path}, the split {split}: {error}") from error


def _check_machine(recipe: Recipe, chosen: Sequence[Step]) -> None:
    """Raise AdaprepError unless networks can be trained here, where that is asked for."""
    if recipe.trainings and any(step.stage in ("train", "evaluate", "report") for step in chosen):
        need_torch()
        from pipeline.train.processes import choose_device

        choose_device(recipe.device, environment.read().local)
        _check_networks(recipe)


def _check_metrics(recipe: Recipe, chosen: Sequence[Step]) -> None:
    """Raise AdaprepError where a metric of the user's own is asked for that cannot be measured."""
    if any(step.stage in ("upper-bound", "evaluate") for step in chosen):
        try:
            registry.opened(recipe.metrics, recipe.dataset.classes)
        except AdaprepError as error:
            raise AdaprepError(f"{recipe.path}, metrics: {error}") from error


def _check_networks(recipe: Recipe) -> None:
    import torch

    from pipeline.networks.factory import build, weights_of

    bases = [r.base for r in recipe.trainings if r.networks == ("base",)]
    classes = len(recipe.dataset.classes.names)
    for name, weights in dict.fromkeys((base.architecture, base.pretrained) for base in bases):
        own = weights_of(name, weights)
        device = torch.device("cpu" if own or ":" in name else "meta")
        sizes = sorted({b.resolution for b in bases if (b.architecture, b.pretrained) == (name, weights)})
        try:
            with device:
                network = build(name, classes, probe=min(sizes[0], MAX_TRIED), **own).eval()
        except SizeError as error:
            raise AdaprepError(f"{recipe.path}, base.resolutions: {error.known}") from error
        except AdaprepError as error:
            raise AdaprepError(f"{recipe.path}, base.architecture: {error}") from error
        for size in sizes:
            _try(recipe, network, name, torch.zeros(1, 3, size, size, device=device))


def _try(recipe: Recipe, network: BaseNetwork, name: str, image: Tensor) -> None:
    """Apply a network to an image of the resolution that it is to be trained at; large ones only by shape."""
    from pipeline.networks.adapter import settle

    size = image.shape[-1]
    if not image.is_meta and size > MAX_TRIED:
        return
    try:
        settle(name, network, image)
    except SizeError as error:
        raise AdaprepError(f"{recipe.path}, base.resolutions: {error.known}") from error


def _only_training(recipe: Recipe, chosen: Sequence[Step]) -> None:
    """Processes that `torchrun` started can only train together. Raises AdaprepError for anything else."""
    stages = list(dict.fromkeys(step.stage for step in chosen))
    if stages == ["train"]:
        return
    before = stages[: stages.index("train")] if "train" in stages else stages
    training = advice.again("run", path=recipe.path, only=("train",), first=None)
    raise AdaprepError(
        f"several processes together can only train, and the first step is {chosen[0].title}. Run:\n"
        f"  {advice.again('run', path=recipe.path, only=tuple(before), first=None)}\n"
        f"  {advice.together(_processes(), training)}\n"
        f"  {advice.again('run', path=recipe.path, only=(), first=None)}"
    )


def _processes() -> int:
    return environment.size()


def _first() -> bool:
    return os.environ.get("RANK", "0").strip() in ("", "0")


def _silent(_: str) -> None:
    """Say nothing."""
