"""Arguments that do not go together are refused by name, and nothing is read or written beyond an array.

The CI runs this with NUMBA_BOUNDSCHECK=1, which turns every access beyond an array into an IndexError.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.geometry import boundaries, crops, curves, energy, interpolation, nearest, sampling, tensors
from pipeline.geometry.boundaries import BoundaryPixels
from pipeline.metrics import ConfusionMatrix, ObjectRecall, object_recall, recall_by_size, trimap_accuracy

Array = NDArray[Any]
RNG = np.random.default_rng(0)
U = tensors.uniform(3, 4)
LABELS = RNG.integers(0, 3, (9, 12)).astype(np.uint8)
SCORES = RNG.normal(size=(3, 3, 4))
CURVE = np.array([[0.0, 0.0], [0.0, 4.0], [3.0, 2.0]])


def i4(*values: int) -> Array:
    return np.array(values, np.int32)


def u1(*values: int) -> Array:
    return np.array(values, np.uint8)


PIXELS = BoundaryPixels(i4(1, 3), i4(2, 2), u1(1, 1), u1(1, 8))
OBJECTS = ObjectRecall("components", np.array([1, 2]), np.array([4, 9]), np.array([0.5, 1.0]))

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "pack: a negative row": (
        lambda: boundaries.pack(BoundaryPixels(i4(-6), i4(2), u1(1), u1(1)), (4, 8)),
        "lie outside an image of shape",
    ),
    "pack: a negative column": (
        lambda: boundaries.pack(BoundaryPixels(i4(0), i4(-900), u1(1), u1(1)), (4, 8)),
        "lie outside an image of shape",
    ),
    "pack: flags of another length": (
        lambda: boundaries.pack(BoundaryPixels(i4(1, 1), i4(2, 2), u1(1, 1), u1(1)), (4, 8)),
        r"\(2,\) int32, \(2,\) int32, \(2,\) uint8, \(1,\) uint8, must be \(n,\)",
    ),
    "pack: a negative height": (lambda: boundaries.pack(PIXELS, (-4, 8)), "image is -4 x 8"),
    "crop_pixels: one column for five rows": (
        lambda: boundaries.crop_pixels(BoundaryPixels(i4(1, 1, 1, 1, 1), i4(2), u1(1), u1(1)), 0, 0, 8),
        r"\(5,\) int32, \(1,\) int32",
    ),
    "crop_pixels: rows of 64 bits": (
        lambda: boundaries.crop_pixels(
            BoundaryPixels(np.array([1]), i4(2), u1(1), u1(1)),  # type: ignore[arg-type]
            0,
            0,
            8,
        ),
        r"\(1,\) int64",
    ),
    "crop_pixels: a corner of NaN": (
        lambda: boundaries.crop_pixels(PIXELS, float("nan"), 0, 8),  # type: ignore[arg-type]
        "not inside any image",
    ),
    "unpack: of another shape": (
        lambda: boundaries.unpack(np.zeros((2, 4, 1), np.uint8), (4, 9)),
        r"must be \(2, 4, 2\)",
    ),
    "targets between two classes": (
        lambda: boundaries.target_boundaries(LABELS, [1.5]),  # type: ignore[list-item]
        "target is 1.5, must be a whole number",
    ),
    "targets beyond the classes": (lambda: boundaries.target_boundaries(LABELS, [254]), "target 254"),
    "a table of another length": (
        lambda: boundaries.boundary_pixels(LABELS, np.zeros(300, np.uint8), [1]),
        r"shape \(300,\)",
    ),
    "mesh: turned cells of another shape": (
        lambda: interpolation.mesh(tensors.uniform(3, 3), 9, np.zeros((40, 40), bool)),
        r"turned cells have shape \(40, 40\) and dtype bool, must be \(2, 2\) bool",
    ),
    "mesh: turned cells that are no bools": (
        lambda: interpolation.mesh(U, 9, np.full((2, 3), 7)),  # type: ignore[arg-type]
        "dtype int64, must be",
    ),
    "mesh: half a pixel": (
        lambda: interpolation.mesh(U, 9.5),  # type: ignore[arg-type]
        "crop is 9.5, must be whole numbers",
    ),
    "draw_label_map: labels of another grid": (
        lambda: interpolation.draw_label_map(np.zeros((2, 2), np.uint8), interpolation.mesh(U, 9)),
        r"labels have shape \(2, 2\) and dtype uint8, must be \(3, 4\) uint8",
    ),
    "draw_label_map: a mesh over a smaller crop": (
        lambda: interpolation.draw_label_map(LABELS[:3, :4], interpolation.mesh(U, 99)._replace(size=(9, 9))),
        "does not go together",
    ),
    "draw_label_map: a mesh with other corners": (
        lambda: interpolation.draw_label_map(
            LABELS[:3, :4], (g := interpolation.mesh(U, 9))._replace(corners=g.corners + 1)
        ),
        "does not go together",
    ),
    "split: one component": (lambda: interpolation.split(U[:1]), r"shape \(1, 3, 4\)"),
    "locate: weights of integers": (lambda: interpolation.locate(U, 9, np.int64), "must be float64"),  # type: ignore[arg-type]
    "interpolate: scores of another grid": (
        lambda: interpolation.interpolate(SCORES[:, :, :3], U, 9),
        "h and w must agree",
    ),
    "interpolate: complex scores": (
        lambda: interpolation.interpolate(SCORES.astype(complex), U, 9),
        "dtype complex128",
    ),
    "interpolate: scores of NaN": (
        lambda: interpolation.interpolate(np.full((3, 3, 4), np.nan), U, 9),
        "NaN or infinite",
    ),
    "interpolate: no classes": (
        lambda: interpolation.interpolate_labels(np.zeros((0, 3, 4)), U, 9),
        "have 0 classes",
    ),
    "interpolate: a tensor of NaN": (
        lambda: interpolation.interpolate(SCORES, np.full((2, 3, 4), np.nan), 9),
        "NaN or outside",
    ),
    "interpolate: a huge crop": (
        lambda: interpolation.interpolate(SCORES, U, 2**40),
        "must be at most 1073741824 a side",
    ),
    "nearest: rows and columns in the plane": (
        lambda: nearest.nearest_pixels(
            np.zeros((2, 2), np.int32), np.zeros((2, 2), np.int32), (4, 4), (2, 2)
        ),
        r"rows \(2, 2\)",
    ),
    "nearest: unsigned pixels": (
        lambda: nearest.nearest_pixels(
            np.zeros(1, np.uint64),  # type: ignore[arg-type]
            i4(0),
            (4, 4),
            (2, 2),
        ),
        "rows uint64",
    ),
    "nearest: a column outside": (
        lambda: nearest.nearest_pixels(i4(0), i4(4), (4, 4), (2, 2)),
        "outside a map of shape",
    ),
    "nearest: a grid of one point": (
        lambda: nearest.nearest_boundary(np.ones((4, 4), bool), (1, 2)),
        "at least 2 points a side",
    ),
    "sample: outside": (lambda: sampling.sample(LABELS, U * 2), "NaN or outside"),
    "sample: NaN": (lambda: sampling.sample(LABELS, U * np.nan), "NaN or outside"),
    "sample: from an empty image": (
        lambda: sampling.sample(np.zeros((0, 4)), U),
        "size is 0 x 4, must be at least 1 x 1",
    ),
    "project: NaN": (lambda: tensors.project(U * np.nan), "values that are NaN"),
    "project: texts": (lambda: tensors.project(np.full((2, 3, 4), "a")), "must be real numbers"),  # type: ignore[arg-type]
    "resize: to one point": (lambda: tensors.resize(U, 1), "at least 2 points a side"),
    "uniform: half a point": (lambda: tensors.uniform(2.5, 3), "must be whole numbers"),  # type: ignore[arg-type]
    "solve: outside": (lambda: energy.solve(U * 2, 1), "NaN or outside"),
    "solve: a weight of NaN": (lambda: energy.solve(U, float("nan")), "lambda is nan"),
    "solve: a matrix of a terabyte": (
        lambda: energy.solve(np.broadcast_to(0.5, (2, 2, 2**19)), 1),
        "at most 8192 points a side",
    ),
    "energy: other shapes": (lambda: energy.energy(U, U[:, :2], 1), r"\(2, 3, 4\) but"),
    "crops: half a crop": (lambda: crops.offsets(9, 12, 1.5), "number of crops is 1.5"),  # type: ignore[arg-type]
    "crops: a side of NaN": (lambda: crops.side(float("nan"), 4), "must be whole numbers"),  # type: ignore[arg-type]
    "curves: NaN": (lambda: curves.length(CURVE * np.nan), "NaN or infinite"),
    "curves: refined to dust": (lambda: curves.refine(CURVE, 1e-300), "pieces"),
    "curves: sigma of NaN": (lambda: curves.smooth(CURVE, float("nan"), 9), "sigma is nan"),
    "curves: a single point": (lambda: curves.smooth(np.zeros((3, 2)), 1, 9), "is a single point"),
    "curves: points on a line": (lambda: curves.distances(CURVE[:, 0], [CURVE]), r"must be \(P, 2\)"),
    "confusion: a billion classes": (lambda: ConfusionMatrix(10**9), "there are 1000000000 classes"),
    "confusion: half a target": (lambda: ConfusionMatrix(3, [0.5]), "must be whole numbers"),  # type: ignore[list-item]
    "confusion: other shapes": (lambda: ConfusionMatrix(3).update(LABELS, LABELS[:4]), "must be .H, W. and"),
    "trimap: an endless width": (
        lambda: trimap_accuracy(LABELS, LABELS, [np.inf]),  # type: ignore[list-item]
        "must be whole numbers of pixels",
    ),
    "objects: instances between two": (
        lambda: object_recall(LABELS, LABELS, LABELS + 0.5, [1]),
        "dtype float64, must be integers",
    ),
    "objects: ids of 64 bits": (
        lambda: object_recall(LABELS, LABELS, np.full(LABELS.shape, 2**60), [1]),
        "must lie below",
    ),
    "objects: recalls of another length": (
        lambda: recall_by_size(ObjectRecall("mixed", OBJECTS.classes, OBJECTS.areas, np.ones(3))),
        r"recalls \(3,\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_refused_by_name(name: str) -> None:
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_a_band_wider_than_the_image_holds_all_of_it() -> None:
    found = trimap_accuracy(LABELS, LABELS, [10**12])
    assert found.total.tolist() == [LABELS.size]


def test_flipping_a_flipped_view_leaves_its_array_alone() -> None:
    phi = U.copy()
    tensors.flip(phi[..., ::-1])
    assert np.array_equal(phi, U)


CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "target_boundaries": (boundaries.target_boundaries, (LABELS, [1, 2])),
    "boundary_pixels": (boundaries.boundary_pixels, (LABELS, np.arange(65536).astype(np.uint8), [1])),
    "crop_pixels": (
        lambda r, c, k, f, *rest: boundaries.crop_pixels(BoundaryPixels(r, c, k, f), *rest),
        (PIXELS.rows, PIXELS.cols, PIXELS.classes, PIXELS.flags, 1, 1, 4),
    ),
    "pack": (
        lambda r, c, k, f, h, w: boundaries.pack(BoundaryPixels(r, c, k, f), (h, w)),
        (PIXELS.rows, PIXELS.cols, PIXELS.classes, PIXELS.flags, 5, 9),
    ),
    "unpack": (lambda p, h, w: boundaries.unpack(p, (h, w)), (boundaries.pack(PIXELS, (5, 9)), 5, 9)),
    "nearest_boundary": (lambda b, h, w: nearest.nearest_boundary(b, (h, w)), (LABELS == 1, 3, 4)),
    "nearest_pixels": (
        lambda r, c, *s: nearest.nearest_pixels(r, c, s[:2], s[2:]),  # type: ignore[arg-type]
        (PIXELS.rows, PIXELS.cols, 5, 9, 3, 4),
    ),
    "solve": (energy.solve, (U, 1.0)),
    "energy": (energy.energy, (U, U, 1.0)),
    "project": (tensors.project, (U,)),
    "resize": (tensors.resize, (U, 5)),
    "flip": (tensors.flip, (U,)),
    "folded_cells": (tensors.folded_cells, (U,)),
    "sample": (sampling.sample, (LABELS, U)),
    "interpolate": (interpolation.interpolate, (SCORES, U, 9)),
    "interpolate_labels": (interpolation.interpolate_labels, (SCORES, U, 9)),
    "interpolate_label_map": (interpolation.interpolate_label_map, (LABELS[:3, :4], U, 9)),
    "mesh": (interpolation.mesh, (U, 9, np.zeros((2, 3), bool))),
    "draw_label_map": (
        lambda labels, phi, size: interpolation.draw_label_map(labels, interpolation.mesh(phi, size)),
        (LABELS[:3, :4], U, 9),
    ),
    "locate": (interpolation.locate, (U, 9)),
    "offsets": (crops.offsets, (9, 12, 3)),
    "refine": (curves.refine, (CURVE, 0.5)),
    "smooth": (curves.smooth, (CURVE, 1.0, 9)),
    "distances": (lambda points, curve: curves.distances(points, [curve]), (CURVE, CURVE + 1)),
    "confusion": (lambda n, t, p: ConfusionMatrix(n).update(t, p), (3, LABELS, LABELS)),
    "trimap": (lambda t, p, w: trimap_accuracy(t, p, [w]), (LABELS, LABELS, 3)),
    "object_recall": (object_recall, (LABELS, LABELS, LABELS.astype(np.int32), [1])),
    "object_recall, components": (object_recall, (LABELS, LABELS, None, [1, 2])),
}

KINDS = ("f2", "f4", "f8", "i1", "i4", "i8", "u1", ">u2", "u8", "c8", "?", "O", "U3")
VALUES = (np.nan, np.inf, -np.inf, -1, 1e300, 2, 255, -(2**40), 2**40, 1 + 1e-12, -1e-300)


def mutated_array(array: Array, rng: np.random.Generator) -> Array:
    choice = rng.integers(9)
    if choice == 0:
        return array.astype(rng.choice(KINDS))
    if choice == 1:
        return array.T
    if choice == 2:
        return np.repeat(array, 2, axis=-1)[..., ::2]  # the same, with other strides
    if choice == 3:
        frozen = array.copy()
        frozen.flags.writeable = False
        return frozen
    if choice == 4:
        return array[: rng.integers(0, 2)]
    if choice == 5:
        return array[None] if rng.integers(2) or not len(array) else array[0]
    if choice == 6:
        return np.resize(array, rng.integers(0, 6, array.ndim))
    if choice == 7:
        return array[..., ::-1]
    changed = array.astype(np.float64) if rng.integers(2) else array.copy()
    if changed.size:
        with np.errstate(all="ignore"):
            changed.flat[rng.integers(changed.size)] = np.array(rng.choice(VALUES)).astype(changed.dtype)
    return changed


def mutated(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, np.ndarray):
        return mutated_array(value, rng)
    if isinstance(value, list):
        return [mutated(item, rng) for item in value]
    return (-1, 0, 1, 2, 3, 7, float("nan"), float("inf"), 2**62, 1.5, -(2**40), True, "a", None)[
        rng.integers(14)
    ]


def call_mutated(name: str, seed: int) -> bool:
    """Call a function with one or two of its arguments changed; whether it was accepted."""
    function, arguments = CALLS[name]
    if seed == 0:
        function(*arguments)
        return True
    rng = np.random.default_rng([seed, len(name)])
    changed = list(arguments)
    try:
        for _ in range(rng.integers(1, 3)):
            place = rng.integers(len(changed))
            changed[place] = mutated(changed[place], rng)
        with np.errstate(all="ignore"):
            function(*changed)
    except (ValueError, TypeError, AttributeError):  # the last two: not even the type that is asked for
        return False
    return True


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore")
def test_mutated_arguments_are_refused_or_served(name: str) -> None:
    served = sum(call_mutated(name, seed) for seed in range(int(os.environ.get("FUZZ_COUNT", "40"))))
    assert served, "nothing was accepted: the arguments to begin with are wrong"


@pytest.mark.fuzz
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore")
def test_many_mutated_arguments_are_refused_or_served(name: str) -> None:
    for seed in range(4000):  # 112,000 of all functions
        call_mutated(name, seed)
