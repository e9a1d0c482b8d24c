"""One step of training: forward and backward pass, update; on an NVIDIA GPU recorded once, then replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.names import printable
from pipeline.screen import detail
from pipeline.train.data import Batch

WARM_UP = 3
"""Steps before one is recorded: libraries choose their kernels in them, and the optimiser makes its state."""


class Eager:
    """Every kernel is started by Python, one after the other.

    Parameters
    ----------
    network
        As it is trained: one of several processes has it wrapped.
    optimiser
        Of its weights, with the state of earlier steps if there were any.
    loss
        Of the network and a batch.
    device
        Where both are.
    bfloat16
        Whether the forward pass runs in it.
    """

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        loss: Callable[[nn.Module, Batch], Tensor],
        device: torch.device,
        bfloat16: bool,
    ) -> None:
        self.network, self.optimiser, self.loss = network, optimiser, loss
        self.device, self.bfloat16 = device, bfloat16
        self._begin()

    def _begin(self) -> None:
        for group in self.optimiser.param_groups:
            group["capturable"] = False

    def __call__(self, batch: Batch, rate: float) -> Tensor:
        """Learn from a batch on the device at a learning rate; the loss before the update, a number."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return self._learn(batch).detach()

    def state(self) -> dict[str, Any]:
        """The optimiser's, with plain numbers as rates, so that any device can go on with it."""
        found: dict[str, Any] = self.optimiser.state_dict()
        groups = [{**group, "lr": float(group["lr"]), "capturable": False} for group in found["param_groups"]]
        return {**found, "param_groups": groups}

    def _learn(self, batch: Batch) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            loss = self.loss(self.network, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss


class Recorded(Eager):
    """The same as a CUDA graph: a small network's kernels take less time than Python takes to start them.

    The first steps are not recorded, nor is one whose batch has another shape than the recorded one. The
    loss may not wait for the GPU or ask for values; where recording fails for that, all steps are eager.

    Attributes
    ----------
    problem : str
        Why nothing could be recorded; empty otherwise.
    """

    def _begin(self) -> None:
        self.problem = ""
        self._rate = torch.zeros((), device=self.device)
        self._stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        self._warm = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: Batch = {}
        self._loss = self._rate
        for group in self.optimiser.param_groups:
            group["lr"], group["capturable"] = self._rate, True

    def __call__(self, batch: Batch, rate: float) -> Tensor:
        """Learn from a batch on the device at a learning rate; the loss before the update, a number."""
        self._rate.fill_(rate)
        if self._graph is None and self._warm >= WARM_UP and not self.problem:
            self._record(batch)
        if self._graph is None or not self._fits(batch):
            return self._beside(batch)
        for name, value in batch.items():
            self._inputs[name].copy_(value)
        self._graph.replay()
        return self._loss.clone()

    def _fits(self, batch: Batch) -> bool:
        return batch.keys() == self._inputs.keys() and all(
            value.shape == self._inputs[name].shape for name, value in batch.items()
        )

    def _beside(self, batch: Batch) -> Tensor:
        """An eager step on the stream of recording, where nodes of the backward pass then belong."""
        current = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            loss = self._learn(batch).detach()
        current.wait_stream(self._stream)
        self._warm += 1
        return loss

    def _record(self, batch: Batch) -> None:
        """Record a step; nothing is learned by that."""
        graph = torch.cuda.CUDAGraph()
        self._inputs = {name: value.clone() for name, value in batch.items()}
        self.optimiser.zero_grad(set_to_none=True)
        try:
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._loss = self._learn(self._inputs).detach()
        except RuntimeError as error:
            self.problem = str(error).splitlines()[0]
            detail(f"no step can be recorded as a CUDA graph, so all are eager: {printable(self.problem)}")
            self.optimiser.zero_grad(set_to_none=True)
            return
        self._graph = graph
