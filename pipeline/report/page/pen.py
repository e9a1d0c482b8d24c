"""What draws the panels of one scene at the size of a page.

Points, nets and errors have the colours of their samplers, as charts and tables do.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from pipeline.datasets.base import VOID, Dataset
from pipeline.datasets.overlay import overlay
from pipeline.report.page.drawing import BRIGHT, COLORS, hue
from pipeline.report.pictures import reduce_mask
from pipeline.report.show import ShownScene
from pipeline.samplers.predicted import Predicted
from pipeline.samplers.proposal import Proposals
from pipeline.samplers.uniform import Uniform

SIDE = 560
"""Pixels a side of a panel."""

SCALE = 2
"""Points are drawn so many times as large, then reduced: smooth edges."""

DARK, EDGE, BOTH = 0.45, (20, 24, 28), (70, 76, 84)
"""What is left of a picture's light under points; the edge of points; pixels that both systems get wrong."""


@dataclass(frozen=True)
class PagePanel:
    """One picture of a row."""

    name: str  # of its file, with the suffix
    title: str
    alt: str
    data: bytes
    key: tuple[tuple[str, str], ...] = ()  # colours, each with what it stands for

    @property
    def kind(self) -> str:
        """Media type."""
        return "image/png" if self.name.endswith(".png") else "image/jpeg"


class Pen:
    """Draws the panels of one scene at the size of a page."""

    def __init__(self, dataset: Dataset, scene: ShownScene, grid: tuple[int, int], name: str) -> None:
        self.dataset, self.scene, self.grid, self.name = dataset, scene, grid, name

    def tensor(self, lam: float) -> NDArray[np.float64]:
        """The proposal; uniform where the crop has no boundary."""
        from pipeline.geometry.proposal import of_nearest

        return of_nearest(self.scene.b, self.grid, lam)

    def errors(self, labels: NDArray[np.uint8]) -> str:
        """In words: the share of pixels outside void that are wrong."""
        return f"{self.share(labels != self.scene.train)} of the pixels wrong"

    def share(self, mask: NDArray[np.bool_]) -> str:
        """In percent of the pixels outside void."""
        known = self.scene.train != VOID
        return f"{100 * float(mask[known].mean()) if known.any() else 0.0:.1f} %"

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

    def over(self, name: str, title: str, labels: NDArray[np.uint8]) -> PagePanel:
        """Class colours over the image in grey, three parts to one; background and void are clear."""
        grey = np.asarray(Image.fromarray(self.scene.picture).convert("L").convert("RGB"))
        half = overlay(grey, labels, self.dataset.classes)
        shown = overlay(half, labels, self.dataset.classes)
        return self._jpeg(name, title, "predicted labels over the image", _fit(shown, Image.Resampling.BOX))

    def wrong(
        self,
        name: str,
        uniform: NDArray[np.uint8] | None,
        adaptive: NDArray[np.uint8] | None,
        style: int = Predicted.style,
    ) -> PagePanel:
        """Where labels are wrong: only those of one way to sample, in its colour, or both; void is right."""
        right = np.zeros(self.scene.train.shape, bool)
        known = self.scene.train != VOID
        first, second = (
            right if labels is None else (labels != self.scene.train) & known
            for labels in (uniform, adaptive)
        )
        key = [
            (COLORS[Uniform.style], "only uniform", first & ~second),
            (COLORS[style], "only adaptive", second & ~first),
            ("#{:02x}{:02x}{:02x}".format(*BOTH), "both", first & second),
        ]
        if uniform is None or adaptive is None:
            place, word = (0, "uniform") if adaptive is None else (1, "adaptive")
            key = [(key[place][0], word, key[place][2])]
        grey = np.asarray(Image.fromarray(self.scene.picture).convert("L"), np.float32)
        shown = np.repeat((170 + grey / 3).astype(np.uint8)[..., None], 3, axis=2)
        for color, _, mask in key:
            shown[mask] = ImageColor.getrgb(color)[:3]
        told = tuple((color, f"{word} {self.share(mask)}") for color, word, mask in key)
        panel = self._jpeg(name, "wrong pixels", "where labels are wrong", _fit(shown, Image.Resampling.BOX))
        return replace(panel, key=told)

    def samples(
        self, name: str, title: str, phi: NDArray[np.floating[Any]], count: int, style: int
    ) -> PagePanel:
        """Every sample point of a tensor resized to `count` a side, over the darkened image."""
        from pipeline.geometry.tensors import resize

        picture, pen = self._canvas()
        fine = np.asarray(resize(np.asarray(phi, np.float64), (count, count)))
        _dots(pen, fine * (picture.width - 1), 2.2 * SCALE, BRIGHT[hue(style)], None)
        return self._drawn(name, title, picture)

    def points(
        self,
        name: str,
        title: str,
        phi: NDArray[np.floating[Any]],
        fine: NDArray[np.floating[Any]] | None = None,
        style: int = Proposals.style,
    ) -> PagePanel:
        """White boundaries over the darkened image, a tensor over them; with `fine`, crosses over dots."""
        picture, pen = self._canvas()
        coarse = np.asarray(phi, np.float64) * (picture.width - 1)
        color = BRIGHT[hue(style)]
        if fine is None:
            _net(pen, coarse, color)
            _dots(pen, coarse, 6.5 * SCALE, color, EDGE)
        else:
            _dots(pen, np.asarray(fine, np.float64) * (picture.width - 1), 3.0 * SCALE, color, None)
            _crosses(pen, coarse, 6.0 * SCALE, "#ffffff")
        return self._drawn(name, title, picture)

    def _canvas(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """The darkened image, and a pen on it."""
        side = SCALE * SIDE
        picture = self._dark().resize((side, side), Image.Resampling.BILINEAR)
        return picture, ImageDraw.Draw(picture)

    def _drawn(self, name: str, title: str, picture: Image.Image) -> PagePanel:
        kind = "points of the sampling tensor over the target boundaries"
        return self._jpeg(name, title, kind, picture.resize((SIDE, SIDE), Image.Resampling.BOX))

    def _dark(self) -> Image.Image:
        factor = max(1, len(self.scene.boundary) // SIDE)
        thin = Image.fromarray(reduce_mask(self.scene.boundary, factor)).resize(
            (SIDE, SIDE), Image.Resampling.NEAREST
        )
        shown = np.asarray(_fit(self.scene.picture, Image.Resampling.BOX)) * DARK
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


def _net(pen: ImageDraw.ImageDraw, phi: NDArray[np.float64], color: str) -> None:
    for rows in (phi, phi.transpose(0, 2, 1)):
        for line in rows.transpose(1, 2, 0):
            pen.line([(x, y) for y, x in line.tolist()], fill=color, width=SCALE)


def _dots(pen: ImageDraw.ImageDraw, phi: NDArray[np.float64], radius: float, fill: Any, edge: Any) -> None:
    for y, x in phi.reshape(2, -1).T.tolist():
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(box, fill=fill, outline=edge, width=2 if edge else 0)


def _crosses(pen: ImageDraw.ImageDraw, phi: NDArray[np.float64], arm: float, fill: Any) -> None:
    for y, x in phi.reshape(2, -1).T.tolist():
        pen.line((x - arm, y - arm, x + arm, y + arm), fill=fill, width=4)
        pen.line((x - arm, y + arm, x + arm, y - arm), fill=fill, width=4)
