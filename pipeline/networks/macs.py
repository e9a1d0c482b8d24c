"""What a network costs: multiply-adds and parameters, beside the figures the paper gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

FLOPS_PER_MAC = 2
"""PyTorch counts a multiply-add as two operations; the paper's "flops" count it as one."""


@dataclass(frozen=True)
class PaperFigure:
    """One cost in the paper, in 10^9 "flops", which are multiply-adds.

    Attributes
    ----------
    network
        "auxiliary", or a name in `pipeline.networks.factory.ARCHITECTURES`.
    classes
        Score maps; 0 for the auxiliary network, which has none.
    resolution
        Side of the input in pixels.
    giga
        The cost; for the auxiliary network a difference of two rows, "ours" minus "baseline".
    source
        Where it stands.
    """

    network: str
    classes: int
    resolution: int
    giga: float
    source: str


PAPER = (
    PaperFigure("auxiliary", 0, 16, 0.07, "Tables 2, 4: rows 32"),
    PaperFigure("auxiliary", 0, 32, 0.17, "Table 3: PSP-Net; Table 4: row 64"),
    PaperFigure("auxiliary", 0, 64, 0.56, "Table 4: row 128; 0.52 in Table 5"),
    PaperFigure("auxiliary", 0, 128, 2.11, "Table 4: row 256"),
    PaperFigure("unet", 22, 32, 0.31, "Table 2"),
    PaperFigure("unet", 22, 64, 1.24, "Table 2"),
    PaperFigure("unet", 22, 128, 4.98, "Table 2"),
    PaperFigure("unet", 22, 256, 19.92, "Table 2"),
    PaperFigure("unet", 22, 512, 79.68, "Table 2"),
    PaperFigure("unet", 2, 16, 0.07, "Table 5"),
    PaperFigure("unet", 2, 32, 0.30, "Table 5"),
    PaperFigure("unet", 2, 64, 1.22, "Table 5"),
    PaperFigure("unet", 2, 128, 4.90, "Table 5"),
    PaperFigure("unet", 2, 256, 19.59, "Table 5"),
    PaperFigure("pspnet", 19, 64, 4.20, "Table 3"),
    PaperFigure("pspnet", 19, 128, 11.08, "Table 3"),
    PaperFigure("pspnet", 19, 256, 44.05, "Table 3"),
    PaperFigure("deeplabv3plus", 19, 160, 17.23, "Table 3"),
    PaperFigure("deeplabv3plus", 19, 192, 24.81, "Table 3"),
    PaperFigure("deeplabv3plus", 19, 224, 33.77, "Table 3"),
)


@dataclass(frozen=True)
class CostRow:
    """A network at one resolution.

    Attributes
    ----------
    paper
        The figure it is compared with.
    parameters
        Trainable numbers.
    macs
        Multiply-adds for one image.
    """

    paper: PaperFigure
    parameters: int
    macs: int


def macs(network: nn.Module, input_size: tuple[int, int, int]) -> int:
    """Multiply-adds for one input: of convolutions, linear layers, and products of matrices (attention).

    Nothing is computed: the network is traced by shapes alone, so that 512 x 512 pixels take
    milliseconds. A network whose path depends on values is run in earnest.

    Parameters
    ----------
    network
        Left as it is.
    input_size
        (channels, h, w).

    Returns
    -------
    int
        Products summed over layers, as PyTorch's own counter has them. Biases, norms, poolings and
        interpolation are not counted.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            return _count(network, (1, *input_size))
    finally:
        for module, training in modes:
            module.training = training


def parameters(network: nn.Module) -> int:
    """Trainable numbers of a network."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def table() -> Iterator[CostRow]:
    """Every figure of the paper beside our network's own, in the order of `PAPER`."""
    networks: dict[tuple[str, int], nn.Module] = {}
    for paper in PAPER:
        key = paper.network, paper.classes or paper.resolution
        if key not in networks:
            networks[key] = _network(paper)
        network, side = networks[key], paper.resolution
        yield CostRow(paper, parameters(network), macs(network, (3, side, side)))


def _network(figure: PaperFigure) -> nn.Module:
    from pipeline.networks.auxiliary import AuxiliaryNetwork
    from pipeline.networks.factory import build

    with torch.device("meta"):
        if figure.network == "auxiliary":
            return AuxiliaryNetwork(figure.resolution)
        return build(figure.network, figure.classes)


def _count(network: nn.Module, shape: tuple[int, ...]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    forward: Callable[..., Any] = torch.func.functional_call
    try:
        with FlopCounterMode(display=False) as counter:
            forward(network, shapes, (torch.empty(shape, device="meta"),))
    except (RuntimeError, NotImplementedError):
        device = next(iter(state.values())).device
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(shape, device=device))
    return int(counter.get_total_flops()) // FLOPS_PER_MAC
