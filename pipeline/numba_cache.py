"""Where compiled functions are kept between runs: where Numba keeps them, or else a folder of our own.

Numba keeps them beside the modules, or in the user's cache folder, and refuses to work where neither can be
written: an installation that only root may change, with a home folder that is read-only or full.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"


def prepare() -> None:
    """Name a temporary folder in NUMBA_CACHE_DIR where Numba's own places cannot be written."""
    if os.environ.get(VARIABLE) or any(map(_writable, _places())):
        return
    os.environ[VARIABLE] = str(_own_folder())
    if "numba" in sys.modules:  # it has read the variable already
        sys.modules["numba"].config.CACHE_DIR = os.environ[VARIABLE]


def _places() -> Iterable[Path]:
    """Where Numba tries, in its order."""
    yield Path(__file__).parent / "geometry" / "__pycache__"
    try:
        home = Path.home()
    except RuntimeError:
        return
    yield Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "numba"


def _writable(folder: Path) -> bool:
    there = next((p for p in (folder, *folder.absolute().parents) if os.path.lexists(p)), Path("/"))
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _own_folder() -> Path:
    """A folder for temporary files that is ours alone: code is loaded from it."""
    folder = Path(tempfile.gettempdir()) / f"adaprep-numba-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        about = os.lstat(folder)
        mine = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o077
    except OSError:
        mine = False
    return folder if mine else Path(tempfile.mkdtemp(prefix="adaprep-numba-"))
