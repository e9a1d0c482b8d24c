"""Samples read from disk: the same batches however many workers read them, each shard read once per epoch."""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import AdaprepError
from pipeline.workspace import stores

torch = pytest.importorskip("torch")

from torch.multiprocessing import start_processes  # noqa: E402

from pipeline.train import data as data_module  # noqa: E402
from pipeline.train.batches import CropShuffle, ShardShuffle  # noqa: E402
from pipeline.train.data import StoreDataset, sampled  # noqa: E402
from pipeline.train.fit import Where, fit  # noqa: E402
from pipeline.train.pools import loader  # noqa: E402
from pipeline.train.processes import Processes  # noqa: E402
from pipeline.workspace.runs import Run  # noqa: E402
from tests.train.test_loop import Toy, schedule, state  # noqa: E402

IMAGES, CROPS, SIDE, SHARD = 53, 3, 4, 4
FAILED = (0, 17, 52)


def make_store(path: Path, crops: int = CROPS) -> Path:
    """53 images, three of them failed, in shards of 4: every crop's pixels say which it is."""
    wide = {"image": ((crops, SIDE, SIDE, 3), "uint8"), "label": ((crops, SIDE, SIDE), "uint8")}
    specs = {
        name: stores.ArraySpec(*spec, chunk_per_image=True, chunk_per_crop=name == "image")
        for name, spec in wide.items()
    }
    specs["phi"] = stores.ArraySpec((crops, 2, 2, 2), "float32")
    specs["status"] = stores.ArraySpec((), "uint8")
    inputs = {"count": IMAGES, "sha256": "0" * 64}
    store = stores.create(path, specs, {"crops": crops}, stores.Layout(8, SHARD), inputs)
    for start, stop in store.blocks():
        number = np.arange(start, stop)[:, None] * crops + np.arange(crops)
        values = {
            name: np.broadcast_to(
                number.reshape(*number.shape, *[1] * (len(spec.shape) - 1)), (stop - start, *spec.shape)
            ).astype(spec.dtype)
            for name, spec in specs.items()
            if name != "status"
        }
        status = [stores.FAILED if i in FAILED else stores.DONE for i in range(start, stop)]
        store.write_block(start, {**values, "status": np.array(status, np.uint8)})
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("w") / "toy" / "train" / "samples" / "uniform-4.zarr")


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line for each time that a part of an array is read, in whatever process and thread."""
    log, real, crops = tmp_path / "reads", stores.StoredArray.__getitem__, stores.StoredArray.crops

    def logged(self: stores.StoredArray, images: Any) -> Any:
        with log.open("a") as file:
            file.write(f"{self.path.name} {images.start} {images.stop}\n")
        return real(self, images)

    def logged_crops(self: stores.StoredArray, images: Any, places: Any, out: Any = None) -> Any:
        assert len(set((images // SHARD).tolist())) == 1, "of one shard at a time"
        with log.open("a") as file:
            file.write(f"{self.path.name} {images.min()} {images.max()}\n")
        return crops(self, images, places, out)

    monkeypatch.setattr(stores.StoredArray, "__getitem__", logged)
    monkeypatch.setattr(stores.StoredArray, "crops", logged_crops)
    return log


def counted(log: Path) -> Counter[str]:
    lines = [line for line in log.read_text().splitlines() if not line.startswith("status")]
    log.write_text("")
    return Counter(lines)


def numbers(batch: dict[str, Any]) -> list[int]:
    """Which items a batch holds, as each of its values says."""
    found = {name: value.flatten(1)[:, 0].int().tolist() for name, value in batch.items()}
    assert found["image"] == found["label"] == found["phi"]
    assert batch["image"].shape[1:] == (3, SIDE, SIDE)
    return [int(n) for n in found["image"]]


def expected(data: StoreDataset, batches: list[list[int]]) -> list[list[int]]:
    return [[int(data.images[i // CROPS]) * CROPS + i % CROPS for i in batch] for batch in batches]


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("kind", [ShardShuffle, CropShuffle])
def test_batches_are_those_of_the_order_and_each_shard_is_read_once_per_epoch(
    path: Path, reads: Path, workers: int, kind: type[ShardShuffle]
) -> None:
    data = StoreDataset(sampled(path), in_memory=False)
    order = kind(data, 7, seed=3, pool=20)
    loading = loader(data, order, workers)
    reads.write_text("")
    for epoch, start in ((0, 0), (1, 0), (2, 4)):
        order.epoch, order.start = epoch, start
        assert [numbers(batch) for batch in loading] == expected(data, list(order))
        found = counted(reads)
        assert set(found.values()) == {1}
        if not start:
            assert len(found) == 3 * len({int(i) // SHARD for i in data.images})


def test_a_run_within_an_epoch_reads_no_pool_that_is_done(path: Path, reads: Path) -> None:
    data = StoreDataset(sampled(path), in_memory=False)
    order = CropShuffle(data, 5, pool=10)
    order.start = 8
    plan = order.plan()
    reads.write_text("")
    assert sum(len(batch["image"]) for batch in loader(data, order)) == len(data.images) - 40
    begun = plan.pools[np.searchsorted(plan.pools, 40, "right") - 1]
    assert sum(counted(reads).values()) == 3 * int((plan.shards[:-1] >= begun).sum())


@settings(max_examples=30)
@given(
    seed=st.integers(0, 99),
    batch=st.integers(1, 9),
    replicas=st.integers(1, 4),
    pool=st.integers(1, 80),
    drop=st.booleans(),
)
def test_processes_share_the_images_of_an_epoch(
    path: Path, seed: int, batch: int, replicas: int, pool: int, drop: bool
) -> None:
    data = StoreDataset(sampled(path), in_memory=False)
    orders = [CropShuffle(data, batch, seed, rank, replicas, pool, drop) for rank in range(replicas)]
    parts = [list(order) for order in orders]
    assert {len(part) for part in parts} == {len(order) for order in orders} == {len(parts[0])}
    assert {tuple(map(len, part)) for part in parts} == {tuple(map(len, parts[0]))}, "of other sizes"
    images = [item // CROPS for part in parts for batch in part for item in batch]
    assert len(images) == len(set(images))
    left_out = len(data.images) - len(images)
    assert left_out < replicas * (batch if drop else 1)
    shards = [set((data.images[order.plan().read // CROPS] // SHARD).tolist()) for order in orders]
    assert sum(map(len, shards)) <= len(set.union(*shards)) + replicas - 1, (
        "only shards at borders are shared"
    )


def test_a_pool_is_counted_in_images_whatever_a_shard_holds(path: Path) -> None:
    data = StoreDataset(sampled(path), in_memory=False)
    sizes = {pool: np.diff(CropShuffle(data, 50, pool=pool).plan().pools) for pool in (10, 25, 1000)}
    assert [len(s) for s in sizes.values()] == [5, 2, 1]
    for pool, found in sizes.items():
        assert all(abs(int(n) - min(pool, 50)) <= SHARD for n in found)
    order = CropShuffle(data, 8, pool=1000)
    batches = np.array([[data.images[i // CROPS] // SHARD for i in batch] for batch in list(order)[:6]])
    assert all(len(set(row)) > 3 for row in batches.tolist()), "batches mix shards"


def test_the_next_pool_is_read_at_the_pace_of_batches(path: Path, reads: Path) -> None:
    data = StoreDataset(sampled(path), in_memory=False)
    order = CropShuffle(data, 2, pool=13)
    edges = order.plan().pools
    reads.write_text("")
    so_far = []
    for _ in loader(data, order):
        so_far.append(len(reads.read_text().splitlines()))
    steps = np.diff(so_far)
    assert len(edges) == 5
    assert steps.max() <= 3, "at most one shard, of three arrays, between two batches"


def test_an_epoch_of_a_million_images_is_ordered_without_looking_at_all_for_each_pool(path: Path) -> None:
    data = StoreDataset(sampled(path), in_memory=False)
    data.images = np.arange(1_000_000)
    order = CropShuffle(data, 128, pool=4096)
    plan = order.plan()
    assert len(plan.pools) == 245
    assert np.array_equal(np.sort(plan.drawn), data.images)
    assert np.array_equal(np.sort(plan.read // CROPS), data.images)
    where = np.repeat(np.arange(244), np.diff(plan.pools))
    assert np.array_equal(where[plan.drawn], where), "each item is drawn from its own pool"


def test_a_damaged_shard_is_told_in_the_sentence_it_is_told_without_workers(tmp_path: Path) -> None:
    path = make_store(tmp_path / "toy" / "train" / "samples" / "uniform-4.zarr")
    shard = next(f for f in stores.open_store(path).files(8, 16) if f.relative_to(path).parts[0] == "image")
    shard.write_bytes(shard.read_bytes()[:-30])
    data = StoreDataset(sampled(path), in_memory=False)
    told = []
    for workers in (0, 2):
        with pytest.raises(AdaprepError, match="image is damaged.*verify") as error:
            list(loader(data, CropShuffle(data, 7), workers))
        told.append(str(error.value))
    assert told[0] == told[1]


def test_threads_end_with_a_pass_that_is_given_up(path: Path) -> None:
    data = StoreDataset(sampled(path), in_memory=False)

    def reading() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("adaprep-reading")]

    batches = iter(loader(data, CropShuffle(data, 2, pool=13), 2))
    next(batches)
    assert reading()
    del batches
    assert not reading()


def meet(rank: int, folder: Path, size: int) -> None:
    from torch import distributed

    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=size)


def share_memory(rank: int, folder: Path, path: Path) -> None:
    """What each process of the test below does."""
    meet(rank, folder, 2)
    processes = Processes(rank, 2, 2, rank)
    data = StoreDataset(sampled(path), promised=rank * 10**15)  # the second thinks that they do not fit
    real, read = stores.StoredArray.__getitem__, []
    stores.StoredArray.__getitem__ = lambda self, images: read.append(self.path.name) or real(self, images)
    data.settle(processes, None)
    assert data.in_memory
    held = data._loaded
    if rank == 0:
        held["label"][2, 1] = 77  # one copy: the other sees it
    processes.wait()
    assert (held["label"][2, 1] == 77).all()
    inode = {
        line.split()[4] for line in Path("/proc/self/maps").read_text().splitlines() if "adaprep-" in line
    }
    order = [list(ShardShuffle(data, 8, 1, r, 2)) for r in range(2)]
    torch.save((sorted(read), inode, held["image"].copy(), order, data.pool), folder / f"{rank}.pt")
    from torch import distributed

    distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_of_a_machine_hold_one_copy_that_each_has_read_a_part_of(
    path: Path, tmp_path: Path
) -> None:
    start_processes(share_memory, (tmp_path, path), 2, start_method="fork")
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in range(2))
    assert first[1] == second[1] != set()
    shards = -(-IMAGES // SHARD)
    assert sorted(first[0] + second[0]) == sorted(["image", "label", "phi"] * shards)
    alone = StoreDataset(sampled(path), in_memory=True)
    alone.settle(Processes())
    assert np.array_equal(first[2], alone._loaded["image"])
    assert first[3] == second[3] == [list(ShardShuffle(alone, 8, 1, r, 2)) for r in range(2)]


@pytest.mark.parametrize("crops", [1, 2])
def test_all_images_are_in_memory_where_some_have_failed(tmp_path: Path, crops: int) -> None:
    path = make_store(tmp_path / "toy" / "train" / "samples" / "uniform-4.zarr", crops)
    data = StoreDataset(sampled(path), in_memory=True)
    images = [i for i in range(IMAGES) if i not in FAILED]
    expected = [i * crops + k for i in images for k in range(crops)]
    assert numbers(data.__getitems__(range(len(data)))) == expected


def test_samples_that_are_to_be_in_memory_and_do_not_fit_are_a_sentence(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_module, "free_memory", lambda: 1000)
    with pytest.raises(AdaprepError, match="is not there now: end other programs"):
        StoreDataset(sampled(path), in_memory=True).settle(Processes())


class Stop(Exception):
    pass


class Stopping(Toy):
    """Stops in its n-th step, in every process."""

    def __init__(self, data: Any, steps: int = -1) -> None:
        super().__init__(data)
        self.steps = steps

    def loss(self, network: Any, batch: Any) -> Any:
        self.steps -= 1
        if self.steps == 0:
            raise Stop
        self.network_now = network
        return super().loss(network, batch)


def go_on(rank: int, folder: Path, path: Path, size: int) -> None:
    """Train from disk: without a stop, and stopped twice with other numbers of workers each time."""
    torch.set_num_threads(1)
    processes = Processes(rank, size, size, rank)
    if size > 1:
        meet(rank, folder, size)
    found = []
    for name, parts in (("whole", [(0, -1)]), ("parts", [(2, 9), (1, 7), (2, -1)])):
        (folder / name).mkdir(exist_ok=True)
        for workers, steps in parts:
            task = Stopping(StoreDataset(sampled(path), in_memory=False), steps)
            where = Where(torch.device("cpu"), processes, workers, save_every=2)
            with suppress(Stop):
                fit(task, schedule(rate=0.05, batch_size=8), Run(folder / name, {}), where)
            processes.wait()
        found.append((state(task.network_now), numbers(task.batches[-1])))
    torch.save(found, folder / f"{rank}.pt")
    if size > 1:
        from torch import distributed

        distributed.destroy_process_group()


@pytest.mark.parametrize("size", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_goes_on_from_disk_ends_with_the_same_bits(path: Path, tmp_path: Path, size: int) -> None:
    if size == 1:
        go_on(0, tmp_path, path, 1)
    else:
        start_processes(go_on, (tmp_path, path, size), size, start_method="forkserver")
    for rank in range(size):
        (whole, last), (parts, last_of_parts) = torch.load(tmp_path / f"{rank}.pt")
        assert last == last_of_parts
        assert all(torch.equal(parts[name], value) for name, value in whole.items())
