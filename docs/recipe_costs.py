"""Writes what the recipes cost into the table of workflows/README.md: runs, multiply-adds, hours.

python docs/recipe_costs.py
"""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.train.settings import Request

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "workflows" / "README.md"
ROW = re.compile(r"^\| `(?P<name>[\w-]+\.yaml)` \|.*\|$", re.MULTILINE)
IMAGES, RUNS, WORK, HOURS = 4, 5, 6, 7
"""Cells of a row."""

BACKWARD = 3
"""A training step's multiply-adds over those of a forward pass."""

A_SECOND = 15e12
"""Multiply-adds, as workflows/README.md says."""


def written(text: str) -> str:
    """The guide with the figures of its table as they are now."""
    return ROW.sub(lambda row: _row(row["name"], row[0].split("|")), text)


def _row(name: str, cells: list[str]) -> str:
    images = int(cells[IMAGES].split("/")[0].split()[0].replace(",", ""))
    runs, work = cost(ROOT / "workflows" / name, images)
    cells[RUNS] = f" {runs} "
    cells[WORK] = f" {work / 1e15:,.{0 if work >= 1e16 else 1 if work >= 1e15 else 2}f} "
    if "minutes" not in cells[HOURS]:
        hours = work / A_SECOND / 3600
        cells[HOURS] = f" {hours:.0f} " if hours >= 1 else " under 1 "
    return "|".join(cells)


def cost(path: Path, images: int) -> tuple[int, float]:
    """Runs of a recipe, and the multiply-adds of their training: one crop of every image an epoch."""
    from pipeline.recipes import schema
    from pipeline.recipes.recipe import Overrides

    with tempfile.TemporaryDirectory() as folder:
        recipe = schema.load(path, Overrides(root=Path(folder)))
    classes = len(recipe.dataset.classes.train_classes)
    work = 0.0
    for request in recipe.trainings:
        epochs = request.schedule(recipe.dataset.name, images, request.base.resolution).epochs
        work += BACKWARD * images * epochs * _forward(request, classes, recipe.grid)
    return len(recipe.trainings), work


def _forward(request: Request, classes: int, grid: tuple[int, int]) -> int:
    if request.networks == ("auxiliary",):
        chosen = request.auxiliary
        return _auxiliary(chosen.resolution, grid, chosen.features, chosen.encoder)
    return _base(request.base.architecture, classes, request.base.resolution)


@cache
def _auxiliary(side: int, grid: tuple[int, int], features: int, encoder: str) -> int:
    import torch

    from pipeline.networks.auxiliary import AuxiliaryNetwork
    from pipeline.networks.macs import macs

    with torch.device("meta"):
        network = AuxiliaryNetwork(side, grid, features, encoder=encoder)
    return macs(network, (3, side, side))


@cache
def _base(architecture: str, classes: int, side: int) -> int:
    import torch

    from pipeline.networks.factory import build
    from pipeline.networks.macs import macs

    with torch.device("meta"):
        network = build(architecture, classes)
    return macs(network, (3, side, side))


if __name__ == "__main__":
    GUIDE.write_text(written(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
