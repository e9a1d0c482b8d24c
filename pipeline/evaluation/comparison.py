"""Comparison of runs: one tidy frame with a row per evaluation, groups of it over seeds, and differences.

What may be compared with what is decided here alone: runs that were trained alike, on the same data, and
measured on as many images and the same region of them (`Pair.differing`).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from pipeline.evaluation import intervals
from pipeline.evaluation.intervals import Interval
from pipeline.samplers import registry
from pipeline.samplers.base import Sampler
from pipeline.samplers.uniform import Uniform
from pipeline.workspace import results
from pipeline.workspace.per_image import PerImage
from pipeline.workspace.results import Training
from pipeline.workspace.runs import LATER, LATER_STRENGTHS

TRAINED = "trained: "
"""Begins the names of the columns that say how a run was trained; their values are text, missing: nothing."""

FILTER = "filter"
"""How images are sampled. It may differ between two runs of uniform samples, which it is compared on."""

ALIKE = {
    "epochs": "epochs",
    "patience": "patience",
    "region": "region trained for",
    "rate": "learning rate",
    "final_factor": "last learning rate / first",
    "batch_size": "batch size",
    "weight_decay": "weight decay",
    "arguments": "arguments of the network",
    "pretrained": "pretrained weights",
    "dataset": "data set",
    "training_split": "training split",
    "class_names": "classes",
    "targets": "targets",
    "filter": FILTER,
    "weight_by_class": "class weights",
    "loss": "loss",
}
"""Settings that agree where two runs are compared, with their words; augmentation, precision and the number
of images measured stand beside them. Tensor channels and area weights are not among them: they suit a
network to its samples, and tell nothing of uniform ones."""

LONGEST = 24
"""Characters of a value that is named in a cell."""


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


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ in nothing but their seeds: rows of the frame."""

    rows: pd.DataFrame

    def _shared(self, column: str) -> Any:
        return self.rows[column].iloc[0]

    @property
    def architecture(self) -> str:
        return str(self._shared("architecture"))

    @property
    def sampler(self) -> str:
        return str(self._shared("sampler"))

    @property
    def kind(self) -> type[Sampler]:
        """What is known of their sampler."""
        return registry.kind(self.sampler)

    @property
    def resolution(self) -> int:
        return int(self._shared("resolution"))

    @property
    def variant(self) -> str:
        """The runs' name without the seed."""
        return str(self._shared("variant"))

    @property
    def tag(self) -> str:
        """The tag that was given with --tag, or nothing."""
        return str(self._shared("tag"))

    @property
    def filter(self) -> str:
        """How images were sampled."""
        return str(self._shared(TRAINED + FILTER))

    @property
    def region(self) -> str:
        """What of the images was measured."""
        return str(self._shared("region"))

    @property
    def gmacs(self) -> float:
        return float(self._shared("gmacs"))

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(map(int, self.rows["seed"]))

    @property
    def evaluations(self) -> tuple[dict[str, Any], ...]:
        """As they are kept in the workspace."""
        return tuple(self.rows["evaluation"])

    @property
    def improving(self) -> str:
        """How many runs are "still improving": all, "2 of 3", or nothing said."""
        count = int(self.rows["improving"].sum())
        part = "" if count == len(self.rows) else f"{count} of {len(self.rows)} "
        return f"{part}still improving" if count else ""

    @property
    def milliseconds(self) -> float | None:
        """For one square, mean over the seeds; None where it was not measured, or not on one machine."""
        at = {one.get("milliseconds_at") for one in self.evaluations}
        found = [one.get("milliseconds", {}).get(one["systems"][0]["name"]) for one in self.evaluations]
        return None if len(at) > 1 or None in found else statistics.fmean(found)

    @cached_property
    def per_image(self) -> tuple[PerImage, ...]:
        """Counts of every image, one for each seed; empty where one has none."""
        kept = [one["systems"][0].get("per_image") for one in self.evaluations]
        return () if None in kept else tuple(map(PerImage.read, kept))

    def figure(self, name: str) -> Spread | None:
        """A figure's column over the seeds; None where a run has none."""
        return _spread(self.rows[name]) if name in self.rows else None


