"""Where a workspace keeps what was measured, and reading it again. Needs no PyTorch.

WORKSPACE/DATASET/
  upper-bound-SPLIT.json             what `adaprep upper-bound --save` found
  runs/NAME/settings.json            what a network was trained with
  runs/NAME/history.csv              one row an epoch
  runs/NAME/result.json              there once the run is over
  runs/NAME/evaluation-SPLIT.json    what `adaprep evaluate` found for a base network
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import AdaprepError
from pipeline.names import check_component
from pipeline.workspace import disk, records, stores

NAMES = {"uniform": "uniform", "auxiliary": "predicted", "proposal": "proposals"}
"""Samplers in the order of tables, with their words there: the baseline, an auxiliary network's tensors, the
ground truth's own proposals."""

RISE = 0.005
"""Of mIoU towards the end of a training, above which a run is still improving."""


def runs_folder(space: stores.Workspace, dataset: str) -> Path:
    """Where the runs of a data set lie."""
    return space.dataset_folder(dataset) / "runs"


def complete_runs(space: stores.Workspace, dataset: str) -> list[Path]:
    """Folders of the runs that are over, sorted by name."""
    return sorted(path.parent for path in runs_folder(space, dataset).glob("*/result.json"))


def finished_runs(space: stores.Workspace, dataset: str, network: str) -> list[Path]:
    """Of one of the two networks."""
    return [run for run in complete_runs(space, dataset) if settings_of(run).get("network") == network]


def is_measured(run: Path, split: str) -> bool:
    """Whether a run, which is over, was evaluated on a split with the weights that it has now."""
    path = evaluation_path(run, split)
    weights = disk.read_json(run / "result.json").get("weights")
    return weights is not None and path.exists() and disk.read_json(path).get("weights") == weights


def settings_of(run: Path) -> dict[str, Any]:
    """What a run was trained with. Raises AdaprepError when the file is damaged."""
    found: dict[str, Any] = about_run(run)["settings"]
    return found


def about_run(run: Path) -> dict[str, Any]:
    """All of a run's settings.json. Raises AdaprepError when the file is damaged."""
    return records.read(run / "settings.json", records.SETTINGS)


def result_of(run: Path) -> dict[str, Any] | None:
    """How a run ended, None while it is not over. Raises AdaprepError when the file is damaged."""
    path = run / "result.json"
    return records.read(path, records.RESULT) if path.exists() else None


def evaluation_path(run: Path, split: str) -> Path:
    """Where the evaluation of a run on a split is kept."""
    return run / f"evaluation-{check_component('name of the split', split)}.json"


def evaluation(run: Path, split: str) -> dict[str, Any] | None:
    """The evaluation of a run, None where there is none. Raises AdaprepError when the file is damaged."""
    path = evaluation_path(run, split)
    if not path.exists():
        return None
    found = records.read(path, records.EVALUATION)
    if found["run"] != run.name:
        raise AdaprepError(f"{path} is of another run, {found['run']}. Delete it: adaprep evaluate makes it.")
    return found


