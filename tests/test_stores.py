"""The workspace: layout, refusals, locks, failing disks."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline import disk, stores
from pipeline.errors import AdaprepError, BusyError
from pipeline.stages.plan import make_plan

ARRAYS = {
    "wide": stores.ArraySpec((2, 9), "uint8", chunk_per_image=True),
    "value": stores.ArraySpec((3,), "float64", np.nan),
    "status": stores.ArraySpec((), "uint8"),
}


def make_store(path: Path, count: int = 10, layout: stores.Layout | None = None) -> stores.Store:
    return stores.create(
        path, ARRAYS, {"grid": [8, 8]}, layout or stores.Layout(4, 2), {"count": count, "sha256": "x"}
    )


def fill(store: stores.Store, start: int, stop: int) -> None:
    n = stop - start
    store.arrays["wide"][start:stop] = np.full((n, 2, 9), 5, np.uint8)
    store.write_block(start, {"value": np.ones((n, 3)), "status": np.full(n, stores.DONE, np.uint8)})


def test_blocks_cover_all_images_and_only_whole_blocks_are_written(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.zarr")
    assert store.blocks() == [(0, 4), (4, 8), (8, 10)]
    with pytest.raises(ValueError, match="images 2 to 6 are no whole block"):
        fill(store, 2, 6)
    fill(store, 8, 10)
    assert store.status().tolist() == [0] * 8 + [1, 1]


def test_layout_makes_enough_tasks_and_bounds_a_shard() -> None:
    assert stores.Layout.choose(8) == stores.Layout(8, 8)
    assert stores.Layout.choose(367) == stores.Layout(16, 16)
    assert stores.Layout.choose(105_000) == stores.Layout(64, 64)
    big = stores.Layout.choose(105_000, bytes_per_image=2 * 2710 * 423)
    assert big.shard * 2 * 2710 * 423 <= stores.SHARD_BYTES
    assert big.block % big.shard == 0


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    make_store(path)
    meta = json.loads((path / "zarr.json").read_text())
    meta["attributes"]["adaprep"]["format"] = 99
    meta["attributes"]["adaprep"]["versions"]["adaprep"] = "9.0"
    (path / "zarr.json").write_text(json.dumps(meta))
    with pytest.raises(
        AdaprepError, match=r"newer adaprep \(store format 99, version 9.0\).*Upgrade adaprep"
    ):
        stores.open_store(path)


def test_something_else_is_not_taken_for_a_store(tmp_path: Path) -> None:
    (tmp_path / "s.zarr").mkdir()
    with pytest.raises(AdaprepError, match="is not a store of adaprep, or it is damaged"):
        stores.open_store(tmp_path / "s.zarr")
    with pytest.raises(AdaprepError, match="there is no store"):
        stores.open_store(tmp_path / "absent.zarr")


def test_a_half_made_store_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stores.os, "replace", fail)
    with pytest.raises(AdaprepError, match="the disk is full: no space left to write"):
        make_store(tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


def test_changed_parameters_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    make_store(path)
    with pytest.raises(
        AdaprepError, match=r"grid: \[8, 8\] in the store, \[4, 4\] asked for(.|\n)*--overwrite"
    ):
        make_plan(
            "t", path, ARRAYS, {"grid": [4, 4]}, stores.Layout(4, 2), {"count": 10, "sha256": "x"}, False
        )


def test_a_longer_list_keeps_what_is_done(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    store = make_store(path)
    for start, stop in store.blocks():
        fill(store, start, stop)
    longer = {"count": 13, "sha256": "y"}
    todo = make_plan("t", path, ARRAYS, {"grid": [8, 8]}, stores.Layout(4, 2), longer, False)
    assert (todo.action, todo.todo) == ("grow", ((8, 12), (12, 13)))
    assert "3 images are new in the list" in todo.reasons
    grown = todo.open()
    assert grown.count == 13
    assert grown.status().tolist() == [1] * 10 + [0] * 3
    assert grown.inputs == longer
    assert grown["wide"][9].tolist() == [[5] * 9] * 2


def test_a_store_made_by_another_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    todo = make_plan("t", path, ARRAYS, {}, stores.Layout(4, 2), {"count": 10, "sha256": "x"}, False)
    fill(make_store(path), 0, 4)
    with pytest.raises(BusyError, match=r"t: another adaprep run made .*s.zarr meanwhile. Run the same comm"):
        todo.open()
    assert stores.open_store(path).status().tolist() == [1] * 4 + [0] * 6


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    folder = stores.SplitFolder(tmp_path / "d" / "train")
    with folder.lock():
        with pytest.raises(
            AdaprepError, match=r"another adaprep run is writing to .*process \d+ on .*Wait for it"
        ):
            with folder.lock():
                pass
    with folder.lock():
        pass


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "may not write .*--workspace"),
        (errno.EROFS, "may not write .*--workspace"),
    ],
)
def test_failing_writes_become_sentences(code: int, message: str) -> None:
    with pytest.raises(AdaprepError, match=message), disk.writing("x"):
        raise OSError(code, "reason")


def test_small_files_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.json"
    disk.write_text(path, '{"a": 1}')

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stores.os, "replace", fail)
    with pytest.raises(AdaprepError):
        disk.write_text(path, "{")
    assert disk.read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["f.json"]


def test_the_workspace_says_what_to_run(tmp_path: Path) -> None:
    space = stores.Workspace(tmp_path)
    with pytest.raises(AdaprepError, match="holds nothing yet. Start with: adaprep boundaries"):
        space.folders()
    for name in ("a", "b"):
        disk.write_text(space.folder(name, "train").description, "{}")
    with pytest.raises(AdaprepError, match=r"several data sets \(a, b\): say which one"):
        space.folders()
    assert [f.title for f in space.folders("a")] == ["a/train"]
    with pytest.raises(AdaprepError, match=r"nothing of c \(it holds: a, b\)"):
        space.folders("c")
    with pytest.raises(AdaprepError, match="no split val of a"):
        space.folders("a", ["val"])


@pytest.mark.parametrize(
    ("lam", "name"), [(1.0, "1"), (0.1, "0.1"), (10, "10"), (1e-7, "1e-07"), (2.5, "2.5")]
)
def test_lambdas_in_file_names_are_as_typed(lam: float, name: str) -> None:
    assert stores.lambda_name(lam) == name
