"""Writes docs/results.md from a workspace in which CamVid's networks were trained and evaluated.

adaprep evaluate
adaprep upper-bound --split val --resolution 32 --lambda 0.3,0.5,1 --auxiliary RUN/best.pt ... --json > bound.json
python -m benchmarks.training --json > training.json
python docs/results.py WORKSPACE bound.json training.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pipeline.evaluation import comparison
from pipeline.evaluation.comparison import Group, Spread
from pipeline.report.page import compare
from pipeline.workspace import disk, results, stores

DATASET, SPLIT = "camvid", "val"
LONGEST = 64
"""Larger networks could only be trained briefly."""

SAMPLES = {"uniform": "uniform", "auxiliary": "predicted tensors", "proposal": "ground-truth proposals"}
SMALL = "auxiliary-32-lambda0.5-features64-seed0-long"
"""The auxiliary network of the runs with the tag "small"."""
FIGURES = (("miou", "mIoU all"), ("target_miou", "mIoU targets"))

TEXT = """\
# Results

Written by `python docs/results.py` from a workspace; the commands are below. What was measured is small: CamVid
(367 images to train on, {images} to validate on, 480 x 360), small networks trained from scratch on two CPU cores. The
figures compare samplers trained alike but too briefly: the networks are not converged.

## CamVid val: uniform, predicted, proposals

Runs of the recipe `workflows/camvid.yaml`, two at a time on two CPU cores (`--jobs 2`). mIoU at the {measured},
{side} pixels a side, void left out. Targets: {targets}. Mean and standard deviation over seeds. GMACs are those
of the whole system for one image, the auxiliary network included. "Proposals" come from the ground truth: they are a
reference, not a system. "Small": with an auxiliary network of 64 features in place of 256, at practically the cost of
the baseline.

{table}

{limits}

{carried}

### By class and by size of object

Of the same networks, so with the same limits. IoU by class, means over seeds; targets in bold.

{classes}

Recall of the target classes' objects (connected components of at least one pixel) in four bins of equally many, from
small to large:

{recall}

### Larger and other networks, trained briefly

One seed, few epochs: far from converged, as the mIoU below that of the smaller images shows. One clip to validate on and
no fixed warp here either, so no gain can be read off these rows.

{short}

## The auxiliary network: what helped and what did not

The bound is what `adaprep upper-bound` gives for 32 x 32 samples that are all classified right: it depends on the
tensors alone, costs seconds, and tells the trials apart before a base network is trained. "Kept" is the share of the
proposals' gain on targets (lambda 1) that the predictions keep. One seed each unless several are listed; best epoch by
validation loss, which is the squared L2 distance to the proposal (energy (2) in the row of that loss), beside that of
the uniform tensor.

{trials}

{lessons}

## What a step waits for, and what a system takes

Measured by `python -m benchmarks.training`.

{timing}

## The commands

The first table, but for the row "small", with a report of it:

    adaprep run workflows/camvid.yaml --root DATA/camvid --workspace camvid-recipe --precision bfloat16

`bash workflows/camvid-results.sh DATA/camvid WORKSPACE` trains and evaluates every row of this page and writes its
figures; it goes on where it stopped. Two CPU cores take some hours, a GPU minutes to an hour.

## What is not shown

{missing}
"""


LESSONS = """\
Read with the spread over seeds in mind: the three seeds of the 256-feature network differ by 0.3 points in the bound on
targets, and three others of the same settings, trained with another number of threads, differed by 1.8: more than most
rows do. So these are hints, not findings:

- **A smaller lambda in the proposals**: a network fitted by squared error is drawn to the mean where it is unsure, so
  its points are pulled less than the proposals are, and lambda 0.5 makes up for some of it. With 0.3 the targets gain no
  more and the other classes lose.
- **Starting the mean grid at the mean proposal**, as training does: the network need not learn first what all
  images have in common. (Not among the trials: there is no option for the other start.)
- **A larger input** (64 pixels) is the best of the networks with 64 features; with 256 it would cost more than the base
  U-Net at 32 x 32.
- **Longer training** helps a little: the training loss falls to half the validation loss, so it is data that is short.
- **Width hardly matters** between 64 and 256 features: 64 cost a fifteenth. 16 are too few.
- **No difference that one seed can show**: energy (2) as the loss, nearest-pixel in place of box-filtered input, weight
  decay, stronger or no changes of contrast and brightness, a learning rate of 1e-3.
