"""What `init` makes of which data, the table of docs/your-own-data.md.

    python -m tests.datasets.formats_table

writes it.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from cli import main
from tests.datasets import trees
from tests.datasets.trees import Case

PAGE = Path(__file__).resolve().parents[2] / "docs" / "your-own-data.md"
BEGIN, END = "<!-- table: formats -->", "<!-- end of table -->"
HEADINGS = {
    "folders": "Images and label maps",
    "label maps": "Kinds of label maps",
    "names": "Files that name the classes",
    "masks": "A mask for each class",
    "lists": "Lists",
    "archives": "Archives",
    "not enough": "What is refused, or goes on without a file",
}


@dataclass(frozen=True)
class Outcome:
    """What became of a case."""

    case: Case
    folder: Path
    description: Path | None  # the YAML file that was written
    words: str


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def invoke(*arguments: str) -> tuple[int, str]:
    """Exit status and output of one command."""
    result = CliRunner().invoke(main, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def outcomes(folder: Path) -> Iterator[Outcome]:
    """Every case, made in a folder of its own and looked at by `init` and `check`."""
    for number, case in enumerate(trees.cases()):
        place = folder / f"{number:02}"
        (place / "data").mkdir(parents=True)
        case.build(place / "data")
        with inside(place):
            yield outcome(case, place)


def outcome(case: Case, folder: Path) -> Outcome:
    """What `init` makes of a case in the working folder, and what `check` says of that."""
    status, output = invoke("init", f"data/{case.target}".rstrip("/"), *case.options)
    if status:
        assert not list(folder.glob("*.yaml")), output
        return Outcome(case, folder, None, refusal(output, folder))
    (description,) = folder.glob("*.yaml")
    status, output = invoke("check", "--dataset", description.name)
    words = understood(yaml.safe_load(description.read_text(encoding="utf-8")))
    words += "; the list is written" * any(folder.glob(f"{description.stem}-*.txt"))
    return Outcome(case, folder, description, words + ("" if status == 0 else f"; {failures(output)}"))


def understood(said: dict[str, Any]) -> str:
    """A description in a few words."""
    kind = said.get("labels_are", "ids")
    if "splits" in said:
        splits = ", ".join(said["splits"])
    else:
        splits = ", ".join(f"{s} {f:g}" for s, f in said["split_by"]["fractions"].items()) + " drawn"
    names = [row["name"] for row in said["classes"] if row.get("train_id") != 255]
    void = [*said.get("void", []), *(row["name"] for row in said["classes"] if row.get("train_id") == 255)]
    some = ", ".join(names[:4]) + ", ..." * (len(names) > 4)
    parts = [f"`{kind}`", splits, f"{len(names)} classes: {some}"]
    parts += [f"void: {', '.join(map(str, void[:3]))}" + ", ..." * (len(void) > 3)] * bool(void)
    parts += [f"`image_range: {said.get('image_range')}`"] * ("image_range" in said)
    parts += ["frames without labels or image are skipped"] * ("unpaired" in said)
    return "; ".join(parts)


def refusal(output: str, folder: Path) -> str:
    """The sentence of a message that says why."""
    text = output.replace(f"{folder}/", "").strip()
    if hit := re.search(r"^Missing: (.*)", text, re.MULTILINE):
        return f"refused. Missing: {hit[1]}"
    first = text.splitlines()[0].removeprefix("Error: ").removesuffix(":")
    return f"refused: {first}"


def failures(output: str) -> str:
    """How many files `check` named."""
    hit = re.search(r"(\d+) failed", output)
    assert hit is not None, output
    return f"{hit[1]} file named by `check`, the rest goes on"


def table(found: list[Outcome]) -> str:
    """The rows as Markdown, a table for each group."""
    groups = dict.fromkeys(one.case.group for one in found)
    parts = []
    for group in groups:
        rows = [f"| {one.case.what} | {cell(one.words)} |" for one in found if one.case.group == group]
        parts.append(
            "\n".join([f"| {HEADINGS.get(group, group)} | what `init` makes of it |", "|---|---|", *rows])
        )
    return "\n\n".join(parts)


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def on_page() -> str:
    """The table as it stands in the docs."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def write(text: str) -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        write(table(list(outcomes(Path(name)))))
