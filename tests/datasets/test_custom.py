"""Data sets that a YAML file describes: both forms, and every complaint."""

from __future__ import annotations

import pickle
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.datasets.base import UNKNOWN, VOID
from pipeline.datasets.cityscapes import Cityscapes
from pipeline.datasets.class_tables import palette
from pipeline.datasets.custom import Custom
from pipeline.datasets.formats import KNOWN
from pipeline.errors import AdaprepError, FileError
from tests.conftest import shared
from tests.datasets import replicas

CLASSES = """\
classes:
  - {id: 0, name: ground}
  - {id: 4, name: car}
  - {id: 9, name: dog}
"""
TARGETS = ["car", "pedestrian", "bicyclist"]
WHOLE = "must be a whole number in 0..65535"
SPLITS = """\
splits:
  train: {images: images, labels: labels}
"""


def describe(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def picture(path: Path, value: int = 0, color: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6, 3) if color else (4, 6), value, np.uint8)).save(path)


def complaint(path: Path) -> str:
    with pytest.raises(AdaprepError) as error:
        Custom(path)
    return str(error.value).removeprefix(f"{path}, ")


def test_a_minimal_file(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.jpg", 90, color=True)
    picture(tmp_path / "labels/a.png", 4)
    dataset = Custom(describe(tmp_path, CLASSES + SPLITS))
    assert (dataset.name, dataset.title, dataset.splits) == ("mine", "mine", ("train",))
    assert dataset.training_splits == ("train",)
    assert dataset.root == tmp_path
    assert dataset.source == str(tmp_path / "mine.yaml")
    assert dataset.settings() == {}
    assert dataset.classes.names == ("ground", "car", "dog")
    assert dataset.classes.targets == ()
    assert dataset.classes.lut[[0, 4, 9, 1]].tolist() == [0, 1, 2, UNKNOWN]
    (frame,) = dataset.frames("train")
    assert frame.name == "a"
    assert dataset.read_labels(frame).tolist() == [[4] * 6] * 4
    assert dataset.read_image(frame).shape == (4, 6, 3)
    assert dataset.read_instances(frame) is None


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    picture(tmp_path / "data/pics/x/1_left.jpg", color=True)
    picture(tmp_path / "data/maps/x/1_ids.png", 4)
    picture(tmp_path / "data/objects/x/1_obj.png", 3)
    text = """\
name: street-cars
title: Cars in my street
license: mine
root: data
classes:
  - {id: 0, name: ground, train_id: 0, color: [1, 2, 3]}
  - {id: 4, name: car, train_id: 1, color: "#0A0b0C"}
  - {id: 5, name: car, train_id: 1}
  - {id: 6, name: parked car, train_id: 1}
  - {id: 7, name: odd, train_id: 255}
void: [255, 300]
targets: [car]
training_splits: [learn]
splits:
  learn:
    images: pics
    image_suffix: _left
    labels: maps
    label_suffix: _ids.png
    instances: objects
    instance_suffix: _obj
  dev: {list: dev.txt}
"""
    dataset = Custom(describe(tmp_path, text))
    assert (dataset.name, dataset.title, dataset.license) == ("street-cars", "Cars in my street", "mine")
    assert dataset.root == tmp_path / "data"
    assert dataset.training_splits == ("learn",)
    assert dataset.classes.names == ("ground", "car")
    assert dataset.classes.targets == (1,)
    assert dataset.classes.lut[[0, 4, 5, 6, 7, 255, 300]].tolist() == [0, 1, 1, 1, VOID, VOID, VOID]
    assert dataset.classes.colors[:2].tolist() == [[1, 2, 3], [10, 11, 12]]
    (frame,) = dataset.frames("learn")
    assert frame.name == "x/1"
    assert frame.image == tmp_path / "data/pics/x/1_left.jpg"
    instances = dataset.read_instances(frame)
    assert instances is not None
    assert instances.dtype == np.int32
    assert np.unique(instances).tolist() == [3]


def test_root_is_relative_to_the_file_and_can_be_given(tmp_path: Path) -> None:
    path = describe(tmp_path / "here", "root: ../there\n" + CLASSES + SPLITS)
    assert Custom(path).root == tmp_path / "there"
    assert Custom(path, tmp_path / "elsewhere").root == tmp_path / "elsewhere"


def test_frames_without_image_or_label_map_are_listed(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.JPG", color=True)
    picture(tmp_path / "images/b.JPG", color=True)
    picture(tmp_path / "labels/b.png")
    picture(tmp_path / "labels/c ü.png")
    dataset = Custom(describe(tmp_path, CLASSES + SPLITS))
    frames = dataset.frames("train")
    assert [frame.name for frame in frames] == ["a", "b", "c ü"]
    with pytest.raises(FileError, match=r"/labels/a\.png: no such file$"):
        dataset.read_labels(frames[0])
    with pytest.raises(FileError, match=r"/images/c ü\.JPG: no such file$"):
        dataset.read_image(frames[2])


def test_two_images_of_one_name_are_both_named(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.jpg", color=True)
    picture(tmp_path / "images/a.png", color=True)
    (tmp_path / "labels").mkdir()
    with pytest.raises(AdaprepError) as error:
        Custom(describe(tmp_path, CLASSES + SPLITS)).frames("train")
    assert str(error.value).startswith(f"two files of the same name in {tmp_path}/images: a.jpg and a.png. ")


def test_images_and_label_maps_may_share_a_folder(tmp_path: Path) -> None:
    for name in ("1", "2"):
        picture(tmp_path / f"all/{name}.png", color=True)
        picture(tmp_path / f"all/{name}_L.png", 9)
    dataset = Custom(
        describe(tmp_path, CLASSES + "splits: {train: {images: all, labels: all, label_suffix: _L}}")
    )
    assert [(f.image.name, f.label.name) for f in dataset.frames("train")] == [
        ("1.png", "1_L.png"),
        ("2.png", "2_L.png"),
    ]


def test_label_maps_may_lie_below_the_images(tmp_path: Path) -> None:
    picture(tmp_path / "1.png", color=True)
    picture(tmp_path / "masks/1.png", 9)
    dataset = Custom(describe(tmp_path, CLASSES + "splits: {train: {images: ., labels: masks}}"))
    assert [(f.image.name, f.label.parent.name) for f in dataset.frames("train")] == [("1.png", "masks")]


def test_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    with pytest.raises(AdaprepError) as error:
        Custom(describe(tmp_path, CLASSES + SPLITS)).frames("train")
    assert str(error.value) == (
        f"mine: no images found. Looked for\n  {tmp_path}/images/**/*.(jpg|png|...)\n"
        f"  {tmp_path}/labels/**/*.png\n{Custom.archives}\n"
        f"If the data are elsewhere, give --root FOLDER."
    )


LISTED = CLASSES + "splits: {train: {list: train.txt}}\n"


def test_a_list_with_tabs_or_single_blanks(tmp_path: Path) -> None:
    lines = [
        "# image, label map, instances",
        "",
        "z/2.jpg\tz/2.png",
        "Camera 5/ü 1.jpg\tLabel 5/ü 1_bin.png\tLabel 5/ü 1_i.png",
        "a.jpg a.png",
        "b.jpg b.png b_i.png",
    ]
    (tmp_path / "train.txt").write_text("\r\n".join(lines), encoding="utf-8-sig")
    frames = Custom(describe(tmp_path, LISTED)).frames("train")
    assert [frame.name for frame in frames] == ["Camera 5/ü 1", "a", "b", "z/2"]
    assert frames[0].label == tmp_path / "Label 5/ü 1_bin.png"
    assert frames[0].instance == tmp_path / "Label 5/ü 1_i.png"
    assert frames[1].instance is None
    assert frames[2].instance == tmp_path / "b_i.png"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "a.jpg\n",
            ", line 1: must be image<TAB>label or image<TAB>label<TAB>instances, found 'a.jpg'",
        ),
        (
            "a.jpg a.png\nb c.jpg b c.png\n",
            ", line 2: must be image<TAB>label or image<TAB>label<TAB>instances, found 'b c.jpg b c.png'",
        ),
        (
            "a.jpg\t\n",
            ", line 1: must be image<TAB>label or image<TAB>label<TAB>instances, found 'a.jpg\\t'",
        ),
        ("a.jpg a.png\n\na.png b.png\n", ", line 3: 'a' was listed before, in line 1"),
        ("# nothing\n\n", ": the list is empty"),
    ],
)
def test_lists_that_make_no_sense(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "train.txt").write_text(text)
    with pytest.raises(AdaprepError) as error:
        Custom(describe(tmp_path, LISTED)).frames("train")
    assert str(error.value) == f"{tmp_path}/train.txt{problem}"


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    dataset = Custom(describe(tmp_path, LISTED))
    with pytest.raises(AdaprepError, match=r"/train\.txt: no such file$"):
        dataset.frames("train")
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe a b")
    with pytest.raises(
        AdaprepError, match=r"/train\.txt: not a text in UTF-8 \(invalid start byte at byte 0\)"
    ):
        dataset.frames("train")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (CLASSES, "line 1: missing key 'splits'"),
        ("- a\n- b\n", "line 1: must be keys with values, found a list"),
        ("42\n", "line 1: must be keys with values, found 42"),
        (
            "clases: []\n" + SPLITS,
            "line 1: clases: unknown key; did you mean 'classes'? Known here: classes, splits, name, "
            "title, root, labels_are, images_are, image_range, background, void, targets, training_splits, "
            "unpaired, license, pool, split_by",
        ),
        (CLASSES + SPLITS + SPLITS, "line 7: splits: this key was given before"),
        ("classes: []\n" + SPLITS, "line 1: classes: must name at least one class"),
        ("classes: {0: a}\n" + SPLITS, "line 1: classes: must be a list, found keys with values"),
        ("classes: [{id: 0}]\n" + SPLITS, "line 1: classes[0]: missing key 'name'"),
        (
            "classes:\n  - {id: 0, name: a}\n  - {id: 1, name: b, colour: red}\n" + SPLITS,
            "line 3: classes[1].colour: unknown key; did you mean 'color'? "
            "Known here: id, name, train_id, color",
        ),
        ("classes: [{id: x, name: a}]\n" + SPLITS, f"line 1: classes[0].id: {WHOLE}, found 'x'"),
        ("classes: [{id: -1, name: a}]\n" + SPLITS, f"line 1: classes[0].id: {WHOLE}, found -1"),
        ("classes: [{id: true, name: a}]\n" + SPLITS, f"line 1: classes[0].id: {WHOLE}, found True"),
        ("classes: [{id: 0, name: no}]\n" + SPLITS, "line 1: classes[0].name: must be a text, found False"),
        ("classes: [{id: 0, name: [a]}]\n" + SPLITS, "line 1: classes[0].name: must be a text, found a list"),
        (
            "classes:\n- {id: 3, name: a}\n- {id: 3, name: b}\n" + SPLITS,
            "line 3: classes[1].id: the id 3 was given before, in line 2",
        ),
        ("void: [4]\n" + CLASSES + SPLITS, "line 1: void[0]: the id 4 was given before, in line 4"),
        (
            "classes: [{id: 0, name: a, train_id: 0}, {id: 1, name: b}]\n" + SPLITS,
            "line 1: classes: train_id must be given to all classes or to none "
            "(then they are counted in order)",
        ),
        (
            "classes: [{id: 0, name: a, train_id: 0}, {id: 1, name: b, train_id: 2}]\n" + SPLITS,
            "line 1: classes: train ids must be 0, 1, 2, ... without a gap (255 is void), found [0, 2]",
        ),
        (
            "classes: [{id: 0, name: a}, {id: 1, name: a}]\n" + SPLITS,
            "line 1: classes[1].name: two train ids, 0 and 1, for one name",
        ),
        (
            "classes: [{id: 0, name: a, color: [1, 2]}]\n" + SPLITS,
            'line 1: classes[0].color: must be [red, green, blue] or "#rrggbb", found [1, 2]',
        ),
        (
            "classes: [{id: 0, name: a, color: [1, 2, 256]}]\n" + SPLITS,
            "line 1: classes[0].color[2]: must be a whole number in 0..255, found 256",
        ),
        (
            CLASSES + "targets: [cat]\n" + SPLITS,
            "line 5: targets[0]: no class 'cat' to make a target of; did you mean 'car'? "
            "The classes are: ground, car, dog",
        ),
        (CLASSES + "targets: car\n" + SPLITS, "line 5: targets: must be a list, found 'car'"),
        (CLASSES + "splits: {}\n", "line 5: splits: must name at least one split"),
        (
            CLASSES + "splits: {train: images}\n",
            "line 5: splits.train: must be keys with values, found 'images'",
        ),
        (CLASSES + "splits: {train: {images: a}}\n", "line 5: splits.train: missing key 'labels'"),
        (
            CLASSES + "splits:\n  train:\n    image: a\n    labels: b\n",
            "line 7: splits.train.image: unknown key; did you mean 'images'? "
            "Known here: images, labels, instances, image_suffix, label_suffix, instance_suffix, stems, "
            "unpaired, list",
        ),
        (
            CLASSES + "splits: {train: {list: a, images: b}}\n",
            "line 5: splits.train.images: unknown key. Known here: list, unpaired",
        ),
        (
            CLASSES + SPLITS + "training_splits: [learn]\n",
            "line 7: training_splits[0]: no split 'learn'; the splits are: train",
        ),
        (
            "name: a/b\n" + CLASSES + SPLITS,
            "line 1: name: the name of a data set 'a/b' cannot be used: it holds '/'. "
            "It names a folder: use letters, digits, '.', '_', '-', '+', '=' and '@'.",
        ),
        ("name: {\n", "line 2: not YAML: expected the node content, but found '<stream end>'"),
        ("name: !!timestamp x\n" + CLASSES + SPLITS, None),
    ],
)
def test_complaints_name_the_line_and_the_key(tmp_path: Path, text: str, problem: str | None) -> None:
    said = complaint(describe(tmp_path, text))
    if problem is None:
        assert said.startswith("line 1: name: ")
    else:
        assert said == problem


