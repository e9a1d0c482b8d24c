"""Training data from the stores: items, batches, order, worker processes, augmentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets import registry
from pipeline.errors import AdaprepError
from pipeline.samplers.proposal import Proposals
from pipeline.stages import outputs, samples
from pipeline.workspace import stores
from tests.stages.test_boundaries import run_boundaries, run_tensors
from tests.stages.test_samples import run_samples

torch = pytest.importorskip("torch")

from pipeline.train.batches import ShardShuffle  # noqa: E402
from pipeline.train.data import (  # noqa: E402
    Augmentation,
    Source,
    StoreDataset,
    auxiliary,
    flip_batch,
    sampled,
)
from pipeline.train.pools import loader  # noqa: E402

MakeBlobs = Callable[..., Path]


@pytest.fixture
def made(make_blobs: MakeBlobs, tmp_path: Path) -> stores.SplitFolder:
    """19 images, number 3 failed, five crops; samples at 8 and auxiliary inputs at 16."""
    yaml = make_blobs(train=19)
    (yaml.parent / "labels" / "train" / "0003.png").write_bytes(b"")
    folder, _ = run_boundaries(tmp_path / "w", registry.load(str(yaml)))
    run_tensors(folder)
    run_samples(folder, [outputs.Sampled(8, Proposals()), outputs.AuxiliaryInput(16)])
    return folder


def store_path(folder: stores.SplitFolder, name: str) -> Path:
    return samples.folder_of(folder) / f"{name}.zarr"


def proposals(folder: stores.SplitFolder) -> dict[str, Source]:
    return sampled(store_path(folder, "proposal-8x8-lambda1-8"))


@pytest.mark.parametrize("in_memory", [True, False])
def test_items_are_the_crops_that_did_not_fail(made: stores.SplitFolder, in_memory: bool) -> None:
    data = StoreDataset(proposals(made), in_memory)
    store = stores.open_store(store_path(made, "proposal-8x8-lambda1-8"))
    assert len(data) == 18 * 5
    images = [i for i in range(19) if i != 3]
    for index in (0, 14, 15, 89):
        item = data[index]
        i, k = images[index // 5], index % 5
        assert np.array_equal(item["image"].numpy(), store["image"][i, k].transpose(2, 0, 1))
        assert np.array_equal(item["label"].numpy(), store["label"][i, k])
        assert np.array_equal(item["phi"].numpy(), store["phi"][i, k])
    assert torch.equal(data[-1]["label"], data[89]["label"])
    with pytest.raises(IndexError, match="item 90 of 90"):
        data[90]


def test_auxiliary_data_join_two_stores(made: stores.SplitFolder) -> None:
    data = StoreDataset(auxiliary(store_path(made, "input-16-area"), made.tensors((8, 8), 1.0)))
    batch = data.__getitems__([0, 40])
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "image": (2, 3, 16, 16),
        "phi": (2, 2, 8, 8),
        "b": (2, 2, 8, 8),
        "has_boundary": (2,),
    }


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_sees_every_item_once(made: stores.SplitFolder, in_memory: bool, workers: int) -> None:
    data = StoreDataset(proposals(made), in_memory, kept_shards=2)
    batches = ShardShuffle(data, 16, seed=1, pool=20)
    seen = [batch["image"] for batch in loader(data, batches, workers)]
    assert [len(b) for b in seen] == [16] * 5 + [10]
    expected = data.__getitems__(range(len(data)))["image"]
    assert torch.equal(sort_rows(torch.cat(seen)), sort_rows(expected))


def sort_rows(images: torch.Tensor) -> torch.Tensor:
    rows = images.flatten(1)
    return rows[np.lexsort(rows.numpy().T)]


def test_the_order_is_that_of_seed_and_epoch(made: stores.SplitFolder) -> None:
    data = StoreDataset(proposals(made))
    first, same, other = ShardShuffle(data, 8, 1), ShardShuffle(data, 8, 1), ShardShuffle(data, 8, 2)
    assert list(first) == list(same) != list(other)
    same.epoch = 1
    assert list(first) != list(same)
    first.start = 4
    same.epoch = 0
    assert list(first) == list(same)[4:]


def test_replicas_share_an_epoch_without_overlap(made: stores.SplitFolder) -> None:
    data = StoreDataset(proposals(made))
    parts = [list(ShardShuffle(data, 8, 1, rank=r, replicas=2)) for r in range(2)]
    assert len(parts[0]) == len(parts[1]) == 6
    items = [i for part in parts for batch in part for i in batch]
    assert len(items) == len(set(items))


def test_reading_from_disk_stays_within_few_shards(made: stores.SplitFolder) -> None:
    data = StoreDataset(proposals(made), in_memory=False)
    batches = list(ShardShuffle(data, 8, pool=1))
    shards = [{int(data.images[i // data.crops]) // data.shard for i in batch} for batch in batches]
    assert max(map(len, shards)) <= 2


def test_stores_of_other_images_do_not_mix(
    made: stores.SplitFolder, make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    other, _ = run_boundaries(tmp_path / "o", registry.load(str(make_blobs(train=5, folder="other"))))
    run_tensors(other)
    with pytest.raises(AdaprepError, match="made from other images"):
        StoreDataset(auxiliary(store_path(made, "input-16-area"), other.tensors((8, 8), 1.0)))


def test_an_unfinished_store_is_refused(made: stores.SplitFolder) -> None:
    path = store_path(made, "input-16-area")
    stores.open_store(path).arrays["status"][16:] = stores.TODO
    with pytest.raises(AdaprepError, match=r"not finished \(3 images to do\): run its command again"):
        StoreDataset({"image": Source(path, "image")})


def test_flipping_a_batch_flips_its_tensors_along(made: stores.SplitFolder) -> None:
    from pipeline.geometry.tensors import flip

    batch = StoreDataset(proposals(made)).__getitems__(range(6))
    which = torch.tensor([True, False] * 3)
    batch["index"] = torch.arange(6)
    flipped = flip_batch(batch, which)
    assert torch.equal(flipped["index"], batch["index"])
    for i in range(6):
        phi = batch["phi"][i].numpy()
        assert np.array_equal(flipped["phi"][i].numpy(), flip(phi) if i % 2 == 0 else phi)
        expected = batch["image"][i].flip(-1) if i % 2 == 0 else batch["image"][i]
        assert torch.equal(flipped["image"][i], expected)


def test_augmentation_is_that_of_its_generator_and_keeps_the_range(made: stores.SplitFolder) -> None:
    batch = StoreDataset(proposals(made)).__getitems__(range(32))
    change = Augmentation(salt_and_pepper=0.2)
    once = change(batch, torch.Generator().manual_seed(3))
    again = change(batch, torch.Generator().manual_seed(3))
    assert torch.equal(once["image"], again["image"])
    assert float(once["image"].min()) == 0
    assert float(once["image"].max()) == 255
    share = ((once["image"] == 0) | (once["image"] == 255)).all(dim=1).float().mean()
    assert 0.15 < float(share) < 0.3
    still = Augmentation(0, 0, 0, 0)(batch, torch.Generator().manual_seed(0))
    assert torch.equal(still["image"], batch["image"].float())
    assert torch.equal(still["label"], batch["label"])
