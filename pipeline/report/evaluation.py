"""Evaluations and costs of networks as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from pipeline.geometry.crops import CENTRAL
from pipeline.names import one_line
from pipeline.report.columns import print_table
from pipeline.report.console import console, print_failures
from pipeline.units import several
from pipeline.workspace import results

if TYPE_CHECKING:
    from pipeline.evaluation.comparison import Group, Pair, Spread
    from pipeline.evaluation.evaluate import EvaluationReport
    from pipeline.evaluation.evaluations import Evaluations

WIDTH = 170
"""Columns of the table of all networks where there is no terminal: no figure is broken over two lines."""


def print_evaluation(report: EvaluationReport) -> None:
    """The systems beside each other: figures of the whole split, then by class, then by size of objects."""
    facts = report.as_dict()
    rows = facts["systems"]
    out = console()
    out.print(
        f"{facts['dataset']}/{facts['split']}, {several(facts['images'], 'image')}; "
        f"mIoU, trimap and recall at the {_where(facts)}",
        soft_wrap=True,
    )
    if rows:
        print_table(out, _systems(rows, facts["milliseconds"]), keys=2)
        print_table(out, _classes(rows, facts["targets"]))
        print_table(out, _sizes(rows, facts["objects_from"]), keys=2)
        print_own_metrics(rows, [row["name"] for row in rows])
    out.print(f"  GMACs: {facts['gmacs_at']}", soft_wrap=True)
    out.print(f"  targets: {', '.join(facts['targets'])}", soft_wrap=True)
    if facts["classes_never_seen"]:
        named = ", ".join(facts["classes_never_seen"])
        out.print(f"  never seen, left out of the mean: {named}", soft_wrap=True)
    for note in facts["notes"]:
        out.print(f"  note: {note}", soft_wrap=True)
    print_failures(report.failures)


def print_evaluations(every: Evaluations) -> None:
    """All base networks of a workspace, seeds together, and the gain over uniform sampling."""
    out = console(WIDTH)
    if every.found:
        facts = every.found[0]
        out.print(
            f"{every.dataset}/{every.split}, {several(facts['images'], 'image')}; "
            f"mIoU, trimap and recall at the {_where(facts)}; {every.new} measured now, the rest before",
            soft_wrap=True,
        )
        print_table(out, _groups(every), keys=3)
        out.print("  ± standard deviation over seeds; points: against uniform, means over seeds")
        out.print(
            "  best baseline: on targets, of uniform samples and fixed warps that cost at most 5 % more"
        )
        out.print("  [95 % interval] of a bootstrap over images, or sequences; none: an interval holds 0")
        if "milliseconds_at" in facts:
            out.print(f"  ms: {one_line(facts['milliseconds_at'])}", soft_wrap=True)
        print_own_metrics([one["systems"][0] for one in every.found], [one["run"] for one in every.found])
        out.print(f"  targets: {', '.join(facts['targets'])}", soft_wrap=True)
    if every.incomplete:
        out.print(f"  not finished, left out: {', '.join(every.incomplete)}", soft_wrap=True)
    if every.refused:
        out.print(f"  not evaluated: {several(len(every.refused), 'run')}", soft_wrap=True)
        print_failures(every.refused)
    print_failures(every.failures)


def _where(facts: Mapping[str, Any]) -> str:
    """What of the images was measured, with the squares' size and, where these cover it, their number."""
    side = _range(facts["crop_sides"])
    if results.region_of(facts) == CENTRAL:
        return f"{facts['measured_at']} ({side} pixels a side)"
    count = _range(facts.get("squares", (1, 1)))
    return f"{facts['measured_at']} (joined from {count} square{'s' * (count != '1')}, {side} pixels a side)"


def _range(values: Sequence[int]) -> str:
    low, high = values
    return f"{low}" if low == high else f"{low} to {high}"


def _groups(every: Evaluations) -> Table:
    from pipeline.evaluation import comparison

    found = comparison.groups(every.found, every.trainings)
    heads = (
        "network",
        "samples",
        "resolution",
        "seeds",
        "GMACs",
        "ms",
        "mIoU\nall",
        "\npoints",
        "mIoU\ntargets",
        "\npoints",
        "against the\nbest baseline",
        "trimap\n4 px",
        "object\nrecall",
        "training",
    )
    table = _table(*heads, left=(0, 1))
    for group, word in zip(found, comparison.words(found), strict=True):
        base = comparison.baseline(group, found)
        pair = comparison.Pair(group, base) if base else None
        table.add_row(
            one_line(group.architecture),
            one_line(f"{group.kind.word} ({word})" if word else group.kind.word),
            str(group.resolution),
            str(len(group.seeds)),
            f"{group.gmacs:.3g}",
            "-" if group.milliseconds is None else f"{group.milliseconds:.3g}",
            _spread(group.figure("miou")),
            _gain(pair, "miou"),
            _spread(group.figure("target_miou")),
            _gain(pair, "target_miou"),
            _against_best(group, found),
            _mean(group.figure("trimap_4")),
            _mean(group.figure("object_recall")),
            group.improving,
        )
    return table


