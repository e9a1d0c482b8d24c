"""The upper bound as a table and as a plot: mIoU against resolution, a curve per lambda, uniform dashed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from pipeline.report.console import console, print_failures

if TYPE_CHECKING:
    from pipeline.stages.upper_bound import Report


def print_bounds(report: Report) -> None:
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
        table.add_row(str(row["resolution"]), escape(row["sampler"]), *_figures(row, rows))
    out = console()
    title = f"upper bound, {facts['dataset']}/{facts['split']}, {facts['images']} images"
    out.print(f"{title}, {facts['measured_at']}", markup=False, soft_wrap=True)
    out.print(table)
    out.print(f"  targets: {', '.join(facts['targets'])}; objects from {facts['objects_from']}", markup=False)
    if facts["classes_never_seen"]:
        out.print(
            f"  never seen, left out of the mean: {', '.join(facts['classes_never_seen'])}", markup=False
        )
    print_failures(report.failures)


def _figures(row: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    same = [r for r in rows if r["resolution"] == row["resolution"]]
    shown = []
    for value in (_miou, _target, _trimap, _recall):
        best = value(row) == max(map(value, same))
        text = f"{value(row):.3f}"
        shown.append(f"[bold]{text}[/bold]" if best else text)
    return [*shown, str(row["folded_cells"])]


def _miou(row: dict[str, Any]) -> float:
    return float(row["miou"])


def _target(row: dict[str, Any]) -> float:
    return float(row["target_miou"])


def _trimap(row: dict[str, Any]) -> float:
    return float(row["trimap"]["4"])


def _recall(row: dict[str, Any]) -> float:
    return float(row["object_recall"] or 0)


def plot(report: Report, path: Path) -> None:
    """Two panels: all classes and target classes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    rows = report.rows()
    samplers = list(dict.fromkeys(row["sampler"] for row in rows))
    for number, (key, title) in enumerate((("miou", "all classes"), ("target_miou", "target classes")), 1):
        axes = figure.add_subplot(1, 2, number)
        for k, sampler in enumerate(samplers):
            points = [(row["resolution"], row[key]) for row in rows if row["sampler"] == sampler]
            style: dict[str, Any] = {"marker": "osD^v<>"[k % 7], "markersize": 4, "linewidth": 1.5}
            if sampler == "uniform":
                style |= {"linestyle": "--", "color": "black"}
            axes.plot(*zip(*points, strict=True), label=sampler, **style)
        axes.set_xscale("log", base=2)
        ticks = sorted({row["resolution"] for row in rows})
        axes.set_xticks(ticks, [str(t) for t in ticks])
        axes.set_xlabel("resolution of the sampled image")
        axes.set_ylabel("mIoU of perfect classification")
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    figure.suptitle(f"{report.dataset.name}/{report.split}, {report.images} images", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
