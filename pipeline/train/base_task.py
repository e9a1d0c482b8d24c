"""Fitting the base network to samples: softmax cross-entropy, no upsampling while training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.geometry.crops import CENTRAL, Region
from pipeline.networks import points
from pipeline.networks.factory import ARCHITECTURES, build, weights_of
from pipeline.stages.inputs import Inputs
from pipeline.train import losses, settings
from pipeline.train.anew import Anew
from pipeline.train.data import FINER_ARRAYS, Batch, Source, StoreDataset, sampled
from pipeline.train.memory import free_memory
from pipeline.train.processes import Processes
from pipeline.train.truths import Truths
from pipeline.train.validation import central_items, evaluate


class BaseTask:
    """What the loop needs to know about a base network.

    Parameters
    ----------
    chosen
        The network and its samples.
    classes
        How many.
    train
        Store of samples.
    validation
        Store of samples of the validation split, and its frames; no validation when None.
    about
        For the checkpoint: the data set, its classes, and how it was sampled.
    in_memory
        As for `StoreDataset`.
    region
        What of the validation split's images is measured; all of their crops where it is the whole.
    weights
        Of classes in the loss, by train id; all alike when None.
    anew
        Samples crops again for every batch; `train` is then a store of finer uniform samples.

    Raises
    ------
    AdaprepError
        The validation split has no central crop.
    """

    kind = "base"
    higher_is_better = True
    figures = ("miou", "target_miou", "accuracy", "validation_loss")

    def __init__(
        self,
        chosen: settings.Base,
        classes: int,
        train: Path,
        validation: tuple[Path, Inputs] | None,
        about: Mapping[str, Any],
        in_memory: bool | None = None,
        region: Region = CENTRAL,
        weights: Sequence[float] | None = None,
        anew: Anew | None = None,
    ) -> None:
        self.chosen, self.anew = chosen, anew
        self.weights = None if weights is None else torch.tensor(weights)
        self.network, self.region = chosen.architecture, region
        self.compare = losses.base(chosen.loss)
        self.data = StoreDataset(_finer(train) if anew else _samples(train, chosen), in_memory)
        self.validation = (
            (StoreDataset(sampled(validation[0]), in_memory, promised=self.data.held), validation[1])
            if validation
            else None
        )
        self._kept: Truths | None = None
        if self.validation and region == CENTRAL:
            central_items(self.validation[0])
        self.arguments: dict[str, Any] = {"classes": classes, **chosen.arguments}
        if chosen.tensor_channels:
            self.arguments["in_channels"] = 3 + points.CHANNELS
        self.about = {
            **about,
            "resolution": chosen.resolution,
            "sampler": chosen.sampler,
            "filter": chosen.filter,
        }

    @property
    def datasets(self) -> list[StoreDataset]:
        """To train on, and to validate on if there are such."""
        return [self.data, *([self.validation[0]] if self.validation else [])]

    @property
    def recordable(self) -> bool:
        """Whether a step may be recorded: network and loss are adaprep's own, which ask for no values."""
        return self.network in ARCHITECTURES and self.chosen.loss in losses.BASE

    def build(self) -> nn.Module:
        """A new network; its random weights are those of PyTorch's generator."""
        weights = weights_of(self.network, self.chosen.pretrained)
        return build(self.network, probe=self.chosen.resolution, **self.arguments, **weights)

    def drawn(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch as it was read; or sampled anew."""
        return self.anew(batch, generator) if self.anew else batch

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Of one batch, mean over its samples that are not void."""
        image, labels, power = batch["image"], batch["label"], self.chosen.area_weight
        areas = None
        if "phi" in batch:
            phi = points.resize(batch["phi"].double(), (image.shape[-2], image.shape[-1]))
            areas = points.cell_areas(phi) if power else None
            image = points.shown(image, phi, self.chosen.tensor_channels)
        if self.weights is not None:
            self.weights = self.weights.to(labels.device)
        weights = losses.sample_weights(labels, self.weights, areas, power)
        return self.compare(network(image), labels, weights)

    def validate(self, network: nn.Module, device: torch.device, processes: Processes) -> Mapping[str, float]:
        """Figures over the validation split at full resolution."""
        if self.validation is None:
            return {}
        return evaluate(
            network, *self.validation, device, processes, self.region, self._truths(processes)
        ).figures()

    def _truths(self, processes: Processes) -> Truths | None:
        """Label maps of the validation split: a quarter of the memory is for those of all processes."""
        if self._kept is None and self.validation:
            room = free_memory() // 4 // processes.local_size
            self._kept = Truths(self.validation[1], self.region, room)
        return self._kept


def _finer(path: Path) -> dict[str, Source]:
    """Finer uniform samples, by their names in a batch."""
    return {name: Source(path, array) for name, array in FINER_ARRAYS.items()}


def _samples(path: Path, chosen: settings.Base) -> dict[str, Any]:
    """What is read of a store: its tensors only where they are used."""
    needed = ("phi",) if chosen.tensor_channels or chosen.area_weight else ()
    return {name: source for name, source in sampled(path).items() if name in ("image", "label", *needed)}
