"""The short way to the files of arrays gives what Zarr gives, and says the same of damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import AdaprepError
from pipeline.workspace import chunks, stores

ARRAYS = {
    "wide": stores.ArraySpec((2, 9), "uint8", 7, chunk_per_image=True),
    "crops": stores.ArraySpec((3, 4), "float32", np.nan, chunk_per_image=True, chunk_per_crop=True),
    "value": stores.ArraySpec((3, 2), "float64", np.nan),
    "count": stores.ArraySpec((), "int32"),
    "flag": stores.ArraySpec((2,), "bool"),
    "status": stores.ArraySpec((), "uint8"),
}


@pytest.fixture(params=[1, 2], ids=["format 1", "format 2"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> stores.Store:
    """Three blocks, the second of which is not written."""
    monkeypatch.setattr(stores, "FORMAT", request.param)
    made = stores.create(tmp_path / "s.zarr", ARRAYS, {}, stores.Layout(4, 2), {"count": 10, "sha256": "x"})
    chance = np.random.default_rng(0)
    for start, stop in (made.blocks()[0], made.blocks()[2]):
        values = {
            name: chance.integers(0, 2, (stop - start, *spec.shape)).astype(spec.dtype)
            for name, spec in ARRAYS.items()
        }
        made.write_block(start, values)
    return made


@pytest.mark.parametrize("name", [*ARRAYS, "digest"])
def test_any_range_of_images_is_what_zarr_reads(store: stores.Store, name: str) -> None:
    array = store.arrays[name]
    whole = array[:]
    for start in range(-1, 12):
        for stop in range(-1, 12):
            found = chunks.read_rows(store.path / name, array, slice(start, stop))
            assert found is not None
            wanted = whole[start:stop]
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", ["wide", "crops", "value"])
def test_one_crop_of_each_image_is_that_of_the_whole_images(store: stores.Store, name: str) -> None:
    whole, chance = store.arrays[name][:], np.random.default_rng(1)
    for count in (0, 1, 3, 20):
        images, crops = chance.integers(0, 10, count), chance.integers(0, whole.shape[1], count)
        found = store[name].crops(images, crops)
        assert found.dtype == whole.dtype
        np.testing.assert_array_equal(found, whole[images, crops])


@pytest.mark.parametrize("name", ["wide", "crops", "value"])
@pytest.mark.parametrize("images", [[0, 1, 0], [8, 9], [5, 4], [0, 9, 4], []])
def test_crops_are_put_where_they_are_wanted(store: stores.Store, name: str, images: list[int]) -> None:
    """Of one shard, of a missing one, of several; in memory that they can be unpacked into or not."""
    whole, crops = store.arrays[name][:], np.arange(len(images)) % 2
    wanted = whole[images, crops] if images else whole[:0, 0]
    rooms = [
        np.zeros(wanted.shape, wanted.dtype),
        np.zeros(wanted.shape, np.float64),
        np.zeros((2 * len(images), *wanted.shape[1:]), wanted.dtype)[::2],
    ]
    for room in rooms:
        assert store[name].crops(np.array(images, np.intp), crops, room) is room
        np.testing.assert_array_equal(room, wanted.astype(room.dtype))


@pytest.mark.parametrize("name", [*ARRAYS, "digest"])
def test_files_are_those_that_zarr_writes(store: stores.Store, name: str, tmp_path: Path) -> None:
    about = {"count": 10, "sha256": "x"}
    by_zarr = stores.create(tmp_path / "z.zarr", ARRAYS, {}, stores.Layout(4, 2), about)
    for start, stop in (store.blocks()[0], store.blocks()[2]):
        by_zarr.arrays[name][start:stop] = store.arrays[name][start:stop]
    files = [
        file for start, stop in store.blocks()[::2] for file in store.files(start, stop) if name in file.parts
    ]
    assert all(file.exists() for file in files)
    for file in files:
        ours, theirs = file.read_bytes(), (by_zarr.path / file.relative_to(store.path)).read_bytes()
        assert len(ours) == len(theirs)
        assert ours == theirs or name == "crops", "which lie in another order there"


def test_other_questions_are_left_to_zarr(store: stores.Store) -> None:
    for images in (3, slice(0, 9, 2), np.array([1, 2]), (slice(0, 2), 0)):
        assert chunks.read_rows(store.path / "value", store.arrays["value"], images) is None
    np.testing.assert_array_equal(store["value"][np.array([1, 8])], store.arrays["value"][:][[1, 8]])


def test_arrays_that_are_packed_otherwise_are_left_to_zarr(tmp_path: Path) -> None:
    import zarr
    from zarr.codecs import BloscCodec, ZstdCodec

    group = zarr.create_group(tmp_path / "other")
    packed = {"chunks": (1, 4), "shards": (2, 4), "compressors": ZstdCodec()}
    others: list[dict[str, Any]] = [
        {**packed, "compressors": BloscCodec()},
        {**packed, "chunks": (2, 4)},
        {**packed, "chunks": (1, 2)},
        {**packed, "shards": (2, 4), "shape": (6, 8)},
        {"chunks": (2, 2), "compressors": ZstdCodec()},
        {"chunks": (2, 4), "compressors": None},
    ]
    for number, other in enumerate(others):
        array = group.create_array(f"a{number}", **{"shape": (6, 4), "dtype": "uint8", **other})
        assert chunks.Packing.of(tmp_path / "other" / f"a{number}", array) is None
        assert not chunks.write_rows(tmp_path, array, 0, np.zeros((2, 4)))


@pytest.mark.parametrize("name", ["wide", "crops"])
@pytest.mark.parametrize("harm", ["cut", "index", "chunk", "empty"])
def test_a_damaged_shard_is_told_in_a_sentence(store: stores.Store, name: str, harm: str) -> None:
    file = next(f for f in store.files(8, 10) if name in f.parts)
    content = bytearray(file.read_bytes())
    if harm in ("chunk", "index"):
        content[10 if harm == "chunk" else -9] ^= 1
    file.write_bytes({"cut": content[:-5], "empty": b""}.get(harm, content))
    np.testing.assert_array_equal(store[name][0:8], store.arrays[name][0:8])
    with pytest.raises(AdaprepError, match=f"{name} is damaged, images 8 to 10.*verify"):
        store[name][8:10]
    with pytest.raises(AdaprepError, match=f"{name} is damaged, images 8 to 9.*verify"):
        store[name].crops(np.array([8]), np.array([0]))


@pytest.mark.parametrize("content", [b"", b"garbage", b"cut"])
def test_a_damaged_chunk_is_told_in_a_sentence(store: stores.Store, content: bytes) -> None:
    file = next(f for f in store.files(8, 10) if "value" in f.parts)
    file.write_bytes(file.read_bytes()[:-5] if content == b"cut" else content)
    np.testing.assert_array_equal(store["value"][0:8], store.arrays["value"][0:8])
    with pytest.raises(AdaprepError, match=r"value is damaged, images 8 to 10.*verify"):
        store["value"][8:10]
