"""The steps of a recipe: what each needs, whether it is done, and the stage that does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pipeline import results, stores
from pipeline.datasets.base import Dataset
from pipeline.errors import AdaprepError
from pipeline.recipes import commands
from pipeline.recipes.schema import Bounds, Generate, Recipe
from pipeline.stages import boundaries, engine, tensors, upper_bound
from pipeline.stages import check as checking
from pipeline.stages.plan import Plan
from pipeline.train.settings import Request

if TYPE_CHECKING:
    from pipeline.train import progress
    from pipeline.train.evaluations import Evaluations
    from pipeline.train.runs import Result

State = Literal["to do", "begun", "done"]


def _nothing(*_: Any) -> None:
    """Hear and say nothing."""


@dataclass
class Hooks:
    """How the command line hears of what happens; all silent by default."""

    say: Callable[[str], None] = _nothing
    listener: Callable[[], engine.Listener] = engine.Silent
    fitting: Callable[[], progress.Listener] | None = None
    summary: Callable[[engine.Summary, Path], None] = _nothing
    checked: Callable[[checking.Report], None] = _nothing
    bounded: Callable[[upper_bound.Report], None] = _nothing
    trained: Callable[[Result], None] = _nothing
    evaluated: Callable[[Evaluations], None] = _nothing


@dataclass(frozen=True)
class Step(ABC):
    """One step of a recipe."""

    recipe: Recipe

    stage: ClassVar[str]  # as --only and --from take it

    @property
    @abstractmethod
    def title(self) -> str:
        """What is done to what; no two steps of a recipe have the same."""

    @property
    @abstractmethod
    def command(self) -> str:
        """The command line that does the same."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Titles of the steps that come before it, where the recipe has them."""
        return ()

    @abstractmethod
    def state(self) -> State:
        """What is there already, once what it needs is done.

        Raises
        ------
        AdaprepError
            It was made otherwise than the recipe says, so that it cannot be gone on with.
        """

    @abstractmethod
    def run(self, hooks: Hooks) -> bool:
        """Do it, or what is left of it; whether every file could be used."""

    @property
    def space(self) -> stores.Workspace:
        return stores.Workspace(self.recipe.workspace)

    @property
    def dataset(self) -> Dataset:
        return self.recipe.dataset


@dataclass(frozen=True)
class GenerateScenes(Step):
    """Draw the scenes of the data set `demo`."""

    scenes: Generate

    stage = "generate"

    @property
    def title(self) -> str:
        return f"street scenes, {self.scenes.train} to train on, {self.scenes.val} to validate on"

    @property
    def command(self) -> str:
        return commands.generate(self.recipe)

    def state(self) -> State:
        try:
            counts = [len(self.dataset.frames(split)) for split in ("train", "val")]
        except AdaprepError:
            return "to do"
        return "done" if counts == [self.scenes.train, self.scenes.val] else "to do"

    def run(self, hooks: Hooks) -> bool:
        from pipeline.stages import demo

        demo.generate(self.dataset.root, self.scenes.train, self.scenes.val, hooks.say)
        return True


@dataclass(frozen=True)
class SplitStep(Step):
    """A step that works on one split."""

    split: str

    @property
    def title(self) -> str:
        return f"{self.stage} {self.split}"

    @property
    def folder(self) -> stores.SplitFolder:
        return self.space.folder(self.dataset.name, self.split)


@dataclass(frozen=True)
class Check(SplitStep):
    """Look at the first files of a split before the long work on all of them begins."""

    stage = "check"

    @property
    def command(self) -> str:
        return commands.check(self.recipe, self.split)

    @property
    def needs(self) -> tuple[str, ...]:
        return _generated(self.recipe)

    def state(self) -> State:
        return "done" if self.folder.boundaries.exists() else "to do"

    def run(self, hooks: Hooks) -> bool:
        report = checking.run(self.dataset, self.split, self.recipe.check, listener=hooks.listener())
        hooks.checked(report)
        return report.ok


