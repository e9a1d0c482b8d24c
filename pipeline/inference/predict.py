"""`adaprep predict`: label maps of images of any size, in the data set's own ids, and pictures of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import readers, registry
from pipeline.datasets.base import ClassTable
from pipeline.datasets.overlay import overlay
from pipeline.errors import AdaprepError, FileError
from pipeline.inference.systems import System, check_classes
from pipeline.inference.tiling import label
from pipeline.marks import MARK, Writer, png_info
from pipeline.networks.checkpoint import Checkpoint
from pipeline.stages import engine
from pipeline.stages.engine import BlockResult, Failure
from pipeline.workspace import stores

LABELS, OVERLAYS = "labels", "overlays"
JPEG_QUALITY = 92


@dataclass(frozen=True)
class PredictionJob:
    """One image and what is written of it."""

    image: Path
    labels: Path
    overlay: Path


def plan(images: Sequence[Path], folder: Path, writer: Writer | None = None) -> list[PredictionJob]:
    """Where every image's results go: labels/NAME.png and overlays/NAME.jpg.

    Raises
    ------
    AdaprepError
        Two images have one name, a result would replace an image, or anything that `writer` refuses.
    """
    jobs: dict[str, PredictionJob] = {}
    sources = {image.resolve() for image in images}
    for image in dict.fromkeys(images):
        name = image.stem
        if name in jobs:
            raise AdaprepError(
                f"{jobs[name].image} and {image} would both be written to {jobs[name].labels}: "
                f"give them in two runs with two folders."
            )
        job = PredictionJob(image, folder / LABELS / f"{name}.png", folder / OVERLAYS / f"{name}.jpg")
        if replaced := {job.labels.resolve(), job.overlay.resolve()} & sources:
            raise AdaprepError(f"{replaced.pop()} would be replaced by a result: give another folder to -o.")
        if writer is not None:
            writer.check(job.labels)
            writer.check(job.overlay)
        jobs[name] = job
    return list(jobs.values())


def class_table(base: Checkpoint, dataset: str | None, space: stores.Workspace) -> ClassTable:
    """What the base network's classes are called in label maps.

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
    return data.classes


def raw_ids(classes: ClassTable) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(classes,) the first raw id of each train id; uint8 where all fit."""
    ids = np.array([c.id for c in classes.train_classes], np.uint16)
    return ids.astype(np.uint8) if ids.max() <= 255 else ids


def predict(system: System, job: PredictionJob, classes: ClassTable, writer: Writer | None = None) -> None:
    """Label one image and write the results, each whole or not at all.

    Raises
    ------
    FileError
        The image cannot be read, or is too small.
    AdaprepError
        A result cannot be written.
    """
    image = readers.read_rgb(job.image)
    if min(image.shape[:2]) < 2:
        raise FileError(f"{job.image}: {image.shape[1]} x {image.shape[0]} pixels are too few to be sampled")
    labels = label(image, lambda crop: system.labels(crop, system.tensor(crop)))
    writer = writer or Writer([job.image], force=True)
    _write(writer, job.labels, raw_ids(classes)[labels], "PNG", pnginfo=png_info())
    _write(writer, job.overlay, overlay(image, labels, classes), "JPEG", comment=MARK.encode())


def run(
    system: System,
    jobs: Sequence[PredictionJob],
    classes: ClassTable,
    listener: engine.Listener | None = None,
    writer: Writer | None = None,
) -> engine.Summary:
    """Label all images; those that cannot be read are in the summary."""
    tasks = [partial(_task, system, index, job, classes, writer) for index, job in enumerate(jobs)]
    return engine.run(tasks, engine.Scheduler(), "predictions", listener, len(jobs))


def _task(
    system: System, index: int, job: PredictionJob, classes: ClassTable, writer: Writer | None
) -> BlockResult:
    engine.check_stop()
    try:
        with engine.one_image(job.image):
            predict(system, job, classes, writer)
    except FileError as error:
        return BlockResult(index, index + 1, (Failure(index, job.image.name, str(error)),))
    return BlockResult(index, index + 1)


def _write(
    writer: Writer, path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16], kind: str, **mark: Any
) -> None:
    from PIL import Image

    with writer.replacing(path) as partial_path:
        Image.fromarray(pixels).save(partial_path, kind, quality=JPEG_QUALITY, **mark)
