"""What a training run is made with: the paper's figures as data, and what becomes of the command's options.

Nothing here needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.names import check_component, safe_component
from pipeline.samplers import registry
from pipeline.samplers.base import Sampler, proposal_name
from pipeline.settings import (
    DEVICE,
    FILTER,
    GRID,
    LAMBDA,
    OVERWRITE,
    PRECISION,
    RESOLUTION,
    SAMPLE_FILTER,
    Device,
    Filter,
    Grid,
    Precision,
    plain,
    setting,
)
from pipeline.train import class_weights

__all__ = ["Auxiliary", "Base", "Filter", "Precision", "Request", "Schedule", "plain"]

BATCH_SIZES = {16: 128, 32: 128, 64: 128, 128: 32, 256: 24, 512: 12}
"""Crops in a batch by input resolution (section 4.1 of the paper)."""

SMALLEST_BATCH, BATCHES_AN_EPOCH = 8, 30
"""Small data sets: an epoch has so many batches at least, unless they would be smaller than this."""


class Pace(NamedTuple):
    """Where the learning rate starts, and how many times the training images are gone through."""

    rate: float
    epochs: int


PACES = {
    "apolloscape": Pace(1e-5, 33),
    "supervisely": Pace(1e-4, 1000),
    "synthia": Pace(1e-4, 500),
    "demo": Pace(1e-3, 100),
}
"""By the beginning of a data set's name; the paper's (section 4.1), but for the demo's."""

OTHER_PACE = Pace(1e-4, 500)
"""Of all other data sets: Synthia's, the one of the paper's that is nearest to them in size."""

FINAL_FACTOR = 0.01
"""Share of the learning rate that is left at the end. The paper says "exponential" and no more."""

LOSSES = ("proposal", "energy")
"""Of the auxiliary network, as in `pipeline.train.losses`, which needs PyTorch."""

DIRECT, SOLVER = "direct", "solver"
"""What an auxiliary network ends with."""

PREFIXES = ("smp", "torchvision", "timm", "hf")
"""Of the names of other libraries' networks, as in `pipeline.networks.libraries`, which needs PyTorch."""

WEIGHTS = ("imagenet", "none")
"""What `--pretrained` takes beside a file."""

BASE_LOSSES = ("cross-entropy", "boundary")
"""Of the base network, likewise."""

PROBABILITIES = ("flip", "salt_and_pepper", "turn")
"""Strengths of augmentation that are at most 1."""

VALIDATIONS = 50
"""About how often a run is validated, where that is less than once an epoch."""


@dataclass(frozen=True)
class Schedule:
    """How weights are found; the same for both networks."""

    rate: float  # Adam's learning rate at the first step; falls exponentially, step by step
    epochs: int  # of one random crop an image
    batch_size: int  # crops a step, all processes together
    final_factor: float = FINAL_FACTOR  # learning rate at the last step / at the first
    weight_decay: float = 0.0  # decoupled, of convolution weights alone
    seed: int = 0
    validate_every: int = 1  # epochs
    patience: int = 0  # validations
    augmentation: Mapping[str, float] = field(default_factory=dict)  # fields of data.Augmentation

    @property
    def most_epochs(self) -> int:
        """With those after `epochs` in which validation may still rise."""
        return self.epochs * (2 if self.patience else 1)

    def learning_rate(self, step: int, steps: int) -> float:
        """At one step: exponential from `rate` to ``rate * final_factor`` within `steps`, constant then."""
        return float(self.rate * self.final_factor ** min(step / max(steps - 1, 1), 1))

    def is_validated(self, epoch: int) -> bool:
        """Whether validation follows an epoch; they count from 1."""
        return epoch % self.validate_every == 0 or epoch in (self.epochs, self.most_epochs)

    def is_over(self, epoch: int, best: int) -> bool:
        """Whether no epoch follows one of which the best so far is number `best`."""
        if not self.epochs <= epoch < self.most_epochs:
            return epoch >= self.most_epochs
        return sum(map(self.is_validated, range(best + 1, epoch + 1))) >= self.patience


