"""Writes docs/choosing.md from the figures of `adaprep upper-bound --json` and of benchmarks/lambdas.py.

    adaprep upper-bound --dataset camvid --root DATA/camvid --split val --resolution 16,32,64,128 \
        --grid 4x4 --grid 8x8 --grid 16x16 --grid 32x32 --lambda 0.1,0.3,1,3,10,30 --json > bounds.json
    python -m benchmarks.lambdas camvid-by-sequence=DATA/camvid workflows/data/drone.yaml=DATA/drone --json > scaled.json
    python docs/choosing.py bounds.json scaled.json

Either file alone writes its part of the page, and leaves the other as it stands.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TEXT = """\
# Which lambda, which grid

`adaprep upper-bound` says, before anything is trained, how much of the ground truth survives sampling and
interpolation if every sample is classified perfectly. Here: CamVid val, {images} images, targets {targets}; mIoU at
the full resolution of the central square crop, void pixels left out. Written by `python docs/choosing.py bounds.json`
from the figures of

```console
$ adaprep upper-bound --dataset camvid --root DATA/camvid --split val --resolution 16,32,64,128 \\
    --grid 4x4 --grid 8x8 --grid 16x16 --grid 32x32 --lambda 0.1,0.3,1,3,10,30 --json > bounds.json
```

## The best choice at each resolution

The highest target mIoU among all settings that lose nothing over all classes against uniform sampling, the paper's
setting (8 x 8, lambda 1), and uniform sampling itself:

{best}

## What the figures say

- **Lambda 1 on 8 x 8, the paper's choice, is a good one**: {paper_gain} points of target mIoU at resolutions
  16 / 32 / 64 / 128, and it never loses more than {paper_loss} points over all classes.
- **A smaller lambda moves accuracy from the other classes to the targets.** At 8 x 8, going from 1 to 0.1 changes
  mIoU over all classes by {small_loss} points and that of the targets by {small_gain} points, at resolutions
  16 / 32 / 64 / 128. Choose it only if the other classes do not matter.
- **A finer grid needs a larger lambda.** Neighbouring points lie closer together, so the same lambda regularises
  less, by the square of the spacing: 16 x 16 with lambda 3 to 10 behaves like 8 x 8 with lambda 1, 32 x 32 with
  lambda 10 to 30 likewise. With lambda 1, a 32 x 32 tensor already has folded cells and loses much over all classes.
- **The gain shrinks as the resolution grows**, as it must: uniform sampling misses less.
- **Folded cells** appear where lambda is too small for the grid, and go together with a loss over all classes.

An auxiliary network has to predict the tensor, and a finer one is harder to predict: the bound says what can be had,
not what will be.

## All figures

mIoU over all classes / over target classes.

{tables}
"""


SCALED = """\
## Finer grids with lambda scaled, and a lambda for every image

As a grid becomes finer, lambda has to grow by the square of the number of cells to regularise as before: lambda 1 of
8 x 8 is ((n - 1) / 7)² of n x n points, 4.6 of 16 x 16 and 19.6 of 32 x 32. Below, lambdas are those of 8 x 8, scaled so.
The last two columns choose one of the {count} lambdas for each image, as its own bound says: by mIoU of target classes, or
by the sum of that and of mIoU of all classes. These two know the ground truth: they are references, and no sampler does
it. Central crops of the splits `val`. Written from the figures of

```console
$ python -m benchmarks.lambdas camvid-by-sequence=DATA/camvid --json > scaled.json
```

and of the same for `workflows/data/drone.yaml=DATA/drone`.

Scaled so, lambda says the same on every grid: columns differ more than rows. Finer grids are worth one to two points
on targets at 32 on CamVid, nothing on drone, and nothing to speak of at 64 and 128. A lambda for each image, chosen by the
sum, is worth two points on targets at 32 and half a point or less above, on both, and loses nothing over all classes.
Against 8 x 8 with lambda {usual:g} for all images, the lambda of the [results](results.md), points over all / on targets:

{findings}

mIoU over all classes / over target classes:

{tables}
"""

USUAL = 0.5
"""Lambda that the findings compare with."""


def of(rows: list[dict[str, Any]], resolution: int, grid: int | None, lam: float | None) -> dict[str, Any]:
    """The row of one setting."""
    wanted = [grid, grid] if grid else None
    return next(r for r in rows if (r["resolution"], r["grid"], r["lambda"]) == (resolution, wanted, lam))


def points(value: float) -> str:
    """0.0123 -> "+1.2"."""
    return f"{100 * value:+.1f}"


def best_table(rows: list[dict[str, Any]], resolutions: list[int]) -> str:
    """The best setting of each resolution beside the paper's and uniform."""
    lines = ["| resolution | uniform | 8 x 8, lambda 1 | best | at |", "|---|---|---|---|---|"]
    for r in resolutions:
        uniform = of(rows, r, None, None)
        kept = [row for row in rows if row["resolution"] == r and row["miou"] >= uniform["miou"]]
        best = max(kept, key=lambda row: float(row["target_miou"]))
        cells = [
            f"{row['miou']:.3f} / {row['target_miou']:.3f}" for row in (uniform, of(rows, r, 8, 1.0), best)
        ]
        lines.append(f"| {r} | {' | '.join(cells)} | {best['sampler']} |")
    return "\n".join(lines)


