"""How the images and labels of a folder belong together, as it was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Pair = tuple[str, str]
"""Paths of an image and of its labels, relative to the root, with '/'."""


@dataclass(frozen=True)
class SplitPlace:
    """Where the frames of one split lie.

    `keys` is what the YAML file says of it; None where names do not pair up by themselves, so that a list has
    to be written.
    """

    pairs: tuple[Pair, ...]
    keys: dict[str, Any] | None = None
    unpaired: tuple[str, ...] = ()  # images without labels


@dataclass(frozen=True)
class NamedClass:
    """A class that a file names."""

    name: str
    id: int | None = None
    color: tuple[int, int, int] | None = None
    void: bool = False


@dataclass(frozen=True)
class FolderLayout:
    """What was recognised.

    `labels_are` is the format, or "maps" where the content of the label maps has still to say which; `places`
    are the splits by name, or the one named "all".
    """

    what: str
    labels_are: str
    places: dict[str, SplitPlace]
    names: tuple[NamedClass, ...] = ()
    names_from: str = ""
    background: bool = False  # whether pixels without a shape become a class
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = field(default=())  # annotation files that were looked into
    looked_at: str = ""  # how many of how many

    @property
    def count(self) -> int:
        """Pairs of all splits."""
        return sum(len(place.pairs) for place in self.places.values())


ONLY = "all"
"""The name of the place where there are no splits."""
