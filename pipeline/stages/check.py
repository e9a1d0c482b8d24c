"""The pre-flight `adaprep check`: does a data set hold what its class table says, file by file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import sequences
from pipeline.datasets.base import UNKNOWN, Dataset, Frame
from pipeline.datasets.files import exists
from pipeline.errors import AdaprepError, FileError
from pipeline.geometry.crops import central_view
from pipeline.stages import duplicates, engine, fitness, frame_list, photos
from pipeline.stages.checked import CheckReport, FrameCheck, InOrder, Totals, crops_of, target_ids
from pipeline.stages.engine import BlockResult, Failure
from pipeline.stages.frame import fit_instances, misfit, read_instances, read_label_map
from pipeline.stages.frame_list import FrameList
from pipeline.units import several

FRAMES_PER_TASK = 8

MAX_TASKS = 4096
"""Tasks of a split, so that they take no more memory the more images it has."""


def histogram(labels: NDArray[Any], rows: int = 128) -> dict[int, int]:
    """Pixels a raw id of an (H, W) map; a strip of rows at a time, since bincount makes 64-bit copies."""
    size = 256 if labels.dtype == np.uint8 else 65536
    total = np.zeros(size, np.int64)
    for i in range(0, len(labels), rows):
        total += np.bincount(labels[i : i + rows].ravel(), minlength=size)
    return {int(i): int(total[i]) for i in np.flatnonzero(total)}


def check_frame(dataset: Dataset, frame: Frame, decode: bool = False, compare: bool = False) -> FrameCheck:
    """Read one label map whole, and its image's header or all of it, and list everything that is wrong.

    With `compare`, the image is made small, so that it can be compared with those of other splits.
    """
    image, label = exists(frame.image), dataset.has_labels(frame)
    problems = [] if image else [f"{frame.image}: no such image"]
    try:
        labels = read_label_map(dataset, frame).ids
    except FileError as error:
        return FrameCheck(frame.name, image, label, problems=(*problems, str(error)))
    counts, central = histogram(labels), {}
    if min(labels.shape) < 2:
        height, width = labels.shape
        problems.append(f"{frame.label}: {width} x {height} pixels are too few for a crop, so none sees it")
    else:
        central = histogram(central_view(labels))
    if unknown := [i for i in counts if dataset.classes.lut[i] == UNKNOWN]:
        problems.append(
            f"{frame.label}: id {', '.join(map(str, unknown))} is not in the class table of {dataset.name}"
        )
    if image:
        try:
            size = _image_size(dataset, frame, decode)
            if problem := misfit(frame, labels.shape, size):
                problems.append(problem)
        except FileError as error:
            problems.append(str(error))
    if frame.instance is not None and exists(frame.instance):
        try:
            _check_instances(dataset, frame, labels.shape, decode)
        except FileError as error:
            problems.append(str(error))
    height, width = labels.shape
    kind = f"{mode_of(frame.image)} image, {_kind_of_labels(dataset, frame)} labels ({labels.dtype})"
    checked = FrameCheck(frame.name, image, label, (height, width), kind, counts, central, tuple(problems))
    return replace(
        checked,
        doubts=tuple(dataset.doubts(frame)),
        photo=photos.facts_of(dataset, frame, labels.shape) if image else checked.photo,
        small=duplicates.small_picture(frame.image) if image and compare else None,
    )


def mode_of(path: Path) -> str:
    """Pillow's mode of an image file, from its header; "no" where there is none, else the file's suffix."""
    from pipeline.datasets import readers

    try:
        return readers.picture_mode(path)
    except FileError:
        return path.suffix.lstrip(".") if exists(path) else "no"


def _kind_of_labels(dataset: Dataset, frame: Frame) -> str:
    """The mode of a label file, or the name of the format where it is no picture."""
    found = mode_of(frame.label)
    return dataset.labels_are if found == "no" and dataset.has_labels(frame) else found


def _check_instances(dataset: Dataset, frame: Frame, shape: tuple[int, ...], decode: bool) -> None:
    from pipeline.datasets import readers

    if decode:
        read_instances(dataset, frame, shape)
    elif frame.instance is not None:
        fit_instances(frame, readers.label_size(frame.instance), shape)


def _image_size(dataset: Dataset, frame: Frame, decode: bool) -> tuple[int, int]:
    if not decode:
        return dataset.image_size(frame)
    height, width = dataset.read_image(frame).shape[:2]
    return height, width


@dataclass(frozen=True)
class CheckJob:
    """What the tasks of a run share."""

    dataset: Dataset
    decode: bool
    compare: bool
    crops: int
    targets: frozenset[int]


def check_frames(job: CheckJob, start: int, frames: Sequence[Frame]) -> BlockResult:
    """One task."""
    totals, failures = Totals(), list[Failure]()
    for index, frame in enumerate(frames, start):
        engine.check_stop()
        try:
            one = partial(check_frame, job.dataset, frame, job.decode, job.compare)
            result = engine.try_image(frame.label, one)
        except FileError as error:
            there = exists(frame.image), job.dataset.has_labels(frame)
            result = FrameCheck(frame.name, *there, problems=(str(error),))
        totals.take(index, result, job.targets, job.crops)
        failures += [Failure(index, frame.name, problem) for problem in result.problems]
    return BlockResult(start, start + len(frames), tuple(failures), [totals])


def neighbours(dataset: Dataset, split: str, frames: Sequence[Frame]) -> list[str]:
    """A sentence where frames of a split were filmed next to frames that networks are trained on."""
    if split in dataset.training_splits or not any(map(dataset.moment, frames)):
        return []
    try:
        trained = [frame_list.listed(dataset, part) for part in dataset.training_splits]
    except AdaprepError:
        return []
    count, nearest = 0, None
    for pair in sequences.near(dataset, frames, trained):
        count += 1
        nearest = pair if nearest is None or pair[2] < nearest[2] else nearest
    if nearest is None:
        return []
    frame, other, apart = nearest
    some = f"{count} of {several(len(frames), 'image')} of {split} {'was' if count == 1 else 'were'} filmed"
    return [
        f"{some} next to an image that is trained on: "
        f"{frame.name} is {apart} from {other.name} by number. Figures on them say little about other "
        f"places: hold whole sequences out."
    ]


def run(
    dataset: Dataset,
    split: str,
    limit: int | None = None,
    scheduler: engine.Scheduler | None = None,
    listener: engine.Listener | None = None,
    decode: bool = False,
    compare: bool = False,
    frames: FrameList | None = None,
) -> CheckReport:
    """Check a split.

    Parameters
    ----------
    decode
        Images are decoded whole, not just their headers.
    compare
        Images are made small, for `compare_splits`.
    frames
        All of the split's, where they have been listed.

    Raises
    ------
    AdaprepError
        There is no such split.
    """
    frames = frame_list.listed(dataset, split, limit) if frames is None else frames.first(limit)
    job = CheckJob(dataset, decode, compare, crops_of(dataset, split), target_ids(dataset))
    size = max(FRAMES_PER_TASK, -(-len(frames) // MAX_TASKS))
    parts = ((start, frames[start : start + size]) for start in range(0, len(frames), size))
    tasks = [
        engine.Block(partial(check_frames, job, start, part), engine.listed(part.names()))
        for start, part in parts
    ]
    title = f"checking {dataset.name}/{split}"
    site = fitness.Site(files=fitness.some_of([frame.label for frame in fitness.ends(frames)]))
    where = scheduler or engine.Scheduler()
    engine.check(where, site)
    totals = Totals()
    summary = engine.run(tasks, where, title, listener, len(frames), InOrder(totals).take, site)
    notes = dataset.notes(split) + neighbours(dataset, split, frames)
    report = CheckReport(dataset, split, frames, totals, summary.failures, notes)
    notes += photos.sentences(dataset, totals.photos)
    notes += report.doubtful() + report.unseen_targets()
    return report


def compare_splits(reports: Sequence[CheckReport]) -> list[str]:
    """A sentence for each split in which images stand that are trained on, put into its report's notes."""
    training = [r for r in reports if r.split in r.dataset.training_splits]
    said = []
    for report in reports:
        for trained in training if report not in training else []:
            notes = _compared(report, trained)
            report.notes.extend(notes)
            said += notes
    return said


def _compared(report: CheckReport, trained: CheckReport) -> list[str]:
    """What to say of the images of a split that stand in one that is trained on."""
    ours, theirs = report.images(), trained.images()
    same, known = duplicates.Found(), set[int]()
    for place, other in duplicates.same_files(ours, theirs):
        same.add(ours[place], theirs[other])
        if place in report.totals.small:
            known.add(place)
    alike = duplicates.Found()
    small = [
        {i: s for i, s in r.totals.small.items() if r is trained or i not in known} for r in (report, trained)
    ]
    for place, other in duplicates.look_alikes(*small):
        alike.add(ours[place], theirs[other])
    return duplicates.sentences(report.split, trained.split, same, alike, report.image_count)
