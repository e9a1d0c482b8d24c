"""mIoU of a base network at full resolution: scores of samples, interpolated, against the label maps."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.datasets.base import VOID
from pipeline.errors import AdaprepError
from pipeline.geometry.crops import CENTRAL, Region
from pipeline.metrics import ConfusionMatrix
from pipeline.networks import points
from pipeline.stages.engine import cores
from pipeline.stages.inputs import Inputs
from pipeline.train.data import Batch, StoreDataset
from pipeline.train.losses import cross_entropy
from pipeline.train.processes import Processes
from pipeline.train.truths import Truths
from pipeline.workspace import stores

SAMPLES_AT_ONCE = 2**18
"""Sample points that go through the network together."""


class NotNumbersError(AdaprepError):
    """The network gives scores that are NaN or infinite."""


@dataclass(frozen=True)
class Scores:
    """Of one split."""

    confusion: ConfusionMatrix
    loss: float  # mean over sample points that are not void

    def figures(self) -> dict[str, float]:
        """By name; the first is the one by which the best epoch is chosen."""
        matrix = self.confusion
        return {
            "miou": matrix.miou(),
            "target_miou": matrix.target_miou(),
            "accuracy": matrix.accuracy(),
            "validation_loss": self.loss,
        }


def central_items(data: StoreDataset) -> NDArray[np.intp]:
    """The items of a split that are its images' central crops, on which methods are compared.

    Raises
    ------
    AdaprepError
        The split has an even number of crops an image, so that none is central.
    """
    if data.crops % 2 == 0:
        folder = data.folder
        made = stores.open_store(folder.boundaries, mode="r").parameters
        command = folder.boundaries_command(made, crops=1, overwrite=True)
        raise AdaprepError(
            f"the validation split has {data.crops} crops an image and so no central one, which is what "
            f"mIoU is measured on. Run: {command}"
        )
    return np.arange(len(data.images)) * data.crops + data.crops // 2


def evaluate(
    network: nn.Module,
    data: StoreDataset,
    found: Inputs,
    device: torch.device,
    processes: Processes | None = None,
    region: Region = CENTRAL,
    truths: Truths | None = None,
) -> Scores:
    """Score a base network over a split at full resolution.

    On the central crop of every image; or on whole images, joined from all their crops, which cover them.

    Parameters
    ----------
    network
        Maps samples (B, 3, r, r) to scores (B, C, r, r); is put into evaluation mode.
    data
        Samples of the split: ``image``, ``label`` and ``phi``.
    found
        The split's frames, whose label maps are read.
    device
        Where the network is.
    processes
        Each scores its part of the images.
    region
        What of the images is measured.
    truths
        Its label maps, where they have been read before; else they are read.

    Raises
    ------
    AdaprepError
        There is no central crop, or a label map can no longer be read.
    NotNumbersError
        A score is NaN or infinite: batch norm may use a batch's own statistics in training and hide it there.
    """
    among = processes or Processes()
    classes = found.dataset.classes
    truths = Truths(found, region, 0) if truths is None else truths
    items = np.array_split(_items(data, region), among.size)[among.rank]  # so each shard is read by one
    matrix = ConfusionMatrix(classes.names, classes.targets)
    losses = np.zeros(2)
    network.eval()
    with ThreadPoolExecutor(cores()) as pool:
        for chosen, scores, phi, loss in _scored(network, data, items, device):
            frames = data.images[chosen[:, 0] // data.crops]
            for part in pool.map(partial(_compare, truths), frames, scores, phi):
                matrix += part
            losses += loss
    matrix.counts = np.asarray(among.total(matrix.counts), np.int64)
    total, count = among.total(losses)
    return Scores(matrix, float(total / max(count, 1)))


def _items(data: StoreDataset, region: Region) -> NDArray[np.intp]:
    """(N, k) the k items of each image that are measured."""
    if region == CENTRAL:
        return central_items(data)[:, None]
    return np.arange(len(data)).reshape(-1, data.crops)


def _scored(
    network: nn.Module, data: StoreDataset, items: NDArray[np.intp], device: torch.device
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]]:
    """Batches (B, k) of items with scores (B, k, C, r, r), tensors (B, k, 2, h, w), and loss and samples."""
    resolution = data[0]["image"].shape[-1] if len(data) else 1
    size = max(1, SAMPLES_AT_ONCE // resolution**2 // items.shape[1])
    for start in range(0, len(items), size):
        chosen = items[start : start + size]
        batch = data.__getitems__(chosen.ravel().tolist())
        with torch.inference_mode():
            scores: Tensor = network(_shown(network, batch).to(device)).float()
            if not bool(scores.isfinite().all()):
                raise NotNumbersError("the scores are no numbers in validation")
            labels = batch["label"].to(device)
            known = int((labels != VOID).sum())
            loss = np.array([float(cross_entropy(scores, labels)) * known, known])
        per_image = scores.cpu().numpy().reshape(*chosen.shape, *scores.shape[1:])
        phi = batch["phi"].numpy()
        yield chosen, per_image, phi.reshape(*chosen.shape, *phi.shape[1:]), loss


def _shown(network: nn.Module, batch: Batch) -> Tensor:
    if not getattr(network, "tensor_channels", False):
        return batch["image"]
    side = batch["image"].shape[-1]
    return points.shown(batch["image"], points.resize(batch["phi"].double(), (side, side)), True)


def _compare(
    truths: Truths, index: np.intp, scores: NDArray[np.float32], phi: NDArray[np.float32]
) -> ConfusionMatrix:
    """One image: scores (k, C, r, r) and tensors (k, 2, h, w) of its crops against its label map."""
    from pipeline.geometry.interpolation import interpolate_labels
    from pipeline.geometry.tensors import resize
    from pipeline.inference.tiling import tiles

    truth, classes = truths[int(index)], truths.found.dataset.classes
    labels, (height, width) = np.empty_like(truth), truth.shape
    for tile, of_crop, tensor in zip(tiles(height, width, len(scores)), scores, phi, strict=True):
        fine = resize(tensor.astype(np.float64), (scores.shape[-2], scores.shape[-1]))
        labels[tile.owned] = interpolate_labels(of_crop, fine, tile.side)[tile.inside]
    matrix = ConfusionMatrix(classes.names, classes.targets)
    matrix.update(truth, labels)
    return matrix