@dataclass(frozen=True)
class Auxiliary:
    """The auxiliary network and what it learns."""

    resolution: int = setting(
        32, "Side of the auxiliary network's small uniform images.", flag="--aux-resolution", low=2
    )
    filter: Filter = FILTER()
    grid: Grid = GRID()
    lam: float = LAMBDA(help="Lambda of the proposals.")
    loss: str = setting(
        "proposal",
        "What the auxiliary network is compared with.",
        flag="--aux-loss",
        choices=LOSSES,
        door=True,
    )
    features: int = setting(256, "Width of the auxiliary network's layers.", flag="--aux-features", low=2)
    encoder: str = setting(
        "plain",
        "Encoder of the auxiliary network: the paper's, or EfficientNet-Lite0 with ImageNet weights.",
        flag="--aux-encoder",
        choices=("plain", "efficientnet-lite0"),
    )
    head: str = setting(
        DIRECT,
        "What the auxiliary network ends with: direct, the tensor itself; solver, pulls and weights, and the "
        "exact minimiser of the energy.",
        flag="--aux-head",
        choices=(DIRECT, SOLVER),
    )
    zoom: float = setting(
        0.0,
        "Train the auxiliary network on random squares of the crops, blown up by 1 to 1 + this; "
        "0: on whole crops.",
        flag="--aux-zoom",
        low=0,
    )
    mirrored: bool = setting(
        False,
        "Let the auxiliary network predict the mean of what it finds in an image and in its mirror image.",
        flag="--aux-mirrored",
    )

    @property
    def name(self) -> str:
        """Of its runs, without the seed."""
        features = "" if self.features == 256 else f"-features{self.features}"
        loss = "" if self.loss == "proposal" else f"-{safe_component(self.loss)}"
        area = "" if self.filter == "area" else f"-{self.filter}"
        encoder = "" if self.encoder == "plain" else f"-{self.encoder}"
        head = "" if self.head == DIRECT else f"-{self.head}"
        head += f"-zoom{self.zoom:g}" if self.zoom else ""
        head += "-mirrored" if self.mirrored else ""
        proposals = proposal_name(self.grid, self.lam)
        return f"auxiliary-{self.resolution}{area}{proposals}{loss}{features}{encoder}{head}"


@dataclass(frozen=True)
class Base:
    """The base network and the samples it learns from."""

    architecture: str = setting(
        "unet",
        "Base network: unet, pspnet, deeplabv3plus, efficientnet-lite0, smp:DECODER:ENCODER, "
        "torchvision:NAME, timm:ENCODER, hf:FOLDER, or your own as package.module:factory.",
        formerly=("--base",),
        metavar="NAME",
    )
    sampler: str = setting(
        "auxiliary", "Where the base network's samples lie.", choices=registry.names(), door=True
    )
    resolution: int = RESOLUTION()
    grid: Grid = GRID()  # of proposals
    lam: float = LAMBDA(help="Lambda of the proposals.")
    filter: Filter = SAMPLE_FILTER()
    class_weights: str = setting(
        class_weights.NONE,
        "Class weights of the base network's loss: none; inverse or median, by frequency in the training "
        "label maps; or NAME=NUMBER with commas, 1 for all others.",
        metavar="WEIGHTS",
    )
    loss: str = setting(
        "cross-entropy",
        "Loss of the base network; boundary gives samples at boundaries more weight.",
        choices=BASE_LOSSES,
        door=True,
    )
    area_weight: float = setting(
        0.0, "Power, 0 to 1, of a sample's cell's area that its loss is weighted with.", low=0
    )
    tensor_channels: bool = setting(
        False, "Show the base network the sampling tensor beside the image: local scale and offsets (unet)."
    )
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the network, beside the classes
    pretrained: str | None = setting(
        None,
        "Weights that the base network's encoder starts from: a file, imagenet (may download), or none. "
        "Default: imagenet for efficientnet-lite0, the folder's for hf, none for others.",
        metavar="FILE|imagenet|none",
    )

    def name(self, auxiliary: Auxiliary) -> str:
        """Of its runs, without the seed."""
        prefix, colon, rest = self.architecture.partition(":")
        named = f"hf:{Path(rest).resolve().name}" if colon and prefix == "hf" else self.architecture
        network = "".join(c if c.isalnum() or c in "_." else "-" for c in named)
        chosen: Auxiliary | Base = auxiliary if self.kind.needs_network else self
        sampler = self.kind.run_name(self.resolution, chosen.grid, chosen.lam, auxiliary.resolution)
        filtered = "" if self.filter == "nearest" else f"-{self.filter}"
        return f"base-{network}-{sampler}{filtered}{class_weights.word(self.class_weights)}{self._learning}"

    @property
    def _learning(self) -> str:
        """What a name says of loss and tensor channels."""
        loss = "" if self.loss == "cross-entropy" else f"-{safe_component(self.loss)}"
        areas = f"-areas{self.area_weight:g}" if self.area_weight else ""
        return f"{loss}{areas}{'-channels' if self.tensor_channels else ''}"

    @property
    def kind(self) -> type[Sampler]:
        """What is known of its sampler."""
        return registry.kind(self.sampler)


