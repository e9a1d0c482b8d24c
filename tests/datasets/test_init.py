"""`adaprep init`: what it makes of people's folders, and that the result works in every command."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.custom import Custom
from pipeline.datasets.discovery import classes, naming
from pipeline.datasets.discovery.classes import FoundClass
from pipeline.datasets.discovery.discover import discover
from pipeline.datasets.discovery.roles import part_of, tails
from pipeline.datasets.discovery.tree import Tree, split_of
from pipeline.datasets.formats import KNOWN
from pipeline.errors import AdaprepError
from tests.conftest import tree as files_of
from tests.datasets import formats_table, trees
from tests.datasets.formats_table import Outcome, inside, invoke


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """Every row of the table."""
    return list(formats_table.outcomes(tmp_path_factory.mktemp("rows")))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """A working folder of its own."""
    with inside(tmp_path):
        yield tmp_path


def init(*arguments: str) -> str:
    status, output = invoke("init", *arguments)
    assert status == 0, output
    return output


def refused(*arguments: str) -> str:
    status, output = invoke("init", *arguments)
    assert status == 1, output
    return output.removeprefix("Error: ")


def described(path: str = "data.yaml") -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    return found


def test_the_table_of_the_docs_is_what_happens(outcomes: list[Outcome]) -> None:
    assert len(outcomes) >= 60
    assert formats_table.on_page() == formats_table.table(outcomes), (
        "run: python -m tests.datasets.formats_table"
    )


def test_every_format_is_recognised(outcomes: list[Outcome]) -> None:
    kinds = {
        yaml.safe_load(one.description.read_text()).get("labels_are", "ids")
        for one in outcomes
        if one.description
    }
    assert kinds == set(KNOWN)


def test_all_that_init_describes_can_be_read_whole(outcomes: list[Outcome]) -> None:
    for one in outcomes:
        if one.description is None or "file named by" in one.words:
            continue
        dataset = Custom(one.description)
        for split in dataset.splits:
            for frame in dataset.frames(split):
                ids = dataset.read_labels(frame)
                assert ids.shape == (trees.HEIGHT, trees.WIDTH), one.case.what
                assert (dataset.classes.lut[ids] != 254).all(), one.case.what
        assert dataset.classes.targets, one.case.what


def test_nothing_below_the_folder_is_changed(here: Path) -> None:
    trees.pairs(here / "data")
    before = files_of(here / "data")
    init("data")
    assert files_of(here / "data") == before


def test_the_file_says_what_to_edit_and_where_its_figures_come_from(here: Path) -> None:
    trees.pairs(here / "data", void=True)
    init("data")
    text = Path("data.yaml").read_text(encoding="utf-8")
    assert "# Edit what is wrong, then run: adaprep check --dataset data.yaml" in text
    assert "Looked into all of 6 label maps; rename them: no file named them." in text
    assert "A guess: small classes that occur in several images." in text
    assert re.search(r"\{id: 2, name: class 2\}  # 1\.\d+ % of the pixels, in 6 of 6 files", text)


def test_it_prints_what_it_understood_and_what_to_run(here: Path) -> None:
    trees.pairs(here / "data", void=True)
    trees.text(here / "data" / "classes.txt", "ground\nblob\nstick\n")
    output = init("data")
    for line in (
        "labels   ids; looked into all of 6 label maps",
        "pairs    6",
        "splits   none found: train 80 %, val 20 % by names and seed 0",
        "classes  3: ground, blob, stick",
        "void     255",
        "names    classes.txt",
        "targets  stick (a guess)",
        "written: data.yaml",
        "adaprep check --dataset data.yaml",
    ):
        assert line in output


def test_a_file_that_is_there_is_replaced_only_with_force(here: Path) -> None:
    trees.pairs(here / "data")
    Path("data.yaml").write_text("mine", encoding="utf-8")
    assert refused("data").startswith("data.yaml is there already: edit it, write another file with -o")
    assert Path("data.yaml").read_text(encoding="utf-8") == "mine"
    init("data", "--force")
    assert described()["name"] == "data"


def test_files_of_the_data_set_are_not_replaced_even_with_force(here: Path) -> None:
    trees.pairs(here / "data")
    trees.text(here / "data/classes.txt", "ground\nblob\nstick\n")
    before = files_of(here / "data")
    assert "init did not write it" in refused("data", "-o", "data/classes.txt", "--force")
    assert files_of(here / "data") == before
    init("data", "-o", "data/own.yaml")
    init("data", "-o", "data/own.yaml", "--force")


def test_a_list_that_is_there_is_not_replaced_either(here: Path) -> None:
    trees.pairs(here / "data", "images/img_{n}.jpg", "masks/mask_{n}.png")
    Path("data-all.txt").write_text("mine", encoding="utf-8")
    assert "data-all.txt is there already" in refused("data")
    assert not Path("data.yaml").exists()


@pytest.mark.parametrize("output", ["elsewhere/own.yaml", "data/own.yaml", "../own.yaml"])
def test_the_root_is_right_wherever_the_file_lies(here: Path, output: str) -> None:
    trees.pairs(here / "data", "images/img_{n}.jpg", "masks/mask_{n}.png")
    (here / "work").mkdir()
    with inside(here / "work"):
        init("../data", "-o", output)
        assert len(Custom(Path(output)).frames("train")) + len(Custom(Path(output)).frames("val")) == 6


def test_folder_and_file_can_be_moved_together(here: Path) -> None:
    trees.pairs(here / "project" / "data")
    with inside(here / "project"):
        init("data")
    (here / "project").rename(here / "moved")
    assert len(Custom(here / "moved" / "data.yaml").frames("train")) > 0


def test_a_sample_is_looked_into_and_its_count_is_said(here: Path) -> None:
    trees.pairs(here / "data")
    assert "looked into 3 of 6 label maps" in init("data", "--sample", "3")
    assert "Looked into 3 of 6 label maps" in Path("data.yaml").read_text(encoding="utf-8")


def test_names_that_yaml_would_read_otherwise_survive(here: Path) -> None:
    names = ["no", "a: b, c", "#x"]
    trees.pairs(here / "data")
    trees.text(here / "data" / "classes.json", json.dumps({"classes": [{"name": n} for n in names]}))
    init("data")
    assert Custom(Path("data.yaml")).classes.names == tuple(names)


@pytest.mark.parametrize("folder", ["with blank", "東京", "it's", "a,b", "{x}", "- y", "con", "100%"])
def test_folders_of_any_name(here: Path, folder: str) -> None:
    trees.pairs(here / folder, "photos {n}/a.jpg", "photos {n}/a_mask.png")
    init(f"./{folder}", "-o", "out.yaml")
    assert len(Custom(Path("out.yaml")).frames("train")) > 0


def test_a_name_that_is_no_unicode_is_refused(here: Path) -> None:
    trees.pairs(here / "data")
    os.rename(b"data/images/001.jpg", b"data/images/\xff.jpg")
    assert "is not Unicode" in refused("data")


def test_a_missing_folder_is_one_sentence(here: Path) -> None:
    assert refused("nowhere") == "nowhere: no such folder\n"


def test_a_yaml_file_in_place_of_a_folder_is_explained(here: Path) -> None:
    trees.yolo(here / "data", "images/{s}/{n}.jpg", "labels/{s}/{n}.txt")
    trees.data_yaml(here / "data")
    output = refused("data/data.yaml")
    assert "adaprep check --dataset data/data.yaml" in output
    assert "adaprep init data" in output


@pytest.mark.skipif("coco" not in KNOWN, reason="no reader of COCO")
def test_of_two_formats_the_other_can_be_asked_for(here: Path) -> None:
    trees.pairs(here / "data", "images/{n}.jpg", "labels/{n}.png")
    trees.coco(here / "data", "images", "annotations.json")
    output = init("data", "--labels-are", "coco")
    assert "labels   coco" in output
    assert "--labels-are labelme" in refused("data", "--labels-are", "labelme", "--force")


def test_a_broken_label_map_is_noted_and_costs_no_other(here: Path) -> None:
    trees.pairs(here / "data")
    (here / "data/labels/002.png").write_bytes(b"")
    assert "002.png: empty file (0 bytes)" in init("data")
    assert "Note: " in Path("data.yaml").read_text(encoding="utf-8")


def test_a_folder_of_photos_in_place_of_label_maps_is_refused(here: Path) -> None:
    rng = np.random.default_rng(0)
    trees.pairs(here / "data", encode=lambda labels: rng.integers(0, 255, (*labels.shape, 3), dtype=np.uint8))
    assert "more than 256 colours: a photo" in refused("data")


def test_an_unlabelled_test_split_is_left_out(here: Path) -> None:
    trees.pairs(here / "data", "images/{s}/{n}.jpg", "labels/{s}/{n}.png", splits=("train", "val"))
    trees.save(here / "data/images/test/1.jpg", trees.photo(trees.ids(0)))
    init("data")
    assert list(described()["splits"]) == ["train", "val"]  # type: ignore[call-overload]
    assert "unpaired" not in described()


def test_a_workspace_beside_the_images_is_not_looked_at(here: Path) -> None:
    trees.pairs(here / "data")
    trees.save(here / "data/adaprep-workspace/x/labels/001.png", trees.ids(0))
    assert "pairs    6" in init("data")


@pytest.mark.parametrize(
    "member", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:/evil.txt"]
)
def test_a_zip_that_would_write_elsewhere_is_refused_whole(here: Path, member: str) -> None:
    trees.archive(here, "data.zip", member)
    assert "would lie outside the folder: nothing was unpacked" in refused("data.zip", "--extract-to", "out")
    assert not (here / "out").exists()
    assert not [path for path in here.rglob("*") if "evil" in path.name or "partial" in path.name]


def test_a_damaged_zip_leaves_nothing(here: Path) -> None:
    trees.archive(here, "data.zip")
    data = bytearray((here / "data.zip").read_bytes())
    data[60:600] = bytes(540)
    (here / "data.zip").write_bytes(bytes(data))
    assert "cannot be unpacked" in refused("data.zip", "--extract-to", "out")
    assert sorted(path.name for path in here.iterdir()) == ["data.zip", "inner"]


def test_an_archive_is_not_unpacked_over_what_is_there(here: Path) -> None:
    trees.archive(here, "data.zip")
    trees.text(here / "out/mine.txt", "mine")
    assert "out is there already" in refused("data.zip", "--extract-to", "out")
    assert files_of(here / "out").keys() == {"mine.txt"}


def test_an_archive_larger_than_the_disk_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.workspace import room

    trees.archive(here, "data.zip")
    monkeypatch.setattr(room, "free_space", lambda _: 100)
    assert "GiB are free" in refused("data.zip", "--extract-to", "out")


def test_the_command_to_unpack_works(here: Path) -> None:
    trees.archive(here, "data.tar.gz")
    command = refused("data.tar.gz").splitlines()[1].strip()
    assert os.system(command) == 0
    init("data")


STEMS = st.text(st.sampled_from("abcxyz019"), min_size=1, max_size=6)


@settings(max_examples=25)
@given(
    stems=st.sets(STEMS, min_size=2, max_size=8),
    suffix=st.sampled_from(["", "_mask", "_L", "-gt", "_seg_ids", ".label"]),
    folders=st.sampled_from([("images", "labels"), ("", "masks"), ("img/x", "mask/x"), ("rgb", "gt")]),
    loose=st.sets(STEMS, max_size=3),
)
def test_all_pairs_of_names_are_found_and_no_others(
    tmp_path_factory: pytest.TempPathFactory,
    stems: set[str],
    suffix: str,
    folders: tuple[str, str],
    loose: set[str],
) -> None:
    root = tmp_path_factory.mktemp("names")
    for stem in stems | loose:
        trees.save(root / folders[0] / f"{stem}.jpg", np.zeros((2, 2, 3), np.uint8))
    for stem in stems:
        trees.save(root / folders[1] / f"{stem}{suffix}.png", np.eye(2, dtype=np.uint8))
    found = discover(root)
    pairs = {
        (Path(image).stem, Path(label).stem) for p in found.layout.places.values() for image, label in p.pairs
    }
    assert pairs == {(stem, stem + suffix) for stem in stems}


def test_the_words_of_folders_are_understood() -> None:
    assert part_of("trainannot")[::2] == ("label", "train")
    assert part_of("images_prepped_train")[::2] == ("image", "prepped_train")
    assert part_of("gtFine").role == "label"
    assert part_of("Instances").role == "other"
    assert part_of("maskedballs").role == "unknown"
    assert [split_of(n) for n in ("train2017", "Validation", "image_valid", "trainer")] == [
        "train",
        "val",
        "val",
        None,
    ]


def test_suffixes_are_what_several_names_end_in() -> None:
    assert tails(["a_1_mask", "b_2_mask", "c"])[:2] == ["", "_mask"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("classes.txt", "a\nb c\n", [("a", None), ("b c", None)]),
        ("classes.txt", "0 a\n1 b c\n", [("a", 0), ("b c", 1)]),
        ("labels.txt", "0: a\n7: b\n", [("a", 0), ("b", 7)]),
        ("label_map.txt", "a=1\nb=2\n", [("a", 1), ("b", 2)]),
        ("label_colors.txt", "1 2 3 a\n4 5 6 b\n", [("a", None), ("b", None)]),
        ("label_colors.txt", "64 128 64\tAnimal\n0 0 0\tVoid\n", [("Animal", None), ("Void", None)]),
        ("class_dict.csv", "name,r,g,b\na,1,2,3\n", [("a", None)]),
        ("classes.csv", "id,name\n3,a\n4,b\n", [("a", 3), ("b", 4)]),
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n", [("background", 0), ("cat", 1)]),
        ("dataset.json", '{"labels": {"0": "background", "1": "liver"}}', [("background", 0), ("liver", 1)]),
        ("id2label.json", '{"id2label": {"0": "a"}}', [("a", 0)]),
        ("config.json", '{"labels": [{"readable": "Bird", "name": "x--bird"}]}', [("Bird", 0)]),
        ("classes.txt", "\x00\x01", []),
        ("dataset.json", "[1, 2", []),
    ],
)
def test_files_of_names_are_read(
    tmp_path: Path, name: str, content: str, expected: list[tuple[str, int | None]]
) -> None:
    trees.text(tmp_path / name, content)
    assert [(named.name, named.id) for named in naming.read(tmp_path / name)] == expected


def test_targets_are_small_classes_of_several_images() -> None:
    rows = [
        FoundClass(0, "background", share=0.6, files=20),
        FoundClass(1, "road", share=0.3, files=20),
        FoundClass(2, "pole", share=0.01, files=18),
        FoundClass(3, "once", share=0.001, files=1),
        FoundClass(4, "void", void=True, share=0.001, files=20),
    ]
    assert classes.targets(rows, 20) == ["pole"]
    assert classes.targets(rows[:2], 20) == ["road"]


def test_more_classes_than_can_be_trained_on_are_refused(here: Path) -> None:
    def numbers(labels: trees.Ids) -> np.ndarray:  # type: ignore[type-arg]
        return np.arange(labels.size, dtype=np.uint16).reshape(labels.shape)

    trees.pairs(here / "data", encode=numbers)
    assert "767 classes were found, and at most 253 can be trained on" in refused("data")


def test_a_tree_says_what_it_holds(tmp_path: Path) -> None:
    trees.text(tmp_path / "a/x.docx", "x")
    trees.text(tmp_path / "a/y.docx", "x")
    with pytest.raises(AdaprepError, match="no such folder"):
        Tree(tmp_path / "b")
    assert Tree(tmp_path).description() == "  a/: 2 .docx"


SMALL = ("--architecture", "tests.datasets.small_network:network")

COMMANDS: tuple[Callable[[str], tuple[str, ...]], ...] = (
    lambda data: ("boundaries", "--dataset", data),
    lambda data: ("solve-tensors",),
    lambda data: ("sample", "--resolution", "16"),
    lambda data: ("train", "--resolution", "16", "--epochs", "1", "--sampler", "proposal", *SMALL),
)


@pytest.mark.slow
def test_what_init_writes_works_in_every_command(outcomes: list[Outcome]) -> None:
    pytest.importorskip("torch")
    for one in outcomes:
        if one.description is None or "file named by" in one.words:
            continue
        with inside(one.folder):
            for command in COMMANDS:
                status, output = invoke(*command(one.description.name))
                assert status == 0, f"{one.case.what}: {command(one.description.name)}\n{output}"
