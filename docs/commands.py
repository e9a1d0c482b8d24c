"""Writes docs/commands.md, every command with its options, from the command line itself: `python docs/commands.py`."""

from __future__ import annotations

import inspect
from pathlib import Path

import click

from cli import main as adaprep

PAGE = Path(__file__).parent / "commands.md"

INTRODUCTION = """\
# Commands

Every command with its options, as `adaprep COMMAND --help` prints them; written by `python docs/commands.py`.

| command | what it does |
|---|---|
{rows}
"""

VERBATIM = "\b\n"
"""What a paragraph of help that is not to be wrapped begins with."""


def paragraphs(command: click.Command) -> list[str]:
    """The command's help."""
    return inspect.cleandoc(command.help or "").split("\n\n")


def as_markdown(paragraph: str) -> str:
    """Prose as it is, with blanks that a table would keep; examples as a block of commands."""
    if not paragraph.startswith(VERBATIM):
        return paragraph
    _, *lines = paragraph.removeprefix(VERBATIM).splitlines()
    return "\n".join(["```sh", *(line.strip() for line in lines), "```"])


def option_rows(command: click.Command, context: click.Context) -> list[str]:
    """The command's options as rows of a table; none where it has none of its own."""
    records = [
        parameter.get_help_record(context)
        for parameter in command.params
        if isinstance(parameter, click.Option)
    ]
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in record] for record in records if record]
    return [f"| `{names}` | {text} |" for names, text in cells]


def section(name: str, command: click.Command, parent: click.Context) -> str:
    """One command."""
    with click.Context(command, info_name=name, parent=parent) as context:
        rows = option_rows(command, context)
        usage = " ".join(["adaprep", name, *command.collect_usage_pieces(context)])
    parts = [f"## adaprep {name}", *map(as_markdown, paragraphs(command)), f"Usage: `{usage}`"]
    if rows:
        parts.append("\n".join(["| option | what |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def page() -> str:
    """The whole page."""
    context = click.Context(adaprep, info_name="adaprep")
    found = [(name, adaprep.commands[name]) for name in adaprep.list_commands(context)]
    rows = [f"| [`{name}`](#adaprep-{name}) | {command.get_short_help_str(120)} |" for name, command in found]
    sections = [section(name, command, context) for name, command in found]
    return "\n".join([INTRODUCTION.format(rows="\n".join(rows)), *sections])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
