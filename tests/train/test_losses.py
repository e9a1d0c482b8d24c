"""The losses: what they are at hand-made values, and what makes them least."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from pipeline.errors import AdaprepError
from pipeline.geometry import energy as exact
from pipeline.geometry.tensors import uniform

torch = pytest.importorskip("torch")

from pipeline.train import losses  # noqa: E402
from pipeline.train.losses import cross_entropy, energy, hold_sides, squared_distance  # noqa: E402


def random_boundaries(seed: int, h: int, w: int) -> np.ndarray:
    return np.random.default_rng(seed).random((3, 2, h, w))


@tries(max_examples=20)
@given(
    seed=st.integers(0, 999), h=st.integers(3, 6), w=st.integers(3, 6), lam=st.sampled_from([0.1, 1.0, 7.0])
)
def test_energy_is_that_of_the_definition_and_least_at_the_proposal(
    seed: int, h: int, w: int, lam: float
) -> None:
    b = random_boundaries(seed, h, w)
    proposal = torch.tensor(exact.solve(b, lam), requires_grad=True)
    loss = energy(proposal, torch.tensor(b), lam)
    assert float(loss.detach()) == pytest.approx(np.mean(exact.energy(proposal.detach().numpy(), b, lam)))
    loss.backward()
    assert proposal.grad is not None
    assert float(proposal.grad.abs().max()) < 1e-9


def test_without_boundary_the_uniform_tensor_makes_energy_least() -> None:
    u = torch.tensor(uniform(4, 4))[None].requires_grad_()
    energy(u, torch.full((1, 2, 4, 4), torch.nan), 1.0).backward()
    assert u.grad is not None
    assert float(u.grad.abs().max()) < 1e-9


def test_held_sides_are_those_of_the_constraints() -> None:
    held = hold_sides(torch.full((1, 2, 3, 4), 0.5))[0]
    assert held[0].tolist() == [[0] * 4, [0.5] * 4, [1] * 4]
    assert held[1].tolist() == [[0, 0.5, 0.5, 1]] * 3


def test_squared_distance_sums_over_a_tensor_and_averages_over_crops() -> None:
    phi, proposal = torch.zeros(2, 2, 3, 3), torch.zeros(2, 2, 3, 3)
    proposal[0, 0, 0, 0] = 2
    proposal[1, 1, 2, 2] = 1
    assert float(squared_distance(phi, proposal)) == (4 + 1) / 2


def test_cross_entropy_leaves_void_out() -> None:
    scores = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    labels[0, :2] = 255
    probability = torch.softmax(scores, 1)
    logs = [
        -torch.log(probability[n, labels[n, i, j].long(), i, j])
        for n in range(2)
        for i in range(4)
        for j in range(4)
        if labels[n, i, j] != 255
    ]
    assert float(cross_entropy(scores, labels)) == pytest.approx(float(torch.stack(logs).mean()), rel=1e-5)


def test_class_weights_make_the_mean_a_weighted_one() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 3, 4, 4, generator=generator)
    labels = torch.randint(0, 3, (2, 4, 4), generator=generator).to(torch.uint8)
    labels[0, :2] = 255
    weights = torch.tensor([1.0, 5.0, 0.5])
    known = labels != 255
    each = -torch.log_softmax(scores, 1).gather(1, labels.long().where(known, 0)[:, None])[:, 0][known]
    by_sample = weights[labels[known].long()]
    expected = float((each * by_sample).sum() / by_sample.sum())
    assert losses.sample_weights(labels, None, None, 0.0) is None
    for factor in (1, 7):
        of_samples = losses.sample_weights(labels, factor * weights, None, 0.0)
        assert float(cross_entropy(scores, labels, of_samples)) == pytest.approx(expected, rel=1e-5)
    alike = cross_entropy(scores, labels, torch.ones(2, 4, 4))
    assert float(alike) == pytest.approx(float(cross_entropy(scores, labels)), rel=1e-6)
    void = torch.full((1, 2, 2), 255, dtype=torch.uint8)
    assert float(cross_entropy(scores[:1, :, :2, :2], void, torch.ones(1, 2, 2))) == 0


def test_weights_of_samples_are_those_of_class_and_area_together() -> None:
    labels = torch.tensor([[[0, 1], [1, 255]]], dtype=torch.uint8)
    areas = torch.tensor([[[4.0, 1.0], [0.25, 0.0]]], dtype=torch.float64)
    found = losses.sample_weights(labels, torch.tensor([2.0, 3.0]), areas, 0.5)
    assert found is not None
    assert found[0, 0].tolist() == [2 * 2, 3]
    assert float(found[0, 1, 0]) == 3 * 0.5
    assert float(found[0, 1, 1]) > 0  # a folded cell still has a say


def test_samples_at_boundaries_weigh_more() -> None:
    labels = torch.tensor([[[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [255, 0, 0, 0]]], dtype=torch.uint8)
    expected = [[0, 0, 1, 0], [0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0]]
    assert losses.at_boundary(labels)[0].int().tolist() == expected
    scores = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor(expected)[None] * (losses.AT_BOUNDARY - 1) + 1
    assert torch.equal(losses.base("boundary")(scores, labels, None), cross_entropy(scores, labels, weights))
    twice = losses.base("boundary")(scores, labels, torch.full((1, 4, 4), 2.0))
    assert float(twice) == pytest.approx(float(cross_entropy(scores, labels, weights)))


def test_a_batch_of_void_alone_has_no_loss() -> None:
    scores = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = cross_entropy(scores, torch.full((1, 2, 2), 255, dtype=torch.uint8))
    loss.backward()
    assert float(loss.detach()) == 0
    assert scores.grad is not None
    assert not scores.grad.any()


def test_the_names_of_losses_are_those_of_the_settings() -> None:
    from pipeline.train import settings

    assert tuple(losses.AUXILIARY) == settings.LOSSES
    assert tuple(losses.BASE) == settings.BASE_LOSSES


def test_a_loss_of_the_users_own_is_named_and_used() -> None:
    batch = {"phi": torch.zeros(2, 2, 4, 4), "b": torch.full((2, 2, 4, 4), torch.nan)}
    own = losses.auxiliary("tests.train.test_losses:absolute")
    assert float(own(torch.ones(2, 2, 4, 4), batch, 1.0)) == 1.0
    with pytest.raises(AdaprepError, match="there is no module no_such"):
        losses.auxiliary("no_such:loss")


def absolute(phi: torch.Tensor, batch: Mapping[str, torch.Tensor], lam: float) -> torch.Tensor:
    return (phi - batch["phi"]).abs().mean()
