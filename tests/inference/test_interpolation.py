import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry import interpolation as arrays
from pipeline.geometry.tensors import project, resize, uniform

torch = pytest.importorskip("torch")

from pipeline.inference import interpolation as batches  # noqa: E402


def tensor(rng: np.random.Generator, h: int, w: int, strength: float) -> np.ndarray:
    step = np.array([1 / (h - 1), 1 / (w - 1)])[:, None, None]
    return project(uniform(h, w) + rng.uniform(-strength, strength, (2, h, w)) * step)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, int]]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    phi = tensor(rng, draw(st.integers(2, 9)), draw(st.integers(2, 9)), draw(st.sampled_from([0, 0.3, 1, 9])))
    if draw(st.booleans()):
        phi = np.round(phi * 4) / 4
    return phi, (draw(st.integers(2, 40)), draw(st.integers(2, 40)))


@settings(max_examples=100, deadline=None)
@given(cases())
def test_whole_array_search_finds_the_triangles_of_the_compiled_one(case) -> None:  # type: ignore[no-untyped-def]
    phi, size = case
    vertices, weights = arrays.locate(phi, size)
    found, weighed = batches.search_on_device(phi, size, torch.float64, torch.device("cpu"))
    np.testing.assert_array_equal(found.numpy(), vertices)
    np.testing.assert_allclose(weighed.numpy(), weights, rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(0, 2**32 - 1), st.sampled_from([20, 1 << 21]))
def test_labels_by_whole_arrays_are_those_of_the_compiled_loops(case, seed, chunk) -> None:  # type: ignore[no-untyped-def]
    phi, size = case
    scores = np.random.default_rng(seed).normal(size=(4, *phi.shape[1:])).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "CHUNK", chunk)
        found = batches.label_on_device(torch.from_numpy(scores), torch.from_numpy(phi), size).numpy()
    second, first = np.partition(arrays.interpolate(scores, phi, size), -2, axis=0)[-2:]
    clear = first - second > 1e-5
    np.testing.assert_array_equal(found[clear], arrays.interpolate_labels(scores, phi, size)[clear])


def test_labels_of_batches_are_those_of_single_arrays() -> None:
    rng = np.random.default_rng(1)
    phi = np.stack([tensor(rng, 7, 6, strength) for strength in (0, 0.3, 2)])
    scores = rng.normal(size=(3, 5, 7, 6)).astype(np.float32)
    got = batches.label(torch.from_numpy(scores), torch.from_numpy(phi), (33, 29))
    for labels, one, points in zip(got.numpy(), scores, phi, strict=True):
        np.testing.assert_array_equal(labels, arrays.interpolate_labels(one, points, (33, 29)))


def test_refuses_more_classes_than_labels() -> None:
    with pytest.raises(ValueError, match="scores have 256 classes, must be 1 to 255"):
        batches.label(torch.zeros(1, 256, 2, 2), torch.zeros(1, 2, 2, 2), 5)


def test_search_in_small_chunks_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    phi = tensor(np.random.default_rng(0), 6, 7, 2)
    vertices, weights = arrays.locate(phi, (31, 27))
    monkeypatch.setattr(batches, "CHUNK", 50)
    found, weighed = batches.search_on_device(phi, (31, 27), torch.float64, torch.device("cpu"))
    np.testing.assert_array_equal(found.numpy(), vertices)
    np.testing.assert_allclose(weighed.numpy(), weights, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_batches_equal_single_arrays(dtype, tolerance) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    phi = np.stack([tensor(rng, 7, 6, strength) for strength in (0, 0.3, 2)])
    scores = torch.from_numpy(rng.normal(size=(3, 5, 7, 6))).to(dtype)
    got = batches.interpolate(scores, torch.from_numpy(phi), (33, 29))
    assert got.dtype == dtype
    for n in range(3):
        want = arrays.interpolate(scores[n].numpy(), phi[n], (33, 29))
        np.testing.assert_allclose(got[n].numpy(), want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_interpolated_in_single(dtype) -> None:  # type: ignore[no-untyped-def]
    scores, phi = torch.ones(1, 2, 4, 4, dtype=dtype), torch.from_numpy(uniform(4, 4))[None]
    got = batches.interpolate(scores, phi, 9)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, torch.ones(1, 2, 9, 9))


def test_gradients_of_the_scores_are_exact() -> None:
    rng = np.random.default_rng(2)
    phi = torch.from_numpy(np.stack([tensor(rng, 3, 4, 0.3), tensor(rng, 3, 4, 1.5)]))
    scores = torch.from_numpy(rng.normal(size=(2, 2, 3, 4))).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: batches.interpolate(s, phi, 6), (scores,))


