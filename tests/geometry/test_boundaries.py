from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.geometry.boundaries import (
    DOWN,
    LEFT,
    RIGHT,
    UP,
    VOID,
    BoundaryPixels,
    boundary_pixels,
    boundary_pixels_of_strips,
    crop_pixels,
    pack,
    target_boundaries,
    unpack,
)
from pipeline.geometry.crops import offsets, side
from tests.geometry.maps import LUT, TARGETS, Map, boundary_by_definition, raw_maps, train


def dense(pixels: BoundaryPixels, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    boundary = np.zeros(shape, bool)
    boundary[pixels.rows, pixels.cols] = True
    assert boundary.sum() == len(pixels), "a pixel is listed twice"
    return boundary


def find(labels: Map) -> BoundaryPixels:
    return boundary_pixels(labels, LUT, TARGETS)


@given(raw_maps(longest=20))
@settings(max_examples=100)
def test_both_ways_agree_with_the_definition(labels: Map) -> None:
    expected = boundary_by_definition(train(labels))
    assert np.array_equal(target_boundaries(train(labels), TARGETS), expected)
    assert np.array_equal(dense(find(labels), labels.shape), expected)


@given(raw_maps(longest=150), st.data())
@settings(max_examples=150)
def test_a_map_in_strips_has_the_pixels_of_the_whole(labels: Map, data: st.DataObject) -> None:
    """Each strip is overwritten once the next one is asked for."""
    height, width = labels.shape
    cuts = sorted(data.draw(st.sets(st.integers(1, height - 1)))) if height > 1 else []
    room = np.empty_like(labels)

    def strips() -> Iterator[Map]:
        for start, stop in itertools.pairwise([0, *cuts, height]):
            strip = room[: stop - start]
            strip[:] = labels[start:stop]
            yield strip

    found, size = boundary_pixels_of_strips(strips(), LUT, TARGETS)
    whole = find(labels)
    assert size == (height, width)
    assert found.unknown == whole.unknown
    for name in ("rows", "cols", "classes", "flags"):
        assert np.array_equal(getattr(found, name), getattr(whole, name))


def test_strips_that_are_no_map_are_refused() -> None:
    with pytest.raises(ValueError, match="no strips"):
        boundary_pixels_of_strips([], LUT, TARGETS)
    with pytest.raises(ValueError, match="strips of 3 and 4 columns"):
        boundary_pixels_of_strips([np.zeros((2, 3), np.uint8), np.zeros((2, 4), np.uint8)], LUT, TARGETS)


@pytest.mark.parametrize("width", [1, 2, 63, 64, 65, 66, 127, 128, 129, 130, 192, 193])
def test_edges_beside_every_column_are_found(width: int) -> None:
    """Pixels are compared 64 at a time, the last of a row in another way."""
    for column in range(width):
        labels = np.zeros((3, width), np.uint8)
        labels[1, column] = 1
        ids = train(labels)
        assert np.array_equal(dense(find(labels), labels.shape), boundary_by_definition(ids))


@pytest.mark.parametrize("kind", [np.int8, np.uint16, ">i4", np.int64, np.uint64])
def test_the_type_and_layout_of_train_ids_do_not_matter(kind: Any) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (17, 23)).repeat(3, axis=1)
    labels[0, :5] = 100
    expected = boundary_by_definition(labels.astype(np.uint8))
    of_kind = labels.astype(kind)
    assert np.array_equal(target_boundaries(of_kind, TARGETS), expected)
    assert np.array_equal(target_boundaries(of_kind.T, TARGETS), expected.T)


def test_ids_that_are_no_train_ids_are_other_classes_and_no_targets() -> None:
    labels = np.array([[257, 1, 1, -3], [257, 257, 1, 70_000]])
    assert target_boundaries(labels, [1]).tolist() == [
        [False, True, True, False],
        [False, False, True, False],
    ]


@given(raw_maps(longest=150))
@settings(max_examples=100)
def test_pixels_come_in_row_major_order_with_their_classes_and_flags(labels: Map) -> None:
    ids, pixels = train(labels), find(labels)
    place = pixels.rows.astype(int) * labels.shape[1] + pixels.cols
    assert (np.diff(place) > 0).all()
    assert np.array_equal(dense(pixels, labels.shape), target_boundaries(ids, TARGETS))
    assert np.array_equal(pixels.classes, ids[pixels.rows, pixels.cols])
    around = np.pad(ids.astype(int), 1, mode="edge")
    for flag, dr, dc in ((UP, -1, 0), (DOWN, 1, 0), (LEFT, 0, -1), (RIGHT, 0, 1)):
        other = around[pixels.rows + 1 + dr, pixels.cols + 1 + dc] != pixels.classes
        assert np.array_equal((pixels.flags & flag) != 0, other)
    assert (pixels.rows.dtype, pixels.cols.dtype) == (np.int32, np.int32)
    assert (pixels.classes.dtype, pixels.flags.dtype) == (np.uint8, np.uint8)


