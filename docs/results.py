"""Writes docs/results.md: what trained networks gain, from workspaces that the result recipes filled.

adaprep run workflows/camvid-by-sequence-results-32.yaml --root FOLDER --jobs 2
adaprep evaluate BASE --sampler previous --sampler twice --baseline UNIFORM --json > seed0.json     # for every seed
python docs/results.py camvid-by-sequence=WORKSPACE,seed0.json,seed1.json ...   # keeps figures in results.json
python docs/results.py                                                          # writes the pages from it again
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.evaluation import baselines, comparison, intervals
from pipeline.evaluation.comparison import Group, Pair, Spread
from pipeline.evaluation.intervals import FIGURES
from pipeline.geometry.crops import CENTRAL
from pipeline.report.page.collect import REGIONS
from pipeline.samplers.base import Fixed
from pipeline.workspace import results, stores
from pipeline.workspace.per_image import PerImage

HERE = Path(__file__).parent
KEPT, PAGE = HERE / "results.json", HERE / "results.md"
SAID_IN = (HERE.parent / "README.md", HERE / "index.md")
SAID = re.compile(r"(?s)(<!-- written by docs/results.py -->\n).*?(\n<!-- until here -->)")
"""What the pages above say of the results, between these marks."""
SPLIT = "val"

FIGURE_WORDS = {"target_miou": "on targets", "miou": "over all classes"}

TEXT = """\
# Results

{conclusions}

