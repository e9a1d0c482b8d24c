"""Base networks of other libraries, by names such as ``smp:Unet:resnet34``.

A name is looked up in the library's own list before anything is made of it, and nothing is downloaded
unless weights are asked for with ``--pretrained imagenet``. Therefore a checkpoint may name a network of smp,
torchvision or timm; one of ``hf:FOLDER`` is made of a folder, which only the person at the keyboard names.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.networks.adapter import BaseNetwork

IMAGENET = "imagenet"
RANDOM = (None, "none")

WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
"""What a name in a library is made of: no colon or slash, which lead to files and hubs."""

Make = Callable[[str, int, "str | None"], BaseNetwork]


@dataclass(frozen=True)
class Library:
    """One library whose networks have names.

    Attributes
    ----------
    form
        How a name is written after the prefix.
    example
        A whole name.
    packages
        Modules that are imported, and what pip calls them.
    make
        Of what follows the prefix, the number of classes and the pretrained weights, the network.
    from_files
        Whether a checkpoint may name one: what the name leads to is the library's own code alone.
    """

    form: str
    example: str
    packages: dict[str, str]
    make: Make
    from_files: bool = True


def split(name: str) -> tuple[str, str] | None:
    """Prefix and rest of the name of a library's network; None for all other names."""
    prefix, colon, rest = name.partition(":")
    return (prefix, rest) if colon and prefix in LIBRARIES else None


def alike(name: str, other: str) -> bool:
    """Whether two names lead to one network: those of folders may differ but for the folder's own name."""
    if name == other:
        return True
    parts, others = split(name), split(other)
    if parts is None or others is None or parts[0] != others[0] or LIBRARIES[parts[0]].from_files:
        return False
    return Path(parts[1]).resolve().name == Path(others[1]).resolve().name


def may_stand_in_files(name: str) -> bool:
    """Whether a checkpoint may name this network."""
    parts = split(name)
    return parts is not None and LIBRARIES[parts[0]].from_files


def forms() -> tuple[str, ...]:
    """How names are written, for messages and help."""
    return tuple(f"{prefix}:{library.form}" for prefix, library in LIBRARIES.items())


def build(name: str, classes: int, pretrained: str | None = None) -> BaseNetwork:
    """Make a network of another library.

    Parameters
    ----------
    name
        Such as ``timm:resnet18``.
    classes
        Score maps.
    pretrained
        "imagenet" for the library's own weights, which it may download; a file of the encoder's weights;
        "none" or None for random ones.

    Raises
    ------
    AdaprepError
        The library is not installed, has no network of that name, or the weights cannot be used.
    """
    prefix, rest = split(name) or ("", "")
    library = LIBRARIES[prefix]
    absent = [pip for module, pip in library.packages.items() if importlib.util.find_spec(module) is None]
    if absent:
        raise AdaprepError(
            f"{printable(name)} needs {' and '.join(absent)}, which is not installed. "
            f"Run: pip install 'adaprep[networks]'"
        )
    try:
        with nullcontext() if pretrained == IMAGENET else _offline():
            return library.make(rest, classes, None if pretrained in RANDOM else pretrained)
    except (AdaprepError, MemoryError):
        raise
    except Exception as error:
        raise AdaprepError(f"{printable(name)} cannot be made: {type(error).__name__}: {error}") from error


@contextmanager
def _offline() -> Iterator[None]:
    """See to it that no hub is asked for anything: what is not on this machine is not there."""
    try:
        from huggingface_hub import constants
    except ImportError:
        yield
        return
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _smp(rest: str, classes: int, pretrained: str | None) -> BaseNetwork:
    """``Unet:resnet34`` of segmentation-models-pytorch."""
    import segmentation_models_pytorch as smp
    import timm

    kind, colon, encoder = rest.partition(":")
    kinds = [one.__name__ for one in smp.MODEL_ARCHITECTURES_MAPPING.values()]
    _check("smp", kind, kinds, "decoder")
    if not colon:
        raise AdaprepError(f"smp:{kind} names no encoder: write smp:{kind}:resnet34.")
    own, of_timm = smp.encoders.get_encoder_names(), encoder.removeprefix("tu-")
    if not (encoder.startswith("tu-") and WORD.fullmatch(of_timm) and timm.is_model(of_timm)):
        _check(f"smp:{kind}", encoder, own, "encoder")
    download = IMAGENET if pretrained == IMAGENET else None
    network = getattr(smp, kind)(encoder, encoder_weights=download, classes=classes)
    if pretrained not in (None, IMAGENET):
        _load_encoder(network.encoder, str(pretrained), encoder)
    mean, std = None, None
    if encoder.startswith("tu-"):
        mean, std = _normalisation_of_timm(of_timm)
    elif download:
        said = smp.encoders.get_preprocessing_params(encoder, download)
        scale = float(said["input_range"][1])
        mean, std = [m / scale for m in said["mean"]], [s / scale for s in said["std"]]
    divisible = getattr(network, "requires_divisible_input_shape", True)
    return BaseNetwork(network, mean, std, network.encoder.output_stride if divisible else 1)


