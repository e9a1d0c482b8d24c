"""Where in a COCO file the records of each image stand: the file is gone through once and not kept.

A file of a whole data set describes a hundred thousand images in half a gigabyte. It is decoded as Latin-1,
in which every byte is a character and JSON's own signs are themselves, so that places in the text are places
in the file, and one record at a time becomes an object.
"""

from __future__ import annotations

import json
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from pipeline.datasets.files import file_error, identity, length, open_file
from pipeline.datasets.json_files import is_whole, no_number, without_repetition
from pipeline.datasets.limits import short
from pipeline.errors import AdaprepError, FileError
from pipeline.names import printable

MAX_BYTES = 2**31 - 1
"""Of a file."""

KEPT = 4
"""Files whose index is kept by a process."""

BLANKS = " \t\r\n"
DECODER = json.JSONDecoder(object_pairs_hook=without_repetition, parse_constant=no_number)


@dataclass
class CocoIndex:
    """Images by name, and the places of everything about them."""

    images: dict[str, array[int]] = field(default_factory=dict)  # first and last byte of each record

    def record(self, name: str, file: BinaryIO) -> bytes:
        """The image's record and its annotations, as a JSON file of their own."""
        places = self.images[name]
        pieces = []
        for start, stop in zip(places[::2], places[1::2], strict=True):
            file.seek(start)
            pieces.append(file.read(stop - start))
        return b'{"image": ' + pieces[0] + b', "annotations": [' + b",\n".join(pieces[1:]) + b"]}"


_kept: OrderedDict[tuple[Any, ...], CocoIndex] = OrderedDict()
_lock = threading.Lock()


def index_of(path: Path) -> CocoIndex:
    """The index of a file, made once for its content. Raises FileError."""
    with open_file(path) as file:
        return _index_of(file, path)


def record_of(path: Path, name: str) -> bytes:
    """What a file says of one image, as JSON: the same bytes as long as these records are the same.

    Raises
    ------
    FileError
        The file cannot be read, or does not describe such an image.
    """
    with open_file(path) as file:
        index = _index_of(file, path)
        if name not in index.images:
            raise FileError(printable(f"{path}: describes no image {short(name)}"))
        try:
            return index.record(name, file)
        except OSError as error:
            raise file_error(path, error) from error


def _index_of(file: BinaryIO, path: Path) -> CocoIndex:
    key = identity(file)
    with _lock:
        if key not in _kept:
            _kept[key] = _make(file, path)
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
        _kept.move_to_end(key)
        return _kept[key]


def _make(file: BinaryIO, path: Path) -> CocoIndex:
    if length(file) > MAX_BYTES:
        raise FileError(printable(f"{path}: larger than {MAX_BYTES // 2**20} MiB, the most that is read"))
    try:
        data = file.read()
    except OSError as error:
        raise file_error(path, error) from error
    if not data:
        raise FileError(f"{path}: empty file (0 bytes)")
    try:
        return _Reader(data.decode("latin-1"), path).index()
    except RecursionError as error:
        raise FileError(printable(f"{path}: not a JSON file: nested too deep")) from error
    except AdaprepError:
        raise
    except (ValueError, IndexError) as error:
        raise FileError(printable(f"{path}: not a JSON file: {error}")) from error


