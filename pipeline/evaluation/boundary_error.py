"""`adaprep boundary-error`: how the error at a boundary falls with the number of samples (paper, Appendix A).

The paper bounds it by O(D / sqrt(N)) for N samples spread evenly over an image of diameter D, and by
O(kappa l^2 / N^2) for N samples near a boundary of length l and largest curvature kappa. Both are measured,
and so is what the tool's own sampling tensors do, on smooth curves or on outlines of a data set's targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Dataset, Frame
from pipeline.errors import AdaprepError, FileError
from pipeline.geometry import curves as geometry
from pipeline.geometry.curves import Points
from pipeline.stages import engine
from pipeline.stages.engine import Failure
from pipeline.units import several

SIDE = 1025
"""Pixels a side of the crop in which the smooth curves lie."""

SAMPLES_A_SEGMENT = 3
"""The appendix: N samples define any piecewise linear curve of M = N / 3 segments."""

SEGMENTS = tuple(2**k for k in range(2, 10))
"""Segments M of the piecewise linear approximations."""

RESOLUTIONS = (12, 16, 24, 32, 48, 64, 96, 128)
"""Samples a side of the sampling grids; N is the square."""

CHORDS = ("chords", "chords, mean", "chords, back")
"""Series of the piecewise linear approximations, see `Series`."""

LAMBDAS = (0.1, 1.0)
GRID = (8, 8)
SMOOTHED = (4.0, 16.0)
"""Gaussian filters over real outlines, standard deviations in pixels."""

SHIFTS = ((1.3, -18.7), (-23.6, 7.1), (11.9, 21.4), (-7.7, -12.2))
"""Where the smooth curves are centred, in pixels from the crop's middle: the grid is met in several ways."""

BOUND = SAMPLES_A_SEGMENT**2 / 8
"""The appendix's bound with its constant: an arc of 1 / kappa cut into l / M gives kappa (l / M)^2 / 8."""

SHORTEST = 100.0
"""Outlines below this length in pixels are left out: few samples describe their every step."""

_VERTICES = 2**14  # of a smooth curve
_STEP = 0.05  # pixels between the vertices of a real outline, while distances to it are measured
_CHORD_PIECES = 16  # even: the middle, where an arc is farthest from its chord, is one of the places
_SHARE_OF_SEGMENT = 1 / 4  # of l / M: samples per approximation at which the way back is measured


@dataclass(frozen=True)
class Curve:
    """One closed boundary in a square crop."""

    name: str
    points: Points  # (K, 2) row and column in pixels
    side: int  # of the crop, pixels
    mask: NDArray[np.bool_] | None = None  # (side, side) what it encloses; None: not sampled
    kappa: float | None = None  # largest curvature, 1 / pixels; None: unbounded

    @property
    def length(self) -> float:
        return geometry.length(self.points)


@dataclass(frozen=True)
class Measured:
    """Error at one number of samples N over the curves of a group."""

    samples: int
    error: float  # pixels, geometric mean over the curves; see `Series`
    curves: int
    lost: int = 0  # curves of which the samples show nothing


