"""The device, and the processes that `torchrun` started, if it did."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.distributed.rendezvous import rendezvous

from pipeline import advice
from pipeline.errors import AdaprepError
from pipeline.train import environment
from pipeline.train.environment import ProcessPlace

PATIENCE = timedelta(days=14)
"""How long processes wait while the first one samples images."""

QUIET = 1.0
"""Seconds after which a process says that it waits for the others to join."""


@dataclass(frozen=True)
class Processes:
    """The place of this process among those that train together."""

    rank: int = 0
    size: int = 1
    local_size: int = 1  # on this machine, where they share the memory
    local: int = 0  # which of those on this machine

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all have come here."""
        self.total(np.zeros(1, np.int64))

    def total(self, values: NDArray[np.int64 | np.float64]) -> NDArray[np.int64 | np.float64]:
        """The sum of everyone's array, for everyone."""
        if self.size == 1:
            return values
        summed = torch.from_numpy(values.copy())
        distributed.all_reduce(summed)
        return np.asarray(summed.numpy())

    def share(self, network: nn.Module) -> None:
        """Give everyone the first process's buffers: running means differ a little after a step."""
        if self.size > 1:
            for buffer in network.buffers():
                distributed.broadcast(buffer, 0)

    def mean(self, values: Tensor) -> NDArray[np.float64]:
        """The mean of everyone's tensor, on the CPU."""
        return np.asarray(self.total(values.cpu().double().numpy()) / self.size)


@contextmanager
def started(device: str) -> Iterator[tuple[Processes, torch.device]]:
    """Join the other processes, if `torchrun` started several, and choose the device.

    They can be joined only once: for several things one after the other, in a block around all of them.

    Parameters
    ----------
    device
        As in `pipeline.settings.DEVICES`.

    Raises
    ------
    AdaprepError
        There is no GPU, or there are fewer than processes; the environment names processes that cannot be,
        or that do not come.
    """
    place = environment.read()
    chosen = choose_device(device, place.local)
    if place.size == 1:
        yield Processes(), chosen
        return
    joined = Processes(place.rank, place.size, place.local_size, place.local)
    if distributed.is_initialized():  # whoever joined them first lets them go
        yield joined, chosen
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    _join(place, "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield joined, chosen
    finally:
        distributed.destroy_process_group()


def _join(place: ProcessPlace, backend: str) -> None:
    """Wait for the other processes, for minutes at most; once joined they wait for each other for long."""
    where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    about = f"process {place.rank + 1} of {place.size} (WORLD_SIZE={place.size}, RANK={place.rank})"
    waiting = threading.Timer(
        QUIET,
        lambda: print(
            f"waiting for the other processes at {where}: this is {about}; gives up after "
            f"{place.joining:.0f} s (ADAPREP_PROCESSES_TIMEOUT)",
            file=sys.stderr,
            flush=True,
        ),
    )
    waiting.daemon = True
    waiting.start()
    try:
        patience = timedelta(seconds=place.joining)
        store, rank, size = next(rendezvous("env://", place.rank, place.size, timeout=patience))
        store.set_timeout(patience)
        store.set(f"adaprep/{rank}", "here")
        store.wait([f"adaprep/{other}" for other in range(size)], patience)
        store.set_timeout(PATIENCE)
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    except (RuntimeError, ValueError, OSError) as error:
        said = str(error).splitlines()[0][:200]
        raise AdaprepError(
            f"the other processes did not come to {where} within {place.joining:.0f} s, or cannot be "
            f"reached: this is {about}. To train in this process alone: unset WORLD_SIZE. To train in "
            f"{place.size}: {advice.together(place.size, advice.again('train'))}   ({said})"
        ) from error
    finally:
        waiting.cancel()


def gpus(name: str) -> list[str]:
    """The GPUs that a device may use, as in CUDA_VISIBLE_DEVICES; none where that is no GPU, or mps."""
    if name in ("cpu", "mps"):
        return []
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    listed = [part.strip() for part in (chosen or "").split(",") if part.strip()]
    count = torch.cuda.device_count()
    every = listed[:count] if listed else [str(number) for number in range(count)]
    number = _number_of(name)
    return every if number is None else every[number : number + 1]


def choose_device(name: str, local: int = 0) -> torch.device:
    """The device that is meant for the process with this number on its machine.

    Parameters
    ----------
    name
        As in `pipeline.settings.DEVICES`: "auto" is a GPU if PyTorch sees one, and the CPU otherwise.

    Raises
    ------
    AdaprepError
        As `started`.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if name == "mps":
        return _apple(local)
    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise AdaprepError(
            f"--device {name}: PyTorch {torch.__version__} ({built}) sees no GPU here. "
            f"Use --device cpu, or see whether nvidia-smi lists one."
        )
    count, number = torch.cuda.device_count(), _number_of(name)
    if number is not None and local:
        raise AdaprepError(f"--device {name}: several processes take a GPU each. Give --device cuda.")
    if number is not None and number >= count:
        there = "there is only cuda:0" if count == 1 else f"there are cuda:0 to cuda:{count - 1}"
        raise AdaprepError(f"--device {name}: there is no such GPU here; {there}.")
    if local >= count:
        raise AdaprepError(
            f"process {local + 1} of this machine has no GPU of its own: there are "
            f"{count}. Start as many processes: {advice.together(count, advice.again('train'))}"
        )
    return torch.device("cuda", local if number is None else number)


def _number_of(name: str) -> int | None:
    """The number of a GPU that is named by it."""
    _, colon, number = name.partition(":")
    return int(number) if colon else None


def _apple(local: int) -> torch.device:
    """The GPU of a Mac. Raises AdaprepError where there is none, or several processes would share it."""
    if not torch.backends.mps.is_available():
        raise AdaprepError(
            f"--device mps: PyTorch {torch.__version__} sees no Apple GPU here. Use --device cpu, or cuda."
        )
    if local:
        raise AdaprepError("--device mps: several processes cannot share it. Train in one, or on the CPU.")
    return torch.device("mps")
