"""One step of training: eager, and recorded as a CUDA graph where there is a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline.networks.factory import build  # noqa: E402
from pipeline.networks.unet import UNet  # noqa: E402
from pipeline.train import losses  # noqa: E402
from pipeline.train.base_task import BaseTask  # noqa: E402
from pipeline.train.batches import CropShuffle  # noqa: E402
from pipeline.train.data import StoreDataset, sampled  # noqa: E402
from pipeline.train.optimisers import adam  # noqa: E402
from pipeline.train.pools import ResidentLoader, loader  # noqa: E402
from pipeline.train.settings import Base, Schedule  # noqa: E402
from pipeline.train.steps import WARM_UP, Eager, Recorded  # noqa: E402
from tests.train.test_pools import make_store  # noqa: E402

SCHEDULE = Schedule(1e-2, 1, 4, weight_decay=0.1)


def batches(count: int, side: int = 16, device: str = "cpu", batch: int = 4) -> list[dict[str, Any]]:
    made = torch.Generator().manual_seed(1)
    return [
        {
            "image": torch.rand(batch, 3, side, side, generator=made).to(device) * 255,
            "label": torch.randint(0, 5, (batch, side, side), generator=made, dtype=torch.uint8).to(device),
            "phi": torch.rand(batch, 2, 4, 4, generator=made).to(device),
        }
        for _ in range(count)
    ]


def learner(kind: type[Eager], device: str = "cpu", bfloat16: bool = False, **chosen: Any) -> Eager:
    """A small U-Net with the base network's loss."""
    torch.manual_seed(0)
    task = BaseTask.__new__(BaseTask)
    task.chosen, task.weights = Base(**chosen), torch.tensor([1.0, 2.0, 0.0, 1.0, 1.0])
    task.compare = losses.base(task.chosen.loss)
    network = UNet(5, (8, 8), in_channels=6 if task.chosen.tensor_channels else 3).to(device)
    return kind(network, adam(network, SCHEDULE), task.loss, torch.device(device), bfloat16)


def test_an_optimisers_state_can_be_taken_up_on_any_device() -> None:
    learn = learner(Eager)
    for batch in batches(2):
        learn(batch, 0.5)
    groups = learn.state()["param_groups"]
    assert [(group["lr"], group["capturable"]) for group in groups] == [(0.5, False)] * 2
    learn.optimiser.load_state_dict(learn.state())


def test_the_rate_of_a_step_is_the_one_that_is_given() -> None:
    moved = []
    for rate in (1e-3, 1e-2):
        learn = learner(Eager)
        before = learn.network.head.bias.detach().clone()  # type: ignore[union-attr, operator]
        learn(batches(1)[0], rate)
        moved.append((learn.network.head.bias - before).abs().max().item())  # type: ignore[union-attr, operator]
    assert moved == pytest.approx([1e-3, 1e-2], rel=1e-3)  # Adam's first step is the rate itself


def test_samples_that_lie_on_the_device_come_in_the_same_batches(tmp_path: Path) -> None:
    path = make_store(tmp_path / "w")
    data = StoreDataset(sampled(path), in_memory=True)
    there, here = (CropShuffle(data, 7, seed=3) for _ in range(2))
    resident, plain = ResidentLoader(data, there, torch.device("cpu")), loader(data, here)
    for epoch, start in ((0, 0), (1, 0), (2, 3)):
        there.epoch = here.epoch = epoch
        there.start = here.start = start
        for one, other in zip(resident, plain, strict=True):
            assert one.keys() == other.keys()
            assert all(torch.equal(one[name], other[name]) for name in one)
            assert one["image"].shape[1] == 3
    assert len(resident) == len(there)


def on_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")


def recorded(**chosen: Any) -> Recorded:
    made = learner(Recorded, "cuda", **chosen)
    assert isinstance(made, Recorded)
    return made


@pytest.mark.gpu
def test_recorded_steps_learn_what_eager_ones_learn() -> None:
    on_gpu()
    rates = np.geomspace(1e-2, 1e-3, WARM_UP + 8)
    eager, replayed = learner(Eager, "cuda"), recorded()
    found = [
        [
            float(learn(batch, rate))
            for batch, rate in zip(batches(len(rates), device="cuda"), rates, strict=True)
        ]
        for learn in (eager, replayed)
    ]
    assert replayed.problem == ""
    assert replayed._graph is not None
    assert found[1] == pytest.approx(found[0], rel=1e-3)
    for one, other in zip(eager.network.parameters(), replayed.network.parameters(), strict=True):
        assert torch.allclose(one, other, atol=2e-3)
    assert replayed.state()["param_groups"][0]["lr"] == pytest.approx(rates[-1])


@pytest.mark.gpu
@pytest.mark.parametrize(
    "chosen",
    [
        {"area_weight": 0.5},
        {"tensor_channels": True},
        {"loss": "boundary"},
        {"bfloat16": True, "area_weight": 1.0, "tensor_channels": True, "loss": "boundary"},
    ],
    ids=str,
)
def test_every_option_of_the_base_networks_loss_can_be_recorded(chosen: dict[str, Any]) -> None:
    on_gpu()
    learn = recorded(**chosen)
    first = [float(learn(batch, 1e-2)) for batch in batches(WARM_UP + 30, device="cuda")[:1] * (WARM_UP + 30)]
    assert learn.problem == ""
    assert learn._graph is not None
    assert first[-1] < first[0]


@pytest.mark.gpu
@pytest.mark.parametrize("architecture", ["unet", "pspnet", "deeplabv3plus", "efficientnet-lite0"])
def test_every_base_network_can_be_recorded(architecture: str) -> None:
    on_gpu()
    network = build(architecture, 5).cuda()

    def loss(chosen: Any, batch: Any) -> Any:
        return losses.cross_entropy(chosen(batch["image"]), batch["label"])

    learn = Recorded(network, adam(network, SCHEDULE), loss, torch.device("cuda"), True)
    for batch in batches(WARM_UP + 3, 64, "cuda"):
        value = learn(batch, 1e-3)
    assert learn.problem == ""
    assert torch.isfinite(value)


@pytest.mark.gpu
def test_a_loss_that_asks_for_values_is_not_recorded_and_learns_all_the_same() -> None:
    on_gpu()
    plain = learner(Eager, "cuda")

    def loss(network: Any, batch: Any) -> Any:
        found = plain.loss(network, batch)
        return found if float(found) >= 0 else -found

    learn = Recorded(plain.network, plain.optimiser, loss, torch.device("cuda"), False)
    values = [float(learn(batch, 1e-2)) for batch in batches(1, device="cuda") * (WARM_UP + 10)]
    assert learn.problem != ""
    assert values[-1] < values[0]


@pytest.mark.gpu
def test_a_batch_of_another_size_is_an_eager_step() -> None:
    on_gpu()
    learn = recorded()
    for batch in batches(WARM_UP + 2, device="cuda"):
        learn(batch, 1e-3)
    before = [value.detach().clone() for value in learn.network.parameters()]
    assert torch.isfinite(learn(batches(1, device="cuda", batch=3)[0], 1e-3))
    assert not all(torch.equal(a, b) for a, b in zip(before, learn.network.parameters(), strict=True))
