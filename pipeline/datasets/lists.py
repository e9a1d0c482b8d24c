"""Files that list other files, one line each."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pipeline.datasets.limits import read_limited, short
from pipeline.errors import AdaprepError
from pipeline.names import printable

MAX_BYTES = 128 * 2**20
"""Of a list: a million frames."""

UTF16 = (b"\xff\xfe", b"\xfe\xff")
BLANKS = " \t"


def read_lines(path: Path) -> list[tuple[int, str]]:
    r"""The lines of a list that say something, each with its number from 1.

    Lines end in a line feed, with or without a carriage return, and in nothing else: names may hold every
    other character that Unicode takes for the end of a line. Bytes that are not UTF-8 become what Python
    makes of them in names of files, so that such a name is found. Blanks around a line go.

    Raises
    ------
    AdaprepError
        The list cannot be read, is too large, is a text in UTF-16, or a line holds a NUL.
    """
    data = read_limited(path, MAX_BYTES, may_be_empty=True)
    if data.startswith(UTF16):
        raise AdaprepError(printable(f"{path}: not a text in UTF-8 (invalid start byte at byte 0)"))
    text = data.decode("utf-8-sig", "surrogateescape")
    lines = [(number, line.removesuffix("\r").strip(" ")) for number, line in enumerate(text.split("\n"), 1)]
    said = [(number, line) for number, line in lines if line.strip(BLANKS)]
    if "\0" in text:
        number, line = next((n, line) for n, line in lines if "\0" in line)
        raise line_error(path, number, f"holds a NUL, which no name of a file may hold, found {short(line)}")
    return said


def names_file(field: str) -> bool:
    """Whether a path ends in the name of a file: not empty, no folder's."""
    return not field.endswith("/") and PurePosixPath(field).name not in ("", "..")


def line_error(path: Path, number: int, problem: str) -> AdaprepError:
    """The error about one line of a list."""
    return AdaprepError(printable(f"{path}, line {number}: {problem}"))
