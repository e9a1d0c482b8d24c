"""Splits made of one pool of frames, by their names and a seed alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import PurePosixPath

from pipeline.errors import AdaprepError

FOLDER = "folder"


@dataclass(frozen=True)
class Division:
    """How a pool is divided.

    Frames are ranked by a hash of seed and name, and each split takes a stretch of the ranking: the order in
    which files are listed has no influence, and a frame that is added or lost moves few others.
    """

    shares: tuple[tuple[str, float], ...]  # of each split, in 0..1
    seed: int = 0
    together: str = ""  # what may not be torn apart: "folder", or an expression whose first group is the same

    def split_of(self, names: Sequence[str]) -> dict[str, str]:
        """The split of each name; names beyond the sum of all shares have none.

        Raises
        ------
        AdaprepError
            There are fewer frames, or groups of frames, than splits.
        """
        groups: dict[str, list[str]] = {}
        for name in names:
            groups.setdefault(self.group(name), []).append(name)
        if len(groups) < len(self.shares):
            what = "frames" if len(groups) == len(names) else f"groups of frames (together: {self.together})"
            raise AdaprepError(
                f"{len(groups)} {what} cannot be divided into {len(self.shares)} splits "
                f"({', '.join(split for split, _ in self.shares)})"
            )
        ranked = sorted(groups, key=lambda group: (_rank(f"{self.seed} {group}"), group))
        chosen = self._places([len(groups[group]) for group in ranked])
        return {
            name: self.shares[place][0]
            for group, place in zip(ranked, chosen, strict=True)
            if place < len(self.shares)
            for name in groups[group]
        }

    def _places(self, sizes: Sequence[int]) -> list[int]:
        """For each group in rank order, the number of its split: the one that its middle lies in."""
        limits = list(accumulate(share for _, share in self.shares))
        whole, before = sum(sizes), 0
        places = []
        for size in sizes:
            middle = (before + size / 2) / whole
            places.append(sum(middle >= limit - 1e-9 for limit in limits))
            before += size
        for split in range(len(limits)):
            if split not in places:
                _give_one(places, split, len(limits))
        return places

    def group(self, name: str) -> str:
        """What of a name may not be torn apart."""
        if not self.together:
            return name
        if self.together == FOLDER:
            return str(PurePosixPath(name).parent)
        match = re.search(self.together, name)
        return (match[1] if match.re.groups else match[0]) if match else name


def folds(count: int, fold: int, seed: int, together: str = "") -> tuple[Division, frozenset[str]]:
    """A division into `count` parts, and the name of the part that is `val` in this fold."""
    parts = tuple((str(i), 1 / count) for i in range(count))
    return Division(parts, seed, together), frozenset({str(fold)})


def _give_one(places: list[int], split: int, splits: int) -> None:
    """A split that got nothing takes the last group of the one that has most, or of those that none has."""
    counts = [places.count(i) for i in range(splits + 1)]
    largest = counts.index(max(counts))
    places[len(places) - 1 - places[::-1].index(largest)] = split


def _rank(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
