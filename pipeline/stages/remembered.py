"""What a workspace remembers of a data set, and how that is opened again wherever it is now.

`dataset.json` says where a data set lay: absolutely, and seen from the workspace, so that a project that is
moved as a whole, or copied, finds its own data. Of a data set of the user's own it holds the text of the YAML
file too: a workspace without it still knows classes and splits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import doors
from pipeline.datasets.base import Dataset, Frame
from pipeline.errors import AdaprepError, FileError
from pipeline.names import printable
from pipeline.stages.input_list import StoredDescription, first_names, parse_description
from pipeline.storage import ADDRESS, as_path, exists, is_address, is_dir, joined
from pipeline.workspace import disk, stores

if TYPE_CHECKING:
    from pipeline.datasets.custom import Custom

TRIED = 3
"""Images that must be found where a data set is said to lie now: the first ones of its list."""


def describe(dataset: Dataset, workspace: Path) -> str:
    """JSON that `open_dataset` makes the data set of again; `workspace` is the folder that it is kept in."""
    from pipeline.datasets.custom import Custom

    said: dict[str, Any] = {
        "dataset": dataset.spelling,
        "root": str(dataset.root),
        "settings": dataset.reopening(),
        "targets": [dataset.classes.names[t] for t in dataset.classes.targets],
    }
    said["beside"] = {"root": _seen_from(workspace, said["root"])}
    if isinstance(dataset, Custom):
        said["beside"]["dataset"] = _seen_from(workspace, said["dataset"])
        said["yaml"] = dataset.text
    return disk.json_text(said)


def _seen_from(workspace: Path, path: str) -> str | None:
    """A path relative to the workspace, with slashes; None where there is no such path (other drives)."""
    if ADDRESS.match(path) or is_address(workspace):
        return None
    with suppress(ValueError):
        return Path(os.path.relpath(path, os.path.abspath(workspace))).as_posix()
    return None


class _UnnamedCodeError(AdaprepError):
    """The data set is made by code that the user has not named."""


class _NowhereError(AdaprepError):
    """The YAML file is not found, and no copy of it is kept."""


def open_dataset(folder: stores.SplitFolder, root: Path | None = None, kept: Path | None = None) -> Dataset:
    """The data set that a workspace folder was made from, wherever it is now.

    Parameters
    ----------
    root
        Where its files lie, in place of what is remembered.
    kept
        Where the description lies, if not at its usual place.

    Raises
    ------
    AdaprepError
        The description is damaged, or the data set cannot be opened.
    """
    path = kept or folder.description
    try:
        dataset = _opened(parse_description(path.read_bytes()), folder, root)
    except (_NowhereError, _UnnamedCodeError):
        raise
    except AdaprepError as error:
        problem = f"{error}\nThis is what {path} says. If that is wrong: {repair(folder)}"
        raise AdaprepError(problem) from error
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise AdaprepError(f"cannot read {path}: {error}. {repair(folder)}") from error
    if dataset.name != folder.dataset:
        raise AdaprepError(
            f"{path} describes the data set {dataset.name}, not {folder.dataset}. {repair(folder)}"
        )
    return dataset


def spelling(folder: stores.SplitFolder) -> str | None:
    """How `--dataset` named the data set of a workspace folder; None where that cannot be read."""
    try:
        return parse_description(folder.description.read_bytes()).dataset
    except (OSError, ValueError):
        return None


def repair(folder: stores.SplitFolder) -> str:
    """What to run when the list of images or the description of their data set is damaged."""
    if folder.second_description.exists() and folder.second_inputs.exists():
        return f"Run: {folder.verify_command}"
    return list_again(folder)


def list_again(folder: stores.SplitFolder) -> str:
    """The advice that always works, as long as the data set is there."""
    return (
        f"Run: {folder.boundaries_command(dataset='NAME')}   with the data set and the other options of the "
        f"first time: it lists the images of {folder.title} again and keeps what is done."
    )


def _opened(
    about: StoredDescription, folder: stores.SplitFolder, root: Path | None, source: Path | None = None
) -> Dataset:
    """The data set of a description, or of the YAML file `source`; its files at the first place there is."""
    from pipeline.datasets import registry
    from pipeline.datasets.custom import Custom

    recorded = [*_places(about.beside.get("root"), about.root, _workspace(folder))]
    if doors.is_door(about.dataset) and not doors.is_given(about.dataset):
        code = printable(about.dataset)
        raise _UnnamedCodeError(
            f"the data set {folder.dataset} of {_workspace(folder)} is read by code that is not adaprep's: a "
            f"file does not decide which code runs. It was made with {code}; if you trust that code, add "
            f"--dataset {code}"
        )
    if source is None and (about.dataset in registry.names() or doors.is_door(about.dataset)):
        usual = registry.places(about.dataset) if about.dataset in registry.names() else []
        places = [root] if root else [*recorded, *usual]
        return registry.load(
            about.dataset, _first_folder(places) or places[0], targets=about.targets, **about.settings
        )
    if source is not None:
        own, text = Custom(source, root), None
        _check_classes(folder, own)
        places = [own.root, *recorded]
    else:
        own, text = _own(about, folder, root)
        places = [*recorded, own.root] if text is None else recorded
    place = _first_folder(places) or as_path(about.root)
    if root is None and place != own.root:
        own = Custom(Path(own.source), place, text)
    own.classes = own.classes.with_targets(about.targets)
    return own


def _own(
    about: StoredDescription, folder: stores.SplitFolder, root: Path | None
) -> tuple[Custom, str | None]:
    """A data set of the user's own: of its YAML file, and None; or of the text kept of it, and that text."""
    from pipeline.datasets.custom import Custom

    workspace = _workspace(folder)
    recorded = list(dict.fromkeys(_places(about.beside.get("dataset"), about.dataset, workspace)))
    for place in filter(os.path.isfile, recorded):
        own = Custom(place, root)
        if own.name == folder.dataset or about.yaml is None:
            return own, None
    moved = Path(os.path.abspath(workspace)).parent / recorded[-1].name
    if os.path.isfile(moved):
        with suppress(AdaprepError):  # somebody else's file of that name
            own = Custom(moved, root)
            if own.name == folder.dataset:
                return own, None
    if about.yaml is None:
        raise _NowhereError(
            f"{recorded[-1]}, which describes the data set {folder.dataset}, is not there (any more). Give "
            f"its YAML file with --dataset FILE, wherever it is now; the workspace remembers it."
        )
    return Custom(recorded[-1], root, about.yaml), about.yaml


