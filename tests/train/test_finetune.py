"""`--finetune`: the loss of a base network reaches the auxiliary network that samples for it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from pipeline.errors import AdaprepError
from pipeline.geometry.tensors import project, resize, uniform
from pipeline.report.page import commands as repeated
from pipeline.workspace import stores
from tests.conftest import blobs_in
from tests.train.test_fit import (
    TINY,
    Interrupting,
    Stop,
    cli,
    make_space,
    run_folder,
    same,
    weights,
)

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from pipeline.networks import checkpoint, points  # noqa: E402
from pipeline.networks.auxiliary import AuxiliaryNetwork  # noqa: E402
from pipeline.train import command, settings  # noqa: E402
from pipeline.train.finetune import bilinear, segmentation  # noqa: E402

ONCE = replace(TINY, epochs=1)


@tries(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), side=st.integers(2, 9), h=st.integers(1, 5), w=st.integers(1, 5))
def test_samples_between_pixels_are_those_of_scipy(seed: int, side: int, h: int, w: int) -> None:
    rng = np.random.default_rng(seed)
    image, phi = rng.random((side, side)), rng.random((2, h, w))
    found = bilinear(torch.tensor(image)[None, None], torch.tensor(phi)[None])[0, 0].numpy()
    np.testing.assert_allclose(found, map_coordinates(image, phi * (side - 1), order=1), atol=1e-12)


def test_at_their_own_places_samples_are_the_pixels_and_the_gradient_is_exact() -> None:
    images = torch.rand(2, 3, 5, 5, dtype=torch.float64)
    u = torch.tensor(uniform(5, 5)).expand(2, -1, -1, -1)
    torch.testing.assert_close(bilinear(images, u), images)
    phi = torch.rand(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: bilinear(images, p), phi)


class Linear(nn.Module):
    """Scores of two classes: the first channel, and the negative of it."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([images[:, 0], -images[:, 0]], dim=1)


def test_the_loss_is_that_of_all_samples_by_the_area_they_stand_for() -> None:
    rng = np.random.default_rng(0)
    phi = uniform(3, 4) + rng.uniform(-0.1, 0.1, (2, 3, 4))
    fine, labels = rng.random((3, 9, 9)), rng.integers(0, 2, (9, 9)).astype(np.uint8)
    labels[0, 0] = 255
    found = segmentation(
        Linear(),
        6,
        torch.tensor(phi)[None].float(),
        torch.tensor(fine)[None].float(),
        torch.tensor(labels)[None],
    )
    place = resize(project(phi), (6, 6))
    rows, cols = np.rint(place * 8).astype(int)
    label = labels[rows, cols]
    value = map_coordinates(fine[0], place * 8, order=1)
    loss = np.log(np.exp(value) + np.exp(-value)) - np.where(label == 0, value, -value)
    area = points.cell_areas(torch.tensor(place)[None])[0].numpy() * (label != 255)
    assert float(found) == pytest.approx((loss * area).sum() / area.sum(), rel=1e-4)


def test_it_reaches_every_weight_of_the_network_that_samples() -> None:
    torch.manual_seed(0)
    network = AuxiliaryNetwork(16, (4, 4), features=4, first=4, solver=0.5)
    nn.init.normal_(network.head.weight, std=0.1)
    images = torch.rand(4, 3, 32, 32) * 255
    labels = torch.randint(0, 2, (4, 32, 32), dtype=torch.uint8)
    phi = network(images[..., ::2, ::2])
    segmentation(Linear(), 8, phi, images, labels).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[stores.Workspace, Path, Path]:
    """A workspace with an auxiliary network and base networks on its samples and on uniform ones."""
    folder = tmp_path_factory.mktemp("finetune")
    space = make_space(blobs_in(folder)(train=14, val=5), folder / "w")
    command.run(space, None, ONCE)
    uniform_base = replace(ONCE, networks=("base",), base=replace(ONCE.base, sampler="uniform"))
    command.run(space, None, uniform_base)
    return space, *(run_folder(space, one, "base") / "best.pt" for one in (ONCE, uniform_base))


def finetuning(base: Path, **changes: object) -> settings.Request:
    request = replace(TINY, networks=("auxiliary",), auxiliary=settings.Auxiliary(), finetune=base)
    return replace(request, **changes)  # type: ignore[arg-type]


