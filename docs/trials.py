"""Writes docs/trials.md: what was tried to make the gain larger.

The bounds come from workspaces in which the auxiliary networks of workflows/trials.sh were trained; that script runs both:

adaprep upper-bound --split val --resolution 32,64,128 --lambda 0.5,1 --fixed-warp --first RUN --auxiliary RUN ... --json > bound.json
python docs/trials.py camvid-by-sequence=bound.json drone=bound.json     # keeps the figures in trials.json
python docs/trials.py camvid-by-sequence=WORKSPACE drone=WORKSPACE       # of the recipes *-trials.yaml: base networks
python docs/trials.py                                                    # writes the page from it again
"""

from __future__ import annotations

import json
import re
import runpy
import string
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.evaluation import comparison
from pipeline.evaluation.comparison import Group, Pair, Spread
from pipeline.samplers import registry
from pipeline.samplers.uniform import Uniform
from pipeline.workspace import results, stores

HERE = Path(__file__).parent
KEPT, PAGE = HERE / "trials.json", HERE / "trials.md"
FIGURES = ("miou", "target_miou")
SEED = re.compile(r"-seed[0-9]+(?=$|-)")

WORDS = {
    "auxiliary-32-lambda0.5-features64": "auxiliary network, plain encoder, 64 features, 32 px",
    "auxiliary-32-lambda0.5-features64-efficientnet-lite0": "the same with EfficientNet-Lite0, ImageNet weights",
    "auxiliary-64-lambda0.5-features64-efficientnet-lite0": "the same at 64 px",
    "auxiliary-32-lambda0.5-features64-efficientnet-lite0-zoom1-mirrored": "EfficientNet-Lite0 at 32 px, zoomed squares, mirrored",
    "auxiliary-64-lambda0.5-features64-efficientnet-lite0-zoom1-mirrored": "the same at 64 px, zoomed squares, mirrored",
    "auxiliary-32-lambda0.5-features64-efficientnet-lite0-mirrored-turn": "EfficientNet-Lite0 at 32 px, turned images, mirrored",
    "auxiliary-64-lambda0.5-features64-efficientnet-lite0-mirrored-turn": "the same at 64 px, turned images, mirrored",
    "auxiliary-32-lambda0.5-features64-efficientnet-lite0-zoom1-mirrored-turn": "at 32 px, turned images and zoomed squares, mirrored",
    "auxiliary-32-lambda0.5-features64-solver": "plain encoder, the solver as last layer, 32 px",
}
"""What runs are, by their names without the seed."""

TEXT = """\
# Trials

What was tried to make the gain larger, and what came of it. [Results](results.md) has what trained networks gain.

## What says where the samples lie

The bound is what `adaprep upper-bound` gives for samples that are all classified right: mIoU over all classes / over targets, at
the full resolution of the central squares. It depends on the tensors alone and tells the trials apart before a base network is
trained. Auxiliary networks: 100 epochs, lambda 0.5, the best epoch by validation loss; mean and standard deviation over
seeds. `bash workflows/trials.sh CAMVID DRONE` trains what is in the tables and writes them.

{tables}

{findings}

{networks}

{others}

{older}
"""

