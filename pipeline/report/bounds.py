"""The upper bound as a table and as a plot: mIoU against resolution, a curve per lambda, uniform dashed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from pipeline.marks import Writer
from pipeline.names import one_line
from pipeline.report import canvas
from pipeline.report.columns import print_table
from pipeline.report.console import console, print_failures
from pipeline.report.evaluation import print_own_metrics
from pipeline.samplers.uniform import Uniform
from pipeline.units import several

if TYPE_CHECKING:
    from pipeline.evaluation.upper_bound import BoundReport


def print_bounds(report: BoundReport) -> None:
    """One row a setting; the best figures of each resolution stand in bold."""
    facts = report.as_dict()
    rows = facts["settings"]
    table = Table(box=None, pad_edge=False)
    for head in ("resolution", "sampler"):
        table.add_column(head)
    columns = ("mIoU all", "mIoU targets", "trimap 4 px", "object recall", "folded cells")
    for head in columns:
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(str(row["resolution"]), one_line(row["sampler"]), *_figures(row, rows))
    out = console()
    title = f"upper bound, {facts['dataset']}/{facts['split']}, {several(facts['images'], 'image')}"
    out.print(f"{title}, {facts['measured_at']}", soft_wrap=True)
    print_table(out, table, keys=2)
    print_own_metrics(rows, [f"{row['resolution']} {row['sampler']}" for row in rows])
    out.print(f"  targets: {', '.join(facts['targets'])}; objects from {facts['objects_from']}")
    if facts["classes_never_seen"]:
        out.print(f"  never seen, left out of the mean: {', '.join(facts['classes_never_seen'])}")
    print_failures(report.failures)


def _figures(row: dict[str, Any], rows: list[dict[str, Any]]) -> list[Text]:
    same = [r for r in rows if r["resolution"] == row["resolution"]]
    shown = []
    for figure in FIGURES:
        value, best = figure(row), max((v for r in same if (v := figure(r)) is not None), default=None)
        text = "-" if value is None else f"{value:.3f}"
        shown.append(Text(text, "bold" if value is not None and value == best else ""))
    return [*shown, Text(str(row["folded_cells"]))]


FIGURES: tuple[Callable[[dict[str, Any]], float | None], ...] = (
    lambda row: row["miou"],
    lambda row: row["target_miou"],
    lambda row: row["trimap"]["4"],
    lambda row: row["object_recall"],
)
"""Of a row, in the order of the columns; None where there is nothing to measure."""


def plot(report: BoundReport, path: Path, writer: Writer | None = None) -> None:
    """Two panels: all classes and target classes."""
    figure = canvas.figure(10, 4.2)
    rows = report.rows()
    samplers = list(dict.fromkeys(row["sampler"] for row in rows))
    for number, (key, title) in enumerate((("miou", "all classes"), ("target_miou", "target classes")), 1):
        axes = figure.add_subplot(1, 2, number)
        for k, sampler in enumerate(samplers):
            points = [
                (row["resolution"], row[key])
                for row in rows
                if row["sampler"] == sampler and row[key] is not None
            ]
            if not points:
                continue
            style: dict[str, Any] = {"marker": "osD^v<>"[k % 7], "markersize": 4, "linewidth": 1.5}
            if sampler == Uniform.word:
                style |= {"linestyle": "--", "color": "black"}
            axes.plot(*zip(*points, strict=True), label=canvas.words(sampler), **style)
        axes.set_xscale("log", base=2)
        ticks = sorted({row["resolution"] for row in rows})
        axes.set_xticks(ticks, [str(t) for t in ticks])
        axes.set_xlabel("resolution of the sampled image")
        axes.set_ylabel("mIoU of perfect classification")
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
    if figure.axes[0].get_legend_handles_labels()[0]:
        figure.axes[0].legend(fontsize=8)
    title = f"{report.dataset.name}/{report.split}, {several(report.images, 'image')}"
    figure.suptitle(canvas.words(title), fontsize=10)
    canvas.save(figure, path, writer)
