"""`adaprep evaluate`: whole systems, from large images to labels of every pixel, against the ground truth."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.datasets import sequences
from pipeline.datasets.base import Dataset, Frame
from pipeline.errors import AdaprepError, FileError
from pipeline.evaluation import scoring
from pipeline.evaluation.scoring import FRAMES_PER_TASK, MEASURED_AT, OwnMetrics, Score, score_labels
from pipeline.geometry.crops import CENTRAL, WHOLE, Region, central_view, covering
from pipeline.inference.systems import System
from pipeline.inference.tiling import label
from pipeline.networks import macs
from pipeline.stages import engine
from pipeline.stages.engine import BlockResult, Failure
from pipeline.workspace.disk import plain
from pipeline.workspace.per_image import PerImage

TIMED = 9
"""Times that a system is timed, after one that is not counted."""


@dataclass
class EvaluationReport:
    """All systems over a split."""

    dataset: Dataset
    split: str
    systems: Sequence[System]
    scores: dict[str, Score]  # by the system's name; empty if no image could be used
    images: int
    sides: tuple[int, int]  # smallest and largest square in pixels
    squares: tuple[int, int] = (1, 1)  # fewest and most that were labelled of an image
    region: Region = CENTRAL
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    per_image: dict[str, PerImage] = field(default_factory=dict)  # by the system's name
    timed: dict[str, float] = field(default_factory=dict)  # milliseconds for one square, by the system's name
    machine: str = ""  # that they were measured on

    @property
    def ok(self) -> bool:
        return not self.failures

    def rows(self) -> list[dict[str, Any]]:
        """One row a system, plain data; None where there is nothing to measure."""
        return [self._row(system, self.scores[system.name]) for system in self.systems if self.scores]

    def _row(self, system: System, score: Score) -> dict[str, Any]:
        return {
            "name": system.name,
            "sampler": system.sampler.describe(),
            "resolution": system.resolution,
            "gmacs": (system.base_macs + system.auxiliary_macs) / 1e9,
            "auxiliary_gmacs": system.auxiliary_macs / 1e9,
            "parameters": system.parameters,
            **scoring.figures(score, self.dataset.classes),
            **({"per_image": self.per_image[system.name].as_dict()} if system.name in self.per_image else {}),
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain data for --json."""
        return {
            "dataset": self.dataset.name,
            "split": self.split,
            "images": self.images,
            "region": self.region,
            "measured_at": MEASURED_AT[self.region],
            "crop_sides": list(self.sides),
            "squares": list(self.squares),
            "gmacs_at": f"resolution of the sampled image, and of the auxiliary network's input; one "
            f"{'square' if self.region == WHOLE else 'image'}",
            "milliseconds": {system.name: self.timed.get(system.name) for system in self.systems},
            "milliseconds_at": f"one square of {self.sides[1]} pixels to labels, {self.machine}",
            **scoring.facts(self.scores.values(), self.dataset.classes),
            "systems": self.rows(),
            "notes": self.notes,
            "failures": [{"name": f.name, "reason": f.reason} for f in self.failures],
        }


@dataclass(frozen=True)
class FrameScores:
    """Every system on one image."""

    scores: dict[str, Score]  # by the system's name
    side: int  # of a square, in pixels
    squares: int  # that were labelled
    name: str  # of the frame
    sequence: str | None  # that it was filmed in