def _torchvision(rest: str, classes: int, pretrained: str | None) -> BaseNetwork:
    """``lraspp_mobilenet_v3_large`` of torchvision's segmentation networks."""
    from torchvision import models

    _check("torchvision", rest, models.list_models(module=models.segmentation), "segmentation network")
    download = "DEFAULT" if pretrained == IMAGENET else None
    network = models.get_model(rest, weights=None, weights_backbone=download, num_classes=classes)
    if pretrained not in (None, IMAGENET):
        _load_encoder(network.backbone, str(pretrained), rest)
    return BaseNetwork(network)


def _timm(rest: str, classes: int, pretrained: str | None) -> BaseNetwork:
    """``resnet18``: an encoder of timm with our decoder."""
    import timm

    from pipeline.networks.decoder import Encoded

    if not (WORD.fullmatch(rest) and timm.is_model(rest)):
        _check("timm", rest, timm.list_models(), "encoder")
    more: dict[str, Any] = {}
    if pretrained not in (None, IMAGENET):
        more = {"pretrained_cfg_overlay": {"file": pretrained}}
    encoder: Any = timm.create_model(rest, features_only=True, pretrained=pretrained is not None, **more)
    mean, std = _normalisation_of_timm(rest)
    return BaseNetwork(Encoded(encoder, encoder.feature_info.channels(), classes, mean, std))


def _hf(rest: str, classes: int, pretrained: str | None) -> BaseNetwork:
    """A folder with the config.json, and the weights if there are any, of a semantic segmentation network."""
    from transformers import AutoConfig, AutoModelForSemanticSegmentation
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    folder = Path(rest).expanduser()
    if not (folder / "config.json").is_file():
        raise AdaprepError(
            f"hf:{rest}: there is no {folder / 'config.json'}. Give a folder that holds a network of "
            f"transformers, as save_pretrained or `hf download NAME --local-dir FOLDER` writes it."
        )
    if pretrained is not None:
        raise AdaprepError(
            f"hf:{rest} starts from the weights in its folder: leave --pretrained {pretrained} out."
        )
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    config.num_labels = classes
    config.use_pretrained_backbone = False
    kind = AutoModelForSemanticSegmentation
    if any(folder.glob("*.safetensors")):
        network = kind.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
        ).float()
    else:
        network = kind.from_config(config, trust_remote_code=False)
    return BaseNetwork(network.train(), *_normalisation_of_hf(folder))


LIBRARIES = {
    "smp": Library(
        "DECODER:ENCODER",
        "smp:Unet:resnet34",
        {"segmentation_models_pytorch": "segmentation-models-pytorch"},
        _smp,
    ),
    "torchvision": Library(
        "NAME", "torchvision:lraspp_mobilenet_v3_large", {"torchvision": "torchvision"}, _torchvision
    ),
    "timm": Library("ENCODER", "timm:resnet18", {"timm": "timm"}, _timm),
    "hf": Library("FOLDER", "hf:segformer", {"transformers": "transformers"}, _hf, from_files=False),
}
"""By the prefix of their names."""


def _check(prefix: str, name: str, known: Sequence[str], what: str) -> None:
    """Refuse a name that the library does not list."""
    if name in known:
        return
    near = get_close_matches(name, known, 3)
    said = f" Did you mean {' or '.join(near)}?" if near else f" There are: {', '.join(known[:12])}, ..."
    raise AdaprepError(f"{prefix} has no {what} called {printable(repr(name))}.{said}")


def _normalisation_of_timm(name: str) -> tuple[Sequence[float], Sequence[float]]:
    import timm

    about = timm.get_pretrained_cfg(name, allow_unregistered=True)
    assert about is not None
    return about.mean, about.std


def _normalisation_of_hf(folder: Path) -> tuple[Sequence[float] | None, Sequence[float] | None]:
    """What the folder's own preprocessor subtracts and divides by, if it says so."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return None, None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        mean, std = said["image_mean"], said["image_std"]
    except (ValueError, KeyError, TypeError):
        return None, None
    usable = all(
        isinstance(values, list) and len(values) == 3 and all(isinstance(v, (int, float)) for v in values)
        for values in (mean, std)
    )
    return (mean, std) if usable and min(std) > 0 else (None, None)


def _load_encoder(encoder: Any, path: str, name: str) -> None:
    """Fill an encoder with the weights of a file; a classifier in it is left out."""
    from pipeline.networks.backbone import read_weights

    weights = read_weights(Path(path))
    wanted = nn.Module.state_dict(encoder)
    for key, value in wanted.items():
        if key not in weights or weights[key].shape != value.shape:
            what = "is missing" if key not in weights else f"has shape {tuple(weights[key].shape)}"
            raise AdaprepError(f"{path} holds no weights of the encoder of {name}: {key} {what}.")
    nn.Module.load_state_dict(encoder, {key: weights[key] for key in wanted})
