"""Writes docs/results.md: what trained networks gain, from workspaces that the result recipes filled.

adaprep run workflows/camvid-by-sequence-results-32.yaml --root FOLDER --jobs 2
adaprep evaluate BASE --sampler previous --sampler twice --baseline UNIFORM --json > seed0.json     # for every seed
python docs/results.py camvid-by-sequence-results-32=WORKSPACE,seed0.json,...   # keeps figures in results.json
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
from pipeline.samplers.mean import Mean
from pipeline.samplers.proposal import Proposals
from pipeline.samplers.uniform import Uniform
from pipeline.workspace import stores

HERE = Path(__file__).parent
KEPT, PAGE = HERE / "results.json", HERE / "results.md"
SAID_IN = (HERE.parent / "README.md", HERE / "index.md")
SAID = re.compile(r"(?s)(<!-- written by docs/results.py -->\n).*?(\n<!-- until here -->)")
"""What the pages above say of the results, between these marks."""
SPLIT = "val"

KIND = re.compile(r"-(results|efficientnet).*")
"""What follows the data set in a recipe's name."""

FIXED_WARP, REFERENCE = Mean.word, Proposals.word
"""How the samples of rows begin: of a baseline, and of what no system has."""

SHORT = {"cpu": "CPU", "NVIDIA H100 80GB HBM3": "H100"}
"""Machines in conclusions."""

TOLD = ("target_miou", "miou")
"""In the order in which they are told."""

