"""`adaprep convert`: the labels of any data set as PNG files of ids, with a description that reads them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.base import Dataset, Frame
from pipeline.datasets.yaml_text import flow, pair, relative
from pipeline.errors import AdaprepError, FileError
from pipeline.marks import Writer, is_ours, png_info
from pipeline.names import check_component, printable
from pipeline.stages import engine
from pipeline.stages.engine import BlockResult, Failure
from pipeline.workspace import disk

LABELS = "labels"
WRITTEN = "# Written by `adaprep convert`"
"""Begins the text files that are written, and marks them as ours."""

SOURCE = "Source"
"""Key of a PNG's text that holds the fingerprint of what it was made of."""

FRAMES_PER_TASK = 8
VERSION = 1
"""Of what is written: raised when the same source gives other pixels."""


@dataclass(frozen=True)
class ConversionJob:
    """One frame and the file that its ids are written to."""

    frame: Frame
    path: Path


@dataclass(frozen=True)
class ConversionPlan:
    """What one split comes to."""

    split: str
    jobs: tuple[ConversionJob, ...]
    refused: tuple[Failure, ...]  # frames whose names cannot name a file below the folder


def plan(
    dataset: Dataset, splits: Sequence[str], folder: Path, writer: Writer, limit: int | None
) -> list[ConversionPlan]:
    """Where everything goes; nothing is written yet.

    Raises
    ------
    AdaprepError
        A file is there that adaprep did not make, or that the data set consists of.
    """
    plans = []
    every = {split: dataset.frames(split)[:limit] for split in splits}
    files = {p for frames in every.values() for f in frames for p in (f.image, *dataset.label_files(f))}
    inputs = {os.path.realpath(path) for path in files}
    for split, frames in every.items():
        below = folder / LABELS / check_component("name of a split", split)
        jobs, refused = list[ConversionJob](), list[Failure]()
        for number, frame in enumerate(frames):
            if problem := _problem(frame):
                refused.append(Failure(number, frame.name, problem))
                continue
            job = ConversionJob(frame, below / f"{frame.name}.png")
            _check(job.path, writer, inputs)
            jobs.append(job)
        plans.append(ConversionPlan(split, tuple(jobs), tuple(refused)))
    for path in (description_path(dataset, folder), *(_list_path(folder, split) for split in splits)):
        if os.path.realpath(path) == os.path.realpath(getattr(dataset, "source", "")):
            raise AdaprepError(f"{path} describes the data set that is read: give another folder to -o.")
        writer.check(path, ours=_is_our_text(path))
    return plans


def _problem(frame: Frame) -> str:
    """Why a frame cannot be written and listed; "" where it can."""
    parts = frame.name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return f"the name {frame.name!r} leads out of the folder that label maps are written to"
    if any(c in f"{frame.image}{frame.name}" for c in "\t\n\r\0"):
        return "its name holds a tab or a line break, and cannot stand in a list"
    return ""


def _check(path: Path, writer: Writer, inputs: set[str]) -> None:
    if not os.path.lexists(path):
        return
    if os.path.realpath(path) in inputs:
        raise AdaprepError(f"{path} is read by this command and not written over: give another folder to -o.")
    writer.check(path)


def description_path(dataset: Dataset, folder: Path) -> Path:
    """The YAML file that describes what was converted."""
    return folder / f"{dataset.name}.yaml"


def _list_path(folder: Path, split: str) -> Path:
    return folder / f"{split}.txt"


def _is_our_text(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(WRITTEN)) == WRITTEN.encode()
    except OSError:
        return False


def run(
    dataset: Dataset,
    one: ConversionPlan,
    writer: Writer,
    scheduler: engine.Scheduler,
    listener: engine.Listener | None = None,
) -> tuple[engine.Summary, list[ConversionJob]]:
    """Write the label maps of a split, each whole or not at all; those that are as they should be stay.

    Returns
    -------
    The summary, with the frames that could not be used, and the jobs whose files are there now.
    """
    tasks = [
        engine.Block(
            partial(_convert, dataset, writer, start, one.jobs[start : start + FRAMES_PER_TASK]),
            engine.listed([job.frame.name for job in one.jobs[start : start + FRAMES_PER_TASK]]),
        )
        for start in range(0, len(one.jobs), FRAMES_PER_TASK)
    ]
    title = f"label maps of {dataset.name}/{one.split}"
    summary = engine.run(tasks, scheduler, title, listener, len(one.jobs))
    failed = {failure.name for failure in summary.failures}
    summary.skipped = sum(value for value in summary.values if value)
    summary.images -= summary.skipped
    summary.images += len(one.refused)
    summary.failures += one.refused
    return summary, [job for job in one.jobs if job.frame.name not in failed and job.path.exists()]


