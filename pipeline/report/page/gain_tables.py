"""The tables of gains: adaptive sampling beside uniform sampling, and beside the best baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.evaluation.baselines import SAME_COST, describe
from pipeline.evaluation.comparison import trimap
from pipeline.report.page.cells import Cell, Column, Table, numbers, points, signed, words
from pipeline.report.page.compare import Gain
from pipeline.report.page.tables import LEAD, SPREAD, differ, lead, of_one


def gains(found: Sequence[Gain]) -> Table:
    """Adaptive less uniform sampling, in points."""
    shown = (
        ("targets", "target_miou"),
        ("all classes", "miou"),
        ("trimap 4 px", trimap(4)),
        ("object recall", "object_recall"),
    )
    larger = any(gain.at_cost for gain in found)
    rows = tuple(
        (
            *lead(gain.ours, differ(gain.ours for gain in found)),
            Cell(str(gain.baseline.group.resolution), gain.baseline.group.resolution),
            *(Cell(gain.differing) if gain.differing else _points(gain, name) for _, name in shown),
            Cell(_share(gain.extra), gain.extra),
            Cell("–") if gain.pair.slower is None else Cell(_share(gain.pair.slower), gain.pair.slower),
            Cell(_seeds(gain)),
        )
        for gain in found
    )
    columns = (
        *LEAD,
        Column("uniform's", unseen=not larger),
        *numbers(*(title for title, _ in shown), "GMACs"),
        Column("ms", unseen=not any(gain.pair.slower is not None for gain in found)),
        *numbers("seeds"),
    )
    caption = (
        f"{of_one([gain.ours for gain in found])}Difference to uniform sampling in points of mIoU, of "
        f"accuracy within 4 px of a boundary, and of recall (hundredths); {SPREAD}, taken seed by seed."
    )
    if any(gain.intervals(name) for gain in found for _, name in shown):
        caption += (
            " In brackets: 95 % intervals of a bootstrap over images, and over sequences where these are "
            "known; none: one of them holds 0."
        )
    if any(gain.differing for gain in found):
        caption += " Where the two were trained unequally, what differs stands in place of the points."
    if larger:
        caption += " Where uniform sampling has the larger resolution, both systems cost the same."
    return Table("gains", caption, columns, rows)


def gains_on_best(by_figure: Mapping[str, Sequence[Gain]]) -> Table:
    """Adaptive sampling less the best baseline, which is another one for each of two figures."""
    titles = {"target_miou": "targets", "miou": "all classes"}
    ours = list({id(gain.ours): gain.ours for found in by_figure.values() for gain in found}.values())
    of_system = {(id(gain.ours), name): gain for name, found in by_figure.items() for gain in found}
    rows = tuple(
        (
            *lead(system, differ(ours)),
            *(cell for name in titles for cell in _on_best(of_system.get((id(system), name)), name)),
        )
        for system in ours
    )
    columns = (
        *LEAD,
        *(
            column
            for title in titles.values()
            for column in (
                Column(title),
                *words(f"best baseline, {title}"),
                Column("GMACs", unseen=True),
                Column("ms", unseen=True),
            )
        ),
    )
    caption = (
        f"{of_one(ours)}Difference in points of mIoU to the best baseline: of uniform samples, anti-aliased "
        f"uniform samples and fixed warps, trained alike, at a cost in GMACs at most "
        f"{100 * SAME_COST:.0f} % higher, the one with the highest mean of the column's figure. {SPREAD}. In "
        f"brackets: 95 % intervals as above; none: one of them holds 0."
    )
    return Table("gains-on-best-baseline", caption, columns, rows)


def _on_best(gain: Gain | None, name: str) -> tuple[Cell, ...]:
    if gain is None:
        return (Cell("–"),) * 4
    slower = gain.pair.slower
    return (
        _points(gain, name),
        Cell(describe(gain.baseline.group)),
        Cell(_share(gain.extra), gain.extra),
        Cell("–") if slower is None else Cell(_share(slower), slower),
    )


def _seeds(gain: Gain) -> str:
    mine, theirs = len(gain.ours.group.seeds), len(gain.baseline.group.seeds)
    return str(mine) if gain.paired else f"{mine} against {theirs}"


def _points(gain: Gain, name: str) -> Cell:
    """A difference with its spread over seeds and its intervals; none where one of these holds 0."""
    cell = points(gain.difference(name))
    told = [
        f"[{signed(100 * i.low)}, {signed(100 * i.high)}] {i.units} {i.over}" for i in gain.intervals(name)
    ]
    if told and gain.is_none(name):
        return replace(cell, text="none", note=", ".join([f"{cell.text} {cell.note}".strip(), *told]))
    return replace(cell, note=", ".join([cell.note, *told] if cell.note else told))


def _share(part: float) -> str:
    """0.123 as "+12 %"."""
    extra = 100 * part
    return f"{signed(extra, 1 if abs(extra) < 10 else 0)} %"
