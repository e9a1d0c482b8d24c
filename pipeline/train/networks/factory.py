"""Base networks by name, or by the function that makes them."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import AdaprepError
from pipeline.train.networks.blocks import IMAGENET_MEAN, IMAGENET_STD, Normalise

Factory = Callable[..., nn.Module]

PROBE = (1, 3, 64, 64)
"""Shape on which a network from outside is tried."""

TRANSIENT = ("pretrained",)
"""Arguments that only matter where weights start: what is rebuilt to receive weights goes without them."""


@dataclass(frozen=True)
class Architecture:
    """One base network.

    Attributes
    ----------
    factory
        ``package.module:function`` that makes it.
    summary
        What it is, in one line.
    """

    factory: str
    summary: str


ARCHITECTURES = {
    "unet": Architecture(
        "pipeline.train.networks.unet:UNet", "U-Net, one convolution a block, 64-128-256-512 features"
    ),
    "pspnet": Architecture("pipeline.train.networks.pspnet:PSPNet", "PSPNet, ResNet-50 at output stride 8"),
    "deeplabv3plus": Architecture(
        "pipeline.train.networks.deeplabv3plus:DeepLabV3Plus", "DeepLabv3+, Xception-65 at output stride 8"
    ),
}


class BaseNetwork(nn.Module):
    """A base network behind the normalisation of its images.

    Parameters
    ----------
    network
        Maps normalised images (B, 3, h, w) to scores (B, classes, h, w). Its attributes `mean` and `std`,
        where it has them, are the normalisation it expects; ImageNet's otherwise.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        mean, std = (
            getattr(network, name, default)
            for name, default in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD))
        )
        self.normalise = Normalise(mean, std)
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) of uint8, or of floats on the same scale of 0 to 255, to scores (B, classes, h, w)."""
        scores: Tensor = self.network(self.normalise(images))
        return scores


def build(architecture: str | Factory, classes: int, **arguments: Any) -> BaseNetwork:
    """Make a base network.

    Parameters
    ----------
    architecture
        A name in `ARCHITECTURES`; ``package.module:function``; or the function itself. It is called with
        the number of classes and `arguments`.
    classes
        Score maps.
    **arguments
        Passed on.

    Returns
    -------
    BaseNetwork
        Takes uint8 images (B, 3, h, w), gives scores (B, classes, h, w).

    Raises
    ------
    AdaprepError
        No such name, module or function; it refuses its arguments; what it returns is no ``nn.Module``, or
        does not map a probe of shape `PROBE` to score maps of the same size.
    """
    known = architecture in ARCHITECTURES if isinstance(architecture, str) else False
    if isinstance(architecture, str):
        name = architecture
        factory = _imported(ARCHITECTURES[name].factory if known else name)
    else:
        name, factory = getattr(architecture, "__qualname__", repr(architecture)), architecture
    try:
        network = factory(classes, **arguments)
    except TypeError as error:
        raise AdaprepError(f"{name} cannot be made with {_call(classes, arguments)}: {error}.") from error
    if not isinstance(network, nn.Module):
        raise AdaprepError(
            f"{name} returned a {type(network).__name__}, must return a torch.nn.Module that maps "
            f"(B, 3, h, w) to (B, {classes}, h, w)."
        )
    base = BaseNetwork(network)
    if not known:
        _probe(name, base, classes)
    return base


def _call(classes: int, arguments: dict[str, Any]) -> str:
    shown = ", ".join([str(classes), *(f"{key}={value!r}" for key, value in arguments.items())])
    return f"arguments ({shown})"


def _imported(path: str) -> Factory:
    """The function that ``package.module:function`` names."""
    module_name, colon, function_name = path.partition(":")
    if not (module_name and colon and function_name):
        raise AdaprepError(
            f"no base network is called {path!r}. Give one of {', '.join(ARCHITECTURES)}, or your own "
            "as package.module:function."
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise AdaprepError(f"{path}: importing {module_name} failed: {error}.") from error
        raise AdaprepError(
            f"{path}: there is no module {error.name}. Install it, or add its folder to PYTHONPATH."
        ) from error
    except Exception as error:
        raise AdaprepError(
            f"{path}: importing {module_name} failed: {type(error).__name__}: {error}"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        what = "has no" if function is None else "has no function"
        raise AdaprepError(f"{path}: {module.__file__ or module_name} {what} {function_name}.")
    found: Factory = function
    return found


def _probe(name: str, network: nn.Module, classes: int) -> None:
    """Apply the network once, so that a wrong shape shows before the training."""
    parameter = next(network.parameters(), None)
    images = torch.zeros(PROBE, device=None if parameter is None else parameter.device)
    wanted = (PROBE[0], classes, *PROBE[2:])
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            scores = network(images)
    except Exception as error:
        raise AdaprepError(
            f"{name} cannot be applied to images of shape {PROBE}: {type(error).__name__}: {error}"
        ) from error
    network.train(was_training)
    if not isinstance(scores, Tensor):
        raise AdaprepError(
            f"{name} maps images of shape {PROBE} to a {type(scores).__name__}, must be a tensor {wanted}."
        )
    if tuple(scores.shape) != wanted:
        raise AdaprepError(
            f"{name} maps images of shape {PROBE} to {tuple(scores.shape)}, must be {wanted}: "
            f"scores of {classes} classes at the images' own size."
        )
