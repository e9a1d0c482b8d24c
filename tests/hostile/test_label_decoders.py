"""Label maps of any content: ids as stored, or a sentence about the file; in bounded time and memory."""

from __future__ import annotations

import io
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import png, readers, tiff
from pipeline.datasets.base import Dataset, Frame
from pipeline.errors import FileError
from pipeline.stages import boundaries, frame, inputs
from tests.datasets.encode import assemble, chunk, encode, header
from tests.datasets.test_formats import _with_tifffile
from tests.hostile import pictures
from tests.hostile.pictures import only_sentences, rounds

HERE = Path("x")


def _as_pillow_reads(data: bytes) -> np.ndarray | None:
    """Samples of a PNG where Pillow reads them as they are stored; None where it does not, or not at all."""
    head = png.parse_header(data, HERE)
    if head.bit_depth == 16 and head.channels > 1:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            values = np.asarray(image)
    except Exception:
        return None
    if head.color_type == png.GRAY and head.bit_depth in (2, 4):
        values = values // (255 // (2**head.bit_depth - 1))
    return values


@pytest.fixture(autouse=True, scope="module")
def _bounded() -> Iterator[None]:
    """Compile before the clock runs; no small input takes more than a gigabyte."""
    readers.decode_ids(encode(np.zeros((3, 40), np.uint16), filters=(0, 1, 2, 3, 4)), HERE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20


@rounds(500)
def test_pngs_made_by_the_specification_and_spoilt(numbers: range) -> None:
    """What is decoded is what was encoded, or what Pillow decodes."""
    for number in numbers:
        data, values, whole = pictures.png(random.Random(number))
        decoded = only_sentences(partial(png.decode, data, HERE), number)
        if whole:
            np.testing.assert_array_equal(decoded, values, err_msg=str(number))
        elif decoded is not None and (theirs := _as_pillow_reads(data)) is not None:
            np.testing.assert_array_equal(decoded, theirs, err_msg=str(number))


@rounds(500)
def test_mutated_pngs(numbers: range) -> None:
    for number in numbers:
        rng = random.Random(number)
        data = pictures.mutated(rng, pictures.png(rng)[0])
        only_sentences(partial(readers.decode_ids, data, HERE), number)
        only_sentences(partial(readers.decode_rgb, data, HERE), number)


@rounds(400)
def test_tiffs_made_by_the_specification_and_spoilt(numbers: range) -> None:
    """What is decoded is what tifffile decodes."""
    for number in numbers:
        rng = random.Random(number)
        data = pictures.tiff(rng)
        if rng.random() < 0.5:
            data = pictures.mutated(rng, data)
        ids = only_sentences(partial(readers.decode_ids, data, HERE), number)
        colors = only_sentences(partial(readers.decode_rgb, data, HERE), number)
        if ids is None and colors is None:
            continue
        try:
            theirs = np.asarray(_with_tifffile(data))
        except Exception:
            continue
        if ids is not None and theirs.shape == ids.shape:
            np.testing.assert_array_equal(ids, theirs, err_msg=str(number))
        plain = colors is not None and tiff.tags_of(data, HERE).one(tiff.PHOTOMETRIC, 0) == 2
        if plain and theirs.shape == colors.shape and theirs.dtype in (np.uint8, np.uint16):
            shown = theirs if theirs.dtype == np.uint8 else theirs >> 8
            np.testing.assert_array_equal(colors, shown, err_msg=str(number))


@pytest.mark.parametrize(
    "kind",
    ["TIFF", "BMP", "PNM", "JPEG", "WEBP", "GIF", "JPEG2000", "AVIF", "TGA", "PCX", "SGI", "QOI", "DDS"],
)
@rounds(80)
def test_mutated_files_of_the_other_formats(kind: str, numbers: range, tmp_path: Path) -> None:
    if kind not in pictures.whole_files():
        pytest.skip(f"this Pillow writes no {kind}")
    path = tmp_path / "a"
    for number in numbers:
        rng = random.Random(number)
        data = pictures.mutated(rng, rng.choice(pictures.whole_files()[kind]))
        ids = only_sentences(partial(readers.decode_ids, data, HERE), (kind, number))
        colors = only_sentences(partial(readers.decode_rgb, data, HERE), (kind, number))
        path.write_bytes(data)
        size = only_sentences(partial(readers.label_size, path), (kind, number))
        shown = only_sentences(partial(readers.image_size, path), (kind, number))
        only_sentences(partial(readers.picture_mode, path), (kind, number))
        only_sentences(partial(readers.orientation, path), (kind, number))
        assert ids is None or ids.shape == size, (kind, number)
        assert colors is None or colors.shape == (*shown, 3), (kind, number)


CLAIMS = {
    "png": assemble(header(2**31 - 1, 2**31 - 1, 8, 0), chunk(b"IDAT", zlib.compress(b"\0"))),
    "tif": struct.pack("<2sHIH", b"II", 42, 8, 9)
    + b"".join(
        struct.pack("<HHII", tag, kind, 1, value)
        for tag, kind, value in (
            (256, 4, 2**31 - 1), (257, 4, 2**31 - 1), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 4, 8),
            (277, 3, 1), (278, 4, 2**31 - 1), (279, 4, 60),
        )
    )
    + bytes(4),
    "bmp": struct.pack("<2sIHHI", b"BM", 99, 0, 0, 1078)
    + struct.pack("<IiiHHIIiiII", 40, 2**31 - 1, 2**31 - 1, 1, 8, *[0] * 6)
    + bytes(1100),
    "pgm": b"P5 2147483647 2147483647 255\n" + bytes(40),
}  # fmt: skip