@dataclass(frozen=True)
class Series:
    """One way to sample, over numbers of samples.

    Of "chords" the error is the appendix's own, the largest distance of the approximation from the curve; of
    "chords, mean" the mean of that distance along it; of "chords, back" the largest distance of the curve
    from the approximation. Of all others it is the larger of the two largest distances (Hausdorff).
    """

    method: str
    points: tuple[Measured, ...]

    def slope(self, least: float = 0.0, most: float = np.inf) -> float | None:
        """Exponent of N, by least squares in logarithms over `least` <= N <= `most`.

        Numbers of samples that lose a curve are left out; None where fewer than two are left.
        """
        used = [p for p in self.points if least <= p.samples <= most and not p.lost and p.error > 0]
        if len(used) < 2:
            return None
        return float(np.polyfit(np.log([p.samples for p in used]), np.log([p.error for p in used]), 1)[0])

    def final_slope(self) -> float | None:
        """The same over the upper half of the numbers of samples."""
        return self.slope(self.points[len(self.points) // 2].samples) if self.points else None

    def local_slopes(self) -> list[float | None]:
        """Exponents between one number of samples and the next."""
        pairs = zip(self.points, self.points[1:], strict=False)
        return [self.slope(a.samples, b.samples) for a, b in pairs]


@dataclass(frozen=True)
class ErrorGroup:
    """Curves of one kind and what was measured on them."""

    name: str
    curves: int
    side: int  # pixels
    length: float  # mean, pixels
    kappa: float | None  # largest of any, 1 / pixels
    series: tuple[Series, ...]
    bound: float | None = None  # largest error of chords over 9/8 kappa l^2 / N^2

    def find(self, method: str) -> Series:
        return next(s for s in self.series if s.method == method)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, with slopes of each series over all N, their upper half, and from each to the next."""
        facts = {**asdict(self), "series": []}
        for series in self.series:
            slopes = (series.slope(), series.final_slope(), series.local_slopes())
            named = dict(zip(("slope", "final_slope", "local_slopes"), slopes, strict=True))
            facts["series"].append({**asdict(series), **named})
        return facts


@dataclass
class ErrorReport:
    """All groups."""

    title: str
    groups: list[ErrorGroup]
    failures: list[Failure] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """Plain data for --json. Lengths and errors are in pixels of the crop."""
        return {
            "title": self.title,
            "groups": [group.as_dict() for group in self.groups],
            "failures": [{"name": f.name, "reason": f.reason} for f in self.failures],
        }


Radius = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _circle(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.full(angle.shape, 0.3)


def _ellipse(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b = 0.36, 0.15
    return np.asarray(a * b / np.hypot(b * np.cos(angle - 0.4), a * np.sin(angle - 0.4)))


def _lobes(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.27 * (1 + 0.25 * np.cos(5 * angle)))


SHAPES: dict[str, Radius] = {"circle": _circle, "ellipse": _ellipse, "five lobes": _lobes}
"""Distance from the centre by angle, in sides of the crop."""


def shape(name: str, shift: tuple[float, float] = (0.0, 0.0), side: int = SIDE) -> Curve:
    """One of `SHAPES` in a crop of `side` pixels, `shift` pixels (down, right) from its middle."""
    radius, scale = SHAPES[name], side - 1
    angle = np.linspace(0, 2 * np.pi, _VERTICES, endpoint=False)
    centre = np.array([scale / 2 + shift[0], scale / 2 + shift[1]])
    directions = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    points = centre + scale * radius(angle)[:, None] * directions
    rows, cols = np.arange(side)[:, None] - shift[0] - scale / 2, np.arange(side) - shift[1] - scale / 2
    mask = np.hypot(rows, cols) < scale * radius(np.asarray(np.arctan2(rows, cols), np.float64))
    return Curve(name, points, side, mask, float(geometry.curvature(points).max()))


def outlines(mask: NDArray[np.bool_]) -> list[Points]:
    """Closed outlines (K, 2) of a mask (S, S) in pixels, half way between pixels; longest first.

    Those that meet the edge of the mask are left out: the edge is no boundary.
    """
    from skimage.measure import find_contours

    found = [c[:-1] for c in find_contours(mask.astype(np.float32), 0.5) if (c[0] == c[-1]).all()]
    return sorted((c for c in found if len(c) >= 3), key=geometry.length, reverse=True)


def target_outline(dataset: Dataset, frame: Frame) -> Curve | None:
    """The longest closed outline of the target classes in the central crop, filled.

    None where there is none of `SHORTEST` pixels. Raises FileError.
    """
    from skimage.measure import grid_points_in_poly

    from pipeline.evaluation.upper_bound import load_truth

    truth = load_truth(dataset, frame)
    found = outlines(np.isin(truth, dataset.classes.targets))
    if not found or geometry.length(found[0]) < SHORTEST:
        return None
    return Curve(frame.name, found[0], len(truth), grid_points_in_poly(truth.shape, found[0]))


def smoothed(curve: Curve, sigma: float) -> Curve:
    """The curve under a Gaussian filter of `sigma` pixels along it, so that its curvature is bounded."""
    points = geometry.smooth(curve.points, sigma, _VERTICES)
    return Curve(curve.name, points, curve.side, kappa=float(geometry.curvature(points).max()))


def chord_errors(curve: Curve, segments: int) -> tuple[float, float, float]:
    """Errors of a polyline with its vertices on the curve, equally far apart along it.

    Parameters
    ----------
    curve
        The boundary f.
    segments
        Number M of the polyline p, at least 3.

    Returns
    -------
    tuple of float
        The appendix's error, the largest distance of p from f; its mean along p; and the largest distance of
        f from p. In pixels.
    """
    polyline = geometry.equidistant(curve.points, segments)
    truth = geometry.refine(curve.points, max(_STEP, curve.length / _VERTICES))
    share = np.arange(_CHORD_PIECES) / _CHORD_PIECES
    along = (
        polyline[:, None] + share[:, None] * (np.roll(polyline, -1, axis=0) - polyline)[:, None]
    ).reshape(-1, 2)
    pieces = geometry.refine(polyline, curve.length / segments * _SHARE_OF_SEGMENT)
    there, back = geometry.distances(along, [truth]), geometry.distances(truth, [pieces])
    return float(there.max()), float(there.mean()), float(back.max())


def grid_error(curve: Curve, phi: NDArray[np.floating[Any]]) -> float | None:
    """Error of samples taken, classified without error and interpolated as the tool does it.

    Parameters
    ----------
    curve
        With its mask.
    phi
        Sampling tensor (2, n, n) at the resolution of the samples.

    Returns
    -------
    float, or None
        Hausdorff distance in pixels between the curve and the outline of the interpolated scores; None when
        no sample fell inside.
    """
    from skimage.measure import find_contours

    from pipeline.geometry.interpolation import interpolate
    from pipeline.geometry.sampling import sample

    if curve.mask is None:
        raise ValueError(f"{curve.name} has no mask to sample")
    scores = np.where(sample(curve.mask, phi), 1.0, -1.0).astype(np.float32)
    found = find_contours(interpolate(scores[None], phi, curve.side)[0], 0.0)
    closed = [c[:-1] for c in found if len(c) > 3 and (c[0] == c[-1]).all()]
    return geometry.hausdorff([curve.points], closed, step=0.25) if closed else None


def tensors(curve: Curve, lambdas: Sequence[float]) -> dict[str, NDArray[np.float64]]:
    """Sampling tensors by name: uniform, and the minimisers of energy (2) for the curve, one a lambda."""
    from pipeline.geometry.boundaries import target_boundaries
    from pipeline.geometry.nearest import nearest_boundary
    from pipeline.geometry.proposal import of_nearest
    from pipeline.geometry.tensors import uniform

    found = {"uniform": uniform(2, 2)}
    if curve.mask is None:
        return found
    b = nearest_boundary(target_boundaries(curve.mask.astype(np.uint8), (1,)), GRID)
    for lam in lambdas:
        found[method(lam)] = of_nearest(b, GRID, lam)
    return found


def method(lam: float) -> str:
    """What an adaptive tensor is called."""
    return f"{GRID[0]}x{GRID[1]}, lambda {lam:g}"


def measure(name: str, curves: Sequence[Curve], lambdas: Sequence[float] = LAMBDAS) -> ErrorGroup:
    """Measure curves of one kind, of crops of one size, in every way that they allow."""
    errors = np.array([[chord_errors(curve, m) for m in SEGMENTS] for curve in curves])
    means = np.exp(np.log(np.maximum(errors, np.finfo(float).tiny)).mean(axis=0))
    samples = [SAMPLES_A_SEGMENT * m for m in SEGMENTS]
    chords = [
        Series(
            method, tuple(Measured(n, e, len(curves)) for n, e in zip(samples, column.tolist(), strict=True))
        )
        for method, column in zip(CHORDS, means.T, strict=True)
    ]
    kappas = [curve.kappa for curve in curves if curve.kappa is not None]
    bound = None
    if len(kappas) == len(curves):
        most = np.array([BOUND * k * c.length**2 for k, c in zip(kappas, curves, strict=True)])
        bound = float((errors[..., 0] * np.square(samples) / most[:, None]).max())
    return ErrorGroup(
        name,
        len(curves),
        curves[0].side,
        float(np.mean([curve.length for curve in curves])),
        max(kappas) if bound is not None else None,
        (*chords, *_grid_series([c for c in curves if c.mask is not None], lambdas)),
        bound,
    )


def _grid_series(curves: Sequence[Curve], lambdas: Sequence[float]) -> list[Series]:
    """Uniform and adaptive sampling of the curves that have a mask."""
    from pipeline.geometry.tensors import resize

    errors: dict[str, list[list[float | None]]] = {}
    for curve in curves:
        for name, phi in tensors(curve, lambdas).items():
            fitting = [n for n in RESOLUTIONS if n < curve.side / 2]
            row = [grid_error(curve, resize(phi, n)) for n in fitting]
            errors.setdefault(name, []).append(row)
    return [Series(name, tuple(_mean_points(rows))) for name, rows in errors.items()]


def _mean_points(rows: Sequence[Sequence[float | None]]) -> Iterable[Measured]:
    """Geometric means over curves at each of the first RESOLUTIONS that shows any of them."""
    for n, column in zip(RESOLUTIONS, zip(*rows, strict=True), strict=False):
        found = [error for error in column if error is not None]
        if found:
            mean = float(np.exp(np.mean(np.log(found))))
            yield Measured(n * n, mean, len(found), len(column) - len(found))


def run_shapes(lambdas: Sequence[float] = LAMBDAS, side: int = SIDE) -> ErrorReport:
    """Measure smooth curves, and a circle that is known by its pixels alone."""
    groups = [measure(name, [shape(name, shift, side) for shift in SHIFTS], lambdas) for name in SHAPES]
    traced = [traced_circle(shift) for shift in SHIFTS]
    groups.append(measure(traced[0].name, traced, lambdas))
    return ErrorReport("boundary error on smooth curves", groups)


def traced_circle(shift: tuple[float, float] = (0.0, 0.0)) -> Curve:
    """A circle as a label map of CamVid's size would show it: the outline of its pixels, no mask."""
    circle = shape("circle", shift, side=360)
    assert circle.mask is not None
    return Curve("circle, traced from pixels", outlines(circle.mask)[0], circle.side)


def run_dataset(
    dataset: Dataset, split: str, frames: Sequence[Frame], lambdas: Sequence[float] = LAMBDAS
) -> ErrorReport:
    """Measure the longest target outline of every frame, as it is and smoothed.

    Raises
    ------
    AdaprepError
        No frame has an outline of `SHORTEST` pixels, or crops differ in size.
    """
    found, failures = [], []
    for index, frame in enumerate(frames):
        try:
            with engine.one_image(frame.label):
                found.append(target_outline(dataset, frame))
        except FileError as error:
            failures.append(Failure(index, frame.name, str(error)))
    curves, place = [curve for curve in found if curve is not None], f"{dataset.name}/{split}"
    if not curves:
        raise AdaprepError(
            f"{place}: none of {several(len(frames), 'image')} has a closed outline of a target class of "
            f"{SHORTEST:g} or more pixels in its central crop. Take more with --limit, or other --targets."
        )
    if len(sides := sorted({curve.side for curve in curves})) > 1:
        raise AdaprepError(
            f"{place}: central crops have sides of {sides[0]} to {sides[-1]} pixels; errors in pixels "
            "would not compare. Choose images of one size with --split or --limit."
        )
    groups = [measure("outlines as annotated", curves, lambdas)]
    for sigma in SMOOTHED:
        groups.append(measure(f"smoothed by {sigma:g} px", [smoothed(c, sigma) for c in curves], lambdas))
    return ErrorReport(f"boundary error, {place}, {len(curves)} outlines", groups, failures)
