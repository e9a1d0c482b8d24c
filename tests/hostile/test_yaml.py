"""Class tables of any content: built within bounds, or refused in a sentence that names the line."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets import yaml_nodes
from pipeline.datasets.base import VOID, ClassTable, LabelClass
from pipeline.datasets.custom import Custom
from pipeline.datasets.split_sources import ListFile
from pipeline.errors import AdaprepError
from tests.hostile.fuzz import damaged, only_sentences, rounds

BASE = "classes:\n  - {id: 0, name: road}\n  - {id: 1, name: car}\nsplits:\n  train: {images: img, labels: img}\n"
WHOLE = """\
name: mine
title: "T\\x41"
root: .
license: none
classes:
  - {id: 0, name: ground, train_id: 0, color: [1, 2, 3]}
  - {id: 4, name: car, train_id: 1, color: "#0A0b0C"}
  - &odd {id: 7, name: odd, train_id: 255}
void: [255, 0x12c, 1_000]
targets: [car]
training_splits: [learn]
splits:
  learn: {images: pics, image_suffix: _l, labels: maps, label_suffix: _i.png, instances: o, instance_suffix: _o}
  dev: {list: dev.txt}
"""
POOLED = """\
labels_are: labelme
images_are: shown
image_range: [0, 4095.5]
background: ground
unpaired: skip
classes:
  - {name: ground}
  - {name: car, color: "#0A0b0C"}
void: [odd]
pool: {images: pics, labels: maps, stems: all.txt, unpaired: refuse}
split_by: {fractions: {train: 0.8, val: 0.2}, seed: 3, together: "(.+)_[0-9]+"}
splits:
  test: {images: pics, labels: maps}