@dataclass(frozen=True)
class Request:
    """What the command asks for. None: the default for the data set and the resolution."""

    networks: tuple[str, ...] = setting(
        (),
        "Only this one. Default: base, and before it auxiliary if that samples.",
        flag="--network",
        choices=("auxiliary", "base"),
    )
    auxiliary: Auxiliary = field(default_factory=Auxiliary)
    base: Base = field(default_factory=Base)
    seed: int = setting(0, "Seed of the initial weights and of the order of training.", low=0)
    rate: float | None = setting(
        None,
        "Adam's learning rate at the start. Default: by data set.",
        flag="--learning-rate",
        formerly=("--rate",),
        above=0,
    )
    epochs: int | None = setting(None, "Epochs of one random crop per image. Default: by data set.", low=1)
    batch_size: int | None = setting(
        None, "Crops per step, all processes together. Default: by resolution.", low=1
    )
    weight_decay: float = setting(0.0, "Decoupled, of the weights of convolutions and linear layers.", low=0)
    validate_every: int | None = setting(
        None, "Epochs between validations. Default: about 50 validations per run.", low=1
    )
    patience: int = setting(
        0,
        "After the last epoch go on at the last rate, for at most as many epochs again, until so many "
        "validations were no better than the best and mIoU no longer rises. 0: end after the last epoch.",
        low=0,
    )
    augmentation: Mapping[str, float] = setting(
        {},
        "Strength of flip, brightness, contrast, salt_and_pepper, zoom or turn; 0 is off.",
        flag="--augment",
        metavar="KEY=NUMBER",
    )
    checkpoint: Path | None = setting(
        None,
        "Auxiliary network to sample with, trained before: a run or a file.",
        completes="run",
        elsewhere=True,
    )
    finetune: Path | None = setting(
        None,
        "Base network, a run or a file: continue training the auxiliary network that sampled for it, with "
        "the base network's loss added.",
        completes="run",
        elsewhere=True,
    )
    whole_image: bool = setting(
        False, "Train on crops that cover every image, and validate base networks on whole images."
    )
    tag: str | None = setting(None, "End of the run's name, to keep several apart.", metavar="WORD")
    train_split: str = setting("train", "Split to train on.")
    val_split: str = setting("val", "Split to validate on, if the workspace holds it.")
    device: Device = DEVICE()
    precision: Precision = PRECISION()
    workers: int = setting(0, "Threads that read samples, where these do not fit in memory.", low=0)
    save_every: int = setting(500, "Steps between checkpoints.", low=1)
    eager: bool = setting(
        False,
        "On an NVIDIA GPU, start the kernels of each step one by one. Default: a step of a base network of "
        "adaprep's own is recorded once and replayed.",
        shown=False,
    )
    overwrite: bool = OVERWRITE(help="Start a run again that was made with other settings.")

    @property
    def splits(self) -> tuple[str, str]:
        """To train on, and to validate on."""
        return self.train_split, self.val_split

    @property
    def wanted(self) -> tuple[str, ...]:
        """The networks to train: those named, else base and, if it samples, auxiliary."""
        return self.networks or (("auxiliary", "base") if self.base.kind.needs_network else ("base",))

    def minimal(self) -> Request:
        """The same trainings, with defaults for all that they do not use: as short as a command line gets."""
        if "base" in self.wanted and not self.base.kind.needs_network:
            return replace(self, auxiliary=Auxiliary(grid=self.base.grid, lam=self.base.lam))
        base = self.base if "base" in self.wanted else Base()
        return replace(self, base=replace(base, grid=self.auxiliary.grid, lam=self.auxiliary.lam))

    def schedule(self, dataset: str, images: int, resolution: int) -> Schedule:
        """The schedule of one network on a data set with so many training images."""
        rate, epochs = pace(dataset)
        epochs = epochs if self.epochs is None else self.epochs
        return Schedule(
            rate if self.rate is None else self.rate,
            epochs,
            batch_size(resolution, images) if self.batch_size is None else self.batch_size,
            weight_decay=self.weight_decay,
            seed=self.seed,
            validate_every=-(-epochs // VALIDATIONS) if self.validate_every is None else self.validate_every,
            patience=self.patience,
            augmentation=self.augmentation,
        )

    def run_name(self, network: str, long: bool = False) -> str:
        """Of a run of one of the two networks.

        Parameters
        ----------
        long
            Whether training images are so long that covering them takes other crops than there are: only
            then does `whole_image` change what the auxiliary network learns from.

        Raises
        ------
        AdaprepError
            The tag can be no part of it.
        """
        name = self.auxiliary.name if network == "auxiliary" else self.base.name(self.auxiliary)
        name += "-finetuned" if network == "auxiliary" and self.finetune else ""
        for kind in ("zoom", "turn") if network == "base" else ():
            strength = self.augmentation.get(kind)
            name += f"-{kind}{strength:g}" if strength else ""
        if self.whole_image and (long or network == "base"):
            name += "-whole"
        return f"{name}-seed{self.seed}" + (f"-{check_component('tag', self.tag)}" if self.tag else "")


def pace(dataset: str) -> Pace:
    """Rate and epochs of a data set: that of the longest beginning of its name, else `OTHER_PACE`."""
    known = [name for name in PACES if dataset.startswith(name)]
    return PACES[max(known, key=len)] if known else OTHER_PACE


def batch_size(resolution: int, images: int) -> int:
    """The paper's batch size, of the next resolution it lists; less for small data sets.

    Above 512 pixels it shrinks with the number of pixels.
    """
    listed = next((r for r in sorted(BATCH_SIZES) if r >= resolution), None)
    most = max(BATCH_SIZES)
    papers = BATCH_SIZES[listed] if listed else max(1, BATCH_SIZES[most] * most**2 // resolution**2)
    return min(papers, max(SMALLEST_BATCH, images // BATCHES_AN_EPOCH))
