"""The workspace: which folders and Zarr stores there are, what shaped them, and what in them is done.

    WORKSPACE/
      DATASET/SPLIT/
        inputs.tsv                    one line an image: name, image, label, instance, height, width
        dataset.json                  how to open the data set again
        boundaries.zarr               packed boundary maps, nearest boundaries, counts
        tensors/8x8-lambda1.zarr      sampling tensors, one store a grid, crop count and lambda
        samples/uniform-64.zarr       sampled images and label maps, one store a sampler and resolution
        failures-boundaries.json      files that could not be used, with the reason

A store is laid out whole (`create`), then filled in blocks of whole chunks by tasks that touch nothing
else. A block's `status` chunk is written after all its others: a block whose statuses are set is complete.
Right before it goes the block's `digest`, a fingerprint of all its files, which tells a file that belongs
elsewhere from the one that was written.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.errors import AdaprepError, DamagedError
from pipeline.names import lambda_name
from pipeline.storage import StoredPath, is_address, lexists
from pipeline.workspace import disk
from pipeline.workspace.blocks import DONE, FAILED, TODO, BlockWriter, Parameters, Store, StoredArray
from pipeline.workspace.folders import RunFolder, SplitFolder, Workspace, repair_command, workspace_of
from pipeline.workspace.layout import (
    DIGEST,
    DIGEST_SPEC,
    FLAT,
    FORMAT,
    SHARD_BYTES,
    About,
    ArraySpec,
    Layout,
    NewerFormatError,
    differences,
    is_file_of_store,
    parse,
)
from pipeline.workspace.library import (
    LIBRARY_ERRORS,
    adaprep_version,
    array_in,
    fault_of_library,
    library_error,
    versions,
)
from pipeline.workspace.objects import zarr_place

__all__ = [
    "DONE",
    "FAILED",
    "FORMAT",
    "SHARD_BYTES",
    "TODO",
    "ArraySpec",
    "BlockWriter",
    "Layout",
    "RunFolder",
    "SplitFolder",
    "Store",
    "StoredArray",
    "Workspace",
    "adaprep_version",
    "create",
    "differences",
    "digest",
    "grow",
    "kept_copy",
    "lambda_name",
    "open_in_task",
    "open_store",
    "remove",
    "versions",
]


HASHED = 4096
"""Lines that are hashed at once."""


def digest(lines: Iterable[str]) -> str:
    """Fingerprint of a list of lines (SHA-256, hex), with a line feed between each two."""
    value, source, between = hashlib.sha256(), iter(lines), ""
    while part := list(islice(source, HASHED)):
        value.update((between + "\n".join(part)).encode())
        between = "\n"
    return value.hexdigest()


def create(
    path: Path,
    arrays: Mapping[str, ArraySpec],
    parameters: Mapping[str, Any],
    layout: Layout,
    inputs: Mapping[str, Any],
) -> Store:
    """Lay out an empty store: all arrays and attributes, no data. It appears whole or not at all.

    Raises
    ------
    AdaprepError
        The disk refuses, or the installed Zarr does not do what is asked of it.
    """
    specs = {**arrays, DIGEST: DIGEST_SPEC}
    about = {
        "format": FORMAT,
        "versions": versions(),
        "parameters": dict(parameters),
        "layout": {"block": layout.block, "shard": layout.shard},
        "inputs": dict(inputs),
        "arrays": {name: spec.describe() for name, spec in specs.items()},
    }
    with disk.writing(path):
        try:
            if is_address(path):
                _put_layout(path, specs, layout, about)
            else:
                _move_layout(path, specs, layout, about)
        except LIBRARY_ERRORS as error:
            raise library_error(path, error) from error
    return open_store(path)


def _move_layout(
    path: Path, specs: Mapping[str, ArraySpec], layout: Layout, about: Mapping[str, Any]
) -> None:
    """Lay out beside, then move: a folder appears whole."""
    partial = partial_of(path)
    discard(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    lay_out(partial, specs, layout, about)
    os.replace(partial, path)


def _put_layout(path: Path, specs: Mapping[str, ArraySpec], layout: Layout, about: Mapping[str, Any]) -> None:
    """Write the description of the group last: without it there is no store."""
    discard(path)
    for name, content in laid_out(specs, layout, about).items():
        (path / name).write_bytes(content)


def laid_out(specs: Mapping[str, ArraySpec], layout: Layout, about: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of an empty store by name, that of the group last."""
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder, "store"), specs, layout, about)
        files = [path for path in Path(folder, "store").rglob("*") if path.is_file()]
        files.sort(key=lambda path: (-len(path.parts), path))
        return {path.relative_to(Path(folder, "store")).as_posix(): path.read_bytes() for path in files}