class _Reader:
    """Goes through the text of one file. Raises ValueError where it is no JSON."""

    def __init__(self, text: str, path: Path) -> None:
        self.text = text.removeprefix("\xef\xbb\xbf")
        self.shift = len(text) - len(self.text)
        self.path = path

    def index(self) -> CocoIndex:
        found = CocoIndex()
        owners: dict[Any, str] = {}
        annotations = array("q")  # first and last byte
        images: list[Any] = []  # ids that the annotations belong to
        seen = set()
        for key, place in self._keys():
            if key in seen:
                raise ValueError(f"the key {short(key)} is given twice")
            seen.add(key)
            if key == "images":
                self._add_images(place, found, owners)
            elif key == "annotations":
                for item, start, stop in self._items(place, "annotations"):
                    annotations.extend((start, stop))
                    images.append(_identity(item.get("image_id")))
        if missing := [key for key in ("images", "annotations") if key not in seen]:
            raise FileError(
                printable(f"{self.path}: not a COCO file of instances: it has no list {missing[0]!r}")
            )
        for i, owner in enumerate(images):
            if owner in owners:
                found.images[owners[owner]].extend(annotations[2 * i : 2 * i + 2])
        return found

    def _add_images(self, place: int, found: CocoIndex, owners: dict[Any, str]) -> None:
        for number, (item, start, stop) in enumerate(self._items(place, "images")):
            if not (record := self.text[start - self.shift : stop - self.shift]).isascii():
                item = json.loads(record.encode("latin-1"))
            file, identity = item.get("file_name"), _identity(item.get("id"))
            name = _safe(file) if isinstance(file, str) else ""
            if not name or identity is None:
                raise FileError(printable(f"{self.path}: image {number} has no file_name or no id"))
            if name in found.images or identity in owners:
                raise FileError(
                    printable(f"{self.path}: image {number} ({short(name)}) was described before: remove one")
                )
            owners[identity] = name
            found.images[name] = array("q", (start, stop))

    def _items(self, place: int, key: str) -> Iterator[tuple[dict[str, Any], int, int]]:
        """The objects of the list that begins at a place, each with its first and last byte."""
        if self.text[place] != "[":
            raise FileError(printable(f"{self.path}: not a COCO file of instances: {key!r} is no list"))
        place = self._skip(place + 1)
        while self.text[place] != "]":
            item, end = DECODER.raw_decode(self.text, place)
            if not isinstance(item, dict):
                raise FileError(printable(f"{self.path}: {key!r} holds {short(item)}, which is no record"))
            yield item, place + self.shift, end + self.shift
            place = self._next(end, "]")
        self.end = place + 1

    def _keys(self) -> Iterator[tuple[str, int]]:
        """Every key of the file, and the place of its value; whoever reads the value sets `end` behind it."""
        place = self._skip(0)
        if self.text[place : place + 1] != "{":
            raise FileError(printable(f"{self.path}: not a COCO file of instances: it is no JSON object"))
        place = self._skip(place + 1)
        while self.text[place] != "}":
            if self.text[place] != '"':
                raise ValueError(f"a key was expected at byte {place + self.shift}")
            key, place = scanstring(self.text, place + 1, True)
            place = self._skip(place)
            if self.text[place] != ":":
                raise ValueError(f"':' was expected at byte {place + self.shift}")
            place = self._skip(place + 1)
            self.end = -1
            yield key, place
            if self.end < 0:
                _, self.end = DECODER.raw_decode(self.text, place)
            place = self._next(self.end, "}")
        if self._skip(place + 1) != len(self.text):
            raise ValueError(f"something follows at byte {place + 1 + self.shift}")

    def _next(self, place: int, closing: str) -> int:
        """The place behind a comma, or of the sign that closes."""
        place = self._skip(place)
        if self.text[place] == ",":
            place = self._skip(place + 1)
            if self.text[place] == closing:
                raise ValueError(f"a comma before {closing!r} at byte {place + self.shift}")
        elif self.text[place] != closing:
            raise ValueError(f"',' was expected at byte {place + self.shift}")
        return place

    def _skip(self, place: int) -> int:
        while place < len(self.text) and self.text[place] in BLANKS:
            place += 1
        return place


def _identity(value: Any) -> int | str | None:
    return value if is_whole(value) or isinstance(value, str) else None


def _safe(file: str) -> str:
    """A name without what leads out of the folder."""
    parts = PurePosixPath(file.replace("\\", "/")).parts
    return "/".join(part for part in parts if part not in ("/", "..", ".") and "\0" not in part)
