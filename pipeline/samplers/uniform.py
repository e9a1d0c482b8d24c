"""Uniform sampling: the paper's baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.samplers.base import Fixed, Grid, Wanted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Uniform(Fixed):
    """Sample points at equal distances."""

    kind = word = title = "uniform"
    role = "baseline"
    style = 1
    usual = True
    grid: Grid = (8, 8)

    @classmethod
    def make(cls, wanted: Wanted) -> Uniform:
        return cls()

    @property
    def fixed(self) -> NDArray[np.float32]:
        import numpy as np

        from pipeline.geometry.tensors import uniform

        return uniform(*self.grid).astype(np.float32)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "grid": None}
