"""Which values images of more than 8 bits use, so that they are not read as black."""

from __future__ import annotations

from pathlib import Path

from pipeline.datasets import readers
from pipeline.datasets.discovery.shapes import spread
from pipeline.errors import FileError

SAMPLE = 20
"""Images that are looked into."""

WHOLE = 65535
RANGES = (1023, 4095, 16383)
"""Largest values of cameras of 10, 12 and 14 bits."""


def used_range(images: list[Path]) -> tuple[int, int] | None:
    """The values that become 0 and 255 where images use fewer bits than they have; else None."""
    brightest = 0.0
    for path in spread(images, SAMPLE):
        try:
            if readers.depth(path) > 8:
                brightest = max(brightest, _brightest(path))
        except FileError:  # told when it is read
            continue
    if not brightest:
        return None
    return next(((0, most) for most in RANGES if brightest <= most), None)


def _brightest(path: Path) -> float:
    """The largest value of an image of 16 bits, to within half of a 255th of the scale. Raises FileError."""
    step = WHOLE / 255
    return max(1.0, (float(readers.read_rgb(path, scale=(0, WHOLE)).max()) - 0.5) * step)
