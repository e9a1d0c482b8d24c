"""Arrays in memory that the processes of one machine have in common."""

from __future__ import annotations

import math
import mmap
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.train.processes import Processes

ALIGNED = 64
"""Bytes; each array begins at a multiple of it."""


@dataclass(frozen=True)
class Spec:
    """Shape and type of one array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def possible() -> bool:
    """Whether this system has memory that other processes can open: Linux does."""
    return sys.platform == "linux"


def arrays(specs: Mapping[str, Spec], processes: Processes) -> dict[str, NDArray[Any]] | None:
    """Arrays of zeros that all processes of each machine have in common; all must call this together.

    Returns
    -------
    dict
        None, in every process, where that cannot be, or where a process is alone on its machine.
    """
    told = processes.total(_row(processes, [processes.local_size, 0, 0]))
    if not possible() or int(told[:, 0].max()) == 1:
        return None
    size = max(1, sum(_room(spec) for spec in specs.values()))
    token = secrets.randbits(48)
    memory = _allocated(token, size) if processes.local == 0 else None
    told = processes.total(_row(processes, [os.getpid(), -1 if memory is None else memory, token]))
    if processes.local:
        memory = _opened(*map(int, told[processes.rank - processes.local]))
    failures = processes.total(np.array([memory is None], np.int64))
    mapped = mmap.mmap(memory, size) if memory is not None and failures[0] == 0 else None
    processes.wait()  # until all have opened it
    if memory is not None:
        os.close(memory)
    return None if mapped is None else _laid_out(specs, mapped)


def _row(processes: Processes, values: list[int]) -> NDArray[np.int64]:
    """What this process says, in a table of all."""
    table = np.zeros((processes.size, len(values)), np.int64)
    table[processes.rank] = values
    return table


def _room(spec: Spec) -> int:
    return -(-spec.nbytes // ALIGNED) * ALIGNED


def _laid_out(specs: Mapping[str, Spec], mapped: mmap.mmap) -> dict[str, NDArray[Any]]:
    found, offset = {}, 0
    for name, spec in specs.items():
        found[name] = np.frombuffer(mapped, spec.dtype, math.prod(spec.shape), offset).reshape(spec.shape)
        offset += _room(spec)
    return found


def _name(token: int) -> str:
    return f"adaprep-{token}"


def _allocated(token: int, size: int) -> int | None:
    """A file in memory without a path, all of it allocated, or None."""
    try:
        memory = os.memfd_create(_name(token))
    except (OSError, AttributeError):
        return None
    try:
        os.posix_fallocate(memory, 0, size)
        return memory
    except OSError:
        os.close(memory)
        return None


def _opened(process: int, number: int, token: int) -> int | None:
    """That of another process, or None: one of a container of its own has other processes of that number."""
    path = f"/proc/{process}/fd/{number}"
    try:
        if _name(token) not in os.readlink(path):
            return None
        return os.open(path, os.O_RDWR)
    except OSError:
        return None
