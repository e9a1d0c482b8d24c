"""Repair of a store: damaged attributes and array descriptions are written again from their second copy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import AdaprepError
from pipeline.storage import is_address
from pipeline.workspace import disk
from pipeline.workspace.layout import DIGEST, ArraySpec, parse
from pipeline.workspace.objects import zarr_place
from pipeline.workspace.stores import (
    discard,
    kept_copy,
    laid_out,
    lay_out,
    open_array,
    open_store,
    partial_of,
    read_attributes,
)


def restore_metadata(path: Path) -> list[str]:
    """Write attributes and array descriptions that are damaged again, from what is known of them twice.

    Data are not touched: what they are worth is told by their digests.

    Returns
    -------
    Names of what was damaged.

    Raises
    ------
    AdaprepError
        It cannot be mended, and why.
    """
    copy, own = kept_copy(path), _own_attributes(path)
    grown = copy is not None and own is not None and own == {**copy, "inputs": own["inputs"]}
    about = own if copy is None or grown else copy
    if about is None or (specs := parse(about).arrays) is None:
        raise AdaprepError(f"{path}: what shaped this store is lost")
    if is_address(path):
        return _put_again(path, about, specs)
    fresh, mended = partial_of(path), []
    with disk.writing(path):
        discard(fresh)
        lay_out(fresh, specs, parse(about).layout, about)
        for name in ("", *specs):
            if not _is_sound(path, name, about):
                if not (path / name).is_dir():
                    disk.delete(path / name, path)
                    (path / name).mkdir()
                os.replace(fresh / name / "zarr.json", path / name / "zarr.json")
                mended.append(name or "attributes")
        discard(fresh)
    open_store(path, fresh=True)
    return mended


def _put_again(path: Path, about: Mapping[str, Any], specs: Mapping[str, ArraySpec]) -> list[str]:
    """`restore_metadata` in an object store."""
    fresh, mended = laid_out(specs, parse(about).layout, about), []
    with disk.writing(path):
        for name in ("", *specs):
            if not _is_sound(path, name, about):
                file = f"{name}/zarr.json" if name else "zarr.json"
                (path / file).write_bytes(fresh[file])
                mended.append(name or "attributes")
    open_store(path, fresh=True)
    return mended


def _own_attributes(path: Path) -> dict[str, Any] | None:
    """The attributes of a group; None where they are damaged."""
    try:
        own = read_attributes(path / "zarr.json")
        parse(own)
    except (OSError, ValueError, RecursionError):
        return None
    return dict(own)


def _is_sound(path: Path, name: str, about: Mapping[str, Any]) -> bool:
    """Whether the description of an array, or of the group (""), is as these attributes want it."""
    import zarr

    try:
        group = zarr.open_group(zarr_place(path), mode="r", zarr_format=3)
        if name in ("", DIGEST) and read_attributes(path / name / "zarr.json") != about:
            return False
        if name == DIGEST and kept_copy(path) is None:
            return False
        if name:
            open_array(path, group, name, parse(about))
    except Exception:
        return False
    return True
