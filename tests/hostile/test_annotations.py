"""Annotations of any content, in every format: a label map of the right size, or a sentence with the file."""

from __future__ import annotations

import base64
import io
import json
import random
import resource
import struct
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import drawing
from pipeline.datasets.base import Frame
from pipeline.datasets.custom import Custom
from pipeline.datasets.drawing import Budget
from pipeline.datasets.formats import coco_index, rle
from pipeline.errors import AdaprepError, FileError
from pipeline.stages.frame import read_label_map
from tests.datasets.test_custom import describe
from tests.datasets.test_described_shapes import labelme, shape
from tests.hostile.fuzz import damaged, only_sentences, rounds
from tests.hostile.test_supervisely import NUMBERS, WORDS, hostile, png_of_zeros

H, W = 12, 16
CLASSES = """\
classes:
  - {id: 0, name: floor, color: "#000000"}
  - {id: 1, name: cat, color: "#ff0000"}
  - {id: 300, name: dog, color: "#00ff00"}
targets: [cat]
"""
LABELS = ("cat", "dog", "floor", "cat ", "", "bird", None, 3, ["cat"], "\x1b[2J", "x" * 5000)
KINDS = ("polygon", "rectangle", "circle", "mask", "point", "linestrip", "", None, 3, "\x1b[2J")
TEXTS = (
    b"nan", b"inf", b"-1", b"1e400", b"0.5", b"9" * 5000, b"\0", b"\xff", b"\n", b" ", b"\xef\xbb\xbf", b"0x1", b"1_0",
    "١".encode(), "\u2028".encode(),
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _bounded() -> Iterator[None]:
    """No small input takes more than a gigabyte."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20


def dataset(folder: Path, kind: str, labels: str = "labels", more: str = "") -> Custom:
    (folder / "images").mkdir(exist_ok=True)
    (folder / "labels").mkdir(exist_ok=True)
    Image.new("RGB", (W, H)).save(folder / "images/a.png")
    text = f"labels_are: {kind}\n{CLASSES}{more}splits: {{train: {{images: images, labels: '{labels}'}}}}\n"
    return Custom(describe(folder, text))


def read(data: Custom, frame: Frame) -> np.ndarray:
    """Everything that is read of a label map, and what must hold of it."""
    found = read_label_map(data, frame)
    assert set(np.unique(found.ids).tolist()) <= {c.id for c in data.classes.classes}
    objects = data.read_instances(frame)
    assert objects is None or objects.shape == found.ids.shape
    assert data.label_size(frame) == found.ids.shape
    data.doubts(frame)
    return found.ids


def number(rng: random.Random) -> Any:
    return rng.choice(NUMBERS) if rng.random() < 0.1 else rng.randrange(-4, 20) + rng.choice((0, 0.5))


def points(rng: random.Random) -> Any:
    made = [[number(rng), number(rng)] for _ in range(rng.choice((0, 1, 2, 2, 2, 3, 4, 7)))]
    return made if rng.random() < 0.95 else rng.choice((None, 3, "ab", [[1]], [made], {"a": made}))


def png(rng: random.Random) -> Any:
    file = io.BytesIO()
    Image.fromarray(np.frombuffer(rng.randbytes(12), np.uint8).reshape(3, 4) > 99).save(file, "PNG")
    text = base64.b64encode(file.getvalue()).decode()
    return rng.choice((text, text, text, text[:40], "", None, 3, "§"))


def labelme_file(rng: random.Random) -> bytes:
    shapes = [
        shape(
            rng.choice(LABELS[:3]) if rng.random() < 0.9 else rng.choice(LABELS),
            points(rng),
            rng.choice(KINDS[:4]) if rng.random() < 0.9 else rng.choice(KINDS),
            mask=png(rng),
        )
        for _ in range(rng.randrange(4))
    ]
    for item in shapes:
        item["group_id"] = rng.choice((None, 1, 1, 2, True, "a"))
        for key in rng.sample(sorted(item), rng.choice((0, 0, 0, 0, 1))):
            del item[key]
    size = rng.choice(((H, W), (H, W), (H, W), None, (number(rng), number(rng))))
    return labelme(*shapes, size=size)


def spoilt(rng: random.Random, data: bytes, words: Any = WORDS) -> bytes:
    return damaged(rng, data, words) if rng.random() < 0.4 else data


@rounds(60)
def test_labelme_files_of_any_content(tmp_path: Path, numbers: range) -> None:
    data = dataset(tmp_path, "labelme")
    frame = Frame("a", tmp_path / "images/a.png", tmp_path / "labels/a.json")
    for i in numbers:
        rng = random.Random(i)
        frame.label.write_bytes(spoilt(rng, labelme_file(rng)) or b" ")
        only_sentences(lambda: read(data, frame), i)


def yolo_file(rng: random.Random) -> bytes:
    lines = []
    for _ in range(rng.randrange(4)):
        count = rng.choice((0, 2, 4, 6, 6, 6, 7, 8, 12))
        values = [f"{rng.uniform(-0.2, 1.2):.3f}" if rng.random() < 0.97 else "nan" for _ in range(count)]
        lines.append(" ".join([rng.choice(("0", "1", "1", "300", "2", "-1", "x")), *values]))
    return rng.choice(("\n", "\r\n")).join(lines).encode()


@rounds(120)
def test_yolo_files_of_any_content(tmp_path: Path, numbers: range) -> None:
    data = dataset(tmp_path, "yolo")
    frame = Frame("a", tmp_path / "images/a.png", tmp_path / "labels/a.txt")
    for i in numbers:
        rng = random.Random(i)
        frame.label.write_bytes(spoilt(rng, yolo_file(rng) + b" ", TEXTS))
        ids = only_sentences(lambda: read(data, frame), i)
        assert ids is None or ids.shape == (H, W)


def segmentation(rng: random.Random) -> Any:
    match rng.randrange(6):
        case 0:
            counts = [rng.randrange(40) for _ in range(rng.randrange(9))]
            counts.append(max(0, H * W - sum(counts)))
            return {"counts": counts, "size": rng.choice(([H, W], [H, W], [W, H], 3))}
        case 1:
            text = "".join(chr(rng.randrange(48, 112)) for _ in range(rng.randrange(12)))
            return {"counts": text, "size": [H, W]}
        case 2:
            return rng.choice((None, [], 3, "a", {}, [[]], [3], {"counts": 3}))
        case _:
            return [
                [number(rng) for _ in range(rng.choice((4, 6, 6, 8, 12, 7)))]
                for _ in range(rng.choice((1, 1, 2)))
            ]


def coco_file(rng: random.Random) -> bytes:
    images: list[Any] = [
        {"id": i, "file_name": name, "height": H, "width": W} for i, name in enumerate(("a.png", "b/c.jpg"))
    ]
    items: list[Any] = [
        {
            "id": i,
            "image_id": rng.choice((0, 0, 1, 7, None, "0", [1])),
            "category_id": rng.choice((0, 1, 1, 300, 2, None, True)),
            "segmentation": segmentation(rng),
            "iscrowd": rng.choice((0, 0, 0, 1, None, "a")),
        }
        for i in range(rng.randrange(5))
    ]
    for item in (*images, *items):
        if rng.random() < 0.05:
            item[rng.choice(sorted(item))] = rng.choice(NUMBERS)
    content = {"info": {"a": [1, {"b": "]"}]}, "images": images, "annotations": items, "categories": []}
    keys = rng.sample(sorted(content), 4 if rng.random() < 0.95 else 3)
    try:
        return json.dumps({key: content[key] for key in keys}, indent=rng.choice((None, 1))).encode()
    except ValueError:  # numbers that Python writes for nobody
        return b"{}"


@rounds(120)
def test_coco_files_of_any_content(tmp_path: Path, numbers: range) -> None:
    data = dataset(tmp_path, "coco", "a.json")
    path = tmp_path / "a.json"
    for i in numbers:
        rng = random.Random(i)
        path.write_bytes(spoilt(rng, coco_file(rng)))
        coco_index._kept.clear()
        for frame in only_sentences(lambda: data.frames("train"), i) or ():
            ids = only_sentences(lambda frame=frame: read(data, frame), i)
            assert ids is None or ids.size < 10**7


@rounds(80)
def test_a_coco_index_finds_what_the_json_module_finds(tmp_path: Path, numbers: range) -> None:
    path = tmp_path / "a.json"
    for i in numbers:
        rng = random.Random(i)
        content = coco_file(rng)
        path.write_bytes(content)
        coco_index._kept.clear()
        index = only_sentences(lambda: coco_index.index_of(path), i)
        if index is None:
            continue
        whole = json.loads(content)
        for name in index.images:
            said = json.loads(coco_index.record_of(path, name))
            about = next(image for image in whole["images"] if coco_index._safe(image["file_name"]) == name)
            mine = [
                item
                for item in whole["annotations"]
                if type(item["image_id"]) is type(about["id"]) and item["image_id"] == about["id"]
            ]
            assert said == {"image": about, "annotations": mine}


@rounds(60)
def test_projects_of_any_content(tmp_path: Path, numbers: range) -> None:
    data = dataset(tmp_path, "supervisely")
    frame = Frame("a", tmp_path / "images/a.png", tmp_path / "labels/a.json")
    for i in numbers:
        rng = random.Random(i)
        content = hostile(rng).replace(b"person_poly", b"cat").replace(b"person_bmp", b"dog")
        frame.label.write_bytes(content or b" ")
        only_sentences(lambda: read(data, frame), i)


def npy_file(rng: random.Random) -> bytes:
    file = io.BytesIO()
    dtype = rng.choice(("u1", "<u2", ">u2", "i4", "?", "f4", "c8", "O", "M8[s]", "U3"))
    values = np.zeros(rng.choice(((H, W), (H, W), (H,), (0, W), (H, W, 1), ())), dtype)
    if rng.random() < 0.3:
        values = np.asfortranarray(values)
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


@rounds(150)
def test_arrays_of_any_content(tmp_path: Path, numbers: range) -> None:
    data = dataset(tmp_path, "ids")
    frame = Frame("a", tmp_path / "images/a.png", tmp_path / "labels/a.npy")
    words = (b"descr", b"'<u2'", b"(3, 4)", b"(9999999999, 9999999999)", b"True", b"\0", b"\xff", b"1" * 300)
    for i in numbers:
        rng = random.Random(i)
        frame.label.write_bytes(spoilt(rng, npy_file(rng), words) or b" ")
        only_sentences(lambda: read_label_map(data, frame).ids.shape == data.label_size(frame), i)


@pytest.mark.parametrize("kind", ["colors", "masks"])
@rounds(40)
def test_pictures_of_any_content(tmp_path: Path, kind: str, numbers: range) -> None:
    from tests.hostile import pictures

    data = dataset(tmp_path, kind, *(("labels/{class}",) if kind == "masks" else ()))
    pattern = tmp_path / ("labels/{class}/a.png" if kind == "masks" else "labels/a.png")
    frame = Frame("a", tmp_path / "images/a.png", pattern)
    for path in data.label_files(frame):
        path.parent.mkdir(exist_ok=True)
    for i in numbers:
        rng = random.Random(i)
        for path in data.label_files(frame):
            made = pictures.png(rng)[0] if rng.random() < 0.5 else rng.choice(pictures.whole_files()["BMP"])
            path.write_bytes(pictures.mutated(rng, made) if rng.random() < 0.5 else made)
        only_sentences(lambda: read(data, frame), i)


def refused(data: Custom, frame: Frame) -> str:
    tracemalloc.start()
    start = time.monotonic()
    with pytest.raises(FileError) as error:
        data.read_labels(frame)
    assert time.monotonic() - start < 5
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    return str(error.value)


def test_bombs_in_masks_of_labelme(tmp_path: Path) -> None:
    data = dataset(tmp_path, "labelme")
    frame = Frame("a", tmp_path / "images/a.png", tmp_path / "labels/a.json")
    text = base64.b64encode(png_of_zeros(6000, 6000)).decode()
    frame.label.write_bytes(labelme(shape("cat", [[0, 0], [5, 5]], "mask", mask=text)))
    assert "shape 0: its PNG is 6000 x 6000, far larger than the image" in refused(data, frame)
    frame.label.write_bytes(labelme(size=(10**9, 16)))
    assert "says 16 x 1000000000, no size of an image" in refused(data, frame)


def test_run_lengths_and_outlines_that_claim_much(tmp_path: Path) -> None:
    data = dataset(tmp_path, "coco", "a.json")

    def said(size: tuple[int, int], part: Any) -> str:
        about = {"id": 0, "file_name": "a.png", "height": size[0], "width": size[1]}
        item = {"id": 1, "image_id": 0, "category_id": 1, "segmentation": part}
        (tmp_path / "a.json").write_text(json.dumps({"images": [about], "annotations": [item]}))
        return refused(data, Frame("a", tmp_path / "images/a.png", tmp_path / "a.json/a.png"))

    assert "no size of an image" in said((10**9, 16), [[0, 0, 1, 0, 1, 1]])
    assert "run lengths must be whole numbers" in said((H, W), {"counts": [0, 10**9], "size": [H, W]})
    assert "the corner 1073741824 lies more than" in said((H, W), [[0, 0, 2**30, 0, 1, 1]])


def test_long_outlines_take_little_memory() -> None:
    far = float(rle.MAX_CORNER)
    corners = np.array([[-far, -far], [far, far], [-far, far], [far, -far]])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rle.polygon(corners, (H, W), Budget(2**33))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


def test_work_is_bounded_in_every_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("labelme", "yolo", "coco"):
        monkeypatch.setattr(f"pipeline.datasets.formats.{kind}.MAX_WORK", 1000)
    ring = [[0, 0], [15, 0], [15, 11], [0, 11]]
    flat = [value for point in ring for value in point]
    data = dataset(tmp_path, "labelme")
    (tmp_path / "labels/a.json").write_bytes(labelme(*[shape("cat", ring)] * 20))
    frame = Frame("a", tmp_path / "images/a.png", tmp_path / "labels/a.json")
    assert "are too much to draw in one annotation" in refused(data, frame)
    data = dataset(tmp_path, "yolo")
    (tmp_path / "labels/a.txt").write_text("1 0 0 1 0 1 1 0 1\n" * 20)
    frame = Frame("a", tmp_path / "images/a.png", tmp_path / "labels/a.txt")
    assert "are too much to draw in one annotation" in refused(data, frame)
    data = dataset(tmp_path, "coco", "a.json")
    about = {"id": 0, "file_name": "a.png", "height": H, "width": W}
    items = [{"id": i, "image_id": 0, "category_id": 1, "segmentation": [flat]} for i in range(20)]
    (tmp_path / "a.json").write_text(json.dumps({"images": [about], "annotations": items}))
    frame = Frame("a", tmp_path / "images/a.png", tmp_path / "a.json/a.png")
    assert "are too much to draw in one annotation" in refused(data, frame)
    assert drawing.MAX_WORK == 2**33


def test_an_array_that_claims_more_than_its_file_holds(tmp_path: Path) -> None:
    data = dataset(tmp_path, "ids")
    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (65535, 65535), }".ljust(117) + b"\n"
    path = tmp_path / "labels/a.npy"
    path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + bytes(500))
    frame = Frame("a", tmp_path / "images/a.png", path)
    assert "truncated: (65535, 65535) numbers take 4294836225 bytes, there are" in refused(data, frame)
    with pytest.raises(AdaprepError, match="truncated"):
        data.label_size(frame)


def test_circles_far_larger_than_the_image_take_no_time(tmp_path: Path) -> None:
    data = dataset(tmp_path, "labelme", more="background: floor\n")
    frame = Frame("a", tmp_path / "images/a.png", tmp_path / "labels/a.json")
    start = time.monotonic()
    for edge, covered in (([2**20, 5], H * W), ([8, 2**20], H * W)):
        frame.label.write_bytes(labelme(shape("cat", [[8, 5], edge], "circle")))
        assert (data.read_labels(frame) == 1).sum() == covered
    far = [[-(2**20), 5], [7.5, 5]]
    frame.label.write_bytes(labelme(shape("cat", far, "circle")))
    assert (data.read_labels(frame) == 1)[5].tolist() == [True] * 8 + [False] * 8
    assert time.monotonic() - start < 5
