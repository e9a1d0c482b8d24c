"""No message, page or help names a command by hand: all lines to run come from `pipeline.advice`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cli

ROOT = Path(__file__).parents[1]
NAMES = "|".join(sorted(cli.SUMMARIES, key=len, reverse=True))
LINE = re.compile(rf"(?<!`)(?<!another )\badaprep ({NAMES})\b(?!`)|-m adaprep\b")
ALLOWED = {
    "pipeline/advice.py",  # the function itself
}


def docstrings(tree: ast.AST) -> Iterator[ast.AST]:
    """Texts that stand alone: of modules, classes, functions, and below constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every other text, an f-string as a whole, with its line; values in it are left out."""
    skipped = set(map(id, docstrings(tree)))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            skipped.update(map(id, node.values))
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def hand_written(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [f"{path.relative_to(ROOT)}:{line}: {text}" for line, text in texts(tree) if LINE.search(text)]


def test_no_command_line_is_written_by_hand() -> None:
    files = [path for path in (ROOT / "pipeline").rglob("*.py") if str(path.relative_to(ROOT)) not in ALLOWED]
    assert [found for path in sorted(files) for found in hand_written(path)] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('raise E(f"no {x}. Run: adaprep boundaries --dataset {x}")', True),
        ('say("run adaprep solve-tensors again")', True),
        ('say(f"torchrun -m adaprep {x}")', True),
        ('"""What `adaprep show` draws. Run adaprep show."""', False),
        ('help = "A name from `adaprep datasets`"', False),
        ('say("another adaprep run is writing")', False),
        ('say("not made by adaprep: move it")', False),
    ],
)
def test_a_hand_written_line_is_found(source: str, found: bool) -> None:
    assert any(LINE.search(text) for _, text in texts(ast.parse(source))) is found
