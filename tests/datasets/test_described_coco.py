"""COCO files: what pycocotools makes of polygons and run lengths, smaller areas over larger ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.base import VOID, Frame
from pipeline.datasets.custom import Custom
from pipeline.datasets.drawing import Budget, Placed
from pipeline.datasets.formats import coco_index, rle
from pipeline.errors import AdaprepError, FileError
from pipeline.stages import boundaries, engine, sources
from pipeline.stages import frame as stage
from pipeline.workspace import stores
from tests.datasets.test_custom import describe

H, W = 12, 16
TABLE = """\
labels_are: coco
background: floor
classes:
  - {id: 300, name: floor}
  - {id: 3, name: cat}
  - {id: 90, name: dog}
targets: [cat]
splits: {train: {images: images, labels: a.json}}
"""
SQUARE = [1, 1, 5, 1, 5, 5, 1, 5]
LARGE = [0, 0, 10, 0, 10, 10, 0, 10]


def image(number: int, name: str, size: tuple[int, int] = (H, W)) -> dict[str, Any]:
    return {"id": number, "file_name": name, "height": size[0], "width": size[1]}


def item(number: int, of: int, category: int, segmentation: Any, crowd: int = 0) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": of,
        "category_id": category,
        "segmentation": segmentation,
        "iscrowd": crowd,
    }


def write(folder: Path, *items: Any, images: list[Any] | None = None, **options: Any) -> Custom:
    (folder / "images").mkdir(exist_ok=True)
    images = images or [image(7, "a.png")]
    for about in images:
        path = folder / "images" / Path(str(about["file_name"]).replace("\\", "/")).name
        Image.new("RGB", (W, H)).save(path)
    content = {"info": {"year": 2017}, "images": images, "annotations": list(items), "categories": []}
    (folder / "a.json").write_text(json.dumps(content, **options), encoding="utf-8")
    return Custom(describe(folder, TABLE))


def only(data: Custom) -> Frame:
    (frame,) = data.frames("train")
    return frame


def whole(part: Placed, size: tuple[int, int]) -> NDArray[np.uint8]:
    found = np.zeros(size, np.uint8)
    row, col, mask = part
    found[row : row + mask.shape[0], col : col + mask.shape[1]] = mask
    return found


COORDINATE = st.one_of(st.floats(-30, 60), st.integers(-30, 60), st.integers(-20, 90).map(lambda n: n / 2))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=9),
)
def test_polygons_are_those_of_pycocotools(height: int, width: int, points: list[Any]) -> None:
    theirs = pytest.importorskip("pycocotools.mask")
    corners = np.array(points, np.float64)
    expected = theirs.decode(theirs.frPyObjects([corners.ravel().tolist()], height, width))[..., 0]
    found = rle.polygon(corners, (height, width), Budget(10**9))
    np.testing.assert_array_equal(whole(found, (height, width)), expected)


def test_long_outlines_are_walked_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        corners = rng.uniform(-5, 45, (9, 2))
        at_once = whole(rle.polygon(corners, (40, 40), Budget(10**9)), (40, 40))
        with monkeypatch.context() as patch:
            patch.setattr(rle, "MAX_POINTS", 60)
            np.testing.assert_array_equal(
                whole(rle.polygon(corners, (40, 40), Budget(10**9)), (40, 40)), at_once
            )


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10**6), st.floats(0, 1))
def test_run_lengths_are_those_of_pycocotools(height: int, width: int, seed: int, share: float) -> None:
    theirs = pytest.importorskip("pycocotools.mask")
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    packed = theirs.encode(np.asfortranarray(mask))
    text = packed["counts"].decode()
    found = rle.runs(text, packed["size"], (height, width), Budget(10**9))
    np.testing.assert_array_equal(whole(found, (height, width)), mask)
    plain = rle._lengths(text)
    assert sum(plain) == height * width
    np.testing.assert_array_equal(
        whole(rle.runs(plain, [height, width], (height, width), Budget(10**9)), (height, width)), mask
    )


@pytest.mark.parametrize(
    ("counts", "size", "said"),
    [
        ([6, 6], [3, 4], "its run lengths are for size"),
        ([6, 7], [4, 3], "its run lengths are 13 pixels in all, the image has 12"),
        ([-1, 13], [4, 3], "run lengths must be whole numbers, none negative"),
        ([True, 11], [4, 3], "run lengths must be whole numbers"),
        ([1e9], [4, 3], "run lengths must be whole numbers"),
        ("P", [4, 3], "the text of its run lengths ends early"),
        ("§", [4, 3], "the text of its run lengths holds other characters"),
        ("o" * 20, [4, 3], "a run length is too large"),
        ("0" * 500, [4, 3], "it has more run lengths than the image has pixels"),
        (None, [4, 3], "run lengths must be whole numbers"),
    ],
)
def test_run_lengths_that_cannot_be(counts: Any, size: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rle.runs(counts, size, (4, 3), Budget(10**9))


def test_smaller_areas_lie_over_larger_ones_whatever_the_order(tmp_path: Path) -> None:
    items = [item(1, 7, 3, [SQUARE]), item(2, 7, 90, [LARGE])]
    for order in (items, items[::-1]):
        ids = (data := write(tmp_path, *order)).read_labels(only(data))
        assert ids[3].tolist() == [90] + [3] * 4 + [90] * 5 + [300] * 6
        assert ids.dtype == np.uint16
        objects = data.read_instances(only(data))
        assert objects is not None
        assert [len(np.unique(objects[ids == value])) for value in (3, 90, 300)] == [1, 1, 1]


def test_an_object_may_have_several_polygons_and_ids_have_gaps(tmp_path: Path) -> None:
    data = write(tmp_path, item(1, 7, 90, [SQUARE, [8, 8, 12, 8, 12, 12, 8, 12]]))
    ids = data.read_labels(only(data))
    assert (ids == 90).sum() == 32
    assert data.classes.lut[ids].max() == 2


def test_regions_of_a_crowd_are_void(tmp_path: Path) -> None:
    crowd = {"counts": [0, H * 4, H * 12], "size": [H, W]}
    data = write(tmp_path, item(1, 7, 3, crowd, crowd=1), item(2, 7, 3, [[0, 0, 3, 0, 3, 3, 0, 3]]))
    train = data.classes.lut[data.read_labels(only(data))]
    assert train[0].tolist() == [1] * 3 + [VOID] + [0] * 12
    objects = data.read_instances(only(data))
    assert objects is not None
    assert np.unique(objects).tolist() == [0, 2]


def test_images_without_annotations_are_background(tmp_path: Path) -> None:
    data = write(tmp_path)
    assert np.unique(data.read_labels(only(data))).tolist() == [300]
    assert data.label_size(only(data)) == (H, W)


def test_images_lie_in_folders_or_beside_each_other(tmp_path: Path) -> None:
    names = ["train/ü/1.png", "/home/somebody/2.png", "..\\3.png", "x/a.jpg", "x/a.png"]
    for ascii_only in (True, False):
        data = write(
            tmp_path, images=[image(i, name) for i, name in enumerate(names)], ensure_ascii=ascii_only
        )
        (tmp_path / "images/x").mkdir(exist_ok=True)
        for name in ("a.jpg", "a.png"):
            Image.new("RGB", (W, H)).save(tmp_path / "images/x" / name)
        frames = data.frames("train")
        assert [f.name for f in frames] == [
            "3",
            "home/somebody/2",
            "train/ü/1",
            "x/a.jpg",
            "x/a.png",
        ]
        assert all(f.image.exists() and data.has_labels(f) for f in frames)
        assert frames[2].image == tmp_path / "images/1.png"
        assert frames[2].label == tmp_path / "a.json/train/ü/1.png"
        assert all(data.read_labels(f).shape == (H, W) for f in frames)


def test_what_is_fingerprinted_is_what_is_said_of_the_image(tmp_path: Path) -> None:
    both = [image(1, "a.png"), image(2, "b.png")]
    data = write(tmp_path, item(1, 1, 3, [SQUARE]), item(2, 2, 3, [SQUARE]), images=both)
    a, b = data.frames("train")
    before = [stage.source_of(data, f) for f in (a, b)]
    write(tmp_path, item(2, 2, 3, [LARGE]), item(1, 1, 3, [SQUARE]), images=both[::-1])
    after = [stage.source_of(data, f) for f in (a, b)]
    assert (before[0] == after[0]).all()
    assert (before[1] != after[1]).any()
    assert data.label_files(a) == data.label_files(b) == (tmp_path / "a.json",)


def test_only_changed_images_are_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "FINE", -(10**9))
    monkeypatch.setattr(sources, "COARSE", -(10**9))
    images = [image(i, f"{i}.png") for i in range(20)]
    items = [item(i, i, 3, [SQUARE]) for i in range(20)]
    data = write(tmp_path, *items, images=images)
    folder = stores.Workspace(tmp_path / "w").folder(data.name, "train")
    options = boundaries.BoundaryOptions()
    summary = boundaries.run(
        folder, *boundaries.prepare(folder, data, "train", options), engine.Scheduler(threads=1)
    )
    assert not summary.failures
    read: list[str] = []
    record_of = coco_index.record_of
    monkeypatch.setattr(
        "pipeline.datasets.formats.coco.record_of", lambda *a: (read.append(a[1]), record_of(*a))[1]
    )
    assert boundaries.prepare(folder, data, "train", options)[1].todo == ()
    assert read == []
    items[3] = item(3, 3, 3, [LARGE])
    write(tmp_path, *items, images=images)
    todo = boundaries.prepare(folder, data, "train", options)[1].todo
    assert len(todo) == 1
    assert "3" in [frame.name for frame in data.frames("train")[slice(*todo[0])]]


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        (
            [],
            r"annotation 5: its segmentation must be a list of polygons or run lengths, found \[\]: ann",
        ),
        (None, "annotation 5: its segmentation must be a list of polygons or run lengths, found None"),
        ([[1, 1, 2, 2]], "annotation 5: a polygon must be three or more pairs x, y, found 4 numbers"),
        (
            [[1, 1, 2, 2, 3, 3, 4]],
            "annotation 5: a polygon must be three or more pairs x, y, found 7",
        ),
        ([[1, 1, 2, "2", 3, 3]], "annotation 5: a polygon must be a list of numbers"),
        (
            [[1, 1, 2, 2**30, 3, 3]],
            "annotation 5: the corner 1073741824 lies more than 131072 pixels",
        ),
        ({"counts": [3], "size": [H, W]}, "annotation 5: its run lengths are 3 pixels in all"),
    ],
)
def test_segmentations_that_cannot_be_cost_their_image_alone(
    tmp_path: Path, segmentation: Any, said: str
) -> None:
    both = [image(1, "a.png"), image(2, "b.png")]
    data = write(tmp_path, item(5, 1, 3, segmentation), item(6, 2, 3, [SQUARE]), images=both)
    a, b = data.frames("train")
    with pytest.raises(FileError, match=rf"a\.json/a\.png: {said}"):
        data.read_labels(a)
    assert (data.read_labels(b) == 3).sum() == 16


def test_categories_that_no_class_has(tmp_path: Path) -> None:
    data = write(tmp_path, item(5, 7, 44, [SQUARE]))
    with pytest.raises(
        FileError, match=r"annotation 5: no class has the id 44, its category_id; the ids are"
    ):
        data.read_labels(only(data))


@pytest.mark.parametrize("size", [(10**9, 16), (70_000, 70_000), (0, 1), (True, 3), ("1", 2)])
def test_sizes_that_no_image_has_cost_their_image_alone(tmp_path: Path, size: Any) -> None:
    data = write(tmp_path, images=[image(1, "a.png", size), image(2, "b.png")])
    a, b = data.frames("train")
    with pytest.raises(FileError, match=r"a\.json/a\.png: (says|must give the image's height and width)"):
        data.label_size(a)
    assert data.label_size(b) == (H, W)


def test_an_image_that_is_described_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(AdaprepError, match=r"a\.json: image 1 \('a\.png'\) was described before: remove one"):
        write(tmp_path, images=[image(1, "a.png"), image(2, "a.png")]).frames("train")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty file"),
        ("[]", "not a COCO file of instances: it is no JSON object"),
        ('{"images": []}', "not a COCO file of instances: it has no list 'annotations'"),
        ('{"images": {}, "annotations": []}', "not a COCO file of instances: 'images' is no list"),
        ('{"images": [3], "annotations": []}', "'images' holds 3, which is no record"),
        ('{"images": [{"id": 3}], "annotations": []}', "image 0 has no file_name or no id"),
        ('{"images": [], "images": []}', "not a JSON file: the key 'images' is given twice"),
        ('{"images": [], "annotations": []} x', "not a JSON file: something follows at byte 33"),
        ('{"images": [], "annotations": [{}', "not a JSON file: "),
        ('{"images": [{"a": NaN}]', "not a JSON file: NaN is no number"),
        ('{"images": [' + '{"a":' * 100_000, "not a JSON file: nested too deep"),
        ('{"images": [{},]}', "image 0 has no file_name"),
        ('{"images": [ ],, }', "not a JSON file: a key was expected at byte 15"),
        ('{"images"; []}', "not a JSON file: ':' was expected at byte 9"),
    ],
)
def test_files_that_are_no_coco_files(tmp_path: Path, text: str, said: str) -> None:
    data = write(tmp_path)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(AdaprepError) as error:
        data.frames("train")
    assert str(error.value).startswith(f"{tmp_path}/a.json: {said}")


def test_a_byte_order_mark_and_other_keys_are_passed_over(tmp_path: Path) -> None:
    data = write(tmp_path, item(1, 7, 3, [SQUARE]))
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text('﻿{"licenses": [{"a": [1, {"b": "]"}]}], ' + text[1:], encoding="utf-8")
    assert (data.read_labels(only(data)) == 3).sum() == 16


def test_a_file_that_changes_is_indexed_again(tmp_path: Path) -> None:
    data = write(tmp_path, item(1, 7, 3, [SQUARE]))
    frame = only(data)
    data.read_labels(frame)
    write(tmp_path, images=[image(7, "b.png")])
    with pytest.raises(FileError, match=r"a\.json: describes no image 'a\.png'"):
        data.read_labels(frame)


def test_a_coco_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    data = write(tmp_path)
    (tmp_path / "a.json").rename(tmp_path / "b.json")
    with pytest.raises(AdaprepError, match=r"splits\.train\.labels: there is no 'a\.json' in .*'b\.json'\?"):
        data.frames("train")
