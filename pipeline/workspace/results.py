"""Reading again what was measured: results and evaluations of runs, upper bounds. Needs no PyTorch."""

from __future__ import annotations

import csv
import hashlib
import io
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import advice
from pipeline.errors import AdaprepError
from pipeline.geometry.crops import CENTRAL, WHOLE, Region
from pipeline.samplers import registry
from pipeline.workspace import disk, records, stores
from pipeline.workspace.folders import RunFolder

RISE = 0.005
"""Of mIoU towards the end of a training, above which a run is still improving."""


def complete_runs(space: stores.Workspace, dataset: str) -> list[RunFolder]:
    """The runs that are over, sorted by name."""
    return [run for run in space.runs(dataset) if run.is_over()]


def finished_runs(space: stores.Workspace, dataset: str, network: str) -> list[RunFolder]:
    """Of one of the two networks."""
    return [run for run in complete_runs(space, dataset) if settings_of(run).get("network") == network]


@dataclass(frozen=True)
class Measurement:
    """What `adaprep evaluate` measures: a region of every image, and metrics beside adaprep's own."""

    region: Region = CENTRAL
    metrics: tuple[str, ...] = ()  # package.module:factory


CENTRAL_SQUARE = Measurement()


def is_measured(run: RunFolder, split: str, wanted: Measurement = CENTRAL_SQUARE) -> bool:
    """Whether a run, which is over, was evaluated so on a split with the weights that it has now."""
    path, weights = run.evaluation_file(split, wanted.region), disk.read_json(run.result_file).get("weights")
    if weights is None or not path.exists():
        return False
    found = disk.read_json(path)
    return found.get("weights") == weights and own_metrics(found.get("systems")) >= {*wanted.metrics}


def own_metrics(rows: Any) -> set[str]:
    """Names of the user's own metrics whose figures every row of an evaluation or upper bound holds."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return set()
    return set.intersection(*({*(row.get("metrics") or {})} for row in rows)) if rows else set()


def weights_of(run: RunFolder) -> str | None:
    """Identity of the best weights of a run that is over; None where none is recorded.

    Raises
    ------
    AdaprepError
        The record is damaged.
    """
    result = result_of(run)
    return result.get("weights") if result else None


def settings_of(run: RunFolder) -> dict[str, Any]:
    """What a run was trained with. Raises AdaprepError when the file is damaged."""
    found: dict[str, Any] = about_run(run)["settings"]
    return found


def about_run(run: RunFolder) -> dict[str, Any]:
    """All of a run's settings.json. Raises AdaprepError when the file is damaged."""
    return records.read(run.settings_file, records.SETTINGS)


def result_of(run: RunFolder) -> dict[str, Any] | None:
    """How a run ended, None while it is not over. Raises AdaprepError when the file is damaged."""
    return records.read(run.result_file, records.RESULT) if run.is_over() else None


def region_of(measured: Mapping[str, Any]) -> Region:
    """What of the images an evaluation measured; the first versions measured central squares alone."""
    region: Region = measured.get("region", CENTRAL)
    return region


def evaluation(run: RunFolder, split: str, region: Region = CENTRAL) -> dict[str, Any] | None:
    """The evaluation of a run, None where there is none. Raises AdaprepError when the file is damaged."""
    path = run.evaluation_file(split, region)
    if not path.exists():
        return None
    found = records.read(path, records.EVALUATION)
    if found["run"] != run.name:
        raise AdaprepError(
            f"{path} is of another run, {found['run']}. Delete it: {_evaluate(run, split, region)} makes it."
        )
    if region_of(found) != region:
        raise AdaprepError(
            f"{path} measures the {region_of(found)}, not the {region}. Delete it: "
            f"{_evaluate(run, split, region)} makes it."
        )
    return found


def _evaluate(run: RunFolder, split: str, region: Region) -> str:
    """The command that evaluates a run so."""
    dataset = run.path.parents[1]
    return advice.command(
        "evaluate",
        dataset=dataset.name,
        split=(split,),
        whole_image=region == WHOLE,
        workspace=dataset.parent,
    )


