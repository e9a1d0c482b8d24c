"""What the fuzzers of text readers share: how many inputs, how they are damaged, what may come of them."""

from __future__ import annotations

import random
import time
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from pipeline.errors import AdaprepError

PIECES, PIECE = 10, 10_000
SECONDS = 10.0
"""That one input may take on a busy machine."""

MAX_MESSAGE = 20_000


def rounds(few: int) -> pytest.MarkDecorator:
    """Parametrise `numbers`: the seeds of a few inputs, or with `-m fuzz` of 100,000 in pieces of 10,000."""
    pieces = [
        pytest.param(range(i * PIECE, (i + 1) * PIECE), marks=pytest.mark.fuzz, id=f"fuzz{i}")
        for i in range(PIECES)
    ]
    return pytest.mark.parametrize("numbers", [pytest.param(range(few), id="few"), *pieces])


def only_sentences(call: Callable[[], Any], shown: Any) -> Any:
    """What `call` returns; None where it raises an AdaprepError that a terminal can show."""
    start = time.process_time()
    try:
        result = call()
    except AdaprepError as error:
        message = str(error)
        assert message, shown
        assert len(message) < MAX_MESSAGE, (shown, len(message))
        bad = {c for c in message if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n", "\t"}
        assert not bad, (shown, message)
        result = None
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error} for {shown!r}") from error
    assert time.process_time() - start < SECONDS, shown
    return result


def damaged(rng: random.Random, data: bytes, words: Sequence[bytes]) -> bytes:
    """Bytes with a few changes: flipped, cut, repeated, moved, or with a word put in."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(changed) + 1)
        end = min(len(changed), at + rng.choice((1, 2, 5, 20, 100)))
        match rng.randrange(7):
            case 0:
                changed[at:end] = b""
            case 1:
                changed[at:at] = changed[at:end] * rng.choice((1, 1, 2, 50))
            case 2:
                changed[at:at] = rng.choice(words)
            case 3:
                changed[at:end] = rng.choice(words)
            case 4:
                changed[at:at] = rng.randbytes(rng.choice((1, 2, 4)))
            case 5:
                with suppress(IndexError):
                    changed[at] ^= 1 << rng.randrange(8)
            case _:
                del changed[at if rng.random() < 0.2 else len(changed) :]
    return bytes(changed)
