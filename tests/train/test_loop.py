"""The training loop on a toy task: what it keeps, what each step changes, what it leaves alone."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from pipeline.networks import checkpoint  # noqa: E402
from pipeline.train.batches import step_seed  # noqa: E402
from pipeline.train.data import Batch  # noqa: E402
from pipeline.train.fit import Where, fit  # noqa: E402
from pipeline.train.processes import Processes  # noqa: E402
from pipeline.train.settings import Schedule  # noqa: E402
from pipeline.workspace.results import read_history, still_improving  # noqa: E402
from pipeline.workspace.runs import Result, Run  # noqa: E402

STILL = {"flip": 0.0, "brightness": 0.0, "contrast": 0.0, "salt_and_pepper": 0.0}
IMAGES, SIDE = 16, 6


class Crops:
    """A data set in memory, one crop per image: grey images, and whatever else is given."""

    crops, in_memory = 1, True

    def __init__(self, **values: Tensor) -> None:
        self.values = {"image": torch.full((IMAGES, 3, SIDE, SIDE), 128, dtype=torch.uint8), **values}
        self.images = np.arange(len(self.values["image"]))

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        return {name: value[list(indices)] for name, value in self.values.items()}


class Toy:
    """A task that records the batches of its loss, and whose validation says what it is told to."""

    kind, network = "base", "toy"
    figures: tuple[str, ...] = ("score",)

    def __init__(self, data: Crops | None = None, scores: Sequence[float] = (), higher: bool = True) -> None:
        self.data: Any = data or Crops()
        self.scores, self.higher_is_better = iter(scores), higher
        self.arguments: dict[str, Any] = {"classes": 2}
        self.about: dict[str, Any] = {"dataset": "toy", "class_names": ["a", "b"]}
        self.batches: list[dict[str, Tensor]] = []
        self.states: list[dict[str, Tensor]] = []  # of the network, as each loss found it
        self.validated: list[dict[str, Tensor]] = []
        self.modes: list[bool] = []

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        self.batches.append({name: value.clone() for name, value in batch.items()})
        self.states.append(state(network))
        self.modes.append(network.training)
        scores: Tensor = network(batch["image"] / 255)
        return scores.square().mean() + self.steady(network)

    def steady(self, network: nn.Module) -> Tensor:
        """What is added to the loss."""
        return torch.zeros(())

    def drawn(self, batch: Batch, generator: torch.Generator) -> Batch:
        return batch

    def validate(self, network: nn.Module, device: torch.device, processes: Processes) -> Mapping[str, float]:
        network.eval()
        self.validated.append(state(network))
        value = next(self.scores, None)
        return {} if value is None else {self.figures[0]: value}


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def schedule(**changes: Any) -> Schedule:
    return Schedule(**{"rate": 1e-3, "epochs": 3, "batch_size": 4, "augmentation": STILL, **changes})


def train(folder: Path, task: Any, plan: Schedule, processes: Processes | None = None) -> Result:
    folder.mkdir(exist_ok=True)
    where = Where(torch.device("cpu"), processes or Processes())
    return fit(task, plan, Run(folder, {}), where)


@pytest.mark.parametrize(("higher", "best"), [(True, 3), (False, 2)])
def test_the_weights_of_the_best_epoch_are_kept(tmp_path: Path, higher: bool, best: int) -> None:
    scores = (0.4, 0.2, 0.9, 0.3)
    task = Toy(scores=scores, higher=higher)
    result = train(tmp_path, task, schedule(epochs=4))
    assert (result.best_epoch, result.figures) == (best, {"score": scores[best - 1]})
    kept = checkpoint.load(tmp_path / "best.pt")
    assert kept.about["epoch"] == best
    assert all(torch.equal(kept.state[name], value) for name, value in task.validated[best - 1].items())
    last = checkpoint.load(tmp_path / "last.pt")
    assert all(torch.equal(last.state[name], value) for name, value in task.validated[-1].items())
    assert not torch.equal(kept.state["0.weight"], last.state["0.weight"])


def test_a_tie_keeps_the_earlier_epoch_and_nan_gives_way(tmp_path: Path) -> None:
    assert train(tmp_path / "tie", Toy(scores=(0.1, 0.5, 0.5)), schedule()).best_epoch == 2
    assert train(tmp_path / "nan", Toy(scores=(float("nan"), 0.1, float("nan"))), schedule()).best_epoch == 2


@pytest.mark.parametrize(
    ("scores", "every", "patience", "epochs"),
    [
        ((1, 2, 3), 1, 0, 3),
        ((1, 2, 3, 0, 0, 9), 1, 2, 5),  # after the third, two that are no better
        ((1, 2, 3, 0, 4, 0, 9), 1, 2, 6),  # a better one begins the count again, and twice the epochs end it
        ((5, 0, 0, 9), 1, 2, 3),  # none was better for as long as that before the last epoch
        ((3, 0, 0, 9), 2, 1, 3),  # validations after epochs 2, 3, 4, 6
        ((0, 3, 0, 9), 2, 1, 4),
        ((0, 1, 2, 3), 2, 9, 6),
    ],
)
def test_a_patient_run_goes_on_until_validation_stands_still(
    tmp_path: Path, scores: Sequence[float], every: int, patience: int, epochs: int
) -> None:
    task, plan = Toy(scores=scores), schedule(validate_every=every, patience=patience)
    result = train(tmp_path, task, plan)
    rows = read_history(tmp_path / "history.csv")
    assert result.epochs == len(rows) == epochs
    seen = [row["score"] for row in rows if row["score"]]
    assert list(map(float, seen)) == list(scores[: len(seen)])
    assert result.figures == {"score": max(scores[: len(seen)])}
    assert float(rows[-1]["rate"]) == pytest.approx(plan.rate * plan.final_factor)
    assert len({row["rate"] for row in rows[2:]}) == 1  # of the last epoch and all after it
    if epochs < plan.most_epochs:
        assert result.best_epoch < epochs or not patience


@pytest.mark.parametrize("stopped", [None, 14, 21])
def test_a_patient_run_does_not_end_while_the_mean_of_its_validations_rises(
    tmp_path: Path, stopped: int | None
) -> None:
    scores, plan = (0, 0.1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5), schedule(epochs=4, patience=1)
    tmp_path.joinpath("run").mkdir()
    run, where = Run(tmp_path / "run", {}), Where(torch.device("cpu"), save_every=1)
    if stopped:
        with pytest.raises(Stop):
            fit(named_miou(Stopping(stopped, scores=scores)), plan, run, where)
        scores = scores[checkpoint.load(run.last).training["position"]["epoch"] :]
    result = fit(named_miou(Toy(scores=scores)), plan, run, where)
    assert (result.epochs, result.best_epoch) == (6, 3)  # by patience alone it would end after the fourth
    assert not still_improving(
        {"best_epoch": result.best_epoch, "epochs": result.epochs}, read_history(run.path / "history.csv")
    )


def named_miou(task: Toy) -> Toy:
    """The same task, whose figure is the one by which runs are judged."""
    task.figures = ("miou",)
    return task


@pytest.mark.parametrize("looks", [11, 13, 14, 17])
def test_a_patient_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path: Path, looks: int) -> None:
    scores, plan = (1, 2, 3, 0, 0, 9), schedule(patience=2)
    alone = train(tmp_path / "alone", Toy(scores=scores), plan)
    (tmp_path / "parts").mkdir()
    run = Run(tmp_path / "parts", {})
    with pytest.raises(Stop):
        fit(Stopping(looks, scores=scores), plan, run, Where(torch.device("cpu"), save_every=1))
    done = checkpoint.load(run.last).training["position"]["epoch"]
    result = fit(Toy(scores=scores[done:]), plan, run, Where(torch.device("cpu"), save_every=1))
    assert (result.epochs, result.best_epoch) == (alone.epochs, alone.best_epoch) == (5, 3)
    for name in ("last.pt", "best.pt"):
        one, other = (checkpoint.load(tmp_path / folder / name).state for folder in ("alone", "parts"))
        assert all(torch.equal(one[key], other[key]) for key in one)


class Stop(Exception):
    pass


class Stopping(Toy):
    """Raises at its n-th step."""

    def __init__(self, steps: int, **values: Any) -> None:
        super().__init__(**values)
        self.left = steps

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise Stop
        return super().loss(network, batch)


def test_the_network_is_trained_in_training_mode_after_each_validation(tmp_path: Path) -> None:
    task = Toy(scores=(0.1, 0.2, 0.3))
    train(tmp_path, task, schedule())
    assert task.modes == [True] * 12


class Sliding(Toy):
    """One weight under a constant force: each step of Adam moves it by the learning rate."""

    def build(self) -> nn.Module:
        network = super().build()
        network.register_parameter("weight", nn.Parameter(torch.zeros(1, dtype=torch.float64)))
        return network

    def steady(self, network: nn.Module) -> Tensor:
        weight: Tensor = network.weight  # type: ignore[assignment]
        return weight.sum()


def test_steps_shrink_exponentially_to_the_final_learning_rate(tmp_path: Path) -> None:
    task = Sliding()
    train(tmp_path, task, schedule(rate=1e-2, epochs=5, final_factor=0.01))
    places = [float(found["weight"]) for found in task.states]
    places.append(float(checkpoint.load(tmp_path / "last.pt").state["weight"]))
    steps = [before - after for before, after in itertools.pairwise(places)]
    assert len(steps) == 20
    assert steps == pytest.approx([1e-2 * 0.01 ** (k / 19) for k in range(20)], rel=1e-5)


def test_the_augmentation_of_the_schedule_reaches_the_network(tmp_path: Path) -> None:
    still, default = Toy(), Toy()
    train(tmp_path / "still", still, schedule())
    train(tmp_path / "default", default, schedule(augmentation={}))
    assert all(bool((batch["image"] == 128).all()) for batch in still.batches)
    assert not any(bool((batch["image"] == 128).all()) for batch in default.batches)
    brighter = Toy()
    train(tmp_path / "brighter", brighter, schedule(augmentation={**STILL, "brightness": 0.5}))
    shifts = torch.cat([batch["image"][:, 0, 0, 0] - 128 for batch in brighter.batches])
    assert len(shifts.unique()) == len(shifts) == 3 * IMAGES  # every image, every epoch another one
    assert -127.5 <= float(shifts.min()) < -60
    assert 60 < float(shifts.max()) <= 127.5


def test_every_step_has_noise_of_its_own(tmp_path: Path) -> None:
    task = Toy()
    train(tmp_path, task, schedule(epochs=4, augmentation={**STILL, "salt_and_pepper": 0.5}))
    noise = [batch["image"] != 128 for batch in task.batches]
    assert len(noise) == 16
    for one, other in itertools.combinations(noise, 2):
        assert not torch.equal(one, other)


def test_the_seed_of_a_step_depends_on_all_that_names_it() -> None:
    names = list(itertools.product(range(3), range(3), range(3), range(3)))
    assert len({step_seed(*name) for name in names}) == len(names)
    assert step_seed(1, 2, 3, 1) == step_seed(1, 2, 3, 1)


def test_labels_and_boundaries_are_flipped_with_their_image(tmp_path: Path) -> None:
    column = torch.arange(SIDE, dtype=torch.uint8).expand(IMAGES, SIDE, SIDE)
    place = torch.arange(SIDE, dtype=torch.float64).expand(IMAGES, SIDE, SIDE) / (SIDE - 1)
    field = torch.stack([place.transpose(1, 2), place], dim=1)
    image = 20 * column[:, None].expand(-1, 3, -1, -1)
    task = Toy(Crops(image=image, label=column, b=field, phi=field))
    train(tmp_path, task, schedule(augmentation={**STILL, "flip": 0.5}))
    flipped = 0
    for batch in task.batches:
        for picture, label, b, phi in zip(*(batch[n] for n in ("image", "label", "b", "phi")), strict=True):
            assert torch.equal(picture[0], 20.0 * label)
            for tensor in (b, phi):  # the uniform tensor is its own mirror image
                torch.testing.assert_close(tensor, field[0])
            flipped += int(label[0, 0] != 0)
    assert 0 < flipped < 3 * IMAGES


class Mixed(nn.Module):
    """One parameter of each kind; its output depends on none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.transposed = nn.ConvTranspose2d(4, 4, 2)
        self.linear = nn.Linear(4, 4)
        self.norm = nn.BatchNorm2d(4)
        self.grid = nn.Parameter(torch.ones(2, 4, 4))
        nn.init.ones_(self.norm.bias)

    def forward(self, images: Tensor) -> Tensor:
        return images.mean() * 0 + sum(0 * p.sum() for p in self.parameters())


