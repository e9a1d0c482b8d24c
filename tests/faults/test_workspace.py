"""Workspaces that may not be written, that move, and that several commands use at once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.stages import verify
from pipeline.stages.damage import Finding
from pipeline.workspace import disk, stores
from tests.faults.harness import (
    TRACEBACK,
    World,
    adaprep,
    any_block_done,
    assert_whole,
    contents,
    end,
    make_large_world,
    make_world,
    read_only,
    slowly,
    start,
    wait_until,
)

WRITING = ("boundaries", "solve-tensors", "sample")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path).prepare(*WRITING)


def test_a_read_only_workspace_is_refused_for_writing_and_open_for_reading(world: World) -> None:
    picture = world.folder / "shown.png"
    with read_only(world.space):
        for command in WRITING:
            outcome = world.do(command, "--overwrite")
            assert outcome.code == 1
            assert "may not write" in outcome.text
            assert "--workspace" in outcome.text
        assert world.status().code == 0
        assert world.verify().code == 0
        assert adaprep("upper-bound", "--workspace", str(world.space), "--split", "val").code == 0
        read = ("--split", "train", "--workspace", str(world.space))
        assert adaprep("show", "0003", *read, "-o", str(picture)).code == 0
    assert_whole(world, world.at("undisturbed").prepare(*WRITING))


def test_a_workspace_where_nothing_may_be_made_is_refused(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.space.mkdir()
    with read_only(world.space):
        outcome = world.do("boundaries")
    assert outcome.code == 1
    assert "may not write" in outcome.text


def test_a_workspace_moves_between_commands(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    for n, command in enumerate(WRITING):
        world.prepare(command)
        (tmp_path / f"disk{n}").mkdir()
        there = world.at(f"disk{n}/renamed")
        world.space.rename(there.space)
        world = there
    assert world.verify("--all").code == 0
    for command in WRITING:
        again = world.do(command)
        assert again.code == 0, again.output
        assert "20 done before" in again.text
    assert_whole(world, world.at("unmoved").prepare(*WRITING))


def test_data_and_workspace_move_together(world: World, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("data", "space"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    moved = World(tmp_path / "elsewhere", tmp_path / "elsewhere" / "space")
    for command in WRITING:
        root = () if command != "sample" else ("--root", str(moved.folder / "data"))
        outcome = moved.do(command, *root)
        assert outcome.code == 0, outcome.output
        assert "20 done before" in outcome.text


def test_a_second_writer_is_refused_in_a_sentence_and_the_first_is_not_disturbed(world: World) -> None:
    before = contents(world.space)
    with stores.SplitFolder(world.space / "blobs" / "train").lock():
        for command in WRITING:
            outcome = world.do(command, "--split", "train", "--overwrite")
            assert outcome.code == 1
            assert "another adaprep run is writing to" in outcome.text
            assert f"process {os.getpid()} on " in outcome.text
            assert "Wait for it, or choose another --workspace." in outcome.text
        assert world.status().code == 0
        assert world.verify().code == 0
        assert contents(world.space) == before


def test_what_another_run_is_writing_is_not_called_damaged(world: World) -> None:
    store = stores.open_store(world.space / "blobs" / "train" / "boundaries.zarr", mode="r+")
    status = store["status"][:]
    store.arrays["status"][:] = stores.TODO  # data and digests are there, as a moment before a block is done
    with stores.SplitFolder(world.space / "blobs" / "train").lock():
        for options in ((), ("--all",)):
            meanwhile = world.verify(*options)
            assert meanwhile.code == 1
            assert "damaged" not in meanwhile.output
            assert f"while another adaprep run is writing (process {os.getpid()} on " in meanwhile.text
            assert "verify again when it has ended" in meanwhile.text
        refused = world.verify("--repair")
        assert refused.code == 1
        assert "another adaprep run is writing to" in refused.text
    assert "its status is lost, or writing it was interrupted" in world.verify().text
    store.arrays["status"][:] = status
    assert world.verify("--all").code == 0


def test_a_run_that_ends_while_it_is_verified_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stores.SplitFolder(world.space / "blobs" / "train")
    store = stores.open_store(folder.boundaries, mode="r+")
    status = store["status"][:]
    store.arrays["status"][:] = stores.TODO
    looks = []

    def look(*arguments: Any) -> list[Finding]:
        findings = original(*arguments)
        looks.append([finding.ok for finding in findings])
        store.arrays["status"][:] = status
        return findings

    original = verify._look
    monkeypatch.setattr(verify, "_look", look)
    assert all(finding.ok for finding in verify.run(folder))
    assert [all(look) for look in looks] == [False, True]


def test_who_writes_to_a_folder_can_be_asked_without_touching_it(tmp_path: Path) -> None:
    assert disk.holder(tmp_path) is None
    assert disk.holder(tmp_path / "missing") is None
    with disk.lock(tmp_path):
        found = disk.holder(tmp_path)
        assert found is not None
        assert found.startswith(f"process {os.getpid()} on ")
    assert disk.holder(tmp_path) is None
    (tmp_path / ".lock").write_text("process 1 on elsewhere, killed")
    assert disk.holder(tmp_path) is None
    assert (tmp_path / ".lock").read_text() == "process 1 on elsewhere, killed"


def test_the_other_split_may_be_written_meanwhile(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    with stores.SplitFolder(world.space / "blobs" / "train").lock():
        outcome = world.do("boundaries", "--split", "val")
    assert outcome.code == 0, outcome.output


@pytest.mark.slow
def test_two_runs_at_once_with_readers_beside_them(tmp_path: Path) -> None:
    world = make_large_world(tmp_path)
    first = start(world.arguments("boundaries"), slowly)
    wait_until(lambda: any_block_done(world))
    second = world.do("boundaries")
    reads = []
    while first.poll() is None:
        reads += [world.status(), world.verify("--sample", "1"), world.do("solve-tensors", "--dry-run")]
    done = end(first)
    assert done.code == 0, done.output
    assert second.code == 1
    assert TRACEBACK not in second.output
    assert "another adaprep run" in second.text
    assert len(reads) >= 3
    for read in reads:
        assert TRACEBACK not in read.output
        assert "damaged" not in read.output
    assert_whole(world, world.at("alone").prepare("boundaries"))
