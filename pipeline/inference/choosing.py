"""Which trained networks label: by file, by the name of a run, or the best run of a workspace."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import advice
from pipeline.errors import AdaprepError
from pipeline.geometry.crops import CENTRAL, WHOLE, Region
from pipeline.inference.systems import auxiliary_networks, kind_of, load_base
from pipeline.names import printable
from pipeline.networks import checkpoint
from pipeline.networks.checkpoint import Checkpoint
from pipeline.samplers import registry
from pipeline.storage import file_path
from pipeline.workspace import results, stores
from pipeline.workspace.stores import RunFolder

CHECKPOINTS = (".pt", ".pth")
"""Suffixes by which a name that is not there is known to be a file's: a run's name may have full stops."""

BESIDE = 50
"""At most so many files beside a checkpoint are looked at for its auxiliary network."""


@dataclass(frozen=True)
class Chosen:
    """A base network, the auxiliary network that belongs to it, and how both were found."""

    base: Checkpoint
    auxiliary: Path | None
    notes: tuple[str, ...] = ()


def choose(
    space: stores.Workspace,
    dataset: str | None,
    network: str | None,
    auxiliary: str | None,
    factories: Sequence[str] = (),
) -> Chosen:
    """The networks that the options mean.

    Parameters
    ----------
    dataset
        Name in the workspace, where it holds several.
    network
        A run's name, its folder, or a checkpoint; None: the best run.
    auxiliary
        The same of the auxiliary network; None: the one whose weights sampled for the base network's
        training, by their hash.
    factories
        Networks and samplers that are not adaprep's and may be used.

    Raises
    ------
    AdaprepError
        There is no such network, or the auxiliary network that belongs to it is not found.
    """
    notes: list[str] = []
    given = None if auxiliary is None else find(space, dataset, auxiliary)
    if network is not None:
        path = find(space, dataset, network)
    else:
        best = best_run(space, dataset, given is not None, factories)
        path, notes = best.run.best, [best.why]
    base = load_base(path)
    if given is None and (given := belonging(base, space)):
        notes.append(f"sampled with {given}, as in training")
    return Chosen(base, given, tuple(notes))


def find(space: stores.Workspace, dataset: str | None, named: str) -> Path:
    """The checkpoint that is meant by a file, the folder of a run, or the name of a run in the workspace.

    Raises
    ------
    AdaprepError
        Nothing is called so, or runs of several data sets are.
    """
    path = file_path(named)
    if path.is_dir() and RunFolder(path).best.is_file():
        return RunFolder(path).best
    runs = {f"{name}/{run.name}": run for name, run in _runs(space, dataset)}
    matching = [key for key, run in runs.items() if named in (key, run.name)]
    if path.is_file() or (not matching and path.suffix in CHECKPOINTS):
        return path
    if len(matching) > 1:
        raise AdaprepError(f"several runs are called {named} ({', '.join(matching)}): add --dataset NAME.")
    if not matching:
        raise AdaprepError(_unknown(space, named, [run.name for run in runs.values()]))
    run = runs[matching[0]]
    if not run.best.is_file():
        raise AdaprepError(f"the run {run.name} has no weights yet: its training has not come so far.")
    return run.best


def _unknown(space: stores.Workspace, named: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(named, names, 1, 0.5)
    meant = f" Did you mean {close[0]}?" if close else ""
    there = f"it holds: {', '.join(sorted(set(names))[:5])}" if names else "it holds none"
    return (
        f"there is no checkpoint {printable(named)}, and no run of that name in the workspace {space.path} "
        f"({there}).{meant}"
    )


def _runs(space: stores.Workspace, dataset: str | None) -> Iterator[tuple[str, RunFolder]]:
    """Every run of a data set, or of all, with the data set's name."""
    for name in [dataset] if dataset is not None else space.datasets():
        yield from ((name, run) for run in space.runs(name))


def belonging(base: Checkpoint, space: stores.Workspace) -> Path | None:
    """The auxiliary network whose weights sampled for a base network's training, wherever it is kept now.

    Looked for among the runs beside it, those of the workspace, and the files beside it. None where the
    checkpoint names none.

    Raises
    ------
    AdaprepError
        It is in none of these places.
    """
    wanted = base.about.get("auxiliary") if kind_of(base).needs_network else None
    if wanted is None:
        return None
    beside = [RunFolder(path) for path in sorted(base.path.absolute().parent.parent.glob("auxiliary-*"))]
    with suppress(AdaprepError):  # the name of the data set may be no folder's
        beside += space.runs(str(base.about["dataset"]))
    with suppress(KeyError):
        return auxiliary_networks(beside)[wanted]
    for path in sorted(base.path.absolute().parent.glob("*.pt"))[:BESIDE]:
        with suppress(AdaprepError):
            if checkpoint.load(path, "auxiliary").identity == wanted:
                return path
    raise AdaprepError(
        f"{base.path} was trained on samples of the auxiliary network {wanted}, which is neither beside it "
        f"nor in the workspace {space.path}: name it with --auxiliary, or its workspace with --workspace."
    )


@dataclass(frozen=True)
class Best:
    """The run that is taken where none is named, and why."""

    run: RunFolder
    why: str