def _convert(dataset: Dataset, writer: Writer, start: int, jobs: Sequence[ConversionJob]) -> BlockResult:
    """One block; its value is how many files were as they should be already."""
    failures, kept = [], 0
    for number, job in enumerate(jobs, start):
        engine.check_stop()
        try:
            kept += not engine.try_image(job.frame.label, partial(convert, dataset, job, writer))
        except FileError as error:
            failures.append(engine.failed(number, job.frame.name, error))
    return BlockResult(start, start + len(jobs), tuple(failures), kept)


def convert(dataset: Dataset, job: ConversionJob, writer: Writer) -> bool:
    """Write the ids of one frame, unless the file holds them already.

    Returns
    -------
    Whether it was written.

    Raises
    ------
    FileError
        The labels cannot be read.
    AdaprepError
        The file cannot be written.
    """
    from PIL import Image

    data = dataset.label_bytes(job.frame)
    mark = fingerprint(dataset, data, job.frame)
    if stored_fingerprint(job.path) == mark:
        return False
    ids = dataset.decode_labels(data, job.frame)
    if ids.max(initial=0) < 256:
        ids = ids.astype(np.uint8)
    info = png_info()
    info.add_text(SOURCE, mark)
    with writer.replacing(job.path) as partial_path:
        Image.fromarray(ids).save(partial_path, "PNG", pnginfo=info)
    return True


def fingerprint(dataset: Dataset, data: bytes, frame: Frame) -> str:
    """Digest of all that the ids of a frame depend on: its labels' bytes, its name, the settings and ids."""
    about = [VERSION, frame.name, dataset.settings(), [c.id for c in dataset.classes.classes]]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode("utf-8", "surrogatepass"))
    digest.update(data)
    return digest.hexdigest()


def stored_fingerprint(path: Path) -> str | None:
    """What a file of ours was made of; None of every other file."""
    from PIL import Image

    if not is_ours(path):
        return None
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return str(image.info.get(SOURCE))
    except (OSError, ValueError, SyntaxError):
        return None


def describe(
    dataset: Dataset, folder: Path, converted: dict[str, list[ConversionJob]], writer: Writer
) -> Path:
    """Write the lists of the splits and the YAML file, each whole or not at all.

    Splits that were converted before are described, too.

    Returns
    -------
    The path of the YAML file.

    Raises
    ------
    AdaprepError
        Not one label map was converted, or a file cannot be written.
    """
    splits = {split: jobs for split, jobs in converted.items() if jobs}
    if not splits:
        raise AdaprepError(f"{dataset.name}: not one label map could be converted")
    for split, jobs in splits.items():
        lines = [f"{WRITTEN}: image, label map; relative to the root in {dataset.name}.yaml"]
        lines += ["\t".join(_fields(dataset, job)) for job in jobs]
        _write(_list_path(folder, split), "\n".join(lines) + "\n", writer)
    path = description_path(dataset, folder)
    there = [s for s in dataset.splits if s in splits or _is_our_text(_list_path(folder, s))]
    _write(path, _yaml(dataset, folder, there), writer)
    return path


def _write(path: Path, text: str, writer: Writer) -> None:
    with disk.writing(path), writer.replacing(path, ours=_is_our_text(path)) as partial_path:
        partial_path.write_text(text, encoding="utf-8", errors="surrogateescape")


def _fields(dataset: Dataset, job: ConversionJob) -> list[str]:
    paths = [job.frame.image, job.path, *([job.frame.instance] if job.frame.instance else [])]
    return [relative(path, dataset.root) for path in paths]


def _of_images(dataset: Dataset) -> dict[str, Any]:
    """How images are read, so that they lie and look as they do beside the labels that were converted."""
    turned = dataset.images_are == "auto" and dataset.shown_if_unclear
    said: dict[str, Any] = {"images_are": "shown" if turned else dataset.images_are}
    if said["images_are"] == "auto":
        said = {}
    if dataset.image_range is not None:
        said["image_range"] = list(dataset.image_range)
    return said


def _yaml(dataset: Dataset, folder: Path, splits: Sequence[str]) -> str:
    lines = [f"{WRITTEN} from {printable(dataset.name)}: the same images, with label maps of ids."]
    about: dict[str, Any] = {"name": dataset.name, "title": dataset.title, "license": dataset.license}
    lines += [pair(key, value) for key, value in about.items() if value]
    lines.append(pair("root", relative(dataset.root, folder)))
    lines += [pair(key, value) for key, value in _of_images(dataset).items()]
    lines.append("classes:")
    for row in dataset.classes.classes:
        color = "#" + "".join(f"{channel:02x}" for channel in row.color)
        keys = {"id": row.id, "name": row.name, "train_id": row.train_id, "color": color}
        lines.append(f"  - {flow(keys)}")
    lines.append(pair("targets", [dataset.classes.names[t] for t in dataset.classes.targets]))
    training = [split for split in splits if split in dataset.training_splits]
    lines.append(pair("training_splits", training))
    lines.append("splits:")
    lines += ["  " + pair(s, {"list": relative(_list_path(folder, s), dataset.root)}) for s in splits]
    return "\n".join(lines) + "\n"
