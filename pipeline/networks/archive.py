"""The archive that PyTorch writes, looked at before PyTorch reads it.

PyTorch does not compare what it reads with the checksums of its own archive, so that a flipped bit in the
weights passes; and it reads much that a checkpoint never holds. So the archive is checked first: stored
entries one after the other and nothing between or after them, their checksums, and a pickle that names
nothing but tensors and plain data.
"""

from __future__ import annotations

import io
import pickletools
import re
import struct
import sys
import zipfile
import zlib

LOCAL = struct.Struct("<4s5H3I2H")
"""A local header of a zip archive, without the name and the extra field behind it."""

DESCRIPTOR = 24
"""Bytes that may follow an entry: its sizes and checksum once more."""

MAX_PICKLE = 1 << 26
"""Bytes of the pickle: names, shapes and plain data of a hundred thousand tensors are 20 MB."""

ENTRIES = re.compile(
    r"data\.pkl|data/\d+|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id"
)
GLOBALS = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)"
    r"|torch (Double|Float|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage|torch\.storage UntypedStorage"
)


class DamagedArchiveError(Exception):
    """The archive is not whole, or not one that PyTorch wrote."""


class ForeignError(Exception):
    """A whole archive of PyTorch that holds more than tensors and plain data."""


Storages = frozenset[tuple[int, int]]
"""Bytes and checksum of each."""

FLAGS = (0, 8, 0x800, 0x808)
"""Marks of an entry: sizes behind it, names in UTF-8."""


def check(content: bytes) -> Storages:
    """Refuse what is not a whole archive of tensors and plain data, as `torch.save` writes it.

    Parameters
    ----------
    content
        The file.

    Returns
    -------
    Storages
        Of the tensors. What PyTorch reads is to be compared with them: its reader of archives is another one
        than ours, and gives memory of no meaning for an entry that calls itself a folder.

    Raises
    ------
    DamagedError
        It is cut short, longer than it says, laid out otherwise, compressed, or a checksum does not fit.
    ForeignError
        Its pickle names something else than tensors and plain data.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos, comment = sorted(archive.infolist(), key=lambda i: i.header_offset), archive.comment
        start = _check_layout(content, infos, comment)
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OverflowError) as error:
        raise DamagedArchiveError(str(error)) from error
    for info in infos:
        if zlib.crc32(_bytes(content, start, info)) != info.CRC:
            raise DamagedArchiveError(f"the checksum of {info.filename} does not fit")
    named = {info.filename.partition("/")[2]: info for info in infos}
    if "data.pkl" not in named:
        raise DamagedArchiveError("there is no data.pkl")
    if "byteorder" in named and bytes(_bytes(content, start, named["byteorder"])) != sys.byteorder.encode():
        raise DamagedArchiveError(f"it was not written on a {sys.byteorder}-endian machine")
    _check_pickle(bytes(_bytes(content, start, named["data.pkl"])))
    return frozenset((info.file_size, info.CRC) for name, info in named.items() if name.startswith("data/"))


def _check_layout(content: bytes, infos: list[zipfile.ZipInfo], comment: bytes) -> dict[str, int]:
    """Where each entry's bytes begin, by name."""
    if not infos or comment or content[-22:-18] != b"PK\x05\x06" or infos[0].header_offset != 0:
        raise DamagedArchiveError("it does not begin with its first entry and end with its directory")
    if len({info.filename.partition("/")[0] for info in infos}) > 1:
        raise DamagedArchiveError("its entries lie in several folders")
    start: dict[str, int] = {}
    end = 0
    for info in infos:
        folder, _, name = info.orig_filename.partition("/")
        if info.orig_filename in start or not folder or not ENTRIES.fullmatch(name):
            raise DamagedArchiveError("an entry is there twice, or is not one of PyTorch's")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise DamagedArchiveError("an entry is compressed")
        if info.external_attr & 0xFFFF or info.internal_attr or info.flag_bits not in FLAGS or info.volume:
            raise DamagedArchiveError("an entry is no plain file")
        if not 0 <= info.header_offset - end <= DESCRIPTOR:
            raise DamagedArchiveError("its entries do not follow each other")
        fields = LOCAL.unpack_from(content, info.header_offset)
        name_at = info.header_offset + LOCAL.size
        begin = name_at + fields[9] + fields[10]
        named = content[name_at : name_at + fields[9]]
        if fields[0] != b"PK\x03\x04" or named != info.orig_filename.encode() or fields[3] != 0:
            raise DamagedArchiveError("an entry is not what the directory says")
        start[info.orig_filename], end = begin, begin + info.file_size
        if end > len(content):
            raise DamagedArchiveError("an entry is cut short")
    return start


def _bytes(content: bytes, start: dict[str, int], info: zipfile.ZipInfo) -> memoryview:
    begin = start[info.orig_filename]
    return memoryview(content)[begin : begin + info.file_size]


def _check_pickle(pickle: bytes) -> None:
    if len(pickle) > MAX_PICKLE:
        raise ForeignError(f"its data.pkl takes {len(pickle)} bytes")
    try:
        for opcode, argument, _ in pickletools.genops(pickle):
            if opcode.name == "GLOBAL" and not GLOBALS.fullmatch(str(argument)):
                raise ForeignError("it names something else than tensors")
            if opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4", "BYTEARRAY8"):
                raise ForeignError("it makes something else than tensors")
    except (ValueError, OverflowError) as error:
        raise DamagedArchiveError(str(error)) from error