@pytest.mark.parametrize("end", CLAIMS)
def test_sizes_that_a_file_cannot_hold_are_refused_from_its_header(tmp_path: Path, end: str) -> None:
    path = tmp_path / f"a.{end}"
    path.write_bytes(CLAIMS[end])
    tracemalloc.start()
    for read in (readers.label_size, readers.image_size, readers.read_ids, readers.read_rgb):
        with pytest.raises(FileError, match=rf"a\.{end}: .*(cannot hold|bytes of a piece)"):
            read(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("offset", [2**31, 2**62, 2**63, 2**64 - 1])
def test_a_big_tiff_whose_directory_lies_beyond_every_file_is_refused(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(struct.pack("<2sHHHQ", b"II", 43, 8, 0, offset) + bytes(50))
    for read in (readers.label_size, readers.image_size, readers.read_ids, readers.read_rgb):
        with pytest.raises(FileError, match=r"a\.tif: truncated or damaged"):
            read(path)


class Folder(Dataset):
    """Label maps in a folder."""

    name = title = "folder"
    splits = ("train",)
    archives = ""

    def __init__(self, root: Path) -> None:
        from pipeline.datasets.camvid import CamVid

        self.table = CamVid.table
        super().__init__(root)

    def frames(self, split: str) -> list[Frame]:
        return [Frame(p.name, self.root / "absent", p) for p in sorted(self.root.iterdir())]


def _many(folder: Path) -> None:
    for i in range(5):
        (folder / f"{i}.png").write_bytes(encode(np.full((20, 30), 3, np.uint8)))


@pytest.mark.parametrize("end", CLAIMS)
def test_a_file_that_claims_too_much_never_lays_out_a_store(tmp_path: Path, end: str) -> None:
    _many(tmp_path)
    (tmp_path / f"z.{end}").write_bytes(CLAIMS[end])
    found = inputs.list_inputs(Folder(tmp_path), "train")
    assert found.largest == (20, 30)
    assert found.sizes.tolist() == [[20, 30]] * 5 + [[0, 0]]


def test_a_long_file_that_claims_more_than_its_pixels_never_lays_out_a_store(tmp_path: Path) -> None:
    """Its length would allow the size, its image data end early."""
    _many(tmp_path)
    text = chunk(b"tEXt", b"a\0" + bytes(100_000))
    short = assemble(header(30_000, 3000, 8, 0), text, chunk(b"IDAT", zlib.compress(bytes(5_000_000), 9)))
    (tmp_path / "z.png").write_bytes(short)
    assert readers.label_size(tmp_path / "z.png") == (3000, 30_000)
    assert inputs.list_inputs(Folder(tmp_path), "train").largest == (20, 30)


def test_large_label_maps_are_read(tmp_path: Path) -> None:
    """Beyond the 179 million pixels at which Pillow refuses."""
    path = tmp_path / "a.png"
    rows = zlib.compress(bytes(14_000 * 1751), 1)
    path.write_bytes(assemble(header(14_000, 14_000, 1, 0), chunk(b"IDAT", rows)))
    assert readers.label_size(path) == (14_000, 14_000)
    ids = readers.read_ids(path)
    assert ids.shape == (14_000, 14_000)
    assert not ids.any()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


SPECIAL: list[tuple[Callable[[Path], None], str]] = [
    (_fifo, "a named pipe, not a file"),
    (_socket, "a socket or a device, not a file"),
    (_device, "a device, not a file"),
    (Path.mkdir, "a folder, not a file"),
]


@pytest.mark.parametrize(("make", "said"), SPECIAL, ids=["pipe", "socket", "device", "folder"])
@pytest.mark.parametrize("read", [readers.read_ids, readers.read_rgb, readers.label_size, readers.image_size])
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], None], said: str, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "a.png"
    try:
        make(path)
    except OSError as error:
        pytest.skip(str(error))
    with pytest.raises(FileError, match=f"a\\.png: is {said}$"):
        read(path)


def test_a_name_with_a_nul_is_no_file() -> None:
    with pytest.raises(FileError, match="no such file"):
        readers.read_ids(Path("a\0b.png"))


def test_ids_and_fingerprint_are_of_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is rewritten as soon as its first version has been read."""
    path = tmp_path / "a.png"
    old, new = encode(np.full((4, 6), 1, np.uint8)), encode(np.full((4, 6), 2, np.uint8))
    path.write_bytes(old)
    dataset = Folder(tmp_path)
    decode = dataset.decode_labels

    def rewriting(data: bytes, which: Frame) -> np.ndarray:
        path.write_bytes(new)
        return decode(data, which)

    monkeypatch.setattr(dataset, "decode_labels", rewriting)
    read = frame.read_label_map(dataset, dataset.frames("train")[0])
    assert (read.ids == 1).all()
    np.testing.assert_array_equal(read.source, frame.fingerprint(old))
    found = frame.process_frame(dataset, dataset.frames("train")[0], (2, 2), 1)
    np.testing.assert_array_equal(found.source, frame.source_of(dataset, dataset.frames("train")[0]))
    assert boundaries.process_frame is frame.process_frame


def test_a_label_file_too_large_for_the_memory_is_that_files_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    stream = zlib.compress(b"")[:2] + bytes(1_800_000)
    path.write_bytes(assemble(header(60_000, 30_000, 8, 0), chunk(b"IDAT", stream)))
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from pipeline.datasets import readers; from pipeline.errors import FileError\n"
        "import pipeline.datasets.png_filters\n"
        "now = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 29),) * 2)\n"
        "try: readers.read_ids(Path(sys.argv[1]))\n"
        "except FileError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == f"{path}: decoded it is larger than the memory of this machine\n", done.stderr