def _workspace(folder: stores.SplitFolder) -> Path:
    return folder.path.parent.parent


def _places(beside: str | None, recorded: str, workspace: Path) -> Iterator[Path]:
    """Where something may lie that lay at `recorded`, and at `beside` as seen from the workspace."""
    if beside:
        yield as_path(os.path.normpath(os.path.join(os.path.abspath(workspace), beside)))
    yield as_path(recorded)


def _first_folder(places: Sequence[Path]) -> Path | None:
    return next((place for place in places if is_dir(place)), None)


def is_gone(folder: stores.SplitFolder) -> bool:
    """Whether the YAML file of a data set is no longer found: the workspace lives of its text."""
    try:
        about = parse_description(folder.description.read_bytes())
        return not os.path.isfile(str(getattr(_opened(about, folder, None), "source", os.devnull)))
    except (AdaprepError, OSError, ValueError):
        return True


def check_files(dataset: Dataset, frames: Sequence[Frame]) -> None:
    """Raise AdaprepError where a data set has gone as a whole, before each of its files is missed."""
    some = [path for frame in frames[:TRIED] for path in (frame.image, frame.label)]
    if not is_dir(dataset.root) and not any(map(exists, some)):
        raise AdaprepError(
            f"the data set {dataset.name} is in {dataset.root}, which is not there (any more). Give its "
            f"new folder with --root FOLDER; the workspace remembers it."
        )


