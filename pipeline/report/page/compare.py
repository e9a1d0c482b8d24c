"""What the evaluations of several runs say together: systems over seeds, and gains over the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.evaluation import comparison
from pipeline.evaluation.baselines import SAME_COST, best_baseline
from pipeline.evaluation.comparison import Group, Pair, Spread
from pipeline.evaluation.intervals import Interval
from pipeline.geometry.crops import CENTRAL
from pipeline.samplers import registry
from pipeline.samplers.base import Sampler
from pipeline.samplers.predicted import Predicted
from pipeline.samplers.uniform import Uniform
from pipeline.workspace.results import Training

PARTNERS: dict[str, type[Sampler]] = {Predicted.role: Uniform, Uniform.role: Predicted}
"""What a system of a role is compared with."""


@dataclass(frozen=True)
class ComparedSystem:
    """Runs that differ in nothing but their seeds, with the words that stand for them."""

    group: Group
    word: str  # what tells it from others of the same architecture, sampler and resolution; else empty
    style: int = 0  # of its sampler: colour and dashes, by number

    @property
    def key(self) -> tuple[str, int, str]:
        """What two systems share that can be compared: architecture, resolution, region of the images."""
        return self.group.architecture, self.group.resolution, self.group.region

    @property
    def role(self) -> str:
        """Of its sampler: adaptive, reference, control or baseline."""
        return self.group.kind.role

    @property
    def variant(self) -> str:
        """Its word, and the region where that is not the usual one."""
        return ", ".join(filter(None, (self.word, "" if self.group.region == CENTRAL else self.group.region)))

    @property
    def sampler(self) -> str:
        """As tables and charts call it."""
        return self.group.kind.word + (f" ({self.variant})" if self.variant else "")

    @property
    def line(self) -> str:
        """Of a curve: the same at every resolution."""
        return f"{self.group.architecture}, {self.sampler}"

    @property
    def first(self) -> dict[str, Any]:
        """The figures of the first seed, for what is the same in all: objects, widths."""
        found: dict[str, Any] = self.group.evaluations[0]["systems"][0]
        return found

    def spread(self, name: str) -> Spread | None:
        """A figure over the seeds; None where any of them has none."""
        return self.group.figure(name)


@dataclass(frozen=True)
class Gain:
    """A system beside the uniform baseline of the same architecture, of the same resolution or cost."""

    ours: ComparedSystem
    baseline: ComparedSystem
    pair: Pair  # the two as groups of runs

    @property
    def differing(self) -> str:
        """Why no difference is taken; empty where one is."""
        return "; ".join(self.pair.differing)

    def difference(self, name: str) -> Spread | None:
        """Ours less baseline; None where the two may not be compared."""
        return self.pair.difference(name)

    def intervals(self, name: str) -> tuple[Interval, ...]:
        """Of a difference: over images, and over sequences where these are known."""
        return self.pair.intervals(name)

    def is_none(self, name: str) -> bool:
        """Whether an interval of a difference holds 0."""
        return any(interval.holds_zero for interval in self.intervals(name))

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
        return self.pair.paired


def systems(
    found: Iterable[dict[str, Any]],
    trainings: Mapping[str, Training] | None = None,
    styles: Mapping[str, int] | None = None,
) -> list[ComparedSystem]:
    """The evaluations that measured something, by architecture and resolution; the baseline last.

    Parameters
    ----------
    styles
        Of the samplers by name, where other runs than these have theirs too.
    """
    groups = comparison.groups(found, trainings)
    looks = styles or registry.styles(group.sampler for group in groups)
    words = comparison.words(groups)
    chosen = [
        ComparedSystem(group, word, looks[group.sampler]) for group, word in zip(groups, words, strict=True)
    ]
    return sorted(
        chosen, key=lambda s: (*s.key, s.role == Uniform.role, registry.place(s.group.sampler), s.word)
    )


def gains(of: Sequence[ComparedSystem], role: str = Predicted.role) -> list[Gain]:
    """Every system of a role that has a baseline: of the same tag, else the only one or the untagged."""
    by_group = {id(system.group): system for system in of}
    found = []
    for system in of:
        beside = comparison.baseline(system.group, [s.group for s in of])
        if system.role == role and beside is not None:
            found.append(Gain(system, by_group[id(beside)], Pair(system.group, beside)))
    return found


def gains_on_best(of: Sequence[ComparedSystem], figure: str) -> list[Gain]:
    """Every system that adapts to the image beside the baseline with the highest mean of a figure."""
    by_group = {id(system.group): system for system in of}
    every = [system.group for system in of]
    pairs = [(system, best_baseline(system.group, every, figure)) for system in of]
    return [Gain(system, by_group[id(pair.base)], pair) for system, pair in pairs if pair]


def gains_at_cost(of: Sequence[ComparedSystem]) -> list[Gain]:
    """Every predicted system beside the larger uniform one of the same cost, where there is one.

    Of several the nearest in cost; before that counts whether it was trained alike, and whether its tag is
    the same.
    """
    found = []
    for ours in (s for s in of if s.role == Predicted.role):
        larger = [Gain(ours, s, Pair(ours.group, s.group)) for s in of if _larger_baseline(ours, s)]
        same = [gain for gain in larger if abs(gain.extra) <= SAME_COST]
        same.sort(key=_preference)
        found.extend(same[:1])
    return found


def _preference(gain: Gain) -> tuple[Any, ...]:
    return bool(gain.differing), gain.baseline.group.tag != gain.ours.group.tag, abs(gain.extra)


def _larger_baseline(ours: ComparedSystem, other: ComparedSystem) -> bool:
    mine, theirs = ours.group, other.group
    alike = (theirs.architecture, theirs.region) == (mine.architecture, mine.region)
    return theirs.kind.role == Uniform.role and alike and theirs.resolution > mine.resolution
