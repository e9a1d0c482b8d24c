"""What a workspace knows of one data set, for its report: measurements, runs, stores, and what is missing."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.datasets.base import UNKNOWN, VOID, Dataset, Frame
from pipeline.errors import AdaprepError, FileError
from pipeline.geometry.crops import CENTRAL, WHOLE, Region
from pipeline.samplers import registry
from pipeline.stages import inputs as listing
from pipeline.storage import lexists
from pipeline.workspace import results, stores

if TYPE_CHECKING:
    from pipeline.stages.inputs import Inputs

REGIONS: tuple[Region, ...] = (CENTRAL, WHOLE)
"""What of the images may have been measured, the usual first."""

COUNTED = 60
"""Label maps that are read for the shares of the classes: so many a split at most, evenly spaced."""


@dataclass(frozen=True)
class RunFacts:
    """One training run, complete or not."""

    name: str
    settings: dict[str, Any]
    versions: dict[str, str]
    machine: dict[str, Any]
    history: list[dict[str, str]]
    result: dict[str, Any] | None  # None: not over

    @property
    def network(self) -> str:
        """What was trained: auxiliary or base."""
        return str(self.settings["network"])

    @property
    def improving(self) -> bool:
        """Whether more epochs may have made it better."""
        return results.still_improving(self.result, self.history)

    def curve(self, column: str) -> list[tuple[float, float]]:
        """(epoch, value) where the column has one that is finite."""
        found = [(float(row["epoch"]), float(row[column])) for row in self.history if row.get(column)]
        return [point for point in found if math.isfinite(point[1])]


@dataclass(frozen=True)
class SplitFacts:
    """One split: its frames, and what its boundary store counted."""

    split: str
    found: Inputs
    store: dict[str, Any] | None  # attributes of the boundary store
    done: int = 0  # images whose boundaries were found
    failed: int = 0
    crops: int = 0  # of the images that are done
    crops_without: int = 0  # those without any target boundary
    boundary_pixels: dict[str, int] = field(default_factory=dict)  # by target class, over all crops
    tensors: tuple[dict[str, Any], ...] = ()  # attributes of the tensor stores

    @property
    def sizes(self) -> dict[str, int]:
        """Images by "width x height", the most frequent first."""
        known = self.found.sizes[self.found.sizes[:, 0] > 0]
        values, counts = np.unique(known, axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return {f"{values[i][1]} x {values[i][0]}": int(counts[i]) for i in order}


@dataclass(frozen=True)
class Shares:
    """Share of the pixels that each class has, void included, over some label maps read whole."""

    images: int
    share: dict[str, float]  # by class name; "void" comes last
    images_with: dict[str, int]  # label maps that hold any pixel of the class


@dataclass(frozen=True)
class Facts:
    """Everything that a report is made of."""

    space: stores.Workspace
    dataset: Dataset
    split: str
    splits: tuple[SplitFacts, ...]  # the reported one among them
    evaluations: list[dict[str, Any]]
    bound: dict[str, Any] | None
    runs: list[RunFacts]
    shares: dict[str, Shares]  # by split; without those whose label maps cannot be read
    damaged: tuple[str, ...] = ()  # a sentence for every file of the workspace that cannot be used

    @property
    def reported(self) -> SplitFacts:
        """The split that the report is about."""
        return next(part for part in self.splits if part.split == self.split)

    @property
    def option(self) -> str:
        """What commands need to find the data set: nothing where the workspace holds no other."""
        return f" --dataset {shlex.quote(self.named)}" if self.named else ""

    @cached_property
    def named(self) -> str | None:
        """The data set as commands name it; None where the workspace holds no other."""
        return self.dataset.name if len(self.space.datasets()) > 1 else None

    @cached_property
    def styles(self) -> dict[str, int]:
        """Colour and dashes of every sampler, by number: the same in all charts, tables and pictures."""
        return registry.styles(
            str(about["sampler"])
            for about in (
                *(run.settings for run in self.runs),
                *(one["settings"] for one in self.evaluations),
            )
            if about.get("sampler")
        )

    @property
    def trainings(self) -> dict[str, results.Training]:
        """How the runs were trained, by name."""
        return {run.name: results.Training(run.machine.get("precision"), run.improving) for run in self.runs}

    @property
    def targets(self) -> list[str]:
        """Names of the target classes."""
        return [self.dataset.classes.names[t] for t in self.dataset.classes.targets]


def collect(space: stores.Workspace, dataset: str | None, split: str, root: Path | None = None) -> Facts:
    """Read what there is.

    Raises
    ------
    AdaprepError
        Nothing of the data set or the split is there, or nothing of it is done; the message names the command
        to start with.
    """
    folder = space.folders(dataset, (split,))[0]
    name = folder.dataset
    parts = tuple(_split(part, root) for part in space.folders(name))
    damaged: list[str] = []
    found = [one for region in REGIONS for one in results.evaluations(space, name, split, damaged, region)]
    bound = _bound(space, name, split, damaged)
    runs = _runs(space, name, damaged)
    if not (found or bound or runs or any(part.done for part in parts)):
        raise AdaprepError(
            f"there is nothing to report on {name}/{split} in {space.path}: no boundaries, no "
            f"upper bound and no training run is kept. Start with: {folder.boundaries_command()}"
            + "".join(f"\nLeft out: {problem}" for problem in damaged)
        )
    reported = next(part for part in parts if part.split == split)
    shares = {part.split: counted for part in parts if (counted := count_classes(part.found))}
    return Facts(space, reported.found.dataset, split, parts, found, bound, runs, shares, tuple(damaged))


def spaced(count: int, wanted: int) -> list[int]:
    """At most `wanted` of the numbers below `count`, evenly spaced, first and last among them."""
    if wanted < 2:
        return list(range(min(count, wanted)))
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(wanted, count)).round())]


def count_classes(found: Inputs, most: int = COUNTED) -> Shares | None:
    """Read up to `most` label maps; None when none can be read."""
    classes = found.dataset.classes
    pixels, holding, images = np.zeros(256, np.int64), np.zeros(256, np.int64), 0
    for index in spaced(len(found), most):
        try:
            counts = np.bincount(
                classes.lut[found.dataset.read_labels(found.frames[index])].ravel(), minlength=256
            )
        except (AdaprepError, OSError):
            continue
        pixels += counts
        holding += counts > 0
        images += 1
    pixels[VOID] += pixels[UNKNOWN]
    total = max(int(pixels.sum()), 1)
    ids = {**{name: i for i, name in enumerate(classes.names)}, "void": VOID}
    if not images:
        return None
    return Shares(
        images,
        {n: float(pixels[i] / total) for n, i in ids.items()},
        {n: int(holding[i]) for n, i in ids.items()},
    )


def frames_to_show(folder: stores.SplitFolder, found: Inputs, count: int = 3) -> list[Frame]:
    """A few frames of a split for pictures: evenly spaced among those with target boundaries.

    Those whose files cannot be read are left out.
    """
    rows = _with_boundary(folder, len(found))
    frames = [found.frames[rows[i]] for i in spaced(len(rows), count)]
    return [frame for frame in frames if _readable(found.dataset, frame)]


def _readable(dataset: Dataset, frame: Frame) -> bool:
    try:
        return min(dataset.label_size(frame)) > 1
    except FileError:
        return False


def _with_boundary(folder: stores.SplitFolder, count: int) -> list[int]:
    if not folder.boundaries.exists():
        return list(range(count))
    has = np.asarray(stores.open_store(folder.boundaries, "r")["has_boundary"][:]).any(axis=1)
    return [int(i) for i in np.flatnonzero(has)] or list(range(count))


def _split(folder: stores.SplitFolder, root: Path | None) -> SplitFacts:
    found = listing.load(folder, root)
    tensors = tuple(_about(path) for path in folder.tensor_stores())
    if not folder.boundaries.exists():
        return SplitFacts(folder.split, found, None, tensors=tensors)
    store = stores.open_store(folder.boundaries, "r")
    status = store.status()
    done = status == stores.DONE
    has = np.asarray(store["has_boundary"][:])[done]
    pixels = np.asarray(store["pixels"][:])[done].sum(axis=(0, 1), dtype=np.int64)
    names = store.parameters["targets"]
    return SplitFacts(
        folder.split,
        found,
        _about(folder.boundaries),
        int(done.sum()),
        int((status == stores.FAILED).sum()),
        has.size,
        int((~has).sum()),
        dict(zip(names, pixels.tolist(), strict=True)),
        tensors,
    )


def _about(path: Path) -> dict[str, Any]:
    return dict(stores.open_store(path, "r").group.attrs["adaprep"])


def _bound(space: stores.Workspace, dataset: str, split: str, damaged: list[str]) -> dict[str, Any] | None:
    try:
        return results.upper_bound(space, dataset, split)
    except AdaprepError as error:
        damaged.append(str(error))
        return None


def _runs(space: stores.Workspace, dataset: str, damaged: list[str]) -> list[RunFacts]:
    """All runs; what of them is damaged is left out, and a sentence about it goes to `damaged`."""
    found = []
    for folder in space.runs(dataset):
        try:
            if lexists(folder.settings_file):
                found.append(_run(folder, damaged))
            elif folder.is_over() or folder.last.exists():
                damaged.append(
                    f"{folder.path} has lost its settings.json: delete the folder, and train again."
                )
        except AdaprepError as error:
            damaged.append(str(error))
    return found


def _run(folder: stores.RunFolder, damaged: list[str]) -> RunFacts:
    """One run; without its history if that is damaged. Raises AdaprepError where anything else is."""
    about, ended = results.about_run(folder), results.result_of(folder)
    rows: list[dict[str, str]] = []
    try:
        rows, dropped = results.parse_history(folder.history_file)
        if dropped:
            damaged.append(f"{folder.history_file} has {dropped} damaged lines, which are left out.")
    except AdaprepError as error:
        damaged.append(str(error))
    versions, machine = about.get("versions", {}), about.get("machine", {})
    return RunFacts(folder.name, about["settings"], versions, machine, rows, ended)


def seeds(facts: Sequence[dict[str, Any]]) -> list[int]:
    """The seeds of some evaluations, each once."""
    return sorted({int(found["settings"]["seed"]) for found in facts})
