"""What a sampler is: how it is called, what it needs, and the sampling tensors that it makes of an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pipeline.names import lambda_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Grid = tuple[int, int]


class Crops(Protocol):
    """The K square crops of one image."""

    def images(self) -> list[NDArray[np.uint8]]:
        """K arrays (S, S, 3), RGB."""
        ...

    def proposals(self, grid: Grid, lam: float) -> NDArray[np.float32]:
        """(K, 2, h, w) from the ground truth: read from a store, or solved."""
        ...


@dataclass(frozen=True)
class Wanted:
    """What is asked of a sampler before it is made."""

    grid: Grid = (8, 8)
    lam: float = 1.0  # of proposals
    checkpoint: Path | None = None  # of the auxiliary network
    mean: Callable[[Grid, float], NDArray[np.float32]] | None = None  # (2, h, w) mean training proposal


@dataclass(frozen=True)
class Cost:
    """What a sampler adds to a base network."""

    macs: int = 0  # multiply-adds for one image
    parameters: int = 0


class Sampler(ABC):
    """Says where the crops of an image are sampled. Picklable: processes and machines share it.

    Attributes
    ----------
    kind
        As ``--sampler`` takes it, and as stores, runs and checkpoints record it.
    word, title
        In tables, and in running text.
    role
        In comparisons: baseline, adaptive, reference or control.
    style
        Colour and dashes in charts, by number.
    needs_network
        Whether an auxiliary network's checkpoint belongs to it.
    needs_truth
        Whether it looks at the proposals of the image itself.
    from_proposals
        Whether grid and lambda of proposals are chosen for it: it is made once for each.
    usual
        Whether a recipe that names no samplers trains with it.
    in_order
        Whether it looks at what was predicted for the frame before: frames of a video come one by one.
    recorded
        What the record of a run must hold of it: a name, and whether its value may be null.
    """

    kind: ClassVar[str]
    word: ClassVar[str]
    title: ClassVar[str]
    role: ClassVar[str] = "control"
    style: ClassVar[int] = 4
    needs_network: ClassVar[bool] = False
    needs_truth: ClassVar[bool] = False
    from_proposals: ClassVar[bool] = False
    usual: ClassVar[bool] = False
    recorded: ClassVar[Mapping[str, bool]] = {}
    in_order: ClassVar[bool] = False

    grid: Grid  # of its tensors
    lam: float | None  # of the proposals behind it, where it was chosen for it

    @classmethod
    @abstractmethod
    def make(cls, wanted: Wanted) -> Sampler:
        """Of what is asked for. Raises AdaprepError where something that it needs is not there."""

    @classmethod
    def recall(cls, about: Mapping[str, Any], auxiliary: Path | None = None) -> Sampler:
        """As a base network was trained with it.

        Parameters
        ----------
        about
            What the base network's checkpoint says.
        auxiliary
            Checkpoint of the auxiliary network.

        Raises
        ------
        AdaprepError
            That does not say enough.
        """
        grid, lam = about.get("grid") or (8, 8), about.get("lambda")
        return cls.make(Wanted((int(grid[0]), int(grid[1])), 1.0 if lam is None else float(lam), auxiliary))

    @classmethod
    def run_name(cls, resolution: int, grid: Grid, lam: float, auxiliary_resolution: int) -> str:
        """What the name of a run says of it and of the resolution."""
        return f"{cls.kind}-{resolution}" + (proposal_name(grid, lam) if cls.from_proposals else "")

    @classmethod
    def options(cls, parameters: Mapping[str, Any]) -> dict[str, str] | None:
        """Options of `adaprep sample` and `adaprep train` that make it again; None where files are needed.

        Parameters
        ----------
        parameters
            Of a store or of a run, as `parameters` and `settings` give them.
        """
        return {}

    @property
    def name(self) -> str:
        """Of its stores, without the resolution."""
        return self.kind

    @property
    def proposals(self) -> tuple[tuple[Grid, float], ...]:
        """Grid and lambda of what it reads of `Crops.proposals`."""
        return ()

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Of the data that it was trained on, where that matters."""
        return None

    @property
    def fixed(self) -> NDArray[np.float32] | None:
        """Its tensor (2, h, w) where that is the same for every image."""
        return None

    def parameters(self) -> dict[str, Any]:
        """What a store of samples records of it, beside the resolution."""
        return {"sampler": self.kind, "tensor_grid": list(self.grid)}

    def settings(self) -> dict[str, Any]:
        """What a run records of it: what shapes its tensors."""
        return {"grid": list(self.grid), "lambda": getattr(self, "lam", None), "auxiliary": None}

    def remembered(self) -> dict[str, Any]:
        """What a base network's checkpoint holds of it."""
        return self.settings()

    def cost(self) -> Cost:
        """What it adds to a base network."""
        return Cost()

    def begin(self) -> None:  # noqa: B027
        """The squares of the next image follow; only samplers that are `in_order` care."""

    def seen(self, labels: NDArray[np.uint8]) -> None:  # noqa: B027
        """What was predicted for a square that it sampled: train ids (S, S)."""

    def restarted(self) -> Sampler:
        """The same, without memory of what it has seen."""
        return self

    def describe(self) -> str:
        """In the rows of an evaluation."""
        return self.word

    @abstractmethod
    def tensors(self, crops: Crops) -> NDArray[np.float32]:
        """(K, 2, h, w) for the K crops of one image, on constraints (3)."""


class Fixed(Sampler):
    """The same tensor for every image."""

    @property
    @abstractmethod
    def fixed(self) -> NDArray[np.float32]:
        """(2, h, w)."""

    def tensors(self, crops: Crops) -> NDArray[np.float32]:
        import numpy as np

        tensor = self.fixed
        return np.broadcast_to(tensor, (len(crops.images()), *tensor.shape)).copy()


def proposal_name(grid: Grid, lam: float) -> str:
    """What a name says of proposals: nothing where grid and lambda are the paper's."""
    size = "" if grid == (8, 8) else f"-{grid[0]}x{grid[1]}"
    return size + ("" if lam == 1.0 else f"-lambda{lambda_name(lam)}")


def proposal_options(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Grid and lambda of a store or a run as options, as far as they are recorded."""
    grid = parameters.get("tensor_grid") or parameters.get("grid")
    if grid is None or parameters.get("lambda") is None:
        return {}
    return {"--lambda": lambda_name(parameters["lambda"]), "--grid": "x".join(map(str, grid))}
