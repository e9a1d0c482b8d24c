"""The report of a data set: one HTML file, with its pictures and tables beside it."""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import marks
from pipeline.errors import AdaprepError
from pipeline.marks import Writer
from pipeline.names import printable
from pipeline.storage import is_dir, lexists
from pipeline.workspace import results, stores

if TYPE_CHECKING:
    from pipeline.datasets.base import Dataset, Frame
    from pipeline.evaluation.examples import Example
    from pipeline.report.page.parts import Document
    from pipeline.report.page.pen import PagePanel

PAGE = "index.html"

SHOWN = re.compile(rb'<meta name="adaprep-shown" content="([0-9a-f]{64})">')
"""Digest of the figures that a page shows (`pipeline.workspace.results.digest`)."""

HEAD = 4096
"""Bytes at the start of a page that hold it."""


def write(
    space: stores.Workspace,
    dataset: str | None,
    split: str,
    output: Path | None = None,
    examples: Sequence[Example] | None = None,
    root: Path | None = None,
    writer: Writer | None = None,
    damaged: list[str] | None = None,
) -> Path:
    """Write the report of one data set: `index.html`, and beside it `tables/*.csv` and `figures/*.png`.

    What is missing is named in the report with the command that makes it.

    Parameters
    ----------
    space, dataset
        The workspace, and which data set where it holds several.
    split
        That networks were evaluated on.
    output
        Folder to write to; made if it is not there. By default `report` in the data set's folder of the
        workspace, `report-SPLIT` for another split than val.
    examples
        Predictions for the pictures: from `pipeline.evaluation.examples.predict` on the frames that `shown`
        names.
    root
        Where the data set lies now, if it has moved.
    writer
        What may be replaced: by default nothing but an earlier report.
    damaged
        Takes a sentence for every file of the workspace that could not be used; the page names them too.

    Returns
    -------
    Path
        Of `index.html`, which needs none of the other files.

    Raises
    ------
    AdaprepError
        The workspace holds nothing of the data set or the split, the folder may not be written, or there are
        files in the way that adaprep did not make.
    """
    from pipeline.report.page import collect, document

    shows = results.digest(space, space.folders(dataset, (split,))[0].dataset, split)
    facts = collect.collect(space, dataset, split, root)
    lost = damaged if damaged is not None else []
    lost += [problem for problem in facts.damaged if problem not in lost]
    made = document.build(facts, examples or (), lost)
    folder = output or space.report_folder(facts.dataset.name, split)
    _write_all(folder, made, shows, writer or Writer())
    return folder / PAGE


def _write_all(folder: Path, made: Document, shows: str, writer: Writer) -> None:
    """Tables and figures, then the page; nothing before it is known that all of them may be written."""
    files: dict[Path, bytes] = {}
    for table in made.tables:
        files[folder / "tables" / f"{table.name}.csv"] = _encoded(table.csv())
    for chart in made.charts:
        files[folder / "figures" / f"{chart.name}.png"] = chart.png
    for panel in made.panels:
        files[folder / "figures" / panel.name] = panel.data
    files[folder / PAGE] = _encoded(_render(made, shows))
    ours = check_folder(folder, writer)
    for path in files:
        writer.check(path, ours and not path.parent.is_symlink())
    marks.mark_folder(folder)
    for path, data in files.items():
        with writer.replacing(path, ours=True) as partial:
            partial.write_bytes(data)


def _encoded(text: str) -> bytes:
    """UTF-8; what is not Unicode in names is escaped."""
    return text.encode("utf-8", "backslashreplace")


def is_current(folder: Path, space: stores.Workspace, dataset: str, split: str) -> bool:
    """Whether a folder holds a page that shows the figures that there are now."""
    path = folder / PAGE
    if not path.is_file():
        return False
    with path.open("rb") as file:
        told = SHOWN.search(file.read(HEAD))
    return told is not None and told[1].decode() == results.digest(space, dataset, split)


def check_folder(folder: Path, writer: Writer) -> bool:
    """Whether a folder is that of an earlier report.

    Raises
    ------
    AdaprepError
        It can be no folder, or holds a page that is not ours.
    """
    if lexists(folder) and not is_dir(folder):
        raise AdaprepError(f"the report cannot be written to {folder}: that is a file. Give a folder to -o.")
    ours = marks.is_our_folder(folder)
    writer.check(folder / PAGE, ours or None)
    return ours


def shown(
    space: stores.Workspace, dataset: str | None, split: str, root: Path | None = None
) -> tuple[Dataset, list[Frame]]:
    """The data set, and the frames of a split whose pictures a report shows.

    Raises
    ------
    AdaprepError
        The workspace holds nothing of the data set or the split.
    """
    from pipeline.report.page import collect
    from pipeline.stages import inputs

    folder = space.folders(dataset, (split,))[0]
    found = inputs.load(folder, root)
    return found.dataset, collect.frames_to_show(folder, found)


def _render(made: Document, shows: str) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from pipeline.report.page import paper
    from pipeline.report.page.drawing import hue

    here = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined)
    environment.filters["data_uri"] = _data_uri
    environment.filters["hue"] = hue
    return environment.get_template("template.html").render(
        document=made,
        title=made.facts.dataset.title,
        split=made.facts.split,
        style=Markup((here / "style.css").read_text(encoding="utf-8")),
        version=stores.adaprep_version(),
        shown=shows,
        date=date(),
        source=paper.SOURCE,
        license=made.facts.dataset.license.rstrip("."),
    )


def date() -> str:
    """Of today by the machine's clock, or of SOURCE_DATE_EPOCH in UTC where that is set.

    Raises
    ------
    AdaprepError
        SOURCE_DATE_EPOCH is no number of seconds.
    """
    chosen = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        return time.strftime("%Y-%m-%d", time.gmtime(int(chosen)) if chosen else time.localtime())
    except (ValueError, OverflowError, OSError) as error:
        raise AdaprepError(
            f"the environment variable SOURCE_DATE_EPOCH must be seconds since 1970, found "
            f"{printable(chosen or '')}. Unset it, or set it to the output of: date +%s"
        ) from error


def _data_uri(panel: PagePanel) -> str:
    return f"data:{panel.kind};base64,{base64.b64encode(panel.data).decode()}"
