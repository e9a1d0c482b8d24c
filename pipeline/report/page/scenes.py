"""The sampling pictures of a report, after the paper's Fig. 1, 3, 5 and 7: one panel, one small image.

Points, nets and errors have the colours of their samplers, as charts and tables do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Dataset, Frame
from pipeline.report.page.pen import PagePanel, Pen
from pipeline.report.show import load_scene
from pipeline.samplers.predicted import Predicted
from pipeline.samplers.proposal import Proposals
from pipeline.workspace.stores import lambda_name

if TYPE_CHECKING:
    from pipeline.evaluation.examples import Example

MOST_POINTS = 32
"""Sample points a side that are told apart in a panel."""


@dataclass(frozen=True)
class PanelRow:
    """Panels that belong together."""

    title: str
    panels: tuple[PagePanel, ...]


@dataclass(frozen=True)
class Pictured:
    """One frame and its rows of panels."""

    name: str
    rows: tuple[PanelRow, ...]
    first: PanelRow  # what the first screen shows of it


def picture(
    dataset: Dataset,
    frame: Frame,
    number: int,
    grid: tuple[int, int],
    lambdas: Sequence[float],
    resolution: int,
    example: Example | None = None,
) -> Pictured:
    """All panels of one frame's central crop.

    Parameters
    ----------
    number
        Begins the names of the files.
    grid, lambdas
        Of the tensors. With several lambdas the first row compares them (Fig. 3).
    resolution
        Of the sampled image that is interpolated back.
    example
        What trained networks predict, if any are.

    Raises
    ------
    FileError
        The frame cannot be read.
    """
    scene = load_scene(dataset, frame, grid)
    pen = Pen(dataset, scene, grid, f"image-{number}")
    lam = min(lambdas, key=lambda value: abs(np.log(max(value, 1e-9))))
    rows = [PanelRow("Where the samples go", tuple(_sampling(pen, grid, lam)))]
    if len(lambdas) > 1:
        rows.append(PanelRow("Between all boundary and uniform", tuple(_lambdas(pen, lambdas))))
    rows.append(
        PanelRow(
            f"What {resolution} x {resolution} perfectly classified samples keep",
            tuple(_kept(pen, lam, resolution)),
        )
    )
    if example is not None:
        title = f"Predicted by {example.architecture} at {example.resolution} x {example.resolution}"
        rows.append(PanelRow(title, tuple(_predicted(pen, example))))
    return Pictured(frame.name, tuple(rows), _first_row(pen, lam, resolution, example))


def _first_row(pen: Pen, lam: float, resolution: int, example: Example | None) -> PanelRow:
    """One row that shows the method: image, sample points, labels of both samplers, and where these err.

    Of trained networks where there are any, else of samples that are classified perfectly.
    """
    phi: NDArray[Any] | None = pen.tensor(lam)
    style = Proposals.style
    if example is not None:
        adaptive, uniform = example.adaptive, example.uniform
        phi, style = example.phi, Predicted.style
        title = f"Predicted by {example.architecture} at {example.resolution} x {example.resolution}"
    else:
        adaptive, uniform = (_perfect(pen, found, resolution) for found in (pen.tensor(lam), _even()))
        title = f"What {resolution} x {resolution} perfectly classified samples keep"
    panels = [pen.photo("first-image", "image", "the central square of the image")]
    if phi is not None:
        count = f"{resolution} x {resolution} samples, adaptive"
        shown = "" if resolution <= MOST_POINTS else f" ({MOST_POINTS} x {MOST_POINTS} of them shown)"
        panels.append(
            pen.samples("first-samples", f"{count}{shown}", phi, min(resolution, MOST_POINTS), style)
        )
    for name, labels in (("uniform", uniform), ("adaptive", adaptive)):
        if labels is not None:
            panels.append(pen.over(f"first-{name}", f"{name}: {pen.errors(labels)}", labels))
    return PanelRow(title, (*panels, pen.wrong("first-errors", uniform, adaptive, style)))


def _even() -> NDArray[np.float64]:
    from pipeline.geometry.tensors import uniform

    return uniform(2, 2)


def _perfect(pen: Pen, phi: NDArray[np.float64], resolution: int) -> NDArray[np.uint8]:
    """(S, S) labels of samples that all get their own class, interpolated back."""
    from pipeline.geometry.interpolation import interpolate_label_map
    from pipeline.geometry.sampling import sample
    from pipeline.geometry.tensors import resize

    fine = resize(phi, (resolution, resolution))
    truth = pen.scene.train
    return interpolate_label_map(sample(truth, fine), fine, truth.shape)


def _sampling(pen: Pen, grid: tuple[int, int], lam: float) -> list[PagePanel]:
    from pipeline.geometry.tensors import resize

    phi = pen.tensor(lam)
    fine = resize(phi, (2 * grid[0], 2 * grid[1]))
    size = f"{grid[0]} x {grid[1]}"
    return [
        pen.photo("image", "image", "the central square of the image"),
        pen.labels("truth", "ground truth", pen.scene.train, "the label map in class colours"),
        pen.points("points", f"target boundaries and {size} proposal, λ {lambda_name(lam)}", phi),
        pen.points("resized", f"the proposal resized to {2 * grid[0]} x {2 * grid[1]}", phi, fine),
    ]


def _lambdas(pen: Pen, lambdas: Sequence[float]) -> list[PagePanel]:
    return [
        pen.points(f"lambda-{lambda_name(lam)}", f"λ {lambda_name(lam)}", pen.tensor(lam)) for lam in lambdas
    ]


def _kept(pen: Pen, lam: float, resolution: int) -> list[PagePanel]:
    from pipeline.geometry.sampling import sample
    from pipeline.geometry.tensors import resize

    panels = []
    for name, title, phi in (
        ("kept-uniform", "uniform", _even()),
        ("kept-adaptive", f"λ {lambda_name(lam)}", pen.tensor(lam)),
    ):
        fine = resize(phi, (resolution, resolution))
        back = _perfect(pen, phi, resolution)
        panels.append(
            pen.sampled(f"{name}-samples", f"{title}: the sampled image", sample(pen.scene.picture, fine))
        )
        panels.append(pen.labels(name, f"{title}: {pen.errors(back)}", back, "labels interpolated back"))
    return panels


def _predicted(pen: Pen, example: Example) -> list[PagePanel]:
    panels = []
    if example.phi is not None:
        title = "tensor of the auxiliary network"
        panels.append(pen.points("predicted-tensor", title, example.phi, style=Predicted.style))
    for name, labels in (("uniform", example.uniform), ("adaptive", example.adaptive)):
        if labels is not None:
            panels.append(pen.over(f"predicted-{name}", f"{name}: {pen.errors(labels)}", labels))
    return [*panels, pen.wrong("errors", example.uniform, example.adaptive)]
