"""What PyTorch says when a batch does not fit, as sentences that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.errors import AdaprepError


@contextmanager
def explained(batch_size: int) -> Iterator[None]:
    """Turn what PyTorch says about memory, and about batches of one, into sentences.

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
