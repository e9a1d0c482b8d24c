"""The commands that make a workspace's content, and so its report, again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline import advice
from pipeline.names import join_names
from pipeline.report.page.collect import Facts, RunFacts
from pipeline.samplers import registry
from pipeline.workspace.stores import lambda_name

THROUGH = "through"
"""The setting of a finetuned auxiliary network that names its base network's weights."""


def again(facts: Facts) -> list[str]:
    """Every command in order, as shell lines."""
    lines = [f"export ADAPREP_WORKSPACE={shlex.quote(str(facts.space.path))}"]
    lines += [_boundaries(facts, part.split) for part in facts.splits if part.store]
    lines += _tensors(facts)
    if facts.bound:
        lines.append(_bound(facts))
    lines += [_line("train", _train(run, facts), facts) for run in _ordered(facts.runs)]
    if facts.evaluations:
        lines.append(_line("evaluate", ["--split", facts.split], facts))
    return [*lines, _line("report", ["--split", facts.split], facts)]


def _line(name: str, words: Sequence[object], facts: Facts) -> str:
    """A command on what the workspace holds."""
    return advice.line(name, [*words, *(["--dataset", facts.named] if facts.named else [])])


def _dataset(facts: Facts) -> list[object]:
    return ["--dataset", facts.dataset.spelling, "--root", facts.dataset.root]


def _boundaries(facts: Facts, split: str) -> str:
    store = next(part.store for part in facts.splits if part.split == split)
    about: Mapping[str, Any] = store["parameters"] if store else {}
    settings = [word for k, v in facts.dataset.reopening().items() for word in ("--set", f"{k}={v}")]
    shape = ["--grid", _grid(about["grid"]), "--crops", about["crops"]]
    targets = ["--targets", join_names(about["targets"])]
    return advice.line("boundaries", [*_dataset(facts), "--split", split, *targets, *settings, *shape])


def _tensors(facts: Facts) -> list[str]:
    """One command a grid, with all its lambdas."""
    lambdas: dict[str, list[float]] = {}
    for part in facts.splits:
        for store in part.tensors:
            about = store["parameters"]
            known = lambdas.setdefault(_grid(about["grid"]), [])
            if about["lambda"] not in known:
                known.append(about["lambda"])
    return [
        _line("solve-tensors", ["--grid", grid, "--lambda", _numbers(sorted(known))], facts)
        for grid, known in lambdas.items()
    ]


def _numbers(values: Sequence[float]) -> str:
    return ",".join(map(lambda_name, values))


def _grid(sides: Sequence[int]) -> str:
    return "x".join(map(str, sides))


def _bound(facts: Facts) -> str:
    rows = (facts.bound or {})["settings"]
    resolutions = ",".join(str(r) for r in dict.fromkeys(row["resolution"] for row in rows))
    grids = dict.fromkeys(_grid(row["grid"]) for row in rows if row["grid"])
    lambdas = sorted({row["lambda"] for row in rows if row["lambda"] is not None})
    words: list[object] = ["--split", facts.split, "--resolution", resolutions]
    words += [word for grid in grids for word in ("--grid", grid)]
    words += ["--lambda", _numbers(lambdas)] if lambdas else []
    held = {run.path.name: run.best for run in facts.space.runs(facts.dataset.name)}
    for name in dict.fromkeys(row["auxiliary"] for row in rows if row.get("auxiliary")):
        path = held.get(name)
        words += ["--auxiliary", path if path and path.exists() else "CHECKPOINT"]
    if facts.named:
        words += _dataset(facts)
    return advice.line("upper-bound", [*words, "--save"])


def _ordered(runs: Sequence[RunFacts]) -> list[RunFacts]:
    """What is sampled or finetuned with others comes after these."""
    finetuned = {(r.result or {}).get("weights") for r in runs if THROUGH in r.settings} - {None}

    def place(run: RunFacts) -> tuple[object, ...]:
        about = run.settings
        turn = 1 if THROUGH in about else 2 if about.get("auxiliary") in finetuned else 0
        return turn, run.network, about["seed"], int(about["resolution"]), run.name

    return sorted(runs, key=place)


