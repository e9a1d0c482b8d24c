"""What a training run is made with: the paper's figures as data, and what becomes of the command's options.

Nothing here needs PyTorch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pipeline.errors import AdaprepError
from pipeline.names import check_component
from pipeline.stores import lambda_name

Sampler = Literal["uniform", "proposal", "auxiliary"]
AuxiliaryLoss = Literal["proposal", "energy"]
Precision = Literal["auto", "float32", "bfloat16"]

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
    augmentation: Mapping[str, float] = field(default_factory=dict)  # fields of data.Augmentation

    def learning_rate(self, step: int, steps: int) -> float:
        """At one step of a run of `steps`: exponential from `rate` to ``rate * final_factor``."""
        return float(self.rate * self.final_factor ** (step / max(steps - 1, 1)))


@dataclass(frozen=True)
class Auxiliary:
    """The auxiliary network and what it learns."""

    resolution: int = 32  # of its small uniform images
    filter: str = "area"
    grid: tuple[int, int] = (8, 8)
    lam: float = 1.0
    loss: AuxiliaryLoss = "proposal"
    features: int = 256

    @property
    def name(self) -> str:
        """Of its runs, without the seed."""
        features = "" if self.features == 256 else f"-features{self.features}"
        loss = "" if self.loss == "proposal" else f"-{self.loss}"
        area = "" if self.filter == "area" else f"-{self.filter}"
        return f"auxiliary-{self.resolution}{area}{proposal_name(self.grid, self.lam)}{loss}{features}"


@dataclass(frozen=True)
class Base:
    """The base network and the samples it learns from."""

    architecture: str = "unet"
    sampler: Sampler = "auxiliary"
    resolution: int = 64
    grid: tuple[int, int] = (8, 8)  # of proposals
    lam: float = 1.0
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the network, beside the classes
    pretrained: str | None = None  # file of the backbone's weights

    def name(self, auxiliary: Auxiliary) -> str:
        """Of its runs, without the seed."""
        network = "".join(c if c.isalnum() or c in "_." else "-" for c in self.architecture)
        sampler = self.sampler if auxiliary.resolution == 32 else f"{self.sampler}{auxiliary.resolution}"
        if self.sampler == "auxiliary":
            return f"base-{network}-{sampler}-{self.resolution}{proposal_name(auxiliary.grid, auxiliary.lam)}"
        proposal = proposal_name(self.grid, self.lam) if self.sampler == "proposal" else ""
        return f"base-{network}-{self.sampler}-{self.resolution}{proposal}"


@dataclass(frozen=True)
class Request:
    """What the command asks for. None: the default for the data set and the resolution."""

    networks: tuple[str, ...]
    auxiliary: Auxiliary = field(default_factory=Auxiliary)
    base: Base = field(default_factory=Base)
    seed: int = 0
    rate: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    weight_decay: float = 0.0
    validate_every: int | None = None
    augmentation: Mapping[str, float] = field(default_factory=dict)
    checkpoint: Path | None = None  # of an auxiliary network trained elsewhere
    tag: str | None = None  # end of the runs' names
    splits: tuple[str, str] = ("train", "val")
    device: str = "auto"
    precision: Precision = "auto"  # of the forward pass; auto: bfloat16 on a GPU, float32 elsewhere
    workers: int = 0  # processes that read batches
    save_every: int = 500  # steps
    overwrite: bool = False

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
            augmentation=self.augmentation,
        )

    def run_name(self, network: str) -> str:
        """Of a run of one of the two networks. Raises AdaprepError where the tag can be no part of it."""
        name = self.auxiliary.name if network == "auxiliary" else self.base.name(self.auxiliary)
        return f"{name}-seed{self.seed}" + (f"-{check_component('tag', self.tag)}" if self.tag else "")


def chosen_networks(network: str | None, sampler: str) -> tuple[str, ...]:
    """What to train: the one named, else the base network and, if it samples, the auxiliary one before it."""
    if network is not None:
        return (network,)
    return ("auxiliary", "base") if sampler == "auxiliary" else ("base",)


def pace(dataset: str) -> Pace:
    """Rate and epochs of a data set: that of the longest beginning of its name, else `OTHER_PACE`."""
    known = [name for name in PACES if dataset.startswith(name)]
    return PACES[max(known, key=len)] if known else OTHER_PACE


def strengths(options: Sequence[str]) -> dict[str, float]:
    """("contrast=0.4",) to numbers by name. Raises AdaprepError where one is no KEY=NUMBER of at least 0."""
    found = {}
    for option in options:
        name, _, number = option.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = -1.0
        if not 0 <= found[name] < float("inf"):
            raise AdaprepError(f"--augment {option}: give KEY=NUMBER, at least 0, such as contrast=0.4")
    return found


def batch_size(resolution: int, images: int) -> int:
    """The paper's batch size, of the next resolution it lists; less for small data sets.

    Above 512 pixels it shrinks with the number of pixels.
    """
    listed = next((r for r in sorted(BATCH_SIZES) if r >= resolution), None)
    most = max(BATCH_SIZES)
    papers = BATCH_SIZES[listed] if listed else max(1, BATCH_SIZES[most] * most**2 // resolution**2)
    return min(papers, max(SMALLEST_BATCH, images // BATCHES_AN_EPOCH))


def proposal_name(grid: tuple[int, int], lam: float) -> str:
    """What a name says of proposals: nothing where grid and lambda are the paper's."""
    size = "" if grid == (8, 8) else f"-{grid[0]}x{grid[1]}"
    return size + ("" if lam == 1.0 else f"-lambda{lambda_name(lam)}")


def plain(settings: Schedule | Auxiliary | Base, **changes: Any) -> dict[str, Any]:
    """Settings as a dictionary for JSON; `changes` replaces fields first."""
    return asdict(replace(settings, **changes))


def need_torch() -> None:
    """Raise AdaprepError unless what training needs is installed."""
    if absent := [name for name in ("torch", "timm") if importlib.util.find_spec(name) is None]:
        raise AdaprepError(
            f"training needs {' and '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} not "
            f"installed. Run: pip install 'adaprep[train]'"
        )
