"""Label maps made of shapes and masks, drawn as the tools that wrote them draw them."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.datasets.base import VOID, Frame
from pipeline.datasets.custom import Custom
from pipeline.datasets.drawing import crosses_itself
from pipeline.datasets.supervisely import Supervisely
from pipeline.errors import AdaprepError, FileError
from pipeline.stages import frame as stage
from tests.datasets.test_custom import SPLITS, complaint, describe, picture
from tests.datasets.test_supervisely import RING, bitmap, box
from tests.datasets.test_supervisely import polygon as figure

H, W = 12, 16
TABLE = """\
labels_are: {}
background: floor
classes:
  - {{name: floor}}
  - {{name: cat}}
  - {{name: dog}}
void: [ignore]
targets: [cat]
"""
LABELME = TABLE.format("labelme") + SPLITS


def labelme(*shapes: dict[str, Any], size: tuple[int, int] | None = (H, W)) -> bytes:
    made: dict[str, Any] = {"version": "5.4", "shapes": list(shapes), "imagePath": "a.png", "imageData": None}
    if size:
        made |= {"imageHeight": size[0], "imageWidth": size[1]}
    return json.dumps(made).encode()


def shape(label: str, points: Any, kind: str = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, **more}


def write(folder: Path, text: str, data: bytes, name: str, size: tuple[int, int] = (H, W)) -> Custom:
    (folder / "images").mkdir(exist_ok=True)
    (folder / "labels").mkdir(exist_ok=True)
    Image.new("RGB", size[::-1]).save(folder / "images/a.png")
    (folder / "labels" / name).write_bytes(data)
    return Custom(describe(folder, text))


def only(data: Custom) -> Frame:
    (frame,) = data.frames("train")
    return frame


def drawn(kind: str, points: Any) -> NDArray[np.bool_]:
    """As `labelme.utils.shape_to_mask` draws it."""
    mask = Image.new("1", (W, H))
    draw = ImageDraw.Draw(mask)
    xy = [tuple(point) for point in points]
    if kind == "circle":
        (x, y), edge = xy
        d = math.dist((x, y), edge)
        draw.ellipse([x - d, y - d, x + d, y + d], outline=1, fill=1)
    elif kind == "rectangle":
        draw.rectangle(xy, outline=1, fill=1)
    else:
        draw.polygon(xy, outline=1, fill=1)
    return np.array(mask)


CORNER = st.tuples(st.floats(-6, 22), st.floats(-6, 18)).map(list)


@settings(max_examples=60, deadline=None)
@given(st.lists(CORNER, min_size=3, max_size=8))
def test_polygons_are_drawn_as_labelme_draws_them(tmp_path_factory: Any, points: list[list[float]]) -> None:
    folder = tmp_path_factory.mktemp("a")
    data = write(folder, LABELME, labelme(shape("dog", points)), "a.json")
    np.testing.assert_array_equal(data.read_labels(only(data)) == 2, drawn("polygon", points))


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("rectangle", [[2.7, 3.2], [9.1, 30.0]]),
        ("circle", [[6.5, 5.5], [9.9, 5.5]]),
        ("circle", [[1.5, 1.5], [9.9, 5.5]]),
    ],
)
def test_other_shapes_are_drawn_as_labelme_draws_them(tmp_path: Path, kind: str, points: Any) -> None:
    data = write(tmp_path, LABELME, labelme(shape("dog", points, kind)), "a.json")
    np.testing.assert_array_equal(data.read_labels(only(data)) == 2, drawn(kind, points))


def test_a_mask_of_labelme_lies_in_its_box(tmp_path: Path) -> None:
    file = io.BytesIO()
    mask = np.random.default_rng(1).random((5, 7)) < 0.5
    Image.fromarray(mask).save(file, "PNG")
    text = base64.b64encode(file.getvalue()).decode()
    data = write(tmp_path, LABELME, labelme(shape("cat", [[3, 2], [9, 6]], "mask", mask=text)), "a.json")
    ids = data.read_labels(only(data))
    np.testing.assert_array_equal(ids[2:7, 3:10] == 1, mask)
    assert (ids == 1).sum() == mask.sum()


def test_later_shapes_lie_over_earlier_ones_and_groups_are_one_object(tmp_path: Path) -> None:
    content = labelme(
        shape("cat", [[0, 0], [6, 11]], "rectangle", group_id=4),
        shape("dog", [[4, 0], [8, 5]], "rectangle"),
        shape("cat", [[12, 0], [15, 3]], "rectangle", group_id=4),
        shape(" ignore ", [[15, 0], [15, 0]], "rectangle"),
    )
    data = write(tmp_path, LABELME, content, "a.json")
    ids, objects = data.read_labels(only(data)), data.read_instances(only(data))
    assert ids[0].tolist() == [1] * 4 + [2] * 5 + [0] * 3 + [1] * 3 + [3]
    assert objects is not None
    assert objects[0].tolist() == [1] * 4 + [2] * 5 + [0] * 3 + [1] * 3 + [4]
    assert [c.train_id for c in data.classes.classes if c.id == 3] == [VOID]


def test_without_a_background_what_nothing_covers_is_void(tmp_path: Path) -> None:
    text = LABELME.replace("background: floor\n", "")
    data = write(tmp_path, text, labelme(shape("dog", [[0, 0], [3, 3]], "rectangle")), "a.json")
    ids = data.read_labels(only(data))
    assert data.classes.lut[ids][0].tolist() == [2] * 4 + [VOID] * 12
    assert data.settings() == {"labels_are": "labelme", "background": None}


def test_a_file_without_a_size_has_its_images(tmp_path: Path) -> None:
    content = labelme(shape("dog", [[0, 0], [3, 3]], "rectangle"), size=None)
    data = write(tmp_path, LABELME, content, "a.json")
    assert data.label_size(only(data)) == data.read_labels(only(data)).shape == (H, W)
    before = stage.source_of(data, only(data))
    Image.new("RGB", (20, 20)).save(tmp_path / "images/a.png")
    assert (stage.source_of(data, only(data)) != before).any()
    (tmp_path / "images/a.png").unlink()
    with pytest.raises(
        FileError, match=r"a\.json: the size of the map is that of its image, and that cannot"
    ):
        data.read_labels(only(data))


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (
            shape("dgo", [[0, 0], [1, 1], [2, 0]]),
            "shape 0: no class 'dgo'; did you mean 'dog'? The classes are: floor, cat, dog, ignore",
        ),
        (shape("dog", [[0, 0], [1, 1]]), "shape 0: a polygon ring must be three or more [x, y] points"),
        (shape("dog", []), "shape 0: a polygon ring must be three or more [x, y] points"),
        (shape("dog", [[0, 0], [1, 2**30], [2, 0]]), "shape 0: the corner [1, 1073741824] lies more than"),
        (shape("dog", [[0, 0]], "point"), "shape 0: a point has no area; shapes must be one of polygon,"),
        (shape("dog", [[0, 0], [1, 1]], "linestrip"), "shape 0: a linestrip has no area"),
        (shape("dog", [[0, 0]], "circle"), "shape 0: a circle must have two points, found 1"),
        (shape("dog", [[0, 0], [3, 3]], "mask"), "shape 0: a mask must have 'mask' (the text of a PNG)"),
        (3, "shape 0: must have a label and points, found 3"),
    ],
)
def test_shapes_that_cannot_be(tmp_path: Path, item: Any, said: str) -> None:
    data = write(tmp_path, LABELME, labelme(item), "a.json")
    with pytest.raises(FileError) as error:
        data.read_labels(only(data))
    assert str(error.value).startswith(f"{tmp_path}/labels/a.json: {said}")


@pytest.mark.parametrize("size", [(10**9, 16), (70_000, 70_000), (0, 5), ("3", 4)])
def test_sizes_that_no_image_has(tmp_path: Path, size: Any) -> None:
    data = write(tmp_path, LABELME, labelme(size=size), "a.json")
    with pytest.raises(FileError, match=r"a\.json: (says|must give the image's height and width)"):
        data.label_size(only(data))


def test_labels_may_lie_beside_their_images(tmp_path: Path) -> None:
    text = TABLE.format("labelme") + "splits: {train: {images: all, labels: all}}\n"
    (tmp_path / "all").mkdir()
    for name in "ab":
        Image.new("RGB", (W, H)).save(tmp_path / f"all/{name}.JPG")
        (tmp_path / f"all/{name}.json").write_bytes(labelme())
    data = Custom(describe(tmp_path, text))
    assert [(f.image.name, f.label.name) for f in data.frames("train")] == [
        ("a.JPG", "a.json"),
        ("b.JPG", "b.json"),
    ]


def test_doubtful_shapes_are_named(tmp_path: Path) -> None:
    content = labelme(
        shape("dog", [[0, 0], [9, 9], [9, 0], [0, 9]]),
        shape("dog", [[100, 100], [110, 100], [110, 110]]),
        shape("dog", [[0, 0], [9, 0], [9, 9]]),
    )
    data = write(tmp_path, LABELME, content, "a.json")
    label = f"{tmp_path}/labels/a.json"
    assert data.doubts(only(data)) == [
        f"{label}: object 1 crosses itself: what it goes around twice is left out",
        f"{label}: object 2 covers no pixel of the image",
    ]


@given(st.integers(3, 12), st.integers(0, 1000))
def test_a_ring_around_a_point_does_not_cross_itself(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.random(count)) * 2 * np.pi
    radii = 1 + rng.random(count)
    star = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    wide = np.diff(angles, append=angles[0] + 2 * np.pi).max() < np.pi
    assert not (wide and crosses_itself(star))


def test_an_hourglass_crosses_itself() -> None:
    assert crosses_itself(np.array([[0, 0], [9, 9], [9, 0], [0, 9]], np.float64))


YOLO = (
    """\
