"""How a store is laid out, and its attributes: written as plain data, read as something from elsewhere."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.workspace import disk

FORMAT = 2
"""Version of the layout; a store with a larger one is refused.

1: a chunk is a file in folders of its own, `c/5/0/0`. 2: all chunks of an array are files of one folder,
`c.5.0.0`. Stores of either are read, resumed and lengthened as they are.
"""

FLAT = 2
"""The first format without folders of chunks."""

DIGEST = "digest"
"""Name of the array that holds a fingerprint of every block."""

SHARD_BYTES = 32 * 2**20
BLOCKS = 4096
"""Blocks of a large store: more images make larger blocks, not more."""

MAX_IMAGES = 10**8
MAX_BLOCK = 2**16

_OURS = re.compile(
    rf"([A-Za-z_]\w*/)?zarr\.json|([A-Za-z_]\w*/)?zarr{disk.PARTIAL}"
    rf"|[A-Za-z_]\w*/c((/\d+)+({disk.PARTIAL})?|(\.\d+)+|(\.\d+)*{disk.PARTIAL})"
)
"""The files of a store. While Zarr writes c.0.1, what follows the last point is its partial ending."""


@dataclass(frozen=True)
class ArraySpec:
    """One array of a store: its shape behind the image axis, and how many images a chunk holds."""

    shape: tuple[int, ...]
    dtype: str
    fill: float = 0
    chunk_per_image: bool = False  # one chunk an image, gathered into shards; else one chunk a block
    doc: str = ""
    chunk_per_crop: bool = False  # of arrays in shards: one chunk per entry of the first axis of an image

    def chunks(self, layout: Layout) -> tuple[int, ...]:
        """The shape of a chunk."""
        if self.chunk_per_crop:
            return 1, 1, *self.shape[1:]
        return (1 if self.chunk_per_image else layout.block), *self.shape

    def describe(self) -> dict[str, Any]:
        """Plain data for the attributes; NaN is null."""
        return {
            "shape": list(self.shape),
            "dtype": self.dtype,
            "fill": None if math.isnan(self.fill) else self.fill,
            "chunk_per_image": self.chunk_per_image,
            **({"chunk_per_crop": True} if self.chunk_per_crop else {}),
            "doc": self.doc,
        }

    def matches(self, array: Any, layout: Layout) -> bool:
        """Whether a Zarr array is laid out as this says."""
        rows = layout.shard if self.chunk_per_image else layout.block
        return bool(
            tuple(array.shape[1:]) == self.shape
            and str(array.dtype) == self.dtype
            and (array.shards is not None) == self.chunk_per_image
            and tuple(array.shards or array.chunks) == (rows, *self.shape)
            and tuple(array.chunks) == self.chunks(layout)
            and (array.fill_value == self.fill or (math.isnan(array.fill_value) and math.isnan(self.fill)))
        )


@dataclass(frozen=True)
class Layout:
    """How many images a block (a chunk of the small arrays) and a shard of the large ones hold."""

    block: int
    shard: int

    @classmethod
    def choose(cls, count: int, bytes_per_image: int = 0) -> Layout:
        """Blocks of 8 to 64 images, so that small data sets still make enough tasks; shards up to 32 MiB.

        Beyond `BLOCKS` of 64 images blocks grow, for files and tasks are as many as blocks.
        """
        block = 8
        while (block < 64 and block * 32 < count) or block * BLOCKS < count:
            block *= 2
        shard = block
        while shard > 1 and shard * bytes_per_image > SHARD_BYTES:
            shard //= 2
        return cls(block, shard)


DIGEST_SPEC = ArraySpec((), "uint64", doc="64-bit BLAKE2b of the files and statuses of the image's block")


@dataclass(frozen=True)
class About:
    """The attributes of a store, checked."""

    parameters: dict[str, Any]
    layout: Layout
    inputs: dict[str, Any]
    arrays: dict[str, ArraySpec] | None  # None: not recorded, as by versions without digests


class NewerFormatError(ValueError):
    """A store of a newer version: the format found, and what wrote it."""

    def __init__(self, found: int, version: str) -> None:
        super().__init__(f"store format {found}, version {version}")


def parse(content: Any) -> About:
    """Check the attribute `adaprep` of a group.

    Raises
    ------
    ValueError
        Says what is missing or wrong.
    NewerFormatError
        Written by a newer version.
    """
    about = _mapping(content, "the attribute adaprep")
    found = _whole(about, "format", 1, 10**6)
    if found > FORMAT:
        versions = about.get("versions")
        version = versions.get("adaprep", "?") if isinstance(versions, dict) else "?"
        raise NewerFormatError(found, str(version))
    parameters = _mapping(about.get("parameters"), "parameters")
    _check_parameters(parameters)
    layout = _mapping(about.get("layout"), "layout")
    block = _whole(layout, "block", 1, MAX_BLOCK)
    shard = _whole(layout, "shard", 1, block)
    if block % shard:
        raise ValueError(f"blocks of {block} images are not whole shards of {shard}")
    inputs = _mapping(about.get("inputs"), "inputs")
    _whole(inputs, "count", 0, MAX_IMAGES)
    if not isinstance(inputs.get("sha256"), str):
        raise ValueError("inputs hold no sha256")
    arrays = None
    if "arrays" in about:
        listed = _mapping(about["arrays"], "arrays")
        arrays = {_name(name): _spec(name, value) for name, value in listed.items()}
        if not {"status", DIGEST} <= arrays.keys():
            raise ValueError("arrays do not name status and digest")
    return About(parameters, Layout(block, shard), inputs, arrays)


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what}: {_short(value)} is not a mapping")
    return value


def _whole(values: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = values.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name}: {_short(value)} is not a whole number from {least} to {most}")
    return value


def _is_whole(value: Any, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= 2**31


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _is_grid(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_whole(v, 2) for v in value)


def _is_class_table(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list)
        and len(row) == 3
        and _is_whole(row[0])
        and isinstance(row[1], str)
        and _is_whole(row[2])
        for row in value
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


PARAMETERS: dict[str, Callable[[Any], bool]] = {
    "dataset": lambda v: isinstance(v, str),
    "split": lambda v: isinstance(v, str),
    "settings": lambda v: isinstance(v, dict),
    "classes": _is_class_table,
    "targets": _texts,
    "grid": _is_grid,
    "tensor_grid": _is_grid,
    "crops": lambda v: _is_whole(v, 1),
    "lambda": lambda v: _is_number(v) and v >= 0,
    "sampler": lambda v: isinstance(v, str),
    "resolution": lambda v: _is_whole(v, 1),
    "filter": lambda v: isinstance(v, str),
    "auxiliary": lambda v: isinstance(v, str),
    "mean": lambda v: isinstance(v, str),
}
"""What is asked of a parameter where there is one of that name."""


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    for name, good in PARAMETERS.items():
        if name in parameters and not good(parameters[name]):
            raise ValueError(f"parameters: {_short(parameters[name])} cannot be {name}")


def _name(name: str) -> str:
    if not name.isidentifier() or not name.isascii():
        raise ValueError(f"arrays: {_short(name)} cannot be the name of one")
    return name


def _spec(name: str, content: Any) -> ArraySpec:
    spec = _mapping(content, f"array {name}")
    shape, fill = spec.get("shape"), spec.get("fill")
    if not isinstance(shape, list) or len(shape) > 8 or not all(_is_whole(n) for n in shape):
        raise ValueError(f"array {name}: {_short(shape)} cannot be a shape")
    if spec.get("dtype") not in ("uint8", "uint64", "int32", "float32", "float64", "bool"):
        raise ValueError(f"array {name}: {_short(spec.get('dtype'))} cannot be the type of its values")
    if not (fill is None or isinstance(fill, bool) or _is_number(fill)):
        raise ValueError(f"array {name}: {_short(fill)} cannot be a fill value")
    sharded, apart = spec.get("chunk_per_image"), spec.get("chunk_per_crop", False)
    if not isinstance(sharded, bool) or not isinstance(apart, bool) or not isinstance(spec.get("doc"), str):
        raise ValueError(f"array {name}: its description is not complete")
    if apart and not (sharded and shape):
        raise ValueError(f"array {name}: it has no crops to be in chunks of their own")
    fill = math.nan if fill is None else fill
    return ArraySpec(tuple(shape), spec["dtype"], fill, sharded, spec["doc"], apart)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def is_file_of_store(name: str) -> bool:
    """Whether a store holds a file of this path, relative to its folder."""
    return _OURS.fullmatch(name) is not None


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """One line a parameter that differs, by name, for the refusal to mix."""
    lines = []
    for name in sorted({*stored, *wanted}):
        old, new = stored.get(name), wanted.get(name)
        if old != new:
            if isinstance(old, list) and isinstance(new, list) and max(len(old), len(new)) > 4:
                old, new = [x for x in old if x not in new], [x for x in new if x not in old]
            lines.append(f"{name}: {_as_json(old)} in the store, {_as_json(new)} asked for")
    return lines


def _as_json(value: Any, limit: int = 100) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[: limit - 3] + "..."
