"""docs/reliability.md names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`((?:\.\./\w+/)?test_\w+\.py[^`]*)`", PAGE)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_test_that_is_named_is_there(command: str) -> None:
    name, _, chosen = command.partition(" -k ")
    path = (TESTS / "faults" / name).resolve()
    assert path.is_file()
    text = path.read_text(encoding="utf-8")
    names = " ".join(re.findall(r"(?:def test_|class Test|id=\")\w+|\"[\w-]+\"", text))
    for word in set(chosen.strip('"').split()) - {"or", "and", "not"}:
        assert word in names, f"no test of {path} is chosen by {word}"


def test_there_are_many() -> None:
    assert len(COMMANDS) > 40
