"""The report of a data set: one HTML file, with its pictures and tables beside it."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import disk, stores

if TYPE_CHECKING:
    from pipeline.datasets.base import Dataset, Frame
    from pipeline.report.page.document import Document
    from pipeline.report.page.scenes import Panel
    from pipeline.train.examples import Example


def write(
    space: stores.Workspace,
    dataset: str | None,
    split: str,
    output: Path | None = None,
    examples: Sequence[Example] | None = None,
    root: Path | None = None,
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
        From `pipeline.train.examples.predict` on the frames that `shown` names: predictions for the pictures.
    root
        Where the data set lies now, if it has moved.

    Returns
    -------
    Path
        Of `index.html`, which needs none of the other files.

    Raises
    ------
    AdaprepError
        The workspace holds nothing of the data set or the split, or may not be written.
    """
    from pipeline.report.page import collect, document

    facts = collect.collect(space, dataset, split, root)
    made = document.build(facts, examples or ())
    folder = output or default_folder(space, facts.dataset.name, split)
    for table in made.tables:
        disk.write_text(folder / "tables" / f"{table.name}.csv", table.csv())
    for chart in made.charts:
        _write(folder / "figures" / f"{chart.name}.png", chart.png)
    for panel in made.panels:
        _write(folder / "figures" / panel.name, panel.data)
    path = folder / "index.html"
    disk.write_text(path, _render(made))
    return path


def default_folder(space: stores.Workspace, dataset: str, split: str) -> Path:
    """Where the report on a split lies unless it is said otherwise."""
    return space.path / dataset / ("report" if split == "val" else f"report-{split}")


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


def _write(path: Path, data: bytes) -> None:
    with disk.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _render(made: Document) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from pipeline.report.page import paper

    here = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined)
    environment.filters["data_uri"] = _data_uri
    return environment.get_template("template.html").render(
        document=made,
        title=made.facts.dataset.title,
        split=made.facts.split,
        style=Markup((here / "style.css").read_text(encoding="utf-8")),
        version=stores.adaprep_version(),
        date=time.strftime("%Y-%m-%d"),
        source=paper.SOURCE,
        license=made.facts.dataset.license.rstrip("."),
    )


def _data_uri(panel: Panel) -> str:
    return f"data:{panel.kind};base64,{base64.b64encode(panel.data).decode()}"
