"""The tables of a report: systems, classes, gains, recall, upper bounds, the paper's own, and runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.evaluation.comparison import Pair, class_iou, size_recall, trimap
from pipeline.report.page import paper
from pipeline.report.page.cells import (
    Cell,
    Column,
    Table,
    breaks,
    giga,
    mean,
    number,
    numbers,
    points,
    signed,
    words,
)
from pipeline.report.page.collect import Facts, RunFacts
from pipeline.report.page.compare import ComparedSystem, Gain
from pipeline.samplers.uniform import Uniform

BINS = 4
SPREAD = "±: standard deviation of the sample over the seeds"


def _best(systems: Sequence[ComparedSystem], system: ComparedSystem, name: str, digits: int = 3) -> bool:
    """Whether no other of its place, trained alike, shows a higher mean, and some a lower one."""
    alike = [s for s in systems if s.key == system.key and not Pair(system.group, s.group).differing]
    same = [round(spread.mean, digits) for s in alike if (spread := s.spread(name))]
    mine = system.spread(name)
    return mine is not None and bool(same) and round(mine.mean, digits) == max(same) > min(same)


def _lead(system: ComparedSystem) -> tuple[Cell, ...]:
    group = system.group
    seeds = ", ".join(map(str, group.seeds))
    return (
        Cell(group.architecture),
        Cell(system.sampler, note=system.role),
        Cell(str(group.resolution), group.resolution),
        Cell(str(len(group.seeds)), seeds.replace(", ", " ")),
        giga(group.gmacs),
    )


LEAD = (*words("network", "sampling"), *numbers("resolution", "seeds", "GMACs"))


def overall(systems: Sequence[ComparedSystem]) -> Table:
    """One row a system: the figures of the whole split."""
    shown = (
        ("mIoU all", "miou"),
        ("mIoU targets", "target_miou"),
        ("accuracy", "accuracy"),
        ("trimap 4 px", trimap(4)),
        ("object recall", "object_recall"),
    )
    rows = tuple(
        (
            *_lead(system),
            *(mean(system.spread(name), _best(systems, system, name)) for _, name in shown),
            Cell(system.group.improving),
        )
        for system in systems
    )
    columns = (*LEAD, *numbers(*(title for title, _ in shown)), *words("training"))
    caption = (
        f"Means over seeds; {SPREAD}. Bold: the highest of its network and resolution among those trained "
        f"alike. Still improving: the best epoch was the last, or validation mIoU still rose."
    )
    return Table("systems", caption, columns, rows, breaks([s.key for s in systems]))


def classes(facts: Facts, systems: Sequence[ComparedSystem]) -> Table:
    """Like the paper's Table 2: IoU by class, target classes last and in bold."""
    names = [n for n in facts.dataset.classes.names if n not in facts.targets]
    ordered = [*names, *facts.targets]
    kept = (0, 1, 2, 4) if len({s.group.architecture for s in systems}) > 1 else (1, 2, 4)
    rows = tuple(
        (
            *(_lead(system)[k] for k in kept),
            *(_short(systems, system, class_iou(name)) for name in ordered),
            _short(systems, system, "miou"),
            _short(systems, system, "target_miou"),
        )
        for system in systems
    )
    heads = tuple(Column(name, bold=name in facts.targets, upright=True) for name in ordered)
    last = (Column("all classes", upright=True), Column("target classes", bold=True, upright=True))
    caption = (
        "IoU by class, means over seeds; heads of target classes in bold. Bold figures: the highest of the "
        "same network and resolution. A dash: no true pixel in the split."
    )
    return Table(
        "iou-by-class",
        caption,
        (*(LEAD[k] for k in kept), *heads, *last),
        rows,
        breaks([s.key for s in systems]),
    )


def _short(systems: Sequence[ComparedSystem], system: ComparedSystem, name: str) -> Cell:
    spread = system.spread(name)
    if spread is None:
        return Cell("–")
    return Cell(f"{spread.mean:.2f}", spread.mean, _best(systems, system, name, 2))


