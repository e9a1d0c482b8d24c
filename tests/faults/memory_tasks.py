"""Tasks that take more memory than a worker has."""

from __future__ import annotations

import time

from pipeline.stages.engine import BlockResult


def do_or_fill_memory(start: int) -> BlockResult:
    """Do nothing, or, as the second block, take a gigabyte until the process is killed."""
    if start == 1:
        taken = []
        for _ in range(50):
            taken.append(bytearray(b"x" * (20 * 2**20)))
            time.sleep(0.05)
    return BlockResult(start, start + 1, (), start)
