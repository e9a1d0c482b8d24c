"""The short way to the small arrays gives what Zarr gives, and says the same of damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import AdaprepError
from pipeline.workspace import chunks, stores

ARRAYS = {
    "wide": stores.ArraySpec((2, 9), "uint8", chunk_per_image=True),
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


@pytest.mark.parametrize("name", ["value", "count", "flag", "status", "digest"])
def test_any_range_of_images_is_what_zarr_reads(store: stores.Store, name: str) -> None:
    array = store.arrays[name]
    for start in range(-1, 12):
        for stop in range(-1, 12):
            found = chunks.read_rows(store.path / name, array, slice(start, stop))
            assert found is not None
            wanted = array[:][start:stop]
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)


def test_other_questions_are_left_to_zarr(store: stores.Store) -> None:
    assert chunks.read_rows(store.path / "wide", store.arrays["wide"], slice(0, 2)) is None
    for images in (3, slice(0, 9, 2), np.array([1, 2]), (slice(0, 2), 0)):
        assert chunks.read_rows(store.path / "value", store.arrays["value"], images) is None
    np.testing.assert_array_equal(store["value"][np.array([1, 8])], store.arrays["value"][:][[1, 8]])


@pytest.mark.parametrize("content", [b"", b"garbage", b"cut"])
def test_a_damaged_chunk_is_told_in_a_sentence(store: stores.Store, content: bytes) -> None:
    file = next(f for f in store.files(8, 10) if "value" in f.parts)
    file.write_bytes(file.read_bytes()[:-5] if content == b"cut" else content)
    np.testing.assert_array_equal(store["value"][0:8], store.arrays["value"][0:8])
    with pytest.raises(AdaprepError, match=r"value is damaged, images 8 to 10.*verify"):
        store["value"][8:10]
