"""Sorting more names than memory is to hold."""

from __future__ import annotations

import heapq
import pickle
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import IO

RUN = 200_000
"""Names that are sorted in memory; more of them wait in files, sorted part by part."""

PORTION = 2_000
"""Names that are read of such a file at once."""


def ordered(names: Iterable[str], run: int = RUN) -> Iterator[str]:
    """The names in order; of more than `run`, only some are in memory at a time.

    Parameters
    ----------
    names
        Any texts, however long; they are taken before the first is given.
    """
    source = iter(names)
    waiting: list[IO[bytes]] = []
    try:
        while True:
            part = sorted(islice(source, run))
            if len(part) < run:
                break
            waiting.append(_written(part))
        if waiting:
            yield from heapq.merge(part, *map(_read, waiting))
        else:
            yield from part
    finally:
        for file in waiting:
            file.close()


def _written(names: Sequence[str]) -> IO[bytes]:
    """A file of ours alone, without a name, that holds the names; read from its beginning."""
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # `ordered` closes it
    for start in range(0, len(names), PORTION):
        pickle.dump(names[start : start + PORTION], file, pickle.HIGHEST_PROTOCOL)
    file.seek(0)
    return file


def _read(file: IO[bytes]) -> Iterator[str]:
    while True:
        try:
            portion = pickle.load(file)
        except EOFError:
            return
        yield from portion
