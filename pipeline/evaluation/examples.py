"""What trained networks make of a few images: for the pictures of a report, after the paper's Fig. 7."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.datasets.base import Dataset, Frame
from pipeline.errors import AdaprepError, FileError
from pipeline.evaluation import best, comparison
from pipeline.geometry.crops import CENTRAL, WHOLE, central_crop
from pipeline.inference.systems import (
    System,
    auxiliary_networks,
    check_classes,
    kind_of,
    load_base,
    open_recorded,
)
from pipeline.samplers import registry
from pipeline.samplers.predicted import Predicted
from pipeline.samplers.uniform import Uniform
from pipeline.workspace import results, stores


@dataclass(frozen=True)
class Example:
    """One image's central crop as two systems label it."""

    name: str  # of the frame
    resolution: int  # of the sampled image, pixels a side
    architecture: str
    runs: tuple[str, ...]  # names of the base runs, in the order of the labels that are there
    uniform: NDArray[np.uint8] | None  # (S, S) train ids of the baseline
    adaptive: NDArray[np.uint8] | None  # (S, S) train ids of the system with the auxiliary network
    phi: NDArray[np.float32] | None  # (2, h, w) its sampling tensor, as predicted


def predict(
    space: stores.Workspace,
    dataset: Dataset,
    frames: Sequence[Frame],
    device: torch.device,
    split: str = "val",
    factories: Sequence[str] = (),
    damaged: list[str] | None = None,
) -> list[Example]:
    """Label a few frames with the best pair of base networks, adaptive and uniform.

    That is the pair with the highest mIoU on the target classes of a split (`pipeline.evaluation.best`);
    where no network has been evaluated there, the pair with the highest mIoU on validation. Frames that
    cannot be read are left out.

    Parameters
    ----------
    space, dataset
        The workspace, and the data set in it that the runs were trained on.
    frames
        To label.
    device
        Where the base networks run.
    split
        That networks were evaluated on.
    factories
        ``package.module:function`` of base networks that are not ours, by the names that they were trained
        with.
    damaged
        Takes a sentence for every run that cannot be used; the others are.

    Returns
    -------
    list of Example
        In the order of the frames; none where no base network is complete, or where the auxiliary network
        that sampled for it is gone.

    Raises
    ------
    AdaprepError
        A checkpoint is damaged, or is of other classes, and no list is given for that.
    """
    chosen = _choose(space, dataset.name, split, damaged)
    systems: dict[str, System] = {}
    for name, run in chosen.items():
        with _told(damaged):
            if opened := _open(space, dataset, run, device, factories):
                systems[name] = opened
    if not systems:
        return []
    found = []
    for frame in frames:
        try:
            crop = central_crop(dataset.read_image(frame))
        except FileError:
            continue
        found.append(_label(frame, crop, systems, chosen))
    return found


@contextmanager
def _told(damaged: list[str] | None) -> Iterator[None]:
    """Put what is wrong with one run on the list, if there is one."""
    try:
        yield
    except AdaprepError as error:
        if damaged is None:
            raise
        damaged.append(str(error))


def _choose(
    space: stores.Workspace, dataset: str, split: str, damaged: list[str] | None
) -> dict[str, stores.RunFolder]:
    """The runs to show, by their samplers' roles."""
    complete = {run.name: run for run in results.complete_runs(space, dataset)}
    measured = [
        one
        for region in (CENTRAL, WHOLE)
        for one in results.evaluations(space, dataset, split, damaged, region)
    ]
    groups = comparison.groups(
        (one for one in measured if one["run"] in complete), results.trainings(complete.values())
    )
    named = best.best_runs(groups) or _best_validated(list(complete.values()), damaged)
    return {role: complete[name] for role, name in named.items()}


def _best_validated(runs: Sequence[stores.RunFolder], damaged: list[str] | None) -> dict[str, str]:
    """Names of the pair of one architecture, resolution, seed and tag with the highest mIoU on validation."""
    places: dict[tuple[int, str, str], dict[str, str]] = {}
    reached: dict[str, float] = {}
    for run in runs:
        with _told(damaged):
            about, result = results.settings_of(run), results.result_of(run) or {}
            role = registry.kind(about["sampler"]).role if about["network"] == "base" else None
            if role in (Uniform.role, Predicted.role):
                place = (int(about["resolution"]), about["architecture"], _inverse(run.name, about["seed"]))
                places.setdefault(place, {}).setdefault(role, run.name)
                reached[run.name] = result.get("figures", {}).get("miou") or 0.0

    def rank(place: tuple[int, str, str]) -> tuple[Any, ...]:
        pair = places[place]
        return len(pair), reached[pair.get(Predicted.role) or pair[Uniform.role]], place[0], place[2]

    return places[max(places, key=rank)] if places else {}


def _inverse(name: str, seed: int) -> str:
    """Sorts low seeds and untagged runs last; the same for runs of one seed and tag."""
    tag = name.partition(f"-seed{seed}")[2]
    return f"{'' if tag else '~'}{1_000_000 - seed:07}{tag}"


def _open(
    space: stores.Workspace,
    dataset: Dataset,
    run: stores.RunFolder,
    device: torch.device,
    factories: Sequence[str],
) -> System | None:
    base = load_base(run.best)
    check_classes(base, dataset.name, dataset.classes.names)
    named = [name for name in factories if name in (base.network, base.about["sampler"])]
    auxiliaries = auxiliary_networks(space.runs(dataset.name)) if kind_of(base).needs_network else {}
    if kind_of(base).needs_network and base.about.get("auxiliary") not in auxiliaries:
        return None
    return open_recorded(base, auxiliaries, device, named)


def _label(
    frame: Frame, crop: NDArray[np.uint8], systems: dict[str, System], runs: dict[str, stores.RunFolder]
) -> Example:
    tensors = {name: system.tensor(crop) for name, system in systems.items()}
    labels: dict[str, Any] = {name: s.labels(crop, tensors[name]) for name, s in systems.items()}
    some = next(iter(systems))
    return Example(
        frame.name,
        systems[some].resolution,
        results.settings_of(runs[some])["architecture"],
        tuple(runs[role].name for role in (Uniform.role, Predicted.role) if role in systems),
        labels.get(Uniform.role),
        labels.get(Predicted.role),
        tensors.get(Predicted.role),
    )
