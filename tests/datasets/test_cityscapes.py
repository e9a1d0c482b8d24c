"""Cityscapes on a replica, and on genuine frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.base import UNKNOWN, VOID
from pipeline.datasets.cityscapes import Cityscapes
from pipeline.errors import AdaprepError, FileError
from tests.conftest import shared
from tests.datasets import replicas

TABLE = Cityscapes.table


@pytest.fixture
def dataset(tmp_path: Path) -> Cityscapes:
    return Cityscapes(replicas.cityscapes(tmp_path, TABLE))


def test_frames_are_paired_across_the_cities(dataset: Cityscapes) -> None:
    names = [frame.name for frame in dataset.frames("train")]
    assert names == [
        "aachen/aachen_000000_000019",
        "aachen/aachen_000001_000019",
        "bochum/bochum_000000_000019",
    ]
    for frame in dataset.frames("train"):
        assert dataset.read_labels(frame).shape == dataset.read_image(frame).shape[:2]
    assert len(dataset.frames("val")) == 1


def test_official_train_ids() -> None:
    official = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert TABLE.lut[official].tolist() == list(range(19))
    assert set(TABLE.lut[sorted(set(range(34)) - set(official))]) == {VOID}
    assert TABLE.lut[34] == UNKNOWN
    assert TABLE.targets == tuple(range(11, 19))
    assert TABLE.colors[0].tolist() == [128, 64, 128]
    assert TABLE.colors[18].tolist() == [119, 11, 32]


def test_instances_are_numbers_from_1000_on(dataset: Cityscapes) -> None:
    frame = dataset.frames("train")[0]
    labels, instances = dataset.read_labels(frame), dataset.read_instances(frame)
    assert instances is not None
    assert instances.dtype == np.int32
    objects = instances > 0
    np.testing.assert_array_equal(instances[objects], labels[objects].astype(int) * 1000)
    assert not objects[3:].any()
    assert objects.any() == (labels[:3] >= 24).any()


def test_no_instance_file_is_no_instances(dataset: Cityscapes) -> None:
    frame = dataset.frames("val")[0]
    assert frame.instance is not None
    frame.instance.unlink()
    assert dataset.read_instances(frame) is None


def test_images_and_label_maps_alone_are_frames_too(dataset: Cityscapes) -> None:
    first, second, _ = dataset.frames("train")
    first.image.unlink()
    second.label.unlink()
    assert len(dataset.frames("train")) == 3
    with pytest.raises(FileError, match=r"aachen_000000_000019_leftImg8bit\.png: no such file$"):
        dataset.read_image(first)
    with pytest.raises(FileError, match=r"aachen_000001_000019_gtFine_labelIds\.png: no such file$"):
        dataset.label_size(second)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(AdaprepError) as error:
        Cityscapes(tmp_path).frames("val")
    assert (
        f"Looked for\n  {tmp_path}/leftImg8bit/val/*/*_leftImg8bit.png\n"
        f"  {tmp_path}/gtFine/val/*/*_gtFine_labelIds.png\nUnpack leftImg8bit_trainvaltest.zip"
    ) in str(error.value)


def test_test_labels_are_said_to_be_dummies(dataset: Cityscapes) -> None:
    assert dataset.notes("train") == []
    assert dataset.notes("test") == [
        "the label maps of the test split are dummies: its annotation is kept by the benchmark"
    ]


def test_genuine_files() -> None:
    dataset = Cityscapes(shared("cityscapes"))
    frames = dataset.frames("train")
    assert len(frames) == 8
    for frame in frames:
        labels, instances = dataset.read_labels(frame), dataset.read_instances(frame)
        assert labels.shape == dataset.label_size(frame) == (1024, 2048)
        assert labels.dtype == np.uint8
        assert (dataset.classes.lut[np.unique(labels)] != UNKNOWN).all()
        assert instances is not None
        objects = instances > 0
        assert objects.any()
        np.testing.assert_array_equal(labels[objects], instances[objects] // 1000)