def partial_of(path: Path) -> Path:
    """Where a store is put together, or taken apart."""
    return path.with_name(path.name + ".partial")


def discard(path: Path) -> None:
    """Delete a store or what is left of one, if it is there. Raises AdaprepError as `remove`."""
    disk.delete(path, workspace_of(path), is_file_of_store)


def lay_out(folder: Path, specs: Mapping[str, ArraySpec], layout: Layout, about: Mapping[str, Any]) -> None:
    """Make the group and the arrays of a store, without data; the array of digests repeats the attributes."""
    import zarr
    from zarr.codecs import ZstdCodec

    count = int(about["inputs"]["count"])
    group = zarr.create_group(folder, zarr_format=3)
    group.attrs["adaprep"] = dict(about)
    for name, spec in specs.items():
        attributes: dict[str, Any] = {"description": spec.doc}
        if name == DIGEST:
            attributes |= second_copy(about)
        group.create_array(
            name,
            shape=(count, *spec.shape),
            dtype=spec.dtype,
            chunks=spec.chunks(layout),
            shards=(layout.shard, *spec.shape) if spec.chunk_per_image else None,
            compressors=ZstdCodec(level=3, checksum=True),
            fill_value=spec.fill,
            attributes=attributes,
            chunk_key_encoding={"name": "default", "separator": "." if about["format"] >= FLAT else "/"},
        )


