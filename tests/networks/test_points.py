"""Sampling tensors as networks see them: areas of cells and channels, against loops over corners."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from pipeline.errors import AdaprepError  # noqa: E402
from pipeline.geometry import tensors  # noqa: E402
from pipeline.networks import macs, points  # noqa: E402
from pipeline.networks.factory import build  # noqa: E402


def warped(seed: int, resolution: int, strength: float = 0.15) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    coarse = tensors.project(tensors.uniform(4, 4) + strength * rng.standard_normal((2, 4, 4)))
    return tensors.resize(coarse, resolution)


def slow_areas(phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """A quarter of every cell, by the shoelace formula, to each of its corners."""
    _, h, w = phi.shape
    found = np.zeros((h, w))
    for i in range(h - 1):
        for j in range(w - 1):
            corners = [(i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j)]
            y, x = (np.array([phi[axis, a, b] for a, b in corners]) for axis in (0, 1))
            area = 0.5 * (x * np.roll(y, -1) - y * np.roll(x, -1)).sum()
            for a, b in corners:
                found[a, b] += max(area, 0) / 4 * (h - 1) * (w - 1)
    return found


@pytest.mark.parametrize("strength", [0.0, 0.1, 0.6])
def test_areas_are_those_of_the_cells_corners(strength: float) -> None:
    phi = np.stack([warped(seed, 7, strength) for seed in range(3)])
    found = points.cell_areas(torch.from_numpy(phi)).numpy()
    np.testing.assert_allclose(found, [slow_areas(one) for one in phi], atol=1e-12)
    if strength < 0.2:
        assert found.sum(axis=(1, 2)) == pytest.approx([36] * 3)


def test_a_uniform_tensor_has_no_offsets_and_cells_of_one() -> None:
    found = points.channels(torch.from_numpy(tensors.uniform(9, 9))[None])[0]
    assert found.dtype == torch.float32
    assert float(found[1:].abs().max()) < 1e-6
    assert float(found[0, 1:-1, 1:-1].abs().max()) < 1e-6
    assert float(found[0, 0, 0]) == pytest.approx(np.log(1 / 4))


def test_channels_are_log_area_and_offsets() -> None:
    phi = warped(5, 9)
    found = points.channels(torch.from_numpy(phi)[None])[0].numpy()
    logs = np.clip(np.log(np.maximum(slow_areas(phi), 1e-6)), -points.LARGEST, points.LARGEST)
    np.testing.assert_allclose(found[0], logs, atol=1e-5)
    np.testing.assert_allclose(found[1:], points.OFFSETS * (phi - tensors.uniform(9, 9)), atol=1e-6)


def test_a_network_with_tensor_channels_refuses_images_alone() -> None:
    network = build("unet", 5, widths=(4, 6), in_channels=6).eval()
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    phi = torch.from_numpy(np.stack([warped(seed, 16) for seed in range(2)]))
    with pytest.raises(AdaprepError, match="was trained with --tensor-channels, and expects"):
        network(images)
    assert network.tensor_channels
    with torch.no_grad():
        scores = network(points.shown(images, phi, True))
        assert scores.shape == (2, 5, 16, 16)
        assert not torch.allclose(scores, network(points.shown(images, phi.flip(0), True)))
    plain = build("unet", 5, widths=(4, 6))
    assert points.shown(images, phi, plain.tensor_channels) is images
    more = macs.macs(network, (6, 16, 16)) - macs.macs(plain, (3, 16, 16))
    assert more == 3 * 9 * 4 * 16 * 16
