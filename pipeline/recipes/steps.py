"""The steps of a recipe: each is a command with its options, and knows what it needs to be done before it."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline import doors, settings
from pipeline.commands import (
    boundaries,
    check,
    demo,
    evaluate,
    report,
    solve_tensors,
    train,
    upper_bound,
)
from pipeline.commands.output import State
from pipeline.names import join_names
from pipeline.recipes.recipe import Bounds, Generate, Recipe
from pipeline.train.settings import Request


@dataclass(frozen=True)
class Step(ABC):
    """One step of a recipe."""

    recipe: Recipe

    stage: ClassVar[str]  # as --only and --from take it
    name: ClassVar[str]  # of its command

    @property
    @abstractmethod
    def title(self) -> str:
        """What is done to what; no two steps of a recipe have the same."""

    @property
    @abstractmethod
    def options(self) -> Any:
        """The command's options, of the class that the command's module names so."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Titles of the steps that come before it, where the recipe has them."""
        return ()

    def waits(self, states: Mapping[str, State]) -> bool:
        """Whether something that it needs is not done yet; `states` are those of the steps before it."""
        return any(states.get(title, "done") != "done" for title in self.needs)

    @property
    def command(self) -> str:
        """The command line."""
        return settings.command_line(self.name, self.options)

    def state(self) -> State:
        """What is there already, once what it needs is done: the command knows.

        Raises
        ------
        AdaprepError
            It was made otherwise than the recipe says, so that it cannot be resumed.
        """
        with doors.given(self.recipe.code):
            found: State = self._module.state(self.options)
        return found

    def run(self) -> bool:
        """Do it, or what is left of it; whether every file could be used."""
        with doors.given(self.recipe.code):
            return bool(self._module.run(self.options))

    @property
    def _module(self) -> Any:
        return importlib.import_module(f"pipeline.commands.{self.name.replace('-', '_')}")

    @property
    def _held(self) -> dict[str, Any]:
        """The data set in the workspace, and where that is."""
        return {"dataset": self.recipe.held_dataset, "workspace": self.recipe.workspace}

    @property
    def _data(self) -> settings.Data:
        """What opens the data set."""
        recipe = self.recipe
        return settings.Data(
            dataset=recipe.said_dataset,
            root=recipe.said_root,
            targets=join_names(recipe.said_targets) or None,
            settings=recipe.said_settings,
        )


@dataclass(frozen=True)
class GenerateScenes(Step):
    """Draw the scenes of the data set `demo`."""

    scenes: Generate

    stage = "generate"
    name = "demo"

    @property
    def title(self) -> str:
        return f"street scenes, {self.scenes.train} to train on, {self.scenes.val} to validate on"

    @property
    def options(self) -> demo.Options:
        usual = demo.Options().root
        root = self.recipe.said_root or usual
        return demo.Options(data_only=True, root=root, train=self.scenes.train, val=self.scenes.val)


@dataclass(frozen=True)
class SplitStep(Step):
    """A step that works on one split."""

    split: str

    @property
    def title(self) -> str:
        return f"{self.stage} {self.split}"


@dataclass(frozen=True)
class Check(SplitStep):
    """Look at the first files of a split before the long work on all of them begins."""

    stage = name = "check"

    @property
    def options(self) -> check.Options:
        recipe = self.recipe
        return check.Options(self._data, splits=(self.split,), limit=recipe.check, workspace=recipe.workspace)

    @property
    def needs(self) -> tuple[str, ...]:
        return _generated(self.recipe)

    def state(self) -> State:
        """Done where boundaries are there: it keeps nothing itself."""
        space = self.recipe.space
        return "done" if space.folder(self.recipe.dataset.name, self.split).boundaries.exists() else "to do"


@dataclass(frozen=True)
class Boundaries(SplitStep):
    """`adaprep boundaries` of a split."""

    stage = name = "boundaries"

    @property
    def options(self) -> boundaries.Options:
        recipe = self.recipe
        return boundaries.Options(
            self._data,
            splits=(self.split,),
            grid=recipe.grid,
            crops=recipe.crops,
            workspace=recipe.workspace,
        )

    @property
    def needs(self) -> tuple[str, ...]:
        return _generated(self.recipe)


