"""Supervisely Person, on small files written to the documented format."""

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.base import VOID
from pipeline.datasets.figures import decode_bitmap
from pipeline.datasets.supervisely import Supervisely, validation_indices
from pipeline.errors import AdaprepError, FileError

# The two vectors of the format's own documentation.
RING = (
    "eJzrDPBz5+WS4mJgYOD19HAJAtLMIMwIInOeqf8BUmwBPiGuQPr///9Lb86/C2QxlgT5BTM4PLuRBuTwebo4hlTMSa44sKHhISMDuxpT"
    "Yrr03F6gDIOnq5/LOqeEJgDM5ht6"
)
OPEN_RING = (
    "eJzrDPBz5+WS4mJgYOD19HAJAtLMIMwIInOeqf8BUmwBPiGuQPr///9Lb86/C2QxlgT5BTM4PLuRBuTwebo4hlTMSa44cOHAB6DqY0yO"
    "Rgq8YkAZBk9XP5d1TglNANAFGzA="
)
SIZE = (12, 16)


def polygon(exterior: Any, interior: Any = (), title: str = "person_poly", **more: Any) -> dict[str, Any]:
    points = {"exterior": exterior, "interior": list(interior)}
    return {"classTitle": title, "geometryType": "polygon", "points": points, **more}


