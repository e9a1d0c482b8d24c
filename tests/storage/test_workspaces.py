"""Workspaces in a bucket: the same bytes as in a folder, by the same commands, with few requests."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets.base import Frame
from pipeline.errors import AdaprepError, BusyError
from pipeline.stages import frame_list
from pipeline.stages.input_list import formatted
from pipeline.storage import objects
from pipeline.workspace import disk, object_locks, task_locks
from tests.storage.conftest import Server
from tests.storage.test_data import run, stores

MakeBlobs = Callable[..., Path]


def stored(workspace: Any) -> dict[str, str]:
    """Objects of all stores with the hash of their bytes."""
    bucket, key = workspace.bucket()
    names = [name for name, _ in bucket.walk(key) if ".zarr/" in name]
    return {name: hashlib.sha256(bucket.read(f"{key}/{name}")).hexdigest() for name in names}


def all_stages(yaml: Path, workspace: object) -> None:
    run("boundaries", "--dataset", yaml, "--workspace", workspace, "--threads", "1")
    run("solve-tensors", "--workspace", workspace, "--threads", "1")
    run("sample", "--resolution", "16", "--workspace", workspace, "--threads", "1")


@pytest.mark.slow
def test_bucket_holds_the_bytes_of_a_folder_for_few_requests(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Path
) -> None:
    yaml, workspace = make_blobs(train=40, val=8), bucket / "some where"
    all_stages(yaml, tmp_path / "folder")
    server.counts()
    all_stages(yaml, workspace)
    counts = server.counts()
    assert stored(workspace) == stores(tmp_path / "folder")
    assert counts["PUT"] <= 240  # of 8 stores with 6 blocks per kind
    assert sum(counts[name] for name in ("GET", "HEAD", "LIST")) <= 560

    assert "40 of 40" in run("status", "--workspace", workspace).output
    run("verify", "--workspace", workspace)
    run("boundaries", "--workspace", workspace, "--dataset", "blobs")
    assert stored(workspace) == stores(tmp_path / "folder")
    assert not (tmp_path / "s3:").exists()
    assert not Path("s3:").exists()


def test_damaged_chunk_in_a_bucket_is_repaired(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Any
) -> None:
    yaml, workspace = make_blobs(), bucket / "workspace"
    run("boundaries", "--dataset", yaml, "--workspace", workspace, "--threads", "1")
    wanted = stored(workspace)
    chunk = next(name for name in wanted if "/packed/" in name and not name.endswith("json"))
    (workspace / chunk).write_bytes(b"damaged")
    (workspace / "blobs/val/boundaries.zarr/zarr.json").write_bytes(b"{}")
    (workspace / "blobs/val/inputs.tsv").write_bytes(b"")
    run("verify", "--workspace", workspace, code=1)
    run("verify", "--repair", "--workspace", workspace, code=1)
    run("boundaries", "--dataset", yaml, "--workspace", workspace, "--threads", "1")
    run("verify", "--workspace", workspace)
    assert stored(workspace) == wanted


def test_changed_and_added_images_are_done_alone(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Any
) -> None:
    yaml, workspace = make_blobs(train=12, val=2), bucket / "workspace"
    run("boundaries", "--dataset", yaml, "--workspace", workspace, "--threads", "1")
    for kind, end in (("images", "jpg"), ("labels", "png")):
        folder = yaml.parent / kind / "train"
        shutil.copy(folder / f"0001.{end}", folder / f"0099.{end}")
    shutil.copy(yaml.parent / "labels/train/0003.png", yaml.parent / "labels/train/0002.png")
    run("boundaries", "--dataset", yaml, "--workspace", workspace, "--threads", "1")
    run("boundaries", "--dataset", yaml, "--workspace", tmp_path / "fresh", "--threads", "1")
    assert stored(workspace) == stores(tmp_path / "fresh")
    run("boundaries", "--dataset", yaml, "--workspace", workspace, "--grid", "4x4", "--overwrite")
    run("boundaries", "--dataset", yaml, "--workspace", tmp_path / "fresh", "--grid", "4x4", "--overwrite")
    assert stored(workspace) == stores(tmp_path / "fresh")


def test_workers_write_the_same_bytes_to_a_bucket(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Any
) -> None:
    from distributed import LocalCluster

    yaml, workspace = make_blobs(train=12, val=1), bucket / "workspace"
    data = ("boundaries", "--dataset", yaml, "--split", "train")
    run(*data, "--workspace", tmp_path / "folder", "--threads", "1")
    run("solve-tensors", "--workspace", tmp_path / "folder", "--threads", "1")
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        run(*data, "--workspace", workspace, "--scheduler", cluster.scheduler_address)
        run("solve-tensors", "--workspace", workspace, "--scheduler", cluster.scheduler_address)
    assert stored(workspace) == stores(tmp_path / "folder")
    assert not [path for path in workspace.below() if ".tasks" in path or ".probe" in path or ".lock" in path]


def test_tasks_of_a_run_that_is_over_do_not_begin_in_a_bucket(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_locks, "ASKED", 0.0)
    with task_locks.leading(bucket, "one"), task_locks.taking_part(bucket, "one") as goes_on:
        assert goes_on()
        with task_locks.leading(bucket, "two"):
            assert not goes_on()
            with pytest.raises(task_locks.Ended, match="names no run, or another"):
                task_locks.taking_part(bucket, "one").__enter__()
    with pytest.raises(task_locks.Ended), task_locks.taking_part(bucket, "one"):
        raise AssertionError


def test_task_reads_its_lines_of_the_list_in_one_request(server: Server, bucket: Path) -> None:
    path, root = bucket / "inputs.tsv", Path("/data")
    frames = frame_list.of_frames(
        (Frame(f"{i:04}", root / f"{i:04}.jpg", root / "l") for i in range(900)), root
    )
    path.write_bytes("".join(formatted(frames.lines(), np.ones((900, 2), np.int32))).encode())
    kept, _ = frame_list.opened(path, root)
    sent = pickle.dumps(kept[300:420])
    server.counts()
    assert list(pickle.loads(sent)) == list(frames[300:420])
    counts = server.counts()
    assert sum(counts[name] for name in ("GET", "HEAD", "LIST")) == 1
    assert counts["sent"] < 10_000 < len(path.read_bytes())


def test_one_writer_at_a_time(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bucket / "folder"
    with disk.lock(folder):
        assert "process" in str(disk.holder(folder))
        with pytest.raises(BusyError, match="another adaprep run is writing to s3://"), disk.lock(folder):
            raise AssertionError
    assert disk.holder(folder) is None
    with disk.lock(folder):
        pass
    # one left behind by a process that has ended on this machine, and one that nobody renews
    ended = f"{object_locks.HOLDER}999999999 on {object_locks.socket.gethostname()}, since 2026"
    (folder / ".lock").write_bytes(ended.encode())
    with disk.lock(folder):
        pass
    (folder / ".lock").write_bytes(f"{object_locks.HOLDER}1 on elsewhere, since 2026".encode())
    with pytest.raises(BusyError), disk.lock(folder):
        raise AssertionError
    monkeypatch.setattr(object_locks, "STALE", -1.0)
    with disk.lock(folder):
        assert "elsewhere" not in (folder / ".lock").read_text()


def test_lock_is_renewed_while_it_is_held(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_locks, "RENEWED", 0.01)
    with disk.lock(bucket / "folder"):
        time.sleep(0.3)
        assert disk.holder(bucket / "folder")
    assert not (bucket / "folder" / ".lock").exists()


def test_who_has_lost_its_lock_writes_no_more(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_locks, "RENEWED", 0.01)
    folder, other = bucket / "folder", f"{object_locks.HOLDER}1 on elsewhere, since 2026".encode()
    with disk.lock(folder):
        (folder / ".lock").unlink()  # by hand: it is made again
        time.sleep(0.3)
        disk.write_text(folder / "file", "before")
        (folder / ".lock").write_bytes(other)
        time.sleep(0.3)
        with pytest.raises(AdaprepError, match="is written by another adaprep now"):
            disk.write_text(folder / "file", "after")
        disk.write_text(bucket / "elsewhere", "other folders are")
    assert (folder / ".lock").read_bytes() == other
    assert (folder / "file").read_text() == "before"


def test_lock_is_held_although_the_answer_was_lost(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put, lost = objects.Bucket.put, []

    def put_and_lose(self: Any, key: str, data: bytes, **options: Any) -> str | None:
        tag = put(self, key, data, **options)
        lost.append(key)
        return None if len(lost) == 1 else tag  # as it is where the same request is sent again

    monkeypatch.setattr(objects.Bucket, "put", put_and_lose)
    with disk.lock(bucket / "folder"):
        with pytest.raises(BusyError), disk.lock(bucket / "folder"):
            raise AssertionError
    assert lost[0] == "folder/.lock"
    assert not (bucket / "folder" / ".lock").exists()


def test_bucket_that_is_not_there_costs_nothing(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    yaml = make_blobs(train=2, val=1)
    said = run("boundaries", "--dataset", yaml, "--workspace", "s3://no-such-bucket/ws", code=1)
    assert "there is no such bucket at" in said.output
    server.refuse()
    said = run("status", "--workspace", "s3://no-such-bucket/ws", code=1)
    assert "does not take these credentials" in said.output
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]
