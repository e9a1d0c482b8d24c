"""Adam without PyTorch's compiler: the same numbers, and nothing imported."""

from __future__ import annotations

import copy
import sys

import pytest

torch = pytest.importorskip("torch")

from pipeline.train.optimisers import adam  # noqa: E402
from pipeline.train.settings import Schedule  # noqa: E402


def network() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 2, 1))


def learn(network: torch.nn.Module, optimiser: torch.optim.Optimizer, steps: int) -> None:
    batches = torch.Generator().manual_seed(2)
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        network(torch.rand(2, 3, 8, 8, generator=batches)).square().mean().backward()
        optimiser.step()


def test_it_is_adam_to_the_bit_and_imports_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = Schedule(rate=0.01, weight_decay=0.1, epochs=1, batch_size=2)
    usual = network()
    ours = copy.deepcopy(usual)
    decayed = [usual[0].weight, usual[2].weight]
    others = [p for p in usual.parameters() if not any(p is d for d in decayed)]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    learn(usual, torch.optim.AdamW(groups, lr=0.01, fused=True), 5)
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # to import it is an error
    first = adam(ours, schedule)
    learn(ours, first, 5)
    for one, other in zip(usual.parameters(), ours.parameters(), strict=True):
        assert torch.equal(one, other)
    again = adam(ours, schedule)
    again.load_state_dict(first.state_dict())
    assert repr(again.state_dict()) == repr(first.state_dict())