def frame(
    found: Iterable[Mapping[str, Any]], trainings: Mapping[str, Training] | None = None
) -> pd.DataFrame:
    """One row per evaluation that measured something, in the order of tables.

    Columns: run, architecture, sampler, resolution, seed, variant, tag, gmacs, improving, region; the figures
    miou, target_miou, accuracy, object_recall, trimap_WIDTH, iou_CLASS, recall_BIN, recall_CLASS_BIN, NaN
    where there is nothing to measure; how it was trained, each beginning with `TRAINED`; and the evaluation
    itself.

    Parameters
    ----------
    trainings
        What is known of the runs beside their settings, by name.
    """
    known = trainings or {}
    measured = sorted((one for one in found if one["systems"]), key=results.order)
    about = _table([_about(one, known.get(str(one["run"]), Training())) for one in measured], object)
    return pd.concat([about, _table([_figures(one["systems"][0]) for one in measured], float)], axis=1)


def _table(rows: Sequence[Mapping[str, Any]], kind: type) -> pd.DataFrame:
    names = list(dict.fromkeys(name for row in rows for name in row))
    values = [[row.get(name) for name in names] for row in rows]
    return pd.DataFrame(values, columns=pd.Index(names, dtype=object), dtype=kind)


def _about(one: Mapping[str, Any], training: Training) -> dict[str, Any]:
    chosen, seed = one["settings"], int(one["settings"]["seed"])
    trained = {word: chosen.get(key, LATER.get(key)) for key, word in ALIKE.items()}
    strengths = chosen.get("augmentation")
    named = {**LATER_STRENGTHS, **strengths} if isinstance(strengths, Mapping) else {"": strengths}
    trained |= {f"augmentation {name}".strip(): value for name, value in named.items()}
    trained |= {"precision": training.precision, "images measured": one["images"]}
    trained |= {"region measured": results.region_of(one)}
    return {
        "run": one["run"],
        "architecture": chosen["architecture"],
        "sampler": chosen["sampler"],
        "resolution": int(chosen["resolution"]),
        "seed": seed,
        "variant": results.variant(one),
        "tag": str(one["run"]).partition(f"-seed{seed}")[2].removeprefix("-"),
        "gmacs": float(one["systems"][0]["gmacs"]),
        "improving": training.improving,
        "region": results.region_of(one),
        **{TRAINED + word: _told(value) for word, value in trained.items() if value is not None},
        "evaluation": dict(one),
    }


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _figures(row: Mapping[str, Any]) -> dict[str, float | None]:
    """All figures of a system's row, each a column."""
    plain = {name: row.get(name) for name in ("miou", "target_miou", "accuracy", "object_recall")}
    by_width = {trimap(width): value for width, value in row["trimap"].items()}
    by_class = {class_iou(name): value for name, value in row["iou"].items()}
    bins = {size_recall(i): part["recall"] for i, part in enumerate(row["recall_by_size"])}
    of_classes = {
        size_recall(i, name): part["recall"]
        for name, parts in row.get("recall_by_class", {}).items()
        for i, part in enumerate(parts)
    }
    return {**plain, **by_width, **by_class, **bins, **of_classes}


def class_iou(name: str) -> str:
    """The column of the IoU of one class."""
    return f"iou_{name}"


def trimap(width: str | int) -> str:
    """The column of the accuracy within so many pixels of a boundary."""
    return f"trimap_{width}"


def size_recall(number: int, name: str | None = None) -> str:
    """The column of the recall in one of the bins by size: of all objects, or of those of a class."""
    return f"recall_{number}" if name is None else f"recall_{name}_{number}"


def groups(
    found: Iterable[Mapping[str, Any]], trainings: Mapping[str, Training] | None = None
) -> list[Group]:
    """Evaluations of one region that measured something and differ in nothing but the seed, together."""
    table = frame(found, trainings)
    if table.empty:
        return []
    keys = ["architecture", "resolution", "sampler", "variant", "region"]
    return [Group(rows) for _, rows in table.groupby(keys, sort=False)]


def baseline(group: Group, found: Iterable[Group]) -> Group | None:
    """What a group is compared with: uniform samples for the same architecture at the same resolution,
    measured on the same region of the images.

    Of several the one that was trained most alike, then of the same tag; one of another tag only where it is
    the only one. Uniform samples are compared with those at nearest pixels where they were made otherwise.
    None where there is no such group.
    """
    place = (group.architecture, group.resolution, group.region)
    uniform = [g for g in found if g.kind.role == Uniform.role]
    beside = [g for g in uniform if (g.architecture, g.resolution, g.region) == place]
    if group.kind.role == Uniform.role:
        beside = [g for g in beside if group.filter != g.filter == LATER["filter"]]
    known = beside if len(beside) == 1 else [g for g in beside if g.tag in ("", group.tag)]
    return min(known, key=lambda g: (len(Pair(group, g).differing), g.tag != group.tag), default=None)


