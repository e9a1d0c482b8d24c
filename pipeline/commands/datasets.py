"""`adaprep datasets`."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline import options as opening
from pipeline import settings
from pipeline.screen import print_json


@dataclass(frozen=True)
class Options:
    """Options of `adaprep datasets`."""

    as_json: bool = settings.JSON()


@opening.command("datasets", Options)
def command(options: Options) -> None:
    """List the data sets that can be read, and where each is looked for."""
    from pipeline.datasets import registry
    from pipeline.report import console

    rows = registry.describe()
    print_json(rows) if options.as_json else console.print_datasets(rows)
