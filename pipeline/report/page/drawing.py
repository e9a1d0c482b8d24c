"""Charts: lines and bars drawn once, as SVG that follows the page's colours and as PNG to keep.

Colours belong to samplers: the same one in every chart, table and picture of a page (`hue`).
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.names import printable
from pipeline.report import canvas
from pipeline.samplers import registry

INK, FAINT, GRID = "#22262b", "#5f6871", "#dde1e5"
COLORS = ("#1a5fb4", "#a2480b", "#26734d", "#7b3f98", "#8a6d00", "#00727d", "#b0235f", "#4d5761")
BRIGHT = ("#78aef5", "#f0985c", "#6cc79a", "#c79be0", "#dcbf55", "#5cc8d2", "#f285b1", "#b3bec9")
"""The same on dark ground: in the page's dark form, and over pictures."""

OWN = len(registry.names())
"""Colours of adaprep's own samplers; the others are for samplers of the user's."""

VARIABLES = {INK: "--ink", FAINT: "--faint", GRID: "--rule", **{c: f"--c{i}" for i, c in enumerate(COLORS)}}
"""Colours that the page's style sheet replaces, in its light and its dark form."""

DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)), (0, (3, 1)), (0, (8, 2)))
MARKERS = "osD^vP*X"
SIZE, BROAD_SIZE = (4.7, 3.3), (9.4, 3.5)
"""Inches; the text is 9 points high."""

NARROW_GROUPS = 2
"""So many groups of bars do not take the whole width of the page."""

FEWEST_POINTS = 3
"""A chart none of whose curves has so many points says less than its table, and is not drawn."""

ROUND = (1, 2, 5, 10)
"""Ticks are these multiples of a power of ten."""


def hue(style: int) -> int:
    """Place in `COLORS` of a sampler's style: never that of one of adaprep's for a sampler of the user's."""
    return style if style < len(COLORS) else OWN + (style - OWN) % (len(COLORS) - OWN)


@dataclass(frozen=True)
class Line:
    """One curve; `low` and `high` bound it where there are several seeds."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    style: int = 0  # dashes and marker
    family: int | None = None  # colour: the style of the sampler; by default that of the line
    thin: bool = False  # without markers

    @property
    def color(self) -> str:
        return COLORS[hue(self.style if self.family is None else self.family)]


@dataclass(frozen=True)
class Axes:
    """What a chart's axes say."""

    x: str
    y: str
    log: bool = False
    ticks: Sequence[float] = ()  # of x
    names: Sequence[str] = ()  # of the ticks
    zero: float | None = None  # a line that means "no difference"
    integer: bool = False
    above: Sequence[tuple[float, str]] = ()  # x and name of the ticks of a second axis above the chart
    above_title: str = ""


@dataclass(frozen=True)
class Chart:
    """One drawn chart."""

    name: str  # of its file
    title: str
    alt: str
    svg: str
    png: bytes
    broad: bool = False  # takes the whole width of the page


def worth_drawing(lines: Sequence[Line]) -> bool:
    """Whether any curve has points enough."""
    return any(len(line.x) >= FEWEST_POINTS for line in lines)


