"""What PyTorch says when a batch does not fit, as sentences that say what to do."""

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


def free_memory(cgroups: Path = CGROUPS, of_process: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that this machine has free, or fewer where a container may use less."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    left = [_left(folder, *names) for folder in _groups(cgroups, of_process) for names in LIMITS]
    return min([free, *(size for size in left if size is not None)])


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
        return max(0, int((folder / limit).read_text()) - int((folder / used).read_text()))
    return None


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
