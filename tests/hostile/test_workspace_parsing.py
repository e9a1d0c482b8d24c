"""Attributes, lists and descriptions of a workspace with anything in them: taken, or refused by name."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import AdaprepError
from pipeline.stages import damage, failures, sources
from pipeline.stages import inputs as listing
from pipeline.stages.input_list import COLUMNS, escape, format_list, parse_description, parse_list, unescape
from pipeline.workspace import disk, stores
from pipeline.workspace.blocks import Parameters
from pipeline.workspace.layout import About, parse

FEW, MANY = 1000, 100_000

COUNTS = [FEW, pytest.param(MANY, marks=pytest.mark.fuzz)]

ODD: list[Any] = [None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, -(10**30), 0.5, 1e308, float("nan")]
ODD += [float("inf"), "", "x", "\0", "../..", "\u2028", "\ud800", "9" * 5000, [], [[]], {}, {"a": []}, [1, 2]]

ABOUT = {
    "format": 1,
    "versions": {"adaprep": "1"},
    "parameters": {
        "dataset": "blobs",
        "split": "train",
        "settings": {"seed": 1},
        "classes": [[0, "ground", 0], [1, "blob", 1]],
        "targets": ["blob"],
        "grid": [8, 8],
        "crops": 5,
        "lambda": 1.0,
        "sampler": "proposal",
        "resolution": 16,
        "tensor_grid": [8, 8],
    },
    "layout": {"block": 8, "shard": 4},
    "inputs": {"count": 10, "sha256": "x"},
    "arrays": {
        "b": stores.ArraySpec((2, 8), "float64", float("nan"), doc="b").describe(),
        "digest": stores.ArraySpec((), "uint64").describe(),
        "status": stores.ArraySpec((), "uint8").describe(),
    },
}

DESCRIPTION = {"dataset": "synthia", "root": "/data", "settings": {"seed": 3}, "targets": ["car"]}

LINES = [f"train/{i:04}\timages/{i}.png\tlabels/{i}.png\t" for i in range(5)]
LIST = format_list([*LINES, "a\u2028\tb\u0085\tc\x0b\x1c\td"], np.full((6, 2), 40, np.int32)).encode()


SPECIAL = [b"\t", b"\n", b"\r\n", b"\0", b"\\x09", b"\\", "\u2028\u0085".encode(), b"\xff", b"-", b"9"]


def spoil(chance: random.Random, content: Any) -> Any:
    """Plain data with one to three places changed: replaced, taken out, renamed, put in."""
    content = copy.deepcopy(content)
    for _ in range(chance.randint(1, 3)):
        node = content
        while isinstance(node, dict | list) and node:
            key = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if not isinstance(node[key], dict | list) or not node[key] or chance.random() < 0.25:
                break
            node = node[key]
        else:
            continue
        kind = chance.random()
        if kind < 0.7:
            node[key] = copy.deepcopy(chance.choice(ODD))
        elif kind < 0.85:
            del node[key]
        elif isinstance(node, dict):
            node[chance.choice(["", "x", "count", "name", "root", "../x"])] = node.pop(key)
        else:
            node.insert(key, copy.deepcopy(chance.choice(ODD)))
    return content


def mutate(chance: random.Random, content: bytes) -> bytes:
    """Bytes with a few changed, cut, doubled, or swapped for what ends lines or fields."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at, kind = chance.randrange(len(data) + 1), chance.randrange(5)
        if kind == 0:
            data[at : at + 1] = chance.randbytes(1)
        elif kind == 1:
            del data[at : at + chance.randint(1, 40)]
        elif kind == 2:
            data[at:at] = data[: chance.randint(1, 60)]
        elif kind == 3:
            special = [
                b"\t",
                b"\n",
                b"\r\n",
                b"\0",
                b"\\x09",
                b"\\",
                "\u2028\u0085".encode(),
                b"\xff",
                b"-",
                b"9",
            ]
            data[at:at] = chance.choice(special)
        else:
            del data[at:]
    return bytes(data)


def outcomes(count: int, attempt: Callable[[random.Random], bool]) -> list[bool]:
    """Which of so many seeded attempts were taken; anything but a refusal by name passes on."""
    return [attempt(random.Random(i)) for i in range(count)]


@pytest.mark.parametrize("count", COUNTS)
def test_attributes_are_taken_or_refused_by_name(count: int) -> None:
    def attempt(chance: random.Random) -> bool:
        try:
            about = parse(spoil(chance, ABOUT))
        except ValueError:
            return False
        check(about)
        return True

    assert {True, False} == set(outcomes(count, attempt))


def check(about: About) -> None:
    """What code that reads a store relies on."""
    assert 0 < about.layout.shard <= about.layout.block
    assert about.layout.block % about.layout.shard == 0
    assert about.inputs["count"] >= 0
    known = Parameters(about.parameters, Path("s.zarr"))
    for name in ("crops", "grid", "lambda", "targets", "classes", "resolution"):
        try:
            value = known[name]
        except AdaprepError:
            continue
        if name in ("crops", "resolution"):
            assert int(value) >= 1
        elif name == "lambda":
            stores.lambda_name(value)
        elif name == "grid":
            assert len([int(n) for n in value]) == 2
    for spec in (about.arrays or {}).values():
        np.dtype(spec.dtype)