def move(
    space: stores.Workspace, name: str, source: Path | None, root: Path | None, keep: bool = True
) -> None:
    """Take up where a data set of a workspace lies now: what is remembered of it is replaced.

    Parameters
    ----------
    source
        Its YAML file, if that is given.
    root
        The folder of its files, if that is given.
    keep
        Whether to write it down; else it is only checked.

    Raises
    ------
    AdaprepError
        There is no such folder, the first images are not there, or the YAML file has other classes.
    """
    if root is not None and not is_dir(root):
        raise AdaprepError(f"--root {root}: no such folder. It must hold the data set {name}.")
    place = root.absolute() if root else None
    for folder in space.described(name):
        try:
            about = parse_description(folder.description.read_bytes())
        except (OSError, ValueError):  # damaged: told, and mended, by whoever reads it
            continue
        moved = _opened(about, folder, place, source)
        if describe(moved, space.path) != _text(folder.description):
            _check_images(folder, moved)
            if keep:
                remember(folder, moved)


def remember(folder: stores.SplitFolder, dataset: Dataset) -> None:
    """Write down where a data set lies; not where the workspace can only be read, or is being written to."""
    text = describe(dataset, _workspace(folder))
    with suppress(AdaprepError, OSError), folder.lock():
        for path in (folder.second_description, folder.description):
            disk.write_text(path, text)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _check_classes(folder: stores.SplitFolder, moved: Custom) -> None:
    """Raise AdaprepError where the boundaries were made with other classes or settings."""
    if not folder.boundaries.exists():
        return
    stored = stores.open_store(folder.boundaries, "r").parameters
    wanted = {"classes": moved.classes.describe(), "settings": moved.settings()}
    wanted = json.loads(json.dumps(wanted))
    if lines := stores.differences({key: stored.get(key) for key in wanted}, wanted):
        listed = "\n".join(f"  {line}" for line in lines)
        raise AdaprepError(
            f"{moved.source} is another {moved.name} than {folder.path} was made "
            f"from:\n{listed}\nGive the data set another name, or choose another --workspace."
        )


def _check_images(folder: stores.SplitFolder, moved: Dataset) -> None:
    """Raise AdaprepError where none of the first images lies there, or all label maps are others."""
    try:
        names = first_names(folder.inputs, TRIED)
    except (OSError, ValueError):  # damaged: told by whoever reads it
        return
    frames = [
        Frame(
            name,
            joined(moved.root, image),
            joined(moved.root, label),
            joined(moved.root, instance) if instance else None,
        )
        for name, image, label, instance in names
    ]
    some = [path for frame in frames for path in (frame.image, frame.label)]
    if some and not any(map(exists, some)):
        raise AdaprepError(
            f"{moved.root} does not hold {folder.title}: there is no {some[0]}. Give the folder that the "
            f"data set is in now with --root FOLDER."
        )
    if _differ(folder, moved, frames):
        raise AdaprepError(
            f"{moved.root} holds other label maps than {folder.title} was made from, such as "
            f"{frames[0].label}: nothing is changed. Give the folder that the data set is in now with "
            f"--root FOLDER, or name another --workspace."
        )


def _differ(folder: stores.SplitFolder, moved: Dataset, frames: Sequence[Frame]) -> bool:
    """Whether label maps that the boundaries were made from can be read there, and none is the same."""
    from pipeline.stages.frame import source_of

    if not folder.boundaries.exists():
        return False
    store = stores.open_store(folder.boundaries, "r")
    done = store.status()[: len(frames)] == stores.DONE
    sources = store["source"][: len(done)]
    same = []
    for index in np.flatnonzero(done).tolist():
        with suppress(FileError):
            same.append(bool((source_of(moved, frames[index]) == sources[index]).all()))
    return bool(same) and not any(same)
