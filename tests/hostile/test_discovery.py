"""Folders whose files are damaged: `init` describes them, or says in a sentence why it cannot."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from pipeline.datasets.discovery import naming
from pipeline.datasets.discovery.discover import discover
from pipeline.datasets.discovery.measured import measured
from tests.datasets import trees
from tests.hostile.fuzz import damaged, only_sentences, rounds

ENDINGS = (".json", ".txt", ".csv", ".yaml", ".png", ".npy")
CASES = [case for case in trees.cases() if case.group not in ("archives", "not enough")]
WORDS = (
    b"null", b"true", b"[]", b"{}", b"1e999", b"-1", b'"x"', b"9" * 30, b"\xff\xfe", b"\0", b"\n", b": ", b"[" * 2000,
    b"NaN", b"&a", b"*a", b"- ", b",", b"0.5", b'"\\ud800"', b"../", b"\x1b[2J", b"\xe2\x80\xae",
)  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every tree, undamaged."""
    folder = tmp_path_factory.mktemp("sound")
    for number, case in enumerate(CASES):
        (folder / str(number)).mkdir()
        case.build(folder / str(number))
    return [folder / str(number) for number in range(len(CASES))]


@rounds(40)
def test_damaged_files_are_described_or_refused_in_a_sentence(
    sound: list[Path], tmp_path: Path, numbers: range
) -> None:
    for number in numbers:
        rng = random.Random(number)
        root = tmp_path / str(number)
        shutil.copytree(rng.choice(sound), root)
        files = [path for path in sorted(root.rglob("*")) if path.suffix in ENDINGS]
        for path in rng.sample(files, min(len(files), rng.randint(1, 6))):
            path.write_bytes(damaged(rng, path.read_bytes(), WORDS))
        only_sentences(lambda root=root: measured(discover(root), root / "x.yaml"), (number, files))
        shutil.rmtree(root)


@rounds(100)
def test_files_of_names_of_any_content_are_read_or_left(tmp_path: Path, numbers: range) -> None:
    sound = b'0: road\n1 1 2 3 car\nname,r,g,b\n{"labels": {"0": "a"}}\nnames: [a, b]\n'
    for number in numbers:
        rng = random.Random(number)
        path = tmp_path / rng.choice(naming.FILES)
        path.write_bytes(damaged(rng, sound, WORDS))
        assert only_sentences(lambda path=path: naming.read(path), number) is not None
        assert only_sentences(lambda path=path: naming.yolo_names(path), number) is not None
