"""What a report is made of: sections of blocks, in each of which one thing stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.report.page.cells import Table
from pipeline.report.page.collect import Facts
from pipeline.report.page.drawing import Chart
from pipeline.report.page.findings import PageFinding
from pipeline.report.page.opening import Opening
from pipeline.report.page.pen import PagePanel
from pipeline.report.page.scenes import Pictured


@dataclass(frozen=True)
class Missing:
    """What is not there yet, and the command that makes it."""

    what: str
    command: str


@dataclass(frozen=True)
class PageBlock:
    """A part of a section: exactly one of these is given."""

    text: str = ""
    missing: Missing | None = None  # not shown here, but once for the whole report
    table: Table | None = None
    charts: Sequence[Chart] = ()
    pictured: Pictured | None = None
    code: Sequence[str] = ()
    folded: tuple[str, Table] | None = None  # a table behind its title
    swatches: Sequence[tuple[str, str, bool]] = ()  # class, colour, whether a target


@dataclass(frozen=True)
class Section:
    """One heading of the page and what stands below it."""

    anchor: str
    title: str
    blocks: tuple[PageBlock, ...]

    @property
    def missing(self) -> list[Missing]:
        """What the section lacks."""
        return [block.missing for block in self.blocks if block.missing]

    @property
    def shown(self) -> Section:
        """The section without what it lacks."""
        return replace(self, blocks=tuple(block for block in self.blocks if not block.missing))


@dataclass(frozen=True)
class Document:
    """A whole report."""

    facts: Facts
    opening: Opening
    summary: str  # what was measured, how
    findings: tuple[PageFinding, ...]
    every_section: tuple[Section, ...]

    @property
    def sections(self) -> list[Section]:
        """Those that show anything."""
        return [section.shown for section in self.every_section if section.shown.blocks]

    @property
    def missing(self) -> list[tuple[Missing, list[str]]]:
        """What any section lacks, each command once, with the titles of the sections."""
        first: dict[str, Missing] = {}
        titles: dict[str, list[str]] = {}
        for section in self.every_section:
            for missing in section.missing:
                first.setdefault(missing.command, missing)
                titles.setdefault(missing.command, []).append(section.title)
        return [(first[command], list(dict.fromkeys(titles[command]))) for command in first]

    @property
    def tables(self) -> list[Table]:
        """All tables, in order."""
        blocks = [block for section in self.sections for block in section.blocks]
        return [t for b in blocks for t in (b.table, b.folded and b.folded[1]) if t]

    @property
    def charts(self) -> list[Chart]:
        """All charts, in order."""
        return [chart for section in self.sections for block in section.blocks for chart in block.charts]

    @property
    def panels(self) -> list[PagePanel]:
        """All pictures, in order."""
        blocks = [block for section in self.sections for block in section.blocks]
        first = self.opening.row.panels if self.opening.row else ()
        return [
            *first,
            *(panel for b in blocks if b.pictured for row in b.pictured.rows for panel in row.panels),
        ]