FINDINGS = """\
What follows from these bounds, before any base network is trained:

- **The fixed warp takes most of what there is on CamVid and little on drone images.** Against uniform samples the ground truth's
  proposals (lambda 0.5) would gain {truth_streets} points on targets at 32 / 64 / 128 px on CamVid and {truth_drone} on drone images;
  the fixed warp of lambda 1 gains {warp_streets} and {warp_drone}. Streets look alike, photos from above do not.
- **What predictions can add to the fixed warp is small**: on targets {predicted_streets} points on CamVid and {predicted_drone} on drone images,
  with EfficientNet-Lite0 at 32 px, squares or turns, mirrored. Even perfect predictions would add {perfect_streets} and {perfect_drone} to it. A base network that
  gains more than that on the best baseline gains it from something else than where its samples lie.
- **ImageNet weights in the auxiliary network help** on both data sets, {weights_streets} and {weights_drone} points, at 32 px about the spread over seeds, at half
  the multiply-adds (0.005 against 0.011 GMACs). A larger input helps on drone images, by {larger_drone} points in one seed.
- **The solver as the last layer makes no difference** that three seeds can show: {solver_streets} and {solver_drone} points against the same
  encoder without it.
- **A lower validation loss is not yet a higher bound.** Auxiliary networks overfit: with ImageNet weights the best epoch is one of the first
  25 of 100, and on CamVid the training loss falls to a sixth of the validation loss. Zoomed squares (`--aux-zoom 1`) on CamVid and
  turned images (`--augment turn=0.75`) on drone images, which have no upper side, with `--aux-mirrored`, overfit later and lower the
  validation loss, on drone images by a tenth. The bound gains {more_streets} and {more_drone} points by that: less than
  the spread over seeds on CamVid. Turns and squares together are no better than turns.
- **Lambda 1 makes the better fixed warp** for targets, lambda 0.5 the better proposals.
- **Two passes need a first network that finds the targets.** Here it is EfficientNet-Lite0 at 32 px: too weak, on drone images worse
  than uniform samples (its mIoU on targets is 0.001 there).
- **The higher the resolution, the less is to be had** from the samples' places: predictions gain {best_streets} and {best_drone}
  on uniform samples."""

NETWORKS = """\
## Base networks

Each option of `adaprep train` below has tests of its own and is off by default. U-Net, {trained}; `adaprep
run workflows/*-trials.yaml` trains them, here at 32 px alone, on a CPU. mIoU over all classes / over targets, at the full resolution of
the central squares of val, means over seeds and standard deviations where there are several; in parentheses the difference in
points to the same samples without the option, in brackets 95 % intervals of a bootstrap over images. These know nothing of
seeds: one seed that is not beyond the spread of the first row says nothing. The epoch is the best on the same images; with a star,
where it is the last, so that more epochs may have done better. The last two rows are not in the recipe: `adaprep train --network
auxiliary --finetune BASE --learning-rate 1e-4 --epochs 30`, and then its options with `--checkpoint` and a `--tag`; and its options with
`--grid 16 --lambda 2.3`, solved for before.

{tables}

{findings}"""

OPTIONS = {
    "": "none",
    "area": "anti-aliased: `--filter area`",
    "zoom1": "zoomed squares: `--augment zoom=1`",
    "area-zoom1": "both",
    "channels": "the network sees the local scale: `--tensor-channels`",
    "median": "class weights: `--class-weights median`",
    "areas0.5": "loss weighted by the root of a sample's cell's area: `--area-weight 0.5`",
    "areas1": "by the area: `--area-weight 1`",
    "boundary": "loss weighted near boundaries: `--loss boundary`",
    "area-boundary": "the same, anti-aliased",
    "finetuned": "finetuned with the base network's loss, `--finetune`, and trained again",
    "16x16-lambda2.3": "tensors of 16 x 16: `--grid 16 --lambda 2.3`",
}
"""What a run's name ends in, and the row that it stands in."""

PROPOSALS = ("-lambda0.5", "-16x16-lambda2.3")
"""Of warps, in the names of runs: grid and lambda, if not the paper's."""

RESOLUTIONS = (32, 64)
"""Of trials; the findings are about the first."""

DIFFERING = ("filter", "class weights", "loss", "augmentation zoom")
"""What options change, in the words of `pipeline.evaluation.comparison`."""

