"""Pages that are written from the code are as the code is."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_commands_page_is_that_of_the_command_line() -> None:
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert written == runpy.run_path(str(DOCS / "commands.py"))["page"](), "run: python docs/commands.py"
