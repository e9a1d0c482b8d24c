"""The command line: each command is a module of `pipeline.commands`, imported when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

import adaprep  # noqa: F401  (first: it sees to it that `pipeline` is ours)
from pipeline.options import talk_options
from pipeline.screen import prepare_streams, say, told_as_sentences

SUMMARIES = {
    "demo": "run everything on generated street scenes",
    "datasets": "list the data sets that can be read",
    "init": "describe a folder of your own in a YAML file",
    "check": "look at a data set before working on it",
    "convert": "write any data set's labels as PNG files of ids",
    "boundaries": "label maps to target boundaries and nearest boundaries",
    "solve-tensors": "nearest boundaries to sampling tensors",
    "upper-bound": "measure what sampling and interpolation keep",
    "boundary-error": "measure the error at boundaries (Appendix A)",
    "networks": "list what networks cost",
    "sample": "sample images and label maps into small training sets",
    "train": "train the auxiliary and the base network",
    "run": "run a whole experiment from one YAML file",
    "evaluate": "score trained networks at full resolution",
    "report": "write an HTML page of tables and figures",
    "predict": "label images of any size",
    "export": "write a trained system as ONNX, torch.export and safetensors",
    "show": "draw boundaries and sample points of one image",
    "status": "say what the workspace holds, and how complete",
    "verify": "check the stores against their sources",
}
"""The commands in the order in which they are used, each in a few words: no module is imported for them."""


class Modules(Mapping[str, click.Command]):
    """The commands by name."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in SUMMARIES:
            raise KeyError(name)
        module = importlib.import_module(f"pipeline.commands.{name.replace('-', '_')}")
        found: click.Command = module.command
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(SUMMARIES)

    def __len__(self) -> int:
        return len(SUMMARIES)


class Commands(click.Group):
    """Imports a command when it is called, and turns the errors written for people into one sentence."""

    def __init__(self, **about: Any) -> None:
        super().__init__(**about)
        self.commands = Modules()  # type: ignore[assignment]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUMMARIES)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        prepare_streams()
        with told_as_sentences():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with told_as_sentences():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            stopped = "stopped; what is finished is kept: run the same command again to resume"
            say(stopped, err=True, needed=True)
            sys.exit(130)


CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "auto_envvar_prefix": "ADAPREP",  # ADAPREP_TRAIN_EPOCHS=3 is `adaprep train --epochs 3`
}


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(package_name="adaprep", prog_name="adaprep")
@talk_options
def main(**_: Any) -> None:
    """Prepare data for segmentation networks that look where it matters.

    From label maps to sampling tensors that pull sample points towards the boundaries of your target classes.

    \b
    On a new data set:
      adaprep datasets                                  what can be read, and where it is looked for
      adaprep check --dataset camvid                    is everything there and as it should be
      adaprep boundaries --dataset camvid               label maps -> nearest boundaries
      adaprep solve-tensors --lambda 1                  nearest boundaries -> sampling tensors
      adaprep show 0 --dataset camvid                   a picture of one image's sample points
      adaprep verify                                    check the results against their sources

    Without data: adaprep demo
    """


if __name__ == "__main__":
    main()
