"""Checkpoints: weights, with what is needed to make their network again and to know how it was trained."""

import hashlib
import io
import os
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO, Literal, get_args

import torch
from torch import Tensor, nn

from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.networks import archive, fields, plain
from pipeline.storage import file_path
from pipeline.workspace import disk

FORMAT = "adaprep checkpoint"
VERSION = 1

Kind = Literal["auxiliary", "base"]
NAMES = {"auxiliary": "an auxiliary network's checkpoint", "base": "a base network's checkpoint"}
NEEDED = {"auxiliary": "an auxiliary one", "base": "a base network's"}
_FIELDS = ("kind", "network", "arguments", "state", "about", "training")

DAMAGED = "{} is damaged, or no checkpoint at all. If it was copied here, copy it again."

MAX_MESSAGE = 1500
"""Characters of what PyTorch says of weights that do not fit; it names them all."""


MAX_PROBE = 1024
"""No larger image is made to try a network with, whatever a file says of its resolution."""


class FactoryError(AdaprepError):
    """A checkpoint needs a network that is not ours, and the function that makes it was not given."""


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
        "auxiliary"; the name of one of our base networks; or, as a hint to the reader and never imported,
        the ``package.module:function`` that made it.
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

    def build(self, factories: Sequence[str] = ()) -> nn.Module:
        """Make the network again, with these weights, on the CPU and in evaluation mode.

        Parameters
        ----------
        factories
            ``package.module:function`` of networks that are not ours, from whoever runs the command: the one
            that the file names is taken, else the only one.

        Raises
        ------
        FactoryError
            The network is not ours, and there is no factory for it.
        AdaprepError
            The network cannot be made, or has other weights than the file.
        """
        from pipeline.networks.factory import build, is_registered

        factory = self.factory(factories)
        with self._explained():
            fields.check_finite(self.state)
        if self.kind == "auxiliary" or is_registered(self.network):
            with torch.device("meta"):
                self._filled(self._ours())  # whether all fits is known before any memory is taken
            return self._filled(self._ours()).eval()
        return self._filled(build(factory, probe=self._side, **self.arguments)).eval()

    def factory(self, factories: Sequence[str] = ()) -> str:
        """Which of the factories given by hand makes this network, or the name of our own.

        Raises
        ------
        FactoryError
            None of them does.
        """
        from pipeline.networks.factory import is_registered

        if self.kind == "auxiliary":
            return "auxiliary"
        if is_registered(self.network) or self.network in factories:
            return self.network
        if len(factories) == 1:
            return factories[0]
        named = printable(self.network)
        given = (
            f"--architecture {' and '.join(factories)} are others"
            if factories
            else "no --architecture names it"
        )
        raise FactoryError(
            f"{self.path} holds the weights of a network that is not one of adaprep's, and {given}: a file "
            f"does not decide which code runs. It was trained with {named}; if you trust that code, add "
            f"--architecture {named}"
        )

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
                    f"{self.path} does not say its {name}; {name} {plain.shown(value)} is asked for."
                )
            if plain.as_lists(recorded[name]) != plain.as_lists(value):
                trained, asked = plain.shown(recorded[name]), plain.shown(value)
                raise AdaprepError(
                    f"{self.path} was trained with {name} {trained}, but {name} {asked} is asked for. "
                    f"Ask for {trained}, or train a network for {asked}."
                )

    def _ours(self) -> nn.Module:
        """One of adaprep's networks, with random weights."""
        from pipeline.networks import auxiliary
        from pipeline.networks.factory import build

        with self._explained():
            if self.kind == "auxiliary":
                fields.check_grid(self.arguments, self.state)
                return auxiliary.make(**self.arguments)
            return build(self.network, probe=self._side, **self.arguments)

    @property
    def _side(self) -> int:
        """Of the images that the network was trained on."""
        from pipeline.networks.factory import PROBE

        return min(int(self.about.get("resolution", PROBE)), MAX_PROBE)

    def _filled(self, network: nn.Module) -> nn.Module:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "for .*: copying from a non-meta parameter")
                network.load_state_dict(self.state)
        except RuntimeError as error:
            message = printable(str(error))
            shown = message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]} ..."
            raise AdaprepError(
                f"{self.path} does not fit the network {printable(self.network)} as it is now: {shown}"
            ) from error
        return network

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what its own fields make go wrong into a sentence."""
        try:
            yield
        except (fields.FieldError, ValueError, TypeError, RuntimeError, OverflowError) as error:
            raise AdaprepError(
                f"{self.path} cannot be used: {printable(str(error))}. It was not written by adaprep, or was "
                f"changed since: train it again, or ask for it where it came from."
            ) from error


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
    from pipeline.networks.factory import TRANSIENT

    if kind not in NAMES:
        raise ValueError(f"kind is {kind!r}, must be one of {', '.join(NAMES)}")
    kept = {key: value for key, value in arguments.items() if key not in TRANSIENT}
    for name, values in (("arguments", kept), ("about", about)):
        plain.check(values, name)
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
    _write(file_path(path), content)


def load(
    path: str | os.PathLike[str], kind: Kind | None = None, device: str | torch.device = "cpu"
) -> Checkpoint:
    """Read a checkpoint. A file from elsewhere can run no code: only plain data and tensors are read.

    Checksums are compared, and every field is looked at.

    Parameters
    ----------
    path
        File written by `save`; also an address in an object store.
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
    path = file_path(path)
    content, storages = _read(path)
    if content["version"] > VERSION:
        raise AdaprepError(
            f"{path} is written in format {content['version']}, this adaprep reads up to {VERSION}. "
            "Update adaprep."
        )
    missing = [name for name in _FIELDS if name not in content]
    if missing:
        raise AdaprepError(f"{path} is an incomplete checkpoint: it has no {', '.join(missing)}.")
    try:
        fields.check(content, sum(size for size, _ in storages))
        network = "auxiliary" if content["kind"] == "auxiliary" else content["network"]
        fields.check_arguments(network, content["arguments"])
    except fields.FieldError as error:
        raise AdaprepError(
            f"{path} is not a checkpoint that adaprep wrote: {error}. Train it again, or ask for it where it "
            f"came from."
        ) from error
    _compare(path, content, storages)
    if content["kind"] not in (get_args(Kind) if kind is None else (kind,)):
        raise AdaprepError(
            f"{path} is {NAMES.get(content['kind'], 'a checkpoint of an unknown kind')}, "
            f"{NEEDED[kind] if kind else 'an auxiliary or a base one'} is needed."
        )
    moved = {name: _moved(content[name], torch.device(device)) for name in ("state", "training")}
    return Checkpoint(path, **{**{name: content[name] for name in _FIELDS}, **moved})


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        with disk.writing(path), disk.replacing(path) as partial, partial.open("wb") as file:
            guarded = _Guarded(file)
            try:
                torch.save(content, guarded)  # type: ignore[arg-type]
            except RuntimeError as error:  # PyTorch's word for a write that failed
                raise guarded.failure or error from error
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        raise AdaprepError(f"the checkpoint {path} cannot be written: {error}") from error


