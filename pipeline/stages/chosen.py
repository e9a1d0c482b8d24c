"""Which data set `--dataset` means, the same in every command.

A name that the workspace holds; the name of one that adaprep brings; a YAML file; or the user's own code, as
``package.module:factory``. What the workspace holds comes first: it knows where the files lie.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline import advice, doors
from pipeline.datasets import registry
from pipeline.datasets.base import Dataset, Frame
from pipeline.datasets.limits import listed, short
from pipeline.datasets.yaml_nodes import did_you_mean
from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.stages import inputs, remembered
from pipeline.stages.frame_list import listed as list_frames
from pipeline.storage import is_dir
from pipeline.workspace.stores import SplitFolder, Workspace

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class NamedDataset:
    """A data set that was named."""

    name: str
    source: Path | None  # its YAML file, where that was given
    folders: tuple[SplitFolder, ...]  # what the workspace holds of it
    door: str | None = None  # the user's own code, where that was given


def find(space: Workspace, dataset: str) -> NamedDataset:
    """The data set that is meant.

    Raises
    ------
    AdaprepError
        There is none of that name, nor such a file; or the file describes none.
    """
    if doors.is_door(dataset):
        return _of_door(space, dataset)
    held = space.splits()
    names = tuple(sorted({folder.dataset for folder in held}))
    source = _source(dataset, names)
    name = dataset if source is None else _name_of(source, names)
    if source is None and name not in (*names, *registry.names()):
        raise _unknown(space, dataset, names)
    return NamedDataset(name, source, tuple(folder for folder in held if folder.dataset == name))


def _of_door(space: Workspace, door: str) -> NamedDataset:
    """What the user's own code makes: found in the workspace by what it remembers, else by its name."""
    name = next((f.dataset for f in space.described() if remembered.spelling(f) == door), None)
    name = name or registry.name_of(door)
    return NamedDataset(name, None, tuple(f for f in space.splits() if f.dataset == name), door)


def _source(dataset: str, names: Sequence[str]) -> Path | None:
    """The YAML file that is meant; None where it is a name."""
    if dataset in registry.names() or (dataset in names and not dataset.endswith(SUFFIXES)):
        return None
    path = registry.expanded(Path(dataset), absolute=False)
    named = dataset.endswith(SUFFIXES) and dataset not in names
    return path if named or path.is_file() else None


def _name_of(source: Path, names: Sequence[str]) -> str:
    if os.path.lexists(source):
        return registry.load(source).name
    near = sorted(path.name for path in source.parent.glob("*.y*ml")) if source.parent.is_dir() else []
    holds = f" The workspace holds: {listed(names)}; these need no file." if names else ""
    raise AdaprepError(
        f"{printable(str(source))}: no such file{did_you_mean(source.name, tuple(near))}{holds} "
        f"A YAML file that describes images and labels is written by: {_init()}"
    )


def _init() -> str:
    """The command that describes a folder of the user's own."""
    return advice.command("init", folder="FOLDER")


def _unknown(space: Workspace, dataset: str, names: tuple[str, ...]) -> AdaprepError:
    holds = f"The workspace {space.path} holds: {listed(names)}. " if names else ""
    hint = did_you_mean(dataset, (*names, *registry.names()))
    return AdaprepError(
        f"no data set {short(dataset)}{hint} {holds}adaprep brings: {', '.join(registry.names())}. "
        f"Or give a YAML file that describes your own: {_init()} writes one."
    )


def in_workspace(
    space: Workspace, dataset: str | None, root: Path | None = None, keep: bool = True
) -> str | None:
    """The name that the workspace keeps a data set under; None where none is named.

    Parameters
    ----------
    root
        Where its files lie now. It is remembered, and so is a YAML file that is given.
    keep
        Whether to write that down; else it is only checked.

    Raises
    ------
    AdaprepError
        As `find`; or the workspace holds something else of that name.
    """
    if dataset is None:
        if root is not None and len(space.datasets()) == 1:
            remembered.move(space, space.datasets()[0], None, root, keep)
        return None
    meant = find(space, dataset)
    if meant.source or root:
        remembered.move(space, meant.name, meant.source, root, keep)
    return meant.name


def open_dataset(
    space: Workspace,
    dataset: str,
    root: Path | None = None,
    targets: Sequence[str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Dataset:
    """The data set that is meant, with the settings and targets that are given.

    A name that only the workspace knows stands for the YAML file, and for the targets that were chosen.
    Where the files of a data set are not in their usual place, they are looked for where the workspace knows
    them to be.

    Raises
    ------
    AdaprepError
        As `find` and `pipeline.datasets.registry.load`.
    """
    meant = find(space, dataset)
    if meant.source is None and meant.door is None and meant.name not in registry.names():
        if settings:
            raise AdaprepError(f"{dataset}: a data set of your own has no setting {next(iter(settings))!r}")
        held = remembered.open_dataset(meant.folders[0], root)
        if targets is not None:
            held.classes = held.classes.with_targets(targets)
        return held
    return registry.load(
        meant.door or meant.source or meant.name,
        root or _known_root(meant),
        targets=targets,
        **(settings or {}),
    )


def _known_root(meant: NamedDataset) -> Path | None:
    """Where the workspace knows the files to be; None where the data set finds them by itself."""
    if meant.source is not None and is_dir(registry.load(meant.source).root):
        return None
    for folder in meant.folders:
        with suppress(AdaprepError):
            root = remembered.open_dataset(folder).root
            if is_dir(root):
                return root
    return None


def frames_of(
    space: Workspace,
    dataset: str | None,
    splits: Sequence[str],
    root: Path | None = None,
    targets: Sequence[str] | None = None,
) -> tuple[Dataset, dict[str, Sequence[Frame]]]:
    """The data set that is meant, or the only one that the workspace holds, and its frames by split.

    Of a name that the workspace holds: its list of images, and the data set's own of splits that it lacks.

    Raises
    ------
    AdaprepError
        As `find`; or the files are not there, or a split is not.
    """
    meant = None if dataset is None else find(space, dataset)
    if meant is None or (meant.folders and meant.source is None):
        if root is not None:
            remembered.move(space, meant.name if meant else space.folders()[0].dataset, None, root)
        return _held_frames(space, meant.name if meant else None, splits, root, targets)
    data = open_dataset(space, str(dataset), root, targets)
    if meant.folders and meant.source and remembered.is_gone(meant.folders[0]):
        with suppress(AdaprepError):  # of other classes: looked at, but not the workspace's
            remembered.move(space, meant.name, meant.source, root)
    found = inputs.listed_splits(data, splits)
    return data, {split: frames or list_frames(data, split) for split, frames in found.items()}


def _held_frames(
    space: Workspace,
    name: str | None,
    splits: Sequence[str],
    root: Path | None,
    targets: Sequence[str] | None,
) -> tuple[Dataset, dict[str, Sequence[Frame]]]:
    folders = {folder.split: folder for folder in space.folders(name)}
    listed_here = [folders[split] for split in splits or folders if split in folders]
    data = remembered.open_dataset((listed_here or list(folders.values()))[0], root)
    if targets is not None:
        data.classes = data.classes.with_targets(targets)
    frames = {folder.split: inputs.read_list(folder, data).frames for folder in listed_here}
    remembered.check_files(data, [frame for part in frames.values() for frame in part[:1]])
    return data, {split: frames.get(split) or list_frames(data, split) for split in splits or folders}
