"""Writes docs/results.md: what trained networks gain, from workspaces that the result recipes filled.

adaprep run workflows/camvid-by-sequence-results-32.yaml --root FOLDER --jobs 2
adaprep evaluate BASE --sampler previous --sampler twice --baseline UNIFORM --json > seed0.json     # for every seed
python docs/results.py camvid-by-sequence=WORKSPACE,seed0.json,seed1.json ...   # keeps figures in results.json
python docs/results.py                                                          # writes the pages from it again
"""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.evaluation import baselines
from pipeline.evaluation.comparison import Spread
from pipeline.evaluation.intervals import FIGURES
from pipeline.geometry.crops import CENTRAL
from pipeline.workspace import stores

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
                    f"compared with the best baseline, {', and '.join(parts)}{against_uniform(row)} ({seeds})."
                )
    return found


def against_uniform(row: Mapping[str, Any]) -> str:
    """The differences to uniform samples of the same resolution, for the end of a sentence."""
    uniform = row["against"]["uniform"]
    parts = [
        f"{100 * mean(uniform[figure]['values']):+.1f} {brackets(uniform[figure])} {words}".replace("  ", " ")
        for figure, words in FIGURE_WORDS.items()
        if uniform[figure]
    ]
    return f"; with uniform samples, {' and '.join(parts)}" if parts else ""


def said(kept: Sequence[Mapping[str, Any]], text: str) -> str:
    """A page with its words on the results as they are now."""
    lines = "\n".join(f"- {one}" for experiment in kept for one in conclusions(experiment))
    return SAID.sub(lambda found: f"{found[1]}{lines}{found[2]}", text)


def verdict(gain: Mapping[str, Any], words: str) -> str:
    """A difference in words: "+1.2 points on targets ([+0.3, +2.0], fixed warp, 32 px)"."""
    points = f"{100 * mean(gain['values']):+.1f}"
    around = brackets(gain)
    where = f"{around}, {gain['base']}" if around else gain["base"]
    if is_none(gain):
        return f"no difference {words} that can be told from chance ({points} {where})"
    return f"**{points} points** {words} ({where})"


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
        read = runpy.run_path(str(HERE / "results_data.py"))["read"]
        by_name[name] = read(name, stores.Workspace(Path(workspace)), files)
    KEPT.write_text(json.dumps(list(by_name.values()), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(written(list(by_name.values())), encoding="utf-8")
    for path in SAID_IN:
        path.write_text(said(list(by_name.values()), path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
