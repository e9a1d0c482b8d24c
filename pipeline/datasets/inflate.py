"""What PNGs are inflated and checked with: zlib-ng where it is installed, twice as fast, else Python's zlib.

Both give the same bytes, and errors at the same damage.
"""

from __future__ import annotations

import importlib
import zlib
from types import ModuleType


def _found() -> ModuleType:
    try:
        return importlib.import_module("zlib_ng.zlib_ng")
    except ImportError:
        return zlib


library = _found()
"""A module like Python's `zlib`."""

error: type[Exception] = library.error
"""What it raises at damage."""
