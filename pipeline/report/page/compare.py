"""What the evaluations of several runs say together: systems over seeds, and gains over the baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.samplers import registry
from pipeline.samplers.predicted import Predicted
from pipeline.samplers.uniform import Uniform
from pipeline.workspace import results
from pipeline.workspace.results import Group, Spread

Measure = Callable[[dict[str, Any]], float | None]
"""One figure of an evaluation's row; None where there is nothing to measure."""

SAME_COST = 0.05
"""Systems whose costs differ by no larger part cost the same."""


@dataclass(frozen=True)
class System:
    """Runs that differ in nothing but their seeds, with the words that stand for them."""

    group: Group
    word: str  # what tells it from others of the same architecture, sampler and resolution; else empty

    @property
    def key(self) -> tuple[str, int]:
        """What two systems share that can be compared: architecture and resolution."""
        return self.group.architecture, self.group.resolution

    @property
    def role(self) -> str:
        """Of its sampler: ours, reference, control or baseline."""
        return self.group.kind.role

    @property
    def sampler(self) -> str:
        return self.group.kind.word + (f" ({self.word})" if self.word else "")

    @property
    def line(self) -> str:
        """Of a curve: the same at every resolution."""
        return f"{self.group.architecture}, {self.sampler}"

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The figures of each seed."""
        return [found["systems"][0] for found in self.group.evaluations]

    def spread(self, measure: Measure) -> Spread | None:
        """A figure over the seeds; None where any of them has none."""
        values = [measure(row) for row in self.rows]
        known = [value for value in values if value is not None]
        return Spread(tuple(known)) if known and len(known) == len(values) else None


@dataclass(frozen=True)
class Gain:
    """A system beside the uniform baseline of the same architecture, of the same resolution or cost."""

    ours: System
    baseline: System

    def difference(self, measure: Measure) -> Spread | None:
        """Ours less baseline: seed by seed where both have the same seeds, else of the two means."""
        ours, base = self.ours.spread(measure), self.baseline.spread(measure)
        if ours is None or base is None:
            return None
        if self.paired:
            mine = dict(zip(self.ours.group.seeds, ours.values, strict=True))
            theirs = dict(zip(self.baseline.group.seeds, base.values, strict=True))
            return Spread(tuple(mine[seed] - theirs[seed] for seed in sorted(mine)))
        return Spread((ours.mean - base.mean,))

    @property
    def at_cost(self) -> bool:
        """Whether the baseline is a larger one of the same cost."""
        return self.ours.group.resolution != self.baseline.group.resolution

    @property
    def extra(self) -> float:
        """Cost of ours over that of the baseline, less 1."""
        return self.ours.group.gmacs / self.baseline.group.gmacs - 1

    @property
    def paired(self) -> bool:
        """Whether both were trained with the same seeds."""
        mine, theirs = self.ours.group.seeds, self.baseline.group.seeds
        return sorted(mine) == sorted(theirs) and len(set(mine)) == len(mine)


def figure(name: str) -> Measure:
    """A figure that stands in the row itself: "miou", "target_miou", "object_recall"."""
    return lambda row: _number(row.get(name))


def class_iou(name: str) -> Measure:
    """IoU of one class."""
    return lambda row: _number(row["iou"].get(name))


def trimap(width: str) -> Measure:
    """Accuracy within so many pixels of a boundary."""
    return lambda row: _number(row["trimap"].get(width))


def size_recall(number: int, name: str | None = None) -> Measure:
    """Recall in one of the bins by size: of all objects, or of those of a class."""

    def measure(row: dict[str, Any]) -> float | None:
        bins = row["recall_by_size"] if name is None else row.get("recall_by_class", {}).get(name, [])
        return _number(bins[number]["recall"]) if number < len(bins) else None

    return measure


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def systems(found: Iterable[dict[str, Any]]) -> list[System]:
    """The evaluations that measured something, by architecture and resolution; ours above the baseline."""
    groups = results.groups(e for e in found if e["systems"])
    chosen = [System(*pair) for pair in zip(groups, results.words(groups), strict=True)]
    return sorted(
        chosen, key=lambda s: (*s.key, s.role == Uniform.role, registry.place(s.group.sampler), s.word)
    )


def gains(of: Sequence[System], role: str = Predicted.role) -> list[Gain]:
    """Every system of a role that has a baseline: of the same tag, else the only one or the untagged."""
    by_group = {id(system.group): system for system in of}
    found = []
    for system in of:
        beside = results.baseline(system.group, [s.group for s in of])
        if system.role == role and beside is not None:
            found.append(Gain(system, by_group[id(beside)]))
    return found


def gains_at_cost(of: Sequence[System]) -> list[Gain]:
    """Every predicted system beside the larger uniform one of the same cost, where there is one.

    Of several the nearest in cost, of the same tag before others.
    """
    found = []
    for ours in (s for s in of if s.role == Predicted.role):
        larger = [Gain(ours, s) for s in of if _larger_baseline(ours, s)]
        same = [gain for gain in larger if abs(gain.extra) <= SAME_COST]
        same.sort(key=lambda gain: (gain.baseline.group.tag != ours.group.tag, abs(gain.extra)))
        found.extend(same[:1])
    return found


def _larger_baseline(ours: System, other: System) -> bool:
    mine, theirs = ours.group, other.group
    alike = theirs.kind.role == Uniform.role and theirs.architecture == mine.architecture
    return alike and theirs.resolution > mine.resolution
