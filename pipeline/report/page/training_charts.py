"""The charts of training runs: validation mIoU and losses by epoch."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.names import safe_component
from pipeline.report.page.collect import Facts, RunFacts
from pipeline.report.page.drawing import Axes, Chart, Line, draw_lines, worth_drawing
from pipeline.samplers import registry
from pipeline.samplers.predicted import Predicted
from pipeline.samplers.uniform import Uniform


def training(facts: Facts) -> list[Chart]:
    """Validation mIoU and loss of base networks by architecture and resolution; then auxiliary losses."""
    bases = [run for run in facts.runs if run.network == "base"]
    charts = []
    for key in sorted({(r.settings["architecture"], int(r.settings["resolution"])) for r in bases}):
        same = [r for r in bases if (r.settings["architecture"], int(r.settings["resolution"])) == key]
        where = f"{key[0]} at {key[1]} px"
        for column, title, y in (("miou", "Validation mIoU", "mIoU"), ("loss", "Training loss", "loss")):
            lines = _curves(facts, same, column)
            if worth_drawing(lines):
                name = f"training-{safe_component(key[0])}-{key[1]}-{column}"
                charts.append(_training_chart(name, f"{title}, {where}", y, lines))
    return charts + _auxiliary_losses(facts.runs)


def _curves(facts: Facts, runs: Sequence[RunFacts], column: str) -> list[Line]:
    """A thin line per run; the first of each sampler bears the name."""
    lines: list[Line] = []
    for run in runs:
        if points := run.curve(column):
            name = registry.kind(run.settings["sampler"]).word
            label = "" if name in {line.label for line in lines} else name
            lines.append(_thin(label, points, facts.styles[run.settings["sampler"]]))
    return lines


def _thin(label: str, points: Sequence[tuple[float, float]], style: int) -> Line:
    """A curve of many points, without markers."""
    return Line(label, [x for x, _ in points], [y for _, y in points], style=style, thin=True)


def _auxiliary_losses(runs: Sequence[RunFacts]) -> list[Chart]:
    """Losses of the auxiliary networks on validation, beside what always predicting u would lose."""
    lines: list[Line] = []
    for run in (r for r in runs if r.network == "auxiliary"):
        loss, uniform = run.curve("validation_loss"), run.curve("uniform_loss")
        if loss:
            named = {line.label for line in lines}
            lines.append(_thin("" if "network" in named else "network", loss, Predicted.style))
        if loss and uniform:
            label = "" if "uniform" in {line.label for line in lines} else "uniform"
            lines.append(_thin(label, uniform, Uniform.style))
    if not worth_drawing(lines):
        return []
    return [_training_chart("training-auxiliary", "Validation loss of auxiliary networks", "loss", lines)]


def _training_chart(name: str, title: str, y: str, lines: Sequence[Line]) -> Chart:
    ends = "; ".join(f"{line.label or 'another seed'} ends at {line.y[-1]:.4g}" for line in lines)
    return draw_lines(name, title, f"{title} by epoch: {ends}", lines, Axes("epoch", y, integer=True))
