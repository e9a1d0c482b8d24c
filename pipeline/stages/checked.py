"""What `adaprep check` found in a split, added up: sums, and the places of the few images that are named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import UNKNOWN, VOID, Dataset, Frame
from pipeline.geometry.crops import CENTRAL, covering
from pipeline.stages.boundaries import BoundaryOptions
from pipeline.stages.engine import BlockResult, Failure
from pipeline.stages.photos import PhotoCounts, PhotoFacts

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
    photo: PhotoFacts = field(default_factory=PhotoFacts)
    small: NDArray[np.uint8] | None = None  # the image in few pixels, where images are compared


@dataclass
class Totals:
    """Sums over some frames of a split; of single frames only the places of those that may be named."""

    pairs: int = 0
    images_missing: int = 0
    labels_missing: int = 0
    counts: Counter[int] = field(default_factory=Counter)  # pixels of each raw id
    central: Counter[int] = field(default_factory=Counter)  # the same inside the central squares
    images: Counter[int] = field(default_factory=Counter)  # that hold each raw id
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (H, W)
    kinds: Counter[str] = field(default_factory=Counter)
    without_target: list[int] = field(default_factory=list)
    uncovered: list[int] = field(default_factory=list)  # by the crops for training
    doubts: list[str] = field(default_factory=list)  # the first few
    doubted: int = 0
    photos: PhotoCounts = field(default_factory=PhotoCounts)
    small: dict[int, NDArray[np.uint8]] = field(default_factory=dict)  # images in few pixels, by place

    def take(self, place: int, frame: FrameCheck, targets: frozenset[int], crops: int) -> None:
        """Add one frame.

        Parameters
        ----------
        targets
            Raw ids of target classes.
        crops
            For training, of each image; 1 where the split is for evaluation.
        """
        self.pairs += frame.image and frame.label
        self.images_missing += not frame.image
        self.labels_missing += not frame.label
        self.counts.update(frame.counts)
        self.central.update(frame.central)
        self.images.update(frame.counts.keys())
        if frame.size:
            self.sizes[frame.size] += 1
            if min(frame.size) > 1 and 1 < crops < covering(*frame.size):
                self.uncovered.append(place)
        if frame.kind:
            self.kinds[frame.kind] += 1
        if frame.counts and not targets & frame.counts.keys():
            self.without_target.append(place)
        self._doubt(frame.doubts, len(frame.doubts))
        self.photos += PhotoCounts.of(frame.photo)
        if frame.small is not None:
            self.small[place] = frame.small

    def _doubt(self, doubts: Sequence[str], count: int) -> None:
        self.doubts += doubts[: MAX_DOUBTS - len(self.doubts)]
        self.doubted += count

    def add(self, other: Totals) -> None:
        """Add the sums of the frames that follow."""
        self.pairs += other.pairs
        self.images_missing += other.images_missing
        self.labels_missing += other.labels_missing
        for name in ("counts", "central", "images", "sizes", "kinds", "small"):
            getattr(self, name).update(getattr(other, name))
        self.without_target += other.without_target
        self.uncovered += other.uncovered
        self._doubt(other.doubts, other.doubted)
        self.photos += other.photos


class InOrder:
    """Adds up the totals of blocks in the order of the split as they come, in whatever order they come."""

    def __init__(self, total: Totals) -> None:
        self.total, self.next = total, 0
        self.waiting: dict[int, tuple[int, Totals]] = {}

    def take(self, result: BlockResult) -> None:
        """Add what a block found, or keep it until those before it are there; the result gives it away."""
        self.waiting[result.start] = result.stop, result.value.pop()
        while self.next in self.waiting:
            self.next, found = self.waiting.pop(self.next)
            self.total.add(found)


@dataclass
class CheckReport:
    """All of a split, added up."""

    dataset: Dataset
    split: str
    frames: Sequence[Frame]
    totals: Totals
    failures: list[Failure]
    notes: list[str]

    @property
    def ok(self) -> bool:
        return not self.failures

    @property
    def pairs(self) -> int:
        return self.totals.pairs

    @property
    def counts(self) -> Counter[int]:
        """Pixels of each raw id, over all frames."""
        return self.totals.counts

    @cached_property
    def central_share(self) -> float:
        """Share of all pixels that lie inside the central squares."""
        return sum(self.totals.central.values()) / max(sum(self.counts.values()), 1)

    def kept(self) -> dict[str, float]:
        """Share of the pixels of each class that occurs, by name, that lies inside the central squares."""
        table = self.dataset.classes
        counts, inside = (_by_train_id(c, table.lut) for c in (self.counts, self.totals.central))
        return {table.names[i]: inside[i] / counts[i] for i in sorted(counts)}

    def lost(self) -> dict[str, float]:
        """Those of `kept` that lose much more than the image does: below half the share of all pixels."""
        return {name: share for name, share in self.kept().items() if share < LOST * self.central_share}

    def uncovered(self) -> Iterator[str]:
        """Names of the frames that are so long that the crops for training do not cover them."""
        return (self.frames[place].name for place in self.totals.uncovered)

    def without_target(self) -> Iterator[str]:
        """Names of the frames that hold no pixel of any target class."""
        return (self.frames[place].name for place in self.totals.without_target)

    def images(self) -> Sequence[Path]:
        """Where the images are, or would be, in the order of the frames."""
        return _Paths(self.frames)

    @property
    def image_count(self) -> int:
        """Images that are there."""
        return len(self.frames) - self.totals.images_missing

    def unseen_targets(self) -> list[str]:
        """A sentence where target classes occur in no label map."""
        table = self.dataset.classes.train_classes
        unseen = [c.name for c in table if c.target and not self._seen(c.train_id)]
        if not unseen or not self.counts:
            return []
        what = "target class" if len(unseen) == 1 else "target classes"
        verb = "occurs" if len(unseen) == 1 else "occur"
        return [f"{what} {', '.join(unseen)} {verb} in none of the label maps of {self.split} that were read"]

    def doubtful(self) -> list[str]:
        """What may be wrong with label maps that can be read: the first few sentences."""
        more = self.totals.doubted - len(self.totals.doubts)
        return self.totals.doubts + ([f"... and {more} more such objects"] if more else [])

    def rows(self) -> list[dict[str, Any]]:
        """One row an id that occurs, known to the class table or not: share of all pixels, frames."""
        counts, central = self.counts, self.totals.central
        total = max(sum(counts.values()), 1)
        table = {c.id: c for c in self.dataset.classes.classes}
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
                "images": self.totals.images[i],
            }
            for i in sorted(counts)
        ]

    def as_dict(self, named: int | None = None) -> dict[str, Any]:
        """Plain data for --json.

        Parameters
        ----------
        named
            At most so many names in each list of frames; None: all.
        """
        totals, counts = self.totals, self.counts
        pixels, targets = sum(counts.values()), target_ids(self.dataset)
        unseen = [c.name for c in self.dataset.classes.train_classes if not self._seen(c.train_id)]
        return {
            "dataset": self.dataset.name,
            "split": self.split,
            "ok": self.ok,
            "frames": len(self.frames),
            "pairs": self.pairs,
            "images_missing": totals.images_missing,
            "labels_missing": totals.labels_missing,
            "sizes": {f"{h}x{w}": n for (h, w), n in totals.sizes.items()},
            "modes": dict(totals.kinds),
            "classes": self.rows(),
            "classes_never_seen": unseen,
            "target_share": sum(counts[i] for i in targets) / pixels if pixels else 0.0,
            "region": CENTRAL,
            "central_share": self.central_share,
            "lost": self.lost(),
            "uncovered": list(islice(self.uncovered(), named)),
            "without_target": list(islice(self.without_target(), named)),
            "problems": [{"name": f.name, "reason": f.reason} for f in self.failures[:named]],
            "notes": self.notes,
        }

    def _seen(self, train_id: int) -> bool:
        return any(self.counts[c.id] for c in self.dataset.classes.classes if c.train_id == train_id)


class _Paths(Sequence[Path]):
    """The image of each frame."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, place: Any) -> Any:
        return self.frames[place].image

    def __iter__(self) -> Iterator[Path]:
        return (frame.image for frame in self.frames)


def target_ids(dataset: Dataset) -> frozenset[int]:
    """Raw ids of the target classes."""
    return frozenset(c.id for c in dataset.classes.classes if c.target and c.train_id != VOID)


def crops_of(dataset: Dataset, split: str) -> int:
    """Crops of each image of a split, by default."""
    return BoundaryOptions().crop_count(dataset, split)


def _by_train_id(counts: Mapping[int, int], lut: NDArray[np.uint8]) -> Counter[int]:
    """Pixels of each train id of those of each raw id; without void and unknown ids."""
    total: Counter[int] = Counter()
    for raw, pixels in counts.items():
        if lut[raw] not in (VOID, UNKNOWN):
            total[int(lut[raw])] += pixels
    return total
