"""What a written description comes to: it is opened as every command opens it, and a sample is read."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.datasets.base import Frame
from pipeline.datasets.custom import Custom
from pipeline.datasets.discovery import classes, written
from pipeline.datasets.discovery.shapes import of, spread
from pipeline.datasets.discovery.written import Discovery
from pipeline.errors import AdaprepError, FileError
from pipeline.names import printable

MAX_READ = 100
"""Frames whose outlines are drawn to see how much of the pixels each class has."""


def measured(found: Discovery, called: Path) -> Discovery:
    """The same, with shares of pixels and targets also where labels are no maps.

    Parameters
    ----------
    called
        Where the description is to lie, for messages.

    Raises
    ------
    AdaprepError
        The description cannot be opened, or its frames cannot be listed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "described.yaml"
        for name, lines in written.lists(found, path).items():
            name.write_text(lines, encoding="utf-8")
        path.write_text(written.text(found, path), encoding="utf-8")
        try:
            dataset = Custom(path, found.root)
            frames = [frame for split in dataset.splits for frame in dataset.frames(split)]
        except AdaprepError as error:
            raise AdaprepError(str(error).replace(str(path), str(called))) from error
        if all(row.share is not None for row in found.rows):
            return found
        return _with_shares(found, dataset, frames)


def _with_shares(found: Discovery, dataset: Custom, frames: list[Frame]) -> Discovery:
    some = spread(frames, MAX_READ)
    pixels: Counter[int] = Counter()
    files: Counter[int] = Counter()
    problems = []
    for frame in some:
        try:
            ids, counts = np.unique(dataset.read_labels(frame), return_counts=True)
        except FileError as error:
            problems.append(str(error))
            continue
        pixels.update(dict(zip(ids.tolist(), counts.tolist(), strict=True)))
        files.update(ids.tolist())
    total = max(1, pixels.total())
    rows = tuple(replace(row, share=pixels[row.id] / total, files=files[row.id]) for row in found.rows)
    notes = [f"{problem} ({len(problems)} of this kind)" for problem in problems[:1]]
    return replace(
        found,
        rows=rows,
        targets=tuple(classes.targets(rows, len(some))),
        files=len(some),
        sample=f"{found.sample}, and drew {of(len(some), len(frames), 'images')}",
        notes=(*found.notes, *map(printable, notes)),
    )
