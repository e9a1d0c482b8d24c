"""How much a command says, and the log file that it writes beside: `--quiet`, `--verbose`, `--log-file`."""

from __future__ import annotations

import logging
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import AdaprepError

LOG = logging.getLogger("adaprep")
LOG.setLevel(logging.DEBUG)
LOG.propagate = False
LOG.addHandler(logging.NullHandler())

FIRST_LINE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d adaprep ")
"""How every log of ours begins: nothing is appended to other files."""


@dataclass
class Verbosity:
    """Of the command that is running."""

    quiet: bool = False
    verbose: bool = False
    log_file: Path | None = None


CHOSEN = Verbosity()


@contextmanager
def talking(quiet: bool, verbose: bool, log_file: Path | None) -> Iterator[None]:
    """Say as much as was asked for while a command runs, and write all of it to a log file.

    Raises
    ------
    AdaprepError
        The log file cannot be written, or is no log of adaprep.
    """
    before = Verbosity(CHOSEN.quiet, CHOSEN.verbose, CHOSEN.log_file)
    handler = _opened(log_file) if log_file else None
    CHOSEN.quiet, CHOSEN.verbose, CHOSEN.log_file = quiet, verbose, log_file
    begun = time.monotonic()
    try:
        yield
    except SystemExit as end:
        LOG.info("ended with exit status %s", end.code)
        raise
    except BaseException as error:
        LOG.error("%s", error, exc_info=True)
        raise
    finally:
        LOG.info("ended after %.1f s", time.monotonic() - begun)
        CHOSEN.quiet, CHOSEN.verbose, CHOSEN.log_file = before.quiet, before.verbose, before.log_file
        if handler:
            LOG.removeHandler(handler)
            handler.close()


def _opened(path: Path) -> logging.Handler:
    try:
        if path.exists() and path.stat().st_size:
            with path.open("rb") as file:
                if not FIRST_LINE.match(file.read(100)):
                    raise AdaprepError(
                        f"--log-file {path}: that file is no log of adaprep, and is left as it is. "
                        f"Choose another name."
                    )
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise AdaprepError(
            f"--log-file {path}: cannot be written: {error.strerror or error}. Choose another."
        ) from error
    handler.setFormatter(_Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    LOG.addHandler(handler)
    return handler


class _Formatter(logging.Formatter):
    """What comes from elsewhere is escaped, and each line of a message gets its time."""

    def format(self, record: logging.LogRecord) -> str:
        from pipeline.names import printable

        text = printable(super().format(record))
        head = text[:20]
        return "\n".join([line if not n else head + line for n, line in enumerate(text.splitlines())])


def machine() -> str:
    """What runs: adaprep, Python, the system."""
    from pipeline.workspace.library import adaprep_version

    python = ".".join(map(str, sys.version_info[:3]))
    return f"adaprep {adaprep_version()}, Python {python}, {platform.platform(terse=True)}"
