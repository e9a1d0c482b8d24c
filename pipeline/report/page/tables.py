"""The tables of a report: systems, classes, gains, recall, upper bounds, the paper's own, and runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.evaluation.comparison import FILTER, Pair, class_iou, size_recall, trimap
from pipeline.geometry.crops import CENTRAL
from pipeline.report.page import paper, upper
from pipeline.report.page.cells import (
    Cell,
    Column,
    Table,
    breaks,
    giga,
    mean,
    number,
    numbers,
    words,
)
from pipeline.report.page.collect import Facts, RunFacts
from pipeline.report.page.compare import PARTNERS, ComparedSystem, Gain
from pipeline.units import several

BINS = 4
SPREAD = "±: standard deviation of the sample over the seeds"


def _best(systems: Sequence[ComparedSystem], system: ComparedSystem, name: str, digits: int = 3) -> bool:
    """Whether no other of its place, trained alike, shows a higher mean, and some a lower one."""
    beside = [s for s in systems if s.key == system.key]
    alike = [s for s in beside if not Pair(system.group, s.group, (FILTER,)).differing]
    same = [round(spread.mean, digits) for s in alike if (spread := s.spread(name))]
    mine = system.spread(name)
    return mine is not None and bool(same) and round(mine.mean, digits) == max(same) > min(same)


def lead(system: ComparedSystem, several: bool) -> tuple[Cell, ...]:
    """What a row is of: the sampler, with the network where there are `several` in the table."""
    group = system.group
    role = "" if system.role in PARTNERS else system.role
    note = ", ".join(filter(None, (group.architecture if several else "", role)))
    return (
        Cell(system.sampler, note=note, style=system.style),
        Cell(group.architecture),
        Cell(str(group.resolution), group.resolution),
    )


def differ(systems: Iterable[ComparedSystem]) -> bool:
    return len({system.group.architecture for system in systems}) > 1


def _end(system: ComparedSystem) -> tuple[Cell, ...]:
    group = system.group
    return (
        giga(group.gmacs),
        Cell(str(len(group.seeds)), " ".join(map(str, group.seeds))),
        Cell(group.improving),
    )


def _end_columns(systems: Sequence[ComparedSystem]) -> tuple[Column, ...]:
    """The heads of `_end`; nothing is said of training where all of it has come to its end."""
    over = not any(system.group.improving for system in systems)
    return (*numbers("GMACs", "seeds"), Column("training", left=True, unseen=over))


def of_one(systems: Sequence[ComparedSystem]) -> str:
    """Begins the caption of a table whose rows are all of one network."""
    return "" if differ(systems) else f"Base network: {systems[0].group.architecture}. "


LEAD = (Column("sampling", left=True), Column("network", left=True, unseen=True), Column("resolution"))


def overall(systems: Sequence[ComparedSystem]) -> Table:
    """One row per system: the figures of the whole split."""
    shown = (
        ("mIoU targets", "target_miou"),
        ("mIoU all", "miou"),
        ("trimap 4 px", trimap(4)),
        ("object recall", "object_recall"),
        ("accuracy", "accuracy"),
    )
    rows = tuple(
        (
            *lead(system, differ(systems)),
            *(mean(system.spread(name), _best(systems, system, name)) for _, name in shown),
            *_end(system),
        )
        for system in systems
    )
    columns = (
        *LEAD,
        *numbers(*(title for title, _ in shown)),
        *_end_columns(systems),
    )
    caption = (
        f"{of_one(systems)}Means over seeds; {SPREAD}. Bold: the highest of its network and resolution "
        f"among those trained alike, whatever their filter. Still improving: the best epoch was the last, "
        f"or validation mIoU still rose."
    )
    return Table("systems", caption, columns, rows, breaks([s.key for s in systems]))


def classes(facts: Facts, systems: Sequence[ComparedSystem]) -> Table:
    """Like the paper's Table 2: IoU by class; the means first, then the target classes in bold."""
    names = [n for n in facts.dataset.classes.names if n not in facts.targets]
    ordered = [*facts.targets, *names]
    rows = tuple(
        (
            *lead(system, differ(systems)),
            _short(systems, system, "target_miou"),
            _short(systems, system, "miou"),
            *(_short(systems, system, class_iou(name)) for name in ordered),
        )
        for system in systems
    )
    means = (Column("target classes", bold=True, upright=True), Column("all classes", upright=True))
    heads = tuple(Column(name, bold=name in facts.targets, upright=True) for name in ordered)
    caption = (
        f"{of_one(systems)}IoU by class, means over seeds; heads of target classes in bold. Bold figures: "
        f"the highest of the same network and resolution. A dash: no true pixel in the split."
    )
    return Table("iou-by-class", caption, (*LEAD, *means, *heads), rows, breaks([s.key for s in systems]))


def _short(systems: Sequence[ComparedSystem], system: ComparedSystem, name: str) -> Cell:
    spread = system.spread(name)
    if spread is None:
        return Cell("–")
    return Cell(f"{spread.mean:.2f}", spread.mean, _best(systems, system, name, 2))


def of_paper(table: paper.PaperTable) -> Table:
    """The paper's own table."""
    targets = paper.TARGETS.get(table.dataset, ())
    several = len({entry.network for entry in table.entries}) > 1
    rows = tuple(_paper_row(entry, several) for entry in table.entries)
    heads = tuple(Column(name, bold=name in targets, upright=True) for name in table.classes)
    with_targets = any(entry.target_miou is not None for entry in table.entries)
    columns = (
        *LEAD,
        *([Column("target classes", bold=True, upright=bool(heads))] if with_targets else []),
        Column("all classes", upright=bool(heads)),
        *heads,
        Column("GMACs"),
    )
    caption = f"The paper's Table {table.number}: {table.title}. {table.note}".strip()
    keys = [(entry.network, entry.resolution) for entry in table.entries]
    return Table(f"paper-table-{table.number}", caption, columns, rows, breaks(keys))


