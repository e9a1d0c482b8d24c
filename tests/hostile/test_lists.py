"""Lists of files of any content: the frames they name, or a sentence with the line."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from pipeline.datasets import lists
from pipeline.datasets.apolloscape import ApolloScape
from pipeline.datasets.base import Frame
from pipeline.datasets.custom import Custom, read_list
from pipeline.datasets.synthia import SynthiaRand
from pipeline.errors import AdaprepError
from tests.hostile.fuzz import damaged, only_sentences, rounds

ODD = (
    "\x85",
    "\u2028",
    "\u2029",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x1f",
    "\u3000",
    "\xa0",
    "\u202e",
    "\x1b[2J",
)
"""What Python, but no file system, takes for the end of a line or a blank; and what terminals obey."""

FIELDS = (
    "a.jpg", "a.png", "x/a.jpg", "/abs/a.jpg", "../a.jpg", ".", "..", "/", "//", "x/", "x/..", "x/.", "", " ", "\0", "~",
    "a" * 300, "a/" * 3000, "#", "# a", "a\x85b", "\x85", "\u2028", "a\u2028b.jpg", "\x1c", "\x0b", "\udc80x", "\ufeff", "ü",
    "Camera 5/1.jpg", ".jpg", "a.", "C:\\a", "-", "\x1b[2J", "road01_ins/ColorImage/Record001/Camera 5/1.jpg", "\r",
)  # fmt: skip
SOUND = b"# image\tlabel\nz/2.jpg\tz/2.png\r\nCamera 5/\xc3\xbc 1.jpg\tLabel 5/1.png\tLabel 5/1_i.png\na.jpg a.png\n"
WORDS = (
    *tuple(f.encode("utf-8", "surrogateescape") for f in FIELDS),
    b"\t",
    b"\n",
    b"\r\n",
    b"\r",
    b" ",
    b"\xff\xfe",
    b"\xff",
)


def made(folder: Path, content: bytes) -> Path:
    path = folder / "train.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", ["x{}y.jpg\tx{}y.png", "{0}.jpg\t{0}.png", "x{0}\tl{0}\ti{0}"])
def test_names_may_hold_what_is_no_line_feed(tmp_path: Path, odd: str, place: str) -> None:
    line = place.format(odd, odd)
    (frame,) = read_list(made(tmp_path, (line + "\n").encode()), tmp_path)
    fields = line.split("\t")
    assert [frame.image, frame.label] == [tmp_path / field for field in fields[:2]]
    assert frame.instance == (tmp_path / fields[2] if len(fields) > 2 else None)


@pytest.mark.parametrize("line", ["\u2028\t#a.png", "\x0b\t# a"])
def test_only_blanks_may_stand_before_the_mark_of_a_comment(tmp_path: Path, line: str) -> None:
    (frame,) = read_list(made(tmp_path, line.encode()), tmp_path)
    assert frame.label.name == line.split("\t")[1]


def test_a_name_that_is_not_utf_8_is_that_of_its_file(tmp_path: Path) -> None:
    name = b"caf\xe9.png"
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    frames = read_list(made(tmp_path, b"a.jpg\ta.png\nb.jpg\t" + name + b"\n"), tmp_path)
    assert [frame.label.exists() for frame in frames] == [False, True]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a.jpg a.png\n. x\n", ", line 2: '.' is a folder, not a file"),
        (b"x .\n", ", line 1: '.' is a folder, not a file"),
        (b"/ x\n", ", line 1: '/' is a folder, not a file"),
        (b"a/ x\n", ", line 1: 'a/' is a folder, not a file"),
        (b".. x\n", ", line 1: '..' is a folder, not a file"),
        (b"a b\nc d\0e\n", ", line 2: holds a NUL, which no name of a file may hold, found 'c d\\x00e'"),
        (b"a\x1b[2J\n", ", line 1: must be image<TAB>label or image<TAB>label<TAB>instances, found 'a\\x1b[2J'"),
        (b"x" * 10**6 + b"\n", ", line 1: must be image<TAB>label or image<TAB>label<TAB>instances, found 'xxxxxx"),
        (b"a b c d\n", ", line 1: must be image<TAB>label or image<TAB>label<TAB>instances, found 'a b c d'"),
        (b"", ": the list is empty"),
        (b"\n \t\n\r\n", ": the list is empty"),
        ("a b\n".encode("utf-16"), ": not a text in UTF-8 (invalid start byte at byte 0)"),
    ],
)  # fmt: skip
def test_lines_that_name_no_files(tmp_path: Path, content: bytes, said: str) -> None:
    path = made(tmp_path, content)
    with pytest.raises(AdaprepError) as error:
        read_list(path, tmp_path)
    message = str(error.value)
    assert message.startswith(f"{path}{said}")
    assert len(message) < len(str(path)) + 250


def test_a_list_that_is_too_large_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MAX_BYTES", 2**20)
    with pytest.raises(AdaprepError, match="larger than 1 MiB"):
        read_list(made(tmp_path, b"a b\n" * 2**19), tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no such device")
def test_a_device_is_no_list(tmp_path: Path) -> None:
    text = "classes: [{id: 0, name: a}]\nsplits: {train: {list: /dev/zero}}\n"
    (tmp_path / "d.yaml").write_text(text)
    with pytest.raises(AdaprepError, match="^/dev/zero"):
        Custom(tmp_path / "d.yaml").frames("train")


def test_the_name_of_a_list_that_is_not_there_is_shown_escaped(tmp_path: Path) -> None:
    with pytest.raises(AdaprepError, match=r"/x\\x1b\[2J: no such file$"):
        read_list(tmp_path / "x\x1b[2J", tmp_path)


def test_a_folder_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(AdaprepError, match="is a folder, not a file"):
        read_list(tmp_path, tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfea", b"a\0\n", b". x\n", b"..\n", b"\xe9\n", b"x\x85y.png\n"])
def test_lists_of_synthia(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "GTTXT").mkdir()
    (tmp_path / "ALL.txt").write_bytes(b"ap_000_01-11-2015_19-20-57_000001_0_Rand_0.png\n" + content)
    frames = only_sentences(lambda: SynthiaRand(tmp_path).frames("all"), content)
    assert frames is None or len(frames) == 2


@pytest.mark.parametrize("label", ["x", "", ".", "\0", "\x85", "a/b/c_bin.png"])
def test_lists_of_apolloscape(tmp_path: Path, label: str) -> None:
    image = "road01_ins/ColorImage/Record001/Camera 5/1.jpg"
    (tmp_path / "ColorImage/road01_ins/Record001/Camera 5").mkdir(parents=True)
    (tmp_path / "road01_ins_train.lst").write_bytes(f"{image}\t{label}\n".encode())
    only_sentences(lambda: ApolloScape(tmp_path).frames("train"), label)


def expected(content: bytes, root: Path) -> list[Frame] | None:
    """The frames of a list by its definition; None where it must be refused."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        return None
    found = {}
    for raw in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = os.fsdecode(raw).removesuffix("\r").strip(" ")
        if not line.strip(" \t") or line.strip(" \t").startswith("#"):
            continue
        fields = [f.strip(" \r") for f in line.split("\t" if "\t" in line else " ")]
        if len(fields) not in (2, 3) or any(f.endswith("/") or Path(f).name in ("", "..") for f in fields):
            return None
        name = str(Path(fields[0]).with_suffix("")).lstrip("/")
        if name in found:
            return None
        found[name] = Frame(name, *(root / f for f in fields))
    return [found[name] for name in sorted(found)] or None


