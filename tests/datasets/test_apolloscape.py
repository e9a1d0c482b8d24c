"""ApolloScape in both layouts, with lists and without, on small files written to the documented format."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.apolloscape import ApolloScape
from pipeline.datasets.base import UNKNOWN, VOID
from pipeline.errors import AdaprepError, FileError
from tests.datasets import replicas

TABLE = ApolloScape.table
ROADS = ("road01_ins", "road02_ins", "road04_ins")
FIRST = "road01_ins/Record001/Camera 5/170908_061633101_Camera_5"


def write_lists(folder: Path, lines: dict[str, list[str]]) -> None:
    """The first frame of roads 1 and 2 for training, the second for validation."""
    for road in ("road01_ins", "road02_ins"):
        replicas.write_list(folder / f"{road}_train.lst", lines[road][:1])
        replicas.write_list(folder / f"{road}_val.lst", lines[road][1:])


def test_the_papers_22_classes_and_8_targets() -> None:
    assert len(TABLE.names) == 22
    assert [TABLE.names[t] for t in TABLE.targets] == [
        "car", "motorbicycle", "bicycle", "person", "rider", "truck", "bus", "tricycle",
    ]  # fmt: skip
    assert TABLE.targets == tuple(range(1, 9))


def test_groups_count_as_their_class() -> None:
    np.testing.assert_array_equal(TABLE.lut[np.arange(33, 41) + 128], TABLE.lut[33:41])
    assert TABLE.lut[[0, 1, 98, 99, 100, 255]].tolist() == [VOID] * 6
    assert TABLE.lut[200] == UNKNOWN  # an id of the lane task, whose files have the same ending


@pytest.mark.parametrize("type_first", [False, True])
def test_frames_of_both_layouts_without_lists(tmp_path: Path, type_first: bool) -> None:
    replicas.apolloscape(tmp_path, TABLE, ROADS, type_first)
    dataset = ApolloScape(tmp_path)
    train, val = dataset.frames("train"), dataset.frames("val")
    assert [frame.name.split("/")[0] for frame in train] == ["road01_ins"] * 2 + ["road02_ins"] * 2
    assert [frame.name.split("/")[0] for frame in val] == ["road04_ins"] * 2
    assert train[0].name == FIRST
    for frame in train + val:
        assert dataset.read_labels(frame).shape == dataset.read_image(frame).shape[:2] == replicas.SIZE


@pytest.mark.parametrize("type_first", [False, True])
@pytest.mark.parametrize("folder", [".", "ImageLists"])
def test_lists_make_the_splits(tmp_path: Path, folder: str, type_first: bool) -> None:
    lines = replicas.apolloscape(tmp_path, TABLE, ROADS, type_first)
    write_lists(tmp_path / folder, lines)
    dataset = ApolloScape(tmp_path)
    train = dataset.frames("train")
    assert [frame.name for frame in train] == [FIRST, FIRST.replace("road01", "road02")]
    assert [frame.name[:20] for frame in dataset.frames("val")] == [
        "road01_ins/Record012",
        "road02_ins/Record012",
    ]
    for frame in train:
        assert dataset.read_labels(frame).shape == dataset.read_image(frame).shape[:2]
        assert dataset.read_instances(frame) is not None


def test_lists_hold_where_blanks_became_underscores_on_disk(tmp_path: Path) -> None:
    write_lists(tmp_path, replicas.apolloscape(tmp_path, TABLE, ROADS))
    for folder in list(tmp_path.glob("*/*/*/Camera 5")):
        folder.rename(folder.with_name("Camera_5"))
    dataset = ApolloScape(tmp_path)
    (frame,) = [f for f in dataset.frames("train") if f.name.startswith("road01")]
    assert dataset.read_labels(frame).shape == dataset.read_image(frame).shape[:2]


def test_a_list_may_name_images_alone(tmp_path: Path) -> None:
    lines = replicas.apolloscape(tmp_path, TABLE, ROADS[:1])["road01_ins"]
    replicas.write_list(tmp_path / "road01_ins_train.lst", [line.split("\t")[0] for line in lines])
    assert [f.label.exists() for f in ApolloScape(tmp_path).frames("train")] == [True, True]


def test_a_list_for_a_file_that_is_gone_still_names_it(tmp_path: Path) -> None:
    write_lists(tmp_path, replicas.apolloscape(tmp_path, TABLE, ROADS))
    dataset = ApolloScape(tmp_path)
    frame = dataset.frames("train")[0]
    frame.label.unlink()
    assert dataset.frames("train")[0] == frame
    with pytest.raises(FileError, match=r"170908_061633101_Camera_5_bin\.png: no such file$"):
        dataset.read_labels(frame)


def test_a_list_of_something_else_is_refused(tmp_path: Path) -> None:
    replicas.write_list(tmp_path / "road01_ins_train.lst", ["road01_ins/Pose/a.txt\tb"])
    with pytest.raises(AdaprepError) as error:
        ApolloScape(tmp_path).frames("train")
    assert str(error.value) == (
        f"{tmp_path}/road01_ins_train.lst, line 1: 'road01_ins/Pose/a.txt' is no path of an image in "
        f"ColorImage that ends in .jpg"
    )


def test_a_split_without_a_list_where_there_are_lists(tmp_path: Path) -> None:
    write_lists(tmp_path, replicas.apolloscape(tmp_path, TABLE, ROADS))
    with pytest.raises(AdaprepError) as error:
        ApolloScape(tmp_path).frames("test")
    assert str(error.value) == (
        f"apolloscape: no list road*_test.lst in {tmp_path} or a folder in it; "
        f"there are lists for: train, val"
    )


def test_a_single_road_without_lists_is_for_training(tmp_path: Path) -> None:
    replicas.apolloscape(tmp_path, TABLE, ("road04_ins",))
    dataset = ApolloScape(tmp_path)
    assert len(dataset.frames("train")) == 2
    with pytest.raises(AdaprepError) as error:
        dataset.frames("val")
    assert str(error.value) == (
        f"apolloscape: no val frames. There are no lists (road01_ins_val.lst, ...) in {tmp_path}, and "
        f"without lists road 4 is for validation if there are other roads, and all the rest for training; "
        f"there are: road04_ins"
    )


def test_images_and_label_maps_alone_are_frames_too(tmp_path: Path) -> None:
    replicas.apolloscape(tmp_path, TABLE, ("road01_ins",))
    dataset = ApolloScape(tmp_path)
    first, second = dataset.frames("train")
    first.image.unlink()
    second.label.unlink()
    assert dataset.frames("train") == [first, second]


def test_seg_roads_only_where_there_is_nothing_else(tmp_path: Path) -> None:
    replicas.apolloscape(tmp_path / "both", TABLE, ("road01_ins", "road02_seg"))
    replicas.apolloscape(tmp_path / "seg", TABLE, ("road02_seg", "road03_seg"))
    both, seg = ApolloScape(tmp_path / "both"), ApolloScape(tmp_path / "seg")
    assert {f.name.split("/")[0] for f in both.frames("train")} == {"road01_ins"}
    frames = seg.frames("train")
    assert {f.name.split("/")[0] for f in frames} == {"road02_seg", "road03_seg"}
    assert seg.read_instances(frames[0]) is None
    assert "_seg roads lack all classes with ids below 49, every target class among them" in seg.notes(
        "train"
    )


def test_instances_leave_out_background_and_groups(tmp_path: Path) -> None:
    replicas.apolloscape(tmp_path, TABLE, ROADS)
    dataset = ApolloScape(tmp_path)
    seen: set[int] = set()
    for frame in dataset.frames("train") + dataset.frames("val"):
        labels, instances = dataset.read_labels(frame), dataset.read_instances(frame)
        assert instances is not None
        assert instances.dtype == np.int32
        np.testing.assert_array_equal(instances > 0, (labels == 33) | (labels == 36))
        seen |= set(np.unique(instances).tolist())
    assert seen == {0, 33_001, 33_012, 36_000}


def test_notes_without_lists(tmp_path: Path) -> None:
    replicas.apolloscape(tmp_path, TABLE, ROADS)
    assert ApolloScape(tmp_path).notes("train") == [
        "sky is not annotated on road02_ins: its pixels there are 255 (void)",
        "no lists (road01_ins_train.lst, ...) found: road 4 is taken for validation, "
        "the others for training; train is road01_ins, road02_ins",
    ]


def test_notes_with_lists(tmp_path: Path) -> None:
    lines = replicas.apolloscape(tmp_path, TABLE, ROADS)
    write_lists(tmp_path, lines)
    replicas.write_list(tmp_path / "road01_ins_test.lst", lines["road01_ins"])
    dataset = ApolloScape(tmp_path)
    assert dataset.notes("val") == [
        "sky is not annotated on road02_ins: its pixels there are 255 (void)",
        "in no list and so not used: road04_ins",
    ]
    assert dataset.notes("test")[-1] == (
        "the label maps of the test lists are all 255 (void): no boundaries, no metric"
    )


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(AdaprepError) as error:
        ApolloScape(tmp_path / "nowhere").frames("train")
    assert str(error.value).startswith(
        f"apolloscape: no images found. Looked for\n  {tmp_path}/nowhere/road*_ins_train.lst\n"
    )
    assert "Unpack the archives road01_ins to road04_ins" in str(error.value)


def test_lists_may_hold_names_with_any_bytes_but_line_feeds(tmp_path: Path) -> None:
    names = ["\u2028.jpg".encode(), b"\xff\x85.jpg", b"a\x0bb\x1c.jpg"]
    lines = [b"road01_ins/ColorImage/Record001/Camera 5/" + name for name in names]
    (tmp_path / "road01_ins_train.lst").write_bytes(b"\r\n".join(lines) + b"\r\n")
    frames = ApolloScape(tmp_path).frames("train")
    assert sorted(os.fsencode(frame.image.name) for frame in frames) == sorted(names)


def test_a_list_that_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "road01_ins_train.lst")
    with pytest.raises(FileError, match=r"road01_ins_train\.lst: is a named pipe, not a file$"):
        ApolloScape(tmp_path).frames("train")
