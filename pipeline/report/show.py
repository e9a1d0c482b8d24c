"""What `adaprep show` draws: one image, its target boundaries, its sample points for several lambdas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import advice
from pipeline.datasets.base import UNKNOWN, Dataset, Frame
from pipeline.errors import AdaprepError
from pipeline.marks import Writer
from pipeline.report.pictures import Panel, draw
from pipeline.units import several
from pipeline.workspace.stores import lambda_name


@dataclass(frozen=True)
class ShownScene:
    """One crop of one frame."""

    frame: Frame
    title: str
    train: NDArray[np.uint8]  # (S, S) train ids
    boundary: NDArray[np.bool_]  # (S, S)
    picture: NDArray[np.uint8]  # (S, S, 3)
    b: NDArray[np.float64] | None  # (2, h, w)


def load_scene(
    dataset: Dataset,
    frame: Frame,
    grid: tuple[int, int],
    crop: int = 0,
    crops: int = 1,
    labels_only: bool = False,
) -> ShownScene:
    """Read one frame and find its boundaries; `labels_only` shows class colours in place of the image."""
    from pipeline.geometry.boundaries import target_boundaries
    from pipeline.geometry.crops import offsets
    from pipeline.geometry.nearest import nearest_boundary

    train = dataset.classes.lut[dataset.read_labels(frame)]
    if (train == UNKNOWN).any():
        raise AdaprepError(
            f"{frame.label} holds ids that are not in the class table: see "
            f"{advice.command('check', dataset=dataset.spelling)}"
        )
    corners = offsets(train.shape[0], train.shape[1], crops)
    if not 0 <= crop < crops:
        raise AdaprepError(f"there are {crops} crops, numbered from 0: no crop {crop}")
    (top, left), side = corners[crop], min(train.shape)
    window = (slice(top, top + side), slice(left, left + side))
    train = np.ascontiguousarray(train[window])
    boundary = target_boundaries(train, dataset.classes.targets)
    if labels_only or not frame.image.exists():
        picture = dataset.classes.colors[train]
    else:
        picture = dataset.read_image(frame)[window]
    title = f"{frame.name}, crop {crop} of {crops}" if crops > 1 else frame.name
    return ShownScene(frame, title, train, boundary, picture, nearest_boundary(boundary, grid))


def draw_points(
    dataset: Dataset,
    scene: ShownScene,
    path: Path,
    lambdas: Sequence[float],
    grid: tuple[int, int] = (8, 8),
    resized: int | None = None,
    writer: Writer | None = None,
) -> None:
    """Draw the boundaries beside the sample points of every lambda; with `resized`, a second row of those.

    Without a `writer`, which says what may be replaced, anything may.
    """
    rows = [[Panel("target boundaries", None), *(_coarse(scene, grid, lam) for lam in lambdas)]]
    if resized:
        labels = Panel("class colours", None, background=dataset.classes.colors[scene.train])
        rows.append([labels, *(_fine(scene, grid, lam, resized) for lam in lambdas)])
    draw(scene.picture, scene.boundary, rows, path, scene.title, writer)


def _tensor(scene: ShownScene, grid: tuple[int, int], lam: float) -> NDArray[np.float64]:
    from pipeline.geometry.proposal import of_nearest

    return of_nearest(scene.b, grid, lam)


def _coarse(scene: ShownScene, grid: tuple[int, int], lam: float) -> Panel:
    from pipeline.geometry.energy import energy
    from pipeline.geometry.tensors import folded_cells

    phi = _tensor(scene, grid, lam)
    note = "no boundary: uniform"
    if scene.b is not None:
        folded = several(int(folded_cells(phi).sum()), "folded cell")
        note = f"E = {float(energy(phi, scene.b, lam)):.3f}, {folded}"
    return Panel(f"{grid[0]} x {grid[1]}, lambda {lambda_name(lam)}: {note}", phi)


def _fine(scene: ShownScene, grid: tuple[int, int], lam: float, size: int) -> Panel:
    from pipeline.geometry.tensors import resize

    phi = _tensor(scene, grid, lam)
    return Panel(f"resized to {size} x {size}, lambda {lambda_name(lam)}", phi, resize(phi, (size, size)))