TEXT = """\
# Results

{summary}

On CamVid the fixed warp, one tensor for all images at no cost, is the baseline to beat, and predictions do not beat it. With
EfficientNet-Lite0, which starts from ImageNet weights and costs a thirtieth of the U-Net, it gains most: at 64 px (lambda 1, anti-aliased)
4.3 points on targets and 0.8 over all classes over anti-aliased or plain uniform samples, at 32 px (lambda 0.5) 2.1 and none. Predictions gain
3.7 and none at 64 px; they find more of the small objects than the fixed warp (recall below) and label them no better. **Read 4.3 with care**: it
is three times what the places of the samples allow at best ([1.4](trials.md)), so most of it must come from something else. In a
warped image targets are larger, which may make them easier to recognise; a bound of perfect labels knows nothing of that. Seeds differ by more than
the interval over images says, and the images to validate on are of one drive. One seed each of other lambdas at 64 px (same recipe; `adaprep evaluate` prints them), against uniform
samples on targets / over all: fixed warp of lambda 0.5 +4.0 / +0.6, of lambda 2 +1.8 / +1.1; predictions of lambda 0.5 +1.8 / -0.6, of lambda 2 +2.7 / +0.9: the
milder warp, the better over all classes.

Drone images do not look alike: there the fixed warp is no better than uniform samples, which are the baseline to beat. Predictions are above these in all four
comparisons, beyond chance where both are anti-aliased, and above the best baseline beyond chance in one: on whole images, anti-aliased.
With so many comparisons that one may be luck, and over all classes nothing is gained. Networks that are trained on and sampled by the
ground truth's own proposals (U-Net on CamVid, one seed, a reference: no system has them) gain 2.9 points on targets over the fixed warp at 32
and at 64 px, so better predictions could be worth that much; a warp made of the ground truth also shows where targets are. The same three
seeds of the same recipe, on a GPU and on a CPU, differ by up to 1.8 points in the gain on targets over uniform samples: that is how
much of such a difference is luck. [Trials](trials.md) has how much the places of samples allow at best.

Written by `python docs/results.py` from the figures in `docs/results.json`, which the same script reads from workspaces.
Every network was trained to the end, U-Nets from scratch and EfficientNet-Lite0 from ImageNet weights, with the settings of its recipe, which differ in the samples alone. Epochs are the
recipe's; where it has `patience`, runs went on until validation stood still: for drone images after 300 to 420 epochs, with
EfficientNet-Lite0 after 100 to 130.
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

`adaprep run workflows/{recipe} --root FOLDER`{then}; {trained_on}.
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
- **128 and 256 pixels, drone images at 64 pixels or with ImageNet weights, CamVid's usual splits**: not trained to the end. `workflows/*-results.yaml` hold every row.
- **Anti-aliased warps on CamVid by sequence**: with three seeds at 32 px among the [trials](trials.md#base-networks).
- **Finetuned auxiliary networks** (one trial at 32 px lost on targets: [trials](trials.md#base-networks)), and the samplers `previous` and `twice` at 64 px.
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
        summary=summary(kept),
        same_cost=100 * baselines.SAME_COST,
        experiments="\n".join(map(experiment_text, kept)),
        missing=MISSING,
    )


def summary(kept: Sequence[Mapping[str, Any]], short: bool = False) -> str:
    """Whether predictions beat the best baseline, in a sentence, and a table of all that is not uniform.

    Short: central squares of the first experiment of every data set and network, warped samples alone.
    """
    firsts = {_kind(experiment): experiment for experiment in reversed(kept)}
    every = [
        (experiment, region, row)
        for experiment in kept
        for region in experiment["regions"]
        for row in region["rows"]
        if row["against"]["uniform"]["miou"] and not row["samples"].startswith(REFERENCE)
    ]
    heads = ["data", "network", "px", "samples", "seeds", "against uniform, targets", "all classes"]
    heads += ["against the best baseline, targets", "all classes"]
    told = [
        one
        for one in every
        if not short
        or (
            one[0] is firsts[_kind(one[0])]
            and one[1]["region"] == CENTRAL
            and not one[2]["samples"].startswith(Uniform.word)
        )
    ]
    return f"{verdict([row for *_, row in every])}\n\n{table(heads, [summary_row(*one) for one in told])}"


def _kind(experiment: Mapping[str, Any]) -> tuple[str, str]:
    """Data set and network of an experiment."""
    return experiment["name"], experiment["regions"][0]["rows"][0]["network"]


def summary_row(
    experiment: Mapping[str, Any], region: Mapping[str, Any], row: Mapping[str, Any]
) -> list[str]:
    machine, against = experiment["machine"]["device"], row["against"]
    whole = "" if region["region"] == CENTRAL else ", whole images"
    return [
        f"{experiment['name']}{whole}",
        row["network"],
        str(row["resolution"]),
        words(row),
        f"{len(row['seeds'])}, {SHORT.get(machine, machine)}",
        *(gain_cell(against["uniform"][figure], False) for figure in TOLD),
        *(gain_cell(against["best"][figure], True) for figure in TOLD),
    ]


def verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """On targets, of all systems that are compared with the best baseline."""
    gains = [gain for row in rows if (gain := row["against"]["best"]["target_miou"])]
    better = sum(low > 0 for gain in gains for low, *_ in gain["intervals"][:1])
    worse = sum(high < 0 for gain in gains for _, high, *_ in gain["intervals"][:1])
    even = len(gains) - better - worse
    return (
        f"**On target classes, predicted samples are better than the best baseline of their cost in {better} of "
        f"{len(gains)} comparisons, worse in {worse}, and in {even} no difference can be told from chance.**"
    )


def words(row: Mapping[str, Any]) -> str:
    """A row's samples; a fixed warp with its lambda, which is 1 by default."""
    found = str(row["samples"])
    if found.startswith(FIXED_WARP):
        found = found.replace("(default)", "(lambda 1)")
    return re.sub(r"lambda([\d.]+)", r"lambda \1", found).replace("-area)", ", area)")


def said(kept: Sequence[Mapping[str, Any]], text: str) -> str:
    """A page with its words on the results as they are now."""
    return SAID.sub(lambda found: f"{found[1]}{summary(kept, short=True)}{found[2]}", text)


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
        title=f"{experiment['recipe']}, {SPLIT}",
        recipe=f"{experiment['recipe']}.yaml",
        then=", then `adaprep evaluate --whole-image`" if len(experiment["regions"]) > 1 else "",
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
    return [f"{row['network']} {row['resolution']}", words(row)]


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
    by_recipe = {experiment["recipe"]: experiment for experiment in kept}
    for argument in sys.argv[1:]:
        recipe, _, places = argument.partition("=")
        workspace, *files = places.split(",")
        read = runpy.run_path(str(HERE / "results_data.py"))["read"]
        name = KIND.sub("", recipe)
        by_recipe[recipe] = {"recipe": recipe, **read(name, stores.Workspace(Path(workspace)), files)}
    KEPT.write_text(
        json.dumps(list(by_recipe.values()), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    PAGE.write_text(written(list(by_recipe.values())), encoding="utf-8")
    for path in SAID_IN:
        path.write_text(said(list(by_recipe.values()), path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