@dataclass(frozen=True)
class Boundaries(SplitStep):
    """`adaprep boundaries`."""

    stage = "boundaries"

    @property
    def command(self) -> str:
        return commands.boundaries(self.recipe, self.split)

    @property
    def needs(self) -> tuple[str, ...]:
        return _generated(self.recipe)

    @property
    def options(self) -> boundaries.Options:
        return boundaries.Options(self.recipe.grid, self.recipe.crops)

    def state(self) -> State:
        _, todo = boundaries.prepare(self.folder, self.dataset, self.split, self.options)
        return _of_plan(todo.images, todo.action)

    def run(self, hooks: Hooks) -> bool:
        found, todo = boundaries.prepare(self.folder, self.dataset, self.split, self.options)
        summary = boundaries.run(self.folder, found, todo, engine.Scheduler(), hooks.listener())
        hooks.summary(summary, self.folder.boundaries)
        return summary.ok


@dataclass(frozen=True)
class SolveTensors(SplitStep):
    """`adaprep solve-tensors`."""

    stage = "solve-tensors"

    @property
    def command(self) -> str:
        return commands.solve_tensors(self.recipe, self.split)

    @property
    def needs(self) -> tuple[str, ...]:
        return (f"boundaries {self.split}",)

    def _plans(self) -> list[Plan]:
        """One for every lambda."""
        options = [tensors.Options(lam, self.recipe.grid) for lam in self.recipe.lambdas]
        return [tensors.plan(self.folder, chosen) for chosen in options]

    def state(self) -> State:
        states = {_of_plan(todo.images, todo.action) for todo in self._plans()}
        return states.pop() if len(states) == 1 else "begun"

    def run(self, hooks: Hooks) -> bool:
        ok = True
        for todo in self._plans():
            summary = tensors.run(self.folder, todo, engine.Scheduler(), hooks.listener())
            hooks.summary(summary, todo.path)
            ok &= summary.ok
        return ok


@dataclass(frozen=True)
class UpperBound(Step):
    """`adaprep upper-bound --save`."""

    bounds: Bounds

    stage = "upper-bound"

    @property
    def title(self) -> str:
        return f"upper-bound {self.bounds.split}"

    @property
    def command(self) -> str:
        return commands.upper_bound(self.recipe, self.bounds)

    @property
    def needs(self) -> tuple[str, ...]:
        return (f"boundaries {self.bounds.split}",)

    @cached_property
    def wanted(self) -> list[upper_bound.Setting]:
        return upper_bound.settings(self.bounds.resolutions, self.bounds.grids, self.bounds.lambdas)

    def state(self) -> State:
        kept = results.upper_bound(self.space, self.dataset.name, self.bounds.split)
        if kept is None or kept["failures"]:
            return "to do"
        names = [self.dataset.classes.names[t] for t in self.dataset.classes.targets]
        there = {(row["resolution"], row["sampler"]) for row in kept["settings"]}
        same = kept["targets"] == names and kept["images"] == len(self._frames())
        return "done" if same and {(s.resolution, s.sampler) for s in self.wanted} <= there else "to do"

    def run(self, hooks: Hooks) -> bool:
        split = self.bounds.split
        report = upper_bound.run(self.dataset, split, self._frames(), self.wanted, listener=hooks.listener())
        results.write(results.upper_bound_path(self.space, self.dataset.name, split), report.as_dict())
        hooks.bounded(report)
        return report.ok

    def _frames(self) -> list[Any]:
        return self.dataset.frames(self.bounds.split)[: self.bounds.limit]


@dataclass(frozen=True)
class Train(Step):
    """`adaprep train` of one network."""

    request: Request

    stage = "train"

    @property
    def title(self) -> str:
        return f"train {self.request.run_name(self.request.networks[0])}"

    @property
    def command(self) -> str:
        return commands.train(self.recipe, self.request)

    @property
    def needs(self) -> tuple[str, ...]:
        prepared = [
            f"{stage} {split}" for stage in ("boundaries", "solve-tensors") for split in self.request.splits
        ]
        if self.request.networks == ("base",) and self.request.base.sampler == "auxiliary":
            prepared.append(f"train {self.request.run_name('auxiliary')}")
        return tuple(prepared)

    def state(self) -> State:
        from pipeline.train import command

        planned = command.plan(self.space, self.dataset.name, self.request, self._root)[0]
        states: dict[str, State] = {"new": "to do", "interrupted": "begun", "complete": "done"}
        return states[planned.state]

    def run(self, hooks: Hooks) -> bool:
        from pipeline.train import command, progress

        heard = command.Hooks(
            hooks.listener, hooks.fitting or progress.Silent, hooks.summary, hooks.trained, hooks.say
        )
        return command.run(self.space, self.dataset.name, self.request, heard, self._root)

    @property
    def _root(self) -> Path | None:
        return self.dataset.root


