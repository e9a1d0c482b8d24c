"""Fitting the auxiliary network: to the proposals, or to energy (2) itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.geometry.tensors import uniform
from pipeline.networks import auxiliary
from pipeline.networks.auxiliary import PLAIN
from pipeline.networks.libraries import IMAGENET
from pipeline.train import losses, settings
from pipeline.train.data import FINER_ARRAYS, Batch, Source, StoreDataset
from pipeline.train.processes import Processes
from pipeline.train.zoom import Minimisers, Squares, zoomed_proposals


class AuxiliaryTask:
    """What the loop needs to know about the auxiliary network.

    Parameters
    ----------
    chosen
        The network and its loss.
    train, validation
        (store of small images, store of tensors) of each split, and with them a store of finer uniform
        samples where these are used; no validation when None.
    about
        For the checkpoint: the data set and its classes.
    in_memory
        As for `StoreDataset`.
    """

    kind = "auxiliary"
    network = "auxiliary"
    higher_is_better = False
    figures = ("validation_loss", "uniform_loss")
    at_once = 256  # crops that are validated together
    recordable = False  # its steps are few, and zoomed squares are looked for on the host

    def __init__(
        self,
        chosen: settings.Auxiliary,
        train: tuple[Path, ...],
        validation: tuple[Path, ...] | None,
        about: Mapping[str, Any],
        in_memory: bool | None = None,
    ) -> None:
        self.chosen = chosen
        self.compare = losses.auxiliary(chosen.loss)
        self.data = StoreDataset(_sources(*train), in_memory)
        self.validation = (
            StoreDataset(_sources(*validation), in_memory, promised=self.data.held) if validation else None
        )
        self.arguments: dict[str, Any] = {
            "resolution": chosen.resolution,
            "grid": list(chosen.grid),
            "features": chosen.features,
            "first": max(1, chosen.features // 2),
            **({} if chosen.encoder == PLAIN else {"encoder": chosen.encoder}),
            **({} if chosen.head == settings.DIRECT else {"solver": float(chosen.lam)}),
            **({"mirrored": True} if chosen.mirrored else {}),
        }
        self.about = {
            **about,
            "filter": chosen.filter,
            "lambda": float(chosen.lam),
            "loss": chosen.loss,
            **({"zoom": chosen.zoom} if chosen.zoom else {}),
        }

    @property
    def datasets(self) -> list[StoreDataset]:
        """To train on, and to validate on if there are such."""
        return [self.data, *([self.validation] if self.validation else [])]

    def build(self) -> nn.Module:
        """A new network that predicts the mean proposal; its random weights are of PyTorch's generator.

        The mean grid is the mean proposal; before a solver, the mean of the nearest boundaries, of which that
        makes the mean proposal (a crop without boundary counts as the uniform tensor).
        """
        weights: dict[str, Any] = {} if self.chosen.encoder == PLAIN else {"pretrained": IMAGENET}
        network = auxiliary.make(**self.arguments, **weights)
        with torch.no_grad():
            network.mean_grid.copy_(torch.from_numpy(self._mean()))
        return network

    def _mean(self) -> NDArray[np.float32]:
        if self.chosen.head == settings.DIRECT:
            return self.data.mean("phi")
        return self.data.mean("b", uniform(*self.chosen.grid))

    def drawn(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A random square of every crop with its proposal, where the network learns from such."""
        if not self.chosen.zoom:
            return batch
        squares = Squares.drawn(len(batch["fine"]), self.chosen.zoom, batch["fine"].shape[-1], generator)
        names = self.about["class_names"]
        targets = [names.index(name) for name in self.about["targets"]]
        wanted = Minimisers(self.chosen.grid, self.chosen.lam, targets)
        return zoomed_proposals(batch, squares, self.chosen.resolution, wanted, self.chosen.filter)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Of one batch, mean over its crops."""
        return self._compare(network(batch["image"]).float(), batch)

    def validate(self, network: nn.Module, device: torch.device, processes: Processes) -> Mapping[str, float]:
        """Loss over the validation split, and beside it that of always predicting the uniform tensor."""
        if self.validation is None:
            return {}
        items = np.array_split(np.arange(len(self.validation)), processes.size)[processes.rank]
        sums = np.zeros(3)
        network.eval()
        u = torch.tensor(uniform(*self.chosen.grid), dtype=torch.float32, device=device)
        for start in range(0, len(items), self.at_once):
            batch = self.validation.__getitems__(items[start : start + self.at_once].tolist())
            there = {name: value.to(device) for name, value in batch.items()}
            with torch.inference_mode():
                loss = self.loss(network, there)
                constant = self._compare(u.expand_as(there["phi"]), there)
            sums += np.array([float(loss), float(constant), 1]) * [len(there["phi"])] * 3
        total, uniform_total, count = processes.total(sums)
        return {
            "validation_loss": float(total / max(count, 1)),
            "uniform_loss": float(uniform_total / max(count, 1)),
        }

    def _compare(self, phi: Tensor, batch: Batch) -> Tensor:
        return self.compare(phi, batch, self.chosen.lam)


def _sources(images: Path, tensors: Path, *finer: Path) -> dict[str, Source]:
    """Small images, proposals and nearest boundaries (NaN where a crop has none); finer images and labels."""
    more = {name: Source(path, array) for path in finer for name, array in FINER_ARRAYS.items()}
    return {
        **more,
        "image": Source(images, "image"),
        "phi": Source(tensors, "phi"),
        "b": Source(tensors, "b"),
    }