def digest(space: stores.Workspace, dataset: str, split: str) -> str:
    """SHA-256 of every figure that a report on a split shows: measurements, and how runs were trained.

    Of the files' content and names, so that the time of a file and the workspace's place do not count.
    """
    runs, names = runs_folder(space, dataset), ("settings.json", "history.csv", "result.json")
    shown = [
        path for name in (*names, evaluation_path(Path(), split).name) for path in runs.glob(f"*/{name}")
    ]
    shown.append(upper_bound_path(space, dataset, split))
    found = hashlib.sha256(f"{dataset}/{split}".encode("utf-8", "backslashreplace"))
    for path in sorted(path for path in shown if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        found.update(repr((path.parent.name, path.name, content)).encode())
    return found.hexdigest()


def upper_bound_path(space: stores.Workspace, dataset: str, split: str) -> Path:
    """Where the upper bound on a split is kept."""
    return space.dataset_folder(dataset) / f"upper-bound-{check_component('name of the split', split)}.json"


def write(path: Path, facts: Mapping[str, Any]) -> None:
    """Keep what was measured, whole or not at all."""
    disk.write_json(path, facts)


def evaluations(
    space: stores.Workspace, dataset: str, split: str, damaged: list[str] | None = None
) -> list[dict[str, Any]]:
    """The evaluations there are, sorted by architecture, resolution, sampler and seed.

    Parameters
    ----------
    damaged
        Takes a sentence for each that cannot be used; the others are returned all the same.

    Raises
    ------
    AdaprepError
        One cannot be used, and no list is given.
    """
    name = evaluation_path(Path(), split).name
    found = []
    for path in sorted(runs_folder(space, dataset).glob(f"*/{name}")):
        try:
            kept = evaluation(path.parent, split)
        except AdaprepError as error:
            if damaged is None:
                raise
            damaged.append(str(error))
            continue
        found += [kept] if kept else []
    return sorted(found, key=order)


def upper_bound(space: stores.Workspace, dataset: str, split: str) -> dict[str, Any] | None:
    """The upper bound that was kept, or None. Raises AdaprepError when the file is damaged."""
    path = upper_bound_path(space, dataset, split)
    return records.read(path, records.BOUND) if path.exists() else None


def read_history(path: Path) -> list[dict[str, str]]:
    """The sound rows of a history.csv, none where there is no file. Raises as `parse_history`."""
    return parse_history(path)[0]


def parse_history(path: Path) -> tuple[list[dict[str, str]], int]:
    """The sound rows of a history.csv, and how many others there are, the last one aside.

    Sound: a whole number in `epoch`, a number or nothing in every other column.

    Raises
    ------
    AdaprepError
        The file cannot be read at all.
    """
    if not path.exists():
        return [], 0
    try:
        if not path.is_file() or path.stat().st_size > disk.MAX_JSON:
            raise ValueError("not a file of the usual size")
        text = path.read_text(encoding="utf-8", errors="replace")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        every = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise AdaprepError(f"cannot read {path}: {error}. Delete it: the run goes on without it.") from error
    if "epoch" not in (reader.fieldnames or ()):
        return [], max(1, len(every))
    return [row for row in every if _is_sound(row)], sum(not _is_sound(row) for row in every[:-1])


def _is_sound(row: Mapping[Any, Any]) -> bool:
    if None in row or None in row.values() or not str(row.get("epoch", "")).isdecimal():
        return False
    return len(row["epoch"]) < 10 and all(value == "" or _is_number(value) for value in row.values())


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Training:
    """What is known of how a run was trained beside its settings."""

    precision: str | None = None
    improving: bool = False


def trainings(runs: Iterable[Path]) -> dict[str, Training]:
    """By name; nothing of runs whose files are damaged."""
    known = {}
    for run in runs:
        try:
            machine = about_run(run).get("machine", {})
            rows = read_history(run / "history.csv")
            known[run.name] = Training(machine.get("precision"), still_improving(result_of(run), rows))
        except AdaprepError:
            continue
    return known


def still_improving(result: Mapping[str, Any] | None, history: Sequence[Mapping[str, str]]) -> bool:
    """Whether more epochs may have made a run that is over better.

    So it is where the best epoch is the last, or where validation mIoU still rises: the mean of the last
    fifth of the validations, at least two, is more than half a point above that of as many before. A run
    without any validation is not judged.
    """
    if result is None:
        return False
    checked = [row for row in history if row.get("miou") or row.get("validation_loss")]
    if history and not checked:
        return False
    last = max((int(row["epoch"]) for row in checked), default=int(result["epochs"]))
    return bool(result["best_epoch"] >= last) or _rises([row.get("miou") or "nan" for row in checked])


def _rises(values: Sequence[str]) -> bool:
    count = max(2, len(values) // 5)
    late, before = (sum(map(float, part)) for part in (values[-count:], values[-2 * count : -count]))
    return len(values) >= 2 * count and late - before > RISE * count


def order(evaluation: Mapping[str, Any]) -> tuple[Any, ...]:
    """Of evaluations in tables: by architecture, resolution, sampler, the rest of the name, and seed."""
    chosen = evaluation["settings"]
    sampler = list(NAMES).index(chosen["sampler"])
    return chosen["architecture"], int(chosen["resolution"]), sampler, variant(evaluation), chosen["seed"]


def variant(evaluation: Mapping[str, Any]) -> str:
    """The run's name without its seed: what else is the same differs in it."""
    name, _, end = str(evaluation["run"]).partition(f"-seed{evaluation['settings']['seed']}")
    return name + end
