"""How much memory there is for samples; what PyTorch says when there is not enough, as sentences."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from pipeline.errors import AdaprepError

CGROUPS = Path("/sys/fs/cgroup")

LIMITS = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
"""Files of a container's limit and of what it uses, of cgroups 2 and 1."""

GIVEN_BACK = ("inactive_file", "total_inactive_file")
"""Lines of memory.stat, of cgroups 2 and 1: used memory that only caches files, and is free on demand."""

POOL = 4096
"""Items, one per image, that are shuffled together where samples come from disk; fewer in little memory."""

POOLS_HELD = 2
"""That which batches are drawn from, and the next, which is being read."""


def free_memory(cgroups: Path = CGROUPS, of_process: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that programs of this machine can still have, or fewer where a container may use less."""
    free = _of_machine()
    left = [_left(folder, *names) for folder in _groups(cgroups, of_process) for names in LIMITS]
    return min([free, *(size for size in left if size is not None)])


def _of_machine() -> int:
    """Of the whole machine; without psutil only what is not in use for files either."""
    try:
        import psutil
    except ImportError:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(psutil.virtual_memory().available)


def _groups(cgroups: Path, of_process: Path) -> list[Path]:
    """The folders whose limits hold for this process: its own group's and those above it."""
    roots = {cgroups, cgroups / "memory"}
    with suppress(OSError, ValueError):
        for line in of_process.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            root = cgroups / "memory" if controllers else cgroups
            if not controllers or "memory" in controllers.split(","):
                own = root / path.strip("/")
                roots |= {own, *(above for above in own.parents if above.is_relative_to(root))}
    return sorted(roots)


def _left(folder: Path, limit: str, used: str) -> int | None:
    with suppress(OSError, ValueError):  # "max": no limit
        taken = int((folder / used).read_text()) - _given_back(folder)
        return max(0, int((folder / limit).read_text()) - max(0, taken))
    return None


def _given_back(folder: Path) -> int:
    """Bytes of a group's files in memory that are not in use."""
    with suppress(OSError, ValueError):
        lines = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max((int(lines[name]) for name in GIVEN_BACK if name in lines), default=0)
    return 0


def fits(size: int, copies: int = 1, promised: int = 0) -> bool:
    """Whether so many copies of `size` bytes may be held: half of the free memory is for samples.

    Parameters
    ----------
    promised
        Bytes of that half that are for other samples, which have not been read yet.
    """
    return size * copies < free_memory() // 2 - promised


def pool_that_fits(item_bytes: int) -> int:
    """Items of a pool: `POOL`, or as many as half of the free memory takes."""
    return max(1, min(POOL, free_memory() // 2 // POOLS_HELD // max(item_bytes, 1)))


@contextmanager
def explained(batch_size: int, crops: int | None = None) -> Iterator[None]:
    """Turn what PyTorch says about memory, and about batches of one, into sentences.

    Parameters
    ----------
    batch_size
        That was asked for, of all processes.
    crops
        In this batch of one process, where that is known.

    Raises
    ------
    AdaprepError
        In place of its error.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _ran_out(batch_size) from error
    except (RuntimeError, ValueError) as error:
        if "allocate memory" in str(error) or "not enough memory" in str(error):
            raise _ran_out(batch_size) from error
        if "more than 1 value per channel" in str(error):
            if crops == 1 and batch_size > 1:
                raise AdaprepError(
                    f"batch normalisation needs more than one crop in a batch for this network, but one of "
                    f"this process has a single crop, though --batch-size is {batch_size}: the training "
                    f"split has too few images. Train on more, or choose another --architecture"
                ) from error
            raise AdaprepError(
                f"batch normalisation needs more than one crop in a batch for this network: "
                f"--batch-size is {batch_size}, give 2 or more for each process"
            ) from error
        raise


def _ran_out(batch_size: int) -> AdaprepError:
    if batch_size < 2:
        return AdaprepError("memory ran out at a batch of one crop: choose a lower --resolution")
    return AdaprepError(
        f"memory ran out at a batch of {batch_size} crops. Half of that may fit: "
        f"--batch-size {batch_size // 2} --overwrite"
    )
