"""What is written when, what `verify` counts again, and how small images are made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import registry
from pipeline.samplers.predicted import shrink
from pipeline.stages import verify
from pipeline.stages.outputs import AuxiliaryInput
from pipeline.workspace import stores
from tests.stages.test_boundaries import run_boundaries, run_tensors

MakeBlobs = Callable[..., Path]

ARRAYS = {
    "wide": stores.ArraySpec((3, 3), "uint8", chunk_per_image=True),
    "apart": stores.ArraySpec((2,), "float64"),
    "zebra": stores.ArraySpec((), "int32"),  # sorts after status
    "status": stores.ArraySpec((), "uint8"),
}


@pytest.fixture
def store(tmp_path: Path) -> stores.Store:
    layout = stores.Layout(block=4, shard=2)
    stores.create(tmp_path / "s.zarr", ARRAYS, {}, layout, {"count": 8, "sha256": ""})
    return stores.open_store(tmp_path / "s.zarr")


class Watched:
    """An array that tells what is written into it, and can be made to fail."""

    def __init__(self, name: str, array: Any, written: list[str], failing: str) -> None:
        self.name, self.array, self.written, self.failing = name, array, written, failing

    def __getattr__(self, name: str) -> Any:
        return getattr(self.array, name)

    def __getitem__(self, key: Any) -> Any:
        return self.array[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.name == self.failing:
            raise ValueError(f"no room for {self.name}")
        self.written.append(self.name)
        self.array[key] = value


def watch(store: stores.Store, failing: str = "") -> list[str]:
    """What is written from now on, in order."""
    written: list[str] = []
    for name, array in list(store.arrays.items()):
        store.arrays[name] = Watched(name, array, written, failing)  # type: ignore[assignment,index]
    return written


def write_whole(store: stores.Store) -> None:
    values = {name: np.ones((4, *spec.shape), spec.dtype) for name, spec in ARRAYS.items()}
    store.write_block(4, dict(reversed(values.items())))  # status first


def write_one_by_one(store: stores.Store) -> None:
    with stores.BlockWriter(store, 4, 4) as block:
        for row in range(4):
            block.put(row, {name: np.ones(ARRAYS[name].shape) for name in ("wide", "apart", "zebra")})


@pytest.mark.parametrize("write", [write_whole, write_one_by_one])
def test_the_status_of_a_block_is_written_after_everything_else(
    store: stores.Store, write: Callable[[stores.Store], None]
) -> None:
    written = watch(store)
    write(store)
    assert written[-1] == "status"
    assert written.count("status") == 1
    assert set(written) == {*ARRAYS, "digest"}
    assert stores.open_store(store.path).status().tolist() == [stores.TODO] * 4 + [stores.DONE] * 4


@pytest.mark.parametrize("write", [write_whole, write_one_by_one])
@pytest.mark.parametrize("failing", ["wide", "apart", "zebra"])
def test_a_block_that_could_not_be_written_stays_to_do(
    store: stores.Store, write: Callable[[stores.Store], None], failing: str
) -> None:
    watch(store, failing)
    with pytest.raises(ValueError, match=f"no room for {failing}"):
        write(store)
    assert (stores.open_store(store.path).status() == stores.TODO).all()


def test_a_forgotten_block_loses_its_status_first(
    store: stores.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(store)
    removed: list[str] = []
    unlink = Path.unlink

    def counted(path: Path, missing_ok: bool = False) -> None:
        removed.append(path.relative_to(store.path).parts[0])
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", counted)
    store.forget(4, 8)
    assert removed[0] == "status"
    assert set(removed) == {*ARRAYS, "digest"}


@pytest.mark.parametrize("wrong", [1, -1])
def test_verify_counts_folded_cells_again(make_blobs: MakeBlobs, tmp_path: Path, wrong: int) -> None:
    folder, _ = run_boundaries(tmp_path / "w", registry.load(str(make_blobs(train=3))))
    store, _ = run_tensors(folder)
    assert all(finding.ok for finding in verify.run(folder, None))
    folded = store["folded"][:]
    folded[1, 2] += wrong
    store.arrays["folded"][:] = folded
    bad = [finding for finding in verify.run(folder, None) if not finding.ok]
    counted = next(f for f in bad if f.what.endswith("folded cells counted again"))
    assert counted.problems == ["images 0 to 3: other counts"]
    assert counted.checked == 15


def test_the_area_filter_takes_the_mean_of_equal_boxes() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    boxes = crop.reshape(8, 6, 8, 6, 3).astype(float)
    small = shrink(crop, 8, "area")
    assert np.abs(small - boxes.mean(axis=(1, 3))).max() <= 1  # rounded after either axis
    edge = np.zeros((8, 8, 3), np.uint8)
    edge[:, 4:] = 200
    assert np.array_equal(shrink(edge, 2, "area")[0, :, 0], [0, 200])  # others blur across a box's edge


def test_small_images_in_stores_are_the_means_of_boxes(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    from pipeline.stages import samples
    from tests.stages.test_samples import run_samples

    yaml = make_blobs(train=2, size=(48, 64))
    folder, _ = run_boundaries(tmp_path / "w", registry.load(str(yaml)))
    output = AuxiliaryInput(8)
    run_samples(folder, [output])
    small = stores.open_store(samples.folder_of(folder) / f"{output.name}.zarr")["image"][0]
    picture = np.asarray(Image.open(yaml.parent / "images" / "train" / "0000.jpg"))
    middle = picture[:, 8:56].reshape(8, 6, 8, 6, 3).mean(axis=(1, 3))
    assert np.abs(small[len(small) // 2] - middle).max() <= 1