- The validation loss orders the trials badly: it is no substitute for the bound."""

LIMITS = """\
**No gain can be read off this table.** The networks are not converged, which holds the uniform ones back most: after 200
to 300 epochs uniform sampling reaches 0.29 on targets at 32 x 32 and 0.426 at 64 x 64. The validation images are one
clip. And there is no baseline with a fixed warp, the mean tensor for every image. Converged runs made outside this
repository measured +2 to +5 points of mIoU on target classes at 32 and 64 px and none at 128; a fixed warp gets most of
that. They came without intervals. `workflows/*-results.yaml` repeat them against every baseline, and have not been run to the end yet."""

MISSING = """\
- **256 pixels**: no seed was trained; on two CPU cores an epoch takes about five minutes. On a GPU: the recipe with
  `256: {seeds: [0]}` among its resolutions.
- **128 pixels and PSPNet** have one seed and few epochs. That adaptive sampling is ahead there is a fact of these runs, not
  of what fully trained networks would do. Proposals at 128 do not gain on targets in their one run of six epochs, where
  predictions do: with so short a training the order of single runs means little.
- **64 pixels** has one seed. In it the two bins of the smallest objects are recalled less with predicted samples than with
  uniform ones; at 32 x 32 all four are recalled more.
- **Less training** gives other figures. With 50 epochs at 32 and 40, and 40 epochs at 64 (the same commands with `--epochs` and a `--tag`),
  three seeds each, mIoU over all and on targets was: uniform at 32 0.429 and 0.136, at 40 0.456 and 0.165, at 64 0.418 and
  0.137; predicted at 32 0.483 and 0.218, at 64 0.480 and 0.214. The rate falls to a hundredth over the epochs that there
  are, whatever their number; rare classes are learned late and at a high rate. Predicted samples show them sooner.
- **More training** moves the figures, those of uniform sampling most (see the first table). The rows have not been
  retrained with more epochs yet.
- **A fixed warp**, the mean tensor for every image, needs no auxiliary network (`--sampler mean`) and is not among these runs.
- **One clip**: the 101 validation images are successive frames of one drive, so they say little about other streets.
- **Equal cost** is shown at 32 x 32 alone. At 64 x 64 the auxiliary network adds a seventh to the cost, at 128 a thirtieth.
- **Proposals as a reference**: those of the table have lambda 1, the paper's; predictions were learned from lambda 0.5,
  whose bound on targets is higher. That predictions end up ahead of that reference is no contradiction.
- **Chosen on val**: the lambda of the predictions, by the bound; batch size and epochs, by the mIoU of some of these
  networks; and the epoch of every network, by its mIoU there. Val is also where they are measured. The test split was not looked at."""


def shown(spread: Spread | None) -> str:
    """Mean, and deviation where there is one."""
    if spread is None:
        return "-"
    around = "" if spread.deviation is None else f" ± {spread.deviation:.3f}"
    return f"{spread.mean:.3f}{around}"


def samples(group: Group) -> str:
    """How it was sampled, with the tag of its runs."""
    return f"{SAMPLES[group.sampler]}, {group.tag}" if group.tag else SAMPLES[group.sampler]


def table(heads: list[str], rows: list[list[str]]) -> str:
    """In Markdown."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def main_table(found: list[Group]) -> str:
    heads = ["network", "resolution", "samples", "seeds", "epochs", "GMACs", *(head for _, head in FIGURES)]
    rows = []
    for group in found:
        epochs = str(group.evaluations[0]["settings"]["epochs"])
        row = [group.architecture, str(group.resolution), samples(group)]
        row += [str(len(group.seeds)), epochs, f"{group.gmacs:.3f}"]
        rows.append([*row, *(shown(group.figure(name)) for name, _ in FIGURES)])
    return table(heads, rows)


def carried(found: list[Group], targets: list[str]) -> str:
    """IoU of every target class, uniform and predicted, a line a system."""
    lines = ["IoU of the target classes, uniform and predicted samples (means over seeds):", ""]
    systems = compare.systems(e for group in found for e in group.evaluations)
    for gain in compare.gains(systems):
        classes = []
        for name in targets:
            base, ours = (s.spread(comparison.class_iou(name)) for s in (gain.baseline, gain.ours))
            if base is not None and ours is not None:
                classes.append(f"{name} {base.mean:.2f} and {ours.mean:.2f}")
        where = f"{gain.ours.group.resolution} x {gain.ours.group.resolution}"
        word = f", {gain.ours.word}" if gain.ours.word else ""
        lines.append(f"- {where}{word}: {', '.join(classes)}")
    return "\n".join(lines)