class Idle(Toy):
    def build(self) -> nn.Module:
        return Mixed()


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_weight_decay_shrinks_the_weights_of_layers_and_nothing_else(tmp_path: Path, decay: float) -> None:
    task, plan = Idle(), schedule(rate=0.1, weight_decay=decay)
    train(tmp_path, task, plan)
    before, after = task.states[0], checkpoint.load(tmp_path / "last.pt").state
    left = float(np.prod([1 - decay * plan.learning_rate(step, 12) for step in range(12)]))
    decayed = {"convolution.weight", "transposed.weight", "linear.weight"}
    assert (left < 0.9) == (decay > 0)
    for name, _ in Mixed().named_parameters():
        expected = before[name] * (left if name in decayed else 1)
        torch.testing.assert_close(after[name], expected, msg=name)


class Apart(nn.Module):
    """A layer that learns, and a norm that only keeps count of what it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.norm = nn.BatchNorm2d(3, affine=False)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layer(images.mean(dim=(2, 3))) + 0 * self.norm(images).sum()
        return scores[:, 0]


class Shared(Toy):
    """Images of very different brightness, each with a number to predict."""

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(0)
        image = torch.randint(0, 256, (IMAGES, 3, 1, 1), dtype=torch.uint8, generator=rng)
        target = torch.rand(IMAGES, generator=rng)
        super().__init__(Crops(image=image.expand(-1, -1, SIDE, SIDE), target=target), scores=[0.1] * 9)

    def build(self) -> nn.Module:
        return Apart()

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        predicted: Tensor = network(batch["image"] / 255)
        return (predicted - batch["target"]).square().mean()


def one_of_two(rank: int, folder: Path) -> None:
    """What each process of the test below does."""
    from torch import distributed

    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    task = Shared()
    train(folder / "two", task, schedule(rate=0.05, batch_size=8), Processes(rank, 2))
    torch.save(task.validated, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_and_share_their_buffers(tmp_path: Path) -> None:
    alone = Shared()
    train(tmp_path / "one", alone, schedule(rate=0.05, batch_size=8))
    (tmp_path / "two").mkdir()
    torch.multiprocessing.spawn(one_of_two, (tmp_path,), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert len(first) == len(second) == len(alone.validated) == 3
    for ours, theirs, expected in zip(first, second, alone.validated, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in expected), "the processes differ"
        for name in ("layer.weight", "layer.bias"):  # means over half a batch, averaged: those of the batch
            torch.testing.assert_close(ours[name], expected[name], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(first[0]["layer.weight"], first[-1]["layer.weight"], atol=1e-2)