def _spread(figure: Spread | None) -> str:
    if figure is None:
        return "-"
    around = "" if figure.deviation is None else f" ±{figure.deviation:.3f}"
    return f"{figure.mean:.3f}{around}"


def _mean(figure: Spread | None) -> str:
    return _show(None if figure is None else figure.mean)


def _gain(pair: Pair | None, name: str) -> str:
    """Points gained over uniform sampling at the same resolution, or why there are none."""
    if pair is None:
        return ""
    if pair.differing:
        return "\n".join(map(one_line, pair.differing))
    found = pair.difference(name)
    if found is None:
        return ""
    around = "" if found.deviation is None else f" ±{100 * found.deviation:.1f}"
    said, intervals = f"{100 * found.mean:+.1f}{around}", pair.intervals(name)
    if any(interval.holds_zero for interval in intervals):
        said = f"none ({said})"
    lines = [
        f"[{100 * i.low:+.1f}, {100 * i.high:+.1f}]" + ("" if i.over == "images" else f" {i.units} sequences")
        for i in intervals
    ]
    return "\n".join([said, *lines])


def _against_best(group: Group, found: Sequence[Group]) -> str:
    """Points on targets over the best baseline, and which that is; empty where there is none."""
    from pipeline.evaluation import baselines

    pair = baselines.best_baseline(group, found, "target_miou")
    return "" if pair is None else f"{_gain(pair, 'target_miou')}\n{one_line(baselines.describe(pair.base))}"


def print_costs(rows: Iterable[dict[str, Any]]) -> None:
    """One row a network and resolution; the paper's figure where it has one."""
    table = _table("network", "classes", "resolution", "parameters", "GMACs", "paper", "source", left=(0, 6))
    for row in rows:
        table.add_row(
            one_line(row["network"]),
            "" if row["classes"] is None else str(row["classes"]),
            str(row["resolution"]),
            f"{row['parameters']:,}",
            f"{row['gmacs']:.3f}",
            "" if row["paper_gmacs"] is None else f"{row['paper_gmacs']:.2f}",
            one_line(row["source"]),
        )
    print_table(console(), table)


def _systems(rows: Sequence[dict[str, Any]], took: Mapping[str, float | None]) -> Table:
    heads = (
        "system",
        "sampler",
        "resolution",
        "GMACs",
        "ms",
        "mIoU\nall",
        "mIoU\ntargets",
        "trimap\n4 px",
        "object\nrecall",
        "folded\ncells",
    )
    table = _table(*heads, left=(0, 1))
    for row in rows:
        figures = (row["miou"], row["target_miou"], row["trimap"]["4"], row["object_recall"])
        table.add_row(
            one_line(row["name"]),
            one_line(row["sampler"]),
            str(row["resolution"]),
            f"{row['gmacs']:.3g}",
            "-" if took.get(row["name"]) is None else f"{took[row['name']]:.3g}",
            *map(_show, figures),
            str(row["folded_cells"]),
        )
    return table


def _classes(rows: Sequence[dict[str, Any]], targets: Sequence[str]) -> Table:
    table = _table("IoU by class", *(one_line(row["name"]) for row in rows))
    for name in rows[0]["iou"]:
        values = (_show(row["iou"][name]) for row in rows)
        table.add_row(one_line(name), *values, style="bold" if name in targets else None)
    return table


def _sizes(rows: Sequence[dict[str, Any]], source: str) -> Table:
    table = _table(f"recall by size ({source})", "objects", *(one_line(row["name"]) for row in rows))
    for number, part in enumerate(rows[0]["recall_by_size"]):
        low, high = part["pixels"]
        values = (_show(row["recall_by_size"][number]["recall"]) for row in rows)
        table.add_row(f"{low:,} to {high:,} pixels", str(part["objects"]), *values)
    return table


def print_own_metrics(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Figures of the user's own metrics that are one number, a line each; nothing where there are none."""
    found: dict[tuple[str, str], dict[str, float | None]] = {}
    for name, row in zip(names, rows, strict=True):
        for metric, figures in row.get("metrics", {}).items():
            for key, value in figures.items():
                if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
                    found.setdefault((metric, key), {})[name] = value
    if not found:
        return
    table = _table("metric", "figure", *map(one_line, names), left=(0, 1))
    for (metric, key), values in found.items():
        table.add_row(one_line(metric), one_line(key), *(_show(values.get(name)) for name in names))
    print_table(console(), table)


def _table(*heads: str, left: Sequence[int] = (0,)) -> Table:
    table = Table(box=None, pad_edge=False)
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number in left else "right", no_wrap=number in left)
    return table


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