NETWORK_FINDINGS = """\
- **Anti-aliased warps help over all classes**: the fixed warp from {mean} to {mean_area}, predicted samples from {adaptive} to {adaptive_area}, with
  intervals above 0; uniform ones from {uniform} to {uniform_area}. On targets the seeds differ by as much as what they gain. Where a warp
  samples coarsely, nearest pixels are noise. Anti-aliased on both sides, predictions differ from uniform samples by {adaptive_area_gain_target_miou} points on
  targets and {adaptive_area_gain_miou} over all classes (three seeds); than the fixed warp they are not better.
- **Zoomed squares help uniform samples**: from {uniform} to {uniform_zoom}, the best of the table over all classes. Warped samples gain nothing by
  them that one seed can show ({mean} to {mean_zoom}, {adaptive} to {adaptive_zoom}): a square of a street is not arranged as a street is, and that
  all of them are is what a warp lives on.
- **A loss that weighs boundaries more** helps uniform samples in both figures ({uniform} to {uniform_boundary}) and predicted ones on targets ({adaptive} to
  {adaptive_boundary}), one seed each; the fixed warp gains nothing by it ({mean_boundary}). With anti-aliased samples: uniform {uniform_area_boundary}, fixed warp
  {mean_area_boundary}, predicted {adaptive_area_boundary}.
- **Class weights** lift the fixed warp's targets ({mean} to {mean_median}, one seed); predicted samples lose over all classes by them ({adaptive} to
  {adaptive_median}), and for uniform ones no difference can be told from chance.
- **Weights by the cell's area make no difference** that one seed can show ({adaptive} to {adaptive_root} with the root of the area, {adaptive_areas} with the
  area); **the tensor as channels costs** over all classes ({adaptive_channels}).
- **Finetuning costs on targets** ({adaptive} to {adaptive_finetuned}, one seed): its loss is about that of all pixels, most of which are no targets.
- **Tensors of 16 x 16 make no difference** that one seed can show ({mean} to {mean_finer}, {adaptive} to {adaptive_finer})."""

OTHERS = """\
## Elsewhere, or not tried

| candidate | how | measured |
|---|---|---|
| 64 and 128 px of all of these | `workflows/*-trials.yaml` | no: a GPU's work |
| ImageNet weights in the base network | `--architecture efficientnet-lite0` | begun (`*-efficientnet.yaml`); on drone images at 64 px systems were still improving after 100 epochs, so no figure is given |
| ImageNet weights in the auxiliary network | `--aux-encoder efficientnet-lite0` | its bound, above |
| the solver as the last layer | `--aux-head solver` | its bound, above |
| grids of 32 x 32, lambda per image | `--grid`, `--lambda` | their bounds: [choosing](choosing.md) |
| the labels of the last frame, or of a first pass | `--sampler previous`, `twice` | two passes: above, and [results](results.md) |"""

OLDER: str = runpy.run_path(str(HERE / "trials_older.py"))["OLDER"]


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a bound, networks that differ in their seeds together."""
    found: dict[str, dict[str, Any]] = {}
    for row in json.loads(path.read_text(encoding="utf-8"))[0]["settings"]:
        name = SEED.sub("", str(row["sampler"]))
        kept = found.setdefault(name, {"name": name, "bounds": {}})
        bounds = kept["bounds"].setdefault(str(row["resolution"]), {figure: [] for figure in FIGURES})
        for figure in FIGURES:
            bounds[figure].append(row[figure])
    return list(found.values())


def read_networks(workspace: Path, name: str) -> list[dict[str, Any]]:
    """What base networks of a workspace reached, seeds together, in the order of samplers and options.

    Raises
    ------
    SystemExit
        A network was trained with an option that the page has no words for, or otherwise than those beside it.
    """
    space = stores.Workspace(workspace)
    trainings = results.trainings(results.complete_runs(space, name))
    rows = []
    every = comparison.groups(results.evaluations(space, name, "val"), trainings)
    groups = [group for group in every if group.kind.word in SAMPLES and group.resolution in RESOLUTIONS]
    groups = [group for group in groups if group.kind is Uniform or any(map(group.variant.count, PROPOSALS))]
    plain = {(group.kind, group.resolution): group for group in groups if not option_of(group)}
    for group in groups:
        option, pair = option_of(group), Pair(group, plain[group.kind, group.resolution], DIFFERING)
        if option not in OPTIONS or pair.differing:
            problem = ", ".join(pair.differing) or "no words for it in OPTIONS"
            raise SystemExit(f"{group.variant}: {problem}")
        epochs = group.evaluations[0]["settings"]["epochs"]
        spreads = {figure: group.figure(figure) for figure in FIGURES}
        rows.append(
            {
                "samples": group.kind.word,
                "resolution": group.resolution,
                "option": option,
                "trained": f"{epochs} epochs in {trainings[group.evaluations[0]['run']].precision}",
                "seeds": list(group.seeds),
                "improving": bool(group.improving),
                **{figure: list(spread.values) for figure, spread in spreads.items() if spread},
                "on_uniform": on_uniform(group, option, every),
                "intervals": {
                    figure: [[i.low, i.high] for i in pair.intervals(figure)[:1]]
                    for figure in (FIGURES if option else ())
                },
            }
        )
    places = SAMPLES, list(OPTIONS)
    return sorted(rows, key=lambda r: (places[0].index(r["samples"]), places[1].index(r["option"])))


def on_uniform(group: Group, option: str, every: Sequence[Group]) -> dict[str, list[float]]:
    """Each figure's difference to uniform samples with the same option, and its interval over images."""
    same = (group.resolution, option)
    uniform = [g for g in every if g.kind is Uniform and (g.resolution, option_of(g)) == same]
    if group.kind is Uniform or not uniform:
        return {}
    pair, found = Pair(group, uniform[0]), {}
    for figure in FIGURES:
        difference, intervals = pair.difference(figure), pair.intervals(figure)
        if difference and intervals:
            found[figure] = [difference.mean, intervals[0].low, intervals[0].high]
    return found


