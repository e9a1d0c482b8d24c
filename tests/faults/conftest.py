"""Workspaces as they are before and after each command, made once for all tests that break a command."""

from __future__ import annotations

import pytest

from tests.faults.harness import Stage, make_world, run_timed


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    """Every command of the usual way, run undisturbed in a process of its own."""
    pytest.importorskip("torch")
    world = make_world(tmp_path_factory.mktemp("stages"))
    found = {}
    for command in world.commands:
        after = world.copied(f"after-{command}")
        found[command] = Stage(world, after, run_timed(after.arguments(command)))
        world = after
    return found
