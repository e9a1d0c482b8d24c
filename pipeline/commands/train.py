"""`adaprep train`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline import options as opening
from pipeline import settings
from pipeline.commands.output import State, finish, together
from pipeline.networks import need_torch
from pipeline.screen import say
from pipeline.train.settings import Request


@dataclass(frozen=True)
class Options:
    """Options of `adaprep train`."""

    request: Request = field(default_factory=Request)
    dataset: str | None = settings.HELD()
    root: Path | None = settings.MOVED()
    dry_run: bool = settings.DRY_RUN()
    workspace: Path = settings.WORKSPACE()


@opening.command("train", Options)
def command(options: Options) -> None:
    """Train the auxiliary network on proposals, and a base network on what it samples.

    Samples what is missing, resumes where an earlier run stopped, and skips what is complete. Runs lie in
    the workspace, in DATASET/runs.

    \b
    Examples:
      adaprep train
      adaprep train --sampler uniform --resolution 128 --epochs 100
      adaprep train --network auxiliary --aux-loss energy --weight-decay 0.01 --augment contrast=0.4
      torchrun --nproc-per-node 4 -m adaprep train --architecture package.module:factory
    """
    finish(run(options))


def run(options: Options) -> bool:
    """Train or plan; whether every image could be used."""
    need_torch()
    from pipeline.report import console
    from pipeline.train import command as stage

    space = opening.open_workspace(options.workspace)
    stage.check(options.request)
    checkpoint = opening.weights(options.request.checkpoint, options.workspace, options.dataset)
    finetune = opening.weights(options.request.finetune, options.workspace, options.dataset)
    request = replace(options.request, checkpoint=checkpoint, finetune=finetune)
    dataset = opening.in_workspace(space, options.dataset, options.root, not options.dry_run)
    if options.dry_run:
        for planned in stage.plan(space, dataset, request, options.root):
            say(planned.describe(), needed=True)
        return True
    hooks = stage.Hooks(
        console.listener,
        console.print_summary,
        lambda result: say(result.describe()),
        say,
    )
    return stage.run(space, dataset, request, hooks, options.root)


def state(options: Options) -> State:
    """How far the runs are. Raises AdaprepError where one was made with other settings."""
    from pipeline.train import command as stage

    space = opening.open_workspace(options.workspace)
    dataset = opening.in_workspace(space, options.dataset, options.root, keep=False)
    planned = stage.plan(space, dataset, options.request, options.root)
    words: dict[str, State] = {"new": "to do", "interrupted": "begun", "complete": "done"}
    return together({words[one.state] for one in planned})
