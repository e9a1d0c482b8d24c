"""Run by test_rasters.py in a process of its own: Triton decides at its import whether to interpret."""

import os

os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import torch

from pipeline.geometry import interpolation as arrays
from pipeline.geometry.boxes import members
from pipeline.geometry.tensors import project, uniform
from pipeline.inference import rasters, segmenter

GRID = (4, 3)
SIZES = ((31, 27), (2, 3), (9, 40))
STROKE = {"ROWS": 4, "COLS": 8, "PARTS": 2}  # interpreted, each step takes long, however small

draw = rasters.draw


def tensors(rng: np.random.Generator, strength: float, steps: int) -> np.ndarray:
    """Two tensors (2, 2, h, w), at multiples of 1 / steps if any; above a strength of 0.3 cells fold."""
    h, w = GRID
    step = np.array([1 / (h - 1), 1 / (w - 1)])[:, None, None]
    phi = np.stack([project(uniform(h, w) + rng.uniform(-strength, strength, (2, h, w)) * step)] * 2)
    phi[1] = project(phi[1][:, ::-1, ::-1].clip(0.1, 0.9))
    return np.round(phi * steps) / steps if steps else phi


def compare(phi: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> None:
    points, values = torch.from_numpy(phi), torch.from_numpy(scores)
    drawing = draw(points, size)
    rasters.draw = lambda *_: drawing
    found, weights = rasters.locate(points, size, torch.float64)
    labels, whole = rasters.labels(values, points, size), rasters.scores(values, points, size)
    assert whole.dtype == values.dtype
    for n, one in enumerate(phi):
        vertices, exact = arrays.locate(one, size)
        np.testing.assert_array_equal(found[n].numpy(), vertices)
        np.testing.assert_allclose(weights[n].numpy(), exact, rtol=0, atol=1e-12)
        dense = arrays.interpolate(scores[n], one, size)
        np.testing.assert_allclose(whole[n].numpy(), dense, rtol=0, atol=2e-6)
        second, first = np.partition(dense, -2, axis=0)[-2:]
        wrong = labels[n].numpy() != arrays.interpolate_labels(scores[n], one, size)
        assert not wrong[first - second > 1e-5].any()


def compare_means(rng: np.random.Generator, side: int, size: int) -> None:
    decoded = torch.from_numpy(rng.integers(0, 256, (2, side, side, 3), dtype=np.uint8))
    images, edges = decoded.permute(0, 3, 1, 2), members(side, size)
    widest = int((edges[1] - edges[0]).max())
    for laid_out in (images, images.contiguous()):
        found = rasters.average_rows(laid_out, torch.from_numpy(edges).int(), widest)
        assert torch.equal(found, segmenter._box_means(images, size, -1))


def main() -> None:
    rng = np.random.default_rng(0)
    rasters.STROKE.update(STROKE)
    np.seterr(all="ignore")  # of lanes that are masked
    for number, (strength, steps) in enumerate([(0, 0), (0.3, 0), (1, 0), (9, 4)]):
        scores = rng.normal(size=(2, 3, *GRID)).astype(np.float64 if number == 2 else np.float32)
        if number % 2:
            scores[:, 1] += 1  # most triangles have one label
        compare(tensors(rng, strength, steps), scores, SIZES[number % len(SIZES)])
    compare_means(rng, 23, 3)
    compare_means(rng, 5, 4)


if __name__ == "__main__":
    main()