def round_ticks(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis from `low` to `high`, both above 0: at least two lie in it."""
    from matplotlib.ticker import MaxNLocator

    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for steps in ((1,), (1, 2, 5)):
        known = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        inside = [float(f"{x:.6g}") for x in known if low <= x <= high]
        if len(inside) > FEWEST_POINTS:
            return inside
    if len(inside) > 1:
        return inside
    linear = MaxNLocator(5, steps=ROUND).tick_values(low, high)
    return [float(f"{x:.6g}") for x in linear if low <= x <= high]


def draw_lines(name: str, title: str, alt: str, lines: Sequence[Line], words: Axes) -> Chart:
    """Curves with their names at their ends."""
    figure, axes = _figure(SIZE)
    for line in lines:
        if line.low is not None and line.high is not None:
            spread = (
                [y - a for y, a in zip(line.y, line.low, strict=True)],
                [b - y for y, b in zip(line.y, line.high, strict=True)],
            )
            axes.errorbar(line.x, line.y, spread, color=line.color, fmt="none", capsize=2.5, linewidth=0.9)
        axes.plot(line.x, line.y, **_pen(line))
    _dress(axes, words)
    _names(axes, lines)
    return _chart(figure, name, title, alt)


def _pen(line: Line) -> dict[str, Any]:
    k = line.style
    marker = {} if line.thin else {"marker": MARKERS[k % len(MARKERS)], "markersize": 4.5}
    width = 1.1 if line.thin else 1.6
    return {"color": line.color, "linestyle": DASHES[k % len(DASHES)], "linewidth": width, **marker}


def draw_bars(
    name: str, title: str, alt: str, groups: Sequence[str], bars: Sequence[Line], words: Axes
) -> Chart:
    """Groups of bars; `bars` holds one value a group each, and is told apart by lightness, light to dark."""
    broad = len(groups) > NARROW_GROUPS
    figure, axes = _figure(BROAD_SIZE if broad else SIZE)
    width = 0.8 / len(bars)
    for k, bar in enumerate(bars):
        places = [x + (k - (len(bars) - 1) / 2) * width for x in bar.x]
        base = words.zero or 0.0
        alpha = 0.3 + 0.7 * k / max(len(bars) - 1, 1)
        axes.bar(
            places,
            [y - base for y in bar.y],
            width * 0.92,
            base,
            color=bar.color,
            alpha=alpha,
            label=canvas.words(bar.label),
        )
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(bars) if broad else 2,
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
    )
    _dress(axes, words)
    axes.set_xticks(range(len(groups)), [canvas.words(group) for group in groups])
    return replace(_chart(figure, name, title, alt), broad=broad)


def _figure(size: tuple[float, float]) -> tuple[Any, Any]:
    figure = canvas.figure(*size, dpi=200)
    return figure, figure.add_subplot()


def _dress(axes: Any, words: Axes) -> None:
    """Quiet axes: two sides, horizontal rules."""
    from matplotlib.ticker import MaxNLocator, NullLocator

    axes.margins(x=0.06, y=0.12)
    if words.zero is not None:
        axes.axhline(words.zero, color=FAINT, linewidth=0.9, zorder=0)
    if words.log:
        axes.set_xscale("log", base=2)
    if words.ticks or words.log:
        ticks = words.ticks or round_ticks(*axes.get_xlim())
        axes.set_xticks(ticks, words.names or [f"{t:g}" for t in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    elif words.integer:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=ROUND))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND))
    axes.ticklabel_format(axis="y", useOffset=False)
    if words.above:
        _second_axis(axes, words)
    axes.set_xlabel(words.x, color=INK, fontsize=9)
    axes.set_ylabel(words.y, color=INK, fontsize=9)
    axes.tick_params(colors=FAINT, labelsize=8.5, length=3)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)


def _second_axis(axes: Any, words: Axes) -> None:
    from matplotlib.ticker import NullLocator

    second = axes.secondary_xaxis("top")
    second.set_xticks([x for x, _ in words.above], [name for _, name in words.above])
    second.xaxis.set_minor_locator(NullLocator())
    second.set_xlabel(words.above_title, color=FAINT, fontsize=8.5)
    second.tick_params(colors=FAINT, labelsize=8.5, length=3)
    second.spines["top"].set_visible(False)


def _names(axes: Any, lines: Sequence[Line]) -> None:
    """Each curve's name, with a piece of it, right of its end; moved apart where ends lie close."""
    low, high = axes.get_ylim()
    named = [line for line in lines if line.label]
    ends = sorted((((line.y[-1] - low) / (high - low), line) for line in named), key=lambda end: end[0])
    rows = [1 + line.label.count("\n") for _, line in ends]
    places = [ends[0][0]] if ends else []
    for k in range(1, len(ends)):
        places.append(max(ends[k][0], places[-1] + 0.034 * (rows[k - 1] + rows[k])))
    pushed = sum(place - end[0] for place, end in zip(places, ends, strict=True)) / max(len(places), 1)
    shift = max(pushed, places[-1] - 1.0) if places else 0.0
    for (_, line), place in zip(ends, places, strict=True):
        key = [1.02, 1.055, 1.09], [place - shift] * 3
        axes.plot(*key, **_pen(line), markevery=[1], transform=axes.transAxes, clip_on=False)
        axes.annotate(
            canvas.words(line.label),
            (1.11, place - shift),
            xycoords="axes fraction",
            va="center",
            fontsize=8.5,
            color=line.color,
        )


def _chart(figure: Any, name: str, title: str, alt: str) -> Chart:
    png = io.BytesIO()
    canvas.draw(figure, png, ".png", facecolor="white")
    return Chart(name, title, alt, _svg(figure, name, alt), png.getvalue())


def _svg(figure: Any, name: str, alt: str) -> str:
    """For the page: text as text, colours as its variables, no names that two charts could share."""
    import html

    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        quiet = {"Date": None, "Creator": None}
        canvas.draw(figure, text, ".svg", transparent=True, metadata=quiet)
    svg = text.getvalue()[text.getvalue().index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--font)", svg)
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    label = html.escape(printable(alt), quote=True)
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1).strip()
