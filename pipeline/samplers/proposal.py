"""Sampling with the ground truth's own proposals: what a perfect auxiliary network would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import AdaprepError
from pipeline.names import lambda_name
from pipeline.samplers.base import Crops, Grid, Sampler, Wanted, proposal_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Proposals(Sampler):
    """The proposals of one grid and lambda."""

    kind = "proposal"
    word = "proposals"
    title = "ground-truth proposals"
    role = "reference"
    style = 2
    needs_truth = from_proposals = usual = True
    recorded = {"grid": False, "lambda": False}  # noqa: RUF012

    grid: Grid = (8, 8)
    lam: float = 1.0

    @classmethod
    def make(cls, wanted: Wanted) -> Proposals:
        return cls(wanted.grid, float(wanted.lam))

    @classmethod
    def recall(cls, about: Mapping[str, Any], auxiliary: Path | None = None) -> Proposals:
        """With the grid and lambda that it was trained on, or that its auxiliary network was."""
        grid, lam = about.get("grid"), about.get("lambda")
        if auxiliary is not None:
            from pipeline.networks import checkpoint

            found = checkpoint.load(auxiliary, "auxiliary")
            grid, lam = found.arguments.get("grid", grid), found.about.get("lambda", lam)
        if grid is None or lam is None:
            raise AdaprepError(
                "it does not say the lambda of the proposals behind it: give --auxiliary FILE too, the "
                "network that sampled for it."
            )
        return cls((int(grid[0]), int(grid[1])), float(lam))

    @classmethod
    def options(cls, parameters: Mapping[str, Any]) -> dict[str, str]:
        return proposal_options(parameters)

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.grid[0]}x{self.grid[1]}-lambda{lambda_name(self.lam)}"

    @property
    def proposals(self) -> tuple[tuple[Grid, float], ...]:
        return ((self.grid, self.lam),)

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "lambda": self.lam}

    def describe(self) -> str:
        return f"{self.word} {self.grid[0]}x{self.grid[1]}, lambda {lambda_name(self.lam)}"

    def tensors(self, crops: Crops) -> NDArray[np.float32]:
        return crops.proposals(self.grid, self.lam)
