"""Row 5 of the performance table: scores on the sample points to labels at full resolution, against SciPy.

    python -m benchmarks.interpolation

SciPy's side is what the paper used: `griddata(method="linear")`, that is, `LinearNDInterpolator` (Delaunay
triangulation, linear in its triangles), on the scores of all classes, then the arg max. It works in bands of
pixels: all of them at once would take 1.3 GB and be slower. Both run on one thread of one process, in turn;
processor times are medians over the repetitions. Compilation is not timed.

On the uniform tensor labels differ more: both diagonals of its cells are Delaunay, and SciPy takes either.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import click
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.ndimage import gaussian_filter

from pipeline.geometry.boundaries import target_boundaries
from pipeline.geometry.energy import solve
from pipeline.geometry.interpolation import interpolate_labels
from pipeline.geometry.nearest import nearest_boundary
from pipeline.geometry.tensors import resize, uniform

Floats = NDArray[np.floating]


def make_tensors(grid: int) -> dict[str, Floats]:
    """The uniform tensor and the proposal for a crop with three discs, both (2, grid, grid)."""
    y, x = np.mgrid[0:500, 0:500]
    discs = [(250, 90, 60), (300, 270, 110), (180, 430, 40)]
    labels = np.any([(y - r) ** 2 + (x - c) ** 2 < radius**2 for r, c, radius in discs], axis=0)
    b = nearest_boundary(target_boundaries(labels.astype(np.uint8), [1]))
    assert b is not None
    return {"uniform": resize(uniform(8, 8), grid), "adaptive": resize(solve(b, 1.0), grid)}


def make_scores(grid: int, classes: int) -> dict[str, Floats]:
    """Noise as (classes, grid, grid) scores: smooth like a network's (over 5 % of the grid), and as it is."""
    noise = np.random.default_rng(0).normal(size=(classes, grid, grid)).astype(np.float32)
    return {"smooth": gaussian_filter(noise, (0, 0.05 * grid, 0.05 * grid)), "noisy": noise}


def scipy_labels(scores: Floats, phi: Floats, places: Floats) -> NDArray[np.intp]:
    """Labels at the places (n, 2), by way of a Delaunay triangulation; in bands, to spare memory."""
    linear = LinearNDInterpolator(phi.reshape(2, -1).T, scores.reshape(len(scores), -1).T)
    return np.concatenate([linear(band).argmax(axis=1) for band in np.array_split(places, 100)])


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(scores: Floats, phi: Floats, size: int, repeat: int) -> dict[str, float]:
    """Median times of both, their ratio, and the share of pixels they label alike."""
    axis = np.linspace(0, 1, size)
    places = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    ours = interpolate_labels(scores, phi, size)
    alike = float((scipy_labels(scores, phi, places).reshape(size, size) == ours).mean())
    slows, fasts = [], []
    for _ in range(repeat):
        slows.append(seconds(lambda: scipy_labels(scores, phi, places)))
        fasts += [seconds(lambda: interpolate_labels(scores, phi, size)) for _ in range(5)]
    slow, fast = statistics.median(slows), statistics.median(fasts)
    return {
        "milliseconds": 1000 * fast,
        "scipy_milliseconds": 1000 * slow,
        "ratio": slow / fast,
        "alike": alike,
    }


@click.command()
@click.option("--size", default=2710, show_default=True, help="Side of the crop in pixels.")
@click.option("--grid", default=128, show_default=True, help="Sample points a side.")
@click.option("--classes", default=22, show_default=True)
@click.option("--repeat", default=3, show_default=True, help="Runs of SciPy; ours runs five times as often.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(size: int, grid: int, classes: int, repeat: int, as_json: bool) -> None:
    """Measure smooth and noisy scores on a uniform and an adaptive tensor."""
    found = {
        f"{kind} scores, {name} tensor": measure(scores, phi, size, repeat)
        for kind, scores in make_scores(grid, classes).items()
        for name, phi in make_tensors(grid).items()
    }
    if as_json:
        click.echo(json.dumps({"size": size, "grid": grid, "classes": classes, "results": found}))
        return
    click.echo(f"{grid} x {grid} scores, {classes} classes, to {size} x {size} labels, one thread")
    for name, row in found.items():
        click.echo(
            f"{name:32} {row['milliseconds']:7.1f} ms   SciPy {row['scipy_milliseconds']:7.0f} ms   "
            f"{row['ratio']:5.0f} x   {100 * row['alike']:.2f} % of the labels alike"
        )


if __name__ == "__main__":
    main()