@dataclass(frozen=True)
class _Measure:
    """One kind of figure that runs are compared by."""

    words: str
    of: Callable[[RunFolder], float | None]
    values: dict[str, float] = field(default_factory=dict)  # by run


def best_run(
    space: stores.Workspace, dataset: str | None, any_sampler: bool = False, factories: Sequence[str] = ()
) -> Best:
    """The base network of highest mIoU in a workspace.

    Compared by the figure that most runs have: the evaluation of whole images, that of central squares, or
    the validation during training, the first of these where equally many have them. Figures of different
    kinds are never compared.

    Parameters
    ----------
    any_sampler
        Whether an auxiliary network is given, so that those trained on proposals can be used too.

    Raises
    ------
    AdaprepError
        There is no run that can be used, or there are several data sets.
    """
    usable, refused = _usable(space, _only(space, dataset), any_sampler, factories)
    if not usable:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in refused.items())
        training = f"Run: {advice.command('train', workspace=space.path)}   or name a network"
        todo = "Name a network" if reasons else training
        raise AdaprepError(
            f"no base network in the workspace {space.path} can be used{':' if reasons else '.'}{reasons}\n"
            f"{todo} with --checkpoint"
        )
    measures = _measures(usable)
    for measure in measures:
        measure.values.update({r.name: value for r in usable if (value := measure.of(r)) is not None})
    chosen = max(measures, key=lambda measure: len(measure.values))
    if not chosen.values:
        names = ", ".join(run.name for run in usable[:5])
        raise AdaprepError(
            f"no run was validated or evaluated: name one of them with --checkpoint ({names})."
        )
    name = max(chosen.values, key=lambda run: chosen.values[run])
    why = f"network: {name}, mIoU {chosen.values[name]:.3f} {chosen.words}"
    if len(chosen.values) > 1:
        why += f", the best of {len(chosen.values)} runs"
    if without := len(usable) - len(chosen.values):
        why += f"; {without} without that figure left out"
    if refused:
        why += f"; not usable here: {', '.join(f'{run} ({reason})' for run, reason in refused.items())}"
    return Best(next(run for run in usable if run.name == name), why)


def _only(space: stores.Workspace, dataset: str | None) -> list[RunFolder]:
    """The finished base networks of the one data set that has any."""
    names = [dataset] if dataset is not None else space.datasets()
    found = {name: runs for name in names if (runs := results.finished_runs(space, name, "base"))}
    if len(found) > 1:
        raise AdaprepError(
            f"the workspace {space.path} holds networks of several data sets ({', '.join(found)}): say which "
            f"with --dataset NAME, or name a network with --checkpoint."
        )
    return next(iter(found.values()), [])


def _usable(
    space: stores.Workspace, runs: Sequence[RunFolder], any_sampler: bool, factories: Sequence[str]
) -> tuple[list[RunFolder], dict[str, str]]:
    """The runs that can label images here, and why others cannot."""
    beside = runs[0].path.parent.glob("auxiliary-*") if runs else ()
    auxiliaries = auxiliary_networks(map(RunFolder, sorted(beside)))
    usable, refused = [], {}
    for run in runs:
        about = results.settings_of(run)
        kind, own = registry.kind(about["sampler"]), [about["architecture"], about["sampler"]]
        if foreign := [name for name in own if ":" in name and name not in factories]:
            refused[run.name] = f"needs --architecture or --sampler {foreign[0]}"
        elif kind.needs_truth and not any_sampler:
            refused[run.name] = "trained on proposals, which images without labels do not have"
        elif kind.needs_network and not any_sampler and about.get("auxiliary") not in auxiliaries:
            refused[run.name] = f"its auxiliary network {about.get('auxiliary')} is gone"
        else:
            usable.append(run)
    return usable, refused


def _measures(runs: Sequence[RunFolder]) -> list[_Measure]:
    """What these runs can be compared by, the nearest to what is labelled first."""
    files = {
        path.stem.partition("evaluation-")[2] for run in runs for path in run.path.glob("evaluation-*.json")
    }
    files |= {
        path.stem.partition("whole-image-")[2] for run in runs for path in run.path.glob("whole-image-*.json")
    }
    splits = sorted(files, key=lambda split: (split != "val", split))
    found = []
    for region, of in ((WHOLE, "of whole images"), (CENTRAL, "of central squares")):
        for split in splits:
            found.append(_Measure(f"{of} of {split}, as evaluated", _evaluated(split, region)))
    return [*found, _Measure("in the validations of its training", _validated)]


def _evaluated(split: str, region: Region) -> Callable[[RunFolder], float | None]:
    def miou(run: RunFolder) -> float | None:
        with suppress(AdaprepError):  # damaged: as if it were not there
            current = results.is_measured(run, split, results.Measurement(region))
            if current and (kept := results.evaluation(run, split, region)):
                value: float | None = kept["systems"][0]["miou"] if kept["systems"] else None
                return value
        return None

    return miou


def _validated(run: RunFolder) -> float | None:
    with suppress(AdaprepError):
        if ended := results.result_of(run):
            value: float | None = ended["figures"].get("miou")
            return value
    return None
