"""Imports what commands import, once for all processes that `tests.processes` forks."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np

from pipeline.geometry.proposal import propose

ROOMS = (
    "commands",
    "stages",
    "workspace",
    "samplers",
    "report",
    "evaluation",
    "train",
    "recipes",
    "report.page",
)
LIBRARIES = (
    "zarr", "dask.threaded", "distributed.cli.dask_worker", "distributed.cli.dask_scheduler",
    "PIL.PngImagePlugin", "PIL.JpegImagePlugin", "rich.progress", "pandas", "jinja2",
    "matplotlib.pyplot", "torch.utils.tensorboard",
)  # fmt: skip

for room in ROOMS:
    place = Path(__file__).parents[1].joinpath("pipeline", *room.split("."))
    for path in sorted(place.glob("[!_]*.py")):
        with suppress(ImportError):
            import_module(f"pipeline.{room}.{path.stem}")
for library in ("cli", "tests.processes", "tests.faults.harness", *LIBRARIES):
    with suppress(ImportError):
        import_module(library)

propose(np.eye(16, dtype=np.uint8), [1])  # loads compiled loops
