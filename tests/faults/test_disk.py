"""A disk that fills while a command writes: a sentence, and with room the same bytes at the end."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from tests.faults.harness import (
    TRACEBACK,
    Stage,
    World,
    assert_whole,
    finished,
    limit_file_size,
    make_world,
    resize_disk,
    small_disk,
)

ROOM = {"evaluate": 0}
"""Bytes that are free when a command begins, where 24 KiB would do: so that it fills the disk."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    ["boundaries", "solve-tensors", "sample", "train", "evaluate", "report"],
)
def test_a_disk_that_fills_ends_in_a_sentence_and_later_in_the_same_bytes(
    command: str, stages: dict[str, Stage], tmp_path: Path
) -> None:
    stage = stages[command]
    with small_disk(tmp_path / "small", "256m") as disk:
        world = World(stage.before.folder, disk / "space")
        if stage.before.space.exists():
            shutil.copytree(stage.before.space, world.space)
        resize_disk(disk, f"{used(disk) + ROOM.get(command, 24 * 1024)}")
        full = finished(world.arguments(command))
        resize_disk(disk, "256m")
        done = finished(world.arguments(command))
        assert done.code == 0, done.output
        assert_whole(world, stage.after)
    assert full.code == 1, full.output
    assert TRACEBACK not in full.output
    assert "Error: " in full.output
    assert any(words in full.text for words in ("disk is full", "make room", "No space left")), full.text


RECIPE = """\
dataset: {yaml}
workspace: {space}
grid: 4
upper_bound: {{resolutions: [8]}}
report: false
"""


@pytest.mark.slow
def test_a_recipe_on_a_disk_that_fills_ends_in_a_sentence_and_later_in_the_same_workspace(
    tmp_path: Path,
) -> None:
    world = make_world(tmp_path)
    undisturbed = world.at("undisturbed")
    assert finished(recipe(undisturbed)).code == 0
    with small_disk(tmp_path / "small", "256m") as disk:
        small = World(world.folder, disk / "space")
        resize_disk(disk, f"{used(disk) + 64 * 1024}")
        full = finished(recipe(small))
        resize_disk(disk, "256m")
        done = finished(recipe(small))
        assert done.code == 0, done.output
        assert_whole(small, undisturbed)
    assert full.code == 1, full.output
    assert TRACEBACK not in full.output
    assert "run the recipe again" in full.text
    assert any(words in full.text for words in ("disk is full", "make room", "No space left")), full.text


def recipe(world: World) -> list[str]:
    path = world.folder / f"disk-{world.space.parent.name}.yaml"
    path.write_text(RECIPE.format(yaml=world.yaml, space=world.space), encoding="utf-8")
    return ["run", str(path)]


def used(disk: Path) -> int:
    """Bytes in use on a disk, in its own blocks."""
    return shutil.disk_usage(disk).used


@pytest.mark.slow
@pytest.mark.parametrize("command", ["boundaries", "solve-tensors", "sample", "train"])
def test_a_limit_on_the_size_of_files_ends_in_a_sentence(command: str, stages: dict[str, Stage]) -> None:
    stage = stages[command]
    world = stage.before.copied(f"limited-{command}")
    limited = finished(world.arguments(command), first=partial(limit_file_size, 400))
    assert limited.code == 1, limited.output
    assert TRACEBACK not in limited.output
    assert finished(world.arguments(command)).code == 0
    assert_whole(world, stage.after)