The fixed warp, one tensor for all images, is the baseline to beat, and at 32 px it is not beaten. The ground truth's own proposals
do not beat it either ([below](#samplers-that-need-no-auxiliary-network)): what holds these systems back is not where their samples lie but
the base network, which was trained from scratch on 367 images and is wrong at most samples of targets wherever they lie.
[Trials](trials.md) has how much the places of samples allow at best.

Written by `python docs/results.py` from the figures in `docs/results.json`, which the same script reads from workspaces.
Every network was trained from scratch, to the end, with the settings of its recipe, which differ in the samples alone.
mIoU is measured at full resolution, void left out; ± is the standard deviation over seeds. **Against uniform** and
**against the best baseline** are differences in points of mIoU on targets; in brackets 95 % intervals of a bootstrap over
images; "none": an interval holds 0. The [best baseline](evaluating.md#what-is-compared-with-what) is the one with the highest
mIoU on targets among uniform samples, anti-aliased uniform samples and the [fixed warp](glossary.md#fixed-warp), at a cost at
most {same_cost:.0f} % higher. GMACs and milliseconds are those of the whole system for one image, the auxiliary network
included.

{experiments}

## What is not shown

{missing}
"""

EXPERIMENT = """\
## {title}

`adaprep run workflows/{recipe} --root FOLDER`, then `adaprep evaluate` and `adaprep evaluate --whole-image`; {trained_on}.
{images} images to validate on{videos}. Targets: {targets}. Milliseconds: {milliseconds_at}.

{regions}
{feedback}"""

FEEDBACK = """\

### Samplers that need no auxiliary network

The base networks trained on predicted samples, sampled by the labels predicted for the frame before (`previous`), or by those
of a first pass of the uniform network (`twice`), on the {measured_at}: `adaprep evaluate BASE --sampler previous --sampler
twice --first SMALL`, a seed at a time. Differences in points are to the best baseline of the table above that costs at most 5 % more.

{table}
"""

REGION = """\
### {title}

{table}

IoU by class, means over seeds; targets in bold:

{classes}

Recall of the target classes' objects ({objects_from}) in bins of equally many, from small to large:

{recall}"""

MISSING = """\
- **64, 128 and 256 pixels** need a GPU: `workflows/*-results.yaml` hold every row, and have not been run to the end.
  Converged runs made outside this repository, two seeds, without intervals, measured +2 to +5 points of mIoU on target
  classes at 32 and 64 px against uniform samples and none at 128, most of it also with the fixed warp.
- **The epoch** of every network is the one with the highest mIoU on these same validation images, and the best baseline is
  chosen by the figures that it is compared on: the first flatters all rows alike, the second the baselines.
- **Few sequences**: an interval over images is too narrow where the images are frames of few videos."""


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
    for region in REGIONS:
        groups = judged(comparison.groups(results.evaluations(space, name, SPLIT, region=region), trainings))
        if groups and region == CENTRAL:
            feedback = read_feedback(files, groups)
        if groups:
            regions.append(read_region(groups))
    if not regions:
        raise SystemExit(f"{space}: no evaluation of {name}/{SPLIT}. Run adaprep evaluate first.")
    machine = results.about_run(next(run for run in runs if run.name.startswith("base-")))["machine"]
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


def feedback_text(feedback: Mapping[str, Any] | None) -> str:
    if not feedback:
        return ""
    heads = ["samples", "resolution", "seeds", "GMACs", "ms", "mIoU all", "mIoU targets", "all", "targets"]
    rows = [
        [
            row["samples"],
            str(row["resolution"]),
            str(row["seeds"]),
            f"{row['gmacs']:.3f}",
            f"{row['milliseconds']:.0f}",
            *(shown(row["figures"][name]) for name in FIGURES),
            *(gain_cell(row["against"].get(name), True) for name in FIGURES),
        ]
        for row in feedback["rows"]
    ]
    return FEEDBACK.format(measured_at=feedback["measured_at"], table=table(heads, rows))


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

    And without those of which there is one system alone.
    """
    places = [(group.architecture, group.resolution) for group in groups]
    early = {place for place, group in zip(places, groups, strict=True) if group.improving}
    early |= {place for place in places if places.count(place) == 1}
    return [group for place, group in zip(places, groups, strict=True) if place not in early]


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


def written(kept: Sequence[Mapping[str, Any]]) -> str:
    """The page."""
    return TEXT.format(
        conclusions="\n".join(f"- {one}" for experiment in kept for one in conclusions(experiment)),
        same_cost=100 * baselines.SAME_COST,
        experiments="\n".join(map(experiment_text, kept)),
        missing=MISSING,
    )


def conclusions(experiment: Mapping[str, Any]) -> list[str]:
    """What a reader takes away, a sentence for each system that adapts to the image and each region."""
    found = []
    for region in experiment["regions"]:
        for row in region["rows"]:
            best = row["against"]["best"]
            parts = [verdict(best[figure], FIGURE_WORDS[figure]) for figure in FIGURE_WORDS if best[figure]]
            if parts:
                seeds = f"{len(row['seeds'])} seed{'s' * (len(row['seeds']) > 1)}"
                where = "" if region["region"] == CENTRAL else ", whole images"
                found.append(
                    f"**{experiment['name']}, {row['resolution']} px{where}, {row['samples']}**: "
                    f"against the best baseline {', and '.join(parts)} ({seeds})."
                )
    return found


def said(kept: Sequence[Mapping[str, Any]], text: str) -> str:
    """A page with its words on the results as they are now."""
    lines = "\n".join(f"- {one}" for experiment in kept for one in conclusions(experiment))
    return SAID.sub(lambda found: f"{found[1]}{lines}{found[2]}", text)


def verdict(gain: Mapping[str, Any], words: str) -> str:
    """A difference in words: "+1.2 points on targets [+0.3, +2.0] (fixed warp, 32 px)"."""
    points = f"{100 * mean(gain['values']):+.1f}"
    around = brackets(gain)
    base = f"against {gain['base']}"
    if is_none(gain):
        return f"no difference {words} that can be told from chance ({points} {around} {base})"
    return f"**{points} points** {words} ({around} {base})"


def mean(values: Sequence[float]) -> float:
    return Spread(tuple(values)).mean


def shown(values: Sequence[float] | None, digits: int = 3, factor: float = 1, sign: str = "") -> str:
    """Mean over seeds, and deviation where there are several."""
    if values is None:
        return "-"
    spread = Spread(tuple(values))
    around = "" if spread.deviation is None else f" ± {factor * spread.deviation:.{digits}f}"
    return f"{factor * spread.mean:{sign}.{digits}f}{around}"


def is_none(gain: Mapping[str, Any]) -> bool:
    return any(low <= 0 <= high for low, high, *_ in gain["intervals"])


def brackets(gain: Mapping[str, Any]) -> str:
    """Intervals: "[-0.1, +2.0]", with their number of sequences where it is over these."""
    return " ".join(
        f"[{100 * low:+.1f}, {100 * high:+.1f}]" + ("" if over == "images" else f" over {units} sequences")
        for low, high, units, over in gain["intervals"]
    )


def gain_cell(gain: Mapping[str, Any] | None, with_base: bool) -> str:
    if gain is None:
        return ""
    points = shown(gain["values"], 1, 100, "+")
    said = f"none ({points})" if is_none(gain) else points
    base = f", {gain['base']}" if with_base else ""
    return f"{said} {brackets(gain)}{base}".strip()


def experiment_text(experiment: Mapping[str, Any]) -> str:
    first = experiment["regions"][0]
    sequences = first["sequences"]
    return EXPERIMENT.format(
        title=f"{experiment['name']} {SPLIT}",
        recipe=f"{experiment['name']}-results-32.yaml",
        trained_on=f"trained on {device(experiment['machine'])}",
        images=first["images"],
        videos=f", frames of {sequences} sequence{'s' * (sequences > 1)}" if sequences else "",
        targets=", ".join(first["targets"]),
        milliseconds_at=first["milliseconds_at"],
        regions="\n\n".join(map(region_text, experiment["regions"])),
        feedback=feedback_text(experiment.get("feedback")),
    )


def device(machine: Mapping[str, Any]) -> str:
    return ", ".join(str(machine[name]) for name in ("device", "precision") if machine.get(name))


def region_text(region: Mapping[str, Any]) -> str:
    low, high = region["sides"]
    side = f"{low}" if low == high else f"{low} to {high}"
    title = region["measured_at"][:1].upper() + region["measured_at"][1:]
    return REGION.format(
        title=f"{title}, {side} pixels a side",
        table=main_table(region["rows"]),
        classes=class_table(region),
        objects_from=region["objects_from"],
        recall=recall_table(region),
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def main_table(rows: Sequence[Mapping[str, Any]]) -> str:
    heads = ["network", "samples", "seeds", "epochs", "GMACs", "ms", "mIoU all", "mIoU targets"]
    heads += ["against uniform", "against the best baseline", "training"]
    return table(heads, list(map(main_row, rows)))


def main_row(row: Mapping[str, Any]) -> list[str]:
    ms = row["milliseconds"]
    against = row["against"]
    return [
        *lead(row),
        str(len(row["seeds"])),
        str(row["epochs"]),
        f"{row['gmacs']:.3f}",
        "-" if ms is None else f"{ms:.0f}",
        *(shown(row["figures"][name]) for name in FIGURES),
        gain_cell(against["uniform"]["target_miou"], False),
        gain_cell(against["best"]["target_miou"], True),
        row["improving"],
    ]


def lead(row: Mapping[str, Any]) -> list[str]:
    return [f"{row['network']} {row['resolution']}", row["samples"]]


def class_table(region: Mapping[str, Any]) -> str:
    names = list(region["rows"][0]["iou"])
    heads = ["network", "samples", *(f"**{n}**" if n in region["targets"] else n for n in names)]
    rows = [[*lead(row), *(plain(row["iou"][name], 2) for name in names)] for row in region["rows"]]
    return table(heads, rows)


def recall_table(region: Mapping[str, Any]) -> str:
    heads = ["network", "samples", *(f"{low:,} to {high:,} pixels" for low, high in region["bins"])]
    return table(heads, [[*lead(row), *(plain(v, 3) for v in row["recall"])] for row in region["rows"]])


def plain(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def main() -> None:
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else []
    by_name = {experiment["name"]: experiment for experiment in kept}
    for argument in sys.argv[1:]:
        name, _, places = argument.partition("=")
        workspace, *files = places.split(",")
        by_name[name] = read(name, stores.Workspace(Path(workspace)), files)
    KEPT.write_text(json.dumps(list(by_name.values()), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(written(list(by_name.values())), encoding="utf-8")
    for path in SAID_IN:
        path.write_text(said(list(by_name.values()), path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
