"""The pre-flight `adaprep check`: does a data set hold what its class table says, file by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import sequences
from pipeline.datasets.base import UNKNOWN, VOID, Dataset, Frame
from pipeline.datasets.files import exists
from pipeline.errors import AdaprepError, FileError
from pipeline.geometry.crops import CENTRAL, central_view, covering
from pipeline.stages import duplicates, engine, fitness, photos
from pipeline.stages.boundaries import BoundaryOptions
from pipeline.stages.engine import BlockResult, Failure
from pipeline.stages.frame import fit_instances, misfit, read_instances, read_label_map

FRAMES_PER_TASK = 8

MAX_DOUBTS = 10
"""Doubtful objects that are named of a split."""

LOST = 0.5
"""A class loses much in the central squares if these hold a smaller share of it than this, times their share
of all pixels."""


@dataclass(frozen=True)
class FrameCheck:
    """What one pair of files holds."""

    name: str
    image: bool  # the image is there
    label: bool
    size: tuple[int, int] | None = None  # of the label map, pixels (H, W)
    kind: str = ""  # modes and data type, such as "RGB image, L labels (uint8)"
    counts: dict[int, int] = field(default_factory=dict)  # pixels of each raw id
    central: dict[int, int] = field(default_factory=dict)  # the same inside the central square
    problems: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()  # what may be wrong with a label map that can be read
    photo: photos.PhotoFacts = field(default_factory=photos.PhotoFacts)
    small: NDArray[np.uint8] | None = None  # the image in few pixels, where images are compared


@dataclass
class CheckReport:
    """All of a split, added up."""

    dataset: Dataset
    split: str
    frames: list[FrameCheck]
    failures: list[Failure]
    notes: list[str]

    @property
    def ok(self) -> bool:
        return not self.failures

    @property
    def pairs(self) -> int:
        return sum(f.image and f.label for f in self.frames)

    @property
    def counts(self) -> Counter[int]:
        """Pixels of each raw id, over all frames."""
        return _sum(frame.counts for frame in self.frames)

    @property
    def central(self) -> Counter[int]:
        """The same inside the central squares."""
        return _sum(frame.central for frame in self.frames)

    @property
    def central_share(self) -> float:
        """Share of all pixels that lie inside the central squares."""
        return sum(self.central.values()) / max(sum(self.counts.values()), 1)

    def kept(self) -> dict[str, float]:
        """Share of the pixels of each class that occurs, by name, that lies inside the central squares."""
        table = self.dataset.classes
        counts, inside = (_by_train_id(c, table.lut) for c in (self.counts, self.central))
        return {table.names[i]: inside[i] / counts[i] for i in sorted(counts)}

    def lost(self) -> dict[str, float]:
        """Those of `kept` that lose much more than the image does: below half the share of all pixels."""
        return {name: share for name, share in self.kept().items() if share < LOST * self.central_share}

    def uncovered(self) -> list[str]:
        """Names of the frames that are so long that the crops for training do not cover them."""
        crops = BoundaryOptions().crop_count(self.dataset, self.split)
        sizes = ((frame.name, frame.size) for frame in self.frames if frame.size and min(frame.size) > 1)
        return [name for name, size in sizes if crops > 1 and covering(*size) > crops]

    def without_target(self) -> list[str]:
        """Names of the frames that hold no pixel of any target class."""
        ids = self._target_ids()
        return [f.name for f in self.frames if f.counts and not ids & f.counts.keys()]

    def images(self) -> dict[Path, NDArray[np.uint8] | None]:
        """The images that are there, each with itself in few pixels if it was made."""
        paths = {frame.name: frame.image for frame in self.dataset.frames(self.split)}
        return {paths[f.name]: f.small for f in self.frames if f.image and f.name in paths}

    def unseen_targets(self) -> list[str]:
        """A sentence where target classes occur in no label map."""
        counts, table = self.counts, self.dataset.classes.train_classes
        unseen = [c.name for c in table if c.target and not self._seen(c.train_id, counts)]
        if not unseen or not counts:
            return []
        what = "target class" if len(unseen) == 1 else "target classes"
        verb = "occurs" if len(unseen) == 1 else "occur"
        return [f"{what} {', '.join(unseen)} {verb} in none of the label maps of {self.split} that were read"]

    def _target_ids(self) -> set[int]:
        return {c.id for c in self.dataset.classes.classes if c.target and c.train_id != VOID}

    def rows(self) -> list[dict[str, Any]]:
        """One row an id that occurs, known to the class table or not: share of all pixels, frames."""
        counts, central = self.counts, self.central
        total = max(sum(counts.values()), 1)
        table = {c.id: c for c in self.dataset.classes.classes}
        seen = Counter(i for f in self.frames for i in f.counts)
        return [
            {
                "id": i,
                "name": table[i].name if i in table else "(unknown)",
                "train_id": table[i].train_id if i in table else None,
                "target": table[i].target if i in table else False,
                "pixels": counts[i],
                "share": counts[i] / total,
                "central_pixels": central[i],
                "central_share": central[i] / counts[i],
                "images": seen[i],
            }
            for i in sorted(counts)
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for --json."""
        counts = self.counts
        total = sum(counts.values())
        unseen = [c.name for c in self.dataset.classes.train_classes if not self._seen(c.train_id, counts)]
        return {
            "dataset": self.dataset.name,
            "split": self.split,
            "ok": self.ok,
            "frames": len(self.frames),
            "pairs": self.pairs,
            "images_missing": sum(not f.image for f in self.frames),
            "labels_missing": sum(not f.label for f in self.frames),
            "sizes": {f"{h}x{w}": n for (h, w), n in Counter(f.size for f in self.frames if f.size).items()},
            "modes": dict(Counter(f.kind for f in self.frames if f.kind)),
            "classes": self.rows(),
            "classes_never_seen": unseen,
            "target_share": sum(counts[i] for i in self._target_ids()) / total if total else 0.0,
            "region": CENTRAL,
            "central_share": self.central_share,
            "lost": self.lost(),
            "uncovered": self.uncovered(),
            "without_target": self.without_target(),
            "problems": [{"name": f.name, "reason": f.reason} for f in self.failures],
            "notes": self.notes,
        }

    def _seen(self, train_id: int, counts: Counter[int]) -> bool:
        return any(counts[c.id] for c in self.dataset.classes.classes if c.train_id == train_id)


