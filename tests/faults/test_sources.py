"""Sources that change, vanish or cannot be read, between runs and during one, and clocks that are wrong."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets.base import Frame
from pipeline.datasets.custom import Custom
from tests.faults.harness import World, assert_whole, make_world, repaint

YEAR = 365 * 86400


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path).prepare("boundaries", "solve-tensors")


def made_afresh(world: World) -> World:
    return world.at("afresh").prepare("boundaries", "solve-tensors")


def pad(path: Path, size: int) -> None:
    """Bring a PNG to a size: bytes behind its end are not looked at."""
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))


def repaint_to_same_size(label: Path) -> None:
    """Other pixels in a file of as many bytes as before."""
    before = label.stat().st_size
    for seed in range(1000):
        repaint(label, seed)
        if label.stat().st_size == before:
            return
    raise AssertionError("no label map of that many bytes was found")


def test_a_label_map_that_changed_is_done_again_and_only_its_block(world: World) -> None:
    repaint(world.labels()[9])
    outcome = world.do("boundaries")
    assert outcome.code == 0
    assert "8 images in" in outcome.text
    assert "12 done before" in outcome.text
    world.prepare("solve-tensors")
    assert_whole(world, made_afresh(world))


def test_a_label_map_that_vanishes_keeps_what_was_made_of_it(world: World) -> None:
    world.labels()[3].unlink()
    assert world.do("boundaries").code == 0
    assert world.do("solve-tensors").code == 0


def test_a_label_map_that_vanishes_before_its_block_is_done_is_that_files_failure(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    away = world.labels()[3].rename(tmp_path / "away.png")
    outcome = world.do("boundaries")
    assert outcome.code == 1
    assert "1 failed" in outcome.text
    assert "labels/train/0003.png: no such file" in outcome.text
    away.rename(world.folder / "data" / "labels" / "train" / "0003.png")
    world.prepare("boundaries")
    assert_whole(world, world.at("afresh").prepare("boundaries"))


def test_an_image_that_vanishes_is_that_files_failure_in_samples(world: World) -> None:
    image = world.images()[5]
    away = image.rename(world.folder / "away.png")
    outcome = world.do("sample")
    assert outcome.code == 1
    assert "1 failed" in outcome.text
    assert "images/train/0005.png" in outcome.text
    away.rename(image)
    world.prepare("sample")
    assert_whole(world, made_afresh(world).prepare("sample"))


def test_a_file_that_cannot_be_read_is_that_files_failure(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    label = world.labels()[2]
    label.unlink()
    label.symlink_to(label.name)  # what no permission is to a user, a loop of links is to root too
    outcome = world.do("boundaries")
    assert outcome.code == 1
    assert "1 failed" in outcome.text
    assert str(label) in outcome.text


def test_pairs_that_vanish_are_refused_with_the_first_that_differs(world: World) -> None:
    for path in (world.images()[4], world.labels()[4]):
        path.unlink()
    outcome = world.do("boundaries")
    assert outcome.code == 1
    assert "number 5 was 0004" in outcome.text
    assert "--overwrite" in outcome.text


def test_a_whole_folder_that_vanishes_ends_in_a_sentence(world: World) -> None:
    shutil.rmtree(world.folder / "data" / "images")
    outcome = world.do("boundaries")
    assert outcome.code == 1
    assert "splits.train.images: there is no 'images' in" in outcome.text
    assert "If the data are elsewhere, give --root FOLDER" in outcome.text


def test_a_label_map_that_changes_while_it_is_read_is_done_again_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(tmp_path)
    decode = Custom.decode_labels

    def decode_then_change(dataset: Custom, data: bytes, frame: Frame) -> Any:
        labels = decode(dataset, data, frame)
        if frame.label.name == "0006.png" and "train" in str(frame.label):
            repaint(frame.label)
        return labels

    with monkeypatch.context() as changing:
        changing.setattr(Custom, "decode_labels", decode_then_change)
        world.do("boundaries")
    world.prepare("boundaries")
    assert_whole(world, world.at("afresh").prepare("boundaries"))


@pytest.mark.parametrize("shift", [-20 * YEAR, 20 * YEAR], ids=["back", "forward"])
def test_a_changed_label_map_is_noticed_whatever_its_time_says(world: World, shift: float) -> None:
    label = world.labels()[9]
    repaint(label)
    now = label.stat().st_mtime
    os.utime(label, (now + shift, now + shift))
    world.prepare("boundaries", "solve-tensors")
    assert_whole(world, made_afresh(world))


def test_a_label_map_changed_with_its_old_time_and_size_kept_is_noticed(world: World) -> None:
    label = world.labels()[9]
    times = label.stat().st_atime_ns, label.stat().st_mtime_ns
    repaint_to_same_size(label)
    os.utime(label, ns=times)
    world.prepare("boundaries", "solve-tensors")
    assert_whole(world, made_afresh(world))


def test_a_store_from_a_clock_that_ran_ahead_does_not_hide_a_change(world: World) -> None:
    for path in world.space.rglob("*"):
        later = path.stat().st_mtime + YEAR
        os.utime(path, (later, later))
    repaint_to_same_size(world.labels()[9])
    world.prepare("boundaries", "solve-tensors")
    assert_whole(world, made_afresh(world))


def test_times_alone_make_nothing_to_do(world: World) -> None:
    for label in world.labels():
        os.utime(label, (2**31, 2**31))
    outcome = world.do("boundaries")
    assert outcome.code == 0
    assert "20 done before" in outcome.text