@pytest.mark.parametrize("count", COUNTS)
def test_lists_are_taken_or_refused_by_name(count: int) -> None:
    def attempt(chance: random.Random) -> bool:
        try:
            names, sizes = parse_list(mutate(chance, LIST))
        except ValueError:
            return False
        again = format_list(["\t".join(map(escape, fields)) for fields in names], sizes)
        same, pixels = parse_list(again.encode())
        assert same == names
        assert np.array_equal(pixels, sizes)
        return True

    assert {True, False} == set(outcomes(count, attempt))


@pytest.mark.parametrize("count", COUNTS)
def test_descriptions_are_taken_or_refused_by_name(count: int, tmp_path: Path) -> None:
    folder = stores.Workspace(tmp_path).folder("synthia", "train")
    folder.path.mkdir(parents=True)

    def attempt(chance: random.Random) -> bool:
        content = json.dumps(spoil(chance, DESCRIPTION)).encode()
        if chance.random() < 0.5:
            content = mutate(chance, content)
        try:
            parse_description(content)
        except ValueError:
            return False
        if chance.random() < 0.2:
            folder.description.write_bytes(content)
            try:
                listing.open_dataset(folder)
            except AdaprepError:
                return False
        return True

    assert {True, False} == set(outcomes(count, attempt))


@pytest.mark.parametrize("count", COUNTS)
def test_records_and_stamps_are_taken_or_left(count: int, tmp_path: Path) -> None:
    folder = stores.Workspace(tmp_path).folder("blobs", "train")
    folder.path.mkdir(parents=True)
    record = folder.failures("boundaries")
    rows = {"failures": [{"index": 1, "name": "a", "reason": "b"}]}
    kept = sources.KeptStamps(folder)
    kept.make_room(4)
    kept.write(0, np.ones((4, sources.COLUMNS), np.uint64))
    stamps = folder.stamps.read_bytes()

    def attempt(chance: random.Random) -> bool:
        record.write_text(json.dumps(spoil(chance, rows)))
        folder.stamps.write_bytes(mutate(chance, stamps))
        assert sources.KeptStamps(folder).read(0, 6).shape == (6, sources.COLUMNS)
        return damage.is_record(record)

    assert {True, False} == set(outcomes(count // 10, attempt))


ANY_TEXT = st.text(st.characters(), max_size=12) | st.text(
    "\\x09a\t\n\r\0uD\udc80\ud800\x1c\u2028", max_size=12
)


@given(ANY_TEXT)
def test_every_name_goes_through_a_list_unharmed(name: str) -> None:
    field = escape(name)
    assert unescape(field) == name
    assert not set(field) & set("\t\n\r\0")
    field.encode()
    assert escape(field) == field or "\\" in field


@pytest.mark.parametrize(
    "name",
    ["street/0001.png", "caf\u00e9 (1)", "a\\b", "a\\n\\t", "\u2028\u0085\x0b\x0c\x1c", "\u65e5\u672c"],
)
def test_ordinary_names_stand_as_they_are(name: str) -> None:
    assert escape(name) == name


def test_a_list_of_before_has_the_same_bytes_and_fingerprint(tmp_path: Path) -> None:
    text = "\t".join(COLUMNS) + "\nb\u2028c/1\timages/1.jpg\tlabels\\1.png\t\t4\t6\n"
    names, sizes = parse_list(text.encode())
    assert names == [("b\u2028c/1", "images/1.jpg", "labels\\1.png", "")]
    assert format_list(["\t".join(map(escape, names[0]))], sizes) == text
    assert parse_list(text.replace("\n", "\r\n").encode())[0] == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("name\timage", "it is cut short"),
        ("name\timage\n", "the first line does not name the columns"),
        ("a\tb\tc\n", "line 2 has 3 columns"),
        ("a\t\tc\t\t1\t1\n", "line 2 names no files"),
        ("a\tb\tc\t\t-1\t1\n", "line 2: '-1' is not a number of pixels"),
        ("a\tb\tc\t\t4000000000\t1\n", "line 2: '4000000000' is not a number of pixels"),
        ("a\tb\tc\t\t\u0661\t1\n", "is not a number of pixels"),
    ],
)
def test_a_damaged_list_is_told_by_line(text: str, message: str) -> None:
    head = "" if "it is" in message or "first line" in message else "\t".join(COLUMNS) + "\n"
    with pytest.raises(ValueError, match=message):
        parse_list((head + text).encode())


def test_failures_of_names_that_are_no_unicode_are_kept(tmp_path: Path) -> None:
    folder = stores.Workspace(tmp_path).folder("blobs", "train")
    failure = failures.Failure(0, "caf\udce9", "caf\udce9: bad")
    failures.save_failures(folder, "boundaries", [failure])
    assert disk.read_json(folder.failures("boundaries"))["failures"][0]["name"] == "caf\udce9"
