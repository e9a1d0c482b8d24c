"""`--augment zoom` of base networks: squares of crops, blown up first and sampled then."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.geometry import cells
from pipeline.geometry.proposal import propose
from pipeline.geometry.sampling import sample
from pipeline.geometry.tensors import resize
from pipeline.samplers.base import Sampler
from pipeline.samplers.mean import Mean
from pipeline.samplers.proposal import Proposals
from pipeline.samplers.uniform import Uniform
from pipeline.workspace import stores
from tests.train import test_fit as fits

torch = pytest.importorskip("torch")

from pipeline.networks import checkpoint  # noqa: E402
from pipeline.samplers.predicted import Predicted, Predictor, predict  # noqa: E402
from pipeline.train import command  # noqa: E402
from pipeline.train.anew import Anew  # noqa: E402
from pipeline.train.data import FINER  # noqa: E402
from pipeline.train.zoom import Squares  # noqa: E402

RESOLUTION, FINE, TARGETS = 8, 32, (1, 2)


def scene(count: int = 3) -> dict[str, Any]:
    """Smooth images and label maps of 32 x 32 with targets in them."""
    rng = torch.Generator().manual_seed(2)
    coarse = torch.rand(count, 3, 4, 4, generator=rng) * 255
    images = torch.nn.functional.interpolate(coarse, (FINE, FINE), mode="bicubic").clamp(0, 255)
    labels = torch.zeros(count, FINE, FINE, dtype=torch.uint8)
    labels[:, 20:, 9:30] = 1
    labels[0, 5:9, 3:6] = 2
    return {"fine": images.to(torch.uint8), "label": labels}


def parts(batch: dict[str, Any], squares: Squares) -> list[tuple[Any, Any]]:
    """Each square as an image (L, L, 3) and its label map (L, L)."""
    pixels, labels = batch["fine"].permute(0, 2, 3, 1).numpy(), batch["label"].numpy()
    return [(pixels[i, r, c], labels[i, r, c]) for i, (r, c) in enumerate(squares.slices())]


def warp() -> Mean:
    return Mean.of(propose(scene()["label"][0].numpy(), TARGETS, (4, 4), 0.5).astype(np.float32), 0.5)


@pytest.mark.parametrize("zoom", [0.0, 1.0])
@pytest.mark.parametrize("sampler", [Uniform(), warp(), Proposals((4, 4), 0.5)], ids=lambda s: s.kind)
def test_a_square_is_sampled_as_a_crop_of_its_pixels_is(sampler: Sampler, zoom: float) -> None:
    batch = scene()
    found = Anew(sampler, RESOLUTION, "nearest", zoom, TARGETS)(batch, torch.Generator().manual_seed(5))
    squares = Squares.drawn(3, zoom, FINE, torch.Generator().manual_seed(5))
    assert zoom == 0 or len({*squares.lengths.tolist()}) > 1
    for n, (image, labels) in enumerate(parts(batch, squares)):
        phi = sampler.fixed
        if phi is None:
            phi = propose(labels, TARGETS, (4, 4), 0.5).astype(np.float32)
        points = resize(phi.astype(np.float64), (RESOLUTION, RESOLUTION))
        assert np.array_equal(found["image"][n].permute(1, 2, 0).numpy(), sample(image, points))
        assert np.array_equal(found["label"][n].numpy(), sample(labels, points))


def test_an_anti_aliased_sample_is_about_the_mean_of_its_cell() -> None:
    batch = scene()
    squares = Squares.drawn(3, 0.5, FINE, torch.Generator().manual_seed(5))
    for sampler in (Uniform(), warp()):
        made = Anew(sampler, RESOLUTION, "area", 0.5, TARGETS)
        found = made(batch, torch.Generator().manual_seed(5))["image"].permute(0, 2, 3, 1).numpy()
        plain = replace(made, filter="nearest")(batch, torch.Generator().manual_seed(5))["image"]
        points = resize(np.asarray(sampler.fixed, np.float64), (RESOLUTION, RESOLUTION))
        exact = np.stack([cells.cell_means(image, points) for image, _ in parts(batch, squares)])
        error, without = (
            np.abs(one - exact.astype(float)).mean() for one in (found, plain.permute(0, 2, 3, 1).numpy())
        )
        assert error < 4
        assert error < without / 2
    grey = {**batch, "fine": torch.full_like(batch["fine"], 77)}
    assert (made(grey, torch.Generator().manual_seed(5))["image"] == 77).all()


@pytest.fixture
def space(make_blobs: fits.MakeBlobs, tmp_path: Path) -> stores.Workspace:
    return fits.make_space(make_blobs(train=14, val=5), tmp_path / "w")


@pytest.mark.parametrize("how", ["area", "nearest"])
def test_the_auxiliary_network_looks_at_the_square(space: stores.Workspace, how: Any) -> None:
    small = replace(fits.TINY.auxiliary, filter=how)
    request = replace(fits.TINY, networks=("auxiliary",), auxiliary=small, epochs=1)
    command.run(space, None, request)
    predictor = Predictor.load(fits.run_folder(space, request, "auxiliary") / "best.pt")
    batch = scene()
    squares = Squares.at(
        torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.25, 0.25]]), torch.tensor([1.0, 0.5, 0.5]), FINE
    )
    found = Anew(Predicted(predictor), RESOLUTION, "nearest", 1.0, TARGETS).tensors(batch, squares)
    expected = predict(predictor, [image for image, _ in parts(batch, squares)])
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)  # whose small images are rounded to bytes


@pytest.mark.parametrize("sampler", ["uniform", "mean", "auxiliary", "proposal"])
def test_a_run_on_squares_goes_on_to_the_same_bits(space: stores.Workspace, sampler: str) -> None:
    base = replace(fits.TINY.base, sampler=sampler, filter="area" if sampler == "uniform" else "nearest")
    if sampler == "auxiliary":
        command.run(space, None, replace(fits.TINY, networks=("auxiliary",), epochs=1))
    request = replace(
        fits.TINY, networks=("base",), base=base, epochs=2, save_every=2, augmentation={"zoom": 1.0}
    )
    command.run(space, None, request)
    finer = f"uniform-{FINER * base.resolution}"
    assert [space.folder("blobs", split).sample(finer).exists() for split in ("train", "val")] == [
        True,
        False,
    ]
    folder = fits.run_folder(space, request, "base")
    alone = {name: fits.weights(folder / name) for name in ("last.pt", "best.pt")}
    shutil.rmtree(folder)
    with pytest.raises(fits.Stop):
        command.run(space, None, request, command.Hooks(listener=lambda: fits.Interrupting(4)))
    command.run(space, None, request)
    assert all(fits.same(fits.weights(folder / name), expected) for name, expected in alone.items())
    whole = replace(request, augmentation={})
    command.run(space, None, whole)
    assert not fits.same(fits.weights(fits.run_folder(space, whole, "base") / "last.pt"), alone["last.pt"])
    assert checkpoint.load(folder / "best.pt").about["sampler"] == sampler
