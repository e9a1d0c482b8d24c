"""Faults of disks and networks that pass: they are tried again before they are told."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from pipeline.errors import AdaprepError

T = TypeVar("T")

CODES = frozenset(
    getattr(errno, name)
    for name in (
        "EIO", "ESTALE", "EAGAIN", "EINTR", "EBUSY", "ETIMEDOUT", "ENOLCK", "EREMOTEIO", "ENOBUFS",
        "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENETRESET", "ECONNRESET",
        "ECONNABORTED", "ECONNREFUSED", "EPIPE",
    )
    if hasattr(errno, name)
)  # fmt: skip

PAUSES = (0.1, 0.5, 1.0)
"""Seconds before each new try."""

VAIN = 20
"""Once so many faults in a row have not passed, nothing is waited for until something works again."""

_vain = 0


def tried(work: Callable[[], T]) -> T:
    """What `work` returns, tried again a few times where a fault may pass. Raises what the last raised."""
    global _vain
    for pause in PAUSES if _vain < VAIN else ():
        try:
            result = work()
        except (OSError, AdaprepError) as error:
            if not is_passing(error):
                raise
            time.sleep(pause)
        else:
            _vain = 0
            return result
    _vain += 1
    result = work()
    _vain = 0
    return result


def is_passing(error: BaseException) -> bool:
    """Whether an error was brought about by a fault that may pass."""
    fault = of_system(error)
    return fault is not None and fault.errno in CODES


def of_system(error: BaseException) -> OSError | None:
    """What the operating system said, where that is what brought an error about."""
    return next((e for e in _causes(error) if isinstance(e, OSError) and e.errno is not None), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what brought it about, each once: chains may lead back into themselves."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__
