"""Where the frames of a split that a YAML file describes come from: folders, a list, a part of a pool."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.pairs import Pairing
from pipeline.datasets.splitting import Division
from pipeline.storage import joined

POOL = "pool"
"""What a description calls the frames that are divided into splits."""


@dataclass(frozen=True)
class Folders:
    """A split whose frames are paired by name."""

    images: str
    labels: str
    instances: str | None = None
    image_suffix: str = ""
    label_suffix: str = ""
    instance_suffix: str = ""
    stems: str | None = None  # a file that lists the names of the frames to take
    skip_unpaired: bool = False

    def under(self, root: Path) -> Pairing:
        """The folders below a root."""
        return Pairing(
            joined(root, self.images),
            joined(root, self.labels),
            joined(root, self.instances) if self.instances else None,
            self.image_suffix,
            self.label_suffix,
            self.instance_suffix,
        )


@dataclass(frozen=True)
class ListFile:
    """A split whose frames stand in a list."""

    list: str
    skip_unpaired: bool = False


@dataclass(frozen=True)
class PoolPart:
    """A split that is a part of a pool."""

    pool: Folders | ListFile
    division: Division
    taken: frozenset[str]  # of the division's splits


Source = Folders | ListFile | PoolPart
