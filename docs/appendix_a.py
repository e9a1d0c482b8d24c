"""Writes docs/appendix-a.md and its picture from CamVid's label maps: `python docs/appendix_a.py DATA/camvid`."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from pipeline.datasets import registry
from pipeline.evaluation import boundary_error as stage
from pipeline.evaluation.boundary_error import ErrorGroup, ErrorReport
from pipeline.report import boundary_error as tables

HERE = Path(__file__).parent
PICTURE = HERE / "images" / "appendix-a.png"
IMAGES = 40

TEXT = """\
# Appendix A, checked

The paper argues for sampling near boundaries with two bounds on how far a segmentation's boundary can be from the
true one: O(D / sqrt(N)) for N samples spread evenly over an image of diameter D (section 1), and
O(kappa l^2 / N^2) for N samples near a boundary of length l and largest curvature kappa (Appendix A). This page
measures both, and what the tool's own sampling tensors do, which is neither. Written by
`python docs/appendix_a.py DATA/camvid`; the figures are those of

```console
$ adaprep boundary-error --plot curves.png
$ adaprep boundary-error --dataset camvid --root DATA/camvid --limit {limit} --plot outlines.png
```

![Boundary error against number of samples, on smooth curves and on outlines of CamVid](images/appendix-a.png)

*Errors in pixels, geometric means over the curves of a panel. Thin lines: slopes -2 and -1/2. Gray: one pixel.*

## In short

- **The bound of Appendix A holds, and its constant is 9/8.** M chords with their ends on a curve miss it by at most
  kappa (l / M)^2 / 8, and N = 3 M. On smooth curves the slope is -2 ({smooth_slopes} over the upper half of N) and
  the chords reach {bounds} of 9/8 kappa l^2 / N^2.
- **A uniform grid has slope -1/2**, on smooth curves ({uniform_slopes}) and on real outlines ({uniform_real}).
- **The tool's 8 x 8 tensors have slope -1/2 too, with a smaller constant.** At 64 x 64 samples lambda 1 brings the
  largest error on CamVid's outlines from {real_uniform:.1f} to {real_adaptive:.1f} pixels, {gain:.1f} times less. By
  the slope, a uniform grid would need {worth:.1f} times the samples for that.
- **On real outlines the slope -2 is not met**, at no N: the largest error falls with about -1, because outlines
  have corners. The reasons are taken apart below.

## What is measured

**Chords.** The appendix's construction: a closed polyline of M = N / 3 segments with its ends on the curve, equally
far apart along it. *Largest* is the appendix's error, the largest distance of the polyline from the curve. *Back* is the
largest distance of the curve from the polyline, which the appendix leaves out and which matters where a thin
part is cut off: {back_first:.0f} against {first:.0f} pixels at N = 12 on CamVid, hardly any difference on smooth curves from
N = 48 on. *Mean* is the mean of the first along the polyline.

**Grids.** N = n x n samples of the crop, as the tool does it: the label map is read at the nearest pixels (operator
(1)), every sample is classified without error, the scores are interpolated linearly in the triangles of the grid, and
the outline of the result is compared with the true curve. The error is the Hausdorff distance, the larger of the two ways.
*8x8, lambda L* is the minimiser of energy (2) for that curve, resized to n x n.

The two kinds of N mean different things. All samples of the chords are spent on one curve; a grid has to
cover the whole crop as well.

**Curves.** Three smooth ones in a crop of {side} pixels, each in {shifts} places; a circle that is known by its pixels
alone, in a crop of CamVid's size; and of the first {limit} images of CamVid val the longest closed outline of the
target classes in the central crop ({targets}), traced half way between pixels: {outlines} outlines, all but those
below {shortest:g} pixels. Then the same outlines under Gaussian filters along them.

## Figures

{tables}

*Lost: curves of which no sample fell inside; those N are left out of the slopes.*

## Where the slope -2 holds, and where it stops

It holds from where a segment is shorter than the least radius of curvature: on the circle at once, on the five lobes, whose
least radius is {lobes:.0f} of {lobes_length:.0f} pixels of length, only from about N = 400.

- **Pixels.** A circle known by its pixels follows the smooth one down to an error of some 2 pixels, and bends away
  from it there (local slopes {traced_first}): from N = {floor_low} to {floor_high} the error stays between
  {floor_top:.2f} and {floor_bottom:.2f} pixels, for the chords then follow the staircase of the pixels' edges, which lies up to about
  0.7 pixels beside the circle. Once segments are shorter than a pixel, the steps are corners, and the slope is -1.
- **Corners.** A chord that cuts a corner misses it by a share of its own length, l / M, whatever the curvature
  elsewhere: slope -1. Outlines of cars, people and bicycles have corners at every scale, so their largest error has
  local slopes of {real_slopes}, long before it reaches the size of a pixel.
