"""Zarr itself: the installed versions, its faults told from those of a store, the short way to an array."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import AdaprepError

LIBRARY_ERRORS = (ImportError, AttributeError, TypeError, NotImplementedError)


@cache
def installed(package: str) -> str:
    """The version of a package: reading it takes milliseconds, and each store that is made names four."""
    return version(package)


def adaprep_version() -> str:
    """The installed version, or "unknown" in a checkout that was not installed."""
    try:
        return installed("adaprep")
    except PackageNotFoundError:
        return "unknown"


def versions() -> dict[str, str]:
    """What wrote a store."""
    return {"adaprep": adaprep_version(), **{name: installed(name) for name in ("numpy", "scipy", "zarr")}}


def library_error(path: Path, error: Exception) -> AdaprepError:
    """What to say when Zarr, not the store, is at fault."""
    return AdaprepError(
        f"zarr {installed('zarr')} cannot be used for {path} ({type(error).__name__}: {error}). The store is "
        f"left as it is. Install another: pip install 'zarr>=3.1.6,<4'"
    )


@cache
def fault_of_library() -> Exception | None:
    """What goes wrong when an array like ours is made and read in memory: then no store is to blame."""
    import zarr
    from zarr.codecs import ZstdCodec
    from zarr.storage import MemoryStore

    try:
        group = zarr.create_group(MemoryStore(), zarr_format=3)
        group.create_array(
            "a",
            shape=(2, 3),
            dtype="uint8",
            chunks=(1, 3),
            shards=(2, 3),
            compressors=ZstdCodec(level=3, checksum=True),
            fill_value=0,
        )
        array = group["a"].with_config({"write_empty_chunks": True})  # type: ignore[union-attr]
        array[:] = 1
        np.asarray(array[:])
    except Exception as error:
        return error
    return None


def array_in(group: Any, path: Path, name: str) -> Any:
    """The array ``group[name]`` of the group at a path.

    Without Zarr's detour by two other threads, which takes ten times as long.
    """
    import zarr

    return zarr.Array.from_dict(group.store_path / name, json.loads((path / name / "zarr.json").read_bytes()))
