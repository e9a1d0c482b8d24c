"""The shell commands that stand in a page of Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("console", "sh", "bash", "shell")
PROGRAMS = (
    "adaprep",
    "bash",
    "cd",
    "dask",
    "export",
    "git",
    "pip",
    "python",
    "python3",
    "source",
    "torchrun",
)
"""What the first word of an indented block is, where the block is one of commands."""


@dataclass(frozen=True)
class Command:
    """One command, or one script that is not to be taken apart."""

    text: str
    line: int  # of the page, from 1
    section: str = ""

    @property
    def is_script(self) -> bool:
        return "\n" in self.text


def commands(page: Path) -> list[Command]:
    """Every command of every shell block of a page, in order."""
    found: list[Command] = []
    language: str | None = None
    section, block, start = "", [], 0
    for number, line in enumerate([*page.read_text(encoding="utf-8").splitlines(), "", "end"], 1):
        fence = re.match(r"^```(\w*)", line)
        indented = line.startswith("    ") and language is None
        if (fence or not (indented or not line.strip())) and language is None:
            found += of_block(block, "indented", start, section)  # what was indented is over
            block = []
        if fence:
            if language in LANGUAGES:
                found += of_block(block, language, start, section)
            language, block, start = (None if language is not None else fence[1]), [], number
        elif language is not None or indented or (block and not line.strip()):
            start = start if block or language is not None else number - 1
            block.append(line)
        elif line.startswith("## "):
            section = line.removeprefix("## ")
    return found


def of_block(lines: list[str], language: str, start: int, section: str) -> list[Command]:
    """The commands of one block whose first line comes after line `start`."""
    if language == "indented":
        lines = [line.removeprefix("    ") for line in lines]
        if not lines or lines[0].split()[:1] == [] or lines[0].split()[0] not in PROGRAMS:
            return []
    if any(re.match(r"\s*(for|while|if) .*", line) for line in lines):
        return [Command("\n".join(lines).strip(), start + 1, section)]
    found: list[Command] = []
    waiting = False  # for the rest of a command that ended in a backslash
    for number, line in enumerate(lines, start + 1):
        if waiting:
            found[-1] = Command(f"{found[-1].text} {line.strip()}", found[-1].line, section)
        elif language == "console" and not line.startswith("$ "):
            continue
        elif line.strip() and not line.strip().startswith("#"):
            found.append(Command(line.removeprefix("$ ").strip(), number, section))
        waiting = bool(found) and found[-1].text.endswith("\\")
        if waiting:
            found[-1] = Command(found[-1].text[:-1].strip(), found[-1].line, section)
    return found