def test_all_mistakes_of_a_file_are_named_each_with_its_line(tmp_path: Path) -> None:
    text = """\
name: a/b
tilte: Cars
classes:
  - {id: 0, name: ground}
  - {id: 0, name: car, color: [1, 300, 3]}
  - {id: many, name: dog}
targets: [cart]
splits:
  runs: {images: i, labels: l}
  train: {images: i}
"""
    path = describe(tmp_path, text)
    with pytest.raises(AdaprepError) as error:
        Custom(path)
    said = [line.removeprefix(f"{path}, ") for line in str(error.value).splitlines()]
    assert [line.split(". ")[0] for line in said] == [
        "line 1: name: the name of a data set 'a/b' cannot be used: it holds '/'",
        "line 2: tilte: unknown key; did you mean 'title'? Known here: classes, splits, name, title, root, "
        "labels_are, images_are, image_range, background, void, targets, training_splits, unpaired, license, "
        "pool, split_by",
        "line 5: classes[1].color[1]: must be a whole number in 0..255, found 300",
        "line 5: classes[1].id: the id 0 was given before, in line 4",
        f"line 6: classes[2].id: {WHOLE}, found 'many'",
        "line 7: targets[0]: no class 'cart' to make a target of; did you mean 'car'? "
        "The classes are: ground, car, dog",
        "line 9: splits.runs: no split can be called runs: workspaces have a folder of this name for "
        "something else",
        "line 10: splits.train: missing key 'labels'",
    ]


