"""Augmentation: each change by itself, another draw for each image; labels and tensors follow their image."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pipeline.geometry import tensors
from pipeline.geometry.nearest import nearest_boundary

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from pipeline.errors import AdaprepError  # noqa: E402
from pipeline.geometry.boundaries import target_boundaries  # noqa: E402
from pipeline.geometry.energy import solve  # noqa: E402
from pipeline.train.data import Augmentation, flip_batch, turn_batch  # noqa: E402
from pipeline.train.losses import energy  # noqa: E402
from pipeline.train.zoom import Minimisers, Squares, zoomed_proposals  # noqa: E402

COUNT = 64
GREY = 128.0


def changed(image: Tensor, seed: int = 0, **strengths: float) -> Tensor:
    still = {"flip": 0.0, "brightness": 0.0, "contrast": 0.0, "salt_and_pepper": 0.0}
    change = Augmentation(**{**still, **strengths})
    return change({"image": image}, torch.Generator().manual_seed(seed))["image"]


def grey() -> Tensor:
    return torch.full((COUNT, 3, 8, 8), int(GREY), dtype=torch.uint8)


def textured() -> Tensor:
    return torch.randint(108, 149, (COUNT, 3, 8, 8), generator=torch.Generator().manual_seed(1)).to(
        torch.uint8
    )


def test_by_default_everything_is_on() -> None:
    default = Augmentation()
    assert default == Augmentation(flip=0.5, brightness=0.2, contrast=0.2, salt_and_pepper=0.01)


def test_brightness_shifts_each_image_as_a_whole_by_its_own_amount() -> None:
    images = changed(grey(), brightness=0.2)
    shifts = images[:, 0, 0, 0] - GREY
    assert torch.equal(images, (GREY + shifts).view(-1, 1, 1, 1).expand_as(images))
    assert len(shifts.unique()) == COUNT
    assert -51 <= float(shifts.min()) < -40
    assert 40 < float(shifts.max()) <= 51
    assert abs(float(shifts.mean())) < 12


def test_contrast_scales_each_image_around_its_mean_by_its_own_factor() -> None:
    before = textured()
    images = changed(before, contrast=0.2)
    axes = (1, 2, 3)
    mean = before.float().mean(dim=axes, keepdim=True)
    scales = images.std(dim=axes) / before.float().std(dim=axes)
    torch.testing.assert_close(images, mean + (before - mean) * scales.view(-1, 1, 1, 1))
    assert len(scales.unique()) == COUNT
    assert 0.8 <= float(scales.min()) < 0.85
    assert 1.15 < float(scales.max()) <= 1.2 + 1e-5


def test_salt_and_pepper_strike_whole_pixels_of_each_image_elsewhere() -> None:
    images = changed(grey(), salt_and_pepper=0.2)
    struck = images != GREY
    assert torch.equal(struck, struck[:, :1].expand_as(struck))
    assert set(images.unique().tolist()) == {0.0, GREY, 255.0}
    for value in (0, 255):
        assert float((images == value).float().mean()) == pytest.approx(0.1, abs=0.02)
    for one, other in itertools.combinations(struck, 2):
        assert not torch.equal(one, other)


def test_each_draw_is_another() -> None:
    strengths = {"flip": 0.5, "brightness": 0.2, "contrast": 0.2, "salt_and_pepper": 0.05}
    for name, strength in strengths.items():
        made = [changed(textured(), seed, **{name: strength}) for seed in range(8)]
        for one, other in itertools.combinations(made, 2):
            assert not torch.equal(one, other), name


def test_about_half_of_the_images_are_flipped() -> None:
    before = textured()
    flipped = (changed(before, flip=0.5) == before.flip(-1)).flatten(1).all(dim=1)
    assert 0.3 < float(flipped.float().mean()) < 0.7
    assert torch.equal(changed(before, flip=1.0), before.flip(-1).float())


def test_labels_and_tensors_are_flipped_with_their_image() -> None:
    rng = np.random.default_rng(0)
    batch = {
        "image": textured(),
        "label": torch.from_numpy(rng.integers(0, 5, (COUNT, 8, 8), dtype=np.uint8)),
        "phi": torch.from_numpy(rng.random((COUNT, 2, 4, 4), dtype=np.float32)),
        "b": torch.from_numpy(rng.random((COUNT, 2, 4, 4))),
    }
    batch["b"][3] = torch.nan  # a crop without boundary
    out = Augmentation(0.5, 0, 0, 0)(batch, torch.Generator().manual_seed(0))
    turned = 0
    for i in range(COUNT):
        flipped = torch.equal(out["image"][i], batch["image"][i].flip(-1).float())
        assert flipped or torch.equal(out["image"][i], batch["image"][i].float())
        assert torch.equal(out["label"][i], batch["label"][i].flip(-1) if flipped else batch["label"][i])
        for name in ("phi", "b"):
            before = batch[name][i].numpy()
            np.testing.assert_array_equal(out[name][i].numpy(), tensors.flip(before) if flipped else before)
        turned += flipped
    assert 0 < turned < COUNT


def test_a_flipped_nearest_boundary_is_that_of_the_flipped_map() -> None:
    boundary = np.zeros((33, 33), bool)
    boundary[5:20, 7] = True
    boundary[25, 3:28] = True
    maps = [np.ascontiguousarray(part) for part in (boundary, boundary[:, ::-1])]
    b, mirrored = (torch.from_numpy(nearest_boundary(part, (6, 6)))[None] for part in maps)
    flipped = flip_batch({"b": b}, torch.tensor([True]))["b"]
    u = torch.from_numpy(tensors.uniform(6, 6))
    distances = [(found - u).square().sum(dim=1) for found in (flipped, mirrored)]
    torch.testing.assert_close(*distances)  # ties between pixels may be broken the other way
    assert float((flipped - mirrored).abs().amax(dim=1).lt(1e-9).float().mean()) > 0.8


def test_the_energy_of_a_flipped_prediction_is_that_of_the_prediction() -> None:
    rng = torch.Generator().manual_seed(0)
    batch = {name: torch.rand(3, 2, 5, 5, generator=rng, dtype=torch.float64) for name in ("phi", "b")}
    batch["b"][1] = torch.nan
    flipped = flip_batch(batch, torch.tensor([True, True, False]))
    expected = energy(batch["phi"], batch["b"], 0.7)
    torch.testing.assert_close(energy(flipped["phi"], flipped["b"], 0.7), expected)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_turned_image_has_the_turned_proposal(quarters: int) -> None:
    rng = np.random.default_rng(quarters)
    labels = np.zeros((3, 24, 24), np.uint8)
    for n in range(3):
        labels[n, 3 + n : 9, 14:20] = 1
        labels[n, rng.integers(12, 24), rng.integers(24)] = 1
    wanted = Minimisers((6, 6), 0.5, [1])
    b = np.stack([wanted.nearest(one) for one in labels])
    batch = {"label": torch.from_numpy(labels), "phi": torch.from_numpy(wanted.solved(b))}
    found = turn_batch(batch, torch.full((3,), quarters))
    turned = np.rot90(labels, quarters, (1, 2))
    assert np.array_equal(found["label"].numpy(), turned)
    again = np.stack([wanted.nearest(one) for one in turned])
    distances = [np.square(one - points).sum(1) for one, points in ((b, u(6)), (again, u(6)))]
    np.testing.assert_allclose(np.rot90(distances[0], quarters, (1, 2)), distances[1], atol=1e-12)
    nearest = turn_batch({"b": torch.from_numpy(b)}, torch.full((3,), quarters))["b"].numpy()
    np.testing.assert_allclose(found["phi"].numpy(), solve(nearest, 0.5), atol=1e-12)
    assert np.array_equal(found["phi"].numpy()[:, 0, 0], np.zeros((3, 6)))
    assert np.array_equal(found["phi"].numpy()[:, 1, :, -1], np.ones((3, 6)))


def u(side: int) -> np.ndarray:
    return tensors.uniform(side, side)


def test_turns_are_drawn_for_each_item_and_not_where_there_are_none() -> None:
    generator = torch.Generator().manual_seed(3)
    image = torch.randint(0, 256, (400, 3, 4, 4), generator=generator).float()
    found = changed(image, turn=0.6)
    seen = [
        sum(torch.equal(one, before.rot90(k, (1, 2))) for one, before in zip(found, image, strict=True))
        for k in range(4)
    ]
    assert sum(seen) == 400
    assert 130 < seen[0] < 190
    assert all(55 < count < 105 for count in seen[1:])
    assert torch.equal(changed(image, turn=0.0), changed(image))


def test_a_grid_that_is_not_square_cannot_be_turned() -> None:
    batch = {"image": torch.zeros(2, 3, 8, 8), "phi": torch.zeros(2, 2, 4, 6)}
    with pytest.raises(AdaprepError, match="needs a square grid, and this one is 4x6"):
        Augmentation(turn=1.0)(batch, torch.Generator())


def test_a_square_has_the_proposal_of_the_boundaries_in_it() -> None:
    generator = torch.Generator().manual_seed(0)
    fine = torch.randint(0, 256, (3, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.zeros(3, 32, 32, dtype=torch.uint8)
    labels[:, 20:, 20:] = 1
    labels[0, 5:9, 3:6] = 2
    corner, share = torch.tensor([[0.0, 0.0], [0.25, 0.5], [0.0, 0.0]]), torch.tensor([0.5, 0.5, 1.0])
    squares = Squares.at(corner, share, 32)
    found = zoomed_proposals({"fine": fine, "label": labels}, squares, 8, Minimisers((4, 4), 0.5, [1, 2]))
    parts = [(slice(0, 16), slice(0, 16)), (slice(8, 24), slice(16, 32)), (slice(0, 32), slice(0, 32))]
    for n, (rows, cols) in enumerate(parts):
        square = fine[n, :, rows, cols].float()
        k = square.shape[-1] // 8
        means = square.reshape(3, 8, k, 8, k).mean((2, 4))
        torch.testing.assert_close(found["image"][n], means)
        near = nearest_boundary(target_boundaries(labels[n, rows, cols].numpy(), [1, 2]), (4, 4))
        assert near is not None
        np.testing.assert_allclose(found["b"][n].numpy(), near, atol=1e-6)
        np.testing.assert_allclose(found["phi"][n].numpy(), solve(near, 0.5), atol=1e-6)


def test_a_square_without_boundary_has_the_uniform_tensor() -> None:
    batch = {
        "fine": torch.zeros(1, 3, 16, 16, dtype=torch.uint8),
        "label": torch.zeros(1, 16, 16, dtype=torch.uint8),
    }
    squares = Squares.at(torch.zeros(1, 2), torch.tensor([0.01]), 16)
    found = zoomed_proposals(batch, squares, 4, Minimisers((4, 4), 1.0, [1]))
    assert found["b"].isnan().all()
    np.testing.assert_allclose(found["phi"][0].numpy(), u(4), atol=1e-6)
    assert found["image"].shape == (1, 3, 4, 4)
