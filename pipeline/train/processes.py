"""The device, and the processes that `torchrun` started, if it did."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from pipeline.errors import AdaprepError

PATIENCE = timedelta(days=14)
"""How long processes wait while the first one samples images."""


@dataclass(frozen=True)
class Processes:
    """The place of this process among those that train together."""

    rank: int = 0
    size: int = 1

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
        return np.asarray(self.total(values.double().cpu().numpy()) / self.size)


@contextmanager
def started(device: str) -> Iterator[tuple[Processes, torch.device]]:
    """Join the other processes, if `torchrun` started several, and choose the device.

    They can be joined only once: for several things one after the other, in a block around all of them.

    Parameters
    ----------
    device
        "auto", "cpu" or "cuda".

    Raises
    ------
    AdaprepError
        There is no GPU, or there are fewer than processes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = choose_device(device, local)
    if size == 1:
        yield Processes(), chosen
        return
    if distributed.is_initialized():  # whoever joined them first lets them go
        yield Processes(distributed.get_rank(), size), chosen
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(distributed.get_rank(), size), chosen
    finally:
        distributed.destroy_process_group()


def gpus(name: str) -> list[str]:
    """The GPUs that the device "auto", "cpu" or "cuda" may use, as in CUDA_VISIBLE_DEVICES."""
    if name == "cpu":
        return []
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    listed = [part.strip() for part in (chosen or "").split(",") if part.strip()]
    count = torch.cuda.device_count()
    return listed[:count] if listed else [str(number) for number in range(count)]


def choose_device(name: str, local: int = 0) -> torch.device:
    """The device that "auto", "cpu" or "cuda" means for the process with this number on its machine.

    Raises
    ------
    AdaprepError
        As `started`.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise AdaprepError(
            f"--device cuda: PyTorch {torch.__version__} ({built}) sees no GPU here. "
            f"Use --device cpu, or see whether nvidia-smi lists one."
        )
    if local >= torch.cuda.device_count():
        raise AdaprepError(
            f"process {local + 1} of this machine has no GPU of its own: there are "
            f"{torch.cuda.device_count()}. Start as many processes: torchrun --nproc-per-node "
            f"{torch.cuda.device_count()} -m adaprep train ..."
        )
    return torch.device("cuda", local)
