"""Augmentation: each change by itself, another draw for each image; labels and tensors follow their image."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pipeline.geometry import tensors
from pipeline.geometry.nearest import nearest_boundary

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from pipeline.train.data import Augmentation, flip_batch  # noqa: E402
from pipeline.train.losses import energy  # noqa: E402
from pipeline.train.zoom import zoomed  # noqa: E402

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


def test_a_zoom_blows_up_a_square_of_image_and_labels_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 3, 8, 8), generator=generator).float()
    label = image[:, 0].to(torch.uint8)
    corner, share = torch.tensor([[0.0, 0.0], [0.5, 0.25], [0.0, 0.0]]), torch.tensor([0.5, 0.5, 1.0])
    found = zoomed({"image": image, "label": label}, corner, share)
    for n, (top, left) in enumerate([(0, 0), (4, 2)]):
        part = image[n, :, top : top + 4, left : left + 4]
        assert torch.equal(found["image"][n], part.repeat_interleave(2, 1).repeat_interleave(2, 2))
    assert torch.equal(found["image"][2], image[2])
    assert torch.equal(found["label"], found["image"][:, 0].to(torch.uint8))


def test_without_a_zoom_no_random_number_is_drawn_for_it() -> None:
    batch = {
        "image": torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8),
        "label": torch.zeros(4, 8, 8, dtype=torch.uint8),
    }

    def draw(zoom: float) -> torch.Tensor:
        return Augmentation(zoom=zoom)(batch, torch.Generator().manual_seed(1))["image"]

    assert torch.equal(draw(0.0), Augmentation()(batch, torch.Generator().manual_seed(1))["image"])
    assert not torch.equal(draw(0.0), draw(1.0))
    proposals = {"image": batch["image"], "phi": torch.rand(4, 2, 4, 4)}
    one, other = (Augmentation(zoom=z)(proposals, torch.Generator().manual_seed(1)) for z in (0.0, 1.0))
    assert torch.equal(one["image"], other["image"])
