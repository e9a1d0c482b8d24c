"""Reading again what was measured: results and evaluations of runs, upper bounds. Needs no PyTorch."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import AdaprepError
from pipeline.samplers import registry
from pipeline.samplers.base import Sampler
from pipeline.samplers.uniform import Uniform
from pipeline.workspace import disk, records, stores
from pipeline.workspace.folders import RunFolder


def complete_runs(space: stores.Workspace, dataset: str) -> list[RunFolder]:
    """The runs that are over, sorted by name."""
    return [run for run in space.runs(dataset) if run.is_over()]


def finished_runs(space: stores.Workspace, dataset: str, network: str) -> list[RunFolder]:
    """Of one of the two networks."""
    return [run for run in complete_runs(space, dataset) if settings_of(run).get("network") == network]


def is_measured(run: RunFolder, split: str) -> bool:
    """Whether a run, which is over, was evaluated on a split with the weights that it has now."""
    path = run.evaluation_file(split)
    weights = disk.read_json(run.result_file).get("weights")
    return weights is not None and path.exists() and disk.read_json(path).get("weights") == weights


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


def evaluation(run: RunFolder, split: str) -> dict[str, Any] | None:
    """The evaluation of a run, None where there is none. Raises AdaprepError when the file is damaged."""
    path = run.evaluation_file(split)
    if not path.exists():
        return None
    found = records.read(path, records.EVALUATION)
    if found["run"] != run.name:
        raise AdaprepError(f"{path} is of another run, {found['run']}. Delete it: adaprep evaluate makes it.")
    return found


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
    found = []
    for run in space.runs(dataset):
        try:
            kept = evaluation(run, split)
        except AdaprepError as error:
            if damaged is None:
                raise
            damaged.append(str(error))
            continue
        found += [kept] if kept else []
    return sorted(found, key=_order)


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
class Spread:
    """One figure over several seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the sample; None for a single seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seeds."""

    architecture: str
    sampler: str
    resolution: int
    variant: str  # the runs' name without the seed
    tag: str  # that was given with --tag, or nothing
    seeds: tuple[int, ...]
    gmacs: float
    evaluations: tuple[dict[str, Any], ...]

    @property
    def kind(self) -> type[Sampler]:
        """What is known of their sampler."""
        return registry.kind(self.sampler)

    def figure(self, name: str) -> Spread | None:
        """A figure of the systems' rows, "trimap_N" that of width N; None where a run has none."""
        rows = [found["systems"][0] for found in self.evaluations]
        kind, _, width = name.partition("_")
        values = [row["trimap"].get(width) if kind == "trimap" else row.get(name) for row in rows]
        return None if None in values else Spread(tuple(map(float, values)))


def groups(found: Iterable[Mapping[str, Any]]) -> list[Group]:
    """Evaluations that measured something and differ in nothing but the seed, together."""
    together: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for evaluation in sorted((one for one in found if one["systems"]), key=_order):
        together.setdefault(_order(evaluation)[:-1], []).append(dict(evaluation))
    return [_group(members) for members in together.values()]


def baseline(group: Group, found: Iterable[Group]) -> Group | None:
    """What a group is compared with: uniform samples for the same architecture at the same resolution.

    Of the same tag, else the only one, else the one without a tag; None where there is no such group.
    """
    place = (group.architecture, group.resolution)
    beside = [g for g in found if g.kind.role == Uniform.role and (g.architecture, g.resolution) == place]
    same = [g for g in beside if g.tag == group.tag]
    plain = beside if len(beside) == 1 else [g for g in beside if not g.tag]
    return next(iter(same or plain), None)


def words(found: Sequence[Group]) -> list[str]:
    """What tells each group from others of its architecture, sampler and resolution; empty where none is."""
    places = [(g.architecture, g.sampler, g.resolution) for g in found]
    rests = [g.variant.partition(f"-{g.resolution}")[2].strip("-") or "default" for g in found]
    return [rest if places.count(place) > 1 else "" for rest, place in zip(rests, places, strict=True)]


def _group(members: list[dict[str, Any]]) -> Group:
    chosen, system = members[0]["settings"], members[0]["systems"][0]
    seeds = tuple(int(member["settings"]["seed"]) for member in members)
    return Group(
        chosen["architecture"],
        chosen["sampler"],
        int(chosen["resolution"]),
        _variant(members[0]),
        str(members[0]["run"]).partition(f"-seed{seeds[0]}")[2].removeprefix("-"),
        seeds,
        float(system["gmacs"]),
        tuple(members),
    )


def _order(evaluation: Mapping[str, Any]) -> tuple[Any, ...]:
    chosen = evaluation["settings"]
    sampler = registry.place(chosen["sampler"])
    return chosen["architecture"], int(chosen["resolution"]), sampler, _variant(evaluation), chosen["seed"]


def _variant(evaluation: Mapping[str, Any]) -> str:
    """The run's name without its seed: what else is the same differs in it."""
    name, _, end = str(evaluation["run"]).partition(f"-seed{evaluation['settings']['seed']}")
    return name + end