@dataclass(frozen=True)
class Evaluate(SplitStep):
    """`adaprep evaluate` of every base network in the workspace."""

    stage = "evaluate"

    @property
    def command(self) -> str:
        return commands.evaluate(self.recipe, self.split)

    @property
    def needs(self) -> tuple[str, ...]:
        trained = [Train(self.recipe, request).title for request in self._requests]
        return (f"boundaries {self.split}", *trained)

    def state(self) -> State:
        runs = results.runs_folder(self.space, self.dataset.name)
        return "done" if all(self._newer(runs / r.run_name("base")) for r in self._requests) else "to do"

    def run(self, hooks: Hooks) -> bool:
        from pipeline.train import evaluations
        from pipeline.train.processes import choose_device

        device = choose_device(self.recipe.device)
        name, root = self.dataset.name, self.dataset.root
        factories, listener = commands.factories(self.recipe), hooks.listener()
        found = evaluations.run_all(
            self.space, name, self.split, device, root, listener=listener, factories=factories
        )
        hooks.evaluated(found)
        return found.ok

    @property
    def _requests(self) -> list[Request]:
        return [request for request in self.recipe.trainings if request.networks == ("base",)]

    def _newer(self, run: Path) -> bool:
        """Whether the evaluation of a run, which is over, is newer than its weights."""
        kept = results.evaluation_path(run, self.split)
        return kept.exists() and kept.stat().st_mtime >= (run / "best.pt").stat().st_mtime


@dataclass(frozen=True)
class WriteReport(SplitStep):
    """`adaprep report`."""

    stage = "report"

    @property
    def command(self) -> str:
        return commands.report(self.recipe, self.split)

    @property
    def needs(self) -> tuple[str, ...]:
        measured = [f"evaluate {self.split}"] if self.split in self.recipe.evaluated else []
        trained = [Train(self.recipe, request).title for request in self.recipe.trainings]
        bounded = [f"upper-bound {self.recipe.bounds.split}"] if self.recipe.bounds else []
        return (f"boundaries {self.split}", *bounded, *trained, *measured)

    def state(self) -> State:
        """Done once it is newer than all figures there are."""
        runs = results.runs_folder(self.space, self.dataset.name)
        shown = [*runs.glob("*/result.json"), *runs.glob(f"*/{results.evaluation_path(Path(), self.split)}")]
        shown.append(results.upper_bound_path(self.space, self.dataset.name, self.split))
        newest = max((path.stat().st_mtime for path in shown if path.exists()), default=0.0)
        from pipeline.report import page

        path = page.default_folder(self.space, self.dataset.name, self.split) / "index.html"
        return "done" if path.exists() and path.stat().st_mtime >= newest else "to do"

    def run(self, hooks: Hooks) -> bool:
        from pipeline.report import page

        name, root = self.dataset.name, self.dataset.root
        data, frames = page.shown(self.space, name, self.split, root)
        examples = None
        if self.recipe.trainings:
            from pipeline.train import examples as stage
            from pipeline.train.processes import choose_device

            device, factories = choose_device(self.recipe.device), commands.factories(self.recipe)
            examples = stage.predict(self.space, data, frames, device, factories, hooks.say)
        hooks.say(f"report: {page.write(self.space, name, self.split, None, examples, root)}")
        return True


def _generated(recipe: Recipe) -> tuple[str, ...]:
    return (GenerateScenes(recipe, recipe.generate).title,) if recipe.generate else ()


def _of_plan(images: int, action: str) -> State:
    if not images:
        return "done"
    return "to do" if action == "create" else "begun"
