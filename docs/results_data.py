"""What docs/results.py says of a workspace, as plain data for docs/results.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.evaluation import baselines, comparison, intervals
from pipeline.evaluation.comparison import Group, Pair, Spread
from pipeline.evaluation.intervals import FIGURES
from pipeline.geometry.crops import CENTRAL
from pipeline.report.page.collect import REGIONS
from pipeline.samplers.base import Fixed
from pipeline.samplers.proposal import Proposals
from pipeline.samplers.uniform import Uniform
from pipeline.workspace import results, stores
from pipeline.workspace.per_image import PerImage

SPLIT = "val"
MACHINE = ("device", "precision")


def read(name: str, space: stores.Workspace, files: Sequence[str] = ()) -> dict[str, Any]:
    """All that the page says of one workspace.

    Raises
    ------
    SystemExit
        It holds no evaluation of the validation split.
    """
    runs = results.complete_runs(space, name)
    trainings = results.trainings(runs)
    regions: list[dict[str, Any]] = []
    feedback = None
    shown: set[str] = set()
    for region in REGIONS:
        groups = judged(comparison.groups(results.evaluations(space, name, SPLIT, region=region), trainings))
        if groups and region == CENTRAL:
            feedback = read_feedback(files, groups)
        if groups:
            regions.append(read_region(groups))
            shown |= {str(one["run"]) for group in groups for one in group.evaluations}
    if not regions:
        raise SystemExit(f"{space.path}: no evaluation of {name}/{SPLIT}. Run adaprep evaluate first.")
    machines = [results.about_run(run)["machine"] for run in runs if run.name in shown]
    machine = {key: " and ".join(sorted({str(one[key]) for one in machines})) for key in MACHINE}
    return {"name": name, "machine": machine, "regions": regions, "feedback": feedback}


def read_feedback(paths: Sequence[str], groups: Sequence[Group]) -> dict[str, Any] | None:
    """Systems measured by hand, one file a seed, each beside the best baseline of its cost in the workspace."""
    found = [json.loads(Path(path).read_text(encoding="utf-8"))[0] for path in paths]
    if not found:
        return None
    targets = [list(found[0]["systems"][0]["iou"]).index(name) for name in found[0]["targets"]]
    names = [row["name"] for row in found[0]["systems"] if row["name"] != "baseline"]
    rows = []
    for name in names:
        ours = [next(row for row in facts["systems"] if row["name"] == name) for facts in found]
        counts = [PerImage.read(row["per_image"]) for row in ours]
        times = [facts["milliseconds"][name] for facts in found]
        against = {}
        for figure in FIGURES:
            base = best_of_cost(groups, ours[0]["gmacs"], figure)
            spread = base.figure(figure) if base else None
            if base is None or spread is None:
                continue
            mine = sum(row[figure] for row in ours) / len(ours)
            around = intervals.of_difference(counts, base.per_image, figure, targets)
            against[figure] = {
                "base": baselines.describe(base),
                "values": [mine - spread.mean],
                "intervals": [[i.low, i.high, i.units, i.over] for i in around],
            }
        rows.append(
            {
                "samples": ours[0]["sampler"],
                "resolution": ours[0]["resolution"],
                "seeds": len(ours),
                "gmacs": ours[0]["gmacs"],
                "milliseconds": sum(times) / len(times),
                "figures": {figure: [row[figure] for row in ours] for figure in FIGURES},
                "against": against,
            }
        )
    return {"measured_at": found[0]["measured_at"], "rows": rows}


def best_of_cost(groups: Sequence[Group], gmacs: float, figure: str) -> Group | None:
    """Of what samples every image alike and costs at most 5 % more, the highest mean of a figure."""
    known = [
        (spread.mean, place)
        for place, group in enumerate(groups)
        if issubclass(group.kind, Fixed)
        and group.gmacs <= gmacs * (1 + baselines.SAME_COST)
        and (spread := group.figure(figure)) is not None
    ]
    return groups[max(known)[1]] if known else None


def read_region(groups: Sequence[Group]) -> dict[str, Any]:
    """All groups that were measured on one region of the images."""
    facts = groups[0].evaluations[0]
    ordered = sorted(groups, key=lambda g: (g.architecture, g.resolution))
    words = comparison.words(ordered)
    per_image = groups[0].per_image
    sequences = per_image[0].sequences if per_image else None
    return {
        "region": groups[0].region,
        "measured_at": facts["measured_at"],
        "sides": facts["crop_sides"],
        "images": facts["images"],
        "sequences": len(set(sequences)) if sequences else 0,
        "targets": facts["targets"],
        "milliseconds_at": facts.get("milliseconds_at", "not measured"),
        "objects_from": facts["objects_from"],
        "bins": [part["pixels"] for part in facts["systems"][0]["recall_by_size"]],
        "rows": [read_row(group, word, ordered) for group, word in zip(ordered, words, strict=True)],
    }


def judged(groups: Sequence[Group]) -> list[Group]:
    """Without the networks of which one system is still improving: its figures could be the best baseline's.

    And without trials of options, networks of which there is one system alone, or uniform samples alone, and
    systems of fewer seeds than others of their network: one seed may be the best baseline by luck. The ground
    truth's proposals are no baseline.
    """
    groups = [group for group in groups if not any(map(_option, group.evaluations))]
    seeds: Counter[tuple[str, int]] = Counter()
    for group in groups:
        place = (group.architecture, group.resolution)
        seeds[place] = max(seeds[place], len(group.seeds))
    groups = [
        group
        for group in groups
        if len(group.seeds) == seeds[group.architecture, group.resolution]
        or group.kind.kind == Proposals.kind
    ]
    places = [(group.architecture, group.resolution) for group in groups]
    early = {place for place, group in zip(places, groups, strict=True) if group.improving}
    warped = {p for p, group in zip(places, groups, strict=True) if group.kind.kind != Uniform.kind}
    early |= {place for place in places if places.count(place) == 1 or place not in warped}
    return [group for place, group in zip(places, groups, strict=True) if place not in early]


def _option(evaluation: dict[str, Any]) -> bool:
    """Whether a run was trained with what is tried on the page of trials."""
    chosen = evaluation["settings"]
    usual = {"loss": "cross-entropy", "class_weights": "none", "area_weight": 0.0, "tensor_channels": False}
    more = any(chosen["augmentation"].get(kind) for kind in ("zoom", "turn"))
    return more or any(chosen.get(name, value) != value for name, value in usual.items())


def read_row(group: Group, word: str, groups: Sequence[Group]) -> dict[str, Any]:
    """One system over its seeds, and its differences."""
    facts = group.evaluations[0]["systems"][0]
    uniform = comparison.baseline(group, groups)
    against = {"uniform": {figure: uniform and Pair(group, uniform) for figure in FIGURES}}
    against["best"] = {figure: baselines.best_baseline(group, groups, figure) for figure in FIGURES}
    return {
        "network": group.architecture,
        "resolution": group.resolution,
        "samples": group.kind.word + (f" ({word})" if word else ""),
        "filter": group.filter,
        "seeds": list(group.seeds),
        "epochs": group.evaluations[0]["settings"]["epochs"],
        "improving": group.improving,
        "gmacs": group.gmacs,
        "milliseconds": group.milliseconds,
        "figures": {name: spread_of(group.figure(name)) for name in FIGURES},
        "iou": {name: mean_of(group.figure(comparison.class_iou(name))) for name in facts["iou"]},
        "recall": [
            mean_of(group.figure(comparison.size_recall(number)))
            for number in range(len(facts["recall_by_size"]))
        ],
        "against": {
            kind: {figure: read_pair(pair, figure) for figure, pair in pairs.items()}
            for kind, pairs in against.items()
        },
    }


def spread_of(spread: Spread | None) -> list[float] | None:
    return None if spread is None else list(spread.values)


def mean_of(spread: Spread | None) -> float | None:
    return None if spread is None else spread.mean


def read_pair(pair: Pair | None, figure: str) -> dict[str, Any] | None:
    """A difference with its intervals; None where there is nothing to compare with."""
    if pair is None or (difference := pair.difference(figure)) is None:
        return None
    return {
        "base": baselines.describe(pair.base),
        "values": list(difference.values),
        "intervals": [[i.low, i.high, i.units, i.over] for i in pair.intervals(figure)],
        "gmacs": pair.ours.gmacs / pair.base.gmacs - 1,
        "slower": pair.slower,
    }
