"""Defaults, learning rates, names of runs, order of crops, and histories."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import AdaprepError
from pipeline.train import settings

torch = pytest.importorskip("torch")

from pipeline.train.batches import CropShuffle, step_seed  # noqa: E402
from pipeline.train.data import Source, StoreDataset  # noqa: E402
from pipeline.train.history import History  # noqa: E402
from pipeline.workspace.results import read_history  # noqa: E402
from pipeline.workspace.runs import Run  # noqa: E402
from tests.train.test_fit import make_space  # noqa: E402

MakeBlobs = Callable[..., Path]


@pytest.mark.parametrize(
    ("resolution", "images", "expected"),
    [
        *((r, 10**5, size) for r, size in ((16, 128), (32, 128), (64, 128), (128, 32), (256, 24), (512, 12))),
        (48, 10**5, 128),
        (65, 10**5, 32),
        (1024, 10**5, 3),
        (64, 367, 12),
        (64, 5000, 128),
        (64, 24, 8),
        (512, 24, 8),
    ],
)
def test_batch_sizes_are_the_papers_and_smaller_for_little_data(
    resolution: int, images: int, expected: int
) -> None:
    assert settings.batch_size(resolution, images) == expected


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("apolloscape", (1e-5, 33)),
        ("supervisely", (1e-4, 1000)),
        ("synthia-rand-cityscapes", (1e-4, 500)),
        ("camvid", (1e-4, 500)),
        ("demo", (1e-3, 100)),
    ],
)
def test_paces_are_the_papers(dataset: str, expected: tuple[float, int]) -> None:
    assert tuple(settings.pace(dataset)) == expected


def test_the_learning_rate_falls_exponentially_to_its_share() -> None:
    schedule = settings.Schedule(1e-3, 10, 8)
    rates = [schedule.learning_rate(step, 101) for step in range(101)]
    assert (rates[0], rates[50], rates[100]) == (1e-3, pytest.approx(1e-4), pytest.approx(1e-5))
    ratios = [b / a for a, b in itertools.pairwise(rates)]
    assert max(ratios) == pytest.approx(min(ratios))
    assert schedule.learning_rate(0, 1) == 1e-3


def test_runs_are_named_by_what_sets_them_apart() -> None:
    plain = settings.Request(("base",))
    assert plain.run_name("base") == "base-unet-auxiliary-64-seed0"
    assert plain.run_name("auxiliary") == "auxiliary-32-seed0"
    energy = replace(
        plain, auxiliary=settings.Auxiliary(16, "area", (16, 16), 0.5, "energy"), seed=3, tag="x"
    )
    assert energy.run_name("auxiliary") == "auxiliary-16-16x16-lambda0.5-energy-seed3-x"
    assert energy.run_name("base") == "base-unet-auxiliary16-64-16x16-lambda0.5-seed3-x"
    own = replace(plain, base=settings.Base("my.nets:Small", "proposal", 128, (8, 8), 10))
    assert own.run_name("base") == "base-my.nets-Small-proposal-128-lambda10-seed0"


@pytest.fixture
def data(make_blobs: MakeBlobs, tmp_path: Path) -> StoreDataset:
    space = make_space(make_blobs(train=13), tmp_path / "w", "train")
    path = space.folder("blobs", "train").tensors((4, 4), 1.0)
    return StoreDataset({"phi": Source(path, "phi")})


@pytest.mark.parametrize("in_memory", [True, False])
def test_an_epoch_is_one_crop_of_every_image(data: StoreDataset, in_memory: bool) -> None:
    data.in_memory = in_memory
    batches = CropShuffle(data, 4, seed=1)
    assert len(batches) == len(list(batches)) == 4
    drawn = []
    for epoch in range(20):
        batches.epoch = epoch
        items = [item for batch in batches for item in batch]
        assert sorted(item // 5 for item in items) == list(range(13))
        drawn.append(tuple(items))
    assert len(set(drawn)) == 20
    assert {item for items in drawn for item in items} > set(range(60))
    batches.epoch = 7
    assert tuple(item for batch in batches for item in batch) == drawn[7]
    batches.start = 2
    assert tuple(item for batch in batches for item in batch) == drawn[7][8:]


def test_processes_share_an_epoch(data: StoreDataset) -> None:
    parts = [list(CropShuffle(data, 3, 1, rank, 2, drop_last=True)) for rank in range(2)]
    assert [len(part) for part in parts] == [2, 2]
    items = [item // 5 for part in parts for batch in part for item in batch]
    assert len(items) == len(set(items)) == 12


def test_every_step_and_process_has_random_numbers_of_its_own() -> None:
    places = [(s, e, t, r) for s in range(3) for e in range(3) for t in range(3) for r in range(3)]
    assert len({step_seed(*place) for place in places}) == len(places)


def test_a_history_drops_what_its_checkpoint_does_not_know(tmp_path: Path) -> None:
    history = History(tmp_path, ("miou",))
    for epoch in (1, 2, 3):
        row = {"epoch": epoch, "step": 5 * epoch, "rate": 0.1, "loss": 1 / epoch}
        history.add(
            {**row, "images_per_second": 9.0, "seconds": 1.0, **({"miou": 0.5} if epoch == 2 else {})}
        )
    history.close()
    with (tmp_path / "history.csv").open("a") as file:
        file.write("4,20,0.")
    assert [row["miou"] for row in read_history(tmp_path / "history.csv")] == ["", "0.5", ""]
    again = History(tmp_path, ("miou",), epoch=2, step=10)
    again.close()
    text = (tmp_path / "history.csv").read_text()
    assert text == (
        "epoch,step,rate,loss,miou,images_per_second,seconds\n1,5,0.1,1,,9,1\n2,10,0.1,0.5,0.5,9,1\n"
    )


def test_a_folder_with_damaged_settings_is_named(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(AdaprepError, match=r"cannot read .*settings.json"):
        Run(tmp_path, {}).state()
