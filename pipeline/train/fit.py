"""The training loop: both networks, one or several processes, exact to the step when it goes on.

Everything random in a step comes from (seed, epoch, step, rank), the order of an epoch from (seed, epoch),
the learning rate from the step. So weights, the optimiser's state and the position are all that a checkpoint
needs for the rest of a run to be the same, bit for bit, as that of a run that was never stopped.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.networks import checkpoint
from pipeline.networks.factory import ARCHITECTURES
from pipeline.networks.fields import is_count
from pipeline.progress import Listener, Silent
from pipeline.train import optimisers
from pipeline.train.batches import share_out, step_seed
from pipeline.train.data import Augmentation, Batch, StoreDataset, items_of
from pipeline.train.history import History
from pipeline.train.memory import explained
from pipeline.train.pools import loader
from pipeline.train.processes import Processes
from pipeline.train.settings import Schedule
from pipeline.train.steps import Eager, Recorded
from pipeline.train.validation import NotNumbersError
from pipeline.workspace.runs import Result, Run

LOOK_EVERY = 20
"""Steps after which losses are fetched from the device and looked at."""


class Task(Protocol):
    """What differs between the two networks."""

    @property
    def kind(self) -> str: ...
    @property
    def network(self) -> str: ...
    @property
    def higher_is_better(self) -> bool: ...
    @property
    def figures(self) -> tuple[str, ...]: ...  # names of the validation figures; the first decides

    arguments: dict[str, Any]  # of the network
    about: dict[str, Any]  # for the checkpoint
    data: StoreDataset

    @property
    def datasets(self) -> list[StoreDataset]: ...  # all that are read
    @property
    def recordable(self) -> bool: ...  # whether a step may be recorded as a CUDA graph

    def build(self) -> nn.Module: ...
    def drawn(self, batch: Batch, generator: torch.Generator) -> Batch: ...  # what is learned of it this time
    def loss(self, network: nn.Module, batch: Batch) -> Tensor: ...
    def validate(
        self, network: nn.Module, device: torch.device, processes: Processes
    ) -> Mapping[str, float]: ...


@dataclass
class Position:
    """How far a run is, and what it has found so far."""

    epoch: int = 0  # epochs done
    step: int = 0  # steps done of the next one
    loss: float = 0.0  # sum over those
    best: float = math.nan
    best_epoch: int = 0
    figures: dict[str, float] = field(default_factory=dict)  # of the best epoch
    seconds: float = 0.0


@dataclass(frozen=True)
class Where:
    """What a run does not depend on, other than in its speed and its rounding."""

    device: torch.device
    processes: Processes = field(default_factory=Processes)
    workers: int = 0  # threads that read samples
    save_every: int = 500  # steps
    bfloat16: bool = False  # in the forward pass; losses, weights and their updates stay in float32
    eager: bool = False  # on an NVIDIA GPU, too, start the kernels of a step one by one


def fit(task: Task, schedule: Schedule, run: Run, where: Where, listener: Listener | None = None) -> Result:
    """Fit a network from where its run's folder says, to the end.

    Parameters
    ----------
    task
        The network, its data, its loss.
    schedule
        Rates, epochs, batches, augmentation.
    run
        Its folder, begun. `last.pt` there is where to go on.
    where
        Device and processes.
    listener
        Hears of the progress; only in the first process.

    Returns
    -------
    Result
        Also written into the run's folder.

    Raises
    ------
    AdaprepError
        The loss is no longer a number, memory is short, the batch does not suit the data or the processes,
        or `last.pt` belongs to something else. What was saved before is kept.
    """
    return _Fit(task, schedule, run, where, listener or Silent()).run_all()


class _Fit:
    def __init__(self, task: Task, schedule: Schedule, run: Run, where: Where, listener: Listener) -> None:
        self.task, self.schedule, self.run, self.where = task, schedule, run, where
        self.processes, self.device = where.processes, where.device
        self.listener: Listener = listener if self.processes.first else Silent()
        self.augmentation = Augmentation(**schedule.augmentation)
        self.batches = share_out(task.data, schedule, self.processes)
        self.steps = len(self.batches) * schedule.epochs
        torch.manual_seed(schedule.seed)
        with explained(schedule.batch_size):
            self.network = channels_last(task.build().to(self.device))
        self.optimiser = optimisers.adam(self.network, schedule)
        self.position = Position()
        self.pending: list[Tensor] = []
        self.unsaved = 0  # steps since the last checkpoint
        self.validated = ""  # in words, the last validation
        self._resume()
        self.parallel = self._side_by_side()
        self.learn = self._learner()
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True

    def _side_by_side(self) -> nn.Module:
        """The network as all processes train it. One that is not ours may have layers without a gradient."""
        if self.processes.size == 1:
            return self.network
        foreign = self.task.network not in ("auxiliary", *ARCHITECTURES)
        warnings.filterwarnings("ignore", "find_unused_parameters=True was specified")
        optimisers.call_at_once(DistributedDataParallel._inside_ddp_forward)
        return DistributedDataParallel(self.network, find_unused_parameters=foreign)

    def _learner(self) -> Eager:
        """What makes a step: recorded where that is possible, and known to be."""
        alone = self.processes.size == 1 and self.device.type == "cuda" and not self.where.eager
        kind = Recorded if alone and self.task.recordable else Eager
        return kind(self.parallel, self.optimiser, self.task.loss, self.device, self.where.bfloat16)

    def run_all(self) -> Result:
        position, per_epoch = self.position, len(self.batches)
        done = position.epoch * per_epoch + position.step
        first = self.processes.first
        history = History(self.run.path, self.task.figures, position.epoch, done) if first else None
        loading = loader(self.task.data, self.batches, self.where.workers, self.device)
        self.listener.started(self.run.name, self._most * per_epoch, done)
        try:
            while not self._is_over(history):
                if (position.epoch, position.step) == (self.schedule.epochs, 0):
                    self._go_on_waiting()
                row = self._epoch(loading)
                if history:
                    history.add(row)  # before the checkpoint: going on drops rows that it has not
                if self.schedule.is_validated(position.epoch) or self.unsaved >= self.where.save_every:
                    self._save()
        finally:
            self.listener.finished()
            if history:
                history.close()
        return self._finish()

    def _is_over(self, history: History | None) -> bool:
        """Whether no epoch follows. Who is patient waits until validation no longer rises, too."""
        if not self.schedule.is_over(self.position.epoch, self.position.best_epoch):
            return False
        last = self.position.epoch >= self.schedule.most_epochs
        rising = history is not None and not last and history.rises()
        return not self.processes.total(np.array([int(rising)])).any()

    @property
    def _most(self) -> int:
        """Epochs that the run may have, as far as that is known."""
        planned = self.position.epoch < self.schedule.epochs
        return self.schedule.epochs if planned else self.schedule.most_epochs

    def _go_on_waiting(self) -> None:
        """The epochs that were planned are over, and validation may still rise."""
        self.listener.finished()
        self.listener.started(self.run.name, self._most * len(self.batches), self.steps)

    def _epoch(self, loading: Any) -> dict[str, float]:
        """One epoch, or the rest of one; its row of the history."""
        position, begun, images = self.position, time.perf_counter(), 0
        self.batches.epoch, self.batches.start = position.epoch, position.step
        self.parallel.train()
        for batch in loading:
            self._step(batch)
            images += items_of(batch) * self.processes.size
            if len(self.pending) == LOOK_EVERY:
                self._look(items_of(batch))
            if self.unsaved >= self.where.save_every:
                self._look(items_of(batch))
                self._save(time.perf_counter() - begun)
        self._look(images // max(position.step, 1))
        seconds = time.perf_counter() - begun
        position.epoch += 1
        loss = position.loss / len(self.batches)
        step = position.epoch * len(self.batches)
        rate = self.schedule.learning_rate(step - 1, self.steps)
        position.step, position.loss = 0, 0.0
        figures = self._validate(loss)
        position.seconds += time.perf_counter() - begun
        return {
            "epoch": position.epoch,
            "step": step,
            "rate": rate,
            "loss": loss,
            **{name: value for name, value in figures.items() if name in self.task.figures},
            "images_per_second": images / max(seconds, 1e-9),
            "seconds": position.seconds,
        }

    def _step(self, batch: Batch) -> None:
        position = self.position
        seed = step_seed(self.schedule.seed, position.epoch, position.step, self.processes.rank)
        torch.manual_seed(seed)
        generator = torch.Generator(self.device).manual_seed(seed)
        rate = self.schedule.learning_rate(position.epoch * len(self.batches) + position.step, self.steps)
        with explained(self.schedule.batch_size, items_of(batch)):
            there = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
            changed = self.augmentation(self.task.drawn(there, generator), generator)
            changed["image"] = changed["image"].contiguous(memory_format=torch.channels_last)
            self.pending.append(self.learn(changed, rate))
        position.step += 1
        self.unsaved += 1

    def _look(self, images: int) -> None:
        """Fetch the losses since the last look, all processes' together; stop where one is no number."""
        if not self.pending:
            return
        position = self.position
        losses = self.processes.mean(torch.stack(self.pending))
        first = position.step - len(losses)
        bad = np.flatnonzero(~np.isfinite(losses))
        if bad.size:
            self._stop(f"the loss became {losses[bad[0]]}", position.epoch, first + int(bad[0]))
        for loss in losses.tolist():  # one by one: the sum must not depend on where a run was interrupted
            position.loss += loss
        self.pending.clear()
        self.listener.advanced(len(losses), len(losses) * images, note=self._note())

    def _note(self) -> str:
        """Where the fit is, for the listener."""
        position = self.position
        loss = position.loss / position.step
        most = self._most if self._most == self.schedule.epochs else f"at most {self._most}"
        return f"epoch {position.epoch + 1} of {most}, loss {loss:.4f}{self.validated}"

    def _stop(self, what: str, epoch: int, step: int) -> NoReturn:
        """End the run, `epoch` epochs and `step` steps of the next one after its beginning."""
        rate = self.schedule.learning_rate(epoch * len(self.batches) + step, self.steps)
        kept = (
            f"The checkpoint before that is kept: {self.run.last}. "
            if self.run.last.exists()
            else "Nothing was saved before that. "
        )
        raise AdaprepError(
            f"{self.run.name}: {what} at epoch {epoch + 1}, step {step + 1}, learning rate {rate:.3g}. "
            f"{kept}Try a lower --learning-rate, with --overwrite."
        )

    def _validate(self, loss: float) -> dict[str, float]:
        """The figures of this epoch, if it is one to validate; keeps the weights if they are the best."""
        position = self.position
        if not self.schedule.is_validated(position.epoch):
            return {}
        self.processes.share(self.network)
        try:
            with explained(self.schedule.batch_size):
                figures = dict(self.task.validate(self.network, self.device, self.processes))
        except NotNumbersError as error:
            self._stop(str(error), position.epoch - 1, len(self.batches) - 1)
        if not math.isfinite(figures.get("validation_loss", 0.0)):
            what = f"the validation loss became {figures['validation_loss']}"
            self._stop(what, position.epoch - 1, len(self.batches) - 1)
        sign = 1 if figures and self.task.higher_is_better else -1
        figures = figures or {"training_loss": loss}
        name, figure = next(iter(figures.items()))
        self.validated = f", {name.replace('_', ' ')} {figure:.4f}"
        value = sign * next(iter(figures.values()))
        if position.best_epoch == 0 or value > position.best or math.isnan(position.best):
            position.best, position.best_epoch, position.figures = value, position.epoch, figures
            if self.processes.first:
                about = {"epoch": position.epoch, "figures": figures}
                self._write(self.run.best, about, {})
        return figures

    def _save(self, running: float = 0.0) -> None:
        """Write where to go on; `running` seconds are not in the position yet."""
        self.unsaved = 0
        if self.processes.first:
            position = asdict(self.position) | {"seconds": self.position.seconds + running}
            training = {"position": position, "optimiser": self.learn.state()}
            self._write(self.run.last, {"epoch": self.position.epoch}, training)

    def _write(self, path: Any, about: Mapping[str, Any], training: Mapping[str, Any]) -> None:
        state = self.network.state_dict()
        for name, value in state.items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                position = self.position
                what = f"the weights {name} are no numbers any more"
                self._stop(
                    what, position.epoch - (position.step == 0), (position.step or len(self.batches)) - 1
                )
        checkpoint.save(
            path,
            self.task.kind,  # type: ignore[arg-type]
            self.task.network,
            self.task.arguments,
            state,
            {**self.task.about, **about},
            training,
        )

    def _resume(self) -> None:
        """Take up `last.pt`, if there is one."""
        if not self.run.last.exists():
            return
        try:
            found = checkpoint.load(self.run.last, self.task.kind)  # type: ignore[arg-type]
        except AdaprepError as error:
            raise AdaprepError(
                f"the run {self.run.name} cannot go on: {error} Or start it again with --overwrite."
            ) from error
        found.expect(**{name: self.task.about[name] for name in ("dataset", "class_names")})
        found.expect(**self.task.arguments)
        if not found.training:
            raise AdaprepError(f"{self.run.last} is that of a finished run. Use --overwrite to start again.")
        try:
            self.network.load_state_dict(found.state)
            if "optimiser" in found.training:  # else all epochs are done, and it was being finished
                self.optimiser.load_state_dict(found.training["optimiser"])
            self.position = _position(
                found.training["position"], self.schedule.most_epochs, len(self.batches)
            )
        except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            said = printable(f"{type(error).__name__}: {error}")[:500]
            raise AdaprepError(
                f"the run {self.run.name} cannot go on: {self.run.last} does not hold what that needs "
                f"({said}). Start it again with --overwrite."
            ) from error

    def _finish(self) -> Result:
        position = self.position
        result = Result(
            self.run.name,
            self.run.path,
            position.epoch,
            position.best_epoch,
            position.figures,
            position.seconds,
        )
        if self.processes.first:
            self._write(self.run.last, {"epoch": position.epoch}, {"position": asdict(position)})
            self.run.finish(result, checkpoint.load(self.run.best).identity)
        return result


def _position(recorded: Mapping[str, Any], epochs: int, steps: int) -> Position:
    """What a checkpoint says of the position. Raises ValueError or TypeError if that cannot be."""
    found = Position(**recorded)
    counts = {"epoch": epochs, "step": steps, "best_epoch": epochs}
    for name, most in counts.items():
        if not is_count(getattr(found, name), 0, most):
            raise ValueError(f"{name} is {getattr(found, name)!r}, must be 0 to {most}")
    numbers = (found.loss, found.best, found.seconds, *found.figures.values())
    if not all(type(number) in (int, float) for number in numbers):
        raise ValueError("loss, best, seconds and figures must be numbers")
    return found


def channels_last(network: nn.Module) -> nn.Module:
    """Weights laid out as convolutions are quickest; on a CPU a step takes three quarters of the time."""
    laid_out: nn.Module = network.to(memory_format=torch.channels_last)
    return laid_out