def test_no_more_than_twenty_mistakes_are_shown(tmp_path: Path) -> None:
    rows = "".join(f"  - {{id: x{i}, name: a{i}}}\n" for i in range(33))
    path = describe(tmp_path, f"classes:\n{rows}{SPLITS}")
    lines = complaint(path).splitlines()
    assert len(lines) == 21
    assert lines[0] == f"line 2: classes[0].id: {WHOLE}, found 'x0'"
    assert lines[-1] == "... and 13 more"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    with pytest.raises(AdaprepError, match=r"/mine\.yaml: no such file$"):
        Custom(path)
    path.write_text("# nothing\n")
    assert complaint(path) == f"{path}: is empty; docs/your-own-data.md says what belongs in it"
    path.write_bytes(b"name: \xff")
    assert complaint(path) == "line 1: not a text in UTF-8 (invalid start byte at byte 6)"


def test_a_name_made_of_the_file_name_can_name_a_folder(tmp_path: Path) -> None:
    assert Custom(describe(tmp_path, CLASSES + SPLITS, "my own data.yaml")).name == "my-own-data"


def test_survives_pickling(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png", 4)
    picture(tmp_path / "labels/a.png", 4)
    dataset = pickle.loads(pickle.dumps(Custom(describe(tmp_path, CLASSES + SPLITS))))
    (frame,) = dataset.frames("train")
    assert dataset.read_labels(frame).max() == 4


@settings(max_examples=30)
@given(st.integers(0, 254))
def test_generated_colours_differ(count: int) -> None:
    colors = palette(count)
    assert len(set(colors)) == len(colors) == count
    assert all(0 <= channel <= 255 for color in colors for channel in color)


@pytest.mark.parametrize("listed", [False, True])
def test_camvid_described_by_hand(tmp_path: Path, listed: bool) -> None:
    root = shared("camvid")
    names = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", *TARGETS]
    text = "classes:\n" + "".join(f"  - {{id: {i}, name: {name}}}\n" for i, name in enumerate(names))
    text += f"void: [11]\ntargets: [{', '.join(TARGETS)}]\nsplits:\n"
    for split in ("train", "val"):
        if listed:
            stems = sorted(path.stem for path in (root / "labels" / split).iterdir())
            lines = [f"images/{split}/{stem}.jpg\tlabels/{split}/{stem}.png" for stem in stems]
            (tmp_path / f"{split}.txt").write_text("\n".join(lines))
            text += f"  {split}: {{list: {tmp_path}/{split}.txt}}\n"
        else:
            text += f"  {split}: {{images: images/{split}, labels: labels/{split}}}\n"
    dataset = Custom(describe(tmp_path, text), root)
    assert [len(dataset.frames(split)) for split in dataset.splits] == [367, 101]
    frame = dataset.frames("val")[0]
    assert dataset.read_labels(frame).shape == dataset.read_image(frame).shape[:2] == (360, 480)
    assert dataset.classes.targets == (8, 9, 10)


def test_every_yaml_block_in_the_manual_says_what_can_be(tmp_path: Path) -> None:
    manual = (Path(__file__).resolve().parents[2] / "docs/your-own-data.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", manual, re.DOTALL)
    shown = {block.split("\n")[0] for block in blocks}
    assert {f"labels_are: {kind}" for kind in KNOWN if kind != "ids"} <= shown
    for block in blocks:
        keys = yaml.safe_load(block)
        text = (
            block + CLASSES * ("classes" not in keys) + SPLITS * ("splits" not in keys and "pool" not in keys)
        )
        assert Custom(describe(tmp_path, text)).splits


def test_the_files_in_the_manual_are_right(tmp_path: Path) -> None:
    manual = (Path(__file__).resolve().parents[2] / "docs/your-own-data.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", manual, re.DOTALL)
    whole, listed, shared_ids, cityscapes = (
        next(block for block in blocks if part in block)
        for part in ("name: camvid-mine", "list: train.txt", "group of cars", "leftImg8bit")
    )
    for split, stem in (("train", "0001TP_006690"), ("val", "0016E5_07959")):
        picture(tmp_path / f"camvid/images/{split}/{stem}.jpg", color=True)
        picture(tmp_path / f"camvid/labels/{split}/{stem}.png")
    dataset = Custom(describe(tmp_path, whole, "camvid-mine.yaml"))
    assert dataset.name == "camvid-mine"
    assert dataset.classes.targets == (8, 9, 10)
    assert dataset.classes.colors[4].tolist() == [60, 40, 222]

    script = manual[manual.index("    cd camvid\n") : manual.index("### As PNG files")]
    subprocess.run(["bash", "-euc", script], cwd=tmp_path, check=True)
    by_list = Custom(describe(tmp_path, whole[: whole.index("splits:")] + listed, "listed.yaml"))
    for split in ("train", "val"):
        (frame,), (same,) = dataset.frames(split), by_list.frames(split)
        assert frame.label.exists()
        assert (frame.image, frame.label) == (same.image, same.label)

    assert Custom(describe(tmp_path, shared_ids + SPLITS)).classes.lut[154] == 1
    replicas.cityscapes(tmp_path / "city", Cityscapes.table)
    mine = Custom(describe(tmp_path / "city", CLASSES + cityscapes)).frames("train")
    assert mine == Cityscapes(tmp_path / "city").frames("train")

    bad = describe(
        tmp_path, whole.replace("{images: images/train", "{image: images/train"), "camvid-mine.yaml"
    )
    assert f"camvid-mine.yaml, {complaint(bad)}\n" in manual
