"""Kernels that draw on a GPU: interpreted on the CPU here, compiled where there is a GPU."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline.geometry import interpolation as arrays  # noqa: E402
from pipeline.geometry.tensors import project, resize, uniform  # noqa: E402
from pipeline.inference import interpolation, rasters  # noqa: E402
from pipeline.inference.replay import Replay  # noqa: E402
from pipeline.inference.segmenter import AdaptiveSegmenter, shrink  # noqa: E402
from pipeline.networks.auxiliary import AuxiliaryNetwork  # noqa: E402
from pipeline.networks.factory import build  # noqa: E402


def folded(rng: np.random.Generator, strength: float, side: int) -> np.ndarray:
    return resize(project(uniform(8, 8) + rng.uniform(-strength, strength, (2, 8, 8)) / 7), side)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_interpreted_kernels_find_the_triangles_of_the_compiled_loops() -> None:
    script = Path(__file__).with_name("rasters_interpreted.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_triangles_are_those_of_the_geometry() -> None:
    phi = np.stack(
        [folded(np.random.default_rng(seed), strength, 9) for seed, strength in enumerate((0, 1, 9))]
    )
    found = rasters.mesh(torch.from_numpy(phi))
    for one, corners in zip(phi, found, strict=True):
        np.testing.assert_array_equal(corners, arrays.mesh(one, 20).corners)


def test_only_a_gpu_has_its_labels_replayed() -> None:
    whole = AdaptiveSegmenter(None, build("unet", 3, widths=(4, 6)), 8).eval()
    with pytest.raises(ValueError, match="images are on cpu, must be on a GPU, and Triton installed"):
        Replay(whole, torch.zeros(1, 3, 20, 20, dtype=torch.uint8))


def test_where_kernels_cannot_be_made_other_operations_are_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(rasters, "average_rows", fails)
    monkeypatch.setattr(torch, "tensor", lambda *_, **__: None)
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: None)
    monkeypatch.setattr(rasters.importlib.util, "find_spec", lambda _: "found")
    rasters._works.cache_clear()
    try:
        assert not rasters.available(torch.device("cuda", 7))
    finally:
        rasters._works.cache_clear()
    assert "Triton makes no kernels for cuda:7 (Failed to find C compiler)" in caplog.text
    assert not rasters.available(torch.device("cpu"))


@pytest.fixture
def on_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.mark.gpu
@pytest.mark.parametrize("size", [(511, 511), (97, 402)])
def test_a_gpu_finds_the_triangles_of_the_compiled_loops(on_gpu: None, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    phi = np.stack([folded(rng, strength, 64) for strength in (0, 0.3, 2, 9)])
    scores = rng.normal(size=(4, 22, 64, 64)).astype(np.float32)
    points, values = torch.from_numpy(phi).cuda(), torch.from_numpy(scores).cuda()
    vertices, weights = rasters.locate(points, size, torch.float64)
    labels = interpolation.label(values, points, size).cpu().numpy()
    for n in range(4):
        corners, exact = arrays.locate(phi[n], size)
        np.testing.assert_array_equal(vertices[n].cpu().numpy(), corners)
        np.testing.assert_allclose(weights[n].cpu().numpy(), exact, rtol=0, atol=1e-12)
        assert (labels[n] == arrays.interpolate_labels(scores[n], phi[n], size)).mean() > 0.9999


@pytest.mark.gpu
@pytest.mark.parametrize(("side", "size"), [(2710, 32), (75, 16), (40, 39), (33, 33)])
def test_small_images_of_a_gpu_are_those_of_the_cpu(on_gpu: None, side: int, size: int) -> None:
    decoded = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    images = torch.from_numpy(decoded).permute(0, 3, 1, 2)
    assert torch.equal(shrink(images.cuda(), size).cpu(), shrink(images, size))


@pytest.mark.gpu
def test_tensors_that_do_not_cover_are_refused_on_a_gpu(on_gpu: None) -> None:
    with pytest.raises(ValueError, match="break the covering constraints"):
        interpolation.interpolate(
            torch.zeros(1, 3, 4, 4, device="cuda"), torch.full((1, 2, 4, 4), 0.5, device="cuda"), 9
        )


@pytest.mark.gpu
@pytest.mark.parametrize("adaptive", [True, False])
def test_the_host_waits_for_nothing_and_a_graph_gives_the_same_labels(on_gpu: None, adaptive: bool) -> None:
    torch.manual_seed(0)
    auxiliary = AuxiliaryNetwork(16, features=4, first=4) if adaptive else None
    whole = AdaptiveSegmenter(auxiliary, build("unet", 5, widths=(4, 6)), 24).cuda().eval()
    images = [torch.randint(0, 256, (2, 3, 75, 75), dtype=torch.uint8).cuda() for _ in range(3)]
    expected = [whole.labels(one) for one in images]
    torch.cuda.set_sync_debug_mode("error")
    try:
        again = whole.labels(images[0])
        with torch.no_grad():
            whole(images[0])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(again, expected[0])
    replayed = Replay(whole, images[0])
    for one, labels in zip(images, expected, strict=True):
        assert (replayed(one) == labels).float().mean() > 0.999
    with pytest.raises(ValueError, match="as the recorded ones"):
        replayed(images[0][:1])