- **Corners are few.** Between them an outline is smooth, and a corner's share of the outline shrinks with the
  segments, so the *mean* error of a curve with a few corners falls with -2. On the outlines as annotated the staircase
  hides this, for it has a corner at every step, until segments are shorter than the steps; filtered by 4 pixels, the mean has slope {mean_4:.2f}, while the largest
  has {largest_4:.2f}: outlines that turn back on themselves at thin parts keep cusps under such a filter, with a least
  radius of {cusp:.2f} pixels. Filtered by 16 pixels they have {mean_16:.2f} and {largest_16:.2f}, still on the way to -2.
  The bound with its constant holds for all filtered outlines: they reach {bounds_smoothed} of it.

## What this says about the tool

A tensor of 8 x 8, resized, maps the unit square once and for all: near a boundary its samples lie closer together by
a factor that does not depend on N, so the error falls as on a uniform grid, from a better start. How much better depends on
whether 64 points can follow the outline: at N = 16,384 and lambda 0.1 the error is {circle_gain:.1f} times less on the
circle, {ellipse_gain:.1f} and {lobes_gain:.1f} times on the ellipse and the lobes, {raw_gain:.1f} times on CamVid's outlines.
A finer grid follows better and needs a larger lambda ([choosing.md](choosing.md)), but no grid of a fixed size
reaches -2. Appendix A proves that N samples *can* be placed so well; neither it nor the rest of the paper says
that the tensors do.
"""


def table(group: ErrorGroup) -> str:
    """One group as Markdown."""
    lines = [
        f"**{tables.describe(group)}**",
        "",
        f"| {' | '.join(tables.HEADS)} |",
        "|---" + "|---:" * 4 + "|",
    ]
    lines += [f"| {' | '.join(tables.row(series))} |" for series in group.series]
    return "\n".join(lines)


def final(group: ErrorGroup, method: str) -> float:
    """Slope over the upper half of N."""
    slope = group.find(method).final_slope()
    assert slope is not None
    return slope


def at(group: ErrorGroup, method: str, samples: int) -> float:
    """Error at one N, pixels."""
    return next(p.error for p in group.find(method).points if p.samples == samples)


def gain(group: ErrorGroup) -> float:
    """How many times less than a uniform grid a tensor of lambda 0.1 errs at the most samples."""
    return at(group, "uniform", 16384) / at(group, stage.method(0.1), 16384)


def listed(values: list[float | None], digits: int = 2) -> str:
    return ", ".join("none" if v is None else f"{v:.{digits}f}" for v in values)


def fill(shapes: ErrorReport, outlines: ErrorReport, targets: str) -> str:
    """The page's text."""
    smooth, (raw, by_4, by_16) = shapes.groups[:3], outlines.groups
    lobes, traced = shapes.groups[2:4]
    assert lobes.kappa is not None
    assert by_4.kappa is not None
    uniform, adaptive = at(raw, "uniform", 4096), at(raw, stage.method(1), 4096)
    flat = [p for p in traced.find("chords").points if 0.7 < p.error < 1.05]
    return TEXT.format(
        limit=IMAGES,
        smooth_slopes=listed([final(g, "chords") for g in smooth]),
        bounds=listed([g.bound for g in smooth], 3),
        uniform_slopes=listed([g.find("uniform").slope() for g in smooth]),
        uniform_real=listed([raw.find("uniform").slope()]),
        real_uniform=uniform,
        real_adaptive=adaptive,
        gain=uniform / adaptive,
        worth=(uniform / adaptive) ** 2,
        first=at(raw, "chords", 12),
        back_first=at(raw, "chords, back", 12),
        side=stage.SIDE,
        shifts=len(stage.SHIFTS),
        targets=targets,
        outlines=raw.curves,
        shortest=stage.SHORTEST,
        tables="\n\n".join(table(group) for group in (*shapes.groups, *outlines.groups)),
        lobes=1 / lobes.kappa,
        lobes_length=lobes.length,
        traced_first=listed(traced.find("chords").local_slopes()[:3]),
        floor_low=flat[0].samples,
        floor_high=flat[-1].samples,
        floor_top=flat[0].error,
        floor_bottom=flat[-1].error,
        circle_gain=gain(smooth[0]),
        ellipse_gain=gain(smooth[1]),
        lobes_gain=gain(lobes),
        raw_gain=gain(raw),
        real_slopes=listed(raw.find("chords").local_slopes()),
        mean_4=final(by_4, "chords, mean"),
        largest_4=final(by_4, "chords"),
        cusp=1 / by_4.kappa,
        mean_16=final(by_16, "chords, mean"),
        largest_16=final(by_16, "chords"),
        bounds_smoothed=listed([by_4.bound, by_16.bound], 3),
    )


def main() -> None:
    data = registry.load("camvid", Path(sys.argv[1]))
    shapes = stage.run_shapes()
    outlines = stage.run_dataset(data, "val", data.frames("val")[:IMAGES])
    tables.plot([shapes, outlines], PICTURE)
    Image.open(PICTURE).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(PICTURE, optimize=True)
    targets = ", ".join(data.classes.names[t] for t in data.classes.targets)
    (HERE / "appendix-a.md").write_text(fill(shapes, outlines, targets), encoding="utf-8")


if __name__ == "__main__":
    main()
