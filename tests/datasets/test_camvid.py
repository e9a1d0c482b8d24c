"""CamVid in both layouts, and the genuine one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.base import VOID
from pipeline.datasets.camvid import CamVid
from pipeline.errors import AdaprepError, FileError
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
        f"{CamVid.archives}\nIf the data lie elsewhere, say so with --root FOLDER."
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