def _sum(every: Iterable[Mapping[int, int]]) -> Counter[int]:
    total: Counter[int] = Counter()
    for counts in every:
        total.update(counts)
    return total


def _by_train_id(counts: Mapping[int, int], lut: NDArray[np.uint8]) -> Counter[int]:
    """Pixels of each train id of those of each raw id; without void and unknown ids."""
    total: Counter[int] = Counter()
    for raw, pixels in counts.items():
        if lut[raw] not in (VOID, UNKNOWN):
            total[int(lut[raw])] += pixels
    return total


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


def check_frames(
    dataset: Dataset, start: int, frames: Sequence[Frame], decode: bool, compare: bool = False
) -> BlockResult:
    """One task."""
    found, failures = [], []
    for index, frame in enumerate(frames, start):
        engine.check_stop()
        try:
            result = engine.try_image(frame.label, partial(check_frame, dataset, frame, decode, compare))
        except FileError as error:
            there = exists(frame.image), dataset.has_labels(frame)
            result = FrameCheck(frame.name, *there, problems=(str(error),))
        found.append(result)
        failures += [Failure(index, frame.name, problem) for problem in result.problems]
    return BlockResult(start, start + len(frames), tuple(failures), found)


def neighbours(dataset: Dataset, split: str, frames: Sequence[Frame]) -> list[str]:
    """A sentence where frames of a split were filmed next to frames that networks are trained on."""
    if split in dataset.training_splits or not any(map(dataset.moment, frames)):
        return []
    try:
        trained = [frame for part in dataset.training_splits for frame in dataset.frames(part)]
    except AdaprepError:
        return []
    found = sequences.near(dataset, frames, trained)
    if not found:
        return []
    frame, other, apart = min(found, key=lambda pair: pair[2])
    return [
        f"{len(found)} of {len(frames)} images of {split} were filmed next to an image that is trained on: "
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
) -> CheckReport:
    """Check a split.

    Parameters
    ----------
    decode
        Images are decoded whole, not just their headers.
    compare
        Images are made small, for `compare_splits`.

    Raises
    ------
    AdaprepError
        There is no such split.
    """
    frames = dataset.frames(split)[:limit]
    tasks = [
        engine.Block(
            partial(check_frames, dataset, i, frames[i : i + FRAMES_PER_TASK], decode, compare),
            engine.listed([frame.name for frame in frames[i : i + FRAMES_PER_TASK]]),
        )
        for i in range(0, len(frames), FRAMES_PER_TASK)
    ]
    title = f"checking {dataset.name}/{split}"
    site = fitness.Site(files=fitness.some_of([frame.label for frame in fitness.ends(frames)]))
    where = scheduler or engine.Scheduler()
    engine.check(where, site)
    summary = engine.run(tasks, where, title, listener, len(frames), site=site)
    notes = dataset.notes(split) + neighbours(dataset, split, frames)
    checked = [frame for value in summary.values for frame in value]
    notes += photos.sentences(dataset, [frame.photo for frame in checked])
    notes += _doubtful(checked)
    report = CheckReport(dataset, split, checked, summary.failures, notes)
    return replace(report, notes=notes + report.unseen_targets())


def _doubtful(checked: Sequence[FrameCheck]) -> list[str]:
    doubts = [doubt for frame in checked for doubt in frame.doubts]
    if len(doubts) > MAX_DOUBTS:
        doubts[MAX_DOUBTS:] = [f"... and {len(doubts) - MAX_DOUBTS} more such objects"]
    return doubts


def compare_splits(reports: Sequence[CheckReport]) -> list[str]:
    """A sentence for each split in which images stand that are trained on, put into its report's notes."""
    training = [r for r in reports if r.split in r.dataset.training_splits]
    said = []
    for report in reports:
        for trained in training if report not in training else []:
            ours, theirs = report.images(), trained.images()
            pairs = duplicates.same_files([*ours], [*theirs])
            known = {pair.image for pair in pairs}
            pairs += duplicates.look_alikes(_small(ours, known), _small(theirs, set()))
            notes = duplicates.sentences(report.split, trained.split, pairs, len(ours))
            report.notes.extend(notes)
            said += notes
    return said


def _small(
    images: Mapping[Path, NDArray[np.uint8] | None], without: set[Path]
) -> dict[Path, NDArray[np.uint8]]:
    return {path: small for path, small in images.items() if small is not None and path not in without}
