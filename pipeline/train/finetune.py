"""Training an auxiliary network further with the loss of the base network that it samples for.

The small image leads to a tensor, the tensor to samples, the samples to scores, and the loss of these back to
the auxiliary network: samples are taken bilinearly, which is differentiable in where they lie, from a uniform
image of several times the base network's resolution. The base network stays as it is; it is trained again
afterwards, on what the finetuned network samples, like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import AdaprepError
from pipeline.inference import systems
from pipeline.inference.segmenter import sample
from pipeline.networks import checkpoint, points
from pipeline.networks.auxiliary import PLAIN, project
from pipeline.networks.checkpoint import Checkpoint
from pipeline.samplers.uniform import Uniform
from pipeline.stages.outputs import Sampled
from pipeline.train import losses, settings
from pipeline.train.auxiliary_task import AuxiliaryTask
from pipeline.train.data import FINER, Batch
from pipeline.train.fit import Task
from pipeline.train.parts import AuxiliaryPart
from pipeline.train.prepare import Splits
from pipeline.train.settings import Request
from pipeline.workspace import stores


def bilinear(images: Tensor, phi: Tensor) -> Tensor:
    """Sample images between their pixels; differentiable in both.

    Parameters
    ----------
    images
        (B, C, H, W) floats, corner-aligned.
    phi
        (B, 2, h, w) in [0, 1].

    Returns
    -------
    Tensor
        (B, C, h, w). At the pixels' own places these are the pixels.
    """
    places = 2 * torch.stack([phi[:, 1], phi[:, 0]], dim=-1) - 1
    return torch.nn.functional.grid_sample(images, places, padding_mode="border", align_corners=True)


def segmentation(base: nn.Module, resolution: int, phi: Tensor, fine: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of a base network at the samples of predicted tensors.

    A sample weighs as much as the area it stands for, so that the loss is about that of all pixels, and
    nothing is gained by crowding samples where the image is easy. Areas are weights and have no gradient.

    Parameters
    ----------
    base
        Maps samples to scores.
    resolution
        Of the samples.
    phi
        Predictions (B, 2, h, w), not projected.
    fine, labels
        Uniform images (B, 3, R, R) of 0 to 255 and their train ids (B, R, R), 255 void; those nearest to a
        sample are its label.
    """
    place = points.resize(project(phi), (resolution, resolution))
    wanted = bool(getattr(base, "tensor_channels", False))
    scores = base(points.shown(bilinear(fine.float(), place), place, wanted))
    nearest = sample(labels[:, None], place.detach())[:, 0]
    return losses.cross_entropy(scores, nearest, points.cell_areas(place.detach()))


class FinetuneTask(AuxiliaryTask):
    """What the loop needs to know about an auxiliary network that is finetuned.

    Parameters
    ----------
    chosen, validation, about, in_memory
        As for `AuxiliaryTask`; the stores of a split are followed by that of finer uniform samples.
    train
        Likewise, of the training split.
    start
        The auxiliary network as it was.
    base
        The base network, which is not changed, and the resolution of its samples.
    """

    at_once = 32

    def __init__(
        self,
        chosen: settings.Auxiliary,
        train: tuple[Path, ...],
        validation: tuple[Path, ...] | None,
        about: Mapping[str, Any],
        start: Checkpoint,
        base: tuple[nn.Module, int],
        in_memory: bool | None = None,
    ) -> None:
        super().__init__(replace(chosen, zoom=0.0), train, validation, about, in_memory)
        self.start, self.arguments = start, dict(start.arguments)
        self.base, self.resolution = base[0].eval().requires_grad_(False), base[1]

    def build(self) -> nn.Module:
        """The network with the weights that it has."""
        return self.start.build().train()

    def _compare(self, phi: Tensor, batch: Batch) -> Tensor:
        """The loss that it was trained with, which keeps it from drifting, and the base network's."""
        base = self.base.to(phi.device)
        of_base = segmentation(base, self.resolution, phi, batch["fine"], batch["label"])
        return super()._compare(phi, batch) + of_base


@dataclass
class FinetunePart(AuxiliaryPart):
    """An auxiliary network that is finetuned with a base network."""

    base: Checkpoint
    start: Checkpoint

    @classmethod
    def of(cls, space: stores.Workspace, splits: Splits, request: Request) -> FinetunePart:
        """Find both networks.

        Raises
        ------
        AdaprepError
            The base network was trained on other samples than an auxiliary network's or on another data set,
            or that network is not there.
        """
        assert request.finetune is not None
        base = systems.load_base(request.finetune)
        about = splits.about()
        base.expect(**{name: about[name] for name in ("dataset", "class_names", "targets")})
        wanted = base.about.get("auxiliary")
        if wanted is None:
            raise AdaprepError(
                f"{base.path} was trained on {base.about['sampler']} samples, and --finetune is for the "
                f"auxiliary network that sampled for a base network: name one trained with "
                f"--sampler auxiliary."
            )
        known = systems.auxiliary_networks(space.runs(splits.train.folder.dataset))
        if wanted not in known:
            raise AdaprepError(
                f"{base.path} was trained on samples of the auxiliary network {wanted}, which no run in "
                f"{space.runs_folder(splits.train.folder.dataset)} holds: put it back, or name another base "
                f"network with --finetune."
            )
        start = checkpoint.load(known[wanted], "auxiliary")
        return cls(space, splits, replace(request, auxiliary=as_trained(start)), base, start)

    @property
    def finer(self) -> Sampled:
        """What is sampled bilinearly."""
        return Sampled(FINER * int(self.base.about["resolution"]), Uniform())

    def own_settings(self) -> dict[str, Any]:
        return {**super().own_settings(), "start": self.start.identity, "through": self.base.identity}

    def task(self, in_memory: bool | None) -> Task:
        train, held = self.splits.train, self.splits.validation
        own = self.request.base.architecture
        network = self.base.build((own,) if ":" in own else ())
        return FinetuneTask(
            self.request.auxiliary,
            self.stores(train),
            self.stores(held) if held else None,
            self.splits.about(),
            self.start,
            (network, int(self.base.about["resolution"])),
            in_memory,
        )


def as_trained(found: Checkpoint) -> settings.Auxiliary:
    """The settings that an auxiliary network was trained with."""
    arguments, about = found.arguments, found.about
    height, width = arguments["grid"]
    return settings.Auxiliary(
        resolution=arguments["resolution"],
        filter=about["filter"],
        grid=(height, width),
        lam=about["lambda"],
        loss=about["loss"],
        features=arguments["features"],
        encoder=arguments.get("encoder", PLAIN),
        head=settings.SOLVER if "solver" in arguments else settings.DIRECT,
        zoom=about.get("zoom", 0.0),
        mirrored=arguments.get("mirrored", False),
    )
