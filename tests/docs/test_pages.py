"""Pages that are written from the code are as the code is."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_commands_page_is_that_of_the_command_line() -> None:
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert written == runpy.run_path(str(DOCS / "commands.py"))["page"](), "run: python docs/commands.py"


@pytest.mark.slow
def test_the_guide_says_what_its_recipes_cost() -> None:
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'adaprep[train]'")
    guide = (DOCS.parent / "workflows" / "README.md").read_text(encoding="utf-8")
    assert guide == runpy.run_path(str(DOCS / "recipe_costs.py"))["written"](guide), (
        "run: python docs/recipe_costs.py"
    )