def test_exports_with_a_batch_of_any_size() -> None:
    class Upsample(torch.nn.Module):
        def forward(self, scores: torch.Tensor, phi: torch.Tensor) -> torch.Tensor:
            return batches.interpolate(scores, phi, 20)

    rng = np.random.default_rng(3)
    phi = torch.from_numpy(np.stack([tensor(rng, 5, 5, 0.3) for _ in range(3)]))
    scores = torch.from_numpy(rng.normal(size=(3, 4, 5, 5)))
    batch = torch.export.Dim("batch", min=1, max=16)
    program = torch.export.export(Upsample(), (scores[:2], phi[:2]), dynamic_shapes=({0: batch}, {0: batch}))
    torch.testing.assert_close(program.module()(scores, phi), Upsample()(scores, phi))


def test_operator_keeps_the_rules_of_torch() -> None:
    phi = torch.from_numpy(np.stack([uniform(4, 4)] * 2))
    torch.library.opcheck(torch.ops.adaprep.locate.default, (phi, 8, 9, False))
    scores = torch.rand(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    torch.library.opcheck(torch.ops.adaprep.interpolate.default, (scores, phi, 8, 9))


def test_drawing_gives_what_gathering_gives() -> None:
    rng = np.random.default_rng(5)
    phi = torch.from_numpy(np.stack([tensor(rng, 7, 6, strength) for strength in (0, 0.3, 2)]))
    scores = torch.from_numpy(rng.normal(size=(3, 5, 7, 6)))
    scores[1, 2, 3, 4] = torch.nan
    drawn, gathered = (f(scores, phi, 33, 29) for f in (batches._interpolate, batches._gathered))
    torch.testing.assert_close(drawn, gathered, rtol=0, atol=1e-12, equal_nan=True)
    assert drawn[1, 2].isnan().any()
    assert not drawn[1, 2].isnan().all()


def test_refuses_shapes_that_do_not_match() -> None:
    message = (
        r"scores have shape \(2, 3, 4, 5\), the sampling tensors \(2, 2, 4, 4\): "
        r"must be \(B, C, h, w\) and \(B, 2, h, w\)"
    )
    with pytest.raises(ValueError, match=message):
        batches.interpolate(torch.zeros(2, 3, 4, 5), torch.zeros(2, 2, 4, 4), 9)
    with pytest.raises(ValueError, match="scores are on meta, the sampling tensors on cpu"):
        batches.interpolate(torch.zeros(1, 3, 4, 4, device="meta"), torch.zeros(1, 2, 4, 4), 9)


def test_refuses_tensors_that_do_not_cover_the_crop() -> None:
    with pytest.raises(ValueError, match="breaks the covering constraints"):
        batches.interpolate(torch.zeros(1, 3, 4, 4), torch.full((1, 2, 4, 4), 0.5), 9)


@pytest.mark.gpu
def test_gpu_equals_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    rng = np.random.default_rng(4)
    phi = torch.from_numpy(np.stack([resize(tensor(rng, 8, 8, s), 64) for s in (0, 0.3, 2)]))
    scores = torch.from_numpy(rng.normal(size=(3, 22, 64, 64))).float()
    for n in range(3):
        vertices, _ = arrays.locate(phi[n].numpy(), (511, 511))
        found, _ = batches.search(phi[n].cuda(), (511, 511), torch.float64)
        np.testing.assert_array_equal(found.cpu().numpy(), vertices)
    torch.testing.assert_close(
        batches.interpolate(scores.cuda(), phi.cuda(), 511).cpu(), batches.interpolate(scores, phi, 511)
    )
