"""Base networks by name, or by the function that makes them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline import doors
from pipeline.errors import AdaprepError
from pipeline.networks import libraries
from pipeline.networks.adapter import BaseNetwork, settle

Factory = Callable[..., nn.Module]

PROBE = 64
"""Resolution at which a network from outside is tried, unless another is known."""

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
    pretrained: str | None = None  # weights that it starts from unless others are asked for


ARCHITECTURES = {
    "unet": Architecture(
        "pipeline.networks.unet:UNet", "U-Net, one convolution a block, 64-128-256-512 features"
    ),
    "pspnet": Architecture("pipeline.networks.pspnet:PSPNet", "PSPNet, ResNet-50 at output stride 8"),
    "deeplabv3plus": Architecture(
        "pipeline.networks.deeplabv3plus:DeepLabV3Plus", "DeepLabv3+, Xception-65 at output stride 8"
    ),
    "efficientnet-lite0": Architecture(
        "pipeline.networks.efficientnet:base_network",
        "EfficientNet-Lite0 with ImageNet weights and a light decoder",
        pretrained=libraries.IMAGENET,
    ),
}


def is_registered(name: str) -> bool:
    """Whether a checkpoint may name this network: one of adaprep's, or of a library that it knows."""
    return name in ARCHITECTURES or libraries.may_stand_in_files(name)


def weights_of(architecture: str, pretrained: str | None) -> dict[str, Any]:
    """Arguments of a network that is to be trained: which weights it starts from, asked for or its own."""
    known = ARCHITECTURES.get(architecture)
    chosen = pretrained or (known.pretrained if known else None)
    return {} if chosen in libraries.RANDOM else {"pretrained": str(chosen)}


def build(architecture: str | Factory, classes: int, *, probe: int = PROBE, **arguments: Any) -> BaseNetwork:
    """Make a base network.

    Parameters
    ----------
    architecture
        A name in `ARCHITECTURES`; that of a library's network (`pipeline.networks.libraries`);
        ``package.module:function``; or the function itself. It is called with the number of classes and
        `arguments`.
    classes
        Score maps.
    probe
        Resolution at which a network that is not ours is tried, in pixels; it is padded as it needs.
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
        does not map a probe to score maps.
    """
    if isinstance(architecture, str) and architecture in ARCHITECTURES:
        return _called(architecture, _imported(ARCHITECTURES[architecture].factory), classes, arguments)
    if isinstance(architecture, str) and libraries.split(architecture):
        name, base = architecture, libraries.build(architecture, classes, **arguments)
    elif isinstance(architecture, str):
        with doors.working_folder():
            name, base = architecture, _called(architecture, _imported(architecture), classes, arguments)
    else:
        name = getattr(architecture, "__qualname__", repr(architecture))
        base = _called(name, architecture, classes, arguments)
    _probe(name, base, classes, probe)
    return base


