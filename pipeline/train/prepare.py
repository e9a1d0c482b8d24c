"""What a fit reads: the splits of a workspace, and the samples of them that are still to be made."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.base import Dataset
from pipeline.errors import AdaprepError, BusyError
from pipeline.geometry.crops import covering
from pipeline.progress import Listener, Silent
from pipeline.samplers import registry
from pipeline.samplers.base import Grid, Wanted
from pipeline.stages import engine, samples
from pipeline.stages import inputs as listing
from pipeline.stages.engine import Summary
from pipeline.stages.inputs import Inputs
from pipeline.stages.outputs import AuxiliaryInput, Output, Sampled
from pipeline.stages.plan import Plan
from pipeline.train import settings
from pipeline.units import human_bytes, human_seconds, several
from pipeline.workspace import stores

SOURCE_ARRAYS = ("source", "status")

MAX_COVER = 256
"""Crops per image that are taken to cover the longest."""

LOOK_AGAIN = 2.0
"""Seconds between two looks whether another adaprep has finished sampling."""


@dataclass(frozen=True)
class Split:
    """One split and its frames."""

    folder: stores.SplitFolder
    found: Inputs
    crops: int | None = None  # per image, where it is not the number that the boundaries have

    def store(self, output: Output) -> Path:
        """Where samples of one kind lie."""
        return self.folder.sample(output.name, self.crops)

    def tensors(self, grid: Grid, lam: float) -> Path:
        """Where the proposals of a grid and lambda lie."""
        return self.folder.tensors(grid, lam, self.crops)

    def central(self) -> Split:
        """The split with the crops that its boundaries have."""
        return replace(self, crops=None)

    def covered(self, exactly: bool) -> Split:
        """The split with crops that cover each of its images: so many, or at least so many.

        Raises
        ------
        AdaprepError
            An image is so long that more than `MAX_COVER` crops are needed.
        """
        sizes = np.where(self.found.oversized[:, None], 0, self.found.sizes)
        counts = [covering(int(h), int(w)) if min(h, w) > 1 else 1 for h, w in sizes]
        longest = int(np.argmax(counts))
        if (count := counts[longest]) > MAX_COVER:
            height, width = sizes[longest]
            raise AdaprepError(
                f"{self.found.frames[longest].label}: {count} square crops would be needed to cover its "
                f"{width} x {height} pixels, and then of every image; at most {MAX_COVER} are taken. Take it "
                f"out of {self.folder.title}, or train without --whole-image."
            )
        samples.check_boundaries(self.folder)
        own = int(stores.open_store(self.folder.boundaries, mode="r").parameters["crops"])
        enough = count == own if exactly else count <= own
        return self.central() if enough else replace(self, crops=count)


@dataclass(frozen=True)
class Splits:
    """What to train on, and what to validate on if it is there."""

    train: Split
    validation: Split | None
    whole: bool = False  # whether crops cover every image of both

    @property
    def all(self) -> list[Split]:
        return [self.train] + ([self.validation] if self.validation else [])

    @property
    def long(self) -> bool:
        """Whether covering the training images takes other crops than their boundaries have."""
        return self.train.crops is not None

    def validated_centrally(self) -> Splits:
        """The same, with the validation split's central crops."""
        return replace(self, validation=self.validation.central() if self.validation else None)

    @property
    def dataset(self) -> Dataset:
        return self.train.found.dataset

    def about(self) -> dict[str, Any]:
        """What checkpoints remember of the data set."""
        classes = self.dataset.classes
        return {
            "dataset": self.dataset.name,
            "class_names": list(classes.names),
            "targets": [classes.names[t] for t in classes.targets],
            "training_split": self.train.folder.split,
        }


@dataclass
class Sampling:
    """Samples of one split that a fit needs: made, or planned."""

    split: Split
    outputs: Sequence[Output]
    plans: list[Plan]

    @property
    def images(self) -> int:
        """Still to be decoded."""
        return sum(stop - start for start, stop in samples.wanted(self.outputs, self.plans))

    def describe(self) -> str:
        """What would be sampled and what that would take, in one line."""
        where = engine.Scheduler()
        took = samples.estimate(self.split.folder, self.split.found, self.outputs, self.plans, where)
        names = ", ".join(output.name for output in self.outputs)
        return (
            f"first samples {several(self.images, 'image')} of {self.split.folder.title} ({names}): about "
            f"{human_seconds(took.seconds)}, {human_bytes(took.disk)} of disk, {human_bytes(took.free)} free"
        )