def digest(space: stores.Workspace, dataset: str, split: str) -> str:
    """SHA-256 of every figure that a report on a split shows: measurements, and how runs were trained.

    Of the files' content and names, so that the time of a file and the workspace's place do not count.
    """
    shown = [
        path
        for run in space.runs(dataset)
        for path in (
            run.settings_file,
            run.history_file,
            run.result_file,
            *(run.evaluation_file(split, region) for region in (CENTRAL, WHOLE)),
        )
    ]
    shown.append(space.upper_bound_file(dataset, split))
    found = hashlib.sha256(f"{dataset}/{split}".encode("utf-8", "backslashreplace"))
    for path in sorted(path for path in shown if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        found.update(repr((path.parent.name, path.name, content)).encode())
    return found.hexdigest()


def write(path: Path, facts: Mapping[str, Any]) -> None:
    """Keep what was measured, whole or not at all."""
    disk.write_json(path, facts)


def evaluations(
    space: stores.Workspace,
    dataset: str,
    split: str,
    damaged: list[str] | None = None,
    region: Region = CENTRAL,
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
    found = []
    for run in space.runs(dataset):
        try:
            kept = evaluation(run, split, region)
        except AdaprepError as error:
            if damaged is None:
                raise
            damaged.append(str(error))
            continue
        found += [kept] if kept else []
    return sorted(found, key=order)


def upper_bound(space: stores.Workspace, dataset: str, split: str) -> dict[str, Any] | None:
    """The upper bound that was kept, or None. Raises AdaprepError when the file is damaged."""
    path = space.upper_bound_file(dataset, split)
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
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > disk.MAX_JSON:
            raise ValueError("not a file of the usual size")
        text = path.read_text(encoding="utf-8", errors="replace")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        every = list(reader)
    except (FileNotFoundError, NotADirectoryError):
        return [], 0
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


def trainings(runs: Iterable[RunFolder]) -> dict[str, Training]:
    """By name; nothing of runs whose files are damaged."""
    known = {}
    for run in runs:
        try:
            machine = about_run(run).get("machine", {})
            rows = read_history(run.history_file)
            known[run.name] = Training(machine.get("precision"), still_improving(result_of(run), rows))
        except AdaprepError:
            continue
    return known


def still_improving(result: Mapping[str, Any] | None, history: Sequence[Mapping[str, str]]) -> bool:
    """Whether more epochs may have made a run that is over better.

    So it is where the best epoch is the last, or where validation mIoU still rises. A run without any
    validation is not judged.
    """
    if result is None:
        return False
    checked = [row for row in history if row.get("miou") or row.get("validation_loss")]
    if history and not checked:
        return False
    last = max((int(row["epoch"]) for row in checked), default=int(result["epochs"]))
    return bool(result["best_epoch"] >= last) or rises(checked)


def rises(history: Sequence[Mapping[str, str]]) -> bool:
    """Whether the last fifth of validations, two at least, has a mean half a point above the fifth before."""
    values = [row["miou"] for row in history if row.get("miou")]
    count = max(2, len(values) // 5)
    late, before = (sum(map(float, part)) for part in (values[-count:], values[-2 * count : -count]))
    return len(values) >= 2 * count and late - before > RISE * count


def order(evaluation: Mapping[str, Any]) -> tuple[Any, ...]:
    """Of evaluations in tables: by architecture, resolution, sampler, the rest of the name, and seed."""
    chosen = evaluation["settings"]
    sampler = registry.place(chosen["sampler"])
    return chosen["architecture"], int(chosen["resolution"]), sampler, variant(evaluation), chosen["seed"]


def variant(evaluation: Mapping[str, Any]) -> str:
    """The run's name without its seed: what else is the same differs in it."""
    name, _, end = str(evaluation["run"]).partition(f"-seed{evaluation['settings']['seed']}")
    return name + end