labels_are: yolo
background: floor
classes:
  - {id: 90, name: floor}
  - {id: 0, name: cat}
  - {id: 7, name: dog}
targets: [cat]
"""
    + SPLITS
)


def test_polygons_of_yolo(tmp_path: Path) -> None:
    text = "0 0.1 0.1 0.6 0.1 0.6 0.9 0.1 0.9\n\n7 0.5 0 1 0 1 1 0.5 1\r\n"
    data = write(tmp_path, YOLO, text.encode(), "a.txt")
    ids = np.full((H, W), 90)
    for value, points in ((0, [(1, 1), (9, 1), (9, 10), (1, 10)]), (7, [(8, 0), (16, 0), (16, 12), (8, 12)])):
        mask = Image.new("1", (W + 4, H + 4))
        ImageDraw.Draw(mask).polygon(points, fill=1, outline=1)
        ids[np.array(mask)[:H, :W]] = value
    np.testing.assert_array_equal(data.read_labels(only(data)), ids)
    objects = data.read_instances(only(data))
    assert objects is not None
    np.testing.assert_array_equal(objects, np.select([ids == 0, ids == 7], [1, 2], 0))
    assert data.label_files(only(data)) == (tmp_path / "labels/a.txt", tmp_path / "images/a.png")


def test_an_empty_file_of_yolo_is_an_image_without_objects(tmp_path: Path) -> None:
    data = write(tmp_path, YOLO, b"", "a.txt")
    assert np.unique(data.read_labels(only(data))).tolist() == [90]


def test_an_absent_file_of_yolo_is_told_from_an_empty_one(tmp_path: Path) -> None:
    data = write(tmp_path, YOLO, b"", "b.txt")
    a = next(frame for frame in data.frames("train") if frame.name == "a")
    with pytest.raises(FileError, match=r"a\.txt: no such file; an image without objects has an empty file$"):
        data.read_labels(a)


def test_the_list_of_classes_beside_yolo_labels_is_no_frame(tmp_path: Path) -> None:
    data = write(tmp_path, YOLO, b"", "a.txt")
    (tmp_path / "labels/classes.txt").write_text("cat\ndog\n")
    assert [frame.name for frame in data.frames("train")] == ["a"]


def test_another_size_of_the_image_is_another_label_map(tmp_path: Path) -> None:
    data = write(tmp_path, YOLO, b"0 0 0 1 0 1 1", "a.txt")
    before = stage.read_label_map(data, only(data))
    Image.new("RGB", (30, 20)).save(tmp_path / "images/a.png")
    after = stage.read_label_map(data, only(data))
    assert before.ids.shape != after.ids.shape == (20, 30)
    assert (before.source != after.source).any()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "0 0.5 0.5 0.1 0.1",
            "line 1: is a box (4 numbers after the class), not a polygon: labels for detec",
        ),
        ("\n0 0.5 0.5 0.1", "line 2: a polygon must be three or more pairs x y after the class, found 3"),
        ("0", "line 1: a polygon must be three or more pairs x y after the class, found 0 numbers"),
        ("3 0 0 1 0 1 1", "line 1: no class has the id '3'; the ids are: 0, 7, 90"),
        ("0.0 0 0 1 0 1 1", "line 1: no class has the id '0.0'; the ids are: 0, 7, 90"),
        ("0 0 0 x 0 1 1", "line 1: 'x' is no number"),
        ("0 0 0 nan 0 1 1", "line 1: a corner lies more than 1048576 pixels outside the image"),
        ("0 0 0 1e30 0 1 1", "line 1: a corner lies more than 1048576 pixels outside the image"),
        (
            "0 0 0 640 0 640 480",
            "line 1: coordinates must be fractions of the width and height, 0 to 1, found 6",
        ),
        ("\xff", "not a text in UTF-8"),
    ],
)
def test_lines_of_yolo_that_cannot_be(tmp_path: Path, text: str, said: str) -> None:
    data = write(tmp_path, YOLO, text.encode("latin-1"), "a.txt")
    with pytest.raises(FileError) as error:
        data.read_labels(only(data))
    assert str(error.value).startswith(f"{tmp_path}/labels/a.txt: {said}")


def test_a_project_of_supervisely_is_drawn_as_supervisely_person(tmp_path: Path) -> None:
    objects = [figure(box(1, 1, 8, 8), [box(3, 3, 5, 5)]), bitmap(RING, 9, 2)]
    content = json.dumps({"size": {"height": H, "width": W}, "objects": objects}).encode()
    text = TABLE.format("supervisely").replace("cat", "person_poly").replace("dog", "person_bmp") + SPLITS
    data = write(tmp_path, text, content, "a.png.json")
    ids = data.read_labels(only(data))
    theirs = Supervisely(tmp_path)
    frame = Frame("a", tmp_path / "images/a.png", tmp_path / "labels/a.png.json")
    np.testing.assert_array_equal(ids > 0, theirs.read_labels(frame))
    np.testing.assert_array_equal(data.read_instances(only(data)), theirs.read_instances(frame))
    assert set(np.unique(ids)) == {0, 1, 2}


def test_two_annotations_of_one_image_are_both_named(tmp_path: Path) -> None:
    text = TABLE.format("supervisely") + SPLITS
    data = write(tmp_path, text, b"{}", "a.png.json")
    (tmp_path / "labels/a.json").write_bytes(b"{}")
    with pytest.raises(
        AdaprepError, match=r"two files of the same name in .*labels: a\.json and a\.png\.json\."
    ):
        data.frames("train")


MASKS = TABLE.format("masks")
FOLDERS = "splits: {train: {images: images, labels: 'masks/{class}'}}\n"
SUFFIXES = "splits: {train: {images: images, labels: masks, label_suffix: '_{class}'}}\n"
BELOW = "splits: {train: {images: images, labels: masks, label_suffix: '/{class}'}}\n"


def mask(path: Path, columns: slice, value: int = 255, size: tuple[int, int] = (H, W)) -> None:
    pixels = np.zeros(size, np.uint8)
    pixels[:, columns] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [(FOLDERS, "masks/{}/a.png"), (SUFFIXES, "masks/a_{}.png"), (BELOW, "masks/a/{}.png")],
)
def test_masks_of_classes(tmp_path: Path, text: str, pattern: str) -> None:
    picture(tmp_path / "images/a.png", color=True)
    mask(tmp_path / pattern.format("cat"), slice(0, 8))
    mask(tmp_path / pattern.format("dog"), slice(6, 10), 1)
    data = Custom(describe(tmp_path, MASKS + text))
    frame = only(data)
    assert data.has_labels(frame)
    assert data.label_size(frame) == (H, W)
    assert data.read_labels(frame)[3].tolist() == [1] * 6 + [2] * 4 + [0] * 6
    before = stage.source_of(data, frame)
    mask(tmp_path / pattern.format("ignore"), slice(15, 16))
    assert data.read_labels(frame)[3, -1] == 3
    assert (stage.source_of(data, frame) != before).any()
    again = data.label_files(frame)
    assert [path.exists() for path in again] == [False, True, True, True]


def test_an_image_that_no_mask_belongs_to_lacks_its_label_map(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png", color=True)
    picture(tmp_path / "images/b.png", color=True)
    mask(tmp_path / "masks/cat/a.png", slice(0, 8))
    frames = (data := Custom(describe(tmp_path, MASKS + FOLDERS))).frames("train")
    assert [data.has_labels(frame) for frame in frames] == [True, False]
    with pytest.raises(FileError, match=r"masks/\{class\}/b\.png: no such file, of any class$"):
        data.read_labels(frames[1])


def test_masks_of_one_image_must_fit_together(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png", color=True)
    mask(tmp_path / "masks/cat/a.png", slice(0, 8))
    mask(tmp_path / "masks/dog/a.png", slice(0, 8), size=(5, 6))
    data = Custom(describe(tmp_path, MASKS + FOLDERS))
    with pytest.raises(FileError, match=r"dog/a\.png: the mask is 6 x 5, that of .*cat/a\.png 16 x 12"):
        data.read_labels(only(data))
    (tmp_path / "masks/dog/a.png").unlink()
    mask(tmp_path / "masks/dog/a.bmp", slice(0, 8))
    with pytest.raises(AdaprepError, match=r"dog/a\.bmp: the masks of one image must have one ending"):
        data.frames("train")


def test_one_mask_for_two_classes(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png", color=True)
    mask(tmp_path / "labels/a.png", slice(0, 8))
    text = "labels_are: masks\nclasses: [{name: floor}, {name: cat}]\n" + SPLITS
    data = Custom(describe(tmp_path, text))
    assert data.read_labels(only(data))[0].tolist() == [1] * 8 + [0] * 8
    assert data.label_size(only(data)) == (H, W)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            MASKS + SPLITS,
            "line 10: splits.train: masks of 3 classes need {class} in 'labels' or 'label_suffix'; without "
            "it the first of two classes is 0, the second all else",
        ),
        (
            LABELME.replace("labels: labels", "labels: 'masks/{class}'"),
            "line 10: splits.train: {class} stands for the class of a mask: add labels_are: masks",
        ),
        (
            MASKS.replace("name: dog", "name: a/b") + FOLDERS,
            "line 6: classes[2].name: 'a/b' cannot be part of the path of a mask",
        ),
        (
            LABELME.replace("name: dog", "name: ' cat'"),
            "line 6: classes[2].name: two train ids, 1 and 2, for one name",
        ),
        (
            LABELME.replace("ignore", "cat"),
            "line 7: void[0]: the label cat was given before, in line 5",
        ),
        (
            LABELME.replace("background: floor", "background: flor"),
            "line 2: background: no class 'flor'; did you mean 'floor'? The classes are: floor, cat, dog",
        ),
        (
            YOLO.replace("{id: 7, ", "{"),
            "line 6: classes[2]: missing key 'id'",
        ),
        (
            MASKS + "splits: {train: {list: a.txt}}\n",
            "line 9: splits.train: labels_are: masks has no lists of label files",
        ),
    ],
)
def test_descriptions_that_cannot_be(tmp_path: Path, text: str, problem: str) -> None:
    assert complaint(describe(tmp_path, text)).splitlines()[0] == problem


@pytest.mark.parametrize("kind", ["labelme", "supervisely", "coco"])
def test_a_size_that_its_image_has_not_is_refused_before_anything_is_drawn(tmp_path: Path, kind: str) -> None:
    size = {"height": 16_000, "width": 16_000}
    about = {"id": 1, "file_name": "a.png", **size}
    content: dict[str, Any] = {
        "labelme": {"shapes": [], "imageHeight": 16_000, "imageWidth": 16_000},
        "supervisely": {"size": size, "objects": []},
        "coco": {"images": [about], "annotations": []},
    }[kind]
    text = TABLE.format(kind) + SPLITS
    if kind == "coco":
        text = YOLO.replace("yolo", "coco").replace("labels: labels", "labels: labels/a.json")
    data = write(tmp_path, text, json.dumps(content).encode(), "a.json")
    frame = only(data)
    for read in (data.label_size, data.read_labels, data.read_instances):
        with pytest.raises(FileError, match=r"is for an image of 16000 x 16000, and a\.png is 16 x 12"):
            read(frame)


def test_rectangles_of_a_project(tmp_path: Path) -> None:
    points = {"exterior": [[3, 9], [1, 2]], "interior": []}
    item = {"classTitle": "cat", "geometryType": "rectangle", "points": points}
    content = json.dumps({"size": {"height": H, "width": W}, "objects": [item]}).encode()
    data = write(tmp_path, TABLE.format("supervisely") + SPLITS, content, "a.json")
    expected = np.zeros((H, W), bool)
    expected[2:10, 1:4] = True
    np.testing.assert_array_equal(data.read_labels(only(data)) == 1, expected)
