"""What check says of images: turned ones, deep ones, copies between splits; and of targets never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import cli
from pipeline.datasets.custom import Custom
from pipeline.stages import check, duplicates
from tests.conftest import shared
from tests.datasets.encode import encode
from tests.datasets.test_custom import CLASSES, describe
from tests.datasets.test_described_images import photo

SPLITS = "targets: [car, dog]\nsplits:\n  train: {images: i/train, labels: l/train}\n"
BOTH = SPLITS + "  val: {images: i/val, labels: l/val}\n"


def scene(seed: int, size: tuple[int, int] = (60, 80)) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC)


def label(folder: Path, split: str, name: str, value: int = 4, size: tuple[int, int] = (60, 80)) -> None:
    path = folder / f"l/{split}/{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, value, np.uint8)).save(path)


def image(folder: Path, split: str, name: str, picture: Image.Image, **options: int) -> None:
    path = folder / f"i/{split}/{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    label(folder, split, path.stem, 4, (picture.height, picture.width))


def compared(folder: Path, text: str = BOTH) -> list[str]:
    data = Custom(describe(folder, CLASSES + text))
    return check.compare_splits([check.run(data, split, compare=True) for split in data.splits])


def test_the_same_file_in_two_splits_is_named(tmp_path: Path) -> None:
    for i in range(3):
        image(tmp_path, "train", f"{i}.png", scene(i))
    image(tmp_path, "val", "a.png", scene(1))
    image(tmp_path, "val", "b.png", scene(9))
    assert compared(tmp_path) == [
        f"1 of 2 images of val is the same file as an image of train, such as {tmp_path}/i/val/a.png and "
        f"{tmp_path}/i/train/1.png: figures on them say little about other images"
    ]


@pytest.mark.parametrize("kind", ["saved again", "scaled", "as PNG"])
def test_the_same_picture_in_two_splits_is_named(tmp_path: Path, kind: str) -> None:
    for i in range(3):
        image(tmp_path, "train", f"{i}.jpg", scene(i), quality=95)
    copy = scene(1, (120, 160)) if kind == "scaled" else scene(1)
    image(tmp_path, "val", "a.png" if kind == "as PNG" else "a.jpg", copy, quality=60)
    image(tmp_path, "val", "b.jpg", scene(9))
    assert compared(tmp_path) == [
        f"1 of 2 images of val looks the same as an image of train, such as "
        f"{tmp_path}/i/val/{'a.png' if kind == 'as PNG' else 'a.jpg'} and {tmp_path}/i/train/1.jpg: figures "
        f"on them say little about other images"
    ]


def test_other_pictures_are_not_named(tmp_path: Path) -> None:
    for i in range(4):
        image(tmp_path, "train" if i % 2 else "val", f"{i}.jpg", scene(i))
    assert compared(tmp_path) == []


def test_real_streets_do_not_look_the_same() -> None:
    root = shared("camvid") / "images"
    small = {
        split: {p: duplicates.small_picture(p) for p in sorted((root / split).iterdir())[::9]}
        for split in ("train", "val")
    }
    found = {s: {p: v for p, v in every.items() if v is not None} for s, every in small.items()}
    assert all(len(found[s]) == len(small[s]) for s in small)
    assert duplicates.look_alikes(found["val"], found["train"]) == []


def test_images_that_cannot_be_read_are_left_to_the_check_itself(tmp_path: Path) -> None:
    for split in ("train", "val"):
        image(tmp_path, split, "a.png", scene(0 if split == "train" else 1))
        (tmp_path / f"i/{split}/b.png").write_bytes(b"")
        label(tmp_path, split, "b")
    assert duplicates.small_picture(tmp_path / "i/val/b.png") is None
    assert list(duplicates.same_files([tmp_path / "none"], [tmp_path / "nothing"])) == []
    assert compared(tmp_path) == []


def test_the_command_compares_all_splits_that_it_reads(tmp_path: Path) -> None:
    for split in ("train", "val"):
        image(tmp_path, split, "a.png", scene(0))
    yaml = describe(tmp_path, CLASSES + BOTH)
    said = CliRunner().invoke(cli.main, ["check", "--dataset", str(yaml)]).output
    assert "1 of 1 image of val is the same file as an image of train" in " ".join(said.split())
    assert "target class dog occurs in none of the label maps of val that were read" in " ".join(said.split())


def turned(folder: Path, text: str = "") -> list[str]:
    data = Custom(describe(folder, text + CLASSES + SPLITS))
    return [note for note in check.run(data, "train").notes if "EXIF" in note]


def test_turned_images_are_counted_with_how_their_labels_lie(tmp_path: Path) -> None:
    for name, tag, size in (("a", 6, (40, 24)), ("b", 8, (24, 40)), ("c", 3, (24, 40)), ("d", 1, (24, 40))):
        photo(tmp_path / f"i/train/{name}.jpg", tag)
        label(tmp_path, "train", name, 4, size)
    counted = "3 images are turned by viewers (EXIF orientation): "
    assert turned(tmp_path) == [
        f"{counted}1 read as shown, 2 as stored (images_are: auto); by their size, label maps lie as shown "
        f"for 1 and as stored for 1; 1 fit either way: look at them, and set images_are if they lie wrong"
    ]
    said = f"{counted}3 read as shown, 0 as stored (images_are: shown)"
    assert turned(tmp_path, "images_are: shown\n") == [said]


def test_deep_images_are_counted_with_their_range(tmp_path: Path) -> None:
    (tmp_path / "i/train").mkdir(parents=True)
    (tmp_path / "i/train/a.png").write_bytes(encode(np.full((60, 80), 40_000, np.uint16)))
    label(tmp_path, "train", "a")
    for text, said in (
        ("", "the whole range, 0 to 65535 where the file states no other, becomes 0 to 255; image_range st"),
        ("image_range: [0, 4095]\n", "0 to 4095 becomes 0 to 255 (image_range)"),
    ):
        data = Custom(describe(tmp_path, text + CLASSES + SPLITS))
        notes = check.run(data, "train").notes
        assert any(note.startswith(f"1 image has more than 8 bits: {said}") for note in notes)


def test_targets_that_no_label_map_holds_are_named(tmp_path: Path) -> None:
    image(tmp_path, "train", "a.png", scene(0))
    data = Custom(describe(tmp_path, CLASSES + SPLITS))
    assert check.run(data, "train").notes == [
        "target class dog occurs in none of the label maps of train that were read"
    ]


def test_formats_that_are_no_pictures_are_named_by_their_format(tmp_path: Path) -> None:
    (tmp_path / "i").mkdir()
    scene(0).save(tmp_path / "i/a.jpg")
    (tmp_path / "l.json").write_text(
        '{"images": [{"id": 1, "file_name": "a.jpg", "height": 60, "width": 80}], "annotations": '
        '[{"id": 3, "image_id": 1, "category_id": 4, "segmentation": [[0, 0, 9, 9, 9, 0, 0, 9]]},'
        '{"id": 4, "image_id": 1, "category_id": 9, "segmentation": [[100, 0, 110, 9, 190, 0]]}]}'
    )
    text = (
        "labels_are: coco\nbackground: ground\ntargets: [car]\nsplits: {train: {images: i, labels: l.json}}\n"
    )
    report = check.run(Custom(describe(tmp_path, CLASSES + text)), "train")
    assert report.totals.kinds == {"RGB image, coco labels (uint8)": 1}
    assert (report.ok, report.pairs) == (True, 1)
    assert report.notes == [
        f"{tmp_path}/l.json/a: object 1 crosses itself: what it goes around twice is left out".replace(
            "/a:", "/a.jpg:"
        ),
        f"{tmp_path}/l.json/a.jpg: object 2 covers no pixel of the image",
    ]
