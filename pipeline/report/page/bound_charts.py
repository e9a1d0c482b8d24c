"""The charts of an upper bound: mIoU by resolution, and what each lambda gains and costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.report.page.charts import MEASURES, said
from pipeline.report.page.drawing import Axes, Chart, Line, draw_lines, worth_drawing
from pipeline.report.page.upper import (
    BoundRow,
    best_lambda,
    is_proposal,
    is_uniform,
    kind_of,
    name_of,
    style_of,
)
from pipeline.samplers.proposal import Proposals


def bound(found: dict[str, Any]) -> list[Chart]:
    """MIoU of perfect classification against resolution: uniform, and the best lambda of each grid."""
    rows = found["settings"]
    charts = []
    for key, title, short in MEASURES:
        lines = []
        for number, kind in enumerate(dict.fromkeys(map(kind_of, rows))):
            same = [row for row in rows if kind_of(row) == kind]
            chosen = best_lambda(same)
            known = [row for row in same if row["lambda"] == chosen and row[key] is not None]
            if known:
                x, y = [row["resolution"] for row in known], [row[key] for row in known]
                style = style_of(known[0])
                lines.append(Line(_label(known[0]), x, y, style=max(number, style), family=style))
        if worth_drawing(lines):
            ticks = sorted({x for line in lines for x in line.x})
            words = Axes("resolution of the sampled image", "mIoU, perfect classification", True, ticks)
            alt = f"Upper bound of mIoU, {title}: " + "; ".join(said(line) for line in lines)
            charts.append(draw_lines(f"upper-bound-{short}", f"Upper bound, {title}", alt, lines, words))
    return charts


def _label(row: BoundRow) -> str:
    return name_of(row).replace(", ", ",\n")


def trade_off(found: dict[str, Any]) -> list[Chart]:
    """What each lambda gains on targets and costs over all classes, in points, a chart per resolution.

    Nothing where fewer than three lambdas above 0 were measured.
    """
    charts = []
    for resolution in dict.fromkeys(row["resolution"] for row in found["settings"]):
        rows = [row for row in found["settings"] if row["resolution"] == resolution]
        base = next(filter(is_uniform, rows), None)
        lines = [] if base is None else _by_lambda(rows, base)
        if worth_drawing(lines):
            ticks = sorted({x for line in lines for x in line.x})
            words = Axes("λ", "points against uniform", True, ticks, zero=0.0)
            title = f"λ at {resolution} px"
            alt = f"Points against uniform by {title}: " + "; ".join(said(line) for line in lines)
            charts.append(draw_lines(f"lambda-{resolution}", title, alt, lines, words))
    return charts


def _by_lambda(rows: Sequence[BoundRow], base: BoundRow) -> list[Line]:
    """Two curves per grid: target classes and all classes, in points against uniform sampling."""
    lines = []
    grids = list(dict.fromkeys(kind_of(row) for row in rows if is_proposal(row)))
    for number, grid in enumerate(grids):
        same = [row for row in rows if is_proposal(row) and kind_of(row) == grid and row["lambda"]]
        same.sort(key=lambda row: float(row["lambda"]))
        for place, (key, title, _) in enumerate(MEASURES):
            known = [row for row in same if None not in (row[key], base[key])]
            if len(known) > 1:
                x, y = [row["lambda"] for row in known], [100 * (row[key] - base[key]) for row in known]
                label = title + (f"\n{grid}" if len(grids) > 1 else "")
                lines.append(Line(label, x, y, style=2 * number + place, family=Proposals.style))
    return lines
