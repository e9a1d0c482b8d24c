"""What learns from gradients, made without PyTorch's compiler.

An optimiser of PyTorch imports the compiler, so that it keeps out of what it does; this takes as long as
importing PyTorch itself, for every process that trains. No step of ours is compiled.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pipeline.train.settings import Schedule

FUSED = ("cpu", "cuda")
"""Devices whose Adam is one kernel."""


class PlainAdamW(torch.optim.AdamW):
    """PyTorch's AdamW to the bit, without the wrappers that import the compiler."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        kind = torch.optim.Optimizer
        call_at_once(kind.add_param_group, kind.state_dict, kind.load_state_dict, kind.zero_grad)
        super().__init__(*arguments, **options)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Change the weights by their gradients."""
        return inspect.unwrap(torch.optim.AdamW.step)(self, closure)


def call_at_once(*wrappers: Callable[..., Any]) -> None:
    """Tell wrappers of PyTorch's functions that there is nothing to keep the compiler out of."""
    for wrapper in wrappers:
        plain: Any = inspect.unwrap(wrapper)
        if not hasattr(plain, "__dynamo_disable"):
            plain.__dynamo_disable = plain


def adam(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """Adam; weight decay, where there is any, on the weights of convolutions and linear layers alone.

    In one kernel where the device has one: a tenth of a small network's step on a CPU.
    """
    layers = (nn.modules.conv._ConvNd, nn.Linear)
    decayed = {id(m.weight) for m in network.modules() if isinstance(m, layers)}
    groups = [
        {
            "params": [p for p in network.parameters() if (id(p) in decayed) == wanted],
            "weight_decay": schedule.weight_decay if wanted else 0.0,
        }
        for wanted in (True, False)
    ]
    fused = all(p.device.type in FUSED for p in network.parameters())
    return PlainAdamW([g for g in groups if g["params"]], lr=schedule.rate, fused=fused)
