"""Label maps as NumPy arrays (`.npy`): the header is checked first, objects are refused."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from pipeline.datasets.limits import short
from pipeline.errors import FileError

MAGIC = b"\x93NUMPY"
HEAD_BYTES = 4096
"""Enough for the header of any array of whole numbers."""


class NpyHeader(NamedTuple):
    """What stands before the numbers."""

    shape: tuple[int, int]  # (H, W)
    dtype: np.dtype[Any]
    columns_first: bool  # Fortran's order
    start: int  # of the numbers, in bytes


def parse_header(head: bytes, file_bytes: int, path: Path) -> NpyHeader:
    """The header, from the first `HEAD_BYTES` of a file.

    Raises
    ------
    FileError
        It is damaged, or is of no map of whole numbers, or the file has not as many bytes as it says.
    """
    file = io.BytesIO(head)
    try:
        version = npy_format.read_magic(file)
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, columns_first, dtype = read(file, max_header_size=HEAD_BYTES)
    except Exception as error:  # NumPy parses the header as Python: errors of its tokenizer, parser, dtypes
        raise FileError(f"{path}: the header of the array is damaged ({short(str(error))})") from error
    if dtype.hasobject or dtype.names or dtype.kind not in "biu":
        raise FileError(f"{path}: holds {short(str(dtype))}; class ids must be whole numbers")
    if len(shape) != 2 or min(shape) < 1 or not all(isinstance(n, int) for n in shape):
        raise FileError(
            f"{path}: is an array of shape {short(shape)}; a label map has two axes, rows and columns"
        )
    wanted = math.prod(shape) * dtype.itemsize
    if (there := file_bytes - file.tell()) != wanted:
        problem = "truncated" if there < wanted else "damaged"
        raise FileError(f"{path}: {problem}: {short(shape)} numbers take {wanted} bytes, there are {there}")
    return NpyHeader((shape[0], shape[1]), dtype, columns_first, file.tell())


def decode(data: bytes, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W) class ids. Raises FileError."""
    header = parse_header(data[:HEAD_BYTES], len(data), path)
    order = header.shape[::-1] if header.columns_first else header.shape
    values = np.frombuffer(data, header.dtype, offset=header.start).reshape(order)
    values = values.T if header.columns_first else values
    if header.dtype == np.bool_:
        return values.astype(np.uint8)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise FileError(f"{path}: its values lie in {low}..{high}; class ids must lie in 0..65535")
    return np.ascontiguousarray(values.astype(np.uint8 if high < 256 else np.uint16))