@given(raw_maps(unknown=True))
@settings(max_examples=150)
def test_unknown_ids_are_found_exactly(labels: Map) -> None:
    assert find(labels).unknown == tuple(i for i in np.unique(labels).tolist() if LUT[i] == 254)


def test_unknown_id_alone_in_the_map_is_found() -> None:
    assert find(np.full((5, 9), 9, np.uint8)).unknown == (9,)
    assert find(np.full((5, 9), 60000, np.uint16)).unknown == (60000,)


def test_ids_that_share_a_train_id_have_no_boundary_between_them() -> None:
    labels = np.array([[1, 17, 1], [17, 1, 17]], np.uint8)
    assert len(find(labels)) == 0
    assert len(find(np.array([[1, 65535], [65535, 1]], np.uint16))) == 0


def test_void_neighbours_make_a_boundary_and_void_itself_does_not() -> None:
    labels = np.array([[1, 7], [200, 7]], np.uint8)
    assert dense(find(labels), (2, 2)).tolist() == [[True, False], [False, False]]


def test_only_the_target_side_is_boundary() -> None:
    labels = np.array([[0, 0, 1, 1, 3, 3]] * 2, np.uint8)
    assert target_boundaries(labels, [1])[0].tolist() == [False, False, True, True, False, False]
    assert target_boundaries(labels, [1, 3])[0].tolist() == [False, False, True, True, True, False]


def test_image_border_is_no_boundary() -> None:
    assert not target_boundaries(np.ones((4, 4), np.uint8), [1]).any()
    assert len(find(np.ones((1, 9), np.uint8))) == len(find(np.ones((9, 1), np.uint8))) == 0


def test_one_pixel_object_is_boundary_on_all_sides() -> None:
    labels = np.zeros((3, 3), np.uint8)
    labels[1, 1] = 3
    pixels = find(labels)
    assert (pixels.rows.tolist(), pixels.cols.tolist(), pixels.classes.tolist()) == ([1], [1], [3])
    assert pixels.flags.tolist() == [UP | DOWN | LEFT | RIGHT]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_noise_where_nearly_every_pixel_is_boundary(dtype: type[Any]) -> None:
    labels = np.random.default_rng(0).choice(np.array([1, 3], dtype), (300, 517))
    pixels = find(labels)
    assert len(pixels) > 0.9 * labels.size
    assert np.array_equal(dense(pixels, labels.shape), target_boundaries(labels, TARGETS))


@given(raw_maps(), st.sampled_from([np.int16, np.int64, ">u2", np.uint32]))
@settings(max_examples=30)
def test_other_layouts_and_dtypes_give_the_same(labels: Map, dtype: Any) -> None:
    if labels.max() > np.iinfo(dtype).max:
        return
    frozen = labels.copy()
    frozen.flags.writeable = False
    for other in (labels.astype(dtype), np.asfortranarray(labels), np.repeat(labels, 2, 1)[:, ::2], frozen):
        assert np.array_equal(dense(find(other), labels.shape), dense(find(labels), labels.shape))


@given(raw_maps(), st.data())
@settings(max_examples=200)
def test_crop_is_as_if_it_stood_alone(labels: Map, data: st.DataObject) -> None:
    height, width = labels.shape
    size = data.draw(st.integers(1, min(height, width)))
    top, left = data.draw(st.integers(0, height - size)), data.draw(st.integers(0, width - size))
    alone = find(np.ascontiguousarray(labels[top : top + size, left : left + size]))
    cut = crop_pixels(find(labels), top, left, size)
    for name in ("rows", "cols", "classes", "flags"):
        assert np.array_equal(getattr(cut, name), getattr(alone, name)), name


def test_crop_keeps_what_is_unknown_in_the_image() -> None:
    labels = np.array([[1, 0, 9]] * 2, np.uint8)
    assert crop_pixels(find(labels), 0, 0, 2).unknown == (9,)


