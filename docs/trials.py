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
    "auxiliary-32-nearest-lambda0.5-features64": "the same, shown nearest pixels: `--aux-filter nearest`",
    "auxiliary-32-lambda0.5": "plain encoder, 256 features, box means, 32 px: the default",
    "auxiliary-32-lambda0.5-features64-efficientnet-lite0": "EfficientNet-Lite0, ImageNet weights, 64 features, 32 px",
    "auxiliary-64-lambda0.5-features64-efficientnet-lite0": "the same at 64 px",
    "auxiliary-32-lambda0.5-features64-efficientnet-lite0-zoom1-mirrored": "EfficientNet-Lite0 at 32 px, zoomed squares, mirrored",
    "auxiliary-64-lambda0.5-features64-efficientnet-lite0-zoom1-mirrored": "the same at 64 px, zoomed squares, mirrored",
    "auxiliary-32-lambda0.5-features64-efficientnet-lite0-mirrored-turn": "EfficientNet-Lite0 at 32 px, turned images, mirrored",
    "auxiliary-64-lambda0.5-features64-efficientnet-lite0-mirrored-turn": "the same at 64 px, turned images, mirrored",
    "auxiliary-32-lambda0.5-features64-efficientnet-lite0-zoom1-mirrored-turn": "at 32 px, turned images and zoomed squares, mirrored",
    "auxiliary-32-lambda0.5-features64-solver": "plain encoder, the solver as last layer, 32 px",
}
"""What runs are, by their names without the seed."""

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

TEXTS: dict[str, str] = runpy.run_path(str(HERE / "trials_text.py")) | runpy.run_path(
    str(HERE / "trials_older.py")
)
"""The words of the page."""


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
    return TEXTS["TEXT"].format(
        tables=tables,
        findings=findings(bounds),
        networks=networks(kept["networks"]),
        others=TEXTS["OTHERS"],
        older=TEXTS["OLDER"],
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
    needed = {field for _, field, *_ in string.Formatter().parse(TEXTS["NETWORK_FINDINGS"]) if field}
    found = TEXTS["NETWORK_FINDINGS"].format(**said) if all(map(said.get, needed)) else ""
    return TEXTS["NETWORKS"].format(tables=tables, trained=" or ".join(trained), findings=found)


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
NEAREST, WIDE = PLAIN.replace("-32-", "-32-nearest-"), PLAIN.removesuffix("-features64")
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
            "nearest": (NEAREST, PLAIN),
            "wide": (WIDE, PLAIN),
            "light": (LITE, WIDE),
            "more": (MORE[name], LITE),
            "larger": (LARGER, LITE),
            "best": (MORE[name], "uniform"),
            "solver": (SOLVER, PLAIN),
        }
        found |= {f"{key}_{short}": gains(kept[name], *pair) for key, pair in pairs.items()}
    return TEXTS["FINDINGS"].format(**found)


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
