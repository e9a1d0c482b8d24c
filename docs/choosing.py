"""Writes docs/choosing.md from the figures of `adaprep upper-bound --json`.

    adaprep upper-bound --dataset camvid --root DATA/camvid --split val --resolution 16,32,64,128 \
        --grid 4x4 --grid 8x8 --grid 16x16 --grid 32x32 --lambda 0.1,0.3,1,3,10,30 --json > bounds.json
    python docs/choosing.py bounds.json
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


def main() -> None:
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))[0]
    rows = report["settings"]
    resolutions = sorted({row["resolution"] for row in rows})
    pairs = [(of(rows, r, None, None), of(rows, r, 8, 1.0), of(rows, r, 8, 0.1)) for r in resolutions]
    text = TEXT.format(
        images=report["images"],
        targets=", ".join(report["targets"]),
        best=best_table(rows, resolutions),
        paper_gain=" / ".join(points(p["target_miou"] - u["target_miou"]) for u, p, _ in pairs),
        paper_loss=f"{max(0.0, *(100 * (u['miou'] - p['miou']) for u, p, _ in pairs)):.1f}",
        small_loss=" / ".join(points(s["miou"] - p["miou"]) for _, p, s in pairs),
        small_gain=" / ".join(points(s["target_miou"] - p["target_miou"]) for _, p, s in pairs),
        tables="\n\n".join(full_table(rows, r) for r in resolutions),
    )
    (Path(__file__).parent / "choosing.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
