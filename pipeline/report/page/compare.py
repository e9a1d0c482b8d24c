"""What the evaluations of several runs say together: systems over seeds, and gains over the baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import results
from pipeline.results import Group, Spread

Measure = Callable[[dict[str, Any]], float | None]
"""One figure of an evaluation's row; None where there is nothing to measure."""

NAMES = {"auxiliary": "predicted", "proposal": "proposals", "uniform": "uniform"}
"""Samplers as in tables: an auxiliary network's, the ground truth's own proposals, the baseline."""

ROLES = {"auxiliary": "ours", "proposal": "reference", "uniform": "baseline"}


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
    def sampler(self) -> str:
        return NAMES[self.group.sampler] + (f" ({self.word})" if self.word else "")

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
    """A system beside the uniform baseline of the same architecture and resolution."""

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
    words = [_word(group) for group in groups]
    places = [(g.architecture, g.sampler, g.resolution) for g in groups]
    chosen = [
        System(group, word if places.count(place) > 1 else "")
        for group, word, place in zip(groups, words, places, strict=True)
    ]
    order = {"auxiliary": 0, "proposal": 1, "uniform": 2}
    return sorted(chosen, key=lambda s: (*s.key, order[s.group.sampler], s.word))


def _word(group: Group) -> str:
    """What the run's name says beyond architecture, sampler and resolution."""
    _, _, rest = group.variant.partition(f"-{group.resolution}")
    return rest.strip("-") or "default"


def tag(group: Group) -> str:
    """The word that was given with --tag, or nothing."""
    first = group.evaluations[0]
    return str(first["run"]).partition(f"-seed{first['settings']['seed']}")[2]


def gains(of: Sequence[System], sampler: str = "auxiliary") -> list[Gain]:
    """Every system of a sampler that has a baseline: of the same tag, else the only one or the untagged."""
    found = []
    for system in of:
        if system.group.sampler != sampler:
            continue
        beside = [s for s in of if s.key == system.key and s.group.sampler == "uniform"]
        same = [s for s in beside if tag(s.group) == tag(system.group)]
        plain = beside if len(beside) == 1 else [s for s in beside if not tag(s.group)]
        if chosen := same or plain:
            found.append(Gain(system, chosen[0]))
    return found
