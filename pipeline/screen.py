"""All that is printed, rich tables and progress lines aside: messages, JSON, and errors as sentences.

What comes from elsewhere (names of files and classes, texts of errors) reaches the terminal escaped.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from pipeline.errors import AdaprepError
from pipeline.log import CHOSEN, LOG
from pipeline.names import printable
from pipeline.workspace import disk

_ADVICE = {
    errno.ENOSPC: "The disk is full: make room, and run the same command again; what is finished is kept.",
    errno.EDQUOT: "Your quota is used up: make room, and run the same command again.",
    errno.EFBIG: "The file is larger than this disk allows.",
    errno.EACCES: "You may not do that there: choose another folder, or have its permissions changed.",
    errno.EPERM: "You may not do that there: choose another folder, or have its permissions changed.",
    errno.EROFS: "That disk can only be read: choose another folder.",
    errno.EMFILE: "Too many files are open: raise the limit with `ulimit -n 4096`, or use fewer threads.",
    errno.ENFILE: "Too many files are open on this machine: close some programs.",
    errno.ENAMETOOLONG: "The name is too long for this disk: choose a shorter one.",
    errno.ENOENT: "It is not there, or has vanished while it was used.",
    errno.ENOTDIR: "A part of the path is a file, not a folder.",
    errno.EISDIR: "That is a folder, not a file.",
    errno.ELOOP: "Links point in a circle there.",
    errno.EIO: "The disk reports a fault: look at its health, and copy what is on it.",
}


def prepare_streams() -> None:
    """Let no character that the terminal's encoding lacks end a command: it is printed as an escape."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # replaced by something simpler, or closed
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def say(text: str, err: bool = False, needed: bool = False) -> None:
    """Print a message.

    Parameters
    ----------
    err
        To standard error.
    needed
        Whether it was asked for or names a problem: `--quiet` hides all others.
    """
    LOG.info("%s", text)
    if needed or not CHOSEN.quiet:
        click.echo(printable(text), err=err)


def detail(text: str) -> None:
    """Say what only `--verbose` shows; it is in the log file always."""
    LOG.debug("%s", text)
    if CHOSEN.verbose:
        click.echo(printable(text), err=True)


def print_json(data: Any) -> None:
    """Print plain data as JSON that holds no control character and no NaN."""
    text = disk.json_text(data)
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "")
    if encoding not in ("utf8", "utf16", "utf32"):
        text = disk.json_text(data, ascii_only=True)
    click.echo(re.sub(r"[^\n -~]", _escaped, text))


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    return character if printable(character) == character else json.dumps(character)[1:-1]


def sentence(error: BaseException) -> str | None:
    """What an error that is nobody's mistake in the code means; None for all others."""
    if isinstance(error, OSError):
        what = error.strerror or str(error) or type(error).__name__
        place = f"{error.filename}: " if error.filename not in (None, "") else ""
        return f"{place}{what}. {_ADVICE.get(error.errno or 0, '')}".strip()
    if isinstance(error, MemoryError):
        return (
            "out of memory. Use fewer --threads or --workers, a smaller --block-size, or a machine with more "
            "memory; what is finished is kept."
        )
    if isinstance(error, RecursionError):
        return "something that was read is nested too deeply to be followed; what is finished is kept."
    return None


def show_origin(error: BaseException) -> None:
    """With `--verbose`: where in the code an error comes from."""
    if CHOSEN.verbose and isinstance(error, Exception) and not isinstance(error, click.ClickException):
        click.echo(printable("".join(traceback.format_exception(error))), err=True)


@contextmanager
def told_as_sentences() -> Iterator[None]:
    """Turn every error that a person can do something about into click's own, with its text escaped.

    With ADAPREP_TRACEBACK=1 errors stay as they are.

    Raises
    ------
    click.ClickException
        In place of AdaprepError, OSError, MemoryError and RecursionError. A pipe that nobody reads any more
        is left to click, which ends quietly.
    """
    try:
        yield
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc]
        raise
    except (AdaprepError, OSError, MemoryError, RecursionError) as error:
        text = str(error) if isinstance(error, AdaprepError) else sentence(error)
        if text is None or isinstance(error, BrokenPipeError) or os.environ.get("ADAPREP_TRACEBACK") == "1":
            raise
        raise click.ClickException(printable(text)) from error
