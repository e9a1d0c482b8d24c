"""The fixed warp: the mean training proposal for every image. No network, no cost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import AdaprepError
from pipeline.names import lambda_name
from pipeline.samplers.base import Fixed, Grid, Wanted, proposal_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Mean(Fixed):
    """The mean of the proposals of the training split, of one grid and lambda."""

    kind = "mean"
    word = "fixed warp"
    title = "fixed warp, the mean training proposal"
    style = 3
    from_proposals = True
    recorded = {"grid": False, "lambda": False, "mean": False}  # noqa: RUF012

    grid: Grid
    lam: float
    digest: str  # of the tensor: eight hexadecimal digits
    tensor: NDArray[np.float32] = field(repr=False, compare=False)  # (2, h, w)

    @classmethod
    def of(cls, tensor: NDArray[np.float32], lam: float) -> Mean:
        """The sampler of a tensor (2, h, w)."""
        import numpy as np

        kept = np.ascontiguousarray(tensor, "<f4")
        digest = hashlib.sha256(kept.tobytes()).hexdigest()[:8]
        return cls((kept.shape[1], kept.shape[2]), float(lam), digest, kept)

    @classmethod
    def make(cls, wanted: Wanted) -> Mean:
        if wanted.mean is None:
            raise AdaprepError(f"the sampler {cls.kind!r} needs the training split's proposals")
        return cls.of(wanted.mean(wanted.grid, wanted.lam), wanted.lam)

    @classmethod
    def recall(cls, about: Mapping[str, Any], auxiliary: Path | None = None) -> Mean:
        import numpy as np

        from pipeline.geometry.tensors import project

        tensor = np.array(about.get("tensor"), np.float32)
        if tensor.ndim != 3 or len(tensor) != 2 or min(tensor.shape) < 2:
            raise AdaprepError("it does not hold the mean proposal that it was sampled with: train it again.")
        if not np.array_equal(project(tensor.astype(np.float64)), tensor):
            raise AdaprepError("the mean proposal that it holds does not cover an image: train it again.")
        return cls.of(tensor, about.get("lambda") or 0.0)

    @classmethod
    def options(cls, parameters: Mapping[str, Any]) -> dict[str, str]:
        return proposal_options(parameters)

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.grid[0]}x{self.grid[1]}-lambda{lambda_name(self.lam)}-{self.digest}"

    @property
    def fixed(self) -> NDArray[np.float32]:
        return self.tensor

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "lambda": self.lam, "mean": self.digest}

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "mean": self.digest}

    def remembered(self) -> dict[str, Any]:
        return {**self.settings(), "tensor": self.tensor.tolist()}

    def describe(self) -> str:
        return f"{self.word} {self.grid[0]}x{self.grid[1]}, lambda {lambda_name(self.lam)}"
