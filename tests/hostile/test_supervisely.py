"""Supervisely annotations of any content: masks within bounds, or a sentence with file and object."""

from __future__ import annotations

import base64
import io
import json
import random
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import figures
from pipeline.datasets.base import Frame
from pipeline.datasets.supervisely import Supervisely
from pipeline.errors import FileError
from tests.datasets.test_supervisely import RING, bitmap, box, encode, polygon
from tests.hostile.fuzz import damaged, only_sentences, rounds

SIZE = {"height": 12, "width": 16}
NUMBERS = (
    0, 1, -1, 3, 11, 12, 15, 16, 17, 2.5, -0.0, 1e30, -1e30, 1e308, 10**9, -(10**9), 2**31, 2**63, 10**400, -(10**400), 2**20,
    float("nan"), float("inf"), True, False, None, "3", "", [], [1], {}, {"a": 1},
)  # fmt: skip
TITLES = ("person_poly", "person_bmp", "neutral", "dog", "", None, 3, ["person_poly"], "\x1b[2J", "x" * 5000)
DATA = (
    RING,
    RING[:60],
    "",
    "§",
    "A" * 4000,
    base64.b64encode(b"\x89PNG\r\n\x1a\n").decode(),
    None,
    3,
    [RING],
)
WORDS = (
    b"null", b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 300, b"{", b"}", b"]", b",", b'"', b"true", b'"size"', b"-",
    b"1e3", b'"objects":[]', b"\0", b"\xff", b"\xed\xa0\x80", b'"\\ud800"', b"\xef\xbb\xbf", b"[" * 100_000,
)  # fmt: skip


def read(folder: Path, content: Any) -> list[Any]:
    """Everything that is read of an annotation without its image."""
    path = folder / "a.png.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    frame, data = Frame("ds1/a.png", folder / "none.png", path), Supervisely(folder)
    return [data.label_size(frame), data.read_labels(frame), data.read_instances(frame)]


def refused(folder: Path, *objects: Any, size: Any = SIZE) -> str:
    start = time.process_time()
    with pytest.raises(FileError) as error:
        read(folder, {"size": size, "objects": list(objects)})
    assert time.process_time() - start < 5
    message = str(error.value).removeprefix(f"{folder}/a.png.json: ")
    assert len(message) < 500
    return message


def png_of_zeros(width: int, height: int, color: int = 6) -> bytes:
    """A bomb: RGBA pixels of any number, which compress a thousandfold."""
    chunks = []
    row = bytes(1 + width * (4 if color == 6 else 1))
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)),
        (b"IDAT", data),
        (b"IEND", b""),
    ):
        chunks.append(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    "size",
    [
        {"height": 10**9, "width": 16},
        {"height": 65_535, "width": 65_535},
        {"height": 10**400, "width": 1},
        {"height": True, "width": 3},
        {"height": 3.0, "width": 3},
        {"height": "3", "width": 3},
        {"height": -1, "width": 3},
        [12, 16],
        None,
        {"height": {"a": 1}, "width": 3},
    ],
)
def test_sizes_that_no_image_has(tmp_path: Path, size: Any) -> None:
    assert refused(tmp_path, size=size).startswith("'size' ")


@pytest.mark.parametrize(
    ("corner", "said"),
    [
        (
            [2**30 + 5, 3],
            "object 0: the corner [1073741829, 3] lies more than 1048576 pixels outside the image",
        ),
        ([3, -1e30], "object 0: the corner [3, -1e+30] lies more than 1048576 pixels outside the image"),
        ([10**400, 3], "object 0: the corner [1000"),
        ([True, 3], "object 0: a polygon ring must be a list of [x, y] points, found "),
        (["3", 3], "object 0: a polygon ring must be a list of [x, y] points, found "),
        ([None, 3], "object 0: a polygon ring must be a list of [x, y] points, found "),
        ([3], "object 0: a polygon ring must be a list of [x, y] points, found "),
        (3, "object 0: a polygon ring must be a list of [x, y] points, found "),
        ([float("nan"), 3], "not a JSON file: NaN is no number"),
        ([float("inf"), 3], "not a JSON file: Infinity is no number"),
    ],
)
def test_corners_that_no_image_has(tmp_path: Path, corner: Any, said: str) -> None:
    assert refused(tmp_path, polygon([[0, 0], corner, [5, 5]])).startswith(said)


def test_corners_far_outside_are_cut_as_near_ones_are(tmp_path: Path) -> None:
    far = 2**20
    _, labels, _ = read(tmp_path, {"size": SIZE, "objects": [polygon(box(-far, 3, far, far))]})
    assert labels.tolist() == [[0] * 16] * 3 + [[1] * 16] * 9


