"""The sections of a report, in order: what each says, shows, or names as missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import advice
from pipeline.errors import FileError
from pipeline.evaluation.intervals import FIGURES
from pipeline.names import printable
from pipeline.report.page import (
    bound_charts,
    charts,
    commands,
    findings,
    gain_tables,
    paper,
    scenes,
    stored,
    tables,
    training_charts,
)
from pipeline.report.page.collect import Facts, frames_to_show, seeds
from pipeline.report.page.compare import ComparedSystem, Gain, gains, gains_at_cost, gains_on_best, systems
from pipeline.report.page.drawing import FEWEST_POINTS
from pipeline.report.page.opening import measured_on, opening
from pipeline.report.page.parts import Document, Missing, PageBlock, Section
from pipeline.samplers.proposal import Proposals
from pipeline.samplers.uniform import Uniform
from pipeline.units import several

if TYPE_CHECKING:
    from pipeline.evaluation.examples import Example

USUAL_LAMBDAS = (0.1, 1.0, 10.0)
"""Compared in pictures where the workspace holds fewer than two."""


@dataclass(frozen=True)
class _Parts:
    """What several sections look at."""

    facts: Facts
    systems: list[ComparedSystem]
    gains: list[Gain]  # of auxiliary networks, at the same resolution
    at_cost: list[Gain]  # of auxiliary networks, over larger uniform images
    table: paper.PaperTable | None

    @property
    def compared(self) -> list[Gain]:
        """Those at the same resolution whose systems were trained alike."""
        return [gain for gain in self.gains if not gain.differing]

    @property
    def every_gain(self) -> list[Gain]:
        """At the same resolution, each followed by that at the same cost."""
        return sorted([*self.gains, *self.at_cost], key=lambda gain: self.systems.index(gain.ours))

    @property
    def on_best(self) -> dict[str, list[Gain]]:
        """Against the best baseline, by figure."""
        return {name: gains_on_best(self.systems, name) for name in FIGURES}

    @property
    def unmeasured(self) -> Missing:
        """The next step to evaluations: training, or evaluating what is trained."""
        if any(run.network == "base" and run.result for run in self.facts.runs):
            return Missing("no evaluation", _to_evaluate(self.facts))
        return Missing("no trained base network", _to_train(self.facts))


def _to_train(facts: Facts) -> str:
    """From where the workspace is to a pair of systems."""
    steps = [
        advice.command("train", dataset=facts.named),
        advice.command("train", sampler="uniform", dataset=facts.named),
    ]
    if not all(part.tensors for part in facts.splits):
        steps.insert(0, advice.command("solve-tensors", dataset=facts.named))
    return " && ".join(steps)


def _to_evaluate(facts: Facts) -> str:
    return advice.command("evaluate", split=(facts.split,), dataset=facts.named)


def build(facts: Facts, examples: Sequence[Example] = (), damaged: Sequence[str] = ()) -> Document:
    """Compose the report of what a workspace knows.

    Parameters
    ----------
    examples
        Predictions for the pictures.
    damaged
        Sentences about what could not be used.
    """
    found = systems(facts.evaluations, facts.trainings, facts.styles)
    parts = _Parts(facts, found, gains(found), gains_at_cost(found), paper.table_for(facts.dataset.name))
    pictures = _pictures(parts, examples)
    sections = (
        _results(parts),
        _classes(parts),
        _cost(parts),
        _boundaries(parts),
        _objects(parts),
        pictures,
        _bound(parts),
        _training(parts),
        _data(parts),
        stored.parameters(parts.facts),
        *_damaged(damaged),
        Section("commands", "The commands that make it again", (PageBlock(code=commands.again(facts)),)),
    )
    shown = next((block.pictured for block in pictures.blocks if block.pictured), None)
    runs = examples[0].runs if examples else ()
    first = opening(facts.targets, found, parts.gains, shown, runs)
    return Document(facts, first, _summary(parts), tuple(_findings(parts)), sections)


def _summary(parts: _Parts) -> str:
    """At which resolution, on how many images and seeds figures were measured."""
    facts = parts.facts
    if not facts.evaluations:
        return f"No network has been evaluated on {facts.dataset.name}/{facts.split} yet."
    measured = " or ".join(dict.fromkeys(map(measured_on, facts.evaluations)))
    known = seeds(facts.evaluations)
    named = f"{len(known)} seed{'s' * (len(known) > 1)} ({', '.join(map(str, known))})"
    return (
        f"Every mIoU was measured on {measured}; networks were trained with {named}. Sizes such as 32 x 32 "
        f"are those of the sampled image that the base network sees."
    )


def _damaged(problems: Sequence[str]) -> list[Section]:
    """What is left out of the report; no section where nothing is."""
    blocks = tuple(PageBlock(text=printable(problem)) for problem in problems)
    return [Section("damaged", "Left out: damaged files", blocks)] if blocks else []


def _findings(parts: _Parts) -> Iterable[findings.PageFinding]:
    yield from findings.of_gains(parts.every_gain, parts.table)
    yield from findings.of_best(parts.on_best)
    yield from findings.of_reference(gains(parts.systems, Proposals.role))
    yield from findings.alone(parts.systems, parts.every_gain)
    if parts.facts.bound:
        yield from findings.of_bound(parts.facts.bound)


def _paper_block(parts: _Parts) -> list[PageBlock]:
    return [PageBlock(table=tables.of_paper(parts.table))] if parts.table else []


def _results(parts: _Parts) -> Section:
    title = "Results"
    if not parts.systems:
        return Section("results", title, (PageBlock(missing=parts.unmeasured),))
    blocks = []
    lacking = findings.without_partner(parts.systems, parts.every_gain)
    blocks += [
        PageBlock(missing=Missing(*findings.to_compare(system, parts.facts.named))) for system in lacking
    ]
    if parts.every_gain:
        blocks.append(PageBlock(table=gain_tables.gains(parts.every_gain)))
    elif not lacking:
        command = f"{_to_train(parts.facts)} && {_to_evaluate(parts.facts)}"
        blocks.append(PageBlock(missing=Missing("no pair of an adaptive and a uniform system", command)))
    if any(parts.on_best.values()):
        blocks.append(PageBlock(table=gain_tables.gains_on_best(parts.on_best)))
    blocks.append(PageBlock(table=tables.overall(parts.systems)))
    notes = {note for found in parts.facts.evaluations for note in found["notes"]}
    unseen = {name for found in parts.facts.evaluations for name in found["classes_never_seen"]}
    if unseen:
        notes.add(
            f"Without a true pixel in the split, and so left out of every mean: {', '.join(sorted(unseen))}."
        )
    return Section("results", title, (*blocks, *(PageBlock(text=note) for note in sorted(notes))))


def _classes(parts: _Parts) -> Section:
    if not parts.systems:
        own = [PageBlock(missing=parts.unmeasured)]
    else:
        own = [PageBlock(table=tables.classes(parts.facts, parts.systems))]
    return Section("classes", "IoU by class", (*own, *_paper_block(parts)))


def _cost(parts: _Parts) -> Section:
    own = charts.cost(parts.systems)
    blocks = []
    if own:
        text = "At the same cost, the higher curve is the better system. Bars: lowest and highest seed."
        blocks += [PageBlock(text=text), PageBlock(charts=own)]
    elif parts.systems:
        blocks.append(PageBlock(missing=Missing("no curve over three resolutions", _to_draw(parts))))
    else:
        blocks.append(PageBlock(missing=parts.unmeasured))
    if parts.table:
        blocks.append(PageBlock(charts=charts.cost_of_paper(parts.table)))
    return Section("cost", "Cost and performance", tuple(blocks))


def _to_draw(parts: _Parts) -> str:
    """Adaptive and uniform systems at the next resolutions above that of the smallest one."""
    group = min((system.group for system in parts.systems), key=lambda group: group.resolution)
    known = {s.group.resolution for s in parts.systems if s.group.architecture == group.architecture}
    larger = [2**n * group.resolution for n in range(1, FEWEST_POINTS + len(known))]
    steps = []
    for resolution in [r for r in larger if r not in known][: max(FEWEST_POINTS - len(known), 1)]:
        pair = {"architecture": group.architecture, "resolution": resolution, "dataset": parts.facts.named}
        steps += [advice.command("train", **pair), advice.command("train", sampler=Uniform.kind, **pair)]
    return " && ".join([*steps, _to_evaluate(parts.facts)])


def _boundaries(parts: _Parts) -> Section:
    title, drawn = "Accuracy around boundaries", charts.trimap_gain(parts.compared)
    if not drawn:
        return Section("boundaries", title, () if parts.systems else (PageBlock(missing=parts.unmeasured),))
    text = (
        "Share of correct pixels within so many pixels of a boundary between any two classes: adaptive less "
        "uniform sampling. Bars: lowest and highest seed."
    )
    return Section("boundaries", title, (PageBlock(text=text), PageBlock(charts=drawn)))


def _objects(parts: _Parts) -> Section:
    title = "Objects by size"
    if not parts.systems or not any(s.first["recall_by_size"] for s in parts.systems):
        return Section("objects", title, (PageBlock(missing=parts.unmeasured),))
    source = parts.facts.evaluations[0]["objects_from"]
    kind = {
        "instances": "annotated instances of target classes",
        "components": "connected components of target classes, for lack of annotated instances",
        "mixed": "annotated instances of target classes, and connected components where there are none",
    }
    text = (
        f"An object's recall is the share of its pixels that get its class. Objects are "
        f"{kind.get(source, source)}, in four bins of equally many by area."
    )
    blocks = [PageBlock(text=text), *(PageBlock(table=t) for t in tables.recall_by_size(parts.systems))]
    if parts.gains:
        blocks.insert(1, PageBlock(charts=charts.recall(parts.gains, parts.systems)))
    if not any(map(charts.enough_objects, parts.systems)):
        text = f"Too few objects for charts: fewer than {charts.FEWEST_OBJECTS} in a bin."
        blocks.insert(1, PageBlock(text=text))
    if parts.compared:
        targets = parts.facts.targets
        blocks.append(PageBlock(charts=charts.recall_by_class(parts.compared, targets)))
        blocks.append(
            PageBlock(folded=("By class and size", tables.recall_by_class(parts.compared, targets)))
        )
    return Section("objects", title, tuple(b for b in blocks if b != PageBlock()))


def _pictures(parts: _Parts, examples: Sequence[Example]) -> Section:
    facts = parts.facts
    by_name = {example.name: example for example in examples}
    known = sorted({t["parameters"]["lambda"] for t in facts.reported.tensors})
    lambdas = known if len(known) > 1 else sorted({*USUAL_LAMBDAS, *known})
    grid = _grid(facts)
    resolution = examples[0].resolution if examples else 64
    blocks: list[PageBlock] = []
    folder = facts.space.folder(facts.dataset.name, facts.split)
    for number, frame in enumerate(frames_to_show(folder, facts.reported.found), 1):
        shown = lambdas if number == 1 else [min(lambdas, key=lambda lam: abs(lam - 1))]
        try:
            drawn = scenes.picture(
                facts.dataset, frame, number, grid, shown, resolution, by_name.get(frame.name)
            )
        except FileError as error:
            blocks.append(PageBlock(text=f"Left out: {error}"))
            continue
        blocks.append(PageBlock(pictured=drawn))
    if not any(block.pictured for block in blocks):
        root = facts.dataset.root
        command = advice.command("report", root="FOLDER", dataset=facts.named)
        blocks.append(PageBlock(missing=Missing(f"no image that can be read in {root}", command)))
    elif not examples:
        blocks.append(PageBlock(missing=parts.unmeasured if not parts.systems else _no_examples()))
    else:
        runs = ", ".join(examples[0].runs)
        text = f"Predictions are those of the best runs, {runs}: {_seen(facts)}."
        blocks.insert(0, PageBlock(text=text))
    if any(block.pictured for block in blocks):
        blocks.insert(0, PageBlock(swatches=_swatches(facts)))
    return Section("pictures", "Pictures", tuple(blocks))


def _seen(facts: Facts) -> str:
    """Whether the networks were trained on what is shown."""
    trained = {run.settings.get("training_split") for run in facts.runs if run.network == "base"}
    return "trained on these images" if facts.split in trained else "networks that never saw these images"


def _no_examples() -> Missing:
    return Missing("no predictions in the pictures, which need PyTorch", advice.command("report"))


def _grid(facts: Facts) -> tuple[int, int]:
    grids = [tuple(t["parameters"]["grid"]) for t in facts.reported.tensors]
    rows, cols = grids[0] if grids and (8, 8) not in grids else (8, 8)
    return int(rows), int(cols)


def _swatches(facts: Facts) -> list[tuple[str, str, bool]]:
    classes = facts.dataset.classes
    return [(c.name, "#{:02x}{:02x}{:02x}".format(*c.color), c.target) for c in classes.train_classes]


def _bound(parts: _Parts) -> Section:
    title, found = "Upper bound and λ", parts.facts.bound
    command = advice.command(
        "upper-bound",
        split=(parts.facts.split,),
        dataset=parts.facts.named,
        lambda_=(0.1, 0.3, 1.0, 3.0, 10.0),
        save=True,
    )
    if found is None:
        return Section("upper-bound", title, (PageBlock(missing=Missing("no upper bound", command)),))
    text = (
        "What would be left if every sample were classified perfectly, "
        f"on {several(found['images'], 'image')} at the "
        f"{found['measured_at']}: no network at that resolution and sampling can do better than by luck."
    )
    blocks = [PageBlock(text=text), PageBlock(charts=bound_charts.bound(found))]
    if drawn := bound_charts.trade_off(found):
        text = "A small λ draws points to the target boundaries, a large one leaves them even:"
        blocks += [PageBlock(text=text), PageBlock(charts=drawn)]
    else:
        blocks.append(PageBlock(missing=Missing("no trade-off between three values of λ", command)))
    blocks = [block for block in blocks if block != PageBlock()]
    return Section("upper-bound", title, (*blocks, PageBlock(table=tables.bound(found))))


def _training(parts: _Parts) -> Section:
    drawn = training_charts.training(parts.facts)
    if not parts.facts.runs:
        missing = Missing("no training run", _to_train(parts.facts))
        return Section("training", "Training", (PageBlock(missing=missing),))
    text = (
        "A curve per run; several of a kind are seeds. Validation mIoU is over all classes, at the full "
        "resolution of the central square crop, or of whole images for runs that were trained for these. "
        "Losses of base networks are not comparable between "
        "samplings: they are taken at the samples. 'uniform' beside the auxiliary networks is the loss of "
        "always predicting the uniform tensor."
    )
    blocks = [PageBlock(text=text), PageBlock(charts=drawn)] if drawn else []
    unfinished = [run.name for run in parts.facts.runs if run.result is None]
    if unfinished:
        blocks.append(
            PageBlock(text=f"Not over: {', '.join(unfinished)}. The same command goes on with them.")
        )
    blocks.append(PageBlock(folded=("All runs", tables.runs(parts.facts))))
    return Section("training", "Training", tuple(blocks))


def _data(parts: _Parts) -> Section:
    facts = parts.facts
    blocks = [PageBlock(table=stored.splits(facts))]
    if facts.shares:
        blocks.append(PageBlock(table=tables.shares(facts)))
    else:
        text = (
            f"No label map can be read in {facts.dataset.root}, so the shares of the classes are not known."
        )
        blocks.append(PageBlock(text=text))
    blocks += [
        PageBlock(text=f"{part.split}: {note}")
        for part in facts.splits
        for note in facts.dataset.notes(part.split)
    ]
    return Section("data", "The data", tuple(blocks))