def box(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def bitmap(data: str, x: int, y: int, title: str = "person_bmp", **more: Any) -> dict[str, Any]:
    return {
        "classTitle": title,
        "geometryType": "bitmap",
        "bitmap": {"data": data, "origin": [x, y]},
        **more,
    }


def encode(image: Image.Image, pack: bool = True) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    data = file.getvalue()
    return base64.b64encode(zlib.compress(data) if pack else data).decode()


def write(
    root: Path,
    objects: Any,
    name: str = "a.png",
    dataset: str = "ds1",
    annotation: str = "{name}.json",
    size: tuple[int, int] = SIZE,
    **more: Any,
) -> None:
    images, annotations = root / dataset / "img", root / dataset / "ann"
    images.mkdir(parents=True, exist_ok=True)
    annotations.mkdir(exist_ok=True)
    (root / "meta.json").write_text("{}")
    Image.new("RGB", SIZE[::-1], (10, 20, 30)).save(images / name)
    content = {"size": {"height": size[0], "width": size[1]}, "tags": [], "objects": objects, **more}
    file = annotation.format(name=name, stem=Path(name).stem)
    (annotations / file).write_text(json.dumps(content))


def labels_of(root: Path, **options: Any) -> NDArray[np.uint8]:
    data = Supervisely(root, **options)
    return data.read_labels(data.frames("all")[0])


def expected(*regions: tuple[slice, slice, int]) -> NDArray[np.uint8]:
    result = np.zeros(SIZE, np.uint8)
    for rows, cols, value in regions:
        result[rows, cols] = value
    return result


def test_official_bitmap_vectors() -> None:
    np.testing.assert_array_equal(decode_bitmap(RING), [[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    np.testing.assert_array_equal(decode_bitmap(OPEN_RING), [[1, 1, 1], [1, 0, 0], [1, 1, 1]])


MASK = np.array([[1, 0, 1], [0, 1, 1]], bool)
RGBA = np.dstack([np.full((2, 3, 3), 99, np.uint8), MASK * np.uint8(7)])


@pytest.mark.parametrize("pack", [True, False], ids=["zlib", "raw"])
@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(RGBA),
        Image.fromarray(MASK.astype(np.uint8)),
        Image.fromarray(MASK),
        Image.fromarray(np.dstack([np.full((2, 3), 99, np.uint8), MASK * np.uint8(255)]), "LA"),
    ],
    ids=["alpha", "value", "one bit", "grey with alpha"],
)
def test_bitmap_encodings(image: Image.Image, pack: bool) -> None:
    np.testing.assert_array_equal(decode_bitmap(encode(image, pack)), MASK)


def test_bitmap_without_transparency_or_single_channel_is_refused() -> None:
    with pytest.raises(ValueError, match="must have transparency or a single channel, and is RGB"):
        decode_bitmap(encode(Image.new("RGB", (2, 2))))


def test_polygon_includes_its_outline(tmp_path: Path) -> None:
    write(tmp_path, [polygon(box(2, 3, 6, 8))])
    np.testing.assert_array_equal(labels_of(tmp_path), expected((slice(3, 9), slice(2, 7), 1)))


def test_hole_clears_only_its_own_object(tmp_path: Path) -> None:
    write(tmp_path, [polygon(box(0, 5, 9, 6)), polygon(box(2, 2, 9, 9), [box(4, 4, 7, 7)])])
    ring = (slice(2, 10), slice(2, 10), 1), (slice(4, 8), slice(4, 8), 0)
    np.testing.assert_array_equal(labels_of(tmp_path), expected(*ring, (slice(5, 7), slice(0, 10), 1)))


def test_geometry_type_may_be_missing(tmp_path: Path) -> None:
    person, cutout = (
        polygon(box(1, 1, 2, 2), bitmap=None),
        bitmap(RING, 10, 5, points={"exterior": [], "interior": []}),
    )
    del person["geometryType"], cutout["geometryType"]
    write(tmp_path, [person, cutout])
    result = expected(
        (slice(1, 3), slice(1, 3), 1), (slice(5, 8), slice(10, 13), 1), (slice(6, 7), slice(11, 12), 0)
    )
    np.testing.assert_array_equal(labels_of(tmp_path), result)


def test_exterior_may_be_nested(tmp_path: Path) -> None:
    write(tmp_path, [polygon([box(2, 3, 6, 8)])])
    np.testing.assert_array_equal(labels_of(tmp_path), expected((slice(3, 9), slice(2, 7), 1)))


@pytest.mark.parametrize("data", [polygon(box(-5, -5, 1, 30)), polygon(box(-9, -9, -2, -2))])
def test_polygon_beyond_the_image_is_cut(tmp_path: Path, data: dict[str, Any]) -> None:
    write(tmp_path, [data])
    inside = slice(0, 2) if data["points"]["exterior"][1][0] == 1 else slice(0, 0)
    np.testing.assert_array_equal(labels_of(tmp_path), expected((slice(0, 12), inside, 1)))


@pytest.mark.parametrize(("x", "y"), [(-1, -1), (14, 10), (16, 12), (-3, 0), (40, -40)])
def test_bitmap_beyond_the_image_is_cut(tmp_path: Path, x: int, y: int) -> None:
    write(tmp_path, [bitmap(RING, x, y)])
    canvas = np.zeros((SIZE[0] + 100, SIZE[1] + 100), np.uint8)
    canvas[50 + y : 53 + y, 50 + x : 53 + x] = decode_bitmap(RING)
    np.testing.assert_array_equal(labels_of(tmp_path), canvas[50:-50, 50:-50])


@pytest.mark.parametrize(
    ("neutral", "train_ids", "targets"),
    [("ignore", [0, 1, VOID], (1,)), ("background", [0, 1, 0], (1,)), ("person", [0, 1, 1], (1,))],
)
def test_neutral_setting_changes_the_table_not_the_labels(
    tmp_path: Path, neutral: str, train_ids: list[int], targets: tuple[int, ...]
) -> None:
    write(tmp_path, [polygon(box(0, 0, 5, 5)), polygon(box(3, 3, 8, 8), title="neutral")])
    data = Supervisely(tmp_path, neutral=neutral, seed=3)
    assert data.classes.lut[:3].tolist() == train_ids
    assert data.classes.targets == targets
    assert data.settings() == {"neutral": neutral, "seed": 3}
    result = expected((slice(3, 9), slice(3, 9), 2), (slice(0, 6), slice(0, 6), 1))
    np.testing.assert_array_equal(labels_of(tmp_path, neutral=neutral), result)


def test_instances_are_numbered_in_annotation_order(tmp_path: Path) -> None:
    objects = [polygon(box(0, 0, 5, 5)), polygon(box(3, 3, 8, 8), title="neutral"), polygon(box(5, 0, 6, 5))]
    write(tmp_path, objects)
    one, three = (slice(0, 6), slice(0, 6), 1), (slice(0, 6), slice(5, 7), 3)
    data = Supervisely(tmp_path)
    instances = data.read_instances(data.frames("all")[0])
    assert instances.dtype == np.int32
    np.testing.assert_array_equal(instances, expected(one, three))
    counted = Supervisely(tmp_path, neutral="person")
    np.testing.assert_array_equal(
        counted.read_instances(counted.frames("all")[0]), expected(one, (slice(3, 9), slice(3, 9), 2), three)
    )


def test_notes_say_what_was_decided(tmp_path: Path) -> None:
    assert Supervisely(tmp_path, seed=7).notes("val") == [
        "objects of the class neutral count as void (setting neutral: ignore, background, person)",
        "there is no official split: val is drawn at random (setting seed, now 7)",
    ]


def test_hidden_files_are_no_images(tmp_path: Path) -> None:
    write(tmp_path, [])
    (tmp_path / "ds1" / "img" / "._a.png").write_bytes(b"x")
    assert [f.name for f in Supervisely(tmp_path).frames("all")] == ["ds1/a.png"]


def test_both_annotation_names_and_a_project_folder_below_the_root(tmp_path: Path) -> None:
    project = tmp_path / "project"
    write(project, [], "b.png", "ds2")
    write(project, [], "c.jpeg", "ds1", "{stem}.json")
    frames = Supervisely(tmp_path).frames("all")
    assert [(f.name, f.label.name) for f in frames] == [("ds1/c.jpeg", "c.json"), ("ds2/b.png", "b.png.json")]
    assert all(f.image.exists() and f.label.exists() for f in frames)


def test_splits_are_seeded_disjoint_and_complete(tmp_path: Path) -> None:
    for i in range(30):
        write(tmp_path, [], f"{i}.png", f"ds{i % 3}")
    data = Supervisely(tmp_path)
    train, val, everything = (data.frames(split) for split in ("train", "val", "all"))
    assert len(val) == 3
    assert {f.name for f in train} | {f.name for f in val} == {f.name for f in everything}
    assert not {f.name for f in train} & {f.name for f in val}
    assert [f.name for f in train] == sorted(f.name for f in train)
    assert Supervisely(tmp_path).frames("val") == val
    assert any(Supervisely(tmp_path, seed=s).frames("val") != val for s in (1, 2))


def test_split_has_the_papers_size() -> None:
    assert len(validation_indices(5711, 0)) == 571


@given(count=st.integers(2, 400), seed=st.integers(0, 5))
@settings(max_examples=50)
def test_every_split_of_two_or_more_has_both_parts(count: int, seed: int) -> None:
    held_out = validation_indices(count, seed)
    assert 1 <= len(held_out) < count
    assert held_out <= set(range(count))


def test_single_image_cannot_be_split(tmp_path: Path) -> None:
    write(tmp_path, [])
    assert len(Supervisely(tmp_path).frames("all")) == 1
    with pytest.raises(AdaprepError, match="a single image cannot be split; use --split all"):
        Supervisely(tmp_path).frames("train")


def test_nothing_found_says_where(tmp_path: Path) -> None:
    with pytest.raises(
        AdaprepError, match=r"no images found(.|\n)*ds\*/img/\*\.\{png,jpg,jpeg\}(.|\n)*meta\.json"
    ):
        Supervisely(tmp_path / "absent").frames("train")


def test_unknown_split_and_neutral_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AdaprepError, match="supervisely has no split 'test'; it has: train, val, all"):
        Supervisely(tmp_path).frames("test")
    with pytest.raises(AdaprepError, match="neutral must be one of ignore, background, person, got 'drop'"):
        Supervisely(tmp_path, neutral="drop")
    with pytest.raises(AdaprepError, match="seed must not be negative, got -1"):
        Supervisely(tmp_path, seed=-1)


def test_label_size_comes_from_the_annotation_alone(tmp_path: Path) -> None:
    write(tmp_path, [], size=(700, 900))
    data = Supervisely(tmp_path)
    frame = data.frames("all")[0]
    frame.image.unlink()
    assert data.label_size(frame) == (700, 900)
    assert data.read_labels(frame).shape == (700, 900)


@pytest.mark.parametrize("read", ["read_labels", "read_instances", "read_image"])
def test_size_mismatch_fails(tmp_path: Path, read: str) -> None:
    write(tmp_path, [], size=SIZE[::-1])
    data = Supervisely(tmp_path)
    message = r"12 rows x 16 columns, its annotation a\.png\.json is for 16 x 12\. Its sides are swapped"
    with pytest.raises(FileError, match=message):
        getattr(data, read)(data.frames("all")[0])


def test_image_is_read(tmp_path: Path) -> None:
    write(tmp_path, [])
    data = Supervisely(tmp_path)
    image = data.read_image(data.frames("all")[0])
    assert image.shape == (*SIZE, 3)
    assert image[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            polygon(box(0, 0, 2, 2), title="dog"),
            "unknown class title 'dog'; the classes are person_poly, person_bmp",
        ),
        ({"points": {}}, "unknown class title None"),
        ("person", "unknown class title None"),
        ({"classTitle": ["person_poly"]}, r"unknown class title \['person_poly'\]"),
        (polygon(box(0, 0, 2, 2)) | {"geometryType": "rectangle"}, "unknown geometry 'rectangle'"),
        (
            {"classTitle": "person_poly", "bitmap": None},
            "unknown geometry None; it must be 'polygon' or 'bitmap'",
        ),
        (polygon([]), r"a polygon without points\.exterior"),
        (polygon([[0, 0], [1, 1]]), r"three or more \[x, y\] points, got an array of shape \(2, 2\)"),
        (polygon([[0, 0], [1], [2, 2]]), r"a polygon ring must be a list of \[x, y\] points"),
        (polygon([[0, 0], [1, None], [2, 2]]), r"a polygon ring must be"),
        (
            polygon(box(0, 0, 2, 2)) | {"points": {"exterior": box(0, 0, 1, 1), "interior": 3}},
            "list of rings",
        ),
        (bitmap(RING, 0, 0) | {"bitmap": {"data": RING}}, r"must have 'data' \(text\) and 'origin'"),
        (bitmap("§", 0, 0), "its data are not base 64"),
        (bitmap(base64.b64encode(b"nothing").decode(), 0, 0), "its data are not a PNG"),
        (bitmap(RING[:96], 0, 0), "its data are not a PNG"),
    ],
)
def test_bad_object_is_named(tmp_path: Path, item: Any, message: str) -> None:
    write(tmp_path, [polygon(box(0, 0, 2, 2)), item])
    with pytest.raises(FileError, match=rf"a\.png\.json: object 1: .*{message}"):
        labels_of(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ("[]", "it has no list 'objects'"),
        ('{"size": {"height": 3, "width": 4}}', "it has no list 'objects'"),
        ('{"objects": [], "size": {"height": 3}}', "'size' must give the image's height and width, got"),
        (
            '{"objects": [], "size": {"height": 0, "width": 4}}',
            "'size' must give the image's height and width",
        ),
    ],
)
def test_bad_annotation_is_named(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, [])
    (tmp_path / "ds1" / "ann" / "a.png.json").write_text(text)
    with pytest.raises(FileError, match=rf"a\.png\.json: {message}|a\.png\.json: not a .*{message}"):
        labels_of(tmp_path)


def test_missing_annotation_shows_when_it_is_read(tmp_path: Path) -> None:
    write(tmp_path, [])
    (tmp_path / "ds1" / "ann" / "a.png.json").unlink()
    data = Supervisely(tmp_path)
    with pytest.raises(FileError, match=r"a\.png\.json: no such file"):
        data.label_size(data.frames("all")[0])
