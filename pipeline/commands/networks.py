"""`adaprep networks`."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline import options as opening
from pipeline import settings
from pipeline.screen import print_json
from pipeline.settings import setting


@dataclass(frozen=True)
class Options:
    """Options of `adaprep networks`."""

    classes: int | None = setting(
        None, "Classes of base networks. Default: the paper's, table by table.", low=1
    )
    as_json: bool = settings.JSON()


@opening.command("networks", Options)
def command(options: Options) -> None:
    """List what networks cost, beside the paper's figures: parameters, and 10^9 multiply-adds per image."""
    from pipeline.networks import need_torch

    need_torch()
    from pipeline.evaluation import evaluate as stage
    from pipeline.report import evaluation

    rows = list(stage.costs(options.classes))
    print_json(rows) if options.as_json else evaluation.print_costs(rows)
