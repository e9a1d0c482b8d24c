"""What the commands print: how it goes on, tables, sums in human units.

Every name passes `PlainConsole`, which prints it as text: no markup, no emoji, no escape sequence.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline import advice
from pipeline.log import CHOSEN, LOG
from pipeline.names import one_line, printable
from pipeline.progress import listener as listener
from pipeline.report.columns import print_table
from pipeline.screen import say
from pipeline.units import human_bytes, human_seconds, several
from pipeline.workspace import room

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.stages.checked import CheckReport
    from pipeline.stages.damage import Finding
    from pipeline.stages.engine import Failure, Scheduler, Summary
    from pipeline.stages.plan import Estimate, Plan
    from pipeline.stages.status import StoreStatus

LISTED = 20
"""At most so many failures are printed; the rest are counted."""

NAMED = 5
"""Images that are named of many."""

HALF = 0.5
"""Share of the pixels inside the central squares, below which `check` warns whatever the classes."""


class PlainConsole(Console):
    """A console to which all text is text: brackets, colons and control characters mean nothing in it."""

    def __init__(self, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, and write the same to the log file, if there is one."""
        super().print(*objects, **options)
        if CHOSEN.log_file:
            page = Console(file=io.StringIO(), width=160, markup=False, emoji=False, highlight=False)
            page.print(*objects, **options)
            LOG.info("%s", page.file.getvalue().rstrip("\n"))  # type: ignore[attr-defined]


def console(columns: int = 110) -> Console:
    """Standard output; as wide as the terminal or COLUMNS says, and `columns` where there is neither."""
    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    return PlainConsole(width=None if known else columns)


def print_failures(failures: Sequence[Failure]) -> None:
    """Every failed file with its reason, up to LISTED of them."""
    if not failures:
        return
    out = console()
    out.print(f"{len(failures)} failed:", style="red")
    for failure in failures[:LISTED]:
        out.print(f"  {one_line(failure.name)}: {one_line(failure.reason)}", soft_wrap=True)
    if len(failures) > LISTED:
        listing = advice.command("status", failures=True)
        out.print(f"  ... and {len(failures) - LISTED} more: {listing}", soft_wrap=True)


def print_summary(summary: Summary, path: Path | None = None) -> None:
    """How a run ended: counts, speed, failures, notes."""
    parts = [several(summary.images - len(summary.failures), "image")]
    if summary.images:
        rate = summary.images / max(summary.seconds, 1e-9)
        parts[0] += f" in {human_seconds(summary.seconds)} ({rate:.1f} images/s)"
    if summary.skipped:
        parts.append(f"{summary.skipped} done before")
    if summary.failures:
        parts.append(f"{len(summary.failures)} failed")
    where = f" -> {path}" if path else ""
    say(one_line(f"{summary.title}: {', '.join(parts)}{where}"))
    for note in summary.notes:
        say(f"  {note}")
    print_failures(summary.failures)


def print_plan(plan: Plan, scheduler: Scheduler, block_size: int | None, estimate: Estimate) -> None:
    """What a dry run says: what would be done, why, and what it would take."""
    out = console()
    verb = {"create": "make", "overwrite": "make again", "grow": "lengthen", "resume": "go on with"}
    tasks = len(plan.tasks(block_size))
    out.print(f"{plan.title}: would {verb[plan.action]} {plan.path}", soft_wrap=True)
    out.print(f"  why     {'; '.join(plan.reasons)}")
    todo = f"{plan.images} of {several(plan.total, 'image')} in {several(tasks, 'task')}"
    out.print(f"  to do   {todo} on {scheduler.describe()}")
    if plan.images:
        out.print(f"  time    about {human_seconds(estimate.seconds)}")
        out.print(f"  memory  about {human_bytes(estimate.memory)}")
        out.print(f"  disk    about {human_bytes(estimate.disk)}, {_free(estimate.free)}")


def _free(count: int) -> str:
    """What is left of a disk, in words."""
    return "in an object store" if count >= room.ENDLESS else f"{human_bytes(count)} free"


def print_sample_plans(plans: Sequence[Plan], scheduler: Scheduler, estimate: Estimate) -> None:
    """What a dry run of sampling says: every store it would write, then what all of them together take."""
    out = console()
    for plan in plans:
        why = "; ".join(plan.reasons)
        todo = f"{plan.images} of {several(plan.total, 'image')} to do"
        out.print(f"{plan.title}: {todo} ({why})", soft_wrap=True)
    out.print(f"  time    about {human_seconds(estimate.seconds)} on {scheduler.describe()}")
    out.print(f"  memory  about {human_bytes(estimate.memory)}")
    out.print(f"  disk    about {human_bytes(estimate.disk)}, {_free(estimate.free)}")


