"""What a run leaves behind for people: history.csv, one row an epoch, and the same for TensorBoard."""

from __future__ import annotations

import csv
import functools
import importlib.util
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.workspace import disk, results
from pipeline.workspace.mirror import Mirror

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
        kept = self._kept(epoch)
        disk.write_text(self.path, self._lines([dict(zip(self.columns, self.columns, strict=True)), *kept]))
        self._mirror = Mirror(folder)
        self._board = _board(self._mirror.path, step)

    def add(self, values: Mapping[str, float]) -> None:
        """One epoch: a value for `FIRST` and `LAST`, and the figures there are."""
        row = {name: _cell(name, values[name]) if name in values else "" for name in self.columns}
        disk.append(self.path, self._lines([row]))
        self._tell(lambda board: self._add(board, values))

    def _add(self, board: Any, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if name not in ("epoch", "step", "seconds"):
                board.add_scalar(name, value, int(values["step"]))
        board.flush()
        self._mirror.put()

    def rises(self) -> bool:
        """Whether validation still does."""
        return results.rises(self._kept(sys.maxsize))

    def close(self) -> None:
        self._tell(lambda board: board.close())
        self._tell(lambda board: self._mirror.close())

    def _kept(self, epoch: int) -> list[dict[str, str]]:
        """Rows of the epochs that are done; what is damaged is left out: last.pt has what counts."""
        try:
            rows = results.read_history(self.path)
        except (AdaprepError, OSError, ValueError, csv.Error) as error:
            _say(f"the rows of {self.path} so far are lost: {error}")
            return []
        usual = [row for row in rows if set(row) == set(self.columns) and str(row["epoch"]).isdecimal()]
        return [row for row in usual if int(row["epoch"]) <= epoch]

    def _tell(self, action: Callable[[Any], None]) -> None:
        """Do something with TensorBoard's writer, and without it from the first failure on."""
        if self._board is None:
            return
        try:
            action(self._board)
        except Exception as error:
            self._board = None
            _say(_without_board(error))

    def _lines(self, rows: Sequence[Mapping[str, str]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self.columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


def _cell(name: str, value: float) -> str:
    return str(int(value)) if name in ("epoch", "step") else f"{value:.6g}"


def _board(folder: Path, step: int) -> Any:
    """TensorBoard's writer, or None where it is not installed or does not start: the run needs it not."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(folder), purge_step=step + 1)
    except Exception as error:  # a broken package may raise anything
        _say(_without_board(error))
        return None


def _without_board(error: Exception) -> str:
    said = printable(f"{type(error).__name__}: {error}").splitlines()[0][:200]
    return f"TensorBoard does not work here ({said}): history.csv is written, event files are not"


@functools.cache
def _say(message: str) -> None:
    """A note for the person at the keyboard, once."""
    print(f"note: {message}", file=sys.stderr, flush=True)
