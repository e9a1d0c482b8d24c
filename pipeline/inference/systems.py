"""Whole systems: a base network with what says where its samples lie, from a large square to its labels."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline import advice
from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.networks import checkpoint, macs
from pipeline.networks.checkpoint import Checkpoint
from pipeline.networks.points import CHANNELS, shown
from pipeline.samplers import registry
from pipeline.samplers.base import Cost, Grid, Sampler
from pipeline.samplers.feedback import Previous, Twice
from pipeline.samplers.predicted import Predicted, Predictor
from pipeline.samplers.proposal import Proposals
from pipeline.samplers.uniform import Uniform
from pipeline.workspace import results
from pipeline.workspace.stores import RunFolder

_APPLYING = threading.Lock()  # a network uses all cores or the GPU by itself; decoding goes on meanwhile


@dataclass(frozen=True)
class System:
    """A base network with what says where its samples lie."""

    name: str  # in tables
    network: nn.Module  # on `device`, in evaluation mode
    resolution: int  # of the sampled image
    device: torch.device
    sampler: Sampler
    filter: str = "nearest"  # how the image is sampled: nearest pixels, or "area", means of cells

    @cached_property
    def base_macs(self) -> int:
        """Multiply-adds of the base network for one image. Counting loads PyTorch's compiler, for seconds."""
        inputs = 3 + CHANNELS if getattr(self.network, "tensor_channels", False) else 3
        return macs.macs(self.network, (inputs, self.resolution, self.resolution))

    @cached_property
    def auxiliary_macs(self) -> int:
        """Multiply-adds of what says where the samples lie."""
        return self.sampler.cost().macs

    @cached_property
    def parameters(self) -> int:
        """Trainable numbers of both."""
        return macs.parameters(self.network) + self.sampler.cost().parameters

    def tensor(
        self, crop: NDArray[np.uint8], truth: NDArray[np.uint8] | None = None, targets: Sequence[int] = ()
    ) -> NDArray[np.float32]:
        """The sampling tensor (2, h, w) of a crop (S, S, 3), exactly as samples for training are made.

        Raises
        ------
        ValueError
            Proposals need the ground truth, (S, S) train ids, which is not given.
        """
        return np.asarray(self.sampler.tensors(Square(crop, truth, targets))[0])

    def labels(self, crop: NDArray[np.uint8], phi: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Train ids (S, S) of a crop (S, S, 3) that is sampled with a tensor (2, h, w)."""
        from pipeline.geometry.interpolation import interpolate_labels

        return interpolate_labels(*self.scores(crop, phi), len(crop))

    def sampled_labels(self, crop: NDArray[np.uint8], phi: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Train ids (h', w') of the samples alone, which are not interpolated."""
        return np.asarray(self.scores(crop, phi)[0].argmax(axis=0).astype(np.uint8))

    def scores(
        self, crop: NDArray[np.uint8], phi: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """What is interpolated: scores (C, h', w'), and the tensor (2, h', w') that says where they lie.

        Raises
        ------
        AdaprepError
            A score is NaN or infinite.
        """
        from pipeline.geometry.cells import sample_image
        from pipeline.geometry.tensors import resize

        fine = resize(phi.astype(np.float64), (self.resolution, self.resolution))
        pixels = sample_image(crop, fine, self.filter)
        sampled = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())
        wanted = bool(getattr(self.network, "tensor_channels", False))
        with _APPLYING, torch.inference_mode():
            joined = shown(sampled, torch.from_numpy(fine)[None], wanted)
            scores = self.network(joined.to(self.device))[0].float().cpu().numpy()
        if not np.isfinite(scores).all():
            raise AdaprepError(
                f"the base network of the system {self.name} gives scores that are NaN or infinite: "
                f"its training went wrong, or the file was changed. Train it again."
            )
        return scores, fine


@dataclass(frozen=True)
class Square:
    """One crop (S, S, 3), with its train ids (S, S) where proposals are to be made from them."""

    crop: NDArray[np.uint8]
    truth: NDArray[np.uint8] | None = None
    targets: Sequence[int] = ()

    def images(self) -> list[NDArray[np.uint8]]:
        return [self.crop]

    def proposals(self, grid: Grid, lam: float) -> NDArray[np.float32]:
        from pipeline.geometry.proposal import propose

        if self.truth is None:
            raise ValueError("proposals need the ground truth")
        return propose(self.truth, self.targets, grid, lam).astype(np.float32)[None]


def load_base(path: Path) -> Checkpoint:
    """A base network's checkpoint that says how it was trained. Raises AdaprepError."""
    found = checkpoint.load(path, "base")
    for name in ("dataset", "class_names", "sampler", "resolution"):
        if name not in found.about:
            raise AdaprepError(f"{path} does not say its {name}: train it again: {advice.command('train')}")
    return found


def auxiliary_networks(runs: Iterable[RunFolder]) -> dict[str, Path]:
    """Best checkpoints of the auxiliary networks among some runs, by the identity of their weights.

    A run that is over has that in its result; only weights of other runs are read for it. Those that cannot
    be read are left out: a run that needs one of them is told that it is not there.
    """
    found = {}
    for run in runs:
        if run.name.startswith("auxiliary-") and run.best.exists():
            with suppress(AdaprepError):
                identity = results.weights_of(run) or checkpoint.load(run.best, "auxiliary").identity
                found[identity] = run.best
    return found


def open_recorded(
    base: Checkpoint, auxiliaries: Mapping[str, Path], device: torch.device, factories: Sequence[str] = ()
) -> System:
    """A base network with the auxiliary network whose weights sampled for its training.

    Parameters
    ----------
    auxiliaries
        As from `auxiliary_networks`.
    factories
        As for `Checkpoint.build`.

    Raises
    ------
    AdaprepError
        The auxiliary network is not among those given, or its file holds other weights by now.
    """
    wanted = base.about.get("auxiliary") if kind_of(base).needs_network else None
    if wanted is None:
        return open_system(base, None, device, factories=factories)[0]
    if wanted not in auxiliaries:
        alone = advice.command("evaluate", base=base.path, auxiliary="FILE")
        raise AdaprepError(
            f"{base.path} was trained on samples of the auxiliary network {wanted}, which no run beside it "
            f"holds: evaluate it by itself, {alone}, or move it away."
        )
    system, notes = open_system(base, auxiliaries[wanted], device, factories=factories)
    if notes:
        raise AdaprepError(
            f"{auxiliaries[wanted]} holds other weights than its run recorded ({wanted}): put the file back, "
            f"or train that network again with --overwrite."
        )
    return system


def check_classes(found: Checkpoint, dataset: str, names: Sequence[str]) -> None:
    """Refuse a checkpoint of another data set or other classes, naming the first that differs.

    Raises
    ------
    AdaprepError
        They differ.
    """
    if found.about["dataset"] != dataset:
        theirs = printable(found.about["dataset"])
        raise AdaprepError(
            f"{found.path} was trained on {theirs}, not on {dataset}: give a checkpoint "
            f"trained on {dataset}, or --dataset {theirs}."
        )
    trained = found.about["class_names"]
    if len(trained) != len(names):
        raise AdaprepError(f"{found.path} tells {len(trained)} classes apart, {dataset} has {len(names)}.")
    for number, (theirs, ours) in enumerate(zip(trained, names, strict=True)):
        if theirs != ours:
            raise AdaprepError(
                f"{found.path} was trained with other classes: class {number} is {printable(repr(theirs))} "
                f"there and {printable(repr(ours))} in {dataset}."
            )


def open_system(
    base: Checkpoint,
    auxiliary: Path | None,
    device: torch.device,
    hint: str = "",
    factories: Sequence[str] = (),
) -> tuple[System, list[str]]:
    """A base network with the sampler that it was trained for, and what there is to note about the pair.

    Parameters
    ----------
    auxiliary
        Checkpoint of the auxiliary network; None for a base network of uniform samples.
    hint
        What else may be given in its place, for the refusal.
    factories
        As for `Checkpoint.build`.

    Raises
    ------
    AdaprepError
        The two do not belong together, or one of them is missing.
    """
    kind = kind_of(base)
    if auxiliary is None:
        if kind.needs_network or kind.needs_truth:
            raise AdaprepError(
                f"{base.path} was trained on samples of the sampler {kind.kind!r}: give the auxiliary "
                f"network that predicts where they lie with --auxiliary FILE{hint}."
            )
        return _system(base, device, factories), []
    if not (kind.needs_network or kind.needs_truth):
        raise AdaprepError(
            f"{base.path} was trained on {kind.word} samples: leave --auxiliary out, or give a base network "
            f"trained with --sampler auxiliary."
        )
    found = checkpoint.load(auxiliary, "auxiliary")
    found.expect(dataset=base.about["dataset"])
    sampler = Predicted(Predictor.of(found))
    notes = []
    if kind.needs_truth:
        notes.append(f"{base.path} was trained on proposals, and is shown predicted samples here")
    elif base.about.get("auxiliary") not in (None, sampler.predictor.identity):
        notes.append(f"{base.path} was trained on samples of other weights than {auxiliary}")
    return replace(_with(base, sampler, device, factories), name="adaptive"), notes


def kind_of(base: Checkpoint) -> type[Sampler]:
    """What is known of the sampler that a base network was trained with."""
    return registry.kind(base.about["sampler"])


def _system(
    base: Checkpoint, device: torch.device, factories: Sequence[str] = (), auxiliary: Path | None = None
) -> System:
    """A base network with the sampler that its checkpoint remembers."""
    try:
        sampler = registry.recall(base.about, auxiliary, factories)
    except AdaprepError as error:
        raise AdaprepError(f"{base.path}: {error}") from error
    return _with(base, sampler, device, factories)


def _with(base: Checkpoint, sampler: Sampler, device: torch.device, factories: Sequence[str]) -> System:
    network = base.build([name for name in factories if name != base.about["sampler"]])
    return System(
        sampler.word,
        network.to(device).to(memory_format=torch.channels_last),  # as it was trained: faster on a CPU
        int(base.about["resolution"]),
        device,
        sampler,
        str(base.about.get("filter", "nearest")),
    )


def with_proposals(
    base: Checkpoint, auxiliary: Path | None, device: torch.device, factories: Sequence[str] = ()
) -> System:
    """A base network that is shown proposals made from the ground truth: what a perfect auxiliary would do.

    Grid and lambda are those of the proposals it was trained on, or that its auxiliary network was.

    Raises
    ------
    AdaprepError
        It was trained on other samples, or nothing says grid and lambda.
    """
    kind = kind_of(base)
    if not (kind.needs_network or kind.needs_truth):
        raise AdaprepError(
            f"{base.path} was trained on {kind.word} samples: --proposals needs another base network."
        )
    try:
        sampler = Proposals.recall(base.about, auxiliary)
    except AdaprepError as error:
        raise AdaprepError(f"{base.path}: {error}") from error
    return _with(base, sampler, device, factories)


def with_feedback(
    base: Checkpoint,
    name: str,
    device: torch.device,
    factories: Sequence[str] = (),
    first: Checkpoint | None = None,
    auxiliary: Path | None = None,
) -> System:
    """A base network that is sampled by what it predicted itself (`samplers.feedback`).

    Grid and lambda are those of the proposals that it was trained on, or that its auxiliary network was; the
    paper's where it was trained on uniform samples.

    Parameters
    ----------
    name
        "previous" or "twice".
    first
        Base network of uniform samples for the first of two passes; `base` at half its resolution when None.
    auxiliary
        Checkpoint of the auxiliary network that sampled for its training, where one did.

    Raises
    ------
    AdaprepError
        A network cannot be made, or nothing says the lambda.
    """
    about = base.about
    names = list(about["class_names"])
    targets = tuple(names.index(target) for target in about.get("targets", ()) if target in names)
    shared = (targets, *_proposals_behind(base, auxiliary))
    if name == Previous.kind:
        return _with(base, Previous(*shared), device, factories)
    coarse = _with(first or base, Uniform(), device, factories)
    if first is None:
        coarse = replace(coarse, resolution=max(2, coarse.resolution // 2))
    sampler = two_passes(coarse, *shared)
    if first is None:
        sampler = replace(sampler, first_cost=Cost(coarse.base_macs))
    return _with(base, sampler, device, factories)


def two_passes(coarse: System, targets: Sequence[int], grid: Grid, lam: float) -> Twice:
    """The sampler whose first pass is a system of uniform samples; `targets` are train ids."""
    return Twice(
        tuple(targets),
        grid,
        lam,
        first=lambda crop: coarse.sampled_labels(crop, coarse.tensor(crop)),
        first_cost=Cost(coarse.base_macs, coarse.parameters),
        first_resolution=coarse.resolution,
    )


def _proposals_behind(base: Checkpoint, auxiliary: Path | None) -> tuple[Grid, float]:
    """Grid and lambda of the proposals that a base network, or its auxiliary network, was trained on."""
    if not kind_of(base).needs_network:
        height, width = base.about.get("grid") or (8, 8)
        return (int(height), int(width)), float(base.about.get("lambda") or 1.0)
    try:
        proposals = Proposals.recall(base.about, auxiliary)
    except AdaprepError as error:
        raise AdaprepError(f"{base.path}: {error}") from error
    return proposals.grid, proposals.lam
