"""Checkpoints: weights, with what is needed to make their network again and to know how it was trained."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pipeline import disk
from pipeline.errors import AdaprepError

FORMAT = "adaprep checkpoint"
VERSION = 1

Kind = Literal["auxiliary", "base"]
NAMES = {"auxiliary": "an auxiliary network's checkpoint", "base": "a base network's checkpoint"}
NEEDED = {"auxiliary": "an auxiliary one", "base": "a base network's"}
_FIELDS = ("kind", "network", "arguments", "state", "about", "training")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes
    ----------
    path
        Where it was read.
    kind
        "auxiliary" or "base".
    network
        "auxiliary"; or what `pipeline.train.networks.factory.build` takes: a name, or
        ``package.module:function``.
    arguments
        Of the network's constructor; those of a base network include ``classes``.
    state
        Its weights and buffers, the normalisation of images among them.
    about
        Plain data: the data set, class names, targets, grid, lambda, resolution, filter, versions, and so on.
    training
        What a training run needs to go on: the optimiser's state, the epoch. Empty where it is over.
    """

    path: Path
    kind: Kind
    network: str
    arguments: dict[str, Any]
    state: dict[str, Tensor]
    about: dict[str, Any]
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that name the network and its weights, whatever it was trained on."""
        digest = hashlib.sha256(repr((self.kind, self.network, sorted(self.arguments.items()))).encode())
        for name, tensor in sorted(self.state.items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:12]

    def build(self) -> nn.Module:
        """Make the network again, with these weights, on the CPU and in evaluation mode.

        Raises
        ------
        AdaprepError
            The network cannot be made, or has other weights than the file.
        """
        network = self._fresh()
        try:
            network.load_state_dict(self.state)
        except RuntimeError as error:
            raise AdaprepError(
                f"{self.path} does not fit the network {self.network} as it is now: {error}"
            ) from error
        return network.eval()

    def expect(self, **wanted: Any) -> None:
        """Refuse a checkpoint trained for something else.

        Parameters
        ----------
        **wanted
            Values of `arguments` or `about`, by name: ``grid=(8, 8)``, ``classes=22``, ``resolution=32``.

        Raises
        ------
        AdaprepError
            One of them differs, or is not recorded.
        """
        recorded = {**self.about, **self.arguments}
        for name, value in wanted.items():
            if name not in recorded:
                raise AdaprepError(
                    f"{self.path} does not say its {name}; {name} {_show(value)} is asked for."
                )
            if _plain(recorded[name]) != _plain(value):
                raise AdaprepError(
                    f"{self.path} was trained with {name} {_show(recorded[name])}, but {name} {_show(value)} "
                    f"is asked for. Ask for {_show(recorded[name])}, or train a network for {_show(value)}."
                )

    def _fresh(self) -> nn.Module:
        from pipeline.train.networks.auxiliary import AuxiliaryNetwork
        from pipeline.train.networks.factory import build

        if self.kind == "auxiliary":
            return AuxiliaryNetwork(**self.arguments)
        return build(self.network, **self.arguments)


def save(
    path: str | os.PathLike[str],
    kind: Kind,
    network: str,
    arguments: Mapping[str, Any],
    state_dict: Mapping[str, Tensor],
    about: Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint atomically: what was at `path` stays whole until the new file is.

    Parameters
    ----------
    path
        File; its folder is made where there is none.
    kind, network, arguments, about, training
        As in `Checkpoint`. A file of pretrained weights among the arguments is not recorded: the weights
        written here replace it.
    state_dict
        Of the network.

    Raises
    ------
    ValueError
        The kind is unknown, or `arguments` or `about` hold something that is not plain data.
    AdaprepError
        The file cannot be written.
    """
    from pipeline.train.networks.factory import TRANSIENT

    if kind not in NAMES:
        raise ValueError(f"kind is {kind!r}, must be one of {', '.join(NAMES)}")
    kept = {key: value for key, value in arguments.items() if key not in TRANSIENT}
    for name, values in (("arguments", kept), ("about", about)):
        _check_plain(values, name)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "network": network,
        "arguments": dict(kept),
        "state": dict(state_dict),
        "about": dict(about),
        "training": dict(training or {}),
    }
    _write(Path(path), content)


def load(
    path: str | os.PathLike[str], kind: Kind | None = None, device: str | torch.device = "cpu"
) -> Checkpoint:
    """Read a checkpoint. Only plain data and tensors are read: a file from elsewhere can run no code.

    Parameters
    ----------
    path
        File written by `save`.
    kind
        What it has to be; anything when left out.
    device
        Where the tensors are put.

    Raises
    ------
    AdaprepError
        There is no such file; it is damaged, not one of ours, or newer than this version; it is of another
        kind.
    """
    path = Path(path)
    content = _read(path, device)
    if content["version"] > VERSION:
        raise AdaprepError(
            f"{path} is written in format {content['version']}, this adaprep reads up to {VERSION}. "
            "Update adaprep."
        )
    missing = [name for name in _FIELDS if name not in content]
    if missing:
        raise AdaprepError(f"{path} is an incomplete checkpoint: it has no {', '.join(missing)}.")
    if kind is not None and content["kind"] != kind:
        raise AdaprepError(
            f"{path} is {NAMES.get(content['kind'], 'a checkpoint of an unknown kind')}, "
            f"{NEEDED[kind]} is needed."
        )
    return Checkpoint(path, **{name: content[name] for name in _FIELDS})


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        with disk.replacing(path) as partial, partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        raise AdaprepError(f"the checkpoint {path} cannot be written: {error}") from error


def _read(path: Path, device: str | torch.device) -> dict[str, Any]:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise AdaprepError(f"no checkpoint at {path}: it {what}.")
    try:
        file = path.open("rb")
    except OSError as error:
        raise AdaprepError(f"{path} cannot be read: {error}") from error
    with file:
        try:
            content = torch.load(file, map_location=device, weights_only=True)
        except UnpicklingError as error:
            raise AdaprepError(f"{path} is not a checkpoint of adaprep.") from error
        except Exception as error:
            raise AdaprepError(
                f"{path} is damaged, or no checkpoint at all. If it was copied here, copy it again."
            ) from error
    if (
        not isinstance(content, dict)
        or content.get("format") != FORMAT
        or not isinstance(content.get("version"), int)
    ):
        raise AdaprepError(
            f"{path} is not a checkpoint of adaprep: PyTorch reads it, but it is another program's."
        )
    return content


def _check_plain(value: Any, where: str) -> None:
    """Refuse what would not be read again with ``weights_only``, or reads back as something else."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if type(key) is not str:
                raise ValueError(f"{where} has the key {key!r} of type {type(key).__name__}, must be str")
            _check_plain(item, f"{where}[{key!r}]")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    elif value is not None and type(value) not in (str, int, float, bool):
        raise ValueError(
            f"{where} is a {type(value).__name__}, must be plain data: "
            "str, int, float, bool, None, lists, dicts"
        )


def _plain(value: Any) -> Any:
    """With tuples and lists alike."""
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _show(value: Any) -> str:
    """Sides of a grid as ``8 x 8``."""
    if isinstance(value, (list, tuple)) and value and all(type(item) is int for item in value):
        return " x ".join(str(item) for item in value)
    return str(value)