def folder_of(space: stores.Workspace) -> Path:
    return space.run("blobs", "auxiliary-16-4x4-features8-finetuned-seed0").path


def test_it_goes_on_from_the_network_that_sampled_and_a_base_network_is_trained_on_it(
    trained: tuple[stores.Workspace, Path, Path],
) -> None:
    space, base, _ = trained
    before, start = base.read_bytes(), run_folder(space, ONCE, "auxiliary") / "best.pt"
    shutil.rmtree(folder_of(space), ignore_errors=True)
    assert command.run(space, None, finetuning(base, rate=1e-12, epochs=1))
    folder = folder_of(space)
    made, mine = weights(folder / "best.pt"), weights(start)
    for name, value in mine.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(made[name], value, atol=1e-6, rtol=0)
    written = json.loads((folder / "settings.json").read_text())["settings"]
    assert written["start"] == checkpoint.load(start).identity
    assert written["through"] == checkpoint.load(base).identity
    assert base.read_bytes() == before
    again = replace(ONCE, networks=("base",), checkpoint=folder / "best.pt", tag="again")
    assert command.run(space, None, again)
    factory = ("--architecture", TINY.base.architecture)
    code, said = cli(space.path, "evaluate", run_folder(space, again, "base") / "best.pt", *factory)
    assert code == 0, said


def test_a_run_that_goes_on_ends_with_the_same_bits(trained: tuple[stores.Workspace, Path, Path]) -> None:
    space, base, _ = trained
    request, folder = finetuning(base, epochs=2, save_every=2), folder_of(space)
    shutil.rmtree(folder, ignore_errors=True)
    command.run(space, None, request)
    alone = {name: weights(folder / name) for name in ("last.pt", "best.pt")}
    shutil.rmtree(folder)
    with pytest.raises(Stop):
        command.run(space, None, request, command.Hooks(listener=lambda: Interrupting(3)))
    command.run(space, None, request)
    assert all(same(weights(folder / name), expected) for name, expected in alone.items())


def test_the_commands_that_cannot_be_are_told_why(
    trained: tuple[stores.Workspace, Path, Path], tmp_path: Path
) -> None:
    space, base, other = trained
    with pytest.raises(AdaprepError, match="was trained on uniform samples, and --finetune is for the aux"):
        command.run(space, None, finetuning(other))
    with pytest.raises(AdaprepError, match="use it with --network auxiliary"):
        command.check(finetuning(base, networks=("base",)))
    with pytest.raises(AdaprepError, match="leave out --grid, --lambda and all options that"):
        command.check(finetuning(base, auxiliary=settings.Auxiliary(features=8)))
    start = run_folder(space, ONCE, "auxiliary")
    start.rename(tmp_path / "away")
    try:
        with pytest.raises(AdaprepError, match=r"of the auxiliary network \w{12}, which no run in .* holds"):
            command.plan(space, None, finetuning(base, tag="new"))
    finally:
        (tmp_path / "away").rename(start)


def test_the_report_repeats_it_after_the_base_network(trained: tuple[stores.Workspace, Path, Path]) -> None:
    from types import SimpleNamespace

    space, base, _ = trained
    about = {"resolution": 16, "filter": "area", "loss": "proposal", "features": 8, "grid": [4, 4]}
    settings_of = {"auxiliary": {**about, "lambda": 1.0, "seed": 0}, "base": {"seed": 0, "resolution": 8}}
    first = SimpleNamespace(
        network="auxiliary", name="a", settings=settings_of["auxiliary"], result={"weights": "1"}
    )
    second = SimpleNamespace(
        network="base", name=base.parent.name, settings=settings_of["base"], result={"weights": "2"}
    )
    third = SimpleNamespace(
        network="auxiliary",
        name="t",
        settings={**settings_of["auxiliary"], "through": "2"},
        result={"weights": "3"},
    )
    fourth = SimpleNamespace(
        network="base", name="b", settings={**settings_of["base"], "auxiliary": "3"}, result=None
    )
    runs = [fourth, third, second, first]
    facts = SimpleNamespace(runs=runs, space=space, dataset=SimpleNamespace(name="blobs"))
    assert repeated._ordered(runs) == [first, second, third, fourth]  # type: ignore[arg-type, comparison-overlap]
    assert repeated._auxiliary_run(third, facts) == ["--finetune", base]  # type: ignore[arg-type]
