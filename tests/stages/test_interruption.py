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

MakeBlobs = Callable[..., Path]
REPOSITORY = Path(__file__).parents[2]


def command(yaml: Path, space: Path, *more: str) -> list[str]:
    options = ["--dataset", str(yaml), "--split", "train", "--workspace", str(space)]
    return [sys.executable, str(REPOSITORY / "cli.py"), "boundaries", *options, *more]


def finished(args: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(args, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120)


def done_blocks(space: Path) -> int:
    return len(list(space.glob("*/train/boundaries.zarr/status/c.*")))


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.0005)


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_in_the_same_bytes(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(train=120, size=(600, 800))
    begun = time.monotonic()
    assert finished(command(yaml, tmp_path / "undisturbed")).returncode == 0
    whole = time.monotonic() - begun
    chance = random.Random(0)
    space, seen = tmp_path / "killed", []
    for k in range(10):
        before = done_blocks(space)
        process = subprocess.Popen(
            command(yaml, space), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if k % 2:  # any moment from the start of the process on
            time.sleep(chance.uniform(0.1, 1.1) * whole)
        else:  # some moment while blocks are being written
            wait_for(lambda at=before: done_blocks(space) > at, process)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        seen.append(done_blocks(space))
    assert any(0 < count < 15 for count in seen), "no kill fell into the middle of the run"
    last = finished(command(yaml, space))
    assert last.returncode == 0, last.stdout + last.stderr
    assert tree(space / "blobs") == tree(tmp_path / "undisturbed" / "blobs")


@pytest.mark.slow
def test_killed_with_a_file_half_written_it_ends_in_the_same_bytes(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(train=20)
    args, space = command(yaml, tmp_path / "killed"), tmp_path / "killed" / "blobs"
    assert finished(command(yaml, tmp_path / "undisturbed")).returncode == 0
    litter = 0
    for moves in (0, 1, 2, 8, 20, 9, 1):
        assert killed_at_move(moves, args[2:])
        litter += len(list(space.parent.rglob("*.partial")))
    assert litter >= 7
    assert finished(args).returncode == 0
    assert not list(space.parent.rglob("*.partial"))
    assert tree(space) == tree(tmp_path / "undisturbed" / "blobs")


@pytest.mark.slow
def test_killed_while_a_store_grows_it_ends_in_the_same_bytes(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=20)
    args = command(yaml, tmp_path / "killed")
    for space in ("killed", "undisturbed"):
        assert finished(command(yaml, tmp_path / space, "--limit", "12")).returncode == 0
    assert finished(command(yaml, tmp_path / "undisturbed")).returncode == 0
    kills = 0
    while killed_at_move(2 + kills, args[2:]):  # two for the list of images, then one an array
        kills += 1
    assert kills >= 9
    assert finished(args).returncode == 0
    assert tree(tmp_path / "killed" / "blobs") == tree(tmp_path / "undisturbed" / "blobs")


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["threads", "processes"])
def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(
    make_blobs: MakeBlobs, tmp_path: Path, more: tuple[str, ...]
) -> None:
    yaml = make_blobs(train=160, size=(600, 800))
    space = tmp_path / "w"
    process = subprocess.Popen(
        command(yaml, space, *more),
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
    last = finished(command(yaml, space))
    assert last.returncode == 0
    assert f"{8 * done} done before" in last.stdout
    assert finished(command(yaml, tmp_path / "undisturbed")).returncode == 0
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
        result = finished(command(yaml, mount / "w"))
        assert result.returncode == 1
        assert "the disk is full: no space left to write" in result.stderr
        assert "run the same command again" in result.stderr
        assert "Traceback" not in result.stderr
        subprocess.run(["mount", "-o", "remount,size=8m", mount], check=True)
        assert finished(command(yaml, mount / "w")).returncode == 0
        other = tmp_path / "other" / "w"  # as deep, so that the way from it to the data is the same
        assert finished(command(yaml, other)).returncode == 0
        assert tree(mount / "w" / "blobs") == tree(other / "blobs")
    finally:
        subprocess.run(["umount", mount], check=True)


def test_a_file_limit_stops_the_run_with_a_sentence(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=6)
    limited = ["bash", "-c", 'ulimit -f 0; exec "$@"', "bash", *command(yaml, tmp_path / "w")]
    result = finished(limited)
    assert result.returncode == 1
    assert "the disk is full" in result.stderr
    assert finished(command(yaml, tmp_path / "w")).returncode == 0


def test_two_runs_at_once_in_one_workspace(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=6)
    folder = stores.Workspace(tmp_path / "w").folder("blobs", "train")
    with folder.lock():
        result = finished(command(yaml, tmp_path / "w"))
    assert result.returncode == 1
    assert "another adaprep run is writing to" in result.stderr
    assert finished(command(yaml, tmp_path / "w")).returncode == 0


def test_a_folder_that_may_not_be_written(make_blobs: MakeBlobs) -> None:
    result = finished(command(make_blobs(), Path("/sys/adaprep")))
    assert result.returncode == 1
    assert "may not write" in result.stderr
    assert "--workspace" in result.stderr