def second_copy(about: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of the array of digests: those of the group again, and what shows them unharmed."""
    return {"adaprep": dict(about), "sha256": digest([json.dumps(about, sort_keys=True)])}


def kept_copy(path: Path) -> dict[str, Any] | None:
    """The second copy of a store's attributes; None where it is damaged, or the store is older."""
    try:
        attributes = json.loads((path / DIGEST / "zarr.json").read_bytes())["attributes"]
        about = attributes["adaprep"]
        parse(about)
        return dict(about) if attributes == {**attributes, **second_copy(about)} else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def open_store(path: Path, mode: str = "r+", fresh: bool = False) -> Store:
    """Open a store that is there; `fresh`: read all that describes it, even if it was opened before.

    Raises
    ------
    AdaprepError
        Not there, not ours, damaged, or written by a newer version; or Zarr itself does not work.
    """
    try:
        content = (path / "zarr.json").read_bytes()
        about = parse(attributes_in(content, path))
    except NewerFormatError as error:
        raise AdaprepError(
            f"{path} was written by a newer adaprep ({error}); this one, {adaprep_version()}, "
            f"reads formats up to {FORMAT}. Upgrade adaprep, or choose another --workspace."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        if not path.exists():
            raise AdaprepError(f"there is no store {path}") from None
        raise DamagedError(
            f"{path} is not a store of adaprep, or it is damaged ({_reason(error)}). {_advice(path)}"
        ) from error
    if isinstance(path, StoredPath) and not fresh:
        return _open_once(path, mode, path.bucket()[0], content)
    return _opened(path, mode, about)


@lru_cache(maxsize=64)
def _open_once(path: Path, mode: str, bucket: object, content: bytes) -> Store:
    """A store in a bucket with these attributes: its arrays cost a request each."""
    return _opened(path, mode, parse(attributes_in(content, path)))


def _opened(path: Path, mode: str, about: About) -> Store:
    group, arrays = _open_arrays(path, mode, about)
    return Store(path, group, arrays, Parameters(about.parameters, path), about.layout, about.inputs)


def read_attributes(metadata: Path) -> Any:
    """The attribute `adaprep` in the zarr.json of a group or an array.

    Raises
    ------
    OSError, ValueError
        It cannot be read, or holds none.
    """
    return attributes_in(metadata.read_bytes(), metadata)


def attributes_in(content: bytes, place: Path) -> Any:
    """As `read_attributes`, of what was read at a place. Raises ValueError."""
    try:
        return json.loads(content)["attributes"]["adaprep"]
    except (LookupError, TypeError) as error:
        raise ValueError(f"{place} holds no attributes of adaprep") from error


def _advice(path: Path) -> str:
    if kept_copy(path) is None:
        return "Run its command with --overwrite to make it again."
    return f"Run: {repair_command(path)}"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _open_arrays(path: Path, mode: str, about: About) -> tuple[Any, dict[str, Any]]:
    import zarr

    try:
        # chunks are written even if empty: looking whether they are costs more, and verify counts files.
        # Zarr's own pipeline asks the array, others ask the configuration as they are made.
        with zarr.config.set({"array.write_empty_chunks": True}):
            group = zarr.open_group(zarr_place(path), mode=mode, zarr_format=3)  # type: ignore[arg-type]
            arrays = {name: open_array(path, group, name, about) for name in _names(path, about)}
    except AdaprepError:
        raise
    except Exception as error:
        if isinstance(error, LIBRARY_ERRORS) and (fault := fault_of_library()):
            raise library_error(path, fault) from error
        raise DamagedError(
            f"{path} is not a store of adaprep, or it is damaged ({_reason(error)}). {_advice(path)}"
        ) from error
    return group, arrays


def _names(path: Path, about: About) -> list[str]:
    """Names of the arrays there should be."""
    if about.arrays is not None:
        return list(about.arrays)
    return sorted({p.name for p in path.iterdir() if p.is_dir()} | {"status"})


def open_array(path: Path, group: Any, name: str, about: About) -> Any:
    """One array of an open group, if it is laid out as the attributes say."""
    spec = about.arrays[name] if about.arrays is not None else None
    problem, cause = "it is laid out otherwise than its store", None
    try:
        array = array_in(group, path, name).with_config({"write_empty_chunks": True})
        rows = (array.shards or array.chunks)[0]
        whole = rows in (about.layout.block, about.layout.shard) and array.shape[0] >= about.inputs["count"]
        if whole and (spec is None or spec.matches(array, about.layout)):
            return array
    except Exception as error:
        if isinstance(error, LIBRARY_ERRORS) and (fault := fault_of_library()):
            raise library_error(path, fault) from error
        problem, cause = _reason(error), error
    if spec is None:
        advice = "Run its command with --overwrite to make the store again."
    else:
        advice = f"Run: {repair_command(path)}"
    raise DamagedError(f"the array {path / name} is missing or damaged ({problem}). {advice}") from cause


def open_in_task(path: Path, mode: str = "r+") -> Store:
    """As `open_store`, kept open for the next block in this process while the store is the same."""
    if is_address(path):  # where times are whole seconds; it is kept by what describes it
        return open_store(path, mode)
    try:
        about = (path / "zarr.json").stat()
    except OSError:
        return open_store(path, mode)  # which says what is wrong
    return _open_cached(path, mode, about.st_mtime_ns, about.st_ino)


@lru_cache(maxsize=32)
def _open_cached(path: Path, mode: str, changed: int, inode: int) -> Store:
    return open_store(path, mode)


def remove(path: Path) -> None:
    """Delete a store; what is left of an interrupted deletion is never taken for a store.

    Raises
    ------
    AdaprepError
        It is a link, is no store of adaprep, or holds what adaprep does not make: nothing is deleted.
    """
    if lexists(path):
        with disk.writing(path):
            check_removable(path)
            if is_address(path):
                discard(path)
                return
            doomed = partial_of(path)
            discard(doomed)
            os.replace(path, doomed)
            discard(doomed)


def check_removable(path: Path) -> None:
    """Raise AdaprepError where `remove` would: a damaged store passes, anything else but a store does not."""
    disk.check_deletable(path, workspace_of(path), is_file_of_store)
    about = path / "zarr.json"
    if about.exists():
        try:
            attributes = disk.read_json(about).get("attributes")
        except AdaprepError:  # damaged: all the other files are those of a store
            return
        if not (isinstance(attributes, dict) and "adaprep" in attributes):
            raise AdaprepError(f"{path} is a Zarr group that adaprep did not make: it is left as it is.")
    elif not path.is_dir():
        raise AdaprepError(f"{path} is not a store of adaprep: it is left as it is. Move it away.")


def grow(store: Store, inputs: Mapping[str, Any]) -> Store:
    """Lengthen every array to a longer input list; what is there stays.

    The input list changes last: a growth that was killed is begun again.
    """
    count = int(inputs["count"])
    with disk.writing(store.path):
        disk.clear_partial(store.path, "zarr")
        for name, array in store.arrays.items():
            disk.clear_partial(store.path / name, "zarr")
            if array.shape[0] != count:
                array.resize((count, *array.shape[1:]))
        beyond = slice(store.count, min(count, store.count + store.layout.block))
        if store["status"][beyond].any():  # of a damaged chunk: nothing was ever written there
            store.arrays["status"][beyond] = TODO
        about = {**store.group.attrs["adaprep"], "inputs": dict(inputs)}
        if store.has_digests:
            store.arrays[DIGEST].attrs.update(second_copy(about))
        store.group.attrs["adaprep"] = about
    return open_store(store.path, fresh=True)