def score_frame(
    dataset: Dataset,
    frame: Frame,
    systems: Sequence[System],
    region: Region = CENTRAL,
    own: OwnMetrics | None = None,
) -> FrameScores:
    """Every system on the central square of one frame, or on all of it. Raises FileError.

    A whole image is labelled as `adaprep predict` does: by the fewest squares that cover it, each sampled by
    a tensor of its own, and joined (`pipeline.inference.tiling`).
    """
    from pipeline.stages.frame import read_instances
    from pipeline.stages.outputs import load_view

    height, width = dataset.label_size(frame)
    if min(height, width) < 2:
        raise FileError(f"{frame.label}: has fewer than 2 pixels along a side, too few for a crop")
    view = load_view(dataset, frame, 1, {})
    instances = read_instances(dataset, frame, view.raw.shape)
    cut = np.asarray if region == WHOLE else central_view
    image, raw = cut(view.image), np.ascontiguousarray(cut(view.raw))
    truth, inside = view.train_ids(raw), None if instances is None else np.ascontiguousarray(cut(instances))
    scores = {}
    for system in systems:
        labels, folded = _labelled(system, image, truth, dataset.classes.targets)
        scores[system.name] = score_labels(truth, labels, inside, dataset.classes, folded, own)
    moment = dataset.moment(frame)
    sequence = None if moment is None else moment.sequence
    return FrameScores(scores, min(image.shape[:2]), covering(*image.shape[:2]), frame.name, sequence)


def _labelled(
    system: System, image: NDArray[np.uint8], truth: NDArray[np.uint8], targets: Sequence[int]
) -> tuple[NDArray[np.uint8], int]:
    """Labels (H, W) of an image (H, W, 3), and the folded cells of the tensors that it was sampled with."""
    from pipeline.geometry.tensors import folded_cells

    folded = 0

    def label_square(square: NDArray[np.uint8], true: NDArray[np.uint8]) -> NDArray[np.uint8]:
        nonlocal folded
        phi = system.tensor(square, np.ascontiguousarray(true), targets)
        folded += int(folded_cells(phi).sum())
        labels = system.labels(square, phi)
        system.sampler.seen(labels)
        return labels

    system.sampler.begin()
    return label(image, label_square, truth), folded


def _score_frames(
    dataset: Dataset,
    start: int,
    frames: Sequence[Frame],
    systems: Sequence[System],
    region: Region,
    own: OwnMetrics | None,
) -> BlockResult:
    found, failures = [], []
    for index, frame in enumerate(frames, start):
        engine.check_stop()
        try:
            with engine.one_image(frame.image):
                found.append(score_frame(dataset, frame, systems, region, own))
        except FileError as error:
            failures.append(Failure(index, frame.name, str(error)))
    return BlockResult(start, start + len(frames), tuple(failures), found)


def _parts(dataset: Dataset, frames: Sequence[Frame], systems: Sequence[System]) -> list[Sequence[Frame]]:
    """The frames of each task: a few, or those of a video in order of time where a sampler looks back."""
    looking = [system.sampler.kind for system in systems if system.sampler.in_order]
    if not looking:
        return [frames[i : i + FRAMES_PER_TASK] for i in range(0, len(frames), FRAMES_PER_TASK)]
    clips = sequences.clips(dataset, frames)
    if clips is None:
        raise AdaprepError(
            f"the sampler {looking[0]} looks at the frame before, and {dataset.name} does not say which "
            f"video an image is of and when it was filmed: it is for data sets of videos. `adaprep predict` "
            f"takes a folder of frames."
        )
    return [[frames[place] for place in clip] for clip in clips]


def run(
    dataset: Dataset,
    split: str,
    frames: Sequence[Frame],
    systems: Sequence[System],
    notes: Sequence[str] = (),
    listener: engine.Listener | None = None,
    region: Region = CENTRAL,
    own: OwnMetrics | None = None,
) -> EvaluationReport:
    """Score every system over the given frames of a split. A file that cannot be used is in the report.

    `own` are metrics of the user's, measured beside adaprep's.
    """
    tasks, start = [], 0
    for part in _parts(dataset, frames, systems):
        alone = [replace(system, sampler=system.sampler.restarted()) for system in systems]
        score = partial(_score_frames, dataset, start, part, alone, region, own)
        tasks.append(engine.Block(score, engine.listed([frame.name for frame in part])))
        start += len(part)
    title = f"evaluation on {dataset.name}/{split}"
    summary = engine.run(tasks, engine.Scheduler(), title, listener, len(frames))
    found = [one for block in summary.values for one in block]
    timed = _timed(dataset, frames, systems) if found else {}
    sides, squares = [one.side for one in found] or [0], [one.squares for one in found] or [1]
    return EvaluationReport(
        dataset,
        split,
        systems,
        scoring.total(one.scores for one in found),
        len(found),
        (min(sides), max(sides)),
        (min(squares), max(squares)),
        region,
        summary.failures,
        summary.seconds,
        list(notes),
        _per_image(found, systems),
        timed,
        machine(systems),
    )


