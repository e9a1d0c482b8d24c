"""Evaluating every base network that a workspace holds, and keeping what was found beside each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from pipeline import advice
from pipeline.datasets.base import Dataset
from pipeline.errors import AdaprepError
from pipeline.evaluation import evaluate
from pipeline.geometry.crops import CENTRAL, Region
from pipeline.inference.systems import (
    System,
    auxiliary_networks,
    check_classes,
    kind_of,
    load_base,
    open_recorded,
    with_proposals,
)
from pipeline.metrics import registry
from pipeline.networks.checkpoint import Checkpoint
from pipeline.networks.libraries import alike
from pipeline.stages import engine, remembered
from pipeline.stages import inputs as listing
from pipeline.stages.engine import Failure
from pipeline.workspace import results, stores


@dataclass
class Evaluations:
    """All complete base networks of a workspace on one split."""

    dataset: str
    split: str
    found: list[dict[str, Any]]  # as kept beside the runs; sorted as tables show them
    new: int = 0  # how many of them were measured now
    failures: list[Failure] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)  # runs that are not over, and so left out
    refused: list[Failure] = field(default_factory=list)  # runs that cannot be evaluated, and why
    trainings: dict[str, results.Training] = field(default_factory=dict)  # of the runs, by name
    region: Region = CENTRAL  # of the images that was measured

    @property
    def ok(self) -> bool:
        return not self.failures and not self.refused


@dataclass(frozen=True)
class _Candidate:
    run: stores.RunFolder
    settings: dict[str, Any]
    base: Checkpoint

    @property
    def weights(self) -> str:
        return self.base.identity


def run_all(
    space: stores.Workspace,
    dataset: str | None,
    split: str,
    device: torch.device,
    root: Path | None = None,
    overwrite: bool = False,
    listener: engine.Listener | None = None,
    factories: Sequence[str] = (),
    measurement: results.Measurement = results.CENTRAL_SQUARE,
) -> Evaluations:
    """Evaluate every complete base run, as it was sampled in training; skip what was measured already.

    What is found is kept beside each run (`pipeline.workspace.results`), unless a file of the split failed.
    All images are decoded once for all networks.

    Parameters
    ----------
    space, dataset
        The workspace, and which data set where it holds several.
    split
        To measure on.
    device
        Where the base networks run.
    root
        Where the data set lies now, if it has moved.
    overwrite
        Measure again.
    listener
        Hears of the progress.
    factories
        ``package.module:function`` of base networks that are not ours: a run is evaluated with the one of
        the name that it was trained with. Runs that cannot be evaluated are listed, the others go on.
    measurement
        What is measured; the figures of each region of the images are kept in a file of their own.

    Raises
    ------
    AdaprepError
        No base network has been trained, or the split is not in the workspace.
    """
    folder = space.folders(dataset, [split])[0]
    complete, incomplete, refused = _candidates(space, folder.dataset)
    todo = [c for c in complete if overwrite or not _measured(c, split, measurement)]
    failures: list[Failure] = []
    systems: dict[str, System] = {}
    if todo:
        found = listing.load(folder, root)
        remembered.check_files(found.dataset, found.frames)
        systems = _systems(space, found.dataset, todo, device, factories, refused)
        todo = [c for c in todo if c.run.name in systems]
        if todo:
            failures = _measure(found, todo, systems, measurement, listener)
    runs = {candidate.run.name for candidate in complete}
    damaged: list[str] = []
    every = results.evaluations(space, folder.dataset, split, damaged, measurement.region)
    kept = [one for one in every if one["run"] in runs]
    refused += [Failure(0, "evaluation", problem) for problem in damaged]
    trainings = results.trainings(candidate.run for candidate in complete)
    return Evaluations(
        folder.dataset, split, kept, len(todo), failures, incomplete, refused, trainings, measurement.region
    )


def _candidates(space: stores.Workspace, dataset: str) -> tuple[list[_Candidate], list[str], list[Failure]]:
    """Base runs that are over, the names of those that are not, and runs that cannot be read."""
    complete: list[_Candidate] = []
    incomplete: list[str] = []
    refused: list[Failure] = []
    for run in space.runs(dataset):
        if not run.settings_file.exists():
            continue
        try:
            settings = results.settings_of(run)
            if settings["network"] != "base":
                continue
            if results.result_of(run) is not None:
                complete.append(_Candidate(run, settings, load_base(run.best)))
            else:
                incomplete.append(run.name)
        except AdaprepError as error:
            refused.append(Failure(len(refused), run.name, str(error)))
    if not complete and not refused:
        unfinished = f" ({', '.join(incomplete)} is not finished)" if incomplete else ""
        raise AdaprepError(
            f"there is no trained base network in {space.runs_folder(dataset)}{unfinished}. "
            f"Run: {advice.command('train', dataset=dataset, workspace=space.path)}   "
            f"or name a checkpoint: {advice.command('evaluate', base='BASE.pt', workspace=space.path)}"
        )
    return complete, incomplete, refused


def _measured(candidate: _Candidate, split: str, wanted: results.Measurement) -> bool:
    try:
        found = results.evaluation(candidate.run, split, wanted.region)
    except AdaprepError:  # damaged: measured again
        return False
    if found is None or found.get("weights") != candidate.weights:
        return False
    return results.own_metrics(found["systems"]) >= {*wanted.metrics}


def _systems(
    space: stores.Workspace,
    dataset: Dataset,
    todo: Sequence[_Candidate],
    device: torch.device,
    factories: Sequence[str],
    refused: list[Failure],
) -> dict[str, System]:
    """The candidates' systems by the names of their runs; what cannot be made is added to `refused`."""
    auxiliaries = auxiliary_networks(space.runs(dataset.name)) if any(_sampled_by(c) for c in todo) else {}
    systems = {}
    for candidate in todo:
        own = (candidate.base.network, candidate.base.about["sampler"])
        named = [name for name in factories if any(alike(name, one) for one in own)]
        try:
            systems[candidate.run.name] = _system(candidate, dataset, auxiliaries, device, named)
        except AdaprepError as error:
            refused.append(Failure(len(refused), candidate.run.name, str(error)))
    return systems


