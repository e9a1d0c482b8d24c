"""`adaprep run`: the steps of a recipe one after the other, or what they would be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import AdaprepError
from pipeline.recipes.schema import Recipe
from pipeline.recipes.steps import Hooks, State, Step
from pipeline.train.settings import need_torch


@dataclass(frozen=True)
class Planned:
    """What a dry run says of one step."""

    step: Step
    state: State

    def describe(self) -> str:
        """Two lines for people."""
        return f"{self.state:<6} {self.step.title}\n       {self.step.command}"


def plan(recipe: Recipe, chosen: Sequence[Step], every: Sequence[Step]) -> list[Planned]:
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
    states: dict[str, State] = {}
    for step in every:
        waits = any(states.get(title, "done") != "done" for title in step.needs)
        states[step.title] = "to do" if waits else step.state()
    return [Planned(step, states[step.title]) for step in chosen]


def run(recipe: Recipe, chosen: Sequence[Step], hooks: Hooks) -> bool:
    """Do the chosen steps, in order; those that are done already are skipped.

    Returns
    -------
    bool
        Whether every file could be used. A step goes on without a file that could not.

    Raises
    ------
    AdaprepError
        A step cannot go on: says which, and how to go on with the recipe.
    """
    together = _processes() > 1
    if together:
        _only_training(recipe, chosen)
    _check_machine(recipe, chosen)
    ok = True
    for number, step in enumerate(chosen, 1):
        say = hooks.say if _first() else _silent
        say(f"[{number}/{len(chosen)}] {step.title}")
        try:
            if not together and step.state() == "done":
                say("  done before")
                continue
            say(f"  {step.command}")
            ok &= step.run(hooks)
        except AdaprepError as error:
            raise AdaprepError(
                f"{recipe.path}, step {number} of {len(chosen)}, {step.title}: {error}\n"
                f"What is finished is kept: mend this, then run the recipe again, and it goes on here."
            ) from error
    return ok


def _check_machine(recipe: Recipe, chosen: Sequence[Step]) -> None:
    """Raise AdaprepError unless networks can be trained here, where that is asked for."""
    if any(step.stage in ("train", "evaluate") for step in chosen):
        need_torch()
        from pipeline.train.processes import choose_device

        choose_device(recipe.device, int(os.environ.get("LOCAL_RANK", "0")))
        _check_networks(recipe)


def _check_networks(recipe: Recipe) -> None:
    import torch

    from pipeline.train.networks.factory import build

    for name in dict.fromkeys(r.base.architecture for r in recipe.trainings if r.networks == ("base",)):
        try:
            with torch.device("cpu" if ":" in name else "meta"):
                build(name, len(recipe.dataset.classes.names))
        except AdaprepError as error:
            raise AdaprepError(f"{recipe.path}, base.architecture: {error}") from error


def _only_training(recipe: Recipe, chosen: Sequence[Step]) -> None:
    """Processes that `torchrun` started can only train together. Raises AdaprepError for anything else."""
    if other := [step.stage for step in chosen if step.stage != "train"]:
        raise AdaprepError(
            f"several processes together can only train, and the first step is {other[0]}. "
            f"Run: adaprep run {recipe.path} up to the training without torchrun, then "
            f"torchrun ... -m cli run {recipe.path} --only train, then adaprep run {recipe.path}"
        )


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _silent(_: str) -> None:
    """Say nothing."""