def full_table(rows: list[dict[str, Any]], resolution: int) -> str:
    """Grids by lambdas at one resolution."""
    here = [row for row in rows if row["resolution"] == resolution]
    lambdas = sorted({row["lambda"] for row in here if row["lambda"] is not None})
    grids = sorted({row["grid"][0] for row in here if row["grid"]})
    uniform = of(rows, resolution, None, None)
    lines = [
        f"**{resolution} x {resolution}**, uniform {uniform['miou']:.3f} / {uniform['target_miou']:.3f}",
        "",
    ]
    lines += [
        "| grid | " + " | ".join(f"lambda {lam:g}" for lam in lambdas) + " |",
        "|---" * (len(lambdas) + 1) + "|",
    ]
    for grid in grids:
        cells = [of(rows, resolution, grid, lam) for lam in lambdas]
        text = " | ".join(f"{c['miou']:.3f} / {c['target_miou']:.3f}" for c in cells)
        lines.append(f"| {grid} x {grid} | {text} |")
    return "\n".join(lines)


Row = dict[str, Any]


def scaled_of(report: Row, resolution: int, grid: int | None, lam: float | str | None) -> Row:
    """The row of one setting of benchmarks/lambdas.py."""
    wanted = (resolution, grid, lam)
    return next(r for r in report["rows"] if (r["resolution"], r["grid"], r["lam"]) == wanted)


def axes(report: Row) -> tuple[list[int], list[int], list[float], list[str]]:
    """Resolutions, grids, lambdas, and ways to choose a lambda for each image."""
    rows = report["rows"]
    lams = dict.fromkeys(r["lam"] for r in rows if r["lam"] is not None)
    return (
        sorted({r["resolution"] for r in rows}),
        sorted({r["grid"] for r in rows if r["grid"]}),
        sorted(lam for lam in lams if not isinstance(lam, str)),
        [lam for lam in lams if isinstance(lam, str)],
    )


def scaled_table(report: Row) -> str:
    """Resolutions and grids by lambdas on one data set."""
    resolutions, grids, lams, ways = axes(report)
    heads = [*(f"lambda {lam:g}" for lam in lams), *ways]
    lines = [
        f"**{report['dataset']}**, {report['images']} images, targets {', '.join(report['targets'])}:",
        "",
        f"| resolution | uniform | grid | {' | '.join(heads)} |",
        "|---" * (len(heads) + 3) + "|",
    ]
    for r in resolutions:
        for grid in grids:
            rows = [
                scaled_of(report, r, None, None),
                *(scaled_of(report, r, grid, lam) for lam in [*lams, *ways]),
            ]
            uniform, *cells = [f"{row['miou']:.3f} / {row['target_miou']:.3f}" for row in rows]
            lines.append(f"| {r} | {uniform} | {grid} x {grid} | {' | '.join(cells)} |")
    return "\n".join(lines)


def gains(report: Row, grid: int, lam: float | str) -> str:
    """Cells of one way to sample, against 8 x 8 with lambda `USUAL`: a cell for each resolution."""
    pairs = [(scaled_of(report, r, grid, lam), scaled_of(report, r, 8, USUAL)) for r in axes(report)[0]]
    return " | ".join(
        f"{points(a['miou'] - b['miou'])} / {points(a['target_miou'] - b['target_miou'])}" for a, b in pairs
    )


def scaled_findings(reports: list[Row]) -> str:
    """What finer grids and a choice for each image are worth."""
    resolutions, grids, _, ways = axes(reports[0])
    lines = [
        f"| data set | tensor | {' | '.join(map(str, resolutions))} |",
        "|---" * (len(resolutions) + 2) + "|",
    ]
    others = [(grid, USUAL, f"{grid} x {grid}, lambda {USUAL:g}") for grid in grids if grid != 8]
    others += [(8, way, f"8 x 8, {way}") for way in ways]
    for report in reports:
        for grid, lam, words in others:
            lines.append(f"| {report['dataset']} | {words} | {gains(report, grid, lam)} |")
    return "\n".join(lines)


def scaled_part(reports: list[Row]) -> str:
    """The section of benchmarks/lambdas.py."""
    return SCALED.format(
        count=len(axes(reports[0])[2]),
        usual=USUAL,
        findings=scaled_findings(reports),
        tables="\n\n".join(map(scaled_table, reports)),
    )


def bounds_part(report: Row) -> str:
    """The page but for that section."""
    rows = report["settings"]
    resolutions = sorted({row["resolution"] for row in rows})
    pairs = [(of(rows, r, None, None), of(rows, r, 8, 1.0), of(rows, r, 8, 0.1)) for r in resolutions]
    return TEXT.format(
        images=report["images"],
        targets=", ".join(report["targets"]),
        best=best_table(rows, resolutions),
        paper_gain=" / ".join(points(p["target_miou"] - u["target_miou"]) for u, p, _ in pairs),
        paper_loss=f"{max(0.0, *(100 * (u['miou'] - p['miou']) for u, p, _ in pairs)):.1f}",
        small_loss=" / ".join(points(s["miou"] - p["miou"]) for _, p, s in pairs),
        small_gain=" / ".join(points(s["target_miou"] - p["target_miou"]) for _, p, s in pairs),
        tables="\n\n".join(full_table(rows, r) for r in resolutions),
    )


def main() -> None:
    page = Path(__file__).parent / "choosing.md"
    heading = SCALED.partition("\n")[0]
    first, found, last = page.read_text(encoding="utf-8").partition(heading)
    last = found + last
    for path in sys.argv[1:]:
        reports = json.loads(Path(path).read_text(encoding="utf-8"))
        if "settings" in reports[0]:
            first = bounds_part(reports[0]) + ("\n" if last else "")
        else:
            first, last = first.rstrip("\n") + "\n\n", scaled_part(reports)
    page.write_text(first + last, encoding="utf-8")


if __name__ == "__main__":
    main()
