"""`adaprep export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline import options as opening
from pipeline import settings
from pipeline.networks import need_torch
from pipeline.screen import say
from pipeline.settings import setting

if TYPE_CHECKING:
    from pipeline.datasets.base import ClassTable
    from pipeline.networks.checkpoint import Checkpoint
    from pipeline.workspace.stores import Workspace


@dataclass(frozen=True)
class Options:
    """Options of `adaprep export`."""

    base: str | None = setting(None, argument=True, metavar="[RUN|FILE]", completes="run")
    auxiliary: str | None = setting(
        None,
        "Network that says where it is sampled. Default: the one it was trained with.",
        metavar="RUN|FILE",
        completes="run",
    )
    output: Path = setting(help="Folder for the files.", short="-o")
    formats: tuple[str, ...] = setting(
        (),
        "Only this one; may be given several times. Default: all three.",
        flag="--format",
        choices=("onnx", "torch", "safetensors"),
    )
    give: Literal["labels", "scores"] = setting("labels", "What programs give of every pixel.")
    parts: bool = setting(False, "Also the steps as ONNX files of their own, for phones.")
    force: bool = settings.FORCE()
    factories: tuple[str, ...] = settings.FACTORIES()
    dataset: str | None = settings.DATASET(
        default=None, help="Data set that it was trained on, for ids and colors: name or YAML file."
    )
    workspace: Path = settings.WORKSPACE()


@opening.command("export", Options)
def command(options: Options) -> None:
    """Write a trained system as files that run without adaprep: ONNX, torch.export, safetensors, a card.

    A run's name or a checkpoint; by default the best run in the workspace. One program holds the whole
    system, from an image (1, 3, S, S) of uint8 and any size to the label of every pixel. Each is run once,
    and its labels are compared with PyTorch's. See docs/export.md.

    \b
    Examples:
      adaprep export base.pt -o exported --format torch
      adaprep export uniform.pt -o exported --format safetensors
    """
    need_torch()
    from pipeline.inference import card, choosing, export, loading
    from pipeline.marks import Writer
    from pipeline.stages import chosen as data_sets
    from pipeline.workspace.library import adaprep_version

    space = opening.open_workspace(options.workspace)
    meant = data_sets.find(space, options.dataset) if options.dataset else None
    held = meant.name if meant and meant.folders else None
    chosen = choosing.choose(space, held, options.base, options.auxiliary, options.factories)
    described = [Path(options.dataset)] if options.dataset else []
    writer = Writer([chosen.base.path, chosen.auxiliary, *described], options.force)
    segmenter = loading.load(chosen.base.path, chosen.auxiliary, factories=options.factories)
    about = card.describe(
        chosen.base, segmenter, _class_table(chosen.base, options.dataset, space), adaprep_version()
    )
    formats = tuple(name for name in export.FORMATS if name in (options.formats or export.FORMATS))
    job = export.ExportJob(segmenter, about, options.output, formats, options.give, options.parts)
    export.check(job, writer)
    for note in chosen.notes:
        say(note, err=True)
    say(f"exporting {chosen.base.path}: programs are made, run once, and compared with PyTorch")
    for written in export.run(job, writer):
        say(written.describe())


def _class_table(base: Checkpoint, dataset: str | None, space: Workspace) -> ClassTable | None:
    """Of the data set, where it is known; one that the command names has to be."""
    from pipeline.errors import AdaprepError
    from pipeline.inference.predict import class_table

    try:
        return class_table(base, dataset, space)
    except AdaprepError:
        if dataset is not None:
            raise
        return None
