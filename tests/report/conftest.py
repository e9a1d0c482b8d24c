"""Workspaces to report on: prepared once, and a report of trained systems."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.workspace import stores
from tests.report.test_page import LONG, Written, add_run, cli, read, write_blobs


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with boundaries and tensors, nothing trained."""
    root = tmp_path_factory.mktemp("prepared")
    yaml = write_blobs(root / "blobs")
    cli("boundaries", "--dataset", yaml, "--grid", "4", "--workspace", root / "w")
    cli("solve-tensors", "--workspace", root / "w")
    return root / "w"


@pytest.fixture
def space(prepared: Path, tmp_path: Path) -> stores.Workspace:
    """A copy of it, to change."""
    return stores.Workspace(Path(shutil.copytree(prepared, tmp_path / "w")))


@pytest.fixture(scope="session")
def trained(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Three resolutions, two seeds, adaptive and uniform; gains at 16, losses at 32. Not to change."""
    space = stores.Workspace(Path(shutil.copytree(prepared, tmp_path_factory.mktemp("trained") / "w")))
    for seed in (0, 1):
        add_run(space, "uniform", 16, seed, 0.40, 0.30, history=LONG)
        add_run(space, "auxiliary", 16, seed, 0.42, 0.35 + 0.02 * seed)
        add_run(space, "uniform", 32, seed, 0.50, 0.40)
        add_run(space, "auxiliary", 32, seed, 0.48, 0.41 - 0.03 * seed)
        add_run(space, "uniform", 64, seed, 0.60, 0.50)
        add_run(space, "auxiliary", 64, seed, 0.61, 0.52)
    add_run(space, "proposal", 32, 0, 0.51, 0.45)
    cli("upper-bound", "--workspace", space.path, "--split", "val", "--lambda", "0.1,1,10", "--save")
    return read(space)
