"""`adaprep predict`: label maps of images of any size, in the data set's own ids, pictures and probabilities.

Images are read as viewers show them: turned by their EXIF orientation. Results lie the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import readers, registry
from pipeline.datasets.base import ClassTable, Dataset
from pipeline.datasets.overlay import overlay
from pipeline.datasets.pictures import Scale
from pipeline.errors import AdaprepError, FileError
from pipeline.inference.images import NamedImage
from pipeline.inference.systems import System, check_classes
from pipeline.inference.tiling import tiles
from pipeline.marks import MARK, Writer, png_info
from pipeline.networks.checkpoint import Checkpoint
from pipeline.settings import Saved
from pipeline.stages import engine
from pipeline.stages.engine import BlockResult, Failure
from pipeline.workspace import stores

PLACES: dict[Saved, tuple[str, str]] = {
    "labels": ("labels", ".png"),
    "overlay": ("overlays", ".jpg"),
    "probabilities": ("probabilities", ".npz"),
}
"""Folder and suffix of each kind of result."""

USUAL: tuple[Saved, ...] = ("labels", "overlay")
JPEG_QUALITY = 92


@dataclass(frozen=True)
class PredictionJob:
    """One image and what is written of it."""

    image: Path
    results: Mapping[Saved, Path]
    folder: Path | None = None  # that the image was found in
    scale: Scale | None = None  # of images of more than 8 bits: what becomes 0 and 255

    @property
    def labels(self) -> Path:
        return self.results["labels"]

    @property
    def overlay(self) -> Path:
        return self.results["overlay"]


def result_folders(folder: Path) -> list[Path]:
    """Those that results are written to, below the one that is given to -o."""
    return [folder / place for place, _ in PLACES.values()]


def plan(
    images: Sequence[NamedImage] | Sequence[Path],
    folder: Path,
    writer: Writer | None = None,
    saved: Sequence[Saved] = USUAL,
) -> list[PredictionJob]:
    """Where every image's results go: labels/NAME.png, overlays/NAME.jpg, probabilities/NAME.npz.

    Raises
    ------
    AdaprepError
        Two images have one name, a result would replace an image, or anything that `writer` refuses.
    """
    jobs: dict[str, PredictionJob] = {}
    every: dict[Path | NamedImage, None] = dict.fromkeys(images)
    named = [one if isinstance(one, NamedImage) else NamedImage(one, one.stem) for one in every]
    sources = {one.image.resolve() for one in named}
    for one in named:
        places = {kind: folder / PLACES[kind][0] / f"{one.name}{PLACES[kind][1]}" for kind in saved}
        if one.name in jobs:
            first, place = jobs[one.name].image, next(iter(places.values()))
            raise AdaprepError(
                f"{first} and {one.image} would both be written to {place}: "
                f"give them in two runs with two folders."
            )
        if replaced := {path.resolve() for path in places.values()} & sources:
            raise AdaprepError(f"{replaced.pop()} would be replaced by a result: give another folder to -o.")
        if writer is not None:
            for path in places.values():
                writer.check(path)
        jobs[one.name] = PredictionJob(one.image, places, one.folder)
    return list(jobs.values())


def class_table(base: Checkpoint, dataset: str | None, space: stores.Workspace) -> ClassTable:
    """What the base network's classes are called in label maps; see `dataset_of`."""
    return dataset_of(base, dataset, space).classes


def dataset_of(base: Checkpoint, dataset: str | None, space: stores.Workspace) -> Dataset:
    """The data set that says what labels are called, and what the values of deep images mean.

    Parameters
    ----------
    dataset
        As `--dataset` takes it. When None: the data set it was trained on, as the workspace or adaprep
        knows it.

    Raises
    ------
    AdaprepError
        That data set is not known, or has other classes.
    """
    from pipeline.stages import chosen, remembered

    name = str(base.about["dataset"])
    meant = chosen.find(space, dataset) if dataset is not None else None
    held = meant.folders if meant else space.described(name)
    if meant and meant.source:
        data = registry.load(meant.source)
    elif meant and meant.door:
        data = registry.load(meant.door, Path())  # its class table alone is looked at
    elif held:
        data = remembered.open_dataset(held[0])
    elif (wanted := meant.name if meant else name) in registry.names():
        data = registry.load(wanted, Path())  # its class table alone is looked at
    else:
        raise AdaprepError(
            f"{base.path} was trained on {name}, which is neither in the workspace {space.path} nor a data "
            f"set that adaprep brings: give its YAML file with --dataset FILE."
        )
    check_classes(base, data.name, data.classes.names)
    return data


