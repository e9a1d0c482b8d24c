"""`adaprep init`."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import advice
from pipeline import options as opening
from pipeline.errors import AdaprepError
from pipeline.screen import say
from pipeline.settings import setting

FORMATS = ("ids", "colors", "masks", "coco", "labelme", "yolo", "supervisely")


@dataclass(frozen=True)
class Options:
    """Options of `adaprep init`."""

    folder: Path = setting(argument=True, metavar="FOLDER")
    output: Path | None = setting(None, "YAML file. Default: NAME.yaml, here.", short="-o")
    name: str | None = setting(None, "What the data set is called. Default: the folder's name.")
    labels_are: str | None = setting(None, "Which labels, where there are several.", choices=FORMATS)
    sample: int = setting(200, "Label files to look into where there are more.", low=1)
    extract_to: Path | None = setting(None, "Folder that a zip or tar file is unpacked into.")
    force: bool = setting(False, "Replace a YAML file that is there.")


@opening.command("init", Options)
def command(options: Options) -> None:
    """Describe FOLDER in a YAML file that every command takes: what pairs up, classes, splits, targets.

    FOLDER holds images and labels: label maps, COCO, Labelme, YOLO or Supervisely. It may also be a list of
    pairs, or a zip or tar file. Nothing in it is changed.

    \b
    Examples:
      adaprep init photos
      adaprep init VOCdevkit/VOC2012 -o voc.yaml
      adaprep init export.zip --extract-to export
    """
    from pipeline.datasets.discovery import discover, measured, written
    from pipeline.marks import Writer
    from pipeline.names import check_component
    from pipeline.workspace import disk

    place = _place(options)
    look = discover.discover_file if os.path.isfile(place) else discover.discover
    found = look(place, options.sample, options.labels_are)
    if options.name is not None:
        found = replace(found, name=check_component("name of a data set", options.name))
    path = options.output or Path(f"{found.name}.yaml")
    found = measured.measured(found, path)
    files = {**written.lists(found, path), path: written.text(found, path)}
    for file in files:
        _check_free(file, found.root, options.force)
        Writer(force=True).check(file)
    for file, text in files.items():
        disk.write_text(file, text)
    say("\n".join([f"{found.root}: {found.layout.what}", *written.summary(found)[1:]]))
    say(f"written: {', '.join(map(str, reversed(files)))}")
    say(f"Look through it, edit what is wrong, then run: {advice.command('check', dataset=str(path))}")


def _place(options: Options) -> Path:
    """The folder or the list to look at; an archive is unpacked first."""
    from pipeline.datasets.discovery import archives

    path = options.folder
    if not os.path.isfile(path):
        return path
    if archives.is_archive(path):
        target = options.extract_to or path.with_name(archives.stem(path))
        if options.extract_to is None:
            again = advice.command("init", folder=path, extract_to=target)
            raise AdaprepError(
                f"{path} is an archive: unpack it and name the folder, or have it unpacked:\n"
                f"  {archives.command(path, target)}\n  {again}"
            )
        archives.unpack(path, target)
        return target
    if path.suffix.lower() in (".yaml", ".yml"):
        raise AdaprepError(
            f"{path} is a YAML file. If it describes a data set, run: "
            f"{advice.command('check', dataset=str(path))}. If it is YOLO's, name its folder: "
            f"{advice.command('init', folder=path.parent)}"
        )
    return path


def _check_free(path: Path, root: Path, force: bool) -> None:
    """Raise AdaprepError if something is there that may not be replaced, with `force` a data set's file."""
    from pipeline.datasets.discovery import written

    if not os.path.lexists(path):
        return
    if not force:
        raise AdaprepError(
            f"{path} is there already: edit it, write another file with -o, or replace it with --force."
        )
    if Path(os.path.realpath(root)) in Path(os.path.realpath(path)).parents and not written.is_ours(path):
        raise AdaprepError(
            f"{path} lies in the folder that is described, and init did not write it: choose another name."
        )