def class_table(found: list[Group], targets: list[str]) -> str:
    chosen = [g for g in found if g.sampler != "proposal"]
    names = list(chosen[0].evaluations[0]["systems"][0]["iou"])
    heads = ["network", "samples", *(f"**{n}**" if n in targets else n for n in names)]
    return table(heads, means(chosen, [comparison.class_iou(name) for name in names], 2))


def recall_table(found: list[Group]) -> str:
    bins = found[0].evaluations[0]["systems"][0]["recall_by_size"]
    heads = ["network", "samples"]
    heads += [f"{b['pixels'][0]:,} to {b['pixels'][1]:,} pixels ({b['objects']})" for b in bins]
    return table(heads, means(found, list(map(comparison.size_recall, range(len(bins)))), 3))


def means(found: list[Group], names: list[str], digits: int) -> list[list[str]]:
    """A row per group: what it is, and its figures."""
    rows = []
    for group in found:
        spreads = map(group.figure, names)
        cells = ["-" if spread is None else f"{spread.mean:.{digits}f}" for spread in spreads]
        rows.append([f"{group.architecture} {group.resolution}", samples(group), *cells])
    return rows


def trial_table(space: stores.Workspace, bound: dict[str, Any]) -> str:
    """Auxiliary runs with their loss and their bound."""
    rows = bound["settings"]
    by_name = {row["sampler"]: row for row in rows}
    uniform = by_name["uniform"]["target_miou"]
    most = by_name["8x8, lambda 1"]["target_miou"] - uniform
    heads = ["auxiliary network", "lambda", "loss", "uniform", "bound all", "bound targets", "kept", "GMACs"]
    lines = []
    for row in rows:
        folder = results.runs_folder(space, DATASET) / str(row["auxiliary"])
        if row["auxiliary"] is None:
            lam = "" if row["lambda"] is None else f"{row['lambda']:g}"
            name = "uniform tensor" if row["lambda"] is None else "proposals"
            cells = [name, lam, "", ""]
        else:
            chosen = results.settings_of(folder)
            figures = disk.read_json(folder / "result.json")["figures"]
            cells = [
                describe(chosen),
                f"{chosen['lambda']:g}",
                f"{figures['validation_loss']:.3f}",
                f"{figures['uniform_loss']:.3f}",
            ]
        kept = (row["target_miou"] - uniform) / most
        cost = "" if row["auxiliary"] is None else f"{giga(folder):.3f}"
        lines.append([*cells, f"{row['miou']:.3f}", f"{row['target_miou']:.3f}", f"{100 * kept:.0f} %", cost])
    return table(heads, lines)


def describe(chosen: dict[str, Any]) -> str:
    """What an auxiliary run differs in from the others."""
    usual = {"flip": 0.5, "brightness": 0.2, "contrast": 0.2, "salt_and_pepper": 0.01}
    parts = [f"{chosen['resolution']} px, {chosen['features']} features, seed {chosen['seed']}"]
    if chosen["loss"] != "proposal":
        parts.append("loss: energy (2)")
    if chosen["filter"] != "area":
        parts.append("input by nearest pixel")
    if chosen["weight_decay"]:
        parts.append(f"weight decay {chosen['weight_decay']:g}")
    if chosen["epochs"] != 60:
        parts.append(f"{chosen['epochs']} epochs")
    if chosen["rate"] != 3e-4:
        parts.append(f"rate {chosen['rate']:g}")
    changed = {k: v for k, v in chosen["augmentation"].items() if v != usual[k]}
    if changed:
        parts.append(", ".join(f"{name} {value:g}" for name, value in changed.items()))
    return "; ".join(parts)


def giga(folder: Path) -> float:
    """GMACs of an auxiliary network."""
    from pipeline.networks import checkpoint, macs

    found = checkpoint.load(folder / "best.pt", "auxiliary")
    side = int(found.arguments["resolution"])
    return macs.macs(found.build(), (3, side, side)) / 1e9


SCRIPT = """\
#!/usr/bin/env bash
# Every run behind docs/results.md, then its figures: bash workflows/camvid-results.sh CAMVID [WORKSPACE]
# Written by docs/results.py. Stopped, it goes on where it was; what is complete is skipped. On a GPU leave --precision out.
set -euo pipefail
cd "$(dirname "$0")/.."
camvid=$1
export ADAPREP_WORKSPACE=${{2:-adaprep-workspace}}

adaprep boundaries --dataset camvid --root "$camvid"
adaprep solve-tensors --lambda 0.3,0.5,1
{trainings}
adaprep evaluate
bound=$(mktemp) timing=$(mktemp)
adaprep upper-bound --split val --resolution 32 --lambda 0.3,0.5,1 --json \\
    $(printf -- '--auxiliary %s ' "$ADAPREP_WORKSPACE"/camvid/runs/auxiliary-*/best.pt) > "$bound"
python -m benchmarks.training --json > "$timing"
python docs/results.py "$ADAPREP_WORKSPACE" "$bound" "$timing"
"""


