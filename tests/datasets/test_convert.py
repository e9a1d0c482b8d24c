"""`adaprep convert`: the same ids as PNG files, resumed, and never over what is not ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.commands.init import FORMATS
from pipeline.datasets import readers
from pipeline.datasets.custom import Custom
from pipeline.datasets.formats import KNOWN
from pipeline.stages import convert as stage
from tests.conftest import killed_at_move
from tests.conftest import tree as files_of
from tests.datasets import tree_cases, trees
from tests.datasets.formats_table import inside, invoke

SPLIT_FOLDERS = ("images/{s}/{n}.jpg", "labels/{s}/{n}.png", ("train", "val"))
BUILD = {
    "ids": lambda root: trees.pairs(root, *SPLIT_FOLDERS, void=True),
    "wide": lambda root: trees.pairs(root, encode=lambda labels: labels.astype(np.uint16) * 300),
    "colors": lambda root: trees.pairs(root, encode=trees.colored),
    "masks": trees.mask_folders,
    "coco": lambda root: trees.coco(root, "images", "annotations.json"),
    "labelme": trees.labelme,
    "yolo": lambda root: trees.yolo(root, "images/{s}/{n}.jpg", "labels/{s}/{n}.txt"),
    "supervisely": trees.supervisely,
    "lists": trees.lists,
    "dark": tree_cases.dark,
    "turned": tree_cases.turned,
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    with inside(tmp_path):
        yield tmp_path


def described(kind: str) -> Custom:
    if kind in FORMATS and kind not in KNOWN:
        pytest.skip(f"no reader of {kind}")
    BUILD[kind](Path("data"))
    status, output = invoke("init", "data")
    assert status == 0, output
    return Custom(Path("data.yaml"))


def convert(*more: str, expected: int = 0) -> str:
    status, output = invoke("convert", "--dataset", "data.yaml", "-o", "out", *more)
    assert status == expected, output
    return output


@pytest.mark.parametrize("kind", BUILD)
def test_the_files_hold_the_same_ids_and_are_described(here: Path, kind: str) -> None:
    dataset = described(kind)
    convert()
    same = Custom(Path("out/data.yaml"))
    assert same.splits == dataset.splits
    assert same.classes.names == dataset.classes.names
    assert same.classes.targets == dataset.classes.targets
    assert (same.classes.lut[:256] == dataset.classes.lut[:256]).all()
    for split in dataset.splits:
        frames = {frame.image: frame for frame in same.frames(split)}
        assert len(frames) == len(dataset.frames(split))
        for frame in dataset.frames(split):
            found = next(f for image, f in frames.items() if image.samefile(frame.image))
            assert (same.read_labels(found) == dataset.read_labels(frame)).all()
            assert (same.read_image(found) == dataset.read_image(frame)).all()
            with Image.open(found.label) as picture:
                assert picture.format == "PNG"
    assert invoke("check", "--dataset", "out/data.yaml")[0] == 0


def test_what_is_there_stays_and_what_changed_is_made_again(here: Path) -> None:
    described("ids")
    convert()
    before = files_of(here / "out")
    assert "3 done before" in convert()
    assert files_of(here / "out") == before
    trees.save(here / "data/labels/val/002.png", trees.ids(5))
    assert "2 done before" in convert()
    after = files_of(here / "out")
    assert {name for name in after if after[name] != before[name]} == {"labels/val/002.png"}
    assert (readers.read_ids(here / "out/labels/val/002.png") == trees.ids(5)).all()


def test_a_bad_file_is_named_and_costs_no_other(here: Path) -> None:
    described("ids")
    (here / "data/labels/train/002.png").write_bytes(b"")
    output = convert(expected=1)
    assert "002.png: empty file (0 bytes)" in output
    assert sorted(p.name for p in (here / "out/labels/train").iterdir()) == ["001.png", "003.png"]
    assert len(Custom(Path("out/data.yaml")).frames("train")) == 2
    trees.save(here / "data/labels/train/002.png", trees.ids(1))
    assert "2 done before" in convert()
    assert len(Custom(Path("out/data.yaml")).frames("train")) == 3


def test_files_of_others_are_replaced_only_with_force(here: Path) -> None:
    described("ids")
    trees.save(here / "out/labels/train/001.png", trees.ids(0))
    before = files_of(here / "out")
    assert "adaprep did not make it" in convert(expected=1)
    assert files_of(here / "out") == before
    convert("--force")
    assert stage.is_ours(here / "out/labels/train/001.png")


@pytest.mark.parametrize("name", ["data.yaml", "train.txt"])
def test_texts_of_others_are_not_replaced_either(here: Path, name: str) -> None:
    described("ids")
    trees.text(here / "out" / name, "mine")
    assert f"out/{name} is there already" in convert(expected=1)
    assert files_of(here / "out").keys() == {name}


def test_what_is_read_is_not_written_over_even_with_force(here: Path) -> None:
    described("ids")
    before = files_of(here / "data")
    status, output = invoke("convert", "--dataset", "data.yaml", "-o", "data", "--force")
    assert status == 1
    assert "is read by this command and not written over" in output
    status, output = invoke("convert", "--dataset", "data.yaml", "-o", ".", "--force")
    assert status == 1
    assert "describes the data set that is read" in output
    assert files_of(here / "data") == before


def test_splits_that_are_left_out_are_named(here: Path) -> None:
    trees.pairs(here / "data", *SPLIT_FOLDERS[:2], ("train", "val", "test"))
    assert invoke("init", "data")[0] == 0
    assert "note: only train and val; --split takes also: test" in convert()
    assert "note:" not in convert("--split", "test")
    assert Custom(Path("out/data.yaml")).splits == ("train", "val", "test")


def test_data_and_result_can_be_moved_together(here: Path) -> None:
    described("ids")
    convert()
    (here / "moved").mkdir()
    for name in ("data", "out"):
        (here / name).rename(here / "moved" / name)
    same = Custom(here / "moved/out/data.yaml")
    assert all(f.image.exists() and f.label.exists() for f in same.frames("train"))


def test_a_name_that_leads_elsewhere_is_refused(here: Path) -> None:
    trees.pairs(here / "elsewhere")
    trees.text(here / "data/train.txt", "../elsewhere/images/001.jpg\t../elsewhere/labels/001.png\n")
    table = "classes: [{id: 0, name: a}, {id: 1, name: b}, {id: 2, name: c}]"
    trees.text(here / "data.yaml", f"root: data\n{table}\nsplits:\n  train: {{list: train.txt}}\n")
    assert "leads out of the folder" in convert(expected=1)
    assert not list((here / "out").rglob("*.png"))


def test_the_splits_of_data_sets_that_ship_with_adaprep_are_converted_too(here: Path) -> None:
    from pipeline.datasets.demo import Demo, generate

    generate(here / "demo", train=2, val=1, size=(48, 60))
    status, output = invoke("convert", "--dataset", "demo", "--root", "demo", "-o", "out")
    assert status == 0, output
    same, demo = Custom(Path("out/demo.yaml")), Demo(here / "demo")
    assert same.classes.names == demo.classes.names
    for one, other in zip(same.frames("train"), demo.frames("train"), strict=True):
        assert (same.read_labels(one) == demo.read_labels(other)).all()


@pytest.mark.slow
def test_a_conversion_that_was_killed_is_resumed(here: Path) -> None:
    described("ids")
    arguments = ["convert", "--dataset", str(here / "data.yaml"), "-o", str(here / "out"), "--threads", "1"]
    assert killed_at_move(2, arguments)
    assert len(list((here / "out/labels").rglob("*.png"))) == 2
    convert()
    resumed = files_of(here / "out")
    status, _ = invoke("convert", "--dataset", "data.yaml", "-o", "whole")
    assert status == 0
    whole = files_of(here / "whole")
    assert {k: v for k, v in resumed.items() if k.endswith(".png")} == {
        k: v for k, v in whole.items() if k.endswith(".png")
    }
