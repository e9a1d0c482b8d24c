"""Splits of a YAML file that are made of a pool, of stems, of pairs alone; and folders that are not there."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.base import Frame
from pipeline.datasets.custom import Custom
from pipeline.datasets.missing import MissingFolder
from pipeline.datasets.splitting import Division, folds
from pipeline.errors import AdaprepError, FileError
from pipeline.stages.inputs import existing_splits
from tests.datasets.test_custom import CLASSES, SPLITS, complaint, describe, picture

POOL = "pool: {images: images, labels: labels}\n"


def fill(folder: Path, count: int, images: str = "images/{}.png", labels: str = "labels/{}.png") -> None:
    for i in range(count):
        picture(folder / images.format(f"{i:03}"), color=True)
        picture(folder / labels.format(f"{i:03}"), 4)


def names(frames: list[Frame]) -> list[str]:
    return [frame.name for frame in frames]


def test_fractions_of_a_pool(tmp_path: Path) -> None:
    fill(tmp_path, 20)
    text = CLASSES + POOL + "split_by: {fractions: {train: 0.7, val: 0.2, test: 0.1}, seed: 3}\n"
    data = Custom(describe(tmp_path, text))
    parts = {split: names(data.frames(split)) for split in data.splits}
    assert {split: len(part) for split, part in parts.items()} == {"train": 14, "val": 4, "test": 2}
    assert sorted(chain.from_iterable(parts.values())) == [f"{i:03}" for i in range(20)]
    assert all(part == sorted(part) for part in parts.values())
    other = Custom(describe(tmp_path, text.replace("seed: 3", "seed: 4")))
    assert names(other.frames("val")) != parts["val"]
    assert data.training_splits == ("train",)
    assert data.settings() == {}


def test_folds_cover_the_pool_once_each(tmp_path: Path) -> None:
    fill(tmp_path, 11)
    seen = []
    for fold in range(3):
        data = Custom(describe(tmp_path, CLASSES + POOL + f"split_by: {{folds: 3, fold: {fold}}}\n"))
        train, val = names(data.frames("train")), names(data.frames("val"))
        assert sorted(train + val) == [f"{i:03}" for i in range(11)]
        seen += val
    assert sorted(seen) == [f"{i:03}" for i in range(11)]


@given(st.integers(2, 60), st.integers(0, 99), st.floats(0.01, 0.99))
def test_a_division_depends_on_names_and_seed_alone(count: int, seed: int, share: float) -> None:
    every = [f"a/{i}" for i in range(count)]
    division = Division((("train", share), ("val", 1 - share)), seed)
    whole = division.split_of(every)
    assert set(whole) == set(every)
    assert set(whole.values()) == {"train", "val"}
    assert abs(sum(split == "train" for split in whole.values()) - count * share) <= 1
    assert division.split_of(every[::-1]) == whole
    if 0.2 < share < 0.8 and count > 4:
        more = division.split_of([*every, "b"])
        assert sum(more[name] != whole[name] for name in every) <= 1


@given(st.integers(2, 12), st.integers(0, 50))
def test_folds_divide_evenly(count: int, more: int) -> None:
    every = [str(i) for i in range(count + more)]
    division, _ = folds(count, 0, 1)
    parts = list(division.split_of(every).values())
    sizes = [parts.count(str(i)) for i in range(count)]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("together", ["folder", r"^\w+/", r"(\w+)/"])
def test_what_belongs_together_stays_together(together: str) -> None:
    every = [f"{clip}/{i}" for clip in "abcdefgh" for i in range(5)]
    split = Division((("train", 0.75), ("val", 0.25)), 0, together).split_of(every)
    for clip in "abcdefgh":
        assert len({split[f"{clip}/{i}"] for i in range(5)}) == 1
    assert sum(s == "val" for s in split.values()) == 10


def test_too_few_frames_to_divide(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    data = Custom(describe(tmp_path, CLASSES + POOL + "split_by: {folds: 3}\n"))
    with pytest.raises(AdaprepError, match=r"^1 frames cannot be divided into 3 splits \(0, 1, 2\)$"):
        data.frames("val")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (POOL, "line 1: missing key 'split_by'"),
        ("split_by: {folds: 3}\n", "line 1: missing key 'pool'"),
        (
            POOL + "split_by: {seed: 3}\n",
            "line 6: split_by: must have either 'fractions' (such as {train: 0.8, val: 0.2}) or 'folds' "
            "(such as 5)",
        ),
        (
            POOL + "split_by: {fractions: {train: 0.8, val: 0.3}}\n",
            "line 6: split_by.fractions: must not be more than 1 in all, found 1.1",
        ),
        (
            POOL + "split_by: {fractions: {train: 1.5}}\n",
            "line 6: split_by.fractions.train: must be a number of at most 1, found 1.5",
        ),
        (
            POOL + "split_by: {folds: 3, fold: 3}\n",
            "line 6: split_by.fold: must be a whole number in 0..2, found 3",
        ),
        (
            POOL + "split_by: {folds: 3, together: '('}\n",
            "line 6: split_by.together: must be 'folder' or a regular expression, found '(' "
            "(missing ), unterminated subpattern at position 0)",
        ),
        (
            POOL + "split_by: {fractions: {runs: 0.5}}\n",
            "line 6: split_by.fractions: no split can be called runs: workspaces have a folder of this name "
            "for something else",
        ),
        (
            POOL + "split_by: {folds: 3}\n" + SPLITS,
            "line 8: splits.train: a split of this name is made of the pool",
        ),
        (
            SPLITS + "unpaired: sikp\n",
            "line 7: unpaired: must be one of refuse, skip, found 'sikp'; did you mean 'skip'?",
        ),
    ],
)
def test_divisions_that_cannot_be(tmp_path: Path, text: str, problem: str) -> None:
    assert complaint(describe(tmp_path, CLASSES + text)) == problem


def test_other_splits_beside_a_pool(tmp_path: Path) -> None:
    fill(tmp_path, 4)
    fill(tmp_path, 2, "test/{}.png", "truth/{}.png")
    text = POOL + "split_by: {folds: 2}\nsplits: {test: {images: test, labels: truth}}\n"
    data = Custom(describe(tmp_path, CLASSES + text))
    assert data.splits == ("train", "val", "test")
    assert len(data.frames("test")) == 2


VOC = "splits: {val: {images: images, labels: labels, stems: val.txt}}\n"


def test_lists_of_stems(tmp_path: Path) -> None:
    fill(tmp_path, 6)
    (tmp_path / "val.txt").write_text("# chosen\n004\r\n002.png  \n\nimages/001.jpg\n003  1\n000 -1\n")
    data = Custom(describe(tmp_path, CLASSES + VOC))
    assert names(data.frames("val")) == ["000", "001", "002", "003", "004"]


def test_stems_with_folders_above_them(tmp_path: Path) -> None:
    fill(tmp_path, 2, "images/a/{}.png", "labels/a/{}.png")
    fill(tmp_path, 2, "images/b/{}.png", "labels/b/{}.png")
    (tmp_path / "val.txt").write_text("a/001\nb/000\n")
    data = Custom(describe(tmp_path, CLASSES + VOC))
    assert names(data.frames("val")) == ["a/001", "b/000"]
    (tmp_path / "val.txt").write_text("a/000\n001\n")
    with pytest.raises(AdaprepError, match=r"line 2: '001' fits several frames: a/001, b/001; give more"):
        data.frames("val")


def test_stems_that_no_file_has_are_told_when_they_are_read(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    (tmp_path / "val.txt").write_text("000\nb/007\n")
    frames = Custom(describe(tmp_path, CLASSES + VOC)).frames("val")
    assert names(frames) == ["000", "b/007"]
    with pytest.raises(FileError, match=r"labels/b/007\.png: no such file"):
        Custom(describe(tmp_path, CLASSES + VOC)).read_labels(frames[1])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("000\n000.png\n", "line 2: '000' was listed before, in line 1"),
        ("000\nimages/\n", "line 2: 'images/' is a folder, not the name of a frame"),
        ("\n# nothing\n", "the list is empty"),
    ],
)
def test_lists_of_stems_that_make_no_sense(tmp_path: Path, text: str, problem: str) -> None:
    fill(tmp_path, 1)
    (tmp_path / "val.txt").write_text(text)
    with pytest.raises(AdaprepError) as error:
        Custom(describe(tmp_path, CLASSES + VOC)).frames("val")
    assert str(error.value).endswith(problem)


@pytest.mark.parametrize(
    "text",
    [SPLITS + "unpaired: skip\n", SPLITS.replace("labels}", "labels, unpaired: skip}"), None],
)
def test_frames_that_lack_a_half_can_be_skipped(tmp_path: Path, text: str | None) -> None:
    fill(tmp_path, 3)
    picture(tmp_path / "images/100.png", color=True)
    picture(tmp_path / "labels/200.png")
    (tmp_path / "all.txt").write_text("images/001.png labels/001.png\nimages/9.png labels/9.png\n")
    said = text or "splits: {train: {list: all.txt, unpaired: skip}}\n"
    data = Custom(describe(tmp_path, CLASSES + said))
    assert names(data.frames("train")) == (["000", "001", "002"] if text else ["images/001"])
    said = "2 of 5, such as 100" if text else "1 of 2, such as images/9"
    assert data.notes("train") == [f"left out because the other half is missing (unpaired: skip): {said}"]


def test_nothing_left_when_halves_are_skipped(tmp_path: Path) -> None:
    picture(tmp_path / "images/100.png", color=True)
    picture(tmp_path / "labels/200.png")
    data = Custom(describe(tmp_path, CLASSES + SPLITS + "unpaired: skip\n"))
    with pytest.raises(AdaprepError, match=r"^mine/train: not one of the 2 frames has both image and label"):
        data.frames("train")


def test_a_folder_that_is_not_there_is_one_sentence_at_once(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    path = describe(tmp_path, CLASSES + "splits: {train: {images: imags, labels: masks/all}}\n")
    with pytest.raises(MissingFolder) as error:
        existing_splits(Custom(path), ())
    assert str(error.value) == (
        f"{path}: splits.train.images: there is no 'imags' in {tmp_path}; did you mean 'images'?\n"
        f"{path}: splits.train.labels: there is no 'masks' in {tmp_path}. There are: images, labels\n"
        f"If the data are elsewhere, give --root FOLDER."
    )


def test_a_validation_folder_that_is_not_there_is_not_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    data = Custom(describe(tmp_path, CLASSES + SPLITS + "  val: {images: image, labels: labels}\n"))
    with pytest.raises(MissingFolder, match=r"splits\.val\.images: there is no 'image' in .*'images'\?"):
        existing_splits(data, ())
    assert existing_splits(data, ("train",)) == ["train"]


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        ("images/{}.png", "labels/{}_mask.png", "3 files in {}/labels end in _mask: add label_suffix: _mask"),
        ("images/{}_rgb.png", "labels/{}.png", "3 files in {}/images end in _rgb: add image_suffix: _rgb"),
    ],
)
def test_a_suffix_that_would_pair_the_files_is_named(
    tmp_path: Path, images: str, labels: str, said: str
) -> None:
    fill(tmp_path, 3, images, labels)
    path = describe(tmp_path, CLASSES + SPLITS)
    with pytest.raises(AdaprepError) as error:
        Custom(path).frames("train")
    sentence = said.format(tmp_path)
    assert str(error.value) == f"mine/train: no image has a label map of the same name. {sentence}"
    word, suffix = sentence.rsplit("add ", 1)[1].split(": ")
    describe(tmp_path, CLASSES + SPLITS.replace("labels}", f"labels, {word}: {suffix}}}"))
    assert len(Custom(path).frames("train")) == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("001_mask.png", "there is 001_mask.png: if that is it, add label_suffix: _mask"),
        ("001.json", "there is 001.json: label maps must be BMP, NPY, PGM, PNG, PNM, TIF, TIFF"),
    ],
)
def test_a_missing_label_map_is_told_with_what_is_there(tmp_path: Path, name: str, said: str) -> None:
    fill(tmp_path, 1)
    picture(tmp_path / "images/001.png", color=True)
    (tmp_path / "labels" / name).write_bytes(b"x")
    data = Custom(describe(tmp_path, CLASSES + SPLITS))
    frame = next(frame for frame in data.frames("train") if frame.name == "001")
    with pytest.raises(FileError) as error:
        data.read_labels(frame)
    assert str(error.value) == f"{tmp_path}/labels/001.png: no such file; {said}"