def _called(name: str, factory: Factory, classes: int, arguments: dict[str, Any]) -> BaseNetwork:
    """What a factory makes, behind the adapter."""
    try:
        network = factory(classes, **arguments)
    except (AdaprepError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if "allocate memory" in str(error):
            raise
        kind = "" if isinstance(error, TypeError) else f"{type(error).__name__}: "
        raise AdaprepError(
            f"{name} cannot be made with {_call(classes, arguments)}: {kind}{error}."
        ) from error
    if not isinstance(network, nn.Module):
        raise AdaprepError(
            f"{name} returned a {type(network).__name__}, must return a torch.nn.Module that maps "
            f"(B, 3, h, w) to (B, {classes}, h, w)."
        )
    return BaseNetwork(network)


def _call(classes: int, arguments: dict[str, Any]) -> str:
    shown = ", ".join([str(classes), *(f"{key}={value!r}" for key, value in arguments.items())])
    return f"arguments ({shown})"


def _imported(path: str) -> Factory:
    """The function that ``package.module:function`` names."""
    found: Factory = doors.opened(path, "base network", (*ARCHITECTURES, *libraries.forms()))
    return found


def try_out(architecture: str, classes: int, resolution: int, **arguments: Any) -> str | None:
    """Make a network and take it through one step of training, so that what is wrong shows before any work.

    Parameters
    ----------
    architecture, classes, **arguments
        As for `build`.
    resolution
        Of the images it will be shown.

    Returns
    -------
    str or None
        A note: that images are padded.

    Raises
    ------
    AdaprepError
        As `build`; or it does otherwise in training than in evaluation, or nothing of it can learn.
    """
    with torch.random.fork_rng(devices=[]):
        network = build(architecture, classes, probe=resolution, **arguments)
        if architecture in ARCHITECTURES:
            return None
        images = torch.randint(0, 256, (2, 3, resolution, resolution)).float()
        note = settle(architecture, network.train(), images)
        scores = _applied(architecture, network, images, classes)
        if not scores.requires_grad:
            raise AdaprepError(
                f"{architecture} gives scores without gradients in training, so nothing of it can learn. "
                f"Leave out detach() and torch.no_grad(), and make its weights parameters."
            )
        return note


def _probe(name: str, network: BaseNetwork, classes: int, side: int) -> None:
    """Apply the network once, so that a wrong shape shows before the training."""
    parameter = next(network.parameters(), None)
    images = torch.zeros((1, 3, side, side), device=None if parameter is None else parameter.device)
    was_training = network.training
    network.eval()
    settle(name, network, images)
    with torch.no_grad():
        _applied(name, network, images, classes)
    network.train(was_training)


def _applied(name: str, network: nn.Module, images: Tensor, classes: int) -> Tensor:
    """What a network makes of images. Raises AdaprepError unless that is scores."""
    shape, wanted = tuple(images.shape), (len(images), classes, *images.shape[2:])
    try:
        scores: object = network(images)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        if "allocate memory" in str(error):
            raise
        raise AdaprepError(
            f"{name} cannot be applied to images of shape {shape}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(scores, Tensor):
        advice = _entry(scores)
        raise AdaprepError(
            f"{name} maps images of shape {shape} to a {type(scores).__name__}, "
            f"must be a tensor {wanted}.{advice}"
        )
    if tuple(scores.shape) != wanted:
        raise AdaprepError(
            f"{name} maps images of shape {shape} to {tuple(scores.shape)}, must be {wanted}: "
            f"scores of {classes} classes at the images' own size.{_reshape(scores, wanted)}"
        )
    if not scores.is_floating_point():
        raise AdaprepError(
            f"{name} gives {scores.dtype} scores, must be floating point: no arg max is taken."
        )
    if scores.device.type == "meta":
        return scores
    if not bool(scores.isfinite().all()):
        mode = "training" if network.training else "evaluation"
        raise AdaprepError(
            f"{name} gives scores that are NaN or infinite in {mode} mode, untrained as it is."
        )
    if classes > 1 and bool((scores >= 0).all()) and bool(((scores.sum(1) - 1).abs() < 1e-3).all()):
        raise AdaprepError(
            f"{name} gives probabilities, which sum to 1 over the classes: must be scores (logits), since "
            f"the loss takes their softmax itself. Leave the last softmax out."
        )
    return scores


def _entry(scores: object) -> str:
    """Advice on which part of a collection the scores probably are."""
    if isinstance(scores, dict) and scores:
        key = "out" if "out" in scores else next(iter(scores))
        return f" Return its entry {key!r} alone."
    return " Return its first entry alone." if isinstance(scores, (tuple, list)) else ""


def _reshape(scores: Tensor, wanted: tuple[int, ...]) -> str:
    """Advice on a tensor of another shape."""
    if scores.dim() == 4 and tuple(scores.shape[:2]) == wanted[:2]:
        return " Resize them: torch.nn.functional.interpolate(scores, images.shape[-2:], mode='bilinear')."
    if tuple(scores.shape) == (wanted[0], *wanted[2:]):
        return " Leave the arg max over the classes out."
    return ""
