"""64 entries of an array at once, for compiled loops: in which of them something is, one bit each.

Loops over nearly constant rows spend their time on telling that nothing changes. These operations become a
few vector instructions, where loops that look for the same entries one by one do not.
"""

from __future__ import annotations

import sys
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

LENGTH = 64
"""Entries that are looked at together. That many there must be from the index on: nothing checks it."""

_WORD = ir.IntType(LENGTH)


def _differing(_context: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
    """uint64, bit k set where ``a[i + k] != b[j + k]``; both are 1-d, contiguous, of one integer type."""
    _check_arrays(a, b)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        one = _entries(context, builder, signature.args[0], *args[:2])
        other = _entries(context, builder, signature.args[2], *args[2:])
        return _bits(builder, builder.icmp_unsigned("!=", one, other))

    return types.uint64(a, types.uintp, b, types.uintp), generate


def _nonzero(_context: Any, a: Any, i: Any) -> Any:
    """uint64, bit k set where ``a[i + k] != 0``; `a` is 1-d, contiguous, of an integer type."""
    _check_arrays(a)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        entries = _entries(context, builder, signature.args[0], *args)
        return _bits(builder, builder.icmp_unsigned("!=", entries, ir.Constant(entries.type, None)))

    return types.uint64(a, types.uintp), generate


def _copy(_context: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
    """Set ``b[j + k] = a[i + k]`` at once, so that the two may overlap; both as of `differing`."""
    _check_arrays(a, b)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        entries = _entries(context, builder, signature.args[0], *args[:2])
        place = _place(context, builder, signature.args[2], *args[2:])
        builder.store(entries, place, align=a.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(a, types.uintp, b, types.uintp), generate


def _lowest(_context: Any, bits: Any) -> Any:
    """Index of the lowest bit that is set in a uint64 other than 0."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


def _count(_context: Any, bits: Any) -> Any:
    """How many bits of a uint64 are set."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), generate


differing: Any = intrinsic(_differing)
nonzero: Any = intrinsic(_nonzero)
copy: Any = intrinsic(_copy)
lowest: Any = intrinsic(_lowest)
count: Any = intrinsic(_count)


def _check_arrays(*arrays: Any) -> None:
    for array in arrays:
        plain = isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"
        if not plain or not isinstance(array.dtype, types.Integer) or array.dtype != arrays[0].dtype:
            raise TypingError(f"no contiguous arrays of one integer type: {', '.join(map(str, arrays))}")


def _entries(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """The vector of entries from an index on."""
    return builder.load(_place(context, builder, kind, array, index), align=kind.dtype.bitwidth // 8)


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where that vector lies."""
    start = builder.gep(context.make_array(kind)(context, builder, array).data, [index])
    return builder.bitcast(start, ir.VectorType(ir.IntType(kind.dtype.bitwidth), LENGTH).as_pointer())


def _bits(builder: Any, truths: Any) -> Any:
    """A vector of truth values as a word whose lowest bit is the first of them."""
    word = builder.bitcast(truths, _WORD)
    return word if sys.byteorder == "little" else builder.bitreverse(word)