def _measure(
    inputs: listing.Inputs,
    todo: Sequence[_Candidate],
    systems: dict[str, System],
    measurement: results.Measurement,
    listener: engine.Listener | None,
) -> list[Failure]:
    """Score the candidates in one pass over the images; keep what was found where every file was read."""
    named = [replace(system, name=run) for run, system in systems.items()]
    dataset, split, region = inputs.dataset, inputs.split, measurement.region
    own = registry.opened(measurement.metrics, dataset.classes)
    report = evaluate.run(dataset, split, inputs.frames, named, (), listener, region, own)
    if not report.ok:
        return report.failures
    for candidate in todo:
        run = candidate.run.name
        system = systems[run]
        alone = replace(
            report,
            systems=[system],
            scores={system.name: report.scores[run]},
            per_image={system.name: report.per_image[run]},
            timed={system.name: report.timed[run]},
            notes=[],
        )
        about = {"run": run, "weights": candidate.weights, "settings": candidate.settings}
        results.write(candidate.run.evaluation_file(split, region), {**about, **alone.as_dict()})
    return []


def _sampled_by(candidate: _Candidate) -> str | None:
    """Identity of the auxiliary network that sampled for it."""
    return candidate.base.about.get("auxiliary") if kind_of(candidate.base).needs_network else None


def _system(
    candidate: _Candidate,
    dataset: Dataset,
    auxiliaries: dict[str, Path],
    device: torch.device,
    factories: Sequence[str],
) -> System:
    base = candidate.base
    check_classes(base, dataset.name, dataset.classes.names)
    if kind_of(base).needs_truth:
        return with_proposals(base, None, device, factories)
    return open_recorded(base, auxiliaries, device, factories)