def raw_ids(classes: ClassTable) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(classes,) the first raw id of each train id; uint8 where all fit."""
    ids = np.array([c.id for c in classes.train_classes], np.uint16)
    return ids.astype(np.uint8) if ids.max() <= 255 else ids


def predict(
    system: System, job: PredictionJob, classes: ClassTable, writer: Writer | None = None
) -> tuple[int, int]:
    """Label one image and write the results, each whole or not at all.

    Returns
    -------
    (int, int)
        Height and width of the image in pixels, as it is shown.

    Raises
    ------
    FileError
        The image cannot be read, or is too small.
    AdaprepError
        A result cannot be written.
    """
    image = readers.read_rgb(job.image, shown=True, scale=job.scale)
    if min(image.shape[:2]) < 2:
        raise FileError(f"{job.image}: {image.shape[1]} x {image.shape[0]} pixels are too few to be sampled")
    writer = writer or Writer([job.image], force=True)
    labels, shares = _labelled(system, image, "probabilities" in job.results)
    if path := job.results.get("labels"):
        _write(writer, path, raw_ids(classes)[labels], "PNG", pnginfo=png_info())
    if path := job.results.get("overlay"):
        _write(writer, path, overlay(image, labels, classes), "JPEG", comment=MARK.encode())
    if (path := job.results.get("probabilities")) and shares is not None:
        _write_arrays(writer, path, shares, classes)
    return len(image), len(image[0])


def _labelled(
    system: System, image: NDArray[np.uint8], with_probabilities: bool
) -> tuple[NDArray[np.uint8], NDArray[np.float16] | None]:
    """Train ids (H, W) and, if asked for, probabilities (C, H, W), joined from the squares of an image."""
    from pipeline.geometry.interpolation import interpolate, interpolate_labels

    height, width = image.shape[:2]
    labels, shares = np.empty((height, width), np.uint8), None
    system.sampler.begin()
    for tile in tiles(height, width):
        square = tile.of(image)
        scores, fine = system.scores(square, system.tensor(square))
        of_square = interpolate_labels(scores, fine, tile.side)
        system.sampler.seen(of_square)
        labels[tile.owned] = of_square[tile.inside]
        if with_probabilities:
            if shares is None:
                shares = np.empty((len(scores), height, width), np.float16)
            everywhere = interpolate(scores, fine, tile.side)
            shares[:, *tile.owned] = softmax(everywhere[:, *tile.inside])
    return labels, shares


def softmax(scores: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Probabilities (C, ...) of scores (C, ...)."""
    exponentials = np.exp(scores - scores.max(axis=0))
    return np.asarray(exponentials / exponentials.sum(axis=0))


def run(
    system: System,
    jobs: Sequence[PredictionJob],
    classes: ClassTable,
    listener: engine.Listener | None = None,
    writer: Writer | None = None,
) -> engine.Summary:
    """Label all images; those that cannot be read are in the summary."""
    tasks = [partial(_task, system, index, job, classes, writer) for index, job in enumerate(jobs)]
    if system.sampler.in_order:
        tasks = list(_clips(system, jobs, classes, writer))
    summary = engine.run(tasks, engine.Scheduler(), "predictions", listener, len(jobs))
    summary.notes += _changing(jobs, dict(size for sizes in summary.values for size in sizes))
    return summary


def _changing(jobs: Sequence[PredictionJob], sizes: Mapping[int, tuple[int, int]]) -> Iterator[str]:
    """A sentence for each folder whose images, such as frames of a video, differ in size."""
    folders: dict[Path, Counter[tuple[int, int]]] = {}
    for index, size in sizes.items():
        if folder := jobs[index].folder:
            folders.setdefault(folder, Counter())[size] += 1
    for folder, counts in folders.items():
        if len(counts) > 1:
            named = ", ".join(f"{n} of {width} x {height}" for (height, width), n in counts.most_common(4))
            more = ", ..." if len(counts) > 4 else ""
            yield f"images of {len(counts)} sizes in {folder} ({named}{more}): each labelled at its own size"


def _task(
    system: System, index: int, job: PredictionJob, classes: ClassTable, writer: Writer | None
) -> BlockResult:
    engine.check_stop()
    try:
        with engine.one_image(job.image):
            size = predict(system, job, classes, writer)
    except FileError as error:
        return BlockResult(index, index + 1, (Failure(index, job.image.name, str(error)),), ())
    return BlockResult(index, index + 1, (), ((index, size),))


def _clips(
    system: System, jobs: Sequence[PredictionJob], classes: ClassTable, writer: Writer | None
) -> Iterator[partial[BlockResult]]:
    """One task for the images of each folder, which are the frames of a video by their names."""
    for _, group in groupby(enumerate(jobs), key=lambda pair: pair[1].image.parent):
        clip = list(group)
        alone = replace(system, sampler=system.sampler.restarted())
        yield partial(_clip, alone, clip, classes, writer)


def _clip(
    system: System,
    clip: Sequence[tuple[int, PredictionJob]],
    classes: ClassTable,
    writer: Writer | None,
) -> BlockResult:
    """Label the frames of a video one by one; one that cannot be read is passed over."""
    found = [_task(system, index, job, classes, writer) for index, job in clip]
    failures = tuple(failure for one in found for failure in one.failures)
    return BlockResult(clip[0][0], clip[-1][0] + 1, failures, [size for one in found for size in one.value])


def _write_arrays(writer: Writer, path: Path, shares: NDArray[np.float16], classes: ClassTable) -> None:
    """Probabilities (C, H, W) with the classes' names and ids, readable by `numpy.load`."""
    names, mark = np.array(classes.names), np.array(MARK)
    with writer.replacing(path) as partial_path, partial_path.open("wb") as file:
        np.savez_compressed(file, probabilities=shares, classes=names, ids=raw_ids(classes), software=mark)


def _write(
    writer: Writer, path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16], kind: str, **mark: Any
) -> None:
    from PIL import Image

    with writer.replacing(path) as partial_path:
        Image.fromarray(pixels).save(partial_path, kind, quality=JPEG_QUALITY, **mark)
