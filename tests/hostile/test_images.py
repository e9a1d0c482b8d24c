"""Images that do harm or come out wrong: programs started, pixels made up, frames that are none."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipeline.datasets import readers
from pipeline.datasets.base import Frame
from pipeline.datasets.camvid import CamVid
from pipeline.datasets.custom import Custom
from pipeline.datasets.files import find_files
from pipeline.datasets.pairs import pair_folders
from pipeline.errors import AdaprepError, FileError
from pipeline.stages import check, frame
from tests.datasets.encode import assemble, chunk, encode, header, write_png
from tests.hostile import pictures

COLORS = np.random.default_rng(2).integers(0, 256, (30, 40, 3), dtype=np.uint8)
LABELS = np.full((30, 40), 3, np.uint8)


def test_postscript_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, log = io.BytesIO(), tmp_path / "log"
    Image.fromarray(COLORS).save(file, "EPS")
    (tmp_path / "a.jpg").write_bytes(file.getvalue())
    stand_in = tmp_path / "gs"
    stand_in.write_text(f"#!/bin/sh\necho started >> {log}\necho 10.0\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for read in (readers.read_rgb, readers.read_ids, readers.image_size, readers.picture_mode):
        with pytest.raises(FileError, match=r"a\.jpg: not a picture in a known format \(PNG, JPEG, "):
            read(tmp_path / "a.jpg")
    assert not log.exists()


@pytest.mark.parametrize("kind", ["PDF", "IM", "ICO", "XBM", "MSP", "SPIDER", "ICNS", "EPS"])
def test_formats_that_are_not_meant_are_never_opened(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    modes = {"XBM": "1", "MSP": "1", "SPIDER": "F"}
    Image.fromarray(COLORS).resize((32, 32)).convert(modes.get(kind, "RGB")).save(file, kind)
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(FileError, match="not a picture in a known format"):
        readers.decode_rgb(file.getvalue(), tmp_path)


@pytest.mark.parametrize("end", ["png", "bmp", "ppm", "webp", "jp2", "gif", "tif", "jpg"])
def test_image_data_that_end_early_are_refused(tmp_path: Path, end: str) -> None:
    path = tmp_path / f"a.{end}"
    Image.fromarray(COLORS).save(path)
    whole = path.read_bytes()
    for part in (0.3, 0.5, 0.9):
        with pytest.raises(FileError, match=rf"a\.{end}: "):
            readers.decode_rgb(whole[: int(part * len(whole))], path)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 10, 29])
def test_sound_streams_that_end_after_a_row_are_refused(rows: int, interlaced: bool) -> None:
    raw = bytes(121 * rows)
    data = assemble(header(40, 30, 8, 2, interlaced), chunk(b"IDAT", zlib.compress(raw)))
    with pytest.raises(FileError, match="^x: truncated: "):
        readers.decode_rgb(data, Path("x"))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_strips_that_are_missing_or_short_are_refused(compression: str) -> None:
    file = io.BytesIO()
    Image.fromarray(COLORS).save(file, "TIFF", compression=compression, tiffinfo={278: 5})
    whole = file.getvalue()
    with Image.open(file) as image:
        entry = struct.pack("<HHI", 273, image.tag_v2.tagtype[273], 6)
        last, count = image.tag_v2[273][5], image.tag_v2[279][5]
    assert whole.count(entry) == 1
    fewer = whole.replace(entry, entry[:4] + struct.pack("<I", 5))
    ended = {
        "tiff_lzw": b"\x80\x40",
        "tiff_adobe_deflate": zlib.compress(bytes(100)),
        "packbits": b"\x81\0" * 2,
    }
    shorter = whole[:last] + ended[compression].ljust(count, b"\x80") + whole[last + count :]
    for data in (fewer, shorter):
        with pytest.raises(FileError):
            readers.decode_rgb(data, Path("x"))


def test_pngs_with_long_texts_and_profiles_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    info = PngImagePlugin.PngInfo()
    info.add_text("XML:com.adobe.xmp", "x" * (1 << 21), zip=True)
    Image.fromarray(COLORS).save(path, pnginfo=info, icc_profile=bytes(1 << 21))
    np.testing.assert_array_equal(readers.read_rgb(path), COLORS)
    assert readers.image_size(path) == (30, 40)
    assert readers.picture_mode(path) == "RGB"


def test_images_beyond_the_limits_of_pillow_are_read(tmp_path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    path = tmp_path / "a.tif"
    Image.new("1", (9600, 9500)).save(path, compression="group4")
    assert readers.read_rgb(path).shape == (9500, 9600, 3)
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "JPEG2000"])
def test_other_images_that_claim_more_than_they_hold_are_refused(tmp_path: Path, kind: str) -> None:
    data = bytearray(pictures.whole_files()[kind][0])
    if kind == "JPEG":
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    elif kind == "GIF":
        data[6:10] = b"\xff\xff\xff\xff"
    elif kind == "JPEG2000":
        data = data.replace(struct.pack(">II", 23, 17), struct.pack(">II", 60_000, 60_000))
        data = data.replace(struct.pack(">II", 17, 23), struct.pack(">II", 60_000, 60_000))
    else:
        at = data.index(b"\x9d\x01\x2a")
        data[at + 3 : at + 7] = b"\xff\x3f\xff\x3f"
    path = tmp_path / "a"
    path.write_bytes(data)
    for read in (readers.read_rgb, readers.image_size):
        with pytest.raises(FileError):
            read(path)


COMPANIONS = (
    "@eaDir/f.png/SYNOPHOTO_THUMB_M.png",
    ".@__thumb/s100f.png",
    "#recycle/f.png",
    "#snapshot/f.png",
    "@Recycle/f.png",
    "$RECYCLE.BIN/f.png",
    "System Volume Information/f.png",
    "lost+found/f.png",
    "__MACOSX/f.png",
    "._f.png",
    "Thumbs.db",
)


@pytest.mark.parametrize("below", ["", "city/"])
@pytest.mark.parametrize("name", COMPANIONS)
def test_what_storage_adds_to_folders_is_no_frame(tmp_path: Path, name: str, below: str) -> None:
    write_png(tmp_path / f"{below}f.png", LABELS)
    write_png(tmp_path / (below + name), LABELS[:3])
    assert find_files(tmp_path, (".png", ".db")) == [f"{below}f.png"]


@pytest.mark.parametrize(
    "end",
    ["JPG", "Jpeg", "PNG", "Png", "TIF", "Tiff", "BMP", "ppm", "pgm", "jp2", "webp", "gif", "TGA", "pcx"],
)
def test_images_are_found_whatever_their_ending(tmp_path: Path, end: str) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(COLORS[..., 0]).convert("L").save(tmp_path / f"images/a.{end}")
    write_png(tmp_path / "labels/a.PNG", LABELS)
    (found,) = pair_folders(tmp_path / "images", tmp_path / "labels")
    assert (found.image.name, found.label.name) == (f"a.{end}", "a.PNG")
    assert readers.read_rgb(found.image).shape == (30, 40, 3)


@pytest.mark.parametrize("end", ["tga", "heic", "EPS", "psd"])
def test_an_image_with_an_ending_that_is_not_read_is_named_with_what_is_known(
    tmp_path: Path, end: str
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / f"images/a.{end}").write_bytes(b"\0\0\2" + bytes(40))
    write_png(tmp_path / "labels/a.png", LABELS)
    (found,) = pair_folders(tmp_path / "images", tmp_path / "labels")
    problem = rf"a\.{end}: not a picture in a known format \(PNG, JPEG, TIFF, BMP, "
    with pytest.raises(FileError, match=problem):
        frame.process_frame(CamVid(tmp_path), found, (2, 2), 1)
    assert any("not a picture" in p for p in check.check_frame(CamVid(tmp_path), found).problems)


@pytest.mark.parametrize("end", ["jpg", "gif", "npy"])
def test_a_label_map_with_an_ending_that_is_not_read_is_named(tmp_path: Path, end: str) -> None:
    write_png(tmp_path / "images/a.png", COLORS)
    (tmp_path / "labels").mkdir()
    (tmp_path / f"labels/a.{end}").write_bytes(b"GIF89a" + bytes(40))
    (found,) = pair_folders(tmp_path / "images", tmp_path / "labels")
    with pytest.raises(FileError, match=rf"a\.{end}: is a GIF file, whose writers renumber the palette"):
        CamVid(tmp_path).read_labels(found)


def test_folders_without_any_known_ending_are_described(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(
        "classes: [{id: 3, name: car}]\ntargets: [car]\nsplits: {train: {images: i, labels: l}}\n"
    )
    for name in ("i/a.exr", "i/b.exr", "l/a.mat"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(
        AdaprepError, match=r"i holds files with other endings: \.exr \(2\); known are \.jpg, "
    ):
        Custom(tmp_path / "d.yaml").frames("train")


def test_an_image_turned_by_its_tag_that_does_not_fit_its_mask_is_named(tmp_path: Path) -> None:
    picture = Image.fromarray(np.rot90(COLORS))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    write_png(tmp_path / "a.png", LABELS)
    with pytest.raises(FileError, match=r"stored on its side and turned by its orientation tag \(6\)"):
        frame.process_frame(CamVid(tmp_path), Frame("a", tmp_path / "a.jpg", tmp_path / "a.png"), (2, 2), 1)


def test_an_instance_map_on_its_side_is_named(tmp_path: Path) -> None:
    found = Frame("a", tmp_path / "a.jpg", tmp_path / "a.png", tmp_path / "i.png")
    write_png(tmp_path / "a.png", LABELS)
    write_png(tmp_path / "i.png", np.zeros((40, 30), np.uint16))

    class WithInstances(CamVid):
        def read_instances(self, which: Frame) -> np.ndarray:
            assert which.instance is not None
            return readers.read_ids(which.instance).astype(np.int32)

    with pytest.raises(
        FileError, match=r"i\.png: the instance map is 30 x 40, the label map 40 x 30: .*turn it"
    ):
        frame.read_instances(WithInstances(tmp_path), found, (30, 40))
    assert any(
        "the instance map is 30 x 40" in p for p in check.check_frame(CamVid(tmp_path), found).problems
    )


def test_one_bad_picture_never_costs_the_others_in_check(tmp_path: Path) -> None:
    names = {
        "a.png": encode(LABELS),
        "b.png": b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "c.png": b"",
        "d.png": encode(LABELS)[:50],
        "e.png": b"II*\0" + bytes(range(256)),
    }
    for folder in ("images/train", "labels/train"):
        (tmp_path / folder).mkdir(parents=True)
        for name, data in names.items():
            (tmp_path / folder / name).write_bytes(data)
    os.mkfifo(tmp_path / "labels/train/f.png")
    (tmp_path / "images/train/g.png").symlink_to("/dev/zero")
    report = check.run(CamVid(tmp_path), "train")
    assert {failure.name for failure in report.failures} == {"b", "c", "d", "e", "f", "g"}
    assert report.counts == {3: LABELS.size}
