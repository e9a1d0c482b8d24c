"""Names that become part of a path, and names from elsewhere as they are shown: one place for both."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterable

from pipeline.errors import AdaprepError

MAX_BYTES = 100
"""Of one name in UTF-8: a run's name holds several, and file systems allow 255 bytes."""

RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
ALLOWED = re.compile(r"\w[\w.+=@-]*")
UNSAFE = re.compile(r"[^\w.+=@-]+")

NEEDS_QUOTES = re.compile(r'[",\r\n]|^\s|\s$')

KEPT = frozenset("\n\t")


def lambda_name(lam: float) -> str:
    """1.0 -> "1", 0.1 -> "0.1": as in file names and on the command line."""
    return repr(float(lam)).removesuffix(".0")


def check_component(what: str, name: str, max_bytes: int = MAX_BYTES) -> str:
    """`name` if it can safely be one folder or file name everywhere; `what` says whose name it is.

    Letters and digits of any script, and ``. _ - + = @``, not first; no separators, no ``..``, no name that a
    file system forbids.

    Parameters
    ----------
    what
        For the message: "tag", "name of a split".
    max_bytes
        Of the name in UTF-8.

    Raises
    ------
    AdaprepError
        It cannot: says which characters are allowed.
    """
    if problem := _problem(name, max_bytes):
        raise AdaprepError(
            f"the {what} {printable(repr(name))} cannot be used: {problem}. "
            f"It names a folder: use letters, digits, '.', '_', '-', '+', '=' and '@'."
        )
    return name


def _problem(name: str, max_bytes: int = MAX_BYTES) -> str:
    if not name:
        return "it is empty"
    if bad := next((c for c in name if not re.fullmatch(r"[\w.+=@-]", c)), None):
        return f"it holds {printable(repr(bad))}"
    if not ALLOWED.fullmatch(name):
        return f"it begins with {name[0]!r}"
    if name.endswith("."):
        return "it ends in a full stop"
    if RESERVED.fullmatch(name):
        return "Windows reserves this name"
    if len(name.encode()) > max_bytes:
        return f"it is longer than {max_bytes} bytes"
    return ""


def join_names(names: Iterable[str]) -> str:
    """Names of classes as ``--targets`` takes them: with commas, and quoted where they hold one."""
    return ",".join(_quoted(name) if NEEDS_QUOTES.search(name) else name for name in names)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def split_names(text: str) -> list[str]:
    """The names that `join_names` joined; space around a comma counts for nothing."""
    rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    return [name for row in rows for name in row if name.strip()]


def safe_component(text: str) -> str:
    """A file name made of any text, such as a class's name; two texts never give the same."""
    if not _problem(text):
        return text
    plain = UNSAFE.sub("-", text).strip(".-_+=@").encode()[:60].decode(errors="ignore")
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain}-{mark}" if plain else mark


def printable(text: str) -> str:
    r"""Text for a terminal, a log or a message: what could move the cursor or turn the line is escaped.

    Control and format characters (escape sequences, bidi overrides, line separators) and what is not Unicode
    become ``\x1b``, ``\u202e``; line feeds and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in KEPT or _harmless(c) else _escaped(c) for c in text)


def one_line(text: str) -> str:
    r"""As `printable`, and line feeds and tabs are escaped too: a name cannot look like a line of ours."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _harmless(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
