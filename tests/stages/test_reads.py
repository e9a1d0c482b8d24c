"""How often files are read and folders listed, and how much travels to a task: counted, not timed."""

from __future__ import annotations

import os
import pickle
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import main
from pipeline.stages import cluster
from pipeline.stages.engine import Work
from pipeline.workspace.stores import Workspace
from tests.conftest import blobs_in, left_alone, tree

_counting: list[Counter[Path]] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    """Called by the interpreter; `open` is told twice where it has an opener, once without a mode."""
    if _counting and (event == "os.scandir" or (event == "open" and arguments[1] is not None)):
        place = arguments[0]
        if isinstance(place, str | os.PathLike):
            _counting[-1][Path(place)] += 1


@pytest.fixture(scope="module")
def _hooked() -> None:
    sys.addaudithook(_note)


@pytest.fixture(scope="module")
def yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return left_alone(blobs_in(tmp_path_factory.mktemp("reads"))(train=19, val=0))


@contextmanager
def opened() -> Iterator[Counter[Path]]:
    """Count what is opened or listed meanwhile."""
    _counting.append(Counter())
    try:
        yield _counting[-1]
    finally:
        _counting.clear()


def run(command: str, *arguments: object) -> None:
    done = CliRunner().invoke(main, [command, *map(str, arguments), "--quiet"])
    assert done.exit_code == 0, done.output


def times(found: Counter[Path], folder: Path) -> Counter[int]:
    """How many files of a folder were opened how often."""
    return Counter(count for path, count in found.items() if path.parent == folder)


@pytest.mark.usefixtures("_hooked")
def test_files_are_opened_and_folders_listed_no_more_often_than_they_must_be(
    yaml: Path, tmp_path: Path
) -> None:
    images, labels = (yaml.parent / kind / "train" for kind in ("images", "labels"))
    here = ("--workspace", tmp_path / "w")
    data = ("--dataset", yaml, "--split", "train", "--threads", "1", *here)
    folder = Workspace(tmp_path / "w").folder("blobs", "train")

    with opened() as found:
        run("boundaries", *data)
    assert times(found, labels) == {2: 19}  # the header, to lay out the store, and the map
    assert times(found, images) == {1: 19}  # the header
    assert found[images] == found[labels] == 1

    with opened() as found:
        run("boundaries", *data)
    assert not times(found, labels)
    assert not times(found, images)
    assert found[images] == found[labels] == 1
    assert found[folder.inputs] <= 4

    run("solve-tensors", "--threads", "1", *here)
    outputs = ("--sampler", "uniform", "--sampler", "proposal", "--aux-resolution", "16")
    with opened() as found:
        run("sample", "--resolution", "8", *outputs, "--threads", "1", *here)
    assert times(found, labels) == times(found, images) == {1: 19}
    # once to compare it with the tensors', once to write it down, for whatever number of images and outputs
    chunks = times(found, folder.boundaries / "source")
    assert chunks[2] == 3
    assert sum(chunks.values()) == 3 + 1  # and zarr.json

    with opened() as found:
        run("verify", *here)
    assert times(found, labels) == times(found, images) == {1: 19}
    assert not found[images] + found[labels]


class Sent:
    """Workers to which tasks travel, in this process; keeps what they were sent."""

    def __init__(self) -> None:
        self.tasks: list[bytes] = []

    def __call__(self, name: str, work: Sequence[Work], session: Any, take: Callable[[Any], None]) -> None:
        for one in work:
            self.tasks.append(pickle.dumps(one))
            take(pickle.loads(self.tasks[-1]).task())


def test_a_task_takes_no_paths_of_images_along_and_writes_the_same_bytes(
    yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def do(name: str, *where: object) -> Path:
        here = ("--workspace", tmp_path / name)
        run("boundaries", "--dataset", yaml, "--split", "train", "--block-size", 19, *where, *here)
        run("sample", "--resolution", "8", "--sampler", "uniform", *where, *here)
        return tmp_path / name / "blobs" / "train"

    threads = do("threads")
    sent = Sent()
    monkeypatch.setattr(cluster, "run", sent)
    workers = do("workers", "--workers", 1)
    assert len(sent.tasks) == 1 + 3
    for task in sent.tasks:
        assert not any(name in task for name in (b"0010.png", b"0010.jpg"))
        assert len(task) < 4_000
    for store in ("boundaries.zarr", "samples"):
        assert tree(workers / store) == tree(threads / store)
