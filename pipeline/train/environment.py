"""The place of this process among those that `torchrun` started. Needs no PyTorch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline import advice
from pipeline.errors import AdaprepError
from pipeline.names import printable

JOINING, UNEXPECTED = 300.0, 20.0
"""Seconds that a process waits for the others to join: those that `torchrun` has started, and those that
the environment alone names, which may be left over there. ADAPREP_PROCESSES_TIMEOUT changes both."""

STARTED = "TORCHELASTIC_RUN_ID"
"""Set by `torchrun` for the processes that it starts."""

MAX_PROCESSES = 1 << 16


@dataclass(frozen=True)
class ProcessPlace:
    """Which of the processes that train together this one is."""

    rank: int = 0
    size: int = 1
    local: int = 0  # which of those on its machine
    local_size: int = 1  # how many there are on its machine
    joining: float = JOINING  # seconds to wait for the others


def size(environment: Mapping[str, str] | None = None) -> int:
    """How many processes train together; 1 where WORLD_SIZE is not set or empty. Raises AdaprepError."""
    given = os.environ if environment is None else environment
    return _number(given, "WORLD_SIZE", 1, 1, MAX_PROCESSES, "")


def local_size(environment: Mapping[str, str] | None = None) -> int:
    """How many of them run on this machine; all, where LOCAL_WORLD_SIZE is not set. Raises AdaprepError."""
    given = os.environ if environment is None else environment
    count = size(given)
    return _number(given, "LOCAL_WORLD_SIZE", count, 1, count, "") if count > 1 else 1


def read(environment: Mapping[str, str] | None = None) -> ProcessPlace:
    """The place that WORLD_SIZE, RANK and so on name; alone where WORLD_SIZE is not set, empty, or 1.

    Raises
    ------
    AdaprepError
        They do not go together: says which, and what to do.
    """
    given = os.environ if environment is None else environment
    count = size(given)
    if count == 1:
        return ProcessPlace()
    start = (
        f"WORLD_SIZE={count} says that {count} processes train together. To train in this one alone: "
        f"unset WORLD_SIZE. To train in {count}: {advice.together(count, advice.again('train'))}"
    )
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        if not given.get(name, "").strip():
            raise AdaprepError(f"{name} is not set. {start}")
    rank = _number(given, "RANK", 0, 0, count - 1, start)
    _number(given, "MASTER_PORT", 0, 0, 65535, start)
    local = _number(given, "LOCAL_RANK", 0, 0, count - 1, start)
    usual = JOINING if given.get(STARTED) else UNEXPECTED
    seconds = _number(given, "ADAPREP_PROCESSES_TIMEOUT", int(usual), 1, 10**7, "Give seconds.")
    return ProcessPlace(rank, count, local, local_size(given), float(seconds))


def _number(given: Mapping[str, str], name: str, usual: int, least: int, most: int, advice: str) -> int:
    text = given.get(name, "").strip()
    if not text:
        return usual
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
        shown = printable(repr(text[:40]))
        raise AdaprepError(
            f"the environment variable {name} is {shown}, must be a number from {least} to {most}. "
            f"{advice or f'To train in this process alone: unset {name}.'}"
        )
    return int(text)
