"""SIGKILL at any moment of any command: the next run ends in what an undisturbed run ends in."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.conftest import killed_at_move
from tests.faults.harness import Stage, World, assert_whole, kill, make_world, run_timed, start

RECIPE = """\
dataset: {yaml}
workspace: {space}
device: cpu
grid: 4
check: {{limit: 3}}
upper_bound: {{resolutions: [8]}}
base:
  architecture: unet
  rate: 1e-3
  epochs: 2
  batch_size: 4
  resolutions:
    8: {{samplers: [uniform]}}
"""

KILLS = 3


def test_killed_with_a_block_half_written_boundaries_end_in_the_same_bytes(tmp_path: Path) -> None:
    undisturbed = make_world(tmp_path).at("undisturbed").prepare("boundaries")
    world = undisturbed.at("killed")
    assert killed_at_move(12, world.arguments("boundaries"))
    assert list(world.space.rglob("*.partial"))
    world.prepare("boundaries")
    assert_whole(world, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["boundaries", "solve-tensors", "sample", "train", "evaluate", "report"])
def test_killed_at_random_moments_a_command_ends_in_the_same_bytes_and_weights(
    command: str, stages: dict[str, Stage]
) -> None:
    stage = stages[command]
    world = stage.before.copied(f"killed-{command}")
    kill_at_random_moments(world.arguments(command), stage.seconds, seed=len(command))
    assert_whole(world, stage.after)


@pytest.mark.slow
def test_killed_at_random_moments_a_recipe_ends_in_the_same_workspace(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    world = make_world(tmp_path)
    seconds = run_timed(recipe(world.at("undisturbed")))
    kill_at_random_moments(recipe(world.at("killed")), seconds, seed=7)
    assert_whole(world.at("killed"), world.at("undisturbed"))


def recipe(world: World) -> list[str]:
    path = world.folder / f"{world.space.name}.yaml"
    path.write_text(RECIPE.format(yaml=world.yaml, space=world.space), encoding="utf-8")
    return ["run", str(path)]


def kill_at_random_moments(arguments: list[str], seconds: float, seed: int) -> None:
    """Kill it KILLS times, at moments spread over the time it takes; then let it end."""
    chance = random.Random(seed)
    kills = 0
    for k in range(KILLS):
        process = start(arguments)
        time.sleep(seconds * chance.uniform(k + 0.5, k + 1.5) / (KILLS + 1))
        kills += kill(process)
    assert kills, "every run ended before it was killed"
    run_timed(arguments)
