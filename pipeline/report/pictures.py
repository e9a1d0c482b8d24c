"""Pictures of boundaries and sample points, after the paper's Fig. 1(c), 3 and 5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.marks import Writer
from pipeline.report import canvas

PANEL_PIXELS = 900
"""Panels show at most so many pixels a side; larger crops are reduced."""


@dataclass(frozen=True)
class Panel:
    """One picture: a crop with sample points over it."""

    title: str
    phi: NDArray[np.floating[Any]] | None  # (2, h, w); None: no points
    fine: NDArray[np.floating[Any]] | None = None  # (2, h', w') the same tensor resized
    background: NDArray[np.uint8] | None = None  # (S, S, 3); None: the figure's own


def reduce_image(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Mean of factor x factor blocks of an (S, S, 3) picture; rows and columns left over are dropped."""
    side = len(image) // factor * factor
    blocks = image[:side, :side].reshape(side // factor, factor, side // factor, factor, 3)
    return np.asarray(blocks.mean(axis=(1, 3)).round().astype(np.uint8))


def reduce_mask(mask: NDArray[np.bool_], factor: int) -> NDArray[np.bool_]:
    """True where any pixel of a block is: thin boundaries survive."""
    side = len(mask) // factor * factor
    blocks = mask[:side, :side].reshape(side // factor, factor, side // factor, factor)
    return np.asarray(blocks.any(axis=(1, 3)))


def draw(
    image: NDArray[np.uint8],
    boundary: NDArray[np.bool_],
    rows: Sequence[Sequence[Panel]],
    path: Path,
    title: str = "",
    writer: Writer | None = None,
) -> None:
    """Draw rows of panels into a file whose suffix says the format.

    Parameters
    ----------
    image
        (S, S, 3) the crop, as photographed or in class colours.
    boundary
        (S, S) target boundary, drawn in white over a darkened background.
    writer
        What may be replaced; without one, anything.
    """
    columns = max(map(len, rows))
    height = 4.6 * len(rows) + (0.4 if title else 0)
    figure = canvas.figure(4.4 * columns, height)
    factor = max(1, -(-len(image) // PANEL_PIXELS))
    thin = reduce_mask(boundary, factor)
    for line, column, panel in ((i, j, p) for i, row in enumerate(rows) for j, p in enumerate(row)):
        axes = figure.add_subplot(len(rows), columns, line * columns + column + 1)
        shown = reduce_image(image if panel.background is None else panel.background, factor)
        if panel.phi is not None:
            shown = (shown * 0.6).astype(np.uint8)
        shown[thin] = 255
        axes.imshow(shown, extent=(0, 1, 1, 0), interpolation="nearest")
        _points(axes, panel)
        axes.set_title(canvas.words(panel.title), fontsize=10)
        axes.set_xlim(-0.012, 1.012)
        axes.set_ylim(1.012, -0.012)
        axes.set_axis_off()
    if title:
        figure.suptitle(canvas.words(title), fontsize=11)
    canvas.save(figure, path, writer)


def _points(axes: Any, panel: Panel) -> None:
    if panel.phi is None:
        return
    rows, cols = panel.phi
    if panel.fine is None:
        style: dict[str, Any] = {"color": "#ff6a5c", "linewidth": 0.6, "alpha": 0.75}
        axes.plot(cols, rows, **style)
        axes.plot(cols.T, rows.T, **style)
        axes.scatter(cols, rows, s=16, color="#ff2a1a", edgecolors="white", linewidths=0.4, zorder=3)
        return
    fine_rows, fine_cols = panel.fine
    size = 260 / max(panel.fine.shape[1:])
    axes.scatter(fine_cols, fine_rows, s=size, color="#4db3ff", linewidths=0, zorder=2)
    axes.scatter(cols, rows, s=26, color="#ff2a1a", marker="x", linewidths=1.3, zorder=3)
