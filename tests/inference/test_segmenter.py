"""From large images to large label maps, in the same pixels that were stored for training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from pipeline.geometry import interpolation, sampling, tensors
from pipeline.geometry.cells import boxes, cell_means
from pipeline.inference import averages, segmenter
from pipeline.inference.segmenter import AdaptiveSegmenter
from pipeline.networks.auxiliary import AuxiliaryNetwork
from pipeline.networks.factory import build

SIDE = 75


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


@pytest.fixture(scope="module")
def auxiliary() -> AuxiliaryNetwork:
    """An untrained network whose tensors are far from uniform, some cells folded over."""
    torch.manual_seed(0)
    network = AuxiliaryNetwork(16, features=4, first=4).eval()
    nn.init.normal_(network.head.weight, std=0.1)
    return network


@pytest.fixture(scope="module")
def base() -> nn.Module:
    torch.manual_seed(1)
    return build("unet", 5, widths=(4, 6)).eval()


def as_stored(image: Tensor, phi: Tensor, resolution: int) -> tuple[Any, Any]:
    """The sampled image and its tensor, as the NumPy side makes them of a tensor (2, 8, 8)."""
    fine = tensors.resize(phi.detach().numpy().astype(np.float64), (resolution, resolution))
    return sampling.sample(image.permute(1, 2, 0).numpy(), fine).transpose(2, 0, 1), fine


@pytest.mark.parametrize("filter", ["area", "nearest"])
def test_samples_the_pixels_that_the_stores_hold(
    auxiliary: AuxiliaryNetwork, base: nn.Module, filter: str
) -> None:
    images = pictures(2, 3, SIDE, SIDE)
    whole = AdaptiveSegmenter(auxiliary, base, 24, filter)
    phi = whole.locate(images)
    sampled = segmenter.sample(images, phi)
    coarse = auxiliary.predict(segmenter.shrink(images, 16, filter))
    assert len(np.unique(coarse.detach().numpy())) > 50
    for image, one, points, pixels in zip(images, coarse, phi, sampled, strict=True):
        stored, fine = as_stored(image, one, 24)
        assert np.array_equal(points.detach().numpy(), fine)
        assert np.array_equal(pixels.numpy(), stored)


@pytest.mark.parametrize("resolution", [5, 24, 100])
def test_means_over_cells_are_those_that_the_stores_hold(
    auxiliary: AuxiliaryNetwork, base: nn.Module, resolution: int
) -> None:
    images = pictures(2, 3, SIDE, SIDE)
    phi = AdaptiveSegmenter(auxiliary, base, resolution, sample_filter="area").locate(images).detach()
    by_sums = averages._from_sums(images, averages.boxes(phi, SIDE))
    floating = averages.cell_means(images.double(), phi)
    for image, points, exact, mean in zip(images, phi.numpy(), by_sums, floating, strict=True):
        pixels = image.permute(1, 2, 0).numpy()
        assert np.array_equal(averages.boxes(torch.from_numpy(points)[None], SIDE)[0], boxes(points, SIDE))
        assert np.array_equal(exact.permute(1, 2, 0), cell_means(pixels, points))
        assert (mean - exact).abs().max() <= 0.5
    assert torch.equal(averages.cell_means(images, phi), by_sums)


def test_the_base_network_is_shown_means_where_it_was_trained_so(
    auxiliary: AuxiliaryNetwork, base: nn.Module
) -> None:
    images = pictures(1, 3, SIDE, SIDE)
    whole = AdaptiveSegmenter(auxiliary, base, 24, sample_filter="area")
    with torch.no_grad():
        scores, phi = whole.sampled_scores(images)
        assert torch.equal(scores, base(averages.cell_means(images, phi)))
        assert not torch.equal(scores, AdaptiveSegmenter(auxiliary, base, 24).sampled_scores(images)[0])
    with pytest.raises(ValueError, match="must be one of area, nearest"):
        AdaptiveSegmenter(auxiliary, base, 24, sample_filter="mean")


def test_scores_are_interpolated_between_the_samples(auxiliary: AuxiliaryNetwork, base: nn.Module) -> None:
    images = pictures(2, 3, SIDE, SIDE)
    whole = AdaptiveSegmenter(auxiliary, base, 24).eval()
    with torch.no_grad():
        out = whole(images)
        coarse = auxiliary.predict(segmenter.shrink(images, 16))
        for image, one, scores in zip(images, coarse, out, strict=True):
            stored, fine = as_stored(image, one, 24)
            expected = interpolation.interpolate(base(torch.from_numpy(stored)[None])[0].numpy(), fine, SIDE)
            np.testing.assert_allclose(scores.numpy(), expected, atol=1e-5)


def test_labels_are_the_arg_max_of_the_scores(auxiliary: AuxiliaryNetwork, base: nn.Module) -> None:
    images = pictures(2, 3, SIDE, SIDE)
    whole = AdaptiveSegmenter(auxiliary, base, 24).eval()
    labels = whole.labels(images)
    assert labels.shape == (2, SIDE, SIDE)
    assert labels.dtype == torch.uint8
    best = whole(images).detach().topk(2, dim=1)
    clear = best.values[:, 0] - best.values[:, 1] > 1e-5
    assert clear.float().mean() > 0.99
    assert torch.equal(labels[clear].long(), best.indices[:, 0][clear])


@pytest.mark.gpu
def test_a_gpu_finds_the_same_labels(auxiliary: AuxiliaryNetwork, base: nn.Module) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    images = pictures(2, 3, SIDE, SIDE)
    whole = AdaptiveSegmenter(auxiliary, base, 24).eval()
    expected = whole.labels(images)
    try:
        found = whole.cuda().labels(images.cuda()).cpu()
    finally:
        whole.cpu()
    assert (found == expected).float().mean() > 0.99


def test_without_auxiliary_network_sampling_is_uniform(base: nn.Module) -> None:
    images = pictures(1, 3, SIDE, SIDE)
    whole = AdaptiveSegmenter(None, base, (24, 32)).eval()
    phi = whole.locate(images)
    assert phi.shape == (1, 2, 24, 32)
    np.testing.assert_allclose(phi[0].numpy(), tensors.uniform(24, 32), atol=1e-7)
    assert whole(images).shape == (1, 5, SIDE, SIDE)


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("filter", ["area", "nearest"])
def test_exports_as_one_program(
    auxiliary: AuxiliaryNetwork, base: nn.Module, adaptive: bool, filter: str
) -> None:
    whole = AdaptiveSegmenter(auxiliary if adaptive else None, base, 24, filter).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    with torch.no_grad():
        program = torch.export.export(whole, (pictures(2, 3, SIDE, SIDE),), dynamic_shapes=({0: batch},))
        for count in (1, 2, 5):
            other = pictures(count, 3, SIDE, SIDE, seed=count)
            torch.testing.assert_close(program.module()(other), whole(other))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("adaptive", [True, False])
def test_floats_of_any_width_are_taken(
    auxiliary: AuxiliaryNetwork, base: nn.Module, adaptive: bool, dtype: torch.dtype
) -> None:
    whole = AdaptiveSegmenter(auxiliary if adaptive else None, base, 24, "nearest").eval()
    images = pictures(1, 3, SIDE, SIDE)
    with torch.no_grad():
        torch.testing.assert_close(whole(images.to(dtype)), whole(images.float()))


def test_the_base_network_learns_through_the_interpolation(
    auxiliary: AuxiliaryNetwork, base: nn.Module
) -> None:
    whole = AdaptiveSegmenter(auxiliary, base, 16)
    whole(pictures(1, 3, SIDE, SIDE)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in base.parameters())
    base.zero_grad()


def test_images_that_are_no_square_are_refused(base: nn.Module) -> None:
    with pytest.raises(
        ValueError, match=r"\(1, 3, 20, 30\), must be \(B, 3, S, S\): crop the largest square"
    ):
        AdaptiveSegmenter(None, base, 8)(pictures(1, 3, 20, 30))


def test_images_smaller_than_the_auxiliary_input_are_refused(
    auxiliary: AuxiliaryNetwork, base: nn.Module
) -> None:
    with pytest.raises(ValueError, match=r"\(1, 3, 12, 12\), must be 16 pixels a side at least"):
        AdaptiveSegmenter(auxiliary, base, 8)(pictures(1, 3, 12, 12))


def test_wrong_settings_are_refused(base: nn.Module) -> None:
    with pytest.raises(ValueError, match="resolution is 1 x 1, must be 2 a side at least"):
        AdaptiveSegmenter(None, base, 1)
    with pytest.raises(ValueError, match="filter is 'bicubic', must be one of area, nearest"):
        AdaptiveSegmenter(None, base, 8, "bicubic")


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(0, 80), st.integers(0, 2**32 - 1))
def test_area_is_the_box_filter_of_pillow(size: int, more: int, seed: int) -> None:
    images = pictures(2, 3, size + more, size + more, seed=seed)
    small = segmenter.shrink(images, size)
    for image, found in zip(images, small, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        expected = np.asarray(picture.resize((size, size), Image.Resampling.BOX))
        assert np.array_equal(found.permute(1, 2, 0).numpy(), expected)


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(0, 80), st.integers(0, 2**32 - 1))
def test_area_by_whole_array_operations_is_the_box_filter_too(size: int, more: int, seed: int) -> None:
    images = pictures(1, 3, size + more, size + more, seed=seed)
    whole = segmenter._box_means(segmenter._box_means(images, size, -1), size, -2)
    assert torch.equal(whole, segmenter.shrink(images, size))


def test_pictures_as_they_were_decoded_and_their_parts_are_averaged_as_planes_are() -> None:
    decoded = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 40, 60, 3), dtype=np.uint8))
    part = decoded[:, :, 10:50].permute(0, 3, 1, 2)
    assert torch.equal(segmenter.shrink(part, 7), segmenter.shrink(part.contiguous(), 7))


def test_area_of_floats_is_the_mean_of_boxes() -> None:
    images = pictures(2, 3, 60, 60).float()
    expected = nn.functional.avg_pool2d(images, 5)
    torch.testing.assert_close(segmenter.shrink(images, 12), expected)


@settings(max_examples=60)
@given(
    st.integers(2, 9),
    st.integers(2, 9),
    st.integers(2, 20),
    st.integers(2, 20),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 2**32 - 1),
)
def test_resizing_and_sampling_are_those_of_the_geometry(
    h: int, w: int, height: int, width: int, dtype: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    phi = tensors.project(rng.uniform(-0.2, 1.2, (1, 2, h, w)).astype(dtype))
    fine = segmenter.resize(torch.from_numpy(phi), (height, width))
    assert fine.numpy().tobytes() == tensors.resize(phi, (height, width)).tobytes()
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    sampled = segmenter.sample(torch.from_numpy(image).permute(2, 0, 1)[None], fine)
    expected = sampling.sample(image, fine[0].numpy())
    assert np.array_equal(sampled[0].permute(1, 2, 0).numpy(), expected)


def test_halves_go_towards_the_centre() -> None:
    image = torch.arange(4.0).expand(1, 1, 4, 4)
    phi = torch.tensor([0.0, 0.5 / 3, 0.5, 2.5 / 3, 1.0], dtype=torch.float64)
    points = torch.stack([phi, phi])[None, :, None].expand(1, 2, 2, 5)
    assert (
        segmenter.sample(image, points).flatten().tolist()
        == sampling.sample(image[0, 0].numpy(), points[0].numpy()).flatten().tolist()
    )