def print_datasets(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for head in ("name", "data set", "splits", "classes", "target classes", "found in"):
        table.add_column(head, overflow="fold", no_wrap=head == "name")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    print_table(console(), table)


def print_check(report: CheckReport) -> None:
    """The pre-flight as a table."""
    facts = report.as_dict(named=NAMED + 1)
    out = console()
    sizes = ", ".join(f"{size} ({n})" for size, n in list(facts["sizes"].items())[:6])
    more = f" and {len(facts['sizes']) - 6} more" if len(facts["sizes"]) > 6 else ""
    modes = ", ".join(f"{kind} ({n})" for kind, n in facts["modes"].items())
    images, labels = facts["images_missing"], facts["labels_missing"]
    missing = f"{several(images, 'image')} and {several(labels, 'label map')} missing"
    out.print(f"{report.dataset.name}/{report.split} in {report.dataset.root}", soft_wrap=True)
    out.print(f"  pairs     {facts['pairs']} of {facts['frames']} ({missing})")
    out.print(f"  sizes     {sizes}{more} (height x width)")
    out.print(f"  modes     {modes}")
    table = Table(box=None, pad_edge=False)
    for head, justify in (("id", "right"), ("class", "left"), ("train id", "right"), ("", "left")):
        table.add_column(head, justify=justify)  # type: ignore[arg-type]
    for head in ("pixels", "share", "in square", "images"):
        table.add_column(head, justify="right")
    for row in facts["classes"]:
        void = row["train_id"] == 255
        kind = "target" if row["target"] else "void" if void else ""
        train = "" if void or row["train_id"] is None else str(row["train_id"])
        style = "red" if row["train_id"] is None else "bold" if row["target"] else None
        share = f"{100 * row['share']:.3f} %"
        inside = f"{100 * row['central_share']:.1f} %"
        cells = (str(row["id"]), row["name"], train, kind, f"{row['pixels']:,}", share, inside)
        table.add_row(*map(_cell, (*cells, row["images"])), style=style)
    print_table(out, table, keys=2)
    _print_region(out, facts, len(report.totals.uncovered))
    out.print(f"  target classes cover {100 * facts['target_share']:.2f} % of the pixels")
    count = len(report.totals.without_target)
    named = f": {_first_of(facts['without_target'])}" if count else ""
    out.print(f"  {several(count, 'image')} without any target pixel{named}", soft_wrap=True)
    if facts["classes_never_seen"]:
        out.print(f"  never seen: {', '.join(facts['classes_never_seen'])}", soft_wrap=True)
    for note in report.notes:
        out.print(f"  note: {note}", soft_wrap=True)
    print_failures(report.failures)
    if report.ok:
        out.print("nothing wrong found", style="green")


def _first_of(names: Sequence[str]) -> str:
    """The first few of some names."""
    return f"{', '.join(names[:NAMED])}{' ...' if len(names) > NAMED else ''}"


def _print_region(out: Console, facts: Mapping[str, Any], uncovered: int) -> None:
    """What of the images is measured, and who loses by it."""
    out.print(
        f"  central squares, which evaluate measures: {100 * facts['central_share']:.1f} % of the pixels",
        soft_wrap=True,
    )
    training = advice.command("train", whole_image=True)
    instead = f"For whole images: {training}, {advice.command('evaluate', whole_image=True)}"
    if facts["lost"]:
        named = ", ".join(f"{100 * share:.1f} % of {name}" for name, share in facts["lost"].items())
        out.print(f"  warning: they hold only {named}. {instead}", style="yellow", soft_wrap=True)
    elif facts["central_share"] < HALF:
        out.print(
            f"  warning: they hold less than half of the pixels. {instead}", style="yellow", soft_wrap=True
        )
    if uncovered:
        out.print(
            f"  warning: {several(uncovered, 'image')} too long for the crops of training to cover "
            f"({_first_of(facts['uncovered'])}): {training}",
            style="yellow",
            soft_wrap=True,
        )


def print_status(rows: Sequence[StoreStatus]) -> None:
    """One line a store, then what is to be done."""
    table = Table(box=None, pad_edge=False)
    heads = ("data set", "stage", "parameters", "done", *(["failed"] if any(r.failed for r in rows) else []))
    for head in (*heads, "disk", "changed"):
        table.add_column(head, justify="right" if head in ("done", "failed", "disk", "changed") else "left")
    for row in rows:
        wanted = ("sampler", "resolution", "grid", "crops", "lambda")
        shown = ", ".join(f"{k} {_plain(row.parameters[k])}" for k in wanted if k in row.parameters)
        if "targets" in row.parameters and row.stage == "boundaries":
            shown += f", targets {', '.join(row.parameters['targets'])}"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.changed))
        failed = [str(row.failed or "")] if "failed" in heads else []
        done = "damaged" if row.damaged else f"{row.done} of {row.images}"
        cells = (f"{row.dataset}/{row.split}", row.stage, shown, done, *failed)
        table.add_row(*map(_cell, cells), human_bytes(row.bytes), when)
    out = console()
    print_table(out, table)
    for row in rows:
        if row.damaged or row.next_step:
            about = "" if row.damaged else f"{row.dataset}/{row.split}, {row.stage} {row.name}: "
            out.print(f"{about}{row.next_step}", soft_wrap=True)


def _cell(value: Any) -> str:
    """Of a table: a name keeps to its line."""
    return one_line(str(value))


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "x".join(map(str, value)) if isinstance(value, list) else f"{value:g}"


def print_findings(title: str, findings: Sequence[Finding]) -> None:
    """What was verified, on how much, and what does not hold."""
    out = console()
    out.print(title)
    for finding in findings:
        mark = ("ok  ", "green") if finding.ok else ("BAD ", "red")
        rest = one_line(f"{finding.what}: {several(finding.checked, finding.unit.removesuffix('s'))}")
        out.print(Text.assemble("  ", mark, rest), soft_wrap=True)
        for problem in finding.problems[:LISTED]:
            out.print(f"        {problem}", soft_wrap=True)


def print_known_failures(rows: Sequence[dict[str, Any]]) -> None:
    """Every file that failed in the last run of a stage."""
    out = console()
    for row in rows:
        out.print(one_line(f"{row['split']} {row['name']}: {row['reason']}"), soft_wrap=True)
    if not rows:
        out.print("no failures")
