"""The workspace: layout, refusals, locks, failing disks."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import AdaprepError, BusyError
from pipeline.stages import damage
from pipeline.stages.plan import make_plan
from pipeline.workspace import disk, library, room, stores
from pipeline.workspace.layout import BLOCKS
from pipeline.workspace.metadata import restore_metadata
from tests.conftest import tree

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


@pytest.mark.parametrize("count", [10**5, 10**6, 10**7, 10**8])
def test_the_number_of_blocks_is_bounded_however_many_images_there_are(count: int) -> None:
    assert -(-count // stores.Layout.choose(count).block) <= BLOCKS


@pytest.mark.parametrize("count", [1, 8, 10, 16])
def test_whole_blocks_are_known_without_listing_them(tmp_path: Path, count: int) -> None:
    store = make_store(tmp_path / "s.zarr", count)
    ranges = [(i, j) for i in range(-4, 20) for j in range(-4, 20)]
    assert [pair for pair in ranges if store.is_block(*pair)] == store.blocks()


def test_all_chunks_of_an_array_are_files_of_one_folder(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.zarr")
    for start, stop in store.blocks():
        fill(store, start, stop)
    assert not [path for path in store.path.glob("*/*") if path.is_dir()]
    files = {path.relative_to(store.path).as_posix() for path in store.path.glob("*/c*")}
    assert {f"wide/c.{i}.0.0" for i in range(5)} | {f"value/c.{i}.0" for i in range(3)} < files
    assert {*store.path.glob("*/c*")} == {f for block in store.blocks() for f in store.files(*block)}


def test_a_store_of_the_first_format_is_gone_on_with_and_lengthened_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "FORMAT", 1)
    old = make_store(tmp_path / "old.zarr")
    fill(old, 0, 4)
    monkeypatch.undo()
    new = make_store(tmp_path / "new.zarr")
    fill(new, 0, 4)
    longer = {"count": 13, "sha256": "y"}
    grown = [stores.grow(stores.open_store(store.path), longer) for store in (old, new)]
    for store in grown:
        for start, stop in store.blocks():
            fill(store, start, stop)
    old, new = (stores.open_store(store.path) for store in grown)
    assert (old.path / "wide" / "c" / "6" / "0" / "0").is_file()
    assert not list(old.path.glob("*/c.*"))
    for name in old.arrays:
        if name != "digest":  # it covers the names of the files
            np.testing.assert_array_equal(old[name][:], new[name][:])
    for store in (old, new):
        assert all(
            (store["digest"][i:j] == store.block_digest(i, store.status()[i:j])).all()
            for i, j in store.blocks()
        )
    description = (old.path / "wide" / "zarr.json").read_bytes()
    (old.path / "wide" / "zarr.json").write_text("{")
    assert restore_metadata(old.path) == ["wide"]
    assert json.loads((old.path / "wide" / "zarr.json").read_bytes()) == json.loads(description)


@pytest.mark.parametrize("version", [1, 2])
def test_what_killed_writers_left_goes_when_a_store_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    path = tmp_path / "w" / "d" / "train" / "boundaries.zarr"
    monkeypatch.setattr(stores, "FORMAT", version)
    store = make_store(path)
    fill(store, 0, 4)
    before = tree(path)
    for file in (*store.files(0, 4), *store.files(4, 8)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(f".{'a' * 32}.partial").write_bytes(b"half")  # as Zarr names what it writes
        file.with_name(f"{file.name}.notes.partial").write_bytes(b"somebody's own")
    make_plan("t", path, ARRAYS, {"grid": [8, 8]}, store.layout, store.inputs, False).open()
    left = {name for name in tree(path) if name not in before}
    assert left
    assert all(name.endswith(".notes.partial") for name in left)


def test_a_running_block_leaves_the_half_written_chunks_of_others_alone(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.zarr")
    theirs = tmp_path / "s.zarr" / "value" / f"c.0.{'b' * 32}.partial"
    theirs.write_bytes(b"half")
    fill(store, 0, 4)
    assert theirs.exists()


def test_what_a_folder_takes_of_the_disk_counts_whole_blocks_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x").write_bytes(b"1")
    (tmp_path / "a" / "b" / "y").write_bytes(b"22")
    found = room.used(tmp_path)
    assert (found.files, found.bytes) == (2, 3)
    assert found.on_disk >= found.bytes
    assert found.on_disk % 512 == 0
    assert found.newest == max(p.stat().st_mtime for p in tmp_path.rglob("*") if p.is_file())
    assert room.used(tmp_path / "absent") == room.Used()


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
    assert "3 new images in the list" in todo.reasons
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


def done(path: Path, count: int = 10) -> stores.Store:
    store = make_store(path, count)
    for start, stop in store.blocks():
        fill(store, start, stop)
    return stores.open_store(path)


def edit(file: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(file.read_bytes())
    change(content)
    file.write_text(json.dumps(content))


def without_digests(path: Path) -> None:
    """Make a store what versions before digests wrote."""
    shutil.rmtree(path / "digest")
    edit(path / "zarr.json", lambda meta: meta["attributes"]["adaprep"].pop("arrays"))


def test_the_same_block_has_the_same_digest_and_any_other_content_another(tmp_path: Path) -> None:
    store = done(tmp_path / "s.zarr")
    status = np.full(4, stores.DONE, np.uint8)
    first = store.block_digest(0, status)
    assert store["digest"][:].tolist()[:4] == [first] * 4
    assert first != store.block_digest(4, status), "the same values elsewhere are another block"
    assert first != store.block_digest(0, np.full(4, stores.FAILED, np.uint8))
    store.arrays["wide"][3] = 6
    assert first != store.block_digest(0, status)
    fill(store, 0, 4)
    assert first == store.block_digest(0, status)
    assert done(tmp_path / "other" / "s.zarr")["digest"][:].tolist() == store["digest"][:].tolist()


def test_the_digest_is_written_last_but_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(tmp_path / "s.zarr")
    written: list[str] = []
    replace = os.replace

    def note(source: Any, target: Any) -> None:
        written.append(Path(target).relative_to(store.path).parts[0])
        replace(source, target)

    monkeypatch.setattr(os, "replace", note)
    store.write_block(0, {"value": np.ones((4, 3)), "status": np.full(4, stores.DONE, np.uint8)})
    assert written[-2:] == ["digest", "status"]


def test_a_store_without_digests_is_opened_written_and_lengthened(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    make_store(path)
    without_digests(path)
    store = stores.open_store(path)
    assert not store.has_digests
    for start, stop in store.blocks():
        fill(store, start, stop)
    assert stores.grow(store, {"count": 13, "sha256": "y"}).status().tolist() == [1] * 10 + [0] * 3
    assert not (path / "digest").exists()


def test_statuses_behind_the_last_image_are_not_believed_when_a_store_grows(tmp_path: Path) -> None:
    store = done(tmp_path / "s.zarr")
    shutil.copy(store.path / "status" / "c.0", store.path / "status" / "c.2")
    grown = stores.grow(stores.open_store(store.path), {"count": 13, "sha256": "y"})
    assert grown.status().tolist() == [1] * 10 + [0] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("layout"), "layout: None is not a mapping"),
        (lambda a: a["layout"].update(block=0), "block: 0 is not a whole number from 1"),
        (lambda a: a["layout"].update(shard=3), "blocks of 4 images are not whole shards of 3"),
        (lambda a: a["layout"].update(block=-4), "block: -4 is not a whole number"),
        (lambda a: a["inputs"].update(count=10**15), "count: 1000000000000000 is not a whole number"),
        (lambda a: a["inputs"].update(count="10"), "count: '10' is not"),
        (lambda a: a["inputs"].pop("sha256"), "inputs hold no sha256"),
        (lambda a: a.update(parameters=[1]), r"parameters: \[1\] is not a mapping"),
        (lambda a: a["parameters"].update(grid=[8]), r"parameters: \[8\] cannot be grid"),
        (lambda a: a["parameters"].update(crops=True), "True cannot be crops"),
        (lambda a: a.update(format="1"), "format: '1' is not"),
        (lambda a: a["arrays"].update({"../../x": {}}), "cannot be the name of one"),
    ],
)
def test_attributes_that_cannot_be_are_named_and_mended(
    tmp_path: Path, change: Callable[[Any], object], message: str
) -> None:
    path = tmp_path / "s.zarr"
    done(path)
    before = tree(path)
    edit(path / "zarr.json", lambda meta: change(meta["attributes"]["adaprep"]))
    with pytest.raises(AdaprepError, match=rf"{message}(.|\n)*Run: adaprep verify --repair"):
        stores.open_store(path)
    assert restore_metadata(path) == ["attributes"]
    assert tree(path) == before
    without_digests(path)
    edit(path / "zarr.json", lambda meta: meta["attributes"].update(adaprep=1))
    with pytest.raises(AdaprepError, match="Run its command with --overwrite to make it again"):
        stores.open_store(path)
    with pytest.raises(AdaprepError, match="what shaped this store is lost"):
        restore_metadata(path)


def test_attributes_that_differ_from_their_second_copy_are_mended(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    done(path)
    before = tree(path)
    edit(path / "zarr.json", lambda meta: meta["attributes"]["adaprep"]["parameters"].update(grid=[9, 9]))
    assert restore_metadata(path) == ["attributes"]
    assert tree(path) == before
    copy = path / "digest" / "zarr.json"
    edit(copy, lambda meta: meta["attributes"]["adaprep"]["parameters"].update(grid=[9, 9]))
    assert stores.kept_copy(path) is None
    assert restore_metadata(path) == ["digest"]
    assert tree(path) == before


def test_a_parameter_that_is_missing_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AdaprepError, match="its parameters lack crops. Run its command with --overwrite"):
        done(tmp_path / "s.zarr").parameters["crops"]
    with pytest.raises(AdaprepError, match="it has no array packed. Run its command with --overwrite"):
        done(tmp_path / "t.zarr")["packed"]


def test_a_fault_of_zarr_is_not_called_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zarr

    done(tmp_path / "s.zarr")
    monkeypatch.delattr(zarr.Array, "with_config")  # as in zarr 3.1.0 to 3.1.5
    library.fault_of_library.cache_clear()
    try:
        with pytest.raises(
            AdaprepError, match=r"zarr .* cannot be used for .*s.zarr .*zarr>=3.1.6"
        ) as caught:
            stores.open_store(tmp_path / "s.zarr")
        assert "--overwrite" not in str(caught.value)
        assert "damaged" not in str(caught.value)
    finally:
        library.fault_of_library.cache_clear()


def test_damage_that_looks_like_a_fault_of_zarr_is_called_damage(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    done(path)
    edit(path / "wide" / "zarr.json", lambda meta: meta.update(codecs=None))
    with pytest.raises(AdaprepError, match=r"the array .*wide is missing or damaged .*verify --repair"):
        stores.open_store(path)


def test_blocks_of_nothing_but_fill_are_complete_under_any_codec_pipeline(tmp_path: Path) -> None:
    import zarr
    from zarr.core.codec_pipeline import BatchedCodecPipeline

    class Asks(BatchedCodecPipeline):
        """Knows no configuration of an array, as pipelines of other packages."""

        async def write(self, batch_info: Any, value: Any, drop_axes: Any = ()) -> None:
            empty = zarr.config.get("array.write_empty_chunks")
            config = zarr.core.array_spec.ArrayConfig("C", empty)
            batch = [(a, replace(spec, config=config), *rest) for a, spec, *rest in batch_info]
            await super().write(batch, value, drop_axes)

    zarr.registry.register_pipeline(Asks)
    with zarr.config.set({"codec_pipeline.path": f"{Asks.__module__}.{Asks.__qualname__}"}):
        store = make_store(tmp_path / "s.zarr")
        zeros = {"value": np.full((4, 3), np.nan), "status": np.full(4, stores.DONE, np.uint8)}
        store.arrays["wide"][0:4] = np.zeros((4, 2, 9), np.uint8)
        store.write_block(0, zeros)
    finding = damage.check_blocks(stores.open_store(store.path), "x", read=True, repair=False)
    assert [f.problems for f in finding] == [[], []]


def test_a_file_in_the_place_of_a_store_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "s.zarr").write_text("x")
    with pytest.raises(AdaprepError, match="is not a store of adaprep"):
        stores.open_store(tmp_path / "s.zarr")
    with pytest.raises(AdaprepError, match="it is left as it is. Move it away"):
        stores.remove(tmp_path / "s.zarr")
    assert (tmp_path / "s.zarr").read_text() == "x"
