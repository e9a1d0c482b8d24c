"""SIGKILL at any moment of any command: the next run ends in what an undisturbed run ends in."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.conftest import killed_at_move
from tests.faults.harness import World, assert_whole, finished, kill, make_world, start

BEFORE = {
    "boundaries": (),
    "solve-tensors": ("boundaries",),
    "sample": ("boundaries", "solve-tensors"),
}
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
@pytest.mark.parametrize("command", list(BEFORE))
def test_killed_at_random_moments_a_stage_ends_in_the_same_bytes(command: str, tmp_path: Path) -> None:
    world = make_world(tmp_path, train=60).prepare(*BEFORE[command])
    kill_and_compare(world, command)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A workspace with everything that a training needs."""
    pytest.importorskip("torch")
    world = make_world(tmp_path_factory.mktemp("sampled"))
    return world.prepare("boundaries", "solve-tensors", "sample")


@pytest.fixture(scope="module")
def trained(sampled: World) -> World:
    world = sampled.copied("trained")
    done = finished(world.arguments("train"))
    assert done.code == 0, done.output
    return world


@pytest.fixture(scope="module")
def evaluated(trained: World) -> World:
    world = trained.copied("evaluated")
    done = finished(world.arguments("evaluate"))
    assert done.code == 0, done.output
    return world


@pytest.mark.slow
def test_killed_at_random_moments_a_training_ends_in_the_same_weights_bit_for_bit(sampled: World) -> None:
    kill_and_compare(sampled, "train")


@pytest.mark.slow
def test_killed_at_random_moments_an_evaluation_ends_in_the_same_figures(trained: World) -> None:
    kill_and_compare(trained, "evaluate")


@pytest.mark.slow
def test_killed_at_random_moments_a_report_ends_in_the_same_pages(evaluated: World) -> None:
    kill_and_compare(evaluated, "report")


@pytest.mark.slow
def test_killed_at_random_moments_a_recipe_ends_in_the_same_workspace(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    world = make_world(tmp_path)
    kill_at_random_moments(
        recipe(world.at("killed")), undisturbed_seconds=whole(recipe(world.at("undisturbed"))), seed=7
    )
    assert_whole(world.at("killed"), world.at("undisturbed"))


def recipe(world: World) -> list[str]:
    path = world.folder / f"{world.space.name}.yaml"
    path.write_text(RECIPE.format(yaml=world.yaml, space=world.space), encoding="utf-8")
    return ["run", str(path)]


def kill_and_compare(before: World, command: str) -> None:
    """Kill the command a few times on a copy of a workspace, finish it, compare with a whole run of it."""
    if before.space.exists():
        undisturbed, killed = (before.copied(f"{name}-{command}") for name in ("undisturbed", "killed"))
    else:
        undisturbed, killed = before.at("undisturbed"), before.at("killed")
    seconds = whole(undisturbed.arguments(command))
    kill_at_random_moments(killed.arguments(command), seconds, seed=len(command))
    assert_whole(killed, undisturbed)


def whole(arguments: list[str]) -> float:
    """Run a command undisturbed; how long it took."""
    begun = time.monotonic()
    done = finished(arguments)
    assert done.code == 0, done.output
    return time.monotonic() - begun


def kill_at_random_moments(arguments: list[str], undisturbed_seconds: float, seed: int) -> None:
    """Kill it KILLS times, at moments spread over the time it takes; then let it end."""
    chance = random.Random(seed)
    kills = 0
    for k in range(KILLS):
        process = start(arguments)
        time.sleep(undisturbed_seconds * chance.uniform(k + 0.5, k + 1.5) / (KILLS + 1))
        kills += kill(process)
    assert kills, "every run ended before it was killed"
    whole(arguments)