"""

SCALARS = (
    "x", "''", '" "', "~", "null", "true", "no", "0", "-1", "1", "65536", "0x" + "f" * 6000, "1" * 5000, "1_0", "0b1",
    "1:2:3", "1:" * 3000 + "1", ".inf", "-.inf", ".nan", "1e400", "1e-4", "2001-01-01", "2001-99-99", "!!bool maybe",
    "!!int ''", "!!float ''", "!!timestamp x", "!!binary aGk=", "!!binary '%'", "!!python/name:os.system x",
    "!!python/object/apply:os.system [ls]", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]", "!!str 3", "!!null x",
    "!foo x", "!!map [a]", "!!seq {a: b}", "[]", "{}", "[[]]", "{a: {b: c}}", "[a, b]", "*odd", "&a [*a]", "<<", "&b c",
    '"\\0"', '"\\uD800"', '"\\uDC80"', '"\\U0010FFFF"', '"\\UFFFFFFFF"', '"\\e[2J"', '"\\u202e"', '"\\u2028"', '"\\N"',
    "'\u0085'", "'\u202e'", "../..", "a/b", "con", "~nosuchuser/x", "a" * 300, "a/" * 3000, "[" * 500, "- - - - -",
    "[" * 40 + "]" * 40, "{? [a] : b}", "{? {a: b} : c}", "{{}: 1}", "{a, a}", "{<<: {a: 1}}", "|\n  t\n", ">\n  t\n",
)  # fmt: skip
KEYS = (
    "name", "title", "root", "license", "classes", "void", "targets", "training_splits", "splits", "id", "train_id",
    "color", "pool", "split_by", "fractions", "folds", "fold", "seed", "together", "stems", "unpaired", "labels_are",
    "images_are", "image_range", "background", "images", "labels", "list", "instances", "image_suffix", "nmae", "<<", "~", "1", "? [a]\n", '"\\e[5m"',
    "'a\n\n  b'", "? - a\n", "*odd", "!!binary x", "k" * 2000,
)  # fmt: skip
WORDS = (
    *tuple(
        word.encode("utf-8", "surrogatepass")
        for word in (
            *SCALARS,
            *KEYS,
            ": ",
            "- ",
            "\n",
            "\n  ",
            "---\n",
            "...\n",
            "%YAML 9.9\n",
            "%TAG ! x\n",
            "#",
            "&a ",
            "*a",
        )
    ),
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\x1b",
    b"\x85",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\t",
    b"\r",
    b"!" * 300,
)


def complaint(folder: Path, content: str | bytes) -> str:
    path = folder / "d.yaml"
    path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    with pytest.raises(AdaprepError) as error:
        Custom(path)
    return str(error.value).removeprefix(f"{path}, ")


def bomb(factor: int = 9) -> str:
    said, before = "[&a [x,x,x,x,x,x,x,x,x]", "a"
    for name in "bcdefgh":
        said += f", &{name} [{','.join(['*' + before] * factor)}]"
        before = name
    return said + "]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("targets: [!!bool maybe]\n" + BASE, "line 1: targets[0]: 'maybe' cannot be read as !!bool"),
        ("void: [!!int '']\n" + BASE, "line 1: void[0]: '' cannot be read as !!int"),
        ("void: [!!float '']\n" + BASE, "line 1: void[0]: '' cannot be read as !!float"),
        ("void: [2001-99-99]\n" + BASE, "line 1: void[0]: '2001-99-99' cannot be read as !!timestamp"),
        ("void: [.nan]\n" + BASE, "line 1: void[0]: must be a whole number in 0..65535, found nan"),
        (
            "void: [0x" + "f" * 6000 + "]\n" + BASE,
            "line 1: void[0]: a number of 6002 characters is too long: 100 are allowed",
        ),
        ("title: " + "[" * 2000 + "]" * 2000 + "\n" + BASE, "line 1: nested more than 32 deep"),
        ("title:\n" + "".join(" " * i + "-\n" for i in range(50)) + BASE, "line 33: nested more than 32 deep"),
        ("root: ~nosuchuser/x\n" + BASE, "line 1: root: there is no such user here, found '~nosuchuser/x'"),
        (
            BASE.replace("images: img", 'images: "\\uD800"'),
            "line 5: splits.train.images: holds '\\ud800', which no name or text may hold, found '\\ud800'",
        ),
        (
            BASE.replace("{images: img, labels: img}", '{list: "a\\0b"}'),
            "line 5: splits.train.list: holds '\\x00', which no name or text may hold, found 'a\\x00b'",
        ),
        ("a: &a [*a]\n" + BASE, "line 1: an alias stands within the value that it is an alias of"),
        ("<<: {void: [3]}\n" + BASE, "line 1: <<: keys cannot be merged in here: write them out"),
        ("title: !foo x\n" + BASE, "line 1: title: 'x' cannot be read as !foo"),
        (
            "title: !!python/name:os.system ''\n" + BASE,
            "line 1: title: '' cannot be read as !!python/name:os.system",
        ),
        ("void: !!omap [a: 1]\n" + BASE, "line 1: void: the tag !!omap is not known here"),
        ("? [a, b]\n: c\n" + BASE, "line 1: a key must be a word or a number, found a list"),
        ("title: a\ntitle: b\n" + BASE, "line 2: title: this key was given before"),
        (BASE + "---\n" + BASE, "line 6: not YAML: holds a second document (after ---), and must be one"),
        ("title: a\nlicense: b\x00\n" + BASE, "line 2: not YAML: holds '\\x00'"),
        ('title: "\\UFFFFFFFF"\n' + BASE, "line 1: not YAML: "),
        (b"title: a\nname: \xff\n", "line 2: not a text in UTF-8 (invalid start byte at byte 15)"),
        (BASE.encode("utf-16"), "line 1: not a text in UTF-8 (invalid start byte at byte 0)"),
        ("title: 2024-01-01\n" + BASE, "line 1: title: must be a text, found datetime.date(2024, 1, 1)"),
        (
            BASE.replace("train:", "../../elsewhere:"),
            "line 5: splits.../../elsewhere: the name of a split '../../elsewhere' cannot be used: it holds '/'. ",
        ),
        (BASE.replace("train:", "..:"), "line 5: splits...: the name of a split '..' cannot be used: it begins"),
        ("title: " + "a" * 5000 + "\n" + BASE, "line 1: title: a text of 5000 characters is too long: 4096 are"),
        (BASE.replace("train:", "runs:"), "line 5: splits.runs: no split can be called runs: workspaces have"),
        (BASE.replace("train:", "report-val:"), "line 5: splits.report-val: no split can be called report-val"),
        ("title: &a b\nlicense: &a c\n" + BASE, "line 2: not YAML: an anchor (&word) is given twice"),
        ("name: con\n" + BASE, "line 1: name: the name of a data set 'con' cannot be used: Windows reserves"),
        (
            'title: a\n"b\\e[2J\\n": c\n' + BASE,
            "line 2: b\\x1b[2J\\n: unknown key. Known here: classes, splits,",
        ),
    ],
)  # fmt: skip
def test_odd_files_are_refused_by_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert complaint(tmp_path, text).startswith(said)


@pytest.mark.parametrize(
    "text",
    [
        BASE.replace("name: car", f"name: car, color: {bomb()}"),
        f"? {bomb()}\n: x\n{BASE}",
        f"title: {bomb()}\n{BASE}",
        f"unknown: {bomb(5)}\n{BASE}",
    ],
)
def test_aliases_count_as_what_they_stand_for(tmp_path: Path, text: str) -> None:
    start = time.process_time()
    said = complaint(tmp_path, text)
    assert len(said) < 300
    assert time.process_time() - start < 2


def test_aliases_of_ordinary_files_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    path.write_text(BASE.replace("train: {", "train: &t {") + "  val: *t\n")
    assert Custom(path).sources["train"] == Custom(path).sources["val"]


def test_large_files_are_refused_before_they_are_parsed(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    path.write_bytes(b"#" * (yaml_nodes.MAX_BYTES + 1))
    with pytest.raises(AdaprepError, match=r"d\.yaml: larger than 4 MiB"):
        Custom(path)


def test_devices_and_folders_are_no_class_tables(tmp_path: Path) -> None:
    with pytest.raises(AdaprepError, match="is a folder, not a file"):
        Custom(tmp_path)
    if Path("/dev/zero").exists():
        with pytest.raises(AdaprepError, match="^/dev/zero"):
            Custom(Path("/dev/zero"))


def test_a_class_table_of_twenty_thousand_ids_takes_seconds(tmp_path: Path) -> None:
    classes = tuple(LabelClass(i, f"class {i}", i % 200) for i in range(65_536))
    start = time.process_time()
    table = ClassTable(classes)
    assert len(table.with_targets(["class 3"]).targets) == 1
    assert time.process_time() - start < 3
    with pytest.raises(AdaprepError, match=r"names these ids twice: 0, 1, .*, \.\.\. \(65536 in all\)$"):
        ClassTable(classes * 2)


@pytest.mark.slow
def test_a_class_table_of_twenty_thousand_ids_is_read_in_seconds(tmp_path: Path) -> None:
    rows = "".join(
        f"  - {{id: {i}, name: class {i}, train_id: {i if i < 9 else VOID}}}\n" for i in range(20_000)
    )
    path = tmp_path / "d.yaml"
    path.write_text(f"classes:\n{rows}targets: [class 3]\nsplits: {{train: {{images: i, labels: l}}}}\n")
    start = time.process_time()
    assert Custom(path).classes.targets == (3,)
    assert time.process_time() - start < 60
    path.write_text(path.read_text().replace("[class 3]", "[class x]"))
    assert len(complaint(tmp_path, path.read_text())) < 1000


def test_names_of_classes_may_hold_anything_and_are_shown_escaped(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    path.write_text(BASE.replace("name: car", 'name: "car\\e[5m "') + 'targets: ["car\\e[5m"]\n')
    dataset = Custom(path)
    assert dataset.classes.names == ("road", "car\x1b[5m")
    again = dataset.classes.with_targets(dataset.classes.names)
    assert again.targets == (0, 1)
    with pytest.raises(AdaprepError, match=r"the classes are: road, car\\x1b\[5m$"):
        dataset.classes.with_targets(["x"])


@pytest.mark.slow
def test_memory_stays_small_whatever_a_file_holds(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text("classes: [" + "[],[a]," * 500_000)
    limited = "import resource as r; r.setrlimit(r.RLIMIT_AS, (2 << 30, 2 << 30))\n"
    code = limited + (
        "from pathlib import Path; from pipeline.datasets.custom import Custom\n"
        "try: Custom(Path('d.yaml'))\nexcept Exception as e: print(type(e).__name__, e)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("AdaprepError d.yaml, line 1: holds more than 300000 values"), done


def made_up(rng: random.Random, depth: int = 0) -> str:
    """A value in flow style."""
    kind = rng.random()
    if depth > 3 or kind < 0.6:
        return rng.choice(SCALARS)
    if kind < 0.8:
        return "[" + ", ".join(made_up(rng, depth + 1) for _ in range(rng.randrange(4))) + "]"
    return (
        "{"
        + ", ".join(f"{rng.choice(KEYS)}: {made_up(rng, depth + 1)}" for _ in range(rng.randrange(4)))
        + "}"
    )


def hostile(rng: random.Random) -> bytes:
    """A class table with one value, or a few, replaced by something else, or with damaged bytes."""
    text = rng.choice((BASE, WHOLE, POOLED))
    if rng.random() < 0.5:
        for _ in range(rng.choice((1, 1, 2))):
            places = list(re.finditer(r"(?<=: )[^\n{},]+|(?<=\[)[^\n\]]+(?=\])", text))
            place = rng.choice(places)
            text = text[: place.start()] + made_up(rng) + text[place.end() :]
        return text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.2:
        lines = [f"{rng.choice(KEYS)}: {made_up(rng)}\n" for _ in range(rng.randrange(6))]
        return "".join(lines).encode("utf-8", "surrogatepass")
    return damaged(rng, text.encode(), WORDS)


def use(path: Path) -> Any:
    """All that a class table is asked, but for folders elsewhere."""
    dataset = Custom(path)
    assert dataset.root.is_absolute()
    for split, source in dataset.sources.items():
        if isinstance(source, ListFile):
            only_sentences(lambda split=split: dataset.frames(split), source)
    assert dataset.classes.lut.shape == (65536,)
    return dataset.classes.describe(), dataset.classes.colors


@rounds(250)
def test_fuzzed_class_tables(tmp_path: Path, numbers: range) -> None:
    path = tmp_path / "d.yaml"
    taken = 0
    for number in numbers:
        content = hostile(random.Random(f"yaml {number}"))
        path.write_bytes(content)
        taken += only_sentences(lambda: use(path), (number, content)) is not None
    assert taken > len(numbers) // 100, "some of them are sound"
