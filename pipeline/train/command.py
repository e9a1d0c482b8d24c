"""`adaprep train`: from boundaries and tensors to two fitted networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from pipeline import stores
from pipeline.errors import AdaprepError
from pipeline.stages import engine
from pipeline.stages.engine import Summary
from pipeline.stages.outputs import Output, Sampled
from pipeline.train import checkpoint, prepare, progress, settings
from pipeline.train.auxiliary import AuxiliaryTask
from pipeline.train.base import BaseTask
from pipeline.train.data import Augmentation
from pipeline.train.fit import Task, Where, fit
from pipeline.train.prepare import Sampling, Splits
from pipeline.train.processes import Processes, started
from pipeline.train.runs import Result, Run, State
from pipeline.train.settings import Request, Schedule

MakeTask = Callable[[bool | None], Task]


@dataclass
class Hooks:
    """How the command line hears of what happens; all silent by default, and in processes but the first."""

    sampling: Callable[[], engine.Listener] = engine.Silent
    fitting: Callable[[], progress.Listener] = progress.Silent
    sampled: Callable[[Summary, Path], None] = lambda summary, path: None
    trained: Callable[[Result], None] = lambda result: None


@dataclass(frozen=True)
class Planned:
    """What a dry run says of one network."""

    name: str
    path: Path
    state: State
    schedule: Schedule
    sampling: list[Sampling] = field(default_factory=list)
    note: str = ""

    def describe(self) -> str:
        """A few lines for people."""
        what = {"new": "would train", "interrupted": "would go on with", "complete": "complete already:"}
        plan = self.schedule
        lines = [
            f"{what[self.state]} {self.path}",
            f"  {plan.epochs} epochs, {plan.batch_size} crops a step, learning rate {plan.rate:g} "
            f"falling to {plan.rate * plan.final_factor:g}",
        ]
        lines += [f"  {part.describe()}" for part in self.sampling if part.images]
        return "\n".join([*lines, f"  {self.note}"] if self.note else lines)


def run(
    space: stores.Workspace,
    dataset: str | None,
    request: Request,
    hooks: Hooks | None = None,
    root: Path | None = None,
) -> bool:
    """Train what the request names; whether every image could be used.

    Raises
    ------
    AdaprepError
        An earlier stage is missing, a run of this name was made otherwise, the device is not there, or a
        fit cannot go on (see `pipeline.train.fit.fit`).
    """
    check(request)
    with started(request.device) as (processes, device):
        where = Where(device, processes, request.workers, request.save_every)
        splits = prepare.open_splits(space, dataset, request.splits, root)
        heard = hooks if hooks and processes.first else Hooks()
        ok = True
        for network in request.networks:
            trainer = _Auxiliary if network == "auxiliary" else _Base
            ok &= _train(trainer(space, splits, request), splits, request, where, heard)
    return ok


def plan(
    space: stores.Workspace, dataset: str | None, request: Request, root: Path | None = None
) -> list[Planned]:
    """What `run` would do; nothing is written. Raises as `run`."""
    check(request)
    splits = prepare.open_splits(space, dataset, request.splits, root)
    planned = []
    for network in request.networks:
        part = _Auxiliary(space, splits, request) if network == "auxiliary" else _Base(space, splits, request)
        if network == "base" and "auxiliary" in request.networks and not part.ready():
            note = "samples with the auxiliary network, once that is trained"
            planned.append(Planned(part.name, part.path, "new", part.schedule, note=note))
            continue
        todo = prepare.plan(splits, part.outputs())
        state: State = "new"
        if not any(sampling.images for sampling in todo):
            state = part.run().state(request.overwrite)
        planned.append(Planned(part.name, part.path, state, part.schedule, todo))
    return planned


def check(request: Request) -> None:
    """Refuse what can be refused before anything is read.

    Raises
    ------
    AdaprepError
        An augmentation that there is not, a resolution below 2, a checkpoint that is not used.
    """
    known = Augmentation.__dataclass_fields__
    if unknown := sorted(set(request.augmentation) - set(known)):
        raise AdaprepError(f"no augmentation is called {unknown[0]!r}; there are: {', '.join(known)}")
    if min(request.base.resolution, request.auxiliary.resolution) < 2:
        raise AdaprepError("the least resolution is 2")
    if request.checkpoint and (request.networks != ("base",) or request.base.sampler != "auxiliary"):
        raise AdaprepError(
            "--checkpoint names the auxiliary network to sample with: "
            "use it with --network base --sampler auxiliary"
        )


@dataclass
class _Part(ABC):
    """One of the two networks: what it reads, where its run lies, how its task is made."""

    space: stores.Workspace
    splits: Splits
    request: Request

    network = ""

    @property
    def name(self) -> str:
        return self.request.run_name(self.network)

    @property
    def path(self) -> Path:
        return self.folder(self.name)

    @property
    def schedule(self) -> Schedule:
        images = len(self.splits.train.found)
        return self.request.schedule(self.splits.dataset.name, images, self.resolution)

    @property
    @abstractmethod
    def resolution(self) -> int:
        """Of what the network is shown."""

    def folder(self, name: str) -> Path:
        return self.space.path / self.splits.train.folder.dataset / "runs" / name

    @abstractmethod
    def outputs(self) -> list[Output]:
        """What has to be sampled. Raises AdaprepError when an earlier stage is missing."""

    @abstractmethod
    def data(self) -> dict[str, Path]:
        """The stores that are read, by name."""

    @abstractmethod
    def own_settings(self) -> dict[str, Any]:
        """What shapes the weights beside schedule and data set."""

    @abstractmethod
    def task(self, in_memory: bool | None) -> Task:
        """What the loop needs; `in_memory` as for `StoreDataset`."""

    def ready(self) -> bool:
        """Whether all that it samples with is there."""
        return True

    def run(self) -> Run:
        """Its run; the stores that it reads are complete."""
        schedule = settings.plain(self.schedule, augmentation=_strengths(self.request.augmentation))
        data = {f"data_{name}": prepare.fingerprint(path) for name, path in self.data().items()}
        own = {**self.own_settings(), **self.splits.about()}
        return Run(self.path, {"network": self.network, **schedule, **own, **data})


class _Auxiliary(_Part):
    network = "auxiliary"

    @property
    def resolution(self) -> int:
        return self.request.auxiliary.resolution

    def outputs(self) -> list[Output]:
        chosen = self.request.auxiliary
        prepare.check_proposals(self.splits, chosen.grid, chosen.lam)
        return prepare.auxiliary_outputs(chosen)

    def data(self) -> dict[str, Path]:
        return {
            f"{kind}_{split.folder.split}": path
            for split in self.splits.all
            for kind, path in zip(("images", "tensors"), self._pair(split), strict=True)
        }

    def _pair(self, split: prepare.Split) -> tuple[Path, Path]:
        chosen = self.request.auxiliary
        small = split.store(prepare.auxiliary_outputs(chosen)[0])
        return small, split.folder.tensors(chosen.grid, chosen.lam)

    def own_settings(self) -> dict[str, Any]:
        chosen = settings.plain(self.request.auxiliary)
        return {"lambda": chosen.pop("lam"), **chosen}

    def task(self, in_memory: bool | None) -> Task:
        held = self.splits.validation
        pair = self._pair(held) if held else None
        about = self.splits.about()
        return AuxiliaryTask(self.request.auxiliary, self._pair(self.splits.train), pair, about, in_memory)


class _Base(_Part):
    network = "base"

    @property
    def resolution(self) -> int:
        return self.request.base.resolution

    @property
    def auxiliary(self) -> Path:
        """Weights of the network that samples."""
        named = self.request.checkpoint
        return named or self.folder(self.request.run_name("auxiliary")) / "best.pt"

    def ready(self) -> bool:
        if self.request.base.sampler != "auxiliary" or self.request.checkpoint:
            return True
        return (self.auxiliary.parent / "result.json").exists()

    @cached_property
    def output(self) -> Sampled:
        """What is sampled. Raises AdaprepError when the auxiliary network that it needs is not there."""
        if self.request.base.sampler != "auxiliary":
            return prepare.base_output(self.request.base)
        if not self.ready():
            options = f"--aux-resolution {self.request.auxiliary.resolution} --seed {self.request.seed}"
            raise AdaprepError(
                f"no auxiliary network has been trained in {self.auxiliary.parent}. "
                f"Run: adaprep train --network auxiliary {options}   or give --checkpoint FILE"
            )
        about = self.splits.about()
        found = checkpoint.load(self.auxiliary, "auxiliary")
        found.expect(dataset=about["dataset"], class_names=about["class_names"], targets=about["targets"])
        return prepare.base_output(self.request.base, self.auxiliary)

    def outputs(self) -> list[Output]:
        return [self.output]

    def data(self) -> dict[str, Path]:
        return {f"samples_{split.folder.split}": split.store(self.output) for split in self.splits.all}

    def own_settings(self) -> dict[str, Any]:
        chosen = settings.plain(self.request.base)
        return {**{name: value for name, value in chosen.items() if name != "lam"}, **self._sampling()}

    def _sampling(self) -> dict[str, Any]:
        """What the samples were made with, whatever the request says of other samplers."""
        output = self.output
        return {
            "grid": list(output.grid) if output.sampler != "uniform" else None,
            "lambda": output.lam,
            "auxiliary": output.predictor.identity if output.predictor else None,
        }

    def task(self, in_memory: bool | None) -> Task:
        output, held = self.output, self.splits.validation
        return BaseTask(
            self.request.base,
            len(self.splits.dataset.classes.names),
            self.splits.train.store(output),
            (held.store(output), held.found) if held else None,
            {**self.splits.about(), **self._sampling()},
            in_memory,
        )


def _train(part: _Part, splits: Splits, request: Request, where: Where, hooks: Hooks) -> bool:
    """Sample what is missing, then fit; whether every image could be used."""
    outputs = part.outputs()
    ok = True
    if where.processes.first:
        made = prepare.sample(splits, outputs, hooks.sampling)
        for summary, path in made.summaries:
            hooks.sampled(summary, path)
        ok = made.ok
    where.processes.wait()
    run = part.run()
    state = run.state(request.overwrite)
    where.processes.wait()  # the first one changes the folder that all have looked at
    if state == "complete":
        hooks.trained(run.result())
        return ok
    hooks.trained(_fit(part.task, part.schedule, run, state, where, hooks))
    return ok


def _fit(make: MakeTask, schedule: Schedule, run: Run, state: State, where: Where, hooks: Hooks) -> Result:
    if not where.processes.first:
        where.processes.wait()
        return fit(make(_in_memory(run)), schedule, run, where)
    with run.lock():
        task = make(_in_memory(run) if state == "interrupted" else None)
        if state == "new":
            run.begin(_machine(task, where.device, where.processes))
        where.processes.wait()
        return fit(task, schedule, run, where, hooks.fitting())


def _in_memory(run: Run) -> bool | None:
    """Whether the run reads from memory: its order depends on it, so the choice is made once."""
    recorded = run.machine().get("in_memory")
    return recorded if isinstance(recorded, bool) else None


def _machine(task: Task, device: torch.device, processes: Processes) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {"in_memory": task.data.in_memory, "device": name, "processes": processes.size}


def _strengths(chosen: Mapping[str, float]) -> dict[str, float]:
    """All of an augmentation's numbers, the defaults among them."""
    made = Augmentation(**chosen)
    return {name: float(getattr(made, name)) for name in Augmentation.__dataclass_fields__}
