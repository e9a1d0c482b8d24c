"""Label maps in text of any content: exactly what a naive reader finds, or a sentence with the row."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.text_ids import read_text_ids, text_size
from pipeline.errors import FileError
from tests.hostile.fuzz import damaged, only_sentences, rounds

WORDS = (
    b"0", b"7", b"255", b"256", b"65535", b"65536", b"-1", b"1.5", b"1e3", b"x", b"\0", b"\xff", b"\t", b"\r", b"\r\n",
    b"\n", b"\n\n", b" ", b"  ", b"\x0b", b"\x0c", b"9" * 400, b"0" * 400 + b"3", b"\xef\xbb\xbf", b"\xd9\xa3", b"1 " * 300,
)  # fmt: skip


def write(folder: Path, content: bytes) -> Path:
    path = folder / "a.txt"
    path.write_bytes(content)
    return path


def test_a_million_columns_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, b"1 " * 10**6 + b"\n" + b"1 " * 10**6 + b"\n")
    for read in (text_size, read_text_ids):
        with pytest.raises(FileError, match=r"a\.txt: 2 rows of 1000000 numbers; a side may have 65535"):
            read(path)


def test_a_file_whose_rows_end_early_costs_the_memory_of_what_it_holds(tmp_path: Path) -> None:
    path = write(tmp_path, b"1 " * 60_000 + b"\n" + b"1\n" * 60_000)
    start = time.process_time()
    with pytest.raises(
        FileError, match="60000 numbers and there are 60001 rows, more than the file can hold"
    ):
        text_size(path)
    with pytest.raises(FileError, match="row 1 has 1 numbers, the first row 60000: damaged or truncated"):
        read_text_ids(path)
    assert time.process_time() - start < 5


def test_as_many_rows_as_the_file_can_hold(tmp_path: Path) -> None:
    path = write(tmp_path, b"\n".join([b"1 2"] * 1000))
    assert text_size(path) == (1000, 2)
    assert read_text_ids(path).shape == (1000, 2)


def expected(content: bytes) -> np.ndarray | None:
    """By the definition: lines of blanks and digits, all of the same count."""
    if not content or not set(content) <= set(b"0123456789 \t\r\n"):
        return None
    rows = [line.split() for line in content.rstrip().split(b"\n")]
    if not rows[0] or len({len(row) for row in rows}) > 1:
        return None
    if any(len(word.lstrip(b"0")) > 5 for row in rows for word in row):
        return None
    ids = np.array([[int(word.lstrip(b"0") or b"0") for word in row] for row in rows])
    return None if ids.max() > 65535 else ids


def hostile(rng: random.Random) -> bytes:
    width = rng.randrange(1, 9)
    most = rng.choice((9, 255, 256, 65535, 65535, 70000))
    rows = [
        rng.choice((b" ", b"  ", b"\t")).join(b"%d" % rng.randrange(most + 1) for _ in range(width))
        for _ in range(rng.randrange(1, 9))
    ]
    sound = rng.choice((b"\n", b"\r\n", b" \n")).join(rows) + rng.choice((b"", b"\n", b"\n\n "))
    return sound if rng.random() < 0.3 else damaged(rng, sound, WORDS)


@rounds(500)
def test_fuzzed_label_maps(tmp_path: Path, numbers: range) -> None:
    path = tmp_path / "a.txt"
    taken = 0
    for number in numbers:
        content = hostile(random.Random(f"text {number}"))
        path.write_bytes(content)
        found = only_sentences(lambda: read_text_ids(path), (number, content))
        size = only_sentences(lambda: text_size(path), (number, content))
        wanted = expected(content)
        assert (found is None) == (wanted is None), (number, content)
        if found is not None:
            np.testing.assert_array_equal(found, wanted)
            assert size == found.shape
            taken += 1
    assert taken > len(numbers) // 10
