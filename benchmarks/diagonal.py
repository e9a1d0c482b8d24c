"""Which diagonal should split the cells? The upper bound of mIoU that each choice leaves.

    python -m benchmarks.diagonal LABELS

LABELS is a folder of CamVid's 8-bit label maps (0..10, 11 = void). Labels of the central crop are sampled,
with the uniform tensor and with proposals, given back as perfect classifications, interpolated and compared
with the crop they come from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.interpolate import LinearNDInterpolator

from pipeline.geometry.crops import central_crop
from pipeline.geometry.interpolation import VOID, draw_label_map, mesh, split
from pipeline.geometry.proposal import propose
from pipeline.geometry.sampling import sample
from pipeline.geometry.tensors import folded_cells, resize, uniform
from pipeline.metrics import ConfusionMatrix

CLASSES, VOID_ID, TARGETS = 11, 11, (8, 9, 10)

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]
Upsampling = Callable[[Labels, Floats, int], Labels]


def along(diagonal: str) -> Upsampling:
    """Interpolation in cells split along one diagonal, or the shorter one."""

    def upsample(labels: Labels, phi: Floats, size: int) -> Labels:
        h, w = labels.shape
        turned = split(phi) if diagonal == "shorter" else np.full((h - 1, w - 1), diagonal == "anti")
        return draw_label_map(labels, mesh(phi, size, turned))

    return upsample


def void_as_class(labels: Labels, phi: Floats, size: int) -> Labels:
    """Along the shorter diagonals, but void samples are one more class, which wins pixels like any other."""
    drawn = along("shorter")(np.where(labels == VOID, VOID_ID, labels).astype(np.uint8), phi, size)
    return np.where(drawn == VOID_ID, VOID, drawn).astype(np.uint8)


def delaunay(labels: Labels, phi: Floats, size: int) -> Labels:
    """The paper's way: triangulate the sample points without regard to their grid."""
    axis = np.linspace(0, 1, size)
    places = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    one_hot = (labels.reshape(-1, 1) == np.arange(CLASSES)).astype(float)
    scores = np.nan_to_num(LinearNDInterpolator(phi.reshape(2, -1).T, one_hot)(places))
    return np.asarray(scores.argmax(axis=1).reshape(size, size), np.uint8)


WAYS: dict[str, Upsampling] = {
    "main": along("main"),
    "anti": along("anti"),
    "shorter": along("shorter"),
    "shorter, void a class": void_as_class,
}


def read(folder: Path) -> list[Labels]:
    """The central crops of a folder of label maps, in train ids."""
    crops = []
    for path in sorted(folder.glob("*.png")):
        crop = central_crop(np.asarray(Image.open(path)))
        crops.append(np.where(crop == VOID_ID, VOID, crop).astype(np.uint8))
    if not crops:
        raise click.ClickException(f"no label maps (*.png) in {folder}")
    return crops


def proposal(crop: Labels) -> Floats:
    """The proposal on 8 x 8 points, lambda = 1."""
    return propose(crop, TARGETS)


def upper_bound(crops: list[Labels], tensors: list[Floats], upsample: Upsampling) -> tuple[float, float]:
    """MIoU of all classes and of the target classes."""
    matrix = ConfusionMatrix(CLASSES, TARGETS)
    for crop, phi in zip(crops, tensors, strict=True):
        matrix.update(crop, upsample(sample(crop, phi), phi, len(crop)))
    return matrix.miou(), matrix.target_miou()


@click.command()
@click.argument("labels", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--resolution", "resolutions", multiple=True, type=int, default=(32, 64, 128), show_default=True
)
@click.option("--delaunay", "with_delaunay", is_flag=True, help="Triangulate as the paper does, too (slow).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(labels: Path, resolutions: tuple[int, ...], with_delaunay: bool, as_json: bool) -> None:
    """Compare the diagonals on the label maps in LABELS."""
    crops = read(labels)
    proposals = [proposal(crop) for crop in crops]
    ways = WAYS | {"Delaunay": delaunay} if with_delaunay else WAYS
    rows = []
    for kind, tensors in {"uniform": [uniform(8, 8)] * len(crops), "adaptive": proposals}.items():
        for resolution in resolutions:
            resized = [resize(phi, resolution) for phi in tensors]
            for way, upsample in ways.items():
                miou, target_miou = upper_bound(crops, resized, upsample)
                rows.append(
                    {
                        "tensor": kind,
                        "resolution": resolution,
                        "way": way,
                        "miou": miou,
                        "target_miou": target_miou,
                    }
                )
    folded = sum(int(folded_cells(phi).sum()) for phi in proposals)
    if as_json:
        click.echo(json.dumps({"images": len(crops), "folded_cells": folded, "results": rows}))
        return
    click.echo(
        f"{len(crops)} crops, {folded} folded cells in their proposals; mIoU of all / of target classes"
    )
    for row in rows:
        click.echo(
            f"{row['tensor']:8} {row['resolution']:4}  {row['way']:21}  "
            f"{row['miou']:.4f} / {row['target_miou']:.4f}"
        )


if __name__ == "__main__":
    main()
