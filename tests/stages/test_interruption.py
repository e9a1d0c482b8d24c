"""Runs that are killed, stopped, or run out of disk, and what the next run makes of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.workspace import stores
from tests.conftest import killed_at_move, tree
from tests.processes import REPOSITORY, Forked, context, run

MakeBlobs = Callable[..., Path]
PYTHON = (sys.executable, str(REPOSITORY / "cli.py"))


def command(yaml: Path, space: Path, *more: str) -> list[str]:
    options = ["--dataset", str(yaml), "--split", "train", "--workspace", str(space)]
    return ["boundaries", *options, *more]


def done_blocks(space: Path) -> int:
    return len(list(space.glob("*/train/boundaries.zarr/status/c.*")))


def wait_for(condition: Callable[[], bool], process: Forked | subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.0005)


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_in_the_same_bytes(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(train=120, size=(600, 800))
    context()
    begun = time.monotonic()
    assert run(command(yaml, tmp_path / "undisturbed")).returncode == 0
    whole = time.monotonic() - begun
    chance = random.Random(0)
    space, seen = tmp_path / "killed", []
    for k in range(10):
        before = done_blocks(space)
        process = Forked(command(yaml, space))
        if k % 2:  # any moment from the start of the process on
            time.sleep(chance.uniform(0.1, 1.1) * whole)
        else:  # some moment while blocks are being written
            wait_for(lambda at=before: done_blocks(space) > at, process)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        seen.append(done_blocks(space))
    assert any(0 < count < 15 for count in seen), "no kill fell into the middle of the run"
    last = run(command(yaml, space))
    assert last.returncode == 0, last.stdout + last.stderr
    assert tree(space / "blobs") == tree(tmp_path / "undisturbed" / "blobs")


@pytest.mark.slow
def test_killed_with_a_file_half_written_it_ends_in_the_same_bytes(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(train=20)
    args, space = command(yaml, tmp_path / "killed"), tmp_path / "killed" / "blobs"
    assert run(command(yaml, tmp_path / "undisturbed")).returncode == 0
    litter = 0
    for moves in (0, 1, 2, 8, 20, 9, 1):
        assert killed_at_move(moves, args)
        litter += len(list(space.parent.rglob("*.partial")))
    assert litter >= 7
    assert run(args).returncode == 0
    assert not list(space.parent.rglob("*.partial"))
    assert tree(space) == tree(tmp_path / "undisturbed" / "blobs")


@pytest.mark.slow
def test_killed_while_a_store_grows_it_ends_in_the_same_bytes(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=20)
    args = command(yaml, tmp_path / "killed")
    for space in ("killed", "undisturbed"):
        assert run(command(yaml, tmp_path / space, "--limit", "12")).returncode == 0
    assert run(command(yaml, tmp_path / "undisturbed")).returncode == 0
    kills = 0
    while killed_at_move(2 + kills, args):  # two for the list of images, then one an array
        kills += 1
    assert kills >= 9
    assert run(args).returncode == 0
    assert tree(tmp_path / "killed" / "blobs") == tree(tmp_path / "undisturbed" / "blobs")


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["threads", "processes"])
def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(
    make_blobs: MakeBlobs, tmp_path: Path, more: tuple[str, ...]
) -> None:
    yaml = make_blobs(train=160, size=(600, 800))
    space = tmp_path / "w"
    process = subprocess.Popen(
        [*PYTHON, *command(yaml, space, *more)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells ignore it in the background
    )
    wait_for(lambda: done_blocks(space) > 0, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert "stopped; what is finished is kept: run the same command again to resume" in output
    assert "Traceback" not in output
    done = done_blocks(space)
    assert 0 < done < 20
    last = run(command(yaml, space))
    assert last.returncode == 0
    assert f"{8 * done} done before" in last.stdout
    assert run(command(yaml, tmp_path / "undisturbed")).returncode == 0
    assert tree(space / "blobs") == tree(tmp_path / "undisturbed" / "blobs")


def test_a_full_disk_stops_the_run_with_a_sentence_and_loses_nothing(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(train=24, size=(200, 300))
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", mount], check=False).returncode:
        pytest.skip("may not mount a small disk here (needs root)")
    try:
        result = run(command(yaml, mount / "w"))
        assert result.returncode == 1
        assert "the disk is full: no space left to write" in result.stderr
        assert "run the same command again" in result.stderr
        assert "Traceback" not in result.stderr
        subprocess.run(["mount", "-o", "remount,size=8m", mount], check=True)
        assert run(command(yaml, mount / "w")).returncode == 0
        other = tmp_path / "other" / "w"  # as deep, so that the way from it to the data is the same
        assert run(command(yaml, other)).returncode == 0
        assert tree(mount / "w" / "blobs") == tree(other / "blobs")
    finally:
        subprocess.run(["umount", mount], check=True)


def test_a_file_limit_stops_the_run_with_a_sentence(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=6)
    limited = ["bash", "-c", 'ulimit -f 0; exec "$@"', "bash", *PYTHON, *command(yaml, tmp_path / "w")]
    result = subprocess.run(limited, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 1
    assert "the disk is full" in result.stderr
    assert run(command(yaml, tmp_path / "w")).returncode == 0


def test_two_runs_at_once_in_one_workspace(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=6)
    folder = stores.Workspace(tmp_path / "w").folder("blobs", "train")
    with folder.lock():
        result = run(command(yaml, tmp_path / "w"))
    assert result.returncode == 1
    assert "another adaprep run is writing to" in result.stderr
    assert run(command(yaml, tmp_path / "w")).returncode == 0


def test_a_folder_that_may_not_be_written(make_blobs: MakeBlobs) -> None:
    result = run(command(make_blobs(), Path("/sys/adaprep")))
    assert result.returncode == 1
    assert "may not write" in result.stderr
    assert "--workspace" in result.stderr
