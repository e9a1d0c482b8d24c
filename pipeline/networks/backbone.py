"""Feature extractors from timm, their pretrained weights read from a local file and never downloaded."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import AdaprepError

OUTPUT_STRIDE = 8


def backbone(name: str, levels: Sequence[int], pretrained: str | PathLike[str] | None = None) -> nn.Module:
    """A network of timm without its classifier, dilated to output stride 8.

    Parameters
    ----------
    name
        timm's name.
    levels
        Which of its feature maps it returns, 0 for stride 2 and so on.
    pretrained
        File of weights saved for the same network of timm (PyTorch's format or safetensors); a
        classifier in it is left out. Random weights when left out.

    Returns
    -------
    nn.Module
        Maps images to the list of feature maps; their channels are ``feature_info.channels()``.

    Raises
    ------
    AdaprepError
        `pretrained` cannot be read, or holds the weights of another network.
    """
    import timm

    arguments: dict[str, Any] = {
        "features_only": True,
        "out_indices": tuple(levels),
        "output_stride": OUTPUT_STRIDE,
    }
    if pretrained is not None:
        _check_weights(name, Path(pretrained))
        arguments |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(pretrained)}}
    features: nn.Module = timm.create_model(name, **arguments)
    return features


def _check_weights(name: str, path: Path) -> None:
    """Refuse a file that would leave layers at random: timm loads what fits, and is silent on the rest."""
    import timm

    weights = read_weights(path)
    with torch.device("meta"):
        model = timm.create_model(name)
    description = timm.get_pretrained_cfg(name)
    assert description is not None
    classifier = f"{description.classifier}."
    for key, value in model.state_dict().items():
        if key.startswith(classifier):
            continue
        if key not in weights:
            raise AdaprepError(
                f"{path} holds no weights of {name}: {key} is missing. "
                f"Give a file with the state of timm's {name}, or leave the pretrained weights out."
            )
        if weights[key].shape != value.shape:
            raise AdaprepError(
                f"{path} holds no weights of {name}: {key} has shape {tuple(weights[key].shape)}, "
                f"must be {tuple(value.shape)}."
            )


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file in PyTorch's format or safetensors. Raises AdaprepError."""
    from timm.models import load_state_dict

    if not path.is_file():
        raise AdaprepError(f"no pretrained weights at {path}: no such file.")
    try:
        weights: dict[str, Tensor] = load_state_dict(str(path))
    except Exception as error:
        raise AdaprepError(f"{path} cannot be read as weights of a network: {error}") from error
    return weights
