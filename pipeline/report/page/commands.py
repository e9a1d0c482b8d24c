"""The commands that make a workspace's content, and so its report, again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.page.collect import Facts, RunFacts
from pipeline.samplers import registry
from pipeline.workspace.stores import lambda_name


def again(facts: Facts) -> list[str]:
    """Every command in order, as shell lines."""
    data = _dataset(facts)
    lines = [f"export ADAPREP_WORKSPACE={shlex.quote(str(facts.space.path))}"]
    lines += [_boundaries(facts, part.split, data) for part in facts.splits if part.store]
    lines += _tensors(facts)
    if facts.bound:
        lines.append(_bound(facts))
    lines += [_train(run, facts) + facts.option for run in _ordered(facts.runs)]
    if facts.evaluations:
        lines.append(f"adaprep evaluate --split {facts.split}{facts.option}")
    return [*lines, f"adaprep report --split {facts.split}{facts.option}"]


def _dataset(facts: Facts) -> str:
    source = facts.dataset.spelling
    return f"--dataset {shlex.quote(source)} --root {shlex.quote(str(facts.dataset.root))}"


def _boundaries(facts: Facts, split: str, data: str) -> str:
    store = next(part.store for part in facts.splits if part.split == split)
    about: Mapping[str, Any] = store["parameters"] if store else {}
    settings = "".join(f" --set {shlex.quote(f'{k}={v}')}" for k, v in about.get("settings", {}).items())
    targets = shlex.quote(",".join(about["targets"]))
    grid = "x".join(map(str, about["grid"]))
    chosen = f"--targets {targets}{settings} --grid {grid} --crops {about['crops']}"
    return f"adaprep boundaries {data} --split {split} {chosen}"


def _tensors(facts: Facts) -> list[str]:
    """One command a grid, with all its lambdas."""
    lambdas: dict[str, list[float]] = {}
    for part in facts.splits:
        for store in part.tensors:
            about = store["parameters"]
            known = lambdas.setdefault("x".join(map(str, about["grid"])), [])
            if about["lambda"] not in known:
                known.append(about["lambda"])
    return [
        f"adaprep solve-tensors --grid {grid} --lambda {_numbers(sorted(known))}{facts.option}"
        for grid, known in lambdas.items()
    ]


def _numbers(values: Sequence[float]) -> str:
    return ",".join(map(lambda_name, values))


def _bound(facts: Facts) -> str:
    rows = (facts.bound or {})["settings"]
    resolutions = ",".join(str(r) for r in dict.fromkeys(row["resolution"] for row in rows))
    grids = dict.fromkeys("x".join(map(str, row["grid"])) for row in rows if row["grid"])
    lambdas = sorted({row["lambda"] for row in rows if row["lambda"] is not None})
    chosen = "".join(f" --grid {grid}" for grid in grids)
    chosen += f" --lambda {_numbers(lambdas)}" if lambdas else ""
    held = {run.path.name: run.best for run in facts.space.runs(facts.dataset.name)}
    for name in dict.fromkeys(row["auxiliary"] for row in rows if row.get("auxiliary")):
        path = held.get(name)
        chosen += f" --auxiliary {shlex.quote(str(path)) if path and path.exists() else 'CHECKPOINT'}"
    if facts.option:
        chosen += f" {_dataset(facts)}"
    return f"adaprep upper-bound --split {facts.split} --resolution {resolutions}{chosen} --save"


def _ordered(runs: Sequence[RunFacts]) -> list[RunFacts]:
    return sorted(runs, key=lambda r: (r.network, r.settings["seed"], int(r.settings["resolution"]), r.name))


def _train(run: RunFacts, facts: Facts) -> str:
    """The command of one run; options at their defaults that never change are left out."""
    about = run.settings
    parts = [f"adaprep train --network {run.network}"]
    if run.network == "auxiliary":
        parts.append(_auxiliary(about))
    else:
        parts.append(
            f"--architecture {about['architecture']} --sampler {about['sampler']} "
            f"--resolution {about['resolution']}"
        )
        kind = registry.kind(about["sampler"])
        parts += [f"{flag} {value}" for flag, value in (kind.options(about) or {}).items()]
        if about.get("filter", "nearest") != "nearest":
            parts.append(f"--filter {about['filter']}")
        if about.get("class_weights", "none") != "none":
            parts.append(f"--class-weights {shlex.quote(about['class_weights'])}")
        if kind.needs_network:
            parts.append(_sampled_by(run, facts))
        if about.get("pretrained"):
            parts.append(f"--pretrained {shlex.quote(str(about['pretrained']))}")
    strengths = "".join(f" --augment {name}={value:g}" for name, value in about["augmentation"].items())
    parts.append(
        f"--learning-rate {about['rate']:g} --epochs {about['epochs']} --batch-size {about['batch_size']} "
        f"--weight-decay {about['weight_decay']:g} --validate-every {about['validate_every']}{strengths} "
        f"--seed {about['seed']}"
    )
    if run.machine.get("precision") and run.machine["precision"] != _usual(run):
        parts.append(f"--precision {run.machine['precision']}")
    if tag := run.name.partition(f"-seed{about['seed']}-")[2]:
        parts.append(f"--tag {shlex.quote(tag)}")
    return " ".join(parts)


def _usual(run: RunFacts) -> str:
    """The precision that `--precision auto` chose on the run's device."""
    return "float32" if run.machine.get("device") == "cpu" else "bfloat16"


def _sampled_by(run: RunFacts, facts: Facts) -> str:
    """The auxiliary network that sampled for a base network; its checkpoint, where names do not say which."""
    wanted = run.settings["auxiliary"]
    found = [r for r in facts.runs if r.network == "auxiliary" and (r.result or {}).get("weights") == wanted]
    if not found:
        return f"--lambda {lambda_name(run.settings['lambda'] or 1.0)} --checkpoint CHECKPOINT"
    sampler = found[0]
    options = _auxiliary(sampler.settings)
    if _end(sampler) != _end(run):
        options += f" --checkpoint {shlex.quote(str(facts.space.run(facts.dataset.name, sampler.name).best))}"
    return options


def _end(run: RunFacts) -> str:
    """Seed and tag."""
    return f"seed{run.settings['seed']}" + run.name.partition(f"-seed{run.settings['seed']}")[2]


def _auxiliary(about: Mapping[str, Any]) -> str:
    grid = "x".join(map(str, about["grid"]))
    encoder = f" --aux-encoder {about['encoder']}" if "encoder" in about else ""
    return (
        f"--aux-resolution {about['resolution']} --aux-filter {about['filter']} --aux-loss {about['loss']} "
        f"--aux-features {about['features']} --grid {grid} --lambda {lambda_name(about['lambda'])}"
        f"{encoder}"
    )