@dataclass(frozen=True)
class SolveTensors(SplitStep):
    """`adaprep solve-tensors` of a split, for all lambdas of the recipe or for some."""

    lambdas: tuple[float, ...] = ()

    stage = name = "solve-tensors"

    @property
    def options(self) -> solve_tensors.Options:
        lambdas = self.lambdas or tuple(self.recipe.lambdas)
        return solve_tensors.Options(lambdas=lambdas, splits=(self.split,), **self._held)

    @property
    def needs(self) -> tuple[str, ...]:
        return (f"boundaries {self.split}",)


@dataclass(frozen=True)
class UpperBound(Step):
    """`adaprep upper-bound --save`; of a data set with settings as the workspace holds it."""

    bounds: Bounds

    stage = name = "upper-bound"

    @property
    def title(self) -> str:
        return f"upper-bound {self.bounds.split}"

    @property
    def options(self) -> upper_bound.Options:
        data, bounds = self._data, self.bounds
        held = settings.Held(self.recipe.dataset.door, splits=(bounds.split,))
        if not data.settings:
            held = settings.Held(data.dataset, data.root, data.targets, (bounds.split,))
        return upper_bound.Options(
            held,
            limit=bounds.limit,
            resolutions=bounds.resolutions,
            grids=bounds.grids,
            lambdas=bounds.lambdas,
            metrics=self.recipe.metrics,
            save=True,
            workspace=self.recipe.workspace,
        )

    @property
    def needs(self) -> tuple[str, ...]:
        return (f"boundaries {self.bounds.split}",)


@dataclass(frozen=True)
class Train(Step):
    """`adaprep train` of one network."""

    request: Request

    stage = name = "train"

    @property
    def title(self) -> str:
        return f"train {self.request.run_name(self.request.networks[0])}"

    @property
    def options(self) -> train.Options:
        return train.Options(self.request.minimal(), root=self.recipe.said_root, **self._held)

    @property
    def needs(self) -> tuple[str, ...]:
        prepared = [
            f"{stage} {split}" for stage in ("boundaries", "solve-tensors") for split in self.request.splits
        ]
        if self.request.networks == ("base",) and self.request.base.kind.needs_network:
            prepared.append(f"train {self.request.run_name('auxiliary')}")
        return tuple(prepared)

    def waits(self, states: Mapping[str, State]) -> bool:
        """As of any step, but of all tensors only those of its own lambdas need be there."""
        lambdas = tuple({self.request.auxiliary.lam, self.request.base.lam})
        mine = (SolveTensors(self.recipe, split, lambdas) for split in self.request.splits)
        solved: dict[str, State] = {
            step.title: "done"
            for step in mine
            if states.get(step.title) == "begun" and not step.waits(states) and step.state() == "done"
        }
        return super().waits({**states, **solved})


@dataclass(frozen=True)
class Evaluate(SplitStep):
    """`adaprep evaluate` of every base network in the workspace."""

    stage = name = "evaluate"

    @property
    def options(self) -> evaluate.Options:
        recipe = self.recipe
        held = settings.Held(recipe.held_dataset, recipe.said_root, None, (self.split,))
        return evaluate.Options(
            held=held,
            factories=recipe.factories,
            samplers=recipe.samplers,
            whole_image=recipe.whole_image,
            metrics=recipe.metrics,
            device=recipe.device,
            workspace=recipe.workspace,
        )

    @property
    def needs(self) -> tuple[str, ...]:
        requests = [request for request in self.recipe.trainings if request.networks == ("base",)]
        trained = [Train(self.recipe, request).title for request in requests]
        return (f"boundaries {self.split}", *trained)


@dataclass(frozen=True)
class WriteReport(SplitStep):
    """`adaprep report` on a split."""

    stage = name = "report"

    @property
    def options(self) -> report.Options:
        recipe = self.recipe
        return report.Options(
            root=recipe.said_root,
            split=self.split,
            factories=recipe.factories,
            samplers=recipe.samplers,
            device=recipe.device,
            **self._held,
        )

    @property
    def needs(self) -> tuple[str, ...]:
        measured = [f"evaluate {self.split}"] if self.split in self.recipe.evaluated else []
        trained = [Train(self.recipe, request).title for request in self.recipe.trainings]
        bounded = [f"upper-bound {self.recipe.bounds.split}"] if self.recipe.bounds else []
        return (f"boundaries {self.split}", *bounded, *trained, *measured)


def _generated(recipe: Recipe) -> tuple[str, ...]:
    return (GenerateScenes(recipe, recipe.generate).title,) if recipe.generate else ()
