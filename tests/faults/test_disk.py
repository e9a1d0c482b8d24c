"""A disk that fills while a command writes: a sentence, and with room the same bytes at the end."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.harness import (
    TRACEBACK,
    World,
    assert_whole,
    finished,
    limit_file_size,
    make_world,
    resize_disk,
    small_disk,
)

ORDER = ("boundaries", "solve-tensors", "sample", "train", "evaluate", "report")


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    """For every command, a workspace as it is before that command; and `whole`, after the last."""
    pytest.importorskip("torch")
    world = make_world(tmp_path_factory.mktemp("disk"))
    before = {}
    for command in ORDER:
        before[command] = world
        world = world.copied(f"after-{command}") if world.space.exists() else world.at(f"after-{command}")
        done = finished(world.arguments(command))
        assert done.code == 0, done.output
    return {**before, "whole": world}


def after(stages: dict[str, World], command: str) -> World:
    following = (*ORDER, "whole")
    return stages[following[following.index(command) + 1]]


@pytest.mark.slow
@pytest.mark.parametrize("command", ORDER)
def test_a_disk_that_fills_ends_in_a_sentence_and_later_in_the_same_bytes(
    command: str, stages: dict[str, World], tmp_path: Path
) -> None:
    before = stages[command]
    with small_disk(tmp_path / "small", "256m") as disk:
        world = World(before.folder, disk / "space")
        if before.space.exists():
            shutil.copytree(before.space, world.space)
        resize_disk(disk, f"{used(disk) + 24 * 1024}")
        full = finished(world.arguments(command))
        assert full.code == 1, full.output
        assert TRACEBACK not in full.output
        assert "Error: " in full.output
        assert any(word in full.text for word in ("disk is full", "make room", "No space left")), full.text
        resize_disk(disk, "256m")
        done = finished(world.arguments(command))
        assert done.code == 0, done.output
        assert_whole(world, after(stages, command))


def used(disk: Path) -> int:
    """Bytes in use on a disk, in its own blocks."""
    return shutil.disk_usage(disk).used


@pytest.mark.slow
@pytest.mark.parametrize("command", ["boundaries", "solve-tensors", "sample", "train"])
def test_a_limit_on_the_size_of_files_ends_in_a_sentence(
    command: str, stages: dict[str, World], tmp_path: Path
) -> None:
    before = stages[command]
    world = World(before.folder, tmp_path / "space")
    if before.space.exists():
        shutil.copytree(before.space, world.space)
    limited = finished(world.arguments(command), preexec_fn=limit_file_size(400))
    assert limited.code == 1, limited.output
    assert TRACEBACK not in limited.output
    assert finished(world.arguments(command)).code == 0
    assert_whole(world, after(stages, command))
