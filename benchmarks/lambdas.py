"""What finer grids keep when lambda grows with them, and what a lambda of its own for every image would.

    python -m benchmarks.lambdas camvid-by-sequence=DATA/camvid workflows/data/drone.yaml=DATA/drone

Neighbouring points of an n x n grid lie 1/(n - 1) apart. As the grid becomes finer the smoothness term of the
energy shrinks by the square of the spacing against the data term, so lambda L of an 8 x 8 grid becomes
L * ((n - 1) / 7)^2 of an n x n one. For every grid and resolution the upper bound is taken with each lambda,
and with the lambda whose own bound is the best for the image: by its mIoU of target classes, or by the sum of
that and its mIoU of all classes. That choice knows the ground truth: it is a reference, no sampler.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import registry
from pipeline.datasets.base import Dataset
from pipeline.evaluation.upper_bound import load_truth
from pipeline.geometry.boundaries import target_boundaries
from pipeline.geometry.interpolation import interpolate_label_map
from pipeline.geometry.nearest import nearest_boundary
from pipeline.geometry.proposal import of_nearest
from pipeline.geometry.sampling import sample
from pipeline.geometry.tensors import resize, uniform
from pipeline.metrics import ConfusionMatrix

LAMBDAS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of an 8 x 8 grid."""

BEST_TARGETS, BEST_SUM = "per image, by targets", "per image, by the sum"


class Row(NamedTuple):
    """One row of the figures: `lam` is that of 8 x 8, or how it is chosen; both None for uniform samples."""

    resolution: int
    grid: int | None = None
    lam: float | str | None = None


def scaled(lam: float, grid: int) -> float:
    """Lambda of an n x n grid that regularises as `lam` does on 8 x 8."""
    return lam * ((grid - 1) / 7) ** 2


def matrices(
    dataset: Dataset, truth: NDArray[np.uint8], grids: Sequence[int], resolutions: Sequence[int]
) -> dict[Row, ConfusionMatrix]:
    """Of one crop (S, S) of train ids, for every grid, lambda and resolution."""
    boundary = target_boundaries(truth, dataset.classes.targets)
    tensors: dict[tuple[int | None, float | None], NDArray[np.float64]] = {(None, None): uniform(2, 2)}
    for grid in grids:
        b = nearest_boundary(boundary, (grid, grid))
        tensors |= {(grid, lam): of_nearest(b, (grid, grid), scaled(lam, grid)) for lam in LAMBDAS}
    found = {}
    for resolution in resolutions:
        for (grid_, lam_), phi in tensors.items():
            fine = resize(phi, (resolution, resolution))
            matrix = ConfusionMatrix(dataset.classes.names, dataset.classes.targets)
            matrix.update(truth, interpolate_label_map(sample(truth, fine), fine, truth.shape))
            found[Row(resolution, grid_, lam_)] = matrix
    return found


def chosen(
    found: dict[Row, ConfusionMatrix], grids: Sequence[int], resolutions: Sequence[int]
) -> dict[Row, ConfusionMatrix]:
    """The best of one image's lambdas; of equal ones, as where it has no target, that nearest to 1."""
    ordered = sorted(LAMBDAS, key=lambda lam: abs(np.log(lam)))

    def targets(place: Row) -> float:
        return float(np.nan_to_num(found[place].target_miou()))

    best = {}
    for resolution in resolutions:
        for grid in grids:
            places = [Row(resolution, grid, lam) for lam in ordered]
            by_sum = max(places, key=lambda place: targets(place) + found[place].miou())
            best[Row(resolution, grid, BEST_TARGETS)] = found[max(places, key=targets)]
            best[Row(resolution, grid, BEST_SUM)] = found[by_sum]
    return best


def measure(
    dataset: Dataset, split: str, grids: Sequence[int], resolutions: Sequence[int], limit: int | None
) -> dict[str, Any]:
    """Every figure of one split, plain data."""
    total: dict[Row, ConfusionMatrix] = defaultdict(
        lambda: ConfusionMatrix(dataset.classes.names, dataset.classes.targets)
    )
    frames = list(dataset.frames(split))[:limit]
    for frame in frames:
        found = matrices(dataset, load_truth(dataset, frame), grids, resolutions)
        for place, matrix in (found | chosen(found, grids, resolutions)).items():
            total[place] = total[place] + matrix
    return {
        "dataset": dataset.name,
        "split": split,
        "images": len(frames),
        "targets": [dataset.classes.names[t] for t in dataset.classes.targets],
        "rows": [
            {**place._asdict(), "miou": matrix.miou(), "target_miou": matrix.target_miou()}
            for place, matrix in total.items()
        ],
    }


def opened(text: str) -> Dataset:
    """A data set by its name or YAML file, and after an equals sign the folder it lies in."""
    name, _, root = text.partition("=")
    return registry.load(name, Path(root) if root else None)


@click.command()
@click.argument("datasets", nargs=-1, required=True)
@click.option("--split", default="val", show_default=True)
@click.option("--grid", "grids", multiple=True, type=int, default=(8, 16, 32), show_default=True)
@click.option("--resolution", "resolutions", multiple=True, type=int, default=(32, 64, 128))
@click.option("--limit", type=int, help="Only the first so many images.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def main(
    datasets: tuple[str, ...],
    split: str,
    grids: tuple[int, ...],
    resolutions: tuple[int, ...],
    limit: int | None,
    as_json: bool,
) -> None:
    """Measure the bounds of DATASETS, each NAME=FOLDER."""
    reports = [measure(opened(text), split, grids, resolutions, limit) for text in datasets]
    if as_json:
        click.echo(json.dumps(reports, indent=1))
        return
    for report in reports:
        click.echo(f"{report['dataset']} {split}, {report['images']} images: mIoU of all / of target classes")
        for row in report["rows"]:
            way = "uniform" if row["grid"] is None else f"{row['grid']}x{row['grid']}, lambda {row['lam']}"
            figures = f"{row['miou']:.4f} / {row['target_miou']:.4f}"
            click.echo(f"{row['resolution']:4}  {way:36} {figures}")


if __name__ == "__main__":
    main()