def gains(found: Sequence[Gain]) -> Table:
    """Ours less baseline, in points."""
    shown = (
        ("targets", "target_miou"),
        ("all classes", "miou"),
        ("trimap 4 px", trimap(4)),
        ("object recall", "object_recall"),
    )
    larger = any(gain.at_cost for gain in found)
    rows = tuple(
        (
            Cell(gain.ours.group.architecture),
            Cell(gain.ours.sampler),
            Cell(str(gain.ours.group.resolution), gain.ours.group.resolution),
            *([Cell(str(gain.baseline.group.resolution), gain.baseline.group.resolution)] if larger else []),
            Cell(_seeds(gain)),
            *(Cell(gain.differing) if gain.differing else points(gain.difference(name)) for _, name in shown),
            Cell(_percent(gain), gain.extra),
        )
        for gain in found
    )
    columns = (
        *words("network", "sampling"),
        *numbers(
            "resolution", *(["uniform's"] if larger else []), "seeds", *(title for title, _ in shown), "cost"
        ),
    )
    caption = f"Difference to uniform sampling in points (hundredths); {SPREAD}, taken seed by seed."
    if any(gain.differing for gain in found):
        caption += " Where the two were trained unequally, what differs stands in place of the points."
    if larger:
        caption += " Where uniform sampling has the larger resolution, both systems cost the same."
    return Table("gains", caption, columns, rows)


def _seeds(gain: Gain) -> str:
    mine, theirs = len(gain.ours.group.seeds), len(gain.baseline.group.seeds)
    return str(mine) if gain.paired else f"{mine} against {theirs}"


def _percent(gain: Gain) -> str:
    extra = 100 * gain.extra
    return f"{signed(extra, 1 if abs(extra) < 10 else 0)} %"


def of_paper(table: paper.PaperTable) -> Table:
    """The paper's own table."""
    targets = paper.TARGETS.get(table.dataset, ())
    rows = tuple(_paper_row(entry) for entry in table.entries)
    heads = tuple(Column(name, bold=name in targets, upright=True) for name in table.classes)
    with_targets = any(entry.target_miou is not None for entry in table.entries)
    columns = (
        *words("network", "sampling"),
        *numbers("resolution", "GMACs"),
        *heads,
        Column("all classes", upright=bool(heads)),
        *([Column("target classes", bold=True, upright=bool(heads))] if with_targets else []),
    )
    caption = f"The paper's Table {table.number}: {table.title}. {table.note}".strip()
    keys = [(entry.network, entry.resolution) for entry in table.entries]
    return Table(f"paper-table-{table.number}", caption, columns, rows, breaks(keys))


def _paper_row(entry: paper.PaperEntry) -> tuple[Cell, ...]:
    return (
        Cell(entry.network),
        Cell(entry.sampler.word, note=entry.sampler.role),
        Cell(str(entry.resolution), entry.resolution),
        giga(entry.gmacs),
        *(number(value, paper.DECIMALS) for value in entry.iou),
        number(entry.miou, paper.DECIMALS),
        *([number(entry.target_miou, paper.DECIMALS)] if entry.target_miou is not None else []),
    )


def paper_gains(table: paper.PaperTable) -> list[tuple[str, int, float, float | None]]:
    """(network, resolution, points over all classes, points on targets) of the paper's rows."""
    found = []
    for entry in table.entries:
        if not entry.ours:
            continue
        base = next(
            e
            for e in table.entries
            if not e.ours and (e.network, e.resolution) == (entry.network, entry.resolution)
        )
        on_targets = None
        if entry.target_miou is not None and base.target_miou is not None:
            on_targets = 100 * (entry.target_miou - base.target_miou)
        found.append((entry.network, entry.resolution, 100 * (entry.miou - base.miou), on_targets))
    return found


def recall_by_size(systems: Sequence[ComparedSystem]) -> Table:
    """All objects in four bins: recall of each system."""
    some = systems[0].first["recall_by_size"]
    heads = numbers(*(f"{b['pixels'][0]:,} to {b['pixels'][1]:,} px" for b in some))
    rows = tuple(
        (*_lead(system), *(mean(system.spread(size_recall(i))) for i in range(len(some))))
        for system in systems
    )
    counts = ", ".join(str(b["objects"]) for b in some)
    caption = f"Mean recall of objects in bins of equally many ({counts} objects), small to large; {SPREAD}."
    return Table("recall-by-size", caption, (*LEAD, *heads), rows, breaks([s.key for s in systems]))


