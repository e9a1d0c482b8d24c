"""Writes docs/commands.md, every command with its options, from the command line itself: `python docs/commands.py`."""

from __future__ import annotations

import inspect
from pathlib import Path

import click

from cli import SUMMARIES
from cli import main as adaprep
from pipeline.options import TALK

PAGE = Path(__file__).parent / "commands.md"

INTRODUCTION = """\
# Commands

Every command with its options, as `adaprep COMMAND --help` prints them; written by `python docs/commands.py`.

| command | what it does |
|---|---|
{rows}

## In every command

`adaprep` and every command take these; options after a command's name count for it alone:

| option | what |
|---|---|
{everywhere}

Every option can be given by the environment: `ADAPREP_`, the command and the option in capitals, as in
`ADAPREP_TRAIN_EPOCHS=20` or `ADAPREP_UPPER_BOUND_LAMBDA=0.1,1`; several values of one option with blanks between them, flags as
1 or 0. What is typed comes first. `ADAPREP_WORKSPACE` holds for all commands. Steps of a recipe take nothing from there but
what `adaprep run` takes.

`--json` prints JSON in place of each table; figures that are not numbers are `null` in it. Tables are as wide as the
terminal, or as `COLUMNS` says where there is none. `python -m adaprep` is the same as `adaprep`.

## Completion

Pressing TAB completes commands, options, data sets, splits, images and weights of the workspace. Once, for your shell:

```sh
_ADAPREP_COMPLETE=bash_source adaprep > adaprep-complete.bash    # then in ~/.bashrc: source PATH/adaprep-complete.bash
_ADAPREP_COMPLETE=zsh_source adaprep > adaprep-complete.zsh      # then in ~/.zshrc: source PATH/adaprep-complete.zsh
_ADAPREP_COMPLETE=fish_source adaprep > adaprep.fish              # then move it to ~/.config/fish/completions
```
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


def option_rows(command: click.Command, context: click.Context, everywhere: bool = False) -> list[str]:
    """The command's own options as rows of a table, or those that every command has."""
    records = [
        parameter.get_help_record(context)
        for parameter in command.params
        if isinstance(parameter, click.Option) and (parameter.name in TALK) == everywhere
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
    rows = [
        f"| [`{name}`](#adaprep-{name}) | {SUMMARIES[name][0].upper()}{SUMMARIES[name][1:]} |"
        for name, _ in found
    ]
    everywhere = option_rows(adaprep, context, everywhere=True)
    sections = [section(name, command, context) for name, command in found]
    return "\n".join([INTRODUCTION.format(rows="\n".join(rows), everywhere="\n".join(everywhere)), *sections])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
