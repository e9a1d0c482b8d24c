"""Whole processes: killed without notice, and several at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from pipeline.networks import checkpoint  # noqa: E402
from pipeline.workspace import results, stores  # noqa: E402
from tests.conftest import killed_at_move, tree  # noqa: E402
from tests.processes import REPOSITORY, Forked, together  # noqa: E402
from tests.train.test_fit import drop_times, make_space, same, weights  # noqa: E402

MakeBlobs = Callable[..., Path]
RUN = "base-tests.train.test_fit-tiny-uniform-8-seed0"

pytestmark = pytest.mark.slow


def arguments(space: Path, *more: object) -> list[str]:
    options = ["--network", "base", "--sampler", "uniform", "--architecture", "tests.train.test_fit:tiny"]
    sizes = ["--resolution", "8", "--batch-size", "4", "--device", "cpu"]
    return ["train", *options, *sizes, "--workspace", str(space), *map(str, more)]


def torchrun(*arguments: object) -> subprocess.Popen[str]:
    """A command of two processes."""
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "cli")
    return subprocess.Popen(
        [sys.executable, "-m", *launcher, *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: Forked | subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def test_a_killed_run_goes_on_to_the_same_weights(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    space = make_space(make_blobs(train=21, val=3), tmp_path / "w").path
    other = tmp_path / "other"
    shutil.copytree(space, other)
    options = ("--epochs", 150, "--learning-rate", 0.01, "--validate-every", 10, "--save-every", 7)
    finish(Forked(arguments(other, *options)))
    folder = space / "blobs" / "runs" / RUN
    kills = 0
    for saves in (1, 6):  # killed after so many more checkpoints, at whatever it was doing
        process = Forked(arguments(space, *options))
        seen: set[int] = set()
        while len(seen) <= saves and process.poll() is None:
            if (folder / "last.pt").exists():
                seen.add((folder / "last.pt").stat().st_mtime_ns)
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills == 2
    position = checkpoint.load(folder / "last.pt").training["position"]
    assert 0 < position["epoch"] < 150
    finish(Forked(arguments(space, *options)))
    for name in ("last.pt", "best.pt"):
        assert same(weights(folder / name), weights(other / "blobs" / "runs" / RUN / name))
    rows = [
        [drop_times(row) for row in results.read_history(path / "blobs" / "runs" / RUN / "history.csv")]
        for path in (space, other)
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 150


def test_a_run_killed_with_a_file_half_written_goes_on_to_the_same_weights(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    space = make_space(make_blobs(train=8, val=3), tmp_path / "w").path
    other = tmp_path / "other"
    shutil.copytree(space, other)
    options = ("--epochs", 2, "--save-every", 1)
    finish(Forked(arguments(other, *options)))
    moves = 0
    while killed_at_move(moves, arguments(space, *options)):
        moves += 1
    assert moves >= 6  # settings, history, checkpoints, result
    folders = [path / "blobs" / "runs" / RUN for path in (space, other)]
    assert not [name for name in tree(folders[0]) if name.endswith(".partial")]
    for name in ("last.pt", "best.pt"):
        assert same(*(weights(folder / name) for folder in folders))
    rows = [[drop_times(row) for row in results.read_history(folder / "history.csv")] for folder in folders]
    assert rows[0] == rows[1]


def wait_for_words(process: Forked, words: str) -> None:
    while words not in process.so_far():
        assert process.poll() is None, process.so_far()
        time.sleep(0.01)


def test_fits_that_begin_together_sample_once(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml, space = make_blobs(train=20, val=8), tmp_path / "w"
    finish(Forked(["boundaries", "--dataset", yaml, "--workspace", space]))
    with stores.Workspace(space).folder("blobs", "train").lock():
        at_once = [Forked(arguments(space, "--epochs", 1, "--seed", seed)) for seed in range(3)]
        for process in at_once:
            wait_for_words(process, "waiting to sample blobs/train: another")
    outputs = [finish(process) for process in at_once]
    for split in ("train", "val"):
        assert sum(f"samples of blobs/{split}: " in output for output in outputs) == 1, outputs
    assert [output.count("best at epoch 1") for output in outputs] == [1, 1, 1]


def test_two_processes_train_one_network(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    space = make_space(make_blobs(train=24, val=5), tmp_path / "w").path
    options = ("--epochs", 12, "--learning-rate", 0.01, "--save-every", 1)
    output = finish(torchrun(*arguments(space, *options)))
    assert output.count("best at epoch") == 1
    folder = space / "blobs" / "runs" / RUN
    rows = results.read_history(folder / "history.csv")
    assert [int(row["step"]) for row in rows] == [6 * n for n in range(1, 13)]
    losses = [float(row["loss"]) for row in rows]
    assert losses[-1] < 0.7 * losses[0]
    again = together(arguments(space, *options))
    assert [one.returncode for one in again] == [0, 0], again
    assert "complete already" in again[0].stdout
    alone = tmp_path / "alone"
    shutil.copytree(space, alone, ignore=shutil.ignore_patterns("runs"))
    finish(Forked(arguments(alone, *options)))
    single = results.read_history(alone / "blobs" / "runs" / RUN / "history.csv")
    assert abs(float(single[-1]["loss"]) - losses[-1]) < 0.5 * losses[0]


def test_a_batch_that_two_processes_cannot_share_is_refused(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    space = make_space(make_blobs(), tmp_path / "w").path
    for one in together(arguments(space, "--batch-size", "3")):
        assert one.returncode != 0
        assert "give --batch-size a multiple of 2" in " ".join((one.stdout + one.stderr).split())
