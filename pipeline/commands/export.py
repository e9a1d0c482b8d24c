"""`adaprep export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline import options as opening
from pipeline import settings
from pipeline.screen import say
from pipeline.settings import setting
from pipeline.train.settings import need_torch

if TYPE_CHECKING:
    from pipeline.datasets.base import ClassTable
    from pipeline.networks.checkpoint import Checkpoint


@dataclass(frozen=True)
class Options:
    """Of `adaprep export`."""

    base: Path = setting(argument=True, metavar="BASE")
    auxiliary: Path | None = setting(None, "Checkpoint of the network that says where BASE is sampled.")
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
        default=None, help="Name or YAML file of the data set, for ids and colors of classes."
    )
    workspace: Path = settings.WORKSPACE()


@opening.command("export", Options)
def command(options: Options) -> None:
    """Write a trained system as files that run without adaprep: ONNX, torch.export, safetensors, a card.

    One program holds the whole system, from an image (1, 3, S, S) of uint8 and any size to the label of every
    pixel. Each is run once, and its labels are compared with PyTorch's. See docs/export.md.

    \b
    Examples:
      adaprep export base.pt --auxiliary auxiliary.pt -o exported
      adaprep export uniform.pt -o exported --format safetensors
    """
    need_torch()
    from pipeline.inference import card, export, loading, systems
    from pipeline.marks import Writer
    from pipeline.workspace.library import adaprep_version

    described = [Path(options.dataset)] if options.dataset else []
    writer = Writer([options.base, options.auxiliary, *described], options.force)
    base = systems.load_base(options.base)
    segmenter = loading.load(options.base, options.auxiliary, factories=options.factories)
    classes = _class_table(base, options)
    about = card.describe(base, segmenter, classes, adaprep_version())
    formats = tuple(name for name in export.FORMATS if name in (options.formats or export.FORMATS))
    job = export.Job(segmenter, about, options.output, formats, options.give, options.parts)
    say(f"exporting {options.base}: programs are made, run once, and compared with PyTorch")
    for written in export.run(job, writer):
        say(written.describe())


def _class_table(base: Checkpoint, options: Options) -> ClassTable | None:
    """Of the data set, where it is known; one that the command names has to be."""
    from pipeline.errors import AdaprepError
    from pipeline.inference.predict import class_table

    try:
        return class_table(base, options.dataset, opening.open_workspace(options.workspace))
    except AdaprepError:
        if options.dataset is not None:
            raise
        return None