def _per_image(found: Sequence[FrameScores], systems: Sequence[System]) -> dict[str, PerImage]:
    if not found:
        return {}
    names, known = [one.name for one in found], [one.sequence for one in found if one.sequence is not None]
    sequences = known if len(known) == len(found) else None
    return {
        system.name: PerImage.of(
            [one.scores[system.name].confusion.counts for one in found], names, sequences
        )
        for system in systems
    }


def _timed(dataset: Dataset, frames: Sequence[Frame], systems: Sequence[System]) -> dict[str, float]:
    """Milliseconds from the central square of an image in memory to its labels, by the system's name."""
    from pipeline.stages.outputs import load_view

    for frame in frames:
        with suppress(FileError):
            view = load_view(dataset, frame, 1, {})
            truth = view.train_ids(np.ascontiguousarray(central_view(view.raw)))
            square = np.ascontiguousarray(central_view(view.image))
            return milliseconds(systems, square, truth, dataset.classes.targets)
    return {}


def milliseconds(
    systems: Sequence[System], square: NDArray[np.uint8], truth: NDArray[np.uint8], targets: Sequence[int]
) -> dict[str, float]:
    """Fastest times of several from a square (S, S, 3) to its labels (S, S), by the system's name.

    Systems take turns; runs are timed at different moments. What else the machine does can only add to
    a time: the fastest is the one to compare.
    """
    took: dict[str, list[float]] = {system.name: [] for system in systems}
    alone = [replace(system, sampler=system.sampler.restarted()) for system in systems]
    for _ in range(1 + TIMED):
        for system in alone:
            begun = time.perf_counter()
            _labelled(system, square, truth, targets)
            took[system.name].append(1000 * (time.perf_counter() - begun))
    return {name: round(min(times[1:]), 3) for name, times in took.items()}


def machine(systems: Sequence[System]) -> str:
    """What systems run on, in words."""
    devices = {system.device for system in systems}
    gpus = [torch.cuda.get_device_name(device) for device in devices if device.type == "cuda"]
    return ", ".join([*sorted(gpus), f"{torch.get_num_threads()} CPU threads"])


def costs(classes: int | None = None) -> Iterator[dict[str, Any]]:
    """What networks cost, one row a network and resolution, beside the paper's figure where there is one.

    Parameters
    ----------
    classes
        Of base networks; the paper's own numbers of classes when None.
    """
    if classes is None:
        yield from map(_cost, macs.table())
        return
    from pipeline.networks.factory import build

    networks: dict[str, nn.Module] = {}
    figures = {(p.network, p.classes, p.resolution): p for p in macs.PAPER}
    yield from map(_cost, takewhile(lambda row: row.paper.network == "auxiliary", macs.table()))
    for name, side in dict.fromkeys((p.network, p.resolution) for p in macs.PAPER if p.classes):
        if name not in networks:
            with torch.device("meta"):
                networks[name] = build(name, classes)
        unknown = macs.PaperFigure(name, classes, side, math.nan, "")
        paper = figures.get((name, classes, side), unknown)
        cost = macs.macs(networks[name], (3, side, side))
        yield _cost(macs.CostRow(paper, macs.parameters(networks[name]), cost))


def _cost(row: macs.CostRow) -> dict[str, Any]:
    return {
        "network": row.paper.network,
        "classes": row.paper.classes or None,
        "resolution": row.paper.resolution,
        "parameters": row.parameters,
        "gmacs": row.macs / 1e9,
        "paper_gmacs": plain(row.paper.giga),
        "source": row.paper.source,
    }
