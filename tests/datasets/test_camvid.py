"""CamVid in both layouts, and the genuine one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets import sequences
from pipeline.datasets.base import VOID, Moment
from pipeline.datasets.camvid import CamVid, CamVidBySequence
from pipeline.errors import AdaprepError, FileError
from pipeline.stages import check
from tests.conftest import shared
from tests.datasets import replicas


@pytest.mark.parametrize("layout", ["images/labels", "segnet", "960x720"])
def test_frames_of_each_layout(tmp_path: Path, layout: str) -> None:
    dataset = CamVid(replicas.camvid(tmp_path, CamVid.table, layout))
    assert [len(dataset.frames(split)) for split in dataset.splits] == [3, 2, 1]
    for frame in dataset.frames("train"):
        labels = dataset.read_labels(frame)
        assert labels.shape == replicas.SIZE == dataset.label_size(frame)
        assert dataset.read_image(frame).shape == (*replicas.SIZE, 3)
        assert dataset.classes.lut[labels].max() <= VOID
        assert dataset.read_instances(frame) is None
    assert [frame.name for frame in dataset.frames("val")] == ["0001TP_000000", "0001TP_000001"]


def test_both_kinds_of_void() -> None:
    lut = CamVid.table.lut
    assert lut[11] == lut[255] == VOID
    assert lut[:11].tolist() == list(range(11))
    assert [CamVid.table.names[t] for t in CamVid.table.targets] == ["car", "pedestrian", "bicyclist"]


def test_a_frame_without_its_other_file_is_listed_and_fails_when_read(tmp_path: Path) -> None:
    root = replicas.camvid(tmp_path, CamVid.table)
    (root / "labels/train/0001TP_000000.png").unlink()
    (root / "images/train/0001TP_000002.png").unlink()
    dataset = CamVid(root)
    first, _, last = dataset.frames("train")
    with pytest.raises(FileError, match=r"labels/train/0001TP_000000\.png: no such file$"):
        dataset.read_labels(first)
    with pytest.raises(FileError, match=r"images/train/0001TP_000002\.png: no such file$"):
        dataset.read_image(last)
    assert dataset.read_labels(last).shape == replicas.SIZE


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(AdaprepError) as error:
        CamVid(tmp_path).frames("val")
    assert str(error.value) == (
        f"camvid: no images found. Looked for\n"
        f"  {tmp_path}/images/val/*\n  {tmp_path}/labels/val/*\n  {tmp_path}/val/*\n  {tmp_path}/valannot/*\n"
        f"{CamVid.archives}\nIf the data are elsewhere, give --root FOLDER."
    )


def test_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(AdaprepError, match="camvid has no split 'dev'; it has: train, val, test"):
        CamVid(tmp_path).frames("dev")


def test_genuine_files() -> None:
    dataset = CamVid(shared("camvid"))
    assert [len(dataset.frames(split)) for split in ("train", "val")] == [367, 101]
    used: set[int] = set()
    for frame in dataset.frames("val"):
        labels = dataset.read_labels(frame)
        assert labels.shape == (360, 480) == dataset.read_image(frame).shape[:2]
        used |= set(np.unique(labels).tolist())
    assert used == set(range(12))


def by_sequence(root: Path) -> CamVidBySequence:
    """Two sequences in each of the two splits; void of content."""
    for split, names in {
        "train": ["0001TP_006690", "0006R0_f00930", "0006R0_f00960", "0016E5_00390"],
        "val": ["0016E5_07959", "0006R0_f03930"],
        "test": ["Seq05VD_f00000"],
    }.items():
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
            for name in names:
                (root / kind / split / f"{name}.png").touch()
    return CamVidBySequence(root)


def test_a_whole_sequence_is_held_out(tmp_path: Path) -> None:
    dataset = by_sequence(tmp_path)
    names = {split: [frame.name for frame in dataset.frames(split)] for split in dataset.splits}
    assert names == {
        "train": ["0001TP_006690", "0016E5_00390", "0016E5_07959"],
        "val": ["0006R0_f00930", "0006R0_f00960", "0006R0_f03930"],
        "test": ["Seq05VD_f00000"],
    }
    assert [dataset.moment(frame) for frame in dataset.frames("val")[:2]] == [
        Moment("0006R0", "", 930),
        Moment("0006R0", "", 960),
    ]


def test_without_the_sequence_there_is_nothing_to_validate_on(tmp_path: Path) -> None:
    root = replicas.camvid(tmp_path, CamVid.table)
    (root / "labels/val/0001TP_000000.png").rename(root / "labels/val/0001TP_000009.png")
    with pytest.raises(AdaprepError, match=r"images of the sequence 0006R0 in .*\nPut SegNet's CamVid"):
        CamVidBySequence(root).frames("val")


def test_genuine_sequences() -> None:
    root = shared("camvid")
    usual, apart = CamVid(root), CamVidBySequence(root)
    assert [len(apart.frames(split)) for split in ("train", "val")] == [367, 101]
    every = {frame.name for split in ("train", "val") for frame in usual.frames(split)}
    assert every == {frame.name for split in ("train", "val") for frame in apart.frames(split)}
    near = {
        d.name: len(list(sequences.near(d, d.frames("val"), [d.frames("train")]))) for d in (usual, apart)
    }
    assert near["camvid"] == 101
    assert near["camvid-by-sequence"] == 0
    (note,) = check.neighbours(usual, "val", usual.frames("val"))
    assert note.startswith("101 of 101 images of val were filmed next to an image that is trained on")
    assert check.neighbours(apart, "val", apart.frames("val")) == []
