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
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import disk, stores

NAMES = {"uniform": "uniform", "auxiliary": "predicted", "proposal": "proposals"}
"""Samplers in the order of tables, with their words there: the baseline, an auxiliary network's tensors, the
ground truth's own proposals."""


def runs_folder(space: stores.Workspace, dataset: str) -> Path:
    """Where the runs of a data set lie."""
    return space.path / dataset / "runs"


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
    found: dict[str, Any] = disk.read_json(run / "settings.json")["settings"]
    return found


def evaluation_path(run: Path, split: str) -> Path:
    """Where the evaluation of a run on a split is kept."""
    return run / f"evaluation-{split}.json"


def upper_bound_path(space: stores.Workspace, dataset: str, split: str) -> Path:
    """Where the upper bound on a split is kept."""
    return space.path / dataset / f"upper-bound-{split}.json"


def write(path: Path, facts: Mapping[str, Any]) -> None:
    """Keep what was measured, whole or not at all."""
    disk.write_text(path, json.dumps(facts, ensure_ascii=False, indent=2) + "\n")


def evaluations(space: stores.Workspace, dataset: str, split: str) -> list[dict[str, Any]]:
    """The evaluations there are, sorted by architecture, resolution, sampler and seed."""
    paths = sorted(runs_folder(space, dataset).glob(f"*/{evaluation_path(Path(), split).name}"))
    return sorted(map(disk.read_json, paths), key=_order)


def upper_bound(space: stores.Workspace, dataset: str, split: str) -> dict[str, Any] | None:
    """The upper bound that was kept, or None."""
    path = upper_bound_path(space, dataset, split)
    return disk.read_json(path) if path.exists() else None


def histories(space: stores.Workspace, dataset: str) -> dict[str, list[dict[str, str]]]:
    """The rows of every run's history.csv, by the run's name."""
    return {
        path.parent.name: read_history(path)
        for path in sorted(runs_folder(space, dataset).glob("*/history.csv"))
    }


def read_history(path: Path) -> list[dict[str, str]]:
    """The rows of a history.csv, none where there is no file; a line cut short by a kill is left out."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]


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

    def figure(self, name: str) -> Spread | None:
        """A figure of the systems' rows, "trimap_N" that of width N; None where a run has none."""
        rows = [found["systems"][0] for found in self.evaluations]
        kind, _, width = name.partition("_")
        values = [row["trimap"][width] if kind == "trimap" else row[name] for row in rows]
        return None if None in values else Spread(tuple(map(float, values)))


def groups(found: Iterable[Mapping[str, Any]]) -> list[Group]:
    """Evaluations that differ in nothing but the seed, together."""
    together: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for evaluation in sorted(found, key=_order):
        together.setdefault(_order(evaluation)[:-1], []).append(dict(evaluation))
    return [_group(members) for members in together.values()]


def baseline(group: Group, found: Iterable[Group]) -> Group | None:
    """What a group is compared with: uniform samples for the same architecture at the same resolution.

    Of the same tag, else the only one, else the one without a tag; None where there is no such group.
    """
    place = (group.architecture, group.resolution)
    beside = [g for g in found if g.sampler == "uniform" and (g.architecture, g.resolution) == place]
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
    sampler = list(NAMES).index(chosen["sampler"])
    return chosen["architecture"], int(chosen["resolution"]), sampler, _variant(evaluation), chosen["seed"]


def _variant(evaluation: Mapping[str, Any]) -> str:
    """The run's name without its seed: what else is the same differs in it."""
    name, _, end = str(evaluation["run"]).partition(f"-seed{evaluation['settings']['seed']}")
    return name + end
