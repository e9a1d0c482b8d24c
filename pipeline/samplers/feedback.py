"""Sampling by labels that a base network predicted: of the last frame of a video, or in a coarse first pass.

Predicted labels have boundaries as the ground truth has, and the exact solver makes a tensor of these: no
auxiliary network is needed. These samplers belong to a base network that is trained already.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline import advice
from pipeline.errors import AdaprepError
from pipeline.names import lambda_name
from pipeline.samplers.base import Cost, Crops, Grid, Sampler, Wanted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Feedback(Sampler):
    """Solves for predicted labels. The same grid and lambda as the proposals that BASE was trained on."""

    role = "adaptive"
    style = 0

    targets: tuple[int, ...]  # train ids
    grid: Grid = (8, 8)
    lam: float = 1.0

    @classmethod
    def make(cls, wanted: Wanted) -> Sampler:
        evaluate = advice.command("evaluate", base="BASE", sampler=(cls.kind,))
        raise AdaprepError(
            f"the sampler {cls.kind!r} needs a trained base network: {evaluate}   or `adaprep predict`"
        )

    @abstractmethod
    def labels(self, crop: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """Train ids whose boundaries attract, of evenly spaced points of a crop (S, S, 3), as many a side as
        there are; None where there are none yet.
        """

    def describe(self) -> str:
        return f"{self.word} {self.grid[0]}x{self.grid[1]}, lambda {lambda_name(self.lam)}"

    def tensors(self, crops: Crops) -> NDArray[np.float32]:
        import numpy as np

        from pipeline.geometry.proposal import propose
        from pipeline.geometry.tensors import uniform

        made = []
        for crop in crops.images():
            labels = self.labels(crop)
            if labels is None:
                made.append(uniform(*self.grid))
            else:
                made.append(propose(labels, self.targets, self.grid, self.lam))
        return np.stack(made).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Previous(Feedback):
    """The labels predicted for the last frame of a video; uniform for the first."""

    kind = "previous"
    word = "previous frame"
    title = "boundaries predicted in the last frame"
    in_order = True

    before: list[NDArray[np.uint8]] = field(default_factory=list, repr=False)  # of the last frame's squares
    now: list[NDArray[np.uint8]] = field(default_factory=list, repr=False)  # of this one's, so far

    def begin(self) -> None:
        self.before[:] = self.now
        self.now.clear()

    def seen(self, labels: NDArray[np.uint8]) -> None:
        self.now.append(labels)

    def restarted(self) -> Previous:
        return replace(self, before=[], now=[])

    def labels(self, crop: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        square = len(self.now)
        found = self.before[square] if square < len(self.before) else None
        return found if found is not None and found.shape == crop.shape[:2] else None


@dataclass(frozen=True, eq=False)
class Twice(Feedback):
    """The labels of a coarse pass over uniform samples, taken at the samples themselves.

    They are not interpolated: the grid of the tensor is coarser still, and only their boundaries are needed.
    """

    kind = "twice"
    word = "two passes"
    title = "boundaries predicted by a coarse pass"

    first: Callable[[Any], NDArray[np.uint8]] = field(kw_only=True)  # a crop (S, S, 3) to train ids (r, r)
    first_cost: Cost = field(kw_only=True)
    first_resolution: int = field(kw_only=True)

    def labels(self, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return self.first(crop)

    def cost(self) -> Cost:
        return self.first_cost

    def describe(self) -> str:
        return f"{super().describe()}, first {self.first_resolution}"


FEEDBACK: dict[str, type[Feedback]] = {"previous": Previous, "twice": Twice}
"""By the names that ``--sampler`` of `evaluate` and `predict` takes."""


def split(samplers: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of `FEEDBACK`, and the user's own samplers, among those that a command is given.

    Raises
    ------
    AdaprepError
        One is neither.
    """
    names = tuple(name for name in samplers if name in FEEDBACK)
    own = tuple(name for name in samplers if name not in FEEDBACK)
    if unknown := [name for name in own if ":" not in name]:
        raise AdaprepError(
            f"--sampler {unknown[0]}: here it is {' or '.join(FEEDBACK)}, which replace how BASE was "
            f"sampled, or package.module:factory of your own; a checkpoint remembers all others"
        )
    return names, own


def check_first(samplers: Sequence[str], first: object) -> None:
    """Refuse a first network without two passes. Raises AdaprepError."""
    if first is not None and Twice.kind not in samplers:
        raise AdaprepError("--first is the network of the first of two passes: add --sampler twice")