def hostile(rng: random.Random) -> bytes:
    if rng.random() < 0.4:
        return damaged(rng, SOUND, WORDS)
    lines = []
    for _ in range(rng.randrange(6)):
        gap = rng.choice(("\t", "\t", " ", "  ", "\t "))
        lines.append(gap.join(rng.choice(FIELDS) for _ in range(rng.choice((1, 2, 2, 2, 3, 4)))))
    return rng.choice(("\n", "\r\n", "\n\n")).join(lines).encode("utf-8", "surrogateescape")


@rounds(400)
def test_fuzzed_lists(tmp_path: Path, numbers: range) -> None:
    path = tmp_path / "train.txt"
    taken = 0
    for number in numbers:
        content = hostile(random.Random(f"list {number}"))
        path.write_bytes(content)
        frames = only_sentences(lambda: read_list(path, tmp_path), (number, content))
        assert frames == expected(content, tmp_path), (number, content)
        taken += frames is not None
    assert taken > len(numbers) // 20


def test_a_split_of_odd_names_is_listed(tmp_path: Path) -> None:
    for i, odd in enumerate(("\x85", "\u2028", "\x0b", "\x1c", "\udce9")):
        for folder, end in (("images", "jpg"), ("labels", "png")):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"{i}{odd}x.{end}").touch()
    text = "classes: [{id: 0, name: a}]\nsplits: {train: {images: images, labels: labels}}\n"
    (tmp_path / "d.yaml").write_text(text)
    frames = Custom(tmp_path / "d.yaml").frames("train")
    assert len(frames) == 5
    assert all(frame.image.exists() and frame.label.exists() for frame in frames)
