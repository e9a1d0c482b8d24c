"""The sampling pictures of a report, after the paper's Fig. 1, 3, 5 and 7: one panel, one small image."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.datasets.base import VOID, Dataset, Frame
from pipeline.report.pictures import reduce_mask
from pipeline.report.show import ShownScene, load_scene
from pipeline.workspace.stores import lambda_name

if TYPE_CHECKING:
    from pipeline.evaluation.examples import Example

SIDE = 560
"""Pixels a side of a panel."""

RED, BLUE, WHITE = (255, 62, 44), (96, 190, 255), (255, 255, 255)


@dataclass(frozen=True)
class PagePanel:
    """One picture of a row."""

    name: str  # of its file, with the suffix
    title: str
    alt: str
    data: bytes

    @property
    def kind(self) -> str:
        """Media type."""
        return "image/png" if self.name.endswith(".png") else "image/jpeg"


@dataclass(frozen=True)
class Row:
    """Panels that belong together."""

    title: str
    panels: tuple[PagePanel, ...]


@dataclass(frozen=True)
class Pictured:
    """One frame and its rows of panels."""

    name: str
    rows: tuple[Row, ...]


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
    pen = _Pen(dataset, scene, grid, f"image-{number}")
    lam = min(lambdas, key=lambda value: abs(np.log(max(value, 1e-9))))
    rows = [Row("Where the samples go", tuple(_sampling(pen, grid, lam)))]
    if len(lambdas) > 1:
        rows.append(Row("Between all boundary and uniform", tuple(_lambdas(pen, lambdas))))
    rows.append(
        Row(
            f"What {resolution} x {resolution} perfectly classified samples keep",
            tuple(_kept(pen, lam, resolution)),
        )
    )
    if example is not None:
        title = f"Predicted by {example.architecture} at {example.resolution} x {example.resolution}"
        rows.append(Row(title, tuple(_predicted(pen, example))))
    return Pictured(frame.name, tuple(rows))


def _sampling(pen: _Pen, grid: tuple[int, int], lam: float) -> list[PagePanel]:
    from pipeline.geometry.tensors import resize

    phi = pen.tensor(lam)
    fine = resize(phi, (2 * grid[0], 2 * grid[1]))
    size = f"{grid[0]} x {grid[1]}"
    return [
        pen.photo("image", "image", "the central square of the image"),
        pen.labels("truth", "ground truth", pen.scene.train, "the label map in class colours"),
        pen.points("points", f"target boundaries and {size} tensor, lambda {lambda_name(lam)}", phi),
        pen.points("resized", f"the tensor resized to {2 * grid[0]} x {2 * grid[1]}", phi, fine),
    ]


def _lambdas(pen: _Pen, lambdas: Sequence[float]) -> list[PagePanel]:
    return [
        pen.points(f"lambda-{lambda_name(lam)}", f"lambda {lambda_name(lam)}", pen.tensor(lam))
        for lam in lambdas
    ]


def _kept(pen: _Pen, lam: float, resolution: int) -> list[PagePanel]:
    from pipeline.geometry.interpolation import interpolate_label_map
    from pipeline.geometry.sampling import sample
    from pipeline.geometry.tensors import resize, uniform

    panels = []
    for name, title, phi in (
        ("kept-uniform", "uniform", uniform(2, 2)),
        ("kept-adaptive", f"lambda {lambda_name(lam)}", pen.tensor(lam)),
    ):
        fine = resize(phi, (resolution, resolution))
        truth = pen.scene.train
        back = interpolate_label_map(sample(truth, fine), fine, truth.shape)
        panels.append(
            pen.sampled(f"{name}-samples", f"{title}: the sampled image", sample(pen.scene.picture, fine))
        )
        panels.append(pen.labels(name, f"{title}: {pen.errors(back)}", back, "labels interpolated back"))
    return panels


def _predicted(pen: _Pen, example: Example) -> list[PagePanel]:
    panels = []
    if example.phi is not None:
        panels.append(pen.points("predicted-tensor", "tensor of the auxiliary network", example.phi))
    for name, title, labels in (
        ("predicted-uniform", "uniform sampling", example.uniform),
        ("predicted-adaptive", "predicted sampling", example.adaptive),
    ):
        if labels is not None:
            panels.append(pen.labels(name, f"{title}: {pen.errors(labels)}", labels, "predicted labels"))
    panels.append(
        pen.labels("predicted-truth", "ground truth", pen.scene.train, "the label map in class colours")
    )
    return panels


class _Pen:
    """Draws the panels of one scene at the size of a page."""

    def __init__(self, dataset: Dataset, scene: ShownScene, grid: tuple[int, int], name: str) -> None:
        self.dataset, self.scene, self.grid, self.name = dataset, scene, grid, name

    def tensor(self, lam: float) -> NDArray[np.float64]:
        """The proposal; uniform where the crop has no boundary."""
        from pipeline.geometry.proposal import of_nearest

        return of_nearest(self.scene.b, self.grid, lam)

    def errors(self, labels: NDArray[np.uint8]) -> str:
        """In words: the share of pixels outside void that are wrong."""
        known = self.scene.train != VOID
        share = float((labels != self.scene.train)[known].mean()) if known.any() else 0.0
        return f"{100 * share:.1f} % of the pixels wrong"

    def photo(self, name: str, title: str, alt: str) -> PagePanel:
        return self._jpeg(name, title, alt, _fit(self.scene.picture, Image.Resampling.BOX))

    def sampled(self, name: str, title: str, pixels: NDArray[np.uint8]) -> PagePanel:
        return self._jpeg(
            name, title, "the sampled image, samples side by side", _fit(pixels, Image.Resampling.NEAREST)
        )

    def labels(self, name: str, title: str, labels: NDArray[np.uint8], alt: str) -> PagePanel:
        """Class colours, as a palette PNG."""
        shown = Image.fromarray(labels).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        shown.putpalette(self.dataset.classes.colors.tobytes())
        data = io.BytesIO()
        shown.save(data, "png", optimize=True)
        return PagePanel(
            f"{self.name}-{name}.png", title, f"{self.scene.frame.name}: {alt}, {title}", data.getvalue()
        )

    def points(
        self,
        name: str,
        title: str,
        phi: NDArray[np.floating[Any]],
        fine: NDArray[np.floating[Any]] | None = None,
    ) -> PagePanel:
        """White boundaries over the darkened image, a tensor over them; with `fine`, crosses over dots."""
        scale = 2  # drawn twice as large, then reduced: smooth edges
        picture = self._dark().resize((scale * SIDE, scale * SIDE), Image.Resampling.BILINEAR)
        pen = ImageDraw.Draw(picture)
        coarse = np.asarray(phi, np.float64) * (scale * SIDE - 1)
        if fine is None:
            _net(pen, coarse, scale)
            _dots(pen, coarse, 6.5 * scale, RED, WHITE)
        else:
            _dots(pen, np.asarray(fine, np.float64) * (scale * SIDE - 1), 3.4 * scale, BLUE, None)
            _crosses(pen, coarse, 6.0 * scale, RED)
        kind = "points of the sampling tensor over the target boundaries"
        return self._jpeg(name, title, kind, picture.resize((SIDE, SIDE), Image.Resampling.BOX))

    def _dark(self) -> Image.Image:
        factor = max(1, len(self.scene.boundary) // SIDE)
        thin = Image.fromarray(reduce_mask(self.scene.boundary, factor)).resize(
            (SIDE, SIDE), Image.Resampling.NEAREST
        )
        shown = np.asarray(_fit(self.scene.picture, Image.Resampling.BOX)) * 0.45
        shown[np.asarray(thin)] = 255
        return Image.fromarray(shown.astype(np.uint8))

    def _jpeg(self, name: str, title: str, alt: str, picture: Image.Image) -> PagePanel:
        data = io.BytesIO()
        picture.convert("RGB").save(data, "jpeg", quality=82, optimize=True)
        return PagePanel(
            f"{self.name}-{name}.jpg", title, f"{self.scene.frame.name}: {alt}, {title}", data.getvalue()
        )


def _fit(pixels: NDArray[np.uint8], how: Image.Resampling) -> Image.Image:
    return Image.fromarray(pixels).resize((SIDE, SIDE), how)


def _net(pen: ImageDraw.ImageDraw, phi: NDArray[np.float64], scale: int) -> None:
    for rows in (phi, phi.transpose(0, 2, 1)):
        for line in rows.transpose(1, 2, 0):
            pen.line([(x, y) for y, x in line.tolist()], fill=(214, 96, 84), width=scale)


def _dots(pen: ImageDraw.ImageDraw, phi: NDArray[np.float64], radius: float, fill: Any, edge: Any) -> None:
    for y, x in phi.reshape(2, -1).T.tolist():
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(box, fill=fill, outline=edge, width=2 if edge else 0)


def _crosses(pen: ImageDraw.ImageDraw, phi: NDArray[np.float64], arm: float, fill: Any) -> None:
    for y, x in phi.reshape(2, -1).T.tolist():
        pen.line((x - arm, y - arm, x + arm, y + arm), fill=fill, width=4)
        pen.line((x - arm, y + arm, x + arm, y - arm), fill=fill, width=4)