def _paper_row(entry: paper.PaperEntry, several: bool) -> tuple[Cell, ...]:
    return (
        Cell(entry.sampler.word, note=entry.network if several else "", style=entry.sampler.style),
        Cell(entry.network),
        Cell(str(entry.resolution), entry.resolution),
        *([number(entry.target_miou, paper.DECIMALS)] if entry.target_miou is not None else []),
        number(entry.miou, paper.DECIMALS),
        *(number(value, paper.DECIMALS) for value in entry.iou),
        giga(entry.gmacs),
    )


def paper_gains(table: paper.PaperTable) -> list[tuple[str, int, float, float | None]]:
    """(network, resolution, points over all classes, points on targets) of the paper's rows."""
    found = []
    for entry in table.entries:
        if not entry.adaptive:
            continue
        base = next(
            e
            for e in table.entries
            if not e.adaptive and (e.network, e.resolution) == (entry.network, entry.resolution)
        )
        on_targets = None
        if entry.target_miou is not None and base.target_miou is not None:
            on_targets = 100 * (entry.target_miou - base.target_miou)
        found.append((entry.network, entry.resolution, 100 * (entry.miou - base.miou), on_targets))
    return found


def recall_by_size(systems: Sequence[ComparedSystem]) -> list[Table]:
    """All objects in four bins: recall of each system; a table per region, which has objects of its own."""
    regions = dict.fromkeys(system.group.region for system in systems)
    return [_recall_by_size([s for s in systems if s.group.region == region]) for region in regions]


def _recall_by_size(systems: Sequence[ComparedSystem]) -> Table:
    some = systems[0].first["recall_by_size"]
    heads = numbers(*(f"{b['pixels'][0]:,} to {b['pixels'][1]:,} px" for b in some))
    rows = tuple(
        (
            *lead(system, differ(systems)),
            *(mean(system.spread(size_recall(i))) for i in range(len(some))),
            *_end(system),
        )
        for system in systems
    )
    counts = ", ".join(str(b["objects"]) for b in some)
    caption = (
        f"{of_one(systems)}Mean recall of objects in bins of equally many ({counts} objects), small to "
        f"large; {SPREAD}."
    )
    columns = (*LEAD, *heads, *_end_columns(systems))
    region = systems[0].group.region
    name = "recall-by-size" + ("" if region == CENTRAL else f"-{region.replace(' ', '-')}")
    return Table(name, caption, columns, rows, breaks([s.key for s in systems]))


def recall_by_class(found: Sequence[Gain], names: Sequence[str]) -> Table:
    """Like Fig. 12: by class and bin, recall relative to uniform sampling."""
    several = differ(gain.ours for gain in found)
    rows = []
    for gain in found:
        for name in names:
            bins = gain.ours.first.get("recall_by_class", {}).get(name)
            if bins is None:
                continue
            total = sum(b["objects"] for b in bins)
            cells = (number(gain.pair.ratio(size_recall(i, name)), 2) for i in range(BINS))
            rows.append((*lead(gain.ours, several), Cell(name), *cells, Cell(str(total), total)))
    columns = (
        *LEAD,
        *words("class"),
        *numbers(*(f"bin {i + 1}" for i in range(BINS)), "objects"),
    )
    caption = (
        "Recall relative to that of uniform sampling, means over seeds; each class's objects in four bins of "
        "equally many, bin 1 the smallest. A dash: uniform sampling finds nothing there, or there are no "
        "objects."
    )
    keys = [(row[0].text, row[1].text, row[2].text) for row in rows]
    return Table("recall-by-class", caption, columns, tuple(rows), breaks(keys))


def bound(found: dict[str, Any]) -> Table:
    """What sampling alone would cost."""
    rows, keys = [], []
    for row in found["settings"]:
        same = [r for r in found["settings"] if r["resolution"] == row["resolution"]]
        keys.append(row["resolution"])
        rows.append(
            (
                Cell(upper.name_of(row), style=upper.style_of(row)),
                Cell(str(row["resolution"]), row["resolution"]),
                *(number(row[k], 3, row[k] == _highest(same, k)) for k in ("target_miou", "miou")),
                number(row["trimap"].get("4")),
                number(row["object_recall"]),
                Cell(str(row["folded_cells"]), row["folded_cells"]),
            )
        )
    columns = (
        *words("sampling"),
        *numbers("resolution", "mIoU targets", "mIoU all", "trimap 4 px", "object recall", "folded cells"),
    )
    caption = (
        "The label maps sampled and interpolated back. Proposals are made from the ground truth. Bold: the "
        "highest of its resolution."
    )
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
    maps = {split: several(c.images, "map") for split, c in counted.items()}
    heads = [head for split in counted for head in (f"{split}: pixels", f"{split}: of {maps[split]}")]
    caption = "Share of all pixels of the label maps that were read, and how many of these hold the class."
    return Table("classes", caption, (*words("class", ""), *numbers(*heads)), rows)


def _best_epoch(run: RunFacts) -> Cell:
    if run.result is None:
        return Cell(f"not over: {several(len(run.history), 'epoch')}")
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