class _Guarded:
    """A file that remembers why a write failed: PyTorch's writer does not pass it on."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.failure: OSError | None = None

    def write(self, part: Any) -> int:
        try:
            return self.file.write(part)
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        self.file.flush()


def _compare(path: Path, content: Mapping[str, Any], storages: archive.Storages) -> None:
    """Raise AdaprepError unless PyTorch read what was checked."""
    seen: set[int] = set()
    for tensor in _tensors((content["state"], content["training"])):
        storage = tensor.untyped_storage()
        if not storage.nbytes() or storage.data_ptr() in seen:
            continue
        seen.add(storage.data_ptr())
        whole = torch.empty(0, dtype=torch.uint8).set_(storage)
        if (storage.nbytes(), zlib.crc32(whole.numpy().data)) not in storages:
            raise AdaprepError(DAMAGED.format(path))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value.detach()
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)


def _moved(value: Any, device: torch.device) -> Any:
    """Plain data with its tensors on a device."""
    if device.type == "cpu":
        return value
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    return type(value)(_moved(item, device) for item in value) if isinstance(value, (list, tuple)) else value


def _read(path: Path) -> tuple[dict[str, Any], archive.Storages]:
    """The content, and what its archive says of its storages."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is no file" if path.exists() else "does not exist"
        raise AdaprepError(f"no checkpoint at {path}: it {what}.")
    try:
        whole = path.read_bytes()
    except OSError as error:
        raise AdaprepError(f"{path} cannot be read: {error}") from error
    try:
        storages = archive.check(whole)
        content = torch.load(io.BytesIO(whole), map_location="cpu", weights_only=True)
    except (UnpicklingError, archive.ForeignError) as error:
        raise AdaprepError(f"{path} is not a checkpoint of adaprep.") from error
    except MemoryError as error:
        raise AdaprepError(f"{path} does not fit in the memory that is left.") from error
    except Exception as error:
        raise AdaprepError(DAMAGED.format(path)) from error
    if (
        not isinstance(content, dict)
        or content.get("format") != FORMAT
        or type(content.get("version")) is not int
        or content["version"] < 1
    ):
        raise AdaprepError(
            f"{path} is not a checkpoint of adaprep: PyTorch reads it, but it is another program's."
        )
    return content, storages
