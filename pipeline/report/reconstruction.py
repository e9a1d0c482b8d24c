"""What sampling keeps of one image: sampled, interpolated back, and where that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import VOID, Dataset
from pipeline.marks import Writer
from pipeline.report import canvas
from pipeline.report.show import ShownScene
from pipeline.workspace.stores import lambda_name

WRONG, WRONG_VOID = (214, 39, 40), (0, 0, 0)


def draw(
    dataset: Dataset,
    scene: ShownScene,
    path: Path,
    grid: tuple[int, int],
    lam: float,
    resolution: int,
    writer: Writer | None = None,
) -> None:
    """Two rows, uniform and adaptive: points, sampled image, sampled labels, interpolated back, errors.

    Parameters
    ----------
    scene
        From `show.load_scene`.
    resolution
        Of the sampled image.
    writer
        What may be replaced; without one, anything.
    """
    from pipeline.geometry.proposal import of_nearest
    from pipeline.geometry.tensors import uniform

    adaptive = of_nearest(scene.b, grid, lam)
    rows = {"uniform": uniform(*grid), f"lambda {lambda_name(lam)}": adaptive}
    figure = canvas.figure(16, 6.9)
    for line, (name, phi) in enumerate(rows.items()):
        for column, (title, picture, points) in enumerate(_panels(dataset, scene, phi, resolution)):
            axes = figure.add_subplot(2, 5, 5 * line + column + 1)
            axes.imshow(picture, extent=(0, 1, 1, 0), interpolation="nearest")
            if points is not None:
                axes.scatter(points[1], points[0], s=180 / resolution, color="#ff2a1a", linewidths=0)
            axes.set_title(f"{name}: {title}" if column == 0 else title, fontsize=10)
            axes.set_axis_off()
    figure.suptitle(canvas.words(f"{scene.title}, {resolution} x {resolution} samples"), fontsize=11)
    canvas.save(figure, path, writer)


def _panels(
    dataset: Dataset, scene: ShownScene, phi: NDArray[np.float64], resolution: int
) -> list[tuple[str, NDArray[np.uint8], NDArray[np.float64] | None]]:
    from pipeline.geometry.interpolation import interpolate_label_map
    from pipeline.geometry.sampling import sample
    from pipeline.geometry.tensors import resize

    fine = resize(phi, (resolution, resolution))
    labels = sample(scene.train, fine)
    back = interpolate_label_map(labels, fine, (len(scene.train), len(scene.train)))
    colors = dataset.classes.colors
    wrong = (back != scene.train) & (scene.train != VOID)
    share = wrong.sum() / max(int((scene.train != VOID).sum()), 1)
    return [
        ("sample points", (scene.picture * 0.6).astype(np.uint8), fine),
        ("sampled image", sample(scene.picture, fine), None),
        ("sampled labels", colors[labels], None),
        ("labels interpolated back", colors[back], None),
        (f"errors, {100 * share:.1f} % of the pixels", _errors(scene, wrong), None),
    ]


def _errors(scene: ShownScene, wrong: NDArray[np.bool_]) -> NDArray[np.uint8]:
    gray: NDArray[Any] = scene.picture.mean(axis=-1, keepdims=True)
    picture = np.broadcast_to(120 + gray * 0.5, scene.picture.shape).astype(np.uint8).copy()
    picture[wrong] = WRONG
    picture[scene.train == VOID] = WRONG_VOID
    return picture