@dataclass
class Prepared:
    """How the sampling for one fit ended."""

    summaries: list[tuple[Summary, Path]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(summary.ok for summary, _ in self.summaries)


def open_splits(
    space: stores.Workspace,
    dataset: str | None,
    names: tuple[str, str],
    root: Path | None = None,
    whole: bool = False,
) -> Splits:
    """The training split of a workspace, and the validation split if it is there too.

    Raises
    ------
    AdaprepError
        The workspace is empty, holds several data sets and none is named, or lacks the training split.
    """
    folder = space.folders(dataset, names[:1])[0]
    others = {f.split: f for f in space.folders(folder.dataset)}
    validation = others.get(names[1]) if names[1] != names[0] else None
    train = Split(folder, listing.load(folder, root))
    beside = Split(validation, listing.load(validation, root)) if validation else None
    if whole:
        train, beside = train.covered(False), beside.covered(True) if beside else None
    return Splits(train, beside, whole)


def auxiliary_outputs(chosen: settings.Auxiliary) -> list[Output]:
    """What the auxiliary network is shown."""
    return [AuxiliaryInput(chosen.resolution, chosen.filter)]


def base_output(splits: Splits, chosen: settings.Base, checkpoint: Path | None = None) -> Sampled:
    """What the base network is shown; `checkpoint` is that of the auxiliary network, if one samples."""
    mean = partial(samples.mean_proposal, splits.train.folder)
    wanted = Wanted(chosen.grid, chosen.lam, checkpoint, mean)
    return Sampled(chosen.resolution, registry.make(chosen.sampler, wanted), chosen.filter)


def check_proposals(splits: Splits, grid: tuple[int, int], lam: float) -> None:
    """Raise AdaprepError unless every split has its tensors of this grid and lambda: names the command."""
    for split in splits.all:
        samples.check_tensors(split.folder, grid, lam, split.crops)


@dataclass(frozen=True)
class Needed:
    """What a fit reads of each split."""

    outputs: Sequence[Output]
    to_train: Sequence[Output] = ()  # of the training split alone

    def of(self, splits: Splits, split: Split) -> list[Output]:
        """What is sampled of one of the splits."""
        return [*self.outputs, *(self.to_train if split is splits.train else ())]


def plan(splits: Splits, needed: Needed) -> list[Sampling]:
    """What is left to sample. Raises AdaprepError when an earlier stage is missing: names the command."""
    wanted = [(split, needed.of(splits, split)) for split in splits.all]
    return [
        Sampling(split, outputs, samples.plan(split.folder, outputs, crops=split.crops))
        for split, outputs in wanted
    ]


def sample(
    splits: Splits,
    needed: Needed,
    listener: Callable[[], Listener] = Silent,
    waiting: Callable[[str], None] = lambda message: None,
) -> Prepared:
    """Make what is missing, on the threads of this process. Files that fail are in the summaries.

    Where another adaprep is sampling, as when several fits of one data set begin together, this waits for it
    and takes what it made; `waiting` is told so once.
    """
    prepared = Prepared()
    for split in splits.all:
        if summary := _sample(split, needed.of(splits, split), listener, waiting):
            prepared.summaries.append((summary, samples.folder_of(split.folder)))
    return prepared


def _sample(
    split: Split,
    outputs: Sequence[Output],
    listener: Callable[[], Listener],
    waiting: Callable[[str], None],
) -> Summary | None:
    told, plans = False, partial(samples.plan, split.folder, outputs, crops=split.crops)
    while True:
        todo = Sampling(split, outputs, plans())
        if not todo.images:
            return None
        where = engine.Scheduler()
        try:
            done = samples.run(split.folder, split.found, outputs, todo.plans, where, listener(), plans)
            return done if done.skipped < len(split.found) else None
        except BusyError as busy:
            if not told:
                waiting(f"waiting to sample {split.folder.title}: {busy.what}")
            told = True
            time.sleep(LOOK_AGAIN)


def fingerprint(path: Path) -> str:
    """Twelve hexadecimal digits for what a store holds: parameters, images, and what they were made of."""
    store = stores.open_store(path, mode="r")
    digest = hashlib.sha256(repr((sorted(store.parameters.items()), store.inputs["sha256"])).encode())
    for name in SOURCE_ARRAYS:
        digest.update(np.ascontiguousarray(store[name][:]).tobytes())
    return digest.hexdigest()[:12]
