"""What the shell is told when somebody presses TAB: names of data sets, splits, images and runs.

Whatever goes wrong, nothing is offered: a shell waits for the answer, and shows no errors.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from pipeline import settings
from pipeline.names import printable

if TYPE_CHECKING:
    from pipeline.workspace.stores import SplitFolder, Workspace

MOST = 1000
"""Names that are offered at once."""

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def of(kind: str) -> Complete | None:
    """What completes values of a kind: "dataset", "image", "run" and so on; None for others."""
    offered = {
        "dataset": datasets,
        "split": splits,
        "image": images,
        "run": runs,
        "device": devices,
    }.get(kind)
    return None if offered is None else functools.partial(_completed, offered)


def _completed(
    offered: Callable[[click.Context, str], Iterable[str]],
    context: click.Context,
    parameter: click.Parameter,
    begun: str,
) -> list[CompletionItem]:
    try:
        names = dict.fromkeys(name for name in offered(context, begun) if name.startswith(begun))
    except Exception:  # a damaged workspace is told by the command, not by TAB
        return []
    return [CompletionItem(name) for name in list(names)[:MOST] if printable(name) == name]


def datasets(context: click.Context, begun: str) -> Iterable[str]:
    """Those of the workspace, those that adaprep brings, and YAML files."""
    from pipeline.datasets import registry

    return [*_workspace(context).datasets(), *registry.names(), *_files(begun, (".yaml", ".yml"))]


def splits(context: click.Context, begun: str) -> Iterable[str]:
    """Those that the workspace holds of the data set, and those that an own or a built-in one has."""
    held = [folder.split for folder in _folders(context)]
    return [*held, *(name for name in ("train", "val", "test") if not held)]


def images(context: click.Context, begun: str) -> Iterable[str]:
    """Names of the images that are listed in the workspace; the last part of them, where that is enough."""
    from pipeline.stages.input_list import first_names

    wanted = context.params.get("split") or ()
    for folder in _folders(context):
        if not wanted or folder.split in wanted:
            for name, *_ in first_names(folder.inputs):
                yield name if name.startswith(begun) else name.rpartition("/")[2]


def runs(context: click.Context, begun: str) -> Iterable[str]:
    """Runs of the workspace that have weights, and files of weights."""
    space = _workspace(context)
    named = context.params.get("dataset")
    found = [run for name in space.datasets() if named in (None, name) for run in space.runs(name)]
    return [*(run.name for run in found if run.best.exists()), *_files(begun, (".pt",))]


def devices(context: click.Context, begun: str) -> Iterable[str]:
    return ("auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps")


def _workspace(context: click.Context) -> Workspace:
    from pipeline.workspace.stores import Workspace

    given = context.params.get("workspace") or os.environ.get("ADAPREP_WORKSPACE")
    return Workspace(Path(given or settings.DEFAULT_WORKSPACE))


def _folders(context: click.Context) -> list[SplitFolder]:
    named = context.params.get("dataset")
    space = _workspace(context)
    return [folder for folder in space.described() if named in (None, folder.dataset)]


def _files(begun: str, suffixes: tuple[str, ...]) -> Iterable[str]:
    """Files with one of these suffixes, and folders, in the folder that is being typed."""
    typed = os.path.dirname(begun)
    with os.scandir(os.path.expanduser(typed) or ".") as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not entry.name.startswith("."):
                path = os.path.join(typed, entry.name)
                if entry.is_dir():
                    yield path + "/"
                elif entry.name.endswith(suffixes):
                    yield path