@dataclass(frozen=True)
class Pair:
    """A group beside its baseline.

    Attributes
    ----------
    beside
        Settings, by their words in `ALIKE`, that may differ all the same.
    """

    ours: Group
    base: Group
    beside: tuple[str, ...] = ()

    @cached_property
    def differing(self) -> list[str]:
        """Why they may not be compared: "epochs 6 / 40" for every setting of training that differs."""
        columns = [c for c in dict.fromkeys([*self.ours.rows, *self.base.rows]) if c.startswith(TRAINED)]
        both_uniform = self.ours.kind.role == self.base.kind.role == Uniform.role
        free = {*self.beside, FILTER} if both_uniform else set(self.beside)
        told = []
        for column in (c for c in columns if c.removeprefix(TRAINED) not in free):
            mine, theirs = _values(self.ours, column), _values(self.base, column)
            if mine != theirs or len(mine) > 1:
                word = column.removeprefix(TRAINED)
                short = all(len(value) <= LONGEST for value in mine + theirs)
                told.append(f"{word} {', '.join(mine)} / {', '.join(theirs)}" if short else f"other {word}")
        return told

    @property
    def paired(self) -> bool:
        """Whether both were trained with the same seeds."""
        return sorted(self.ours.seeds) == sorted(self.base.seeds) and bool(self.ours.rows["seed"].is_unique)

    def difference(self, name: str) -> Spread | None:
        """Ours less baseline: seed by seed where both have the same seeds, else of the two means.

        None where either has no such figure, or the two may not be compared.
        """
        mine, theirs = self.ours.figure(name), self.base.figure(name)
        if mine is None or theirs is None or self.differing:
            return None
        if not self.paired:
            return Spread((mine.mean - theirs.mean,))
        ours, base = (group.rows[["seed", name]] for group in (self.ours, self.base))
        both = ours.merge(base, on="seed", suffixes=("", " of the baseline")).sort_values("seed")
        return _spread(both[name] - both[f"{name} of the baseline"])

    def intervals(self, name: str) -> tuple[Interval, ...]:
        """Of a difference: over images, and over sequences where these are known.

        None where the two may not be compared, were not measured on the same images, or the figure is not
        one of `intervals.FIGURES`.
        """
        if name not in intervals.FIGURES or self.differing:
            return ()
        facts = self.ours.evaluations[0]
        names = list(facts["systems"][0]["iou"])
        targets = [names.index(target) for target in facts["targets"] if target in names]
        return intervals.of_difference(self.ours.per_image, self.base.per_image, name, targets)

    @property
    def slower(self) -> float | None:
        """Milliseconds of ours over those of the baseline, less 1; None where they cannot be compared."""
        mine, theirs = self.ours.milliseconds, self.base.milliseconds
        at = {one.get("milliseconds_at") for group in (self.ours, self.base) for one in group.evaluations}
        return None if mine is None or theirs is None or len(at) > 1 else mine / theirs - 1

    def ratio(self, name: str) -> float | None:
        """Mean of ours over mean of the baseline; None where that is nothing, or as for `difference`."""
        mine, theirs = self.ours.figure(name), self.base.figure(name)
        if mine is None or theirs is None or self.differing or theirs.mean <= 0:
            return None
        return mine.mean / theirs.mean


def _values(group: Group, column: str) -> list[str]:
    """The different values of a column; "?" where a run does not say."""
    return sorted(group.rows[column].fillna("?").unique()) if column in group.rows else ["?"]


def words(found: Sequence[Group]) -> list[str]:
    """What tells each group from others of its architecture, sampler and resolution; empty where none is."""
    places = [(g.architecture, g.sampler, g.resolution, g.region) for g in found]
    rests = [g.variant.partition(f"-{g.resolution}")[2].strip("-") or "default" for g in found]
    return [rest if places.count(place) > 1 else "" for rest, place in zip(rests, places, strict=True)]


def _spread(values: pd.Series[float]) -> Spread | None:
    return None if values.isna().any() or values.empty else Spread(tuple(map(float, values)))
