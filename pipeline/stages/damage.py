"""What of a workspace's own files is damaged, and making it whole: stores, blocks, lists.

A block that is damaged becomes one to do again; descriptions and lists that are kept twice are written
again from the sound copy; for the rest the message says what to run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import advice
from pipeline.datasets.base import Dataset
from pipeline.errors import AdaprepError, DamagedError
from pipeline.names import join_names
from pipeline.samplers import registry
from pipeline.stages import inputs as listing
from pipeline.stages import remembered
from pipeline.stages.inputs import Inputs
from pipeline.workspace import disk, stores
from pipeline.workspace.folders import repair_command
from pipeline.workspace.layout import DIGEST
from pipeline.workspace.metadata import restore_metadata


@dataclass
class Finding:
    """One thing that was checked, on how much, and what did not hold."""

    what: str
    checked: int
    unit: str
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        return {"what": self.what, "checked": self.checked, "unit": self.unit, "problems": self.problems}


def boundaries_command(
    folder: stores.SplitFolder, dataset: Dataset | None, parameters: Mapping[str, Any] | None
) -> str:
    """The command that makes the boundaries of a split as they were made."""
    if dataset is None:
        return f"{folder.boundaries_command(parameters)}, as the first time"
    source = dataset.spelling
    named = source if os.path.isfile(source) or dataset.door else dataset.name
    words = ["--dataset", named, "--split", folder.split]
    if not hasattr(dataset, "source"):
        words += ["--root", str(dataset.root)]
        for name, value in dataset.settings().items():
            words += ["--set", f"{name}={value}"]
    if parameters is not None:
        words += _shape_options(folder, dataset, parameters)
    return advice.line("boundaries", [*words, "--workspace", folder.workspace])


def _shape_options(folder: stores.SplitFolder, dataset: Dataset, parameters: Mapping[str, Any]) -> list[str]:
    words = []
    if (grid := parameters.get("grid")) not in (None, [8, 8]):
        words += ["--grid", f"{grid[0]}x{grid[1]}"]
    if (crops := parameters.get("crops")) not in (None, 5 if folder.split in dataset.training_splits else 1):
        words += ["--crops", str(crops)]
    if (targets := parameters.get("targets")) is not None:
        words += ["--targets", join_names(targets)]
    return words


def command_of(
    folder: stores.SplitFolder, path: Path, dataset: Dataset | None, parameters: Mapping[str, Any] | None
) -> str:
    """The command that makes a store of a split again; `parameters` are its own, where they are known."""
    if path == folder.boundaries:
        return boundaries_command(folder, dataset, parameters)
    split = ["--dataset", folder.dataset, "--split", folder.split, "--workspace", str(folder.workspace)]
    known = parameters or {}
    if path.parent != folder.samples:
        if not {"lambda", "grid"} <= known.keys():
            return f"{advice.line('solve-tensors', split)}, with lambda and grid as before"
        words = ["--lambda", stores.lambda_name(known["lambda"]), "--grid", "x".join(map(str, known["grid"]))]
        if "-crops" in path.stem:
            words += ["--crops", str(known["crops"])]
        return advice.line("solve-tensors", [*words, *split])
    name = str(known.get("sampler"))
    options = registry.kind(name).options(known) if registry.is_name(name) else None
    if options is None or "resolution" not in known:
        return f"{advice.line('sample', split)}, or the training that made it, as before"
    words = ["--sampler", name, "--resolution", str(known["resolution"])]
    words += [word for pair in options.items() for word in pair]
    words += ["--filter", str(known["filter"])] if "filter" in known else []
    if "-crops" in path.stem:
        words += ["--crops", str(known["crops"])]
    return advice.line("sample", [*words, *split])


# Stores that cannot be opened


def open_or_mend(path: Path, repair: bool, command: str) -> tuple[stores.Store | None, list[str]]:
    """A store, made whole if need be and asked for, and what is to be said of it."""
    if not path.exists():
        return None, [f"there is no store {path}; run: {command}"]
    try:
        store = stores.open_store(path, mode="r", fresh=True)
        return (store, []) if _copies_agree(store) else _mend(path, repair, command, "is not what it was")
    except DamagedError as error:
        return _mend(path, repair, command, str(error).rsplit(". Run", 1)[0])
    except AdaprepError as error:  # of a newer version, or Zarr does not work
        return None, [str(error)]


def _copies_agree(store: stores.Store) -> bool:
    return not store.has_digests or stores.kept_copy(store.path) == store.group.attrs["adaprep"]


def _mend(path: Path, repair: bool, command: str, problem: str) -> tuple[stores.Store | None, list[str]]:
    if not repair:
        return None, [f"{problem}; run: {repair_command(path)}   and then what it says"]
    try:
        mended = restore_metadata(path)
        return stores.open_store(path, "r", True), [f"{path}: mended: {', '.join(mended)}. Verify once more"]
    except AdaprepError as error:
        return None, [f"{problem}; {error}. Run: {command} --overwrite"]


# Blocks


@dataclass(frozen=True)
class BlockCheck:
    """What is wrong with one block, if anything: chunks that cannot be read, or other content."""

    files: int
    unreadable: str = ""
    other: str = ""


def check_blocks(store: stores.Store, command: str, read: bool, repair: bool) -> list[Finding]:
    """Whether the blocks that are finished hold what was written."""
    checked, whole = 0, 0
    damaged, others = [], []
    for start, stop in store.blocks():
        block = check_block(store, start, stop, read)
        checked += block.files
        whole += bool(block.files)
        if block.unreadable:
            damaged.append(f"images {start} to {stop}: {block.unreadable}")
        if block.other:
            others.append(f"images {start} to {stop}: {block.other}")
        if repair and (block.unreadable or block.other):
            store.forget(start, stop)
    name = store.path.stem
    chunks = Finding(f"{name}: chunks are {'sound' if read else 'there'}", checked, "files")
    chunks.problems = _listed(store.path, damaged, command, repair)
    if not store.has_digests:
        return [chunks, Finding(f"{name}: no digests: made by an older version", 0, "blocks")]
    digests = Finding(f"{name}: blocks are what was written (digests)", whole, "blocks")
    digests.problems = _listed(store.path, others, command, repair)
    return [chunks, digests]


def _listed(path: Path, damaged: list[str], command: str, repair: bool) -> list[str]:
    if not damaged:
        return []
    first = "they are marked as not done; run:" if repair else f"run: {repair_command(path)}   and then:"
    blocks = "1 block is" if len(damaged) == 1 else f"{len(damaged)} blocks are"
    return [f"{blocks} damaged; {first} {command}", *damaged]


def check_block(store: stores.Store, start: int, stop: int, read: bool) -> BlockCheck:
    """Look at one block; with `read`, at what is in its chunks even where it has no digest."""
    files = store.files(start, stop)
    try:
        status = np.asarray(store["status"][start:stop])
        digests = store[DIGEST][start:stop] if store.has_digests else np.zeros(stop - start, np.uint64)
        if (status == stores.TODO).any():  # not finished, so what lies there does not count
            lost = bool((digests[status == stores.TODO] != 0).any())
            return BlockCheck(0, other="its status is lost, or writing it was interrupted" if lost else "")
        if (status > stores.FAILED).any():
            return BlockCheck(len(files), other="its status is none that there is")
        if store.has_digests and (digests == store.block_digest(start, status)).all():
            return BlockCheck(len(files))
        for file in files:
            if not file.exists() or not file.stat().st_size:
                return BlockCheck(len(files), f"{file} is {'empty' if file.exists() else 'missing'}")
        if read or store.has_digests:
            _read(store, start, stop)
    except AdaprepError as error:
        return BlockCheck(1, str(error.__cause__ or error))
    except OSError as error:
        return BlockCheck(1, str(error))
    return BlockCheck(
        len(files), other="it holds something else than was written" if store.has_digests else ""
    )


def _read(store: stores.Store, start: int, stop: int) -> None:
    for name in store.arrays:
        for i in range(start, stop, store.layout.shard):
            store[name][i : min(i + store.layout.shard, stop)]


# Lists


def check_lists(
    folder: stores.SplitFolder, root: Path | None, store: stores.Store | None, repair: bool, command: str
) -> tuple[Inputs | None, Finding]:
    """The list of a split, restored if need be and asked for, and what is wrong with it and its like.

    Parameters
    ----------
    store
        The boundaries, whose fingerprint says which list is meant; None where they cannot be opened.
    """
    finding = Finding("lists and records can be read", 0, "files")
    found, problem = _try(folder, root, store)
    finding.checked += 2
    if problem:
        again = _restored(folder, root, store) if repair else None
        found = again or found
        if again is not None:
            again.save(folder)
            finding.problems.append(f"{problem}; it is restored")
        else:
            hint = remembered.list_again(folder) if repair else remembered.repair(folder)
            finding.problems.append(f"{problem.split(' Run', 1)[0]} {hint}")
    elif unlike := _unlike_copies(folder):
        if any(path.exists() for path in unlike):
            hint = _again(folder, repair)
            finding.problems.append(f"the second copy in {folder.spare} is damaged; {hint}")
        if repair:
            for path in unlike:
                disk.write_text(path, (folder.path / path.name).read_text(encoding="utf-8"))
    record = folder.failures("boundaries")
    if store is not None and not record.exists() and (store.status() == stores.FAILED).any():
        finding.problems.append(f"{record}, which says why images failed, is lost; run: {command}")
    for path in folder.failure_lists():
        finding.checked += 1
        if not is_record(path):
            finding.problems.append(f"{path} is damaged; " + _deleted(folder, repair))
            if repair:
                path.unlink(missing_ok=True)
    return found, finding


def _unlike_copies(folder: stores.SplitFolder) -> list[Path]:
    """Second copies that are not there, or not the same as what they are copies of."""
    names = (folder.description.name, folder.inputs.name)
    return [
        folder.spare / name
        for name in names
        if not (folder.spare / name).is_file()
        or (folder.spare / name).read_bytes() != (folder.path / name).read_bytes()
    ]


def _again(folder: stores.SplitFolder, repair: bool) -> str:
    return "it is written again" if repair else f"run: {folder.verify_command}"


def _deleted(folder: stores.SplitFolder, repair: bool) -> str:
    return "it is deleted; its command writes it again" if repair else f"run: {folder.verify_command}"


def is_record(path: Path) -> bool:
    """Whether a failures-STAGE.json is sound."""
    try:
        rows = disk.read_json(path).get("failures")
    except (AdaprepError, RecursionError):
        return False
    return isinstance(rows, list) and all(
        isinstance(r, dict)
        and isinstance(r.get("index"), int)
        and isinstance(r.get("name"), str)
        and isinstance(r.get("reason"), str)
        for r in rows
    )


def _try(
    folder: stores.SplitFolder, root: Path | None, store: stores.Store | None, kept: bool = False
) -> tuple[Inputs | None, str]:
    """The list as it lies there (or its second copy), and what is wrong with it."""
    place = folder.spare if kept else folder.path
    try:
        dataset = remembered.open_dataset(folder, root, place / folder.description.name)
        found = listing.read_list(folder, dataset, place / folder.inputs.name)
    except AdaprepError as error:
        return None, str(error)
    return found, _mismatch(found, store, place)


def _mismatch(found: Inputs, store: stores.Store | None, place: Path) -> str:
    """What of a list cannot be, by the store that was made from it."""
    if store is None:
        return ""
    if not found.begins_as(store.inputs):
        return f"{place / 'inputs.tsv'} is not the list that {store.path} was made from."
    targets = [found.dataset.classes.names[t] for t in found.dataset.classes.targets]
    if targets != store.parameters["targets"] or found.dataset.settings() != store.parameters["settings"]:
        return f"{place / 'dataset.json'} does not describe the data set that {store.path} was made from."
    if (_sizes_now(found, store) != found.sizes).any():
        return f"{place / 'inputs.tsv'} names other sizes than the label maps have."
    return ""


def _sizes_now(found: Inputs, store: stores.Store) -> NDArray[np.int32]:
    """The sizes of a list, as the store knows them of the images that are done."""
    sizes = found.sizes.copy()
    with suppress(AdaprepError):  # a damaged block is told elsewhere
        done = np.flatnonzero(store.status() == stores.DONE)
        sizes[done] = store["size"][: store.count][done]
    return sizes


def _restored(folder: stores.SplitFolder, root: Path | None, store: stores.Store | None) -> Inputs | None:
    """The list from its second copy, or listed again where the store's fingerprint shows it is the same."""
    found, problem = _try(folder, root, store, kept=True)
    if found is not None and not problem:
        return found
    try:
        dataset = found.dataset if found else remembered.open_dataset(folder, root)
    except AdaprepError:
        return None
    own, _ = _try(folder, root, store)
    for candidate in (own, found):
        if candidate is not None and store is not None and candidate.begins_as(store.inputs):
            sized = replace(candidate, sizes=_sizes_now(candidate, store))
            if not _mismatch(sized, store, folder.path):
                return sized
    if store is None:
        return None
    try:
        listed = listing.list_inputs(dataset, folder.split)
    except AdaprepError:
        return None
    listed = listed.first(store.count)
    return listed if not _mismatch(listed, store, folder.path) else None
