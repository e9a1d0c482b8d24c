"""What a run leaves behind for people: history.csv, one row an epoch, and the same for TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import disk, results

FIRST = ("epoch", "step", "rate", "loss")
LAST = ("images_per_second", "seconds")


class History:
    """Rows of `history.csv`; cells of an epoch that was not validated stay empty.

    Parameters
    ----------
    folder
        Of the run.
    figures
        Names of the validation figures.
    epoch
        Epochs done so far. Later rows, of a run that was killed before its checkpoint, are dropped.
    step
        Steps done so far.
    """

    def __init__(self, folder: Path, figures: Sequence[str], epoch: int = 0, step: int = 0) -> None:
        self.path = folder / "history.csv"
        self.columns = (*FIRST, *figures, *LAST)
        kept = [row for row in results.read_history(self.path) if int(row["epoch"]) <= epoch]
        disk.write_text(self.path, self._lines([dict(zip(self.columns, self.columns, strict=True)), *kept]))
        self._board = _board(folder, step)

    def add(self, values: Mapping[str, float]) -> None:
        """One epoch: a value for `FIRST` and `LAST`, and the figures there are."""
        row = {name: _cell(name, values[name]) if name in values else "" for name in self.columns}
        with disk.writing(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._lines([row]))
        if self._board:
            for name, value in values.items():
                if name not in ("epoch", "step", "seconds"):
                    self._board.add_scalar(name, value, int(values["step"]))
            self._board.flush()

    def close(self) -> None:
        if self._board:
            self._board.close()

    def _lines(self, rows: Sequence[Mapping[str, str]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self.columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


def _cell(name: str, value: float) -> str:
    return str(int(value)) if name in ("epoch", "step") else f"{value:.6g}"


def _board(folder: Path, step: int) -> Any:
    """TensorBoard's writer, or None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