@given(raw_maps(), st.integers(1, 7))
@settings(max_examples=200)
def test_every_crop_can_be_had_again_from_the_packed_map(labels: Map, count: int) -> None:
    shape = (labels.shape[0], labels.shape[1])
    pixels = find(labels)
    packed = pack(pixels, shape)
    again = unpack(packed, shape)
    assert np.array_equal(again.rows, pixels.rows)
    assert np.array_equal(again.cols, pixels.cols)
    assert (again.classes == VOID).all()
    for top, left in offsets(*shape, count):
        expected = crop_pixels(pixels, top, left, side(*shape))
        cut = crop_pixels(again, top, left, side(*shape))
        assert np.array_equal(cut.rows, expected.rows)
        assert np.array_equal(cut.cols, expected.cols)
    assert np.array_equal(pack(again, shape), packed)


@given(raw_maps())
@settings(max_examples=60)
def test_packed_planes_hold_what_their_description_says(labels: Map) -> None:
    height, width = labels.shape
    ids = train(labels)
    differs = {}
    pad = np.pad(ids.astype(int), 1, mode="edge")
    for name, dr, dc in (("up", -1, 0), ("down", 1, 0), ("left", 0, -1), ("right", 0, 1)):
        differs[name] = pad[1 + dr : 1 + dr + height, 1 + dc : 1 + dc + width] != ids
    names = ("left", "right") if width >= height else ("up", "down")
    target = np.isin(ids, TARGETS)
    planes = np.unpackbits(pack(find(labels), (height, width)), axis=2)[:, :, :width].astype(bool)
    for plane, without in zip(planes, reversed(names), strict=True):
        others = np.logical_or.reduce([d for name, d in differs.items() if name != without])
        assert np.array_equal(plane, others & target)


def test_noise_survives_packing() -> None:
    labels = np.random.default_rng(1).choice(np.array([1, 3], np.uint8), (200, 1003))
    pixels = find(labels)
    again = unpack(pack(pixels, (200, 1003)), (200, 1003))
    assert np.array_equal(again.rows, pixels.rows)
    assert np.array_equal(again.cols, pixels.cols)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((2, 2, 3), np.uint8), r"label map has shape \(2, 2, 3\) and dtype uint8, must be \(H, W\)"),
        (np.zeros((0, 4), np.uint8), r"label map has shape \(0, 4\)"),
        (np.zeros((2, 2)), "dtype float64, must be"),
    ],
)
def test_what_is_no_label_map_is_refused(labels: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        target_boundaries(labels, [1])
    with pytest.raises(ValueError, match=message):
        boundary_pixels(labels, LUT, [1])


@pytest.mark.parametrize("value", [-1, 65536])
def test_raw_ids_beyond_16_bits_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match=r"raw ids must lie in 0\.\.65535, got "):
        find(np.array([[0, value], [0, 0]], np.int32))  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [-1, 254, 255, 300])
def test_targets_that_are_no_class_are_refused(target: int) -> None:
    with pytest.raises(ValueError, match=f"target {target} is no train id: those of classes lie in 0..253"):
        target_boundaries(np.zeros((2, 2), np.uint8), [1, target])


def test_lookup_table_of_another_shape_or_dtype_is_refused() -> None:
    for lut in (LUT[:256], LUT.astype(np.int64)):
        with pytest.raises(ValueError, match=r"lookup table has shape .* must be \(65536,\) uint8"):
            boundary_pixels(np.zeros((2, 2), np.uint8), lut, [1])


def test_packed_map_of_another_image_is_refused() -> None:
    packed = pack(find(np.array([[1, 0], [0, 1]], np.uint8)), (2, 2))
    with pytest.raises(ValueError, match=r"shape \(2, 2, 1\) and dtype uint8, must be \(2, 3, 1\) uint8"):
        unpack(packed, (3, 2))
    with pytest.raises(ValueError, match=r"bits set beyond the width of shape \(2, 1\)"):
        unpack(packed, (2, 1))
    with pytest.raises(ValueError, match=r"boundary pixels lie outside an image of shape \(1, 2\)"):
        pack(find(np.array([[1, 0], [0, 1]], np.uint8)), (1, 2))


def test_crop_with_a_negative_corner_is_refused() -> None:
    with pytest.raises(ValueError, match=r"crop of side 2 at \(0, -1\) is not inside any image"):
        crop_pixels(find(np.zeros((2, 2), np.uint8)), 0, -1, 2)
