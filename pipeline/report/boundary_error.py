"""Boundary errors as a table and as a plot: error against number of samples, a panel a kind of curve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from pipeline.marks import Writer
from pipeline.report import canvas
from pipeline.report.columns import print_table
from pipeline.report.console import console, print_failures

if TYPE_CHECKING:
    from pipeline.evaluation.boundary_error import ErrorGroup, ErrorReport, Measured, Series

NAMES = {
    "chords": "N / 3 chords, largest",
    "chords, mean": "N / 3 chords, mean",
    "chords, back": "N / 3 chords, back",
    "uniform": "uniform grid",
}
"""How ways to sample are called where they are shown; others by their own names."""

_STYLES: dict[str, dict[str, Any]] = {
    "chords": {"color": "tab:red", "marker": "o"},
    "chords, mean": {"color": "tab:red", "marker": "o", "linestyle": ":", "markerfacecolor": "white"},
    "uniform": {"color": "black", "marker": "s", "linestyle": "--"},
}
_OTHERS = ("tab:blue", "tab:cyan", "tab:purple", "tab:green")
_ACROSS = 4  # panels a row


def print_errors(report: ErrorReport) -> None:
    """A table a group: errors in pixels at the least and the most samples, and the slopes between."""
    out = console()
    out.print(report.title, soft_wrap=True)
    for group in report.groups:
        out.print(describe(group), soft_wrap=True)
        table = Table(box=None, pad_edge=False)
        for number, head in enumerate(HEADS):
            table.add_column(head, justify="right" if number else "left")
        for series in group.series:
            table.add_row(*row(series))
        print_table(out, table)
    print_failures(report.failures)


HEADS = ("sampling", "N", "error, px", "slope", "slope, upper half of N")
"""Of the columns of `row`."""


def row(series: Series) -> list[str]:
    """Cells of one way to sample: name, N from and to, errors there, slopes."""
    if not series.points:
        return [NAMES.get(series.method, series.method), "", "nothing seen", "", ""]
    ends = (series.points[0], series.points[-1])
    return [
        NAMES.get(series.method, series.method),
        " to ".join(f"{point.samples:,}" for point in ends),
        " to ".join(_error(point) for point in ends),
        _slope(series.slope()),
        _slope(series.final_slope()),
    ]


def describe(group: ErrorGroup) -> str:
    """One line: how many curves, of what length and curvature, how near the bound is."""
    many = "1 curve" if group.curves == 1 else f"{group.curves} curves"
    text = f"{group.name}: {many} in crops of {group.side} px, mean length {group.length:.0f} px"
    if group.kappa is None or group.bound is None:
        return f"{text}, curvature unbounded"
    return f"{text}, least radius {1 / group.kappa:.3g} px, chords reach {group.bound:.3f} of the bound"


def _error(point: Measured) -> str:
    return f"{point.error:.3g}" + (f" ({point.lost} lost)" if point.lost else "")


def _slope(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def plot(reports: ErrorReport | list[ErrorReport], path: Path, writer: Writer | None = None) -> None:
    """A panel a group: errors in pixels against N, both logarithmic, with guides of slope -1/2 and -2."""
    listed = reports if isinstance(reports, list) else [reports]
    groups = [group for report in listed for group in report.groups]
    rows = max(1, -(-len(groups) // _ACROSS))
    across = max(1, min(len(groups), _ACROSS))
    figure = canvas.figure(3.6 * across, 3.5 * rows + 0.4, dpi=110)
    shared = figure.subplots(rows, across, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, group in zip(shared, groups, strict=False):
        _panel(axes, group)
    for axes in shared[len(groups) :]:
        axes.remove()
    handles = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if handles:
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), fontsize=8
        )
    canvas.save(figure, path, writer)


def _panel(axes: Any, group: ErrorGroup) -> None:
    """The curves of one group."""
    adaptive = iter(_OTHERS * len(group.series))
    for series in group.series:
        if series.method == "chords, back":
            continue
        style = _STYLES.get(series.method) or {"color": next(adaptive), "marker": "^"}
        kept = [point for point in series.points if not point.lost]
        axes.plot(
            [point.samples for point in kept],
            [point.error for point in kept],
            label=NAMES.get(series.method, series.method),
            **{"linewidth": 1.3, "markersize": 3.5, **style},
        )
    for method, exponent in (("chords", -2.0), ("uniform", -0.5)):
        _guide(axes, group, method, exponent)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axhline(1, color="0.75", linewidth=0.8, zorder=0)
    axes.set_title(canvas.words(group.name), fontsize=9)
    axes.set_xlabel("samples N", fontsize=8)
    axes.set_ylabel("error, px", fontsize=8)
    axes.tick_params(labelsize=7)


def _guide(axes: Any, group: ErrorGroup, method: str, exponent: float) -> None:
    """A thin line of given slope, twice as high as the first point of a series, with the slope beside it."""
    found = next((series for series in group.series if series.method == method), None)
    if found is None or not found.points:
        return
    low, high = found.points[0].samples, found.points[-1].samples
    top = 2 * found.points[0].error
    axes.plot([low, high], [top, top * (high / low) ** exponent], color="0.6", linewidth=0.7, zorder=0)
    middle = (low * high) ** 0.5
    axes.annotate(
        f"slope {exponent:g}",
        (middle, top * (middle / low) ** exponent),
        xytext=(4, 2),
        textcoords="offset points",
        fontsize=7,
        color="0.4",
    )
