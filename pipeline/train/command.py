"""`adaprep train`: from boundaries and tensors to two fitted networks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.networks.factory import ARCHITECTURES, try_out, weights_of
from pipeline.networks.fields import is_count
from pipeline.progress import Listener, Silent
from pipeline.samplers.uniform import Uniform
from pipeline.stages.engine import Summary
from pipeline.train import class_weights, environment, losses, prepare
from pipeline.train.data import Augmentation
from pipeline.train.finetune import FinetunePart
from pipeline.train.fit import Task, Where, fit
from pipeline.train.memory import explained
from pipeline.train.parts import AuxiliaryPart, BasePart, NetworkPart
from pipeline.train.prepare import Sampling, Splits
from pipeline.train.processes import choose_device, started
from pipeline.train.settings import PROBABILITIES, Auxiliary, Precision, Request, Schedule
from pipeline.units import several
from pipeline.workspace import stores
from pipeline.workspace.runs import Result, Run, State

MAX_RATE = 1e30
"""What is larger overflows single precision in the first update."""

MAX_POOL = 2**31
"""Images; more are no number that was recorded."""

MakeTask = Callable[[bool | None], Task]


@dataclass
class Hooks:
    """How the command line hears of what happens; all silent by default, and in processes but the first."""

    listener: Callable[[], Listener] = Silent
    sampled: Callable[[Summary, Path], None] = lambda summary, path: None
    trained: Callable[[Result], None] = lambda result: None
    waiting: Callable[[str], None] = lambda message: None


@dataclass(frozen=True)
class PlannedRun:
    """What a dry run says of one network."""

    name: str
    path: Path
    state: State
    schedule: Schedule
    sampling: list[Sampling] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """A few lines for people."""
        what = {"new": "would train", "interrupted": "would go on with", "complete": "complete already:"}
        plan = self.schedule
        epochs = several(plan.epochs, "epoch")
        if plan.patience:
            epochs += f" and more until {several(plan.patience, 'validation')} gained nothing"
        rate = f"learning rate {plan.rate:g} falling to {plan.rate * plan.final_factor:g}"
        lines = [
            f"{what[self.state]} {self.path}",
            f"  {epochs}, {several(plan.batch_size, 'crop')} a step, {rate}",
        ]
        lines += [f"  {part.describe()}" for part in self.sampling if part.images]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


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
        bfloat16 = uses_bfloat16(request.precision, device)
        where = Where(device, processes, request.workers, request.save_every, bfloat16, request.eager)
        splits = prepare.open_splits(space, dataset, request.splits, root, request.whole_image)
        _check_patience(request, splits)
        heard = hooks if hooks and processes.first else Hooks()
        if (note := _try_out(request, splits)) is not None:
            heard.waiting(f"note: {note}")
        _weigh(request, splits, heard)
        ok = True
        for network in request.wanted:
            ok &= _train(_part(network, space, splits, request), request, where, heard)
    return ok


def plan(
    space: stores.Workspace, dataset: str | None, request: Request, root: Path | None = None
) -> list[PlannedRun]:
    """What `run` would do; nothing is written. Raises as `run`."""
    check(request)
    choose_device(request.device, environment.read().local)
    splits = prepare.open_splits(space, dataset, request.splits, root, request.whole_image)
    _check_patience(request, splits)
    note = _try_out(request, splits)
    notes = (note,) if note else ()
    _weigh(request, splits, Hooks())
    planned = []
    for network in request.wanted:
        part = _part(network, space, splits, request)
        if network == "base" and "auxiliary" in request.wanted and not part.ready():
            later = "samples with the auxiliary network, once that is trained"
            planned.append(PlannedRun(part.name, part.path, "new", part.schedule, notes=(later, *notes)))
            continue
        todo = prepare.plan(part.splits, part.needed())
        state: State = "new"
        if not any(sampling.images for sampling in todo):
            state = part.run().state(request.overwrite)
        about = notes if network == "base" else ()
        planned.append(PlannedRun(part.name, part.path, state, part.schedule, todo, about))
    return planned


def check(request: Request) -> None:
    """Refuse what can be refused before anything is read.

    Raises
    ------
    AdaprepError
        An augmentation that there is not, a resolution below 2, a rate that is no number, a checkpoint that
        is not used, a grid that the auxiliary network cannot predict.
    """
    known = Augmentation.__dataclass_fields__
    if unknown := sorted(set(request.augmentation) - set(known)):
        raise AdaprepError(f"no augmentation is called {unknown[0]!r}; there are: {', '.join(known)}")
    for name in PROBABILITIES:
        if (strength := request.augmentation.get(name, 0.0)) > 1:
            raise AdaprepError(f"--augment {name}={strength:g}: a probability is at most 1")
    (rows, columns), turned = request.auxiliary.grid, bool(request.augmentation.get("turn"))
    if turned and rows != columns and request.base.kind.role != Uniform.role:
        raise AdaprepError(f"--augment turn needs a square grid, and this one is {rows}x{columns}")
    if min(request.base.resolution, request.auxiliary.resolution) < 2:
        raise AdaprepError("the least resolution is 2")
    rates = (request.weight_decay, request.auxiliary.lam, request.base.lam, request.rate or 1.0)
    if not all(0 <= number <= MAX_RATE for number in rates) or request.rate == 0:
        raise AdaprepError(
            f"learning rate {request.rate}, weight decay {request.weight_decay} and lambda "
            f"{request.auxiliary.lam} must be numbers from 0 to {MAX_RATE:g}, the rate above 0"
        )
    small = request.auxiliary
    if "auxiliary" in request.wanted:
        losses.auxiliary(small.loss)
        if max(small.grid) > small.resolution:
            raise AdaprepError(
                f"an auxiliary network of resolution {small.resolution} cannot predict a grid of "
                f"{'x'.join(map(str, small.grid))}: give a smaller --grid, or --aux-resolution "
                f"{max(small.grid)} or more"
            )
    class_weights.parse(request.base.class_weights)
    _check_base(request)
    if request.finetune and request.wanted != ("auxiliary",):
        raise AdaprepError("--finetune trains an auxiliary network further: use it with --network auxiliary")
    if request.finetune and request.auxiliary != Auxiliary():
        raise AdaprepError(
            "--finetune takes the auxiliary network as it was trained: leave out --grid, --lambda and all "
            "options that begin with --aux-"
        )
    if request.checkpoint and (request.wanted != ("base",) or not request.base.kind.needs_network):
        raise AdaprepError(
            "--checkpoint names the auxiliary network to sample with: "
            "use it with --network base --sampler auxiliary"
        )


def _check_base(request: Request) -> None:
    """Refuse what a base network cannot be trained with."""
    chosen, zoom = request.base, request.augmentation.get("zoom", 0.0)
    losses.base(chosen.loss)
    if not 0 <= chosen.area_weight <= 1:
        raise AdaprepError(f"--area-weight {chosen.area_weight:g} must be a power from 0 to 1")
    if chosen.tensor_channels and chosen.architecture != "unet":
        raise AdaprepError(
            f"{printable(chosen.architecture)} takes images of 3 channels: --tensor-channels is for unet"
        )
    if zoom and request.wanted != ("base",):
        raise AdaprepError("--augment zoom is for base networks alone: train them with --network base")
    if zoom and (chosen.tensor_channels or chosen.area_weight):
        raise AdaprepError(
            "--augment zoom shows a part of the samples, whose tensor is no longer that of an image: leave "
            "out --tensor-channels and --area-weight, or zoom"
        )


def _check_patience(request: Request, splits: Splits) -> None:
    """Refuse to wait for validations that there are not."""
    if request.patience and splits.validation is None:
        folder = splits.train.folder
        raise AdaprepError(
            f"--patience counts validations, and beside {folder.title} no split {request.val_split!r} is in "
            f"the workspace to validate on: prepare it too, name another with --val-split, or leave "
            f"--patience out"
        )


def _try_out(request: Request, splits: Splits) -> str | None:
    """Refuse a base network that cannot be trained before anything is sampled or trained for it; a note."""
    chosen = request.base
    weights = weights_of(chosen.architecture, chosen.pretrained)
    if "base" not in request.wanted or (chosen.architecture in ARCHITECTURES and not weights):
        return None
    classes = len(splits.dataset.classes.names)
    with explained(2):
        return try_out(chosen.architecture, classes, chosen.resolution, **chosen.arguments, **weights)


def _weigh(request: Request, splits: Splits, hooks: Hooks) -> None:
    """Refuse class weights that cannot be before anything is sampled; name classes that have none."""
    if "base" not in request.wanted:
        return
    found = class_weights.weights(request.base.class_weights, splits.train.found, splits.train.folder.title)
    for name in class_weights.unseen(found, splits.dataset.classes) if found else ():
        hooks.waiting(
            f"class weights: no pixel of {printable(name)} is in the label maps of "
            f"{splits.train.folder.title}, so it has no weight"
        )


def _part(network: str, space: stores.Workspace, splits: Splits, request: Request) -> NetworkPart:
    if network == "auxiliary":
        central = splits.validated_centrally()
        if request.finetune:
            return FinetunePart.of(space, central, request)
        return AuxiliaryPart(space, central, request)
    return BasePart(space, splits, request)


def _train(part: NetworkPart, request: Request, where: Where, hooks: Hooks) -> bool:
    """Sample what is missing, then fit; whether every image could be used."""
    needed = part.needed()
    ok = True
    if where.processes.first:
        made = prepare.sample(part.splits, needed, hooks.listener, hooks.waiting)
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
    images, batch = len(part.splits.train.found), part.schedule.batch_size
    if images < batch:
        few = several(images, "image")
        hooks.waiting(f"{part.name}: {few} to train on, so a step takes so many, not {batch}")
    hooks.trained(_fit(part.task, part.schedule, run, state, where, hooks))
    return ok


def _fit(make: MakeTask, schedule: Schedule, run: Run, state: State, where: Where, hooks: Hooks) -> Result:
    first = where.processes.first
    with run.lock() if first else nullcontext():
        reading = _reading(run, where.processes.size) if state == "interrupted" else Reading()
        task = make(reading.in_memory)
        for data in task.datasets:
            data.settle(where.processes, reading.pool)
        if state == "new" and first:
            run.begin(_machine(task, where))
        where.processes.wait()
        try:
            return fit(task, schedule, run, where, hooks.listener() if first else None)
        except AdaprepError:
            if state == "new" and first:
                run.abandon()
            raise


@dataclass(frozen=True)
class Reading:
    """How a run reads its samples: their order depends on it, so it is decided once. None: not yet."""

    in_memory: bool | None = None
    pool: int | None = None  # images, where samples are read from disk


def _reading(run: Run, processes: int) -> Reading:
    """What was decided when an interrupted run was begun.

    Raises
    ------
    AdaprepError
        It reads from disk, in an order that is not to be had: that of an older version, or of another number
        of processes.
    """
    recorded = run.machine()
    in_memory, pool, before = (recorded.get(name) for name in ("in_memory", "pool", "processes"))
    if in_memory is not False or not run.last.exists():
        return Reading(in_memory if isinstance(in_memory, bool) else None)
    either = "Use --overwrite to start it again, or --tag WORD to keep both."
    if not is_count(pool, 1, MAX_POOL):
        raise AdaprepError(
            f"the run {run.path} was begun by an earlier version, which read samples from disk in another "
            f"order: it cannot go on to the weights it would have had. {either}"
        )
    if before != processes:
        raise AdaprepError(
            f"the run {run.path} was begun by {printable(str(before))} processes, and the order in which it "
            f"reads samples from disk depends on their number; now there are {processes}. Start as many "
            f"again. Or: {either}"
        )
    return Reading(False, pool)


def uses_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Whether forward passes run in bfloat16 on a device."""
    return precision == "bfloat16" or (precision == "auto" and device.type == "cuda")


def _machine(task: Task, where: Where) -> dict[str, Any]:
    device = where.device
    return {
        "in_memory": task.data.in_memory,
        "pool": task.data.pool,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processes": where.processes.size,
        "precision": "bfloat16" if where.bfloat16 else "float32",
    }