def recall_by_class(found: Sequence[Gain], names: Sequence[str]) -> Table:
    """Like Fig. 12: by class and bin, recall relative to the baseline."""
    rows = []
    for gain in found:
        for name in names:
            cells = [number(gain.pair.ratio(size_recall(i, name)), 2) for i in range(BINS)]
            bins = gain.ours.first.get("recall_by_class", {}).get(name)
            if bins is None:
                continue
            total = sum(b["objects"] for b in bins)
            group = gain.ours.group
            rows.append(
                (
                    Cell(group.architecture),
                    Cell(gain.ours.sampler),
                    Cell(str(group.resolution), group.resolution),
                    Cell(name),
                    Cell(str(total), total),
                    *cells,
                )
            )
    columns = (
        *words("network", "sampling"),
        *numbers("resolution"),
        *words("class"),
        *numbers("objects", *(f"bin {i + 1}" for i in range(BINS))),
    )
    caption = (
        "Recall relative to the baseline's, means over seeds; each class's objects in four bins of equally "
        "many, bin 1 the smallest. A dash: the baseline finds nothing there, or there are no objects."
    )
    keys = [(row[0].text, row[1].text, row[2].text) for row in rows]
    return Table("recall-by-class", caption, columns, tuple(rows), breaks(keys))


def kind_of(row: dict[str, Any]) -> str:
    """What a setting of the upper bound shares with others: uniform, a grid, an auxiliary network."""
    return str(row["sampler"]) if row["grid"] is None else "x".join(map(str, row["grid"]))


def is_uniform(row: dict[str, Any]) -> bool:
    """Whether a row of the upper bound is of uniform sampling."""
    return kind_of(row) == Uniform.word and not row.get("auxiliary")


def bound(found: dict[str, Any]) -> Table:
    """What sampling alone would cost."""
    rows, keys = [], []
    for row in found["settings"]:
        same = [r for r in found["settings"] if r["resolution"] == row["resolution"]]
        keys.append(row["resolution"])
        rows.append(
            (
                Cell(str(row["resolution"]), row["resolution"]),
                Cell(row["sampler"]),
                *(number(row[k], 3, row[k] == _highest(same, k)) for k in ("miou", "target_miou")),
                number(row["trimap"].get("4")),
                number(row["object_recall"]),
                Cell(str(row["folded_cells"]), row["folded_cells"]),
            )
        )
    columns = (
        Column("resolution"),
        *words("sampling"),
        *numbers("mIoU all", "mIoU targets", "trimap 4 px", "object recall", "folded cells"),
    )
    caption = "The label maps sampled and interpolated back. Bold: the highest of its resolution."
    return Table("upper-bound", caption, columns, tuple(rows), breaks(keys))


def _highest(rows: Sequence[dict[str, Any]], key: str) -> float | None:
    return max((row[key] for row in rows if row[key] is not None), default=None)


def shares(facts: Facts) -> Table:
    """Pixels by class, each split a pair of columns; target classes in bold."""
    counted = facts.shares
    names = list(next(iter(counted.values())).share)
    rows = tuple(
        (
            Cell(name, bold=name in facts.targets),
            Cell("target" if name in facts.targets else ""),
            *(
                cell
                for split in counted.values()
                for cell in (
                    Cell(f"{100 * split.share[name]:.2f} %", split.share[name]),
                    Cell(str(split.images_with[name]), split.images_with[name]),
                )
            ),
        )
        for name in names
    )
    heads = [h for split, c in counted.items() for h in (f"{split}: pixels", f"{split}: of {c.images} maps")]
    caption = "Share of all pixels of the label maps that were read, and how many of these hold the class."
    return Table("classes", caption, (*words("class", ""), *numbers(*heads)), rows)


def _best_epoch(run: RunFacts) -> Cell:
    if run.result is None:
        return Cell(f"not over: {len(run.history)} epochs")
    return Cell(str(run.result["best_epoch"]), note="still improving" if run.improving else "")


def runs(facts: Facts) -> Table:
    """Every training run, how it was made and how it ended."""
    shown = ("seed", "epochs", "rate", "batch_size", "weight_decay")
    rows = []
    for run in facts.runs:
        figures = (run.result or {}).get("figures", {})
        ended = ", ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in figures.items() if v is not None)
        rows.append(
            (
                Cell(run.name),
                *(Cell(str(run.settings.get(k, "")), run.settings.get(k, "")) for k in shown),
                _best_epoch(run),
                Cell(ended),
            )
        )
    columns = (
        *words("run"),
        *numbers(*(k.replace("_", " ") for k in shown), "best epoch"),
        *words("figures there"),
    )
    return Table("runs", "All training runs of the workspace, as their settings say.", columns, tuple(rows))