def trainings(space: stores.Workspace) -> str:
    """One line a run, seeds put together; auxiliary networks come first by their names."""
    lines: dict[str, list[int]] = {}
    for run in results.complete_runs(space, DATASET):
        chosen = results.settings_of(run)
        lines.setdefault(command(run.name, chosen), []).append(chosen["seed"])
    return "\n".join(
        line
        if seeds == [0]
        else f'for seed in {" ".join(map(str, sorted(seeds)))}; do {line} --seed "$seed"; done'
        for line, seeds in lines.items()
    )


def command(name: str, chosen: dict[str, Any]) -> str:
    """The command that trains a run, without its seed."""
    options = [f"--network {chosen['network']}"]
    if chosen["network"] == "base":
        options += [f"--architecture {chosen['architecture']}", f"--sampler {chosen['sampler']}"]
        options += [f"--resolution {chosen['resolution']}"]
        if chosen["sampler"] == "auxiliary":
            options.append("--lambda 0.5")
            if "-seed0-small" in name:
                options.append(f'--checkpoint "$ADAPREP_WORKSPACE/{DATASET}/runs/{SMALL}/best.pt"')
    else:
        options += [f"--aux-resolution {chosen['resolution']}", f"--aux-features {chosen['features']}"]
        options += [f"--lambda {chosen['lambda']:g}", f"--aux-filter {chosen['filter']}"]
        options += [f"--aux-loss {chosen['loss']}"]
    options += [f"--epochs {chosen['epochs']}", f"--learning-rate {chosen['rate']:g}"]
    options += [f"--batch-size {chosen['batch_size']}", f"--validate-every {chosen['validate_every']}"]
    if chosen["weight_decay"]:
        options.append(f"--weight-decay {chosen['weight_decay']:g}")
    usual = {"flip": 0.5, "brightness": 0.2, "contrast": 0.2, "salt_and_pepper": 0.01}
    options += [f"--augment {k}={v:g}" for k, v in chosen["augmentation"].items() if v != usual[k]]
    if tag := name.partition(f"-seed{chosen['seed']}-")[2]:
        options.append(f"--tag {tag}")
    return f"adaprep train {' '.join(options)} --precision bfloat16"


def timing(training: dict[str, Any]) -> str:
    step, latency = training["step"], training["latency"]
    share = step["data"] / (step["data"] + step["rest"])
    rows = [
        [resolution, name, f"{1000 * s:.0f} ms", f"{s / systems['uniform']:.2f}"]
        for resolution, systems in latency.items()
        for name, s in systems.items()
    ]
    return (
        f"The data path (reading a batch from the stores, augmenting it) takes {share:.1%} of a step of the base U-Net "
        f"at 64 x 64 on a CPU.\nFrom one image of 2710 x 2710 to its labels, base U-Net, median on two CPU cores, "
        f"systems in turn:\n\n" + table(["resolution", "system", "time", "against uniform"], rows)
    )


def main() -> None:
    space = stores.Workspace(Path(sys.argv[1]))
    bound = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))[0]
    training = json.loads(Path(sys.argv[3]).read_text(encoding="utf-8"))
    found = comparison.groups(results.evaluations(space, DATASET, SPLIT))
    long = [group for group in found if group.architecture == "unet" and group.resolution <= LONGEST]
    facts = long[0].evaluations[0]
    text = TEXT.format(
        images=facts["images"],
        measured=facts["measured_at"],
        side=facts["crop_sides"][0],
        targets=", ".join(facts["targets"]),
        table=main_table(long),
        limits=LIMITS,
        carried=carried(long, facts["targets"]),
        classes=class_table(long, facts["targets"]),
        recall=recall_table(long),
        short=main_table([g for g in found if g not in long]),
        trials=trial_table(space, bound),
        lessons=LESSONS,
        timing=timing(training),
        missing=MISSING,
    )
    Path(__file__).with_name("results.md").write_text(text, encoding="utf-8")
    script = Path(__file__).parents[1] / "workflows" / "camvid-results.sh"
    script.write_text(SCRIPT.format(trainings=trainings(space)), encoding="utf-8")


if __name__ == "__main__":
    main()