def test_six_hundred_large_polygons_take_the_memory_of_one(tmp_path: Path) -> None:
    side = 4000
    objects = [polygon(box(0, 0, side, 20 if i else side)) for i in range(20)]
    objects.append(polygon(box(0, 0, side, side), title="neutral"))
    content = {"size": {"height": side, "width": side}, "objects": objects}
    (tmp_path / "a.json").write_text(json.dumps(content))
    code = (
        "import resource as r; from pathlib import Path; from pipeline.datasets.base import Frame\n"
        "from pipeline.datasets.supervisely import Supervisely\n"
        "r.setrlimit(r.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "data = Supervisely(Path('.')); frame = Frame('a', Path('none'), Path('a.json'))\n"
        "print(data.read_labels(frame).mean(), data.read_instances(frame).max())"
    )
    env = {"PYTHONPATH": str(Path(__file__).parents[2]), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout == "1.0 20\n", done


def test_work_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MAX_WORK", 10_000)
    said = refused(tmp_path, *[polygon(box(0, 0, 15, 11))] * 50)
    assert said == "object 34: this object and those before it are too much to draw in one annotation"
    long = [[i % 16, i % 12] for i in range(1000)]
    assert refused(tmp_path, polygon(long)).startswith("object 0: this object and those before it are too")


def test_a_person_stays_a_person_whatever_the_order(tmp_path: Path) -> None:
    objects = [polygon(box(0, 0, 5, 5)), polygon(box(3, 3, 8, 8), title="neutral")]
    one = read(tmp_path, {"size": SIZE, "objects": objects})[1]
    other = read(tmp_path, {"size": SIZE, "objects": objects[::-1]})[1]
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("packed", [True, False], ids=["in zlib", "plain"])
def test_bitmap_bombs(tmp_path: Path, packed: bool) -> None:
    png = png_of_zeros(6000, 6000)
    data = base64.b64encode(zlib.compress(png) if packed else png).decode()
    assert refused(tmp_path, bitmap(data, 0, 0)) == (
        "object 0: its PNG is 6000 x 6000, far larger than the image"
    )


def test_a_zlib_bomb_is_not_inflated(tmp_path: Path) -> None:
    data = base64.b64encode(zlib.compress(bytes(200 * 2**20), 9)).decode()
    said = refused(tmp_path, bitmap(data, 0, 0))
    assert said == "object 0: its data inflate to more than 1572864 bytes, far more than the image has"


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA"])
def test_a_bitmap_whose_pixels_end_early_is_refused(tmp_path: Path, mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (40, 40), 1 if mode in "LP" else None).save(file, "PNG")
    data = file.getvalue()
    at = data.index(b"IDAT")
    body = zlib.decompress(data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at], "big")])
    short = zlib.compress(body[: len(body) // 2])
    chunk = struct.pack(">I", len(short)) + b"IDAT" + short + struct.pack(">I", zlib.crc32(b"IDAT" + short))
    data = data[: at - 4] + chunk + data[-12:]
    assert refused(tmp_path, bitmap(base64.b64encode(data).decode(), 0, 0)).startswith(
        "object 0: its data are not a PNG ("
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"objects": ' + b"[" * 200_000, "not a JSON file: nested too deep"),
        (b'{"size": 1, "objects": [], "size": 2}', "not a JSON file: the key 'size' is given twice"),
        (b'{"objects": [], "size": {"height": 3, "width": ' + b"9" * 5000 + b"}}", "not a JSON file: "),
        (b'{"a\x1b": ', "not a JSON file: "),
        (b"\xff", "not a JSON file: "),
        (b"3", "not a Supervisely annotation: it has no list 'objects'"),
    ],
)
def test_json_of_odd_kinds(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(FileError) as error:
        read(tmp_path, content)
    assert str(error.value).startswith(f"{tmp_path}/a.png.json: {said}")


def test_a_size_that_the_image_has_not_is_found_by_its_header(tmp_path: Path) -> None:
    Image.new("RGB", (16, 12)).save(tmp_path / "a.png")
    path = tmp_path / "a.json"
    path.write_text('{"size": {"height": 9000, "width": 9000}, "objects": []}')
    with pytest.raises(FileError, match=r"12 rows x 16 columns, its annotation a\.json is for 9000 x 9000"):
        Supervisely(tmp_path).label_size(Frame("a", tmp_path / "a.png", path))


def number(rng: random.Random) -> Any:
    return rng.choice(NUMBERS) if rng.random() < 0.2 else rng.randrange(-4, 20)


def ring(rng: random.Random) -> Any:
    points = [[number(rng), number(rng)] for _ in range(rng.randrange(7))]
    return rng.choice((points, points, points, points, [points], points[:1], rng.choice(NUMBERS), [[points]]))


def item(rng: random.Random) -> Any:
    made: Any = {"classTitle": rng.choice(TITLES[:3]) if rng.random() < 0.9 else rng.choice(TITLES)}
    if rng.random() < 0.6:
        made |= polygon(ring(rng), [ring(rng) for _ in range(rng.choice((0, 0, 1)))], made["classTitle"])
    else:
        image = Image.fromarray(np.frombuffer(rng.randbytes(12), np.uint8).reshape(3, 4))
        data = encode(image, rng.random() < 0.5) if rng.random() < 0.6 else rng.choice(DATA)
        made |= bitmap(data, number(rng), number(rng), made["classTitle"])
    for key in rng.sample(sorted(made), rng.choice((0, 0, 0, 1))):
        made[key] = rng.choice((rng.choice(NUMBERS), {}, [], "polygon"))
    return made if rng.random() < 0.97 else rng.choice(NUMBERS)


def hostile(rng: random.Random) -> bytes:
    size = SIZE if rng.random() < 0.9 else {"height": number(rng), "width": number(rng)}
    content = {"size": size, "objects": [item(rng) for _ in range(rng.randrange(4))]}
    data = json.dumps(content).encode()
    return data if rng.random() < 0.7 else damaged(rng, data, WORDS)


@rounds(250)
def test_fuzzed_annotations(tmp_path: Path, numbers: range) -> None:
    taken = 0
    for seed in numbers:
        content = hostile(random.Random(f"supervisely {seed}"))
        found = only_sentences(lambda content=content: read(tmp_path, content), (seed, content))
        if found is not None:
            size, labels, instances = found
            assert labels.shape == instances.shape == size
            assert ((labels == 1) == (instances > 0)).all(), (seed, content)
            taken += 1
    assert taken > len(numbers) // 20
