"""The folder of one training run: what it was made with, whether it is over, and who may go on with it.

WORKSPACE/DATASET/runs/NAME/
  settings.json     everything that shaped the weights; compared before the run goes on
  last.pt           where to go on; once the run is over, without the optimiser's state
  best.pt           the weights of the best validation
  history.csv       one row an epoch
  result.json       there when the run is over
  events.out...     the history for TensorBoard
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import AdaprepError
from pipeline.geometry.crops import CENTRAL
from pipeline.units import several
from pipeline.workspace import disk, records, stores
from pipeline.workspace.folders import RunFolder

State = Literal["new", "interrupted", "complete"]

LATER: Mapping[str, Any] = {
    "filter": "nearest",
    "class_weights": "none",
    "weight_by_class": None,
    "loss": "cross-entropy",
    "area_weight": 0.0,
    "tensor_channels": False,
    "region": CENTRAL,
    "patience": 0,
}
"""Settings that came later, and what runs that do not record them were trained with."""

LATER_STRENGTHS: Mapping[str, float] = {"zoom": 0.0, "turn": 0.0}
"""The same of augmentation."""

_FILES = ("settings.json", "history.csv", "result.json", "last.pt", "best.pt")
_OURS = re.compile(
    rf"({'|'.join(map(re.escape, _FILES))}|(evaluation|whole-image)-[^/]+\.json)({disk.PARTIAL})?"
    r"|\.lock|events\.out\.tfevents\.[^/]+"
)
"""The files of a run."""


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    name: str
    path: Path
    epochs: int
    best_epoch: int
    figures: dict[str, float]  # of the best epoch's validation; of training where there is none
    seconds: float
    skipped: bool = False  # it was over before

    def describe(self) -> str:
        """One line for people."""
        figures = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in self.figures.items())
        took = f"{several(self.epochs, 'epoch')} in {self.seconds:.0f} s"
        done = "complete already" if self.skipped else took
        return f"{self.name}: {done}; best at epoch {self.best_epoch}: {figures} -> {self.path}"


@dataclass(frozen=True)
class Run(RunFolder):
    """One run, there or not yet, and what it is made with."""

    settings: Mapping[str, Any]  # plain data: all that shapes the weights, flat

    def state(self, overwrite: bool = False) -> State:
        """What is there already.

        Raises
        ------
        AdaprepError
            A run of this name was made with other settings: each is named with both values.
        """
        about = self.settings_file
        if overwrite or not about.exists():
            return "new"
        stored = disk.read_json(about).get("settings")
        if not isinstance(stored, dict):
            raise AdaprepError(
                f"{about} is damaged: it has no settings, so that nothing says what the run was made with. "
                f"Use --overwrite to start it again, or --tag WORD to keep both."
            )
        lines = _differences(stored, _plain(self.settings))
        if lines:
            listed = "\n".join(f"  {line}" for line in lines)
            raise AdaprepError(
                f"the run {self.path} was made with other settings:\n{listed}\n"
                f"Use --overwrite to start it again, or --tag WORD to keep both."
            )
        return "complete" if self.is_over() else "interrupted"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other adaprep out. Raises AdaprepError when one is at work here."""
        with disk.lock(self.path):
            disk.clear_partial(self.path, *_FILES)
            try:
                yield
            finally:
                self._vanish()

    def _vanish(self) -> None:
        """Leave no folder behind of a run that did not even begin."""
        with suppress(OSError):
            if [path.name for path in self.path.iterdir()] == [".lock"]:
                (self.path / ".lock").unlink()
                self.path.rmdir()

    def abandon(self) -> None:
        """Take back `begin` where nothing was learnt yet, so that other settings can be tried.

        To be called while the run is locked. Nothing is deleted once there are weights to go on from.
        """
        if self.last.exists() or self.is_over():
            return
        for path in self.path.iterdir():
            if path.name != ".lock" and _OURS.fullmatch(path.name):
                disk.delete(path, self.path)

    def begin(self, machine: Mapping[str, Any]) -> None:
        """Empty the folder and write the settings; `machine` is recorded beside them and not compared.

        Raises
        ------
        AdaprepError
            The folder is none of a run in a workspace, or holds what no run makes: nothing is deleted.
        """
        workspace = self.path.parents[2]
        with disk.writing(self.path):
            disk.check_deletable(self.path, workspace, lambda name: _OURS.fullmatch(name) is not None)
            there = {path.name for path in self.path.iterdir()}
            if "settings.json" not in there and there - {".lock"}:
                raise AdaprepError(
                    f"{self.path} is not emptied: it holds {min(there - {'.lock'})} but no settings.json, "
                    f"so it may be no run of adaprep. Move it elsewhere, or delete it by hand."
                )
            for name in sorted(there - {".lock", "settings.json"}, key=lambda name: name != "result.json"):
                disk.delete(self.path / name, workspace)
        content = {"settings": _plain(self.settings), "machine": dict(machine), "versions": versions()}
        disk.write_json(self.settings_file, content)

    def machine(self) -> dict[str, Any]:
        """What `begin` recorded."""
        recorded = disk.read_json(self.settings_file).get("machine", {})
        return recorded if isinstance(recorded, dict) else {}

    def finish(self, result: Result, weights: str) -> None:
        """Say that the run is over; `weights` is the identity of those of the best epoch."""
        content = {
            "epochs": result.epochs,
            "best_epoch": result.best_epoch,
            "figures": result.figures,
            "seconds": result.seconds,
            "weights": weights,
        }
        disk.write_json(self.result_file, content)

    def result(self) -> Result:
        """How the run, which is over, ended."""
        found = records.read(self.result_file, records.RESULT)
        figures = {k: math.nan if v is None else float(v) for k, v in found["figures"].items()}
        return Result(
            self.name, self.path, found["epochs"], found["best_epoch"], figures, found["seconds"] or 0.0, True
        )


def versions() -> dict[str, str]:
    """What trains."""
    import torch

    return {**stores.versions(), "torch": torch.__version__}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As it will be read again."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def _differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    theirs, ours = {**LATER, **stored}, {**LATER, **wanted}
    return [
        f"{name}: {json.dumps(theirs.get(name))} in the run, {json.dumps(ours.get(name))} asked for"
        for name in sorted({*theirs, *ours})
        if theirs.get(name) != ours.get(name)
    ]
