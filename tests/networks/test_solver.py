"""The solver as a layer: against a generic sparse solver, its gradient, its constraints, and its export."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import spsolve

from pipeline.geometry import energy, tensors

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from pipeline.networks import solver  # noqa: E402
from pipeline.networks.auxiliary import SMALLEST_WEIGHT, AuxiliaryNetwork  # noqa: E402

SIDES = st.integers(2, 7)
LAMBDAS = st.sampled_from([0.0, 0.01, 0.5, 1.0, 30.0, 1e6])


def drawn(seed: int, h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets (2, h, w) in [0, 1], and weights (h, w) over six powers of ten."""
    rng = np.random.default_rng(seed)
    return rng.random((2, h, w)), 10 ** rng.uniform(-4, 2, (h, w))


def reference(target: np.ndarray, weight: np.ndarray, lam: float) -> np.ndarray:
    """The minimiser by the normal equations of the definition, one component after the other."""
    h, w = weight.shape
    place = np.arange(h * w).reshape(h, w)
    pairs = [*zip(place[1:].flat, place[:-1].flat), *zip(place[:, 1:].flat, place[:, :-1].flat)]  # noqa: B905
    rows = np.repeat(np.arange(len(pairs)), 2)
    difference = scipy.sparse.csr_matrix(
        (np.tile([1.0, -1.0], len(pairs)), (rows, np.array(pairs).ravel())), (len(pairs), h * w)
    )
    hessian = (scipy.sparse.diags(weight.ravel()) + lam * difference.T @ difference).tocsr()
    phi = np.empty_like(target)
    for component, sides in ((0, (place[0], place[-1])), (1, (place[:, 0], place[:, -1]))):
        x = np.zeros(h * w)
        x[sides[1]] = 1
        free = np.setdiff1d(place, np.concatenate(sides))
        right = (weight * target[component]).ravel() - hessian @ x
        if free.size:
            x[free] = spsolve(hessian[free][:, free].tocsc(), right[free])
        phi[component] = x.reshape(h, w)
    return phi


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 9999), h=SIDES, w=SIDES, lam=LAMBDAS)
def test_it_is_the_minimiser_of_the_weighted_energy(seed: int, h: int, w: int, lam: float) -> None:
    target, weight = drawn(seed, h, w)
    found = solver.minimise(torch.tensor(target)[None], torch.tensor(weight)[None], lam)[0].numpy()
    np.testing.assert_allclose(found, reference(target, weight, lam), atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), h=SIDES, w=SIDES, lam=LAMBDAS)
def test_with_equal_weights_it_is_the_proposal(seed: int, h: int, w: int, lam: float) -> None:
    target = np.random.default_rng(seed).random((3, 2, h, w))
    found = solver.minimise(torch.tensor(target), torch.ones(3, h, w, dtype=torch.float64), lam)
    np.testing.assert_allclose(found.numpy(), energy.solve(target, lam), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), h=SIDES, w=SIDES, lam=LAMBDAS)
def test_it_keeps_the_constraints_in_single_precision(seed: int, h: int, w: int, lam: float) -> None:
    target, weight = (torch.tensor(part, dtype=torch.float32)[None] for part in drawn(seed, h, w))
    phi = solver.minimise(target, weight, lam)[0].numpy()
    assert not phi[0, 0].any()
    assert not phi[1, :, 0].any()
    assert (phi[0, -1] == 1).all()
    assert (phi[1, :, -1] == 1).all()
    assert phi.min() > -1e-5
    assert phi.max() < 1 + 1e-5
    exact = solver.minimise(target.double(), weight.double(), lam)[0].numpy()
    np.testing.assert_allclose(phi, exact, atol=2e-4)


@pytest.mark.parametrize("grid", [(4, 4), (3, 5)])
def test_its_gradient_is_that_of_finite_differences(grid: tuple[int, int]) -> None:
    target, weight = (torch.tensor(part)[None].requires_grad_() for part in drawn(1, *grid))
    assert torch.autograd.gradcheck(lambda t, w: solver.minimise(t, w.square(), 0.7), (target, weight))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), points=st.integers(1, 9))
def test_elimination_inverts_what_is_positive_definite(seed: int, points: int) -> None:
    root = torch.tensor(np.random.default_rng(seed).normal(size=(2, points, points)))
    matrix = root @ root.mT + 0.1 * torch.eye(points)
    torch.testing.assert_close(
        solver.eliminate(matrix) @ matrix, torch.eye(points).double().expand(2, -1, -1)
    )


def made(grid: tuple[int, int] = (4, 6), random: bool = True, lam: float = 0.5) -> AuxiliaryNetwork:
    torch.manual_seed(0)
    network = AuxiliaryNetwork(16, grid, features=4, first=4, solver=lam).eval()
    if random:
        nn.init.normal_(network.head.weight)
        nn.init.normal_(network.head.bias, std=3)
    return network


def pictures(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1e30])
def test_an_untrained_network_predicts_the_proposal_of_its_mean_grid(lam: float) -> None:
    network = made(random=False, lam=lam)
    target = np.random.default_rng(0).random((2, 4, 6))
    with torch.no_grad():
        network.mean_grid.copy_(torch.tensor(target))
        found = network(pictures(2))
    np.testing.assert_allclose(found[0].numpy(), energy.solve(target, lam), atol=1e-6)
    assert torch.equal(found[0], found[1])


@pytest.mark.parametrize("grid", [(2, 2), (4, 6), (8, 8)])
def test_a_network_that_ends_with_it_predicts_on_the_constraints(grid: tuple[int, int]) -> None:
    network = made(grid)
    with torch.no_grad():
        raw, phi = network(pictures(3)), network.predict(pictures(3))
    for one in phi:
        assert one.numpy().tobytes() == tensors.project(one.numpy()).tobytes()
    assert raw.min() > -1e-5
    assert raw.max() < 1 + 1e-5
    assert not raw[:, 0, 0].any()


def test_pulls_and_weights_both_learn() -> None:
    network = made().train()
    images, proposals = pictures(8), torch.rand(8, 2, 4, 6)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    found = []
    for _ in range(30):
        loss = (network(images) - proposals).square().sum((1, 2, 3)).mean()
        found.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert found[-1] < found[0]
    assert network.head.bias.grad is not None
    assert (network.head.bias.grad != 0).all()


def test_bfloat16_ends_before_it() -> None:
    network = made()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = network(pictures(2))
    assert found.dtype == torch.float32
    assert not found[:, 0, 0].any()
    assert (found[:, 0, -1] == 1).all()


def test_weights_are_above_zero() -> None:
    network = made(lam=0.0)
    with torch.no_grad():
        network.head.bias.fill_(-1e4)
        assert network(pictures(1)).isfinite().all()
    assert SMALLEST_WEIGHT > 0


@pytest.mark.parametrize("grid", [(4, 6), (8, 8)])
def test_it_is_exported_as_it_computes(grid: tuple[int, int]) -> None:
    network, images = made(grid), pictures(2)
    program = torch.export.export(network, (images,))
    assert not any("linalg" in str(node.target) for node in program.graph.nodes)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images), network(images), atol=1e-5, rtol=0)