def option_of(group: Group) -> str:
    """The end of its runs' names."""
    return re.sub(r"^base-[a-z0-9]+-[a-z]+-[0-9]+(-lambda[0-9.]+)?-?", "", group.variant)


SAMPLES = [registry.kind(name).word for name in ("uniform", "mean", "auxiliary")]
SHORT = {
    "zoom1": "zoom",
    "areas0.5": "root",
    "areas1": "areas",
    "area-zoom1": "both",
    "area-boundary": "area_boundary",
    "16x16-lambda2.3": "finer",
}
SAID = {
    "_".join(filter(None, (name, SHORT.get(option, option)))): (word, option)
    for name, word in zip(("uniform", "mean", "adaptive"), SAMPLES, strict=True)
    for option in OPTIONS
}
"""What the findings name, and the cell that it is."""


def written(kept: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> str:
    """The page."""
    bounds = kept["bounds"]
    tables = "\n\n".join(f"**{name}** val:\n\n{table(rows)}" for name, rows in bounds.items())
    return TEXT.format(
        tables=tables,
        findings=findings(bounds),
        networks=networks(kept["networks"]),
        others=OTHERS,
        older=OLDER,
    )


def networks(kept: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The section on base networks."""
    tables = "\n\n".join(
        f"**{name}** val, {side} px:\n\n{options_table(at_side)}"
        for name, rows in kept.items()
        for side in RESOLUTIONS
        if (at_side := [row for row in rows if row["resolution"] == side])
    )
    trained = sorted({row["trained"] for rows in kept.values() for row in rows})
    told = [row for row in kept.get(STREETS, ()) if row["resolution"] == RESOLUTIONS[0]]
    cells = {(row["samples"], row["option"]): option_figures(row) for row in told}
    said = {key: cells.get(place, "") for key, place in SAID.items()}
    for row in told:
        key = next(name for name, place in SAID.items() if place == (row["samples"], row["option"]))
        said |= {
            f"{key}_gain_{figure}": f"{100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
            for figure, (mean, low, high) in row["on_uniform"].items()
        }
    needed = {field for _, field, *_ in string.Formatter().parse(NETWORK_FINDINGS) if field}
    found = NETWORK_FINDINGS.format(**said) if all(map(said.get, needed)) else ""
    return NETWORKS.format(tables=tables, trained=" or ".join(trained), findings=found)


def option_figures(row: Mapping[str, Any]) -> str:
    """All classes / targets, means alone."""
    return " / ".join(f"{Spread(tuple(row[figure])).mean:.3f}" for figure in FIGURES)


def options_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Options from top to bottom, samplers from left to right, in Markdown."""
    samples = list(dict.fromkeys(row["samples"] for row in rows))
    found = {(row["samples"], row["option"]): row for row in rows}
    lines = ["| option | " + " | ".join(samples) + " |", "|---" * (1 + len(samples)) + "|"]
    for option in OPTIONS:
        cells = [option_cell(found.get((one, option)), found[one, ""]) for one in samples]
        if any(cells):
            lines.append("| " + " | ".join([OPTIONS[option], *cells]) + " |")
    return "\n".join(lines)


def option_cell(row: Mapping[str, Any] | None, plain: Mapping[str, Any]) -> str:
    """A trial beside the same without its option."""
    if row is None:
        return ""
    cell = " / ".join(shown(row[figure]) for figure in FIGURES)
    several = len(row["seeds"])
    cell += f", {several} seeds" if several > 1 else ""
    cell += "\\*" if row.get("improving") else ""
    return cell if row is plain else f"{cell} ({' / '.join(points(row, plain, f) for f in FIGURES)})"


def points(row: Mapping[str, Any], plain: Mapping[str, Any], figure: str) -> str:
    """A difference with its interval: "+1.4 [+0.5, +2.2]"."""
    found = 100 * (Spread(tuple(row[figure])).mean - Spread(tuple(plain[figure])).mean)
    around = "".join(
        f" [{100 * low:+.1f}, {100 * high:+.1f}]" for low, high in row.get("intervals", {}).get(figure, [])
    )
    return f"{found:+.1f}{around}"


STREETS, DRONE = "camvid-by-sequence", "drone"
TRUTH, WARP = "8x8, lambda 0.5", "fixed warp 8x8, lambda 1"
PLAIN = "auxiliary-32-lambda0.5-features64"
LITE, SOLVER = f"{PLAIN}-efficientnet-lite0", f"{PLAIN}-solver"
LARGER = LITE.replace("-32-", "-64-")
MORE = {STREETS: f"{LITE}-zoom1-mirrored", DRONE: f"{LITE}-mirrored-turn"}
"""What few images are made more by."""


def findings(kept: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """What the bounds say, with their figures."""
    found = {}
    for short, name in (("streets", STREETS), ("drone", DRONE)):
        pairs = {
            "truth": (TRUTH, "uniform"),
            "warp": (WARP, "uniform"),
            "predicted": (MORE[name], WARP),
            "perfect": (TRUTH, WARP),
            "weights": (LITE, PLAIN),
            "more": (MORE[name], LITE),
            "larger": (LARGER, LITE),
            "best": (MORE[name], "uniform"),
            "solver": (SOLVER, PLAIN),
        }
        found |= {f"{key}_{short}": gains(kept[name], *pair) for key, pair in pairs.items()}
    return FINDINGS.format(**found)


def gains(rows: Sequence[Mapping[str, Any]], ours: str, base: str) -> str:
    """Points on targets at every resolution: "9.1 / 4.5 / 2.5"."""
    by_name = {row["name"]: row["bounds"] for row in rows}
    means = [
        [Spread(tuple(bound["target_miou"])).mean for bound in by_name[name].values()]
        for name in (ours, base)
    ]
    points = (f"{100 * (mine - other):.1f}" for mine, other in zip(*means, strict=True))
    return " / ".join("0.0" if point == "-0.0" else point for point in points)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """In Markdown."""
    sides = list(rows[0]["bounds"])
    lines = [
        "| samples | seeds | " + " | ".join(f"{side} px" for side in sides) + " |",
        "|---" * (2 + len(sides)) + "|",
    ]
    for row in sorted(rows, key=place):
        bounds = [row["bounds"][side] for side in sides]
        several = str(len(bounds[0]["miou"])) if row["name"] in WORDS else ""
        cells = [" / ".join(shown(bound[figure]) for figure in FIGURES) for bound in bounds]
        lines.append("| " + " | ".join([words(row["name"]), several, *cells]) + " |")
    return "\n".join(lines)


def place(row: Mapping[str, Any]) -> tuple[int, int]:
    """Of a row: auxiliary networks in the order of `WORDS`, before two passes."""
    names = list(WORDS)
    if row["name"] in names:
        return 1, names.index(row["name"])
    return (2, 0) if row["name"].startswith("two passes") else (0, 0)


def words(name: str) -> str:
    """What a row is."""
    return WORDS.get(name) or (f"proposals {name}" if re.match(r"[0-9]+x", name) else name)


def shown(values: Sequence[float]) -> str:
    spread = Spread(tuple(values))
    around = "" if spread.deviation is None else f" ± {spread.deviation:.3f}"
    return f"{spread.mean:.3f}{around}"


def main() -> None:
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    for argument in sys.argv[1:]:
        name, _, place = argument.partition("=")
        path = Path(place)
        if path.is_dir():
            kept["networks"][name] = read_networks(path, name)
        else:
            kept["bounds"][name] = read(path)
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(written(kept), encoding="utf-8")


if __name__ == "__main__":
    main()