def _train(run: RunFacts, facts: Facts) -> list[object]:
    """The options of one run; those at their defaults that never change are left out."""
    about = run.settings
    words: list[object] = ["--network", run.network]
    words += _auxiliary_run(run, facts) if run.network == "auxiliary" else _base(run, facts)
    for flag, key in (
        ("--learning-rate", "rate"),
        ("--epochs", "epochs"),
        ("--batch-size", "batch_size"),
        ("--weight-decay", "weight_decay"),
        ("--validate-every", "validate_every"),
    ):
        words += [flag, f"{about[key]:g}" if isinstance(about[key], float) else about[key]]
    words += ["--patience", about["patience"]] if about.get("patience") else []
    words += [w for name, value in about["augmentation"].items() for w in ("--augment", f"{name}={value:g}")]
    words += ["--seed", about["seed"]]
    if run.machine.get("precision") and run.machine["precision"] != _usual(run):
        words += ["--precision", run.machine["precision"]]
    if tag := run.name.partition(f"-seed{about['seed']}-")[2]:
        words += ["--tag", tag]
    return words


def _auxiliary_run(run: RunFacts, facts: Facts) -> list[object]:
    """What is special about an auxiliary network; its base network's checkpoint, where it was finetuned."""
    wanted = run.settings.get(THROUGH)
    if wanted is None:
        return _auxiliary(run.settings)
    found = [r.name for r in facts.runs if r.network == "base" and (r.result or {}).get("weights") == wanted]
    place = facts.space.run(facts.dataset.name, found[0]).best if found else "CHECKPOINT"
    return ["--finetune", place]


def _base(run: RunFacts, facts: Facts) -> list[object]:
    """What is special about base networks."""
    about = run.settings
    words: list[object] = ["--architecture", about["architecture"], "--sampler", about["sampler"]]
    words += ["--resolution", about["resolution"]]
    kind = registry.kind(about["sampler"])
    words += [word for pair in (kind.options(about) or {}).items() for word in pair]
    if about.get("filter", "nearest") != "nearest":
        words += ["--filter", about["filter"]]
    if about.get("class_weights", "none") != "none":
        words += ["--class-weights", about["class_weights"]]
    if about.get("loss", "cross-entropy") != "cross-entropy":
        words += ["--loss", about["loss"]]
    if about.get("area_weight"):
        words += ["--area-weight", f"{about['area_weight']:g}"]
    if about.get("tensor_channels"):
        words += ["--tensor-channels"]
    if kind.needs_network:
        words += _sampled_by(run, facts)
    if about.get("pretrained"):
        words += ["--pretrained", about["pretrained"]]
    return words


def _usual(run: RunFacts) -> str:
    """The precision that `--precision auto` chose on the run's device."""
    return "float32" if run.machine.get("device") == "cpu" else "bfloat16"


def _sampled_by(run: RunFacts, facts: Facts) -> list[object]:
    """The auxiliary network that sampled for a base network; its checkpoint, where names do not say which."""
    wanted = run.settings["auxiliary"]
    found = [r for r in facts.runs if r.network == "auxiliary" and (r.result or {}).get("weights") == wanted]
    if not found:
        return ["--lambda", lambda_name(run.settings["lambda"] or 1.0), "--checkpoint", "CHECKPOINT"]
    sampler = found[0]
    words = _auxiliary(sampler.settings)
    if _end(sampler) != _end(run) or THROUGH in sampler.settings:
        words += ["--checkpoint", facts.space.run(facts.dataset.name, sampler.name).best]
    return words


def _end(run: RunFacts) -> str:
    """Seed and tag."""
    return f"seed{run.settings['seed']}" + run.name.partition(f"-seed{run.settings['seed']}")[2]


def _auxiliary(about: Mapping[str, Any]) -> list[object]:
    words: list[object] = ["--aux-resolution", about["resolution"], "--aux-filter", about["filter"]]
    words += ["--aux-loss", about["loss"], "--aux-features", about["features"]]
    words += ["--grid", _grid(about["grid"]), "--lambda", lambda_name(about["lambda"])]
    later = (("--aux-encoder", "encoder"), ("--aux-head", "head"), ("--aux-zoom", "zoom"))
    words += [word for flag, key in later if key in about for word in (flag, about[key])]
    return [*words, *(["--aux-mirrored"] if about.get("mirrored") else [])]
