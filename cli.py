"""The command line: options in, one stage called, a summary out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.errors import AdaprepError
from pipeline.options import (
    ROOT,
    Grid,
    Numbers,
    Sizes,
    block_option,
    dataset_options,
    dry_run_option,
    flat,
    held_option,
    held_options,
    json_option,
    limit_option,
    overwrite_option,
    scheduler_options,
    split_option,
    workspace_option,
)

if TYPE_CHECKING:
    from pipeline.datasets.base import Dataset, Frame
    from pipeline.recipes.steps import Hooks
    from pipeline.stages.engine import Scheduler
    from pipeline.stores import Workspace
    from pipeline.train.settings import Precision


class Commands(click.Group):
    """Turns the errors written for people into one sentence and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AdaprepError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("stopped; what is finished is kept: run the same command again to go on", err=True)
            sys.exit(130)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order they are used


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="adaprep", prog_name="adaprep")
def main() -> None:
    """Prepare data for segmentation networks that look where it matters.

    From label maps to sampling tensors that pull sample points towards the boundaries of your target classes.

    \b
    On a new data set:
      adaprep datasets                                  what can be read, and where it is looked for
      adaprep check --dataset camvid                    is everything there and as it should be
      adaprep boundaries --dataset camvid               label maps -> nearest boundaries
      adaprep solve-tensors --lambda 1                  nearest boundaries -> sampling tensors
      adaprep show 0 --dataset camvid                   a picture of one image's sample points
      adaprep verify                                    hold the results against their sources

    Without data: adaprep demo
    """


def finish(ok: bool) -> None:
    """Exit status 1 unless all went well."""
    if not ok:
        sys.exit(1)


def print_json(data: Any) -> None:
    import json

    click.echo(json.dumps(data, ensure_ascii=False, indent=2))


@main.command()
@click.option("--data-only", is_flag=True, help="Only generate the street scenes, at --root.")
@click.option("--root", type=ROOT, default=Path("data/demo"), show_default=True)
@click.option(
    "--train", type=click.IntRange(min=1), default=24, show_default=True, help="Scenes to train on."
)
@click.option(
    "--val", type=click.IntRange(min=1), default=8, show_default=True, help="Scenes to validate on."
)
@workspace_option
def demo(data_only: bool, root: Path, train: int, val: int, space: Workspace) -> None:
    """Run everything on generated street scenes; nothing is downloaded.

    \b
    Example:
      adaprep demo
    """
    from pipeline.report import console, show
    from pipeline.stages import demo as stage

    data = stage.generate(root, train, val, click.echo)
    if data_only:
        return
    ok = stage.run(data, space, console.listener(), click.echo, console.print_summary)
    picture = space.path / "demo.png"
    scene = show.load_scene(data, data.frames("val")[0], (8, 8))
    show.draw_points(data, scene, picture, stage.LAMBDAS, resized=32)
    click.echo(f"picture of {scene.frame.name}: {picture}")
    click.echo("next: adaprep upper-bound --split val, adaprep show 5; your own data: docs/your-own-data.md")
    finish(ok)


@main.command()
@json_option
def datasets(as_json: bool) -> None:
    """List the data sets that can be read, and where each is looked for."""
    from pipeline.datasets import registry
    from pipeline.report import console

    rows = registry.describe()
    print_json(rows) if as_json else console.print_datasets(rows)


@main.command()
@dataset_options
@split_option
@limit_option
@scheduler_options
@click.option("--decode-images", "decode", is_flag=True, help="Decode images whole, not just their headers.")
@json_option
def check(
    data: Dataset, splits: tuple[str, ...], limit: int | None, where: Scheduler, decode: bool, as_json: bool
) -> None:
    """Look at a data set before working on it: files, sizes, ids, classes, targets.

    \b
    Examples:
      adaprep check --dataset cityscapes --split train --limit 100
      adaprep check --dataset my-data.yaml --json
    """
    from pipeline.report import console
    from pipeline.stages import check as stage
    from pipeline.stages.inputs import existing_splits

    chosen = existing_splits(data, splits)
    reports = [stage.run(data, split, limit, where, console.listener(), decode) for split in chosen]
    if as_json:
        print_json([report.as_dict() for report in reports])
    else:
        for report in reports:
            console.print_check(report)
    finish(all(report.ok for report in reports))


@main.command()
@dataset_options
@split_option
@limit_option
@click.option("--grid", type=Grid(), default="8x8", show_default=True, help="Size of the sampling tensor.")
@click.option(
    "--crops",
    type=click.IntRange(min=1),
    help="Squares an image. Default: 5 of training splits, 1 elsewhere.",
)
@scheduler_options
@block_option
@overwrite_option
@dry_run_option
@workspace_option
def boundaries(
    data: Dataset,
    splits: tuple[str, ...],
    limit: int | None,
    grid: tuple[int, int],
    crops: int | None,
    where: Scheduler,
    block_size: int | None,
    overwrite: bool,
    dry_run: bool,
    space: Workspace,
) -> None:
    """Find the target boundaries of every label map, and the nearest one to every grid point.

    Goes on where an earlier run stopped. A file that cannot be used is listed, the rest goes on, and the
    exit status is 1.

    \b
    Examples:
      adaprep boundaries --dataset apolloscape
      adaprep boundaries --dataset cityscapes --split train --targets person,rider --dry-run
      adaprep boundaries --dataset my-data.yaml --workers 8
    """
    from pipeline.report import console
    from pipeline.stages import boundaries as stage
    from pipeline.stages.inputs import existing_splits

    ok = True
    for split in existing_splits(data, splits):
        folder = space.folder(data.name, split)
        found, todo = stage.prepare(folder, data, split, stage.Options(grid, crops), overwrite, limit)
        if dry_run:
            console.print_plan(todo, where, block_size, stage.estimate(found, todo, where))
            continue
        summary = stage.run(folder, found, todo, where, console.listener(), block_size)
        console.print_summary(summary, folder.boundaries)
        ok &= summary.ok
    finish(ok)


@main.command("solve-tensors")
@click.option(
    "--lambda",
    "lambdas",
    type=Numbers(),
    multiple=True,
    default=["1"],
    show_default=True,
    help="Weight of regularity against boundary pull; several with commas.",
)
@click.option(
    "--grid", type=Grid(), help="Another grid than the boundaries were made for; reads no label map."
)
@click.option("--crops", type=click.IntRange(min=1), help="Another crop count than the boundaries'.")
@held_option
@split_option
@scheduler_options
@block_option
@overwrite_option
@dry_run_option
@workspace_option
def solve_tensors(
    lambdas: tuple[list[float], ...],
    grid: tuple[int, int] | None,
    crops: int | None,
    dataset: str | None,
    splits: tuple[str, ...],
    where: Scheduler,
    block_size: int | None,
    overwrite: bool,
    dry_run: bool,
    space: Workspace,
) -> None:
    """Minimise energy (2): from nearest boundaries to sampling tensors.

    Reads the stores that `adaprep boundaries` made and no label map.

    \b
    Examples:
      adaprep solve-tensors --lambda 1
      adaprep solve-tensors --lambda 0.1,1,10 --grid 16x16
    """
    from pipeline.report import console
    from pipeline.stages import tensors as stage

    ok = True
    for folder in space.folders(dataset, splits):
        for lam in flat(lambdas):
            todo = stage.plan(folder, stage.Options(lam, grid, crops), overwrite)
            if dry_run:
                console.print_plan(todo, where, block_size, stage.estimate(folder, todo, where))
                continue
            summary = stage.run(folder, todo, where, console.listener(), block_size)
            console.print_summary(summary, todo.path)
            ok &= summary.ok
    finish(ok)


@main.command("upper-bound")
@held_options
@limit_option
@click.option(
    "--resolution", "resolutions", type=Sizes(), multiple=True, default=["32,64,128"], show_default=True
)
@click.option("--grid", "grids", type=Grid(), multiple=True, default=["8x8"], show_default=True)
@click.option("--lambda", "lambdas", type=Numbers(), multiple=True, default=["1"], show_default=True)
@click.option(
    "--auxiliary",
    "auxiliaries",
    type=ROOT,
    multiple=True,
    help="Checkpoint of an auxiliary network: also what its tensors keep. May be given several times.",
)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw mIoU against resolution.")
@click.option("--save", is_flag=True, help="Keep the figures in the workspace, for its report.")
@scheduler_options
@json_option
def upper_bound(
    held: tuple[Dataset, dict[str, list[Frame]]],
    limit: int | None,
    resolutions: tuple[list[int], ...],
    grids: tuple[tuple[int, int], ...],
    lambdas: tuple[list[float], ...],
    auxiliaries: tuple[Path, ...],
    plot: Path | None,
    save: bool,
    where: Scheduler,
    as_json: bool,
) -> None:
    """Say how much of the ground truth survives sampling and interpolation, before training anything.

    The label maps are sampled, interpolated back, and compared with themselves at the full resolution of
    the central square crop: which lambda, grid and targets suit the data, uniform beside adaptive.

    \b
    Examples:
      adaprep upper-bound --dataset camvid --split val
      adaprep upper-bound --split val --lambda 0.3,1,3 --grid 8x8 --grid 16x16 --plot bound.png
      adaprep upper-bound --split val --auxiliary auxiliary.pt
    """
    from pipeline import results
    from pipeline.options import open_workspace
    from pipeline.report import bounds, console
    from pipeline.stages import upper_bound as stage

    data, frames = held
    predictors = {}
    if auxiliaries:
        from pipeline.train.predict import load_named

        predictors = load_named(auxiliaries, data.classes.names)
    wanted = stage.settings(flat(resolutions), grids, flat(lambdas), list(predictors))
    reports = [
        stage.run(data, split, found[:limit], wanted, where, console.listener(), predictors)
        for split, found in frames.items()
    ]
    if as_json:
        print_json([report.as_dict() for report in reports])
    else:
        for report in reports:
            bounds.print_bounds(report)
    if save:
        space = open_workspace(click.get_current_context().params["workspace"])
        for report in reports:
            path = results.upper_bound_path(space, data.name, report.split)
            results.write(path, report.as_dict())
            click.echo(f"kept: {path}", err=as_json)
    if plot:
        for report in reports:
            path = plot if len(reports) == 1 else plot.with_stem(f"{plot.stem}-{report.split}")
            bounds.plot(report, path)
            click.echo(f"plot: {path}", err=as_json)
    finish(all(report.ok for report in reports))


@main.command("boundary-error")
@click.option("--dataset", help="Name or YAML file: outlines of its targets. Default: smooth curves.")
@click.option("--root", type=ROOT, help="Where the data set lies.")
@click.option("--targets", help="Target classes by name, with commas.")
@click.option("--split", default="val", show_default=True)
@limit_option
@click.option("--lambda", "lambdas", type=Numbers(), multiple=True, default=["0.1,1"], show_default=True)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw error against samples.")
@json_option
def boundary_error(
    dataset: str | None,
    root: Path | None,
    targets: str | None,
    split: str,
    limit: int | None,
    lambdas: tuple[list[float], ...],
    plot: Path | None,
    as_json: bool,
) -> None:
    """Measure how the error at boundaries falls with the number of samples, Appendix A of the paper.

    Three ways to sample: near the boundary, as the appendix does (slope -2); on a uniform grid (slope -1/2);
    on the tool's own adaptive grids. See docs/appendix-a.md.

    \b
    Examples:
      adaprep boundary-error --plot curves.png
      adaprep boundary-error --dataset camvid --split val --limit 20
    """
    from pipeline.options import open_dataset
    from pipeline.report import boundary_error as report
    from pipeline.stages import boundary_error as stage

    if dataset is None:
        found = stage.run_shapes(flat(lambdas))
    else:
        data = open_dataset(dataset, root, targets, ())
        found = stage.run_dataset(data, split, data.frames(split)[:limit], flat(lambdas))
    print_json(found.as_dict()) if as_json else report.print_errors(found)
    if plot:
        report.plot(found, plot)
        click.echo(f"plot: {plot}", err=as_json)
    finish(found.ok)


@main.command()
@click.option(
    "--classes", type=click.IntRange(min=1), help="Of base networks. Default: the paper's, table by table."
)
@json_option
def networks(classes: int | None, as_json: bool) -> None:
    """List what networks cost, beside the paper's figures: parameters, and 10^9 multiply-adds an image."""
    from pipeline.train import settings

    settings.need_torch()
    from pipeline.report import evaluation
    from pipeline.train import evaluate as stage

    rows = list(stage.costs(classes))
    print_json(rows) if as_json else evaluation.print_costs(rows)


@main.command()
@click.option("--resolution", "resolutions", type=Sizes(), multiple=True, default=["64"], show_default=True)
@click.option(
    "--sampler",
    "samplers",
    type=click.Choice(["uniform", "proposal", "auxiliary"]),
    multiple=True,
    default=["proposal"],
    show_default=True,
    help="Which points; several times for several stores from one decoding.",
)
@click.option(
    "--lambda",
    "lambdas",
    type=Numbers(),
    multiple=True,
    default=["1"],
    show_default=True,
    help="Of proposals.",
)
@click.option("--grid", type=Grid(), default="8x8", show_default=True, help="Of the proposals.")
@click.option("--checkpoint", type=ROOT, help="Trained auxiliary network, for --sampler auxiliary.")
@click.option(
    "--aux-resolution",
    "inputs",
    type=Sizes(),
    multiple=True,
    help="Also the auxiliary network's small uniform images.",
)
@click.option("--aux-filter", type=click.Choice(["area", "nearest"]), default="area", show_default=True)
@click.option("--dataset", help="Needed only when the workspace holds several.")
@click.option("--root", type=ROOT, help="Where the data set lies now, if it has moved.")
@split_option
@scheduler_options
@overwrite_option
@dry_run_option
@workspace_option
def sample(
    resolutions: tuple[list[int], ...],
    samplers: tuple[str, ...],
    lambdas: tuple[list[float], ...],
    grid: tuple[int, int],
    checkpoint: Path | None,
    inputs: tuple[list[int], ...],
    aux_filter: str,
    dataset: str | None,
    root: Path | None,
    splits: tuple[str, ...],
    where: Scheduler,
    overwrite: bool,
    dry_run: bool,
    space: Workspace,
) -> None:
    """Sample images and label maps into small training sets; every image is decoded once.

    \b
    Examples:
      adaprep sample --resolution 64 --sampler uniform --sampler proposal --aux-resolution 32
      adaprep sample --resolution 64,128 --sampler auxiliary --checkpoint auxiliary.pt --dry-run
    """
    from pipeline.report import console
    from pipeline.stages import inputs as listing
    from pipeline.stages import samples as stage
    from pipeline.stages.outputs import choose

    predictor = None
    if checkpoint is not None:
        from pipeline.train.predict import Predictor

        predictor = Predictor.load(checkpoint)
    outputs = choose(flat(resolutions), samplers, flat(lambdas), grid, predictor, flat(inputs), aux_filter)
    ok = True
    for folder in space.folders(dataset, splits):
        found = listing.load(folder, root)
        plans = stage.plan(folder, outputs, overwrite)
        if dry_run:
            console.print_sample_plans(plans, where, stage.estimate(folder, found, outputs, plans, where))
            continue
        summary = stage.run(folder, found, outputs, plans, where, console.listener())
        console.print_summary(summary, stage.folder_of(folder))
        ok &= summary.ok
    finish(ok)


@main.command()
@click.option(
    "--network",
    type=click.Choice(["auxiliary", "base"]),
    help="Only this one. Default: base, and before it auxiliary if that samples.",
)
@click.option(
    "--sampler",
    type=click.Choice(["uniform", "proposal", "auxiliary"]),
    default="auxiliary",
    show_default=True,
    help="Where the base network's samples lie.",
)
@click.option(
    "--base",
    "architecture",
    default="unet",
    show_default=True,
    metavar="NAME",
    help="unet, pspnet, deeplabv3plus, or your own as package.module:factory.",
)
@click.option("--pretrained", type=ROOT, help="File of the base network's backbone weights.")
@click.option("--resolution", type=click.IntRange(min=2), default=64, show_default=True)
@click.option("--aux-resolution", type=click.IntRange(min=2), default=32, show_default=True)
@click.option("--aux-filter", type=click.Choice(["area", "nearest"]), default="area", show_default=True)
@click.option("--aux-loss", type=click.Choice(["proposal", "energy"]), default="proposal", show_default=True)
@click.option("--aux-features", type=click.IntRange(min=2), default=256, show_default=True)
@click.option("--checkpoint", type=ROOT, help="Auxiliary network to sample with, trained elsewhere.")
@click.option(
    "--lambda", "lam", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Of proposals."
)
@click.option("--grid", type=Grid(), default="8x8", show_default=True, help="Of the sampling tensors.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Of one random crop an image. Default: by data set."
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Adam's learning rate at the start. Default: by data set.",
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), help="Crops a step, all processes. Default: by resolution."
)
@click.option("--weight-decay", type=click.FloatRange(min=0), default=0.0, show_default=True)
@click.option(
    "--augment",
    multiple=True,
    metavar="KEY=NUMBER",
    help="Strength of flip, brightness, contrast or salt_and_pepper; 0 is off.",
)
@click.option(
    "--validate-every", type=click.IntRange(min=1), help="Epochs. Default: about 50 times in a run."
)
@click.option("--save-every", type=click.IntRange(min=1), default=500, show_default=True, help="Steps.")
@click.option("--tag", metavar="WORD", help="End of the run's name, to keep several apart.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Of forward passes. auto: bfloat16 on a GPU, float32 on a CPU.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Processes that read batches, where these do not fit in memory.",
)
@held_option
@click.option("--root", type=ROOT, help="Where the data set lies now, if it has moved.")
@click.option("--train-split", default="train", show_default=True)
@click.option("--val-split", default="val", show_default=True, help="Used if the workspace holds it.")
@overwrite_option
@dry_run_option
@workspace_option
def train(
    network: str | None,
    sampler: Any,
    architecture: str,
    pretrained: Path | None,
    resolution: int,
    aux_resolution: int,
    aux_filter: str,
    aux_loss: Any,
    aux_features: int,
    checkpoint: Path | None,
    lam: float,
    grid: tuple[int, int],
    seed: int,
    epochs: int | None,
    rate: float | None,
    batch_size: int | None,
    weight_decay: float,
    augment: tuple[str, ...],
    validate_every: int | None,
    save_every: int,
    tag: str | None,
    device: str,
    precision: Any,
    workers: int,
    dataset: str | None,
    root: Path | None,
    train_split: str,
    val_split: str,
    overwrite: bool,
    dry_run: bool,
    space: Workspace,
) -> None:
    """Train the auxiliary network on proposals, and a base network on what it samples.

    Samples what is missing, goes on where an earlier run stopped, and skips what is complete. Runs lie in
    the workspace, in DATASET/runs.

    \b
    Examples:
      adaprep train
      adaprep train --sampler uniform --resolution 128 --epochs 100
      adaprep train --network auxiliary --aux-loss energy --weight-decay 0.01 --augment contrast=0.4
      torchrun --nproc-per-node 4 -m cli train --base package.module:factory
    """
    from pipeline.train import settings

    settings.need_torch()
    from pipeline.report import console
    from pipeline.train import command, progress

    request = settings.Request(
        settings.chosen_networks(network, sampler),
        settings.Auxiliary(aux_resolution, aux_filter, grid, lam, aux_loss, aux_features),
        settings.Base(
            architecture, sampler, resolution, grid, lam, pretrained=str(pretrained) if pretrained else None
        ),
        seed,
        rate,
        epochs,
        batch_size,
        weight_decay,
        validate_every,
        settings.strengths(augment),
        checkpoint,
        tag,
        (train_split, val_split),
        device,
        precision,
        workers,
        save_every,
        overwrite,
    )
    if dry_run:
        for planned in command.plan(space, dataset, request, root):
            click.echo(planned.describe())
        return
    hooks = command.Hooks(
        console.listener,
        progress.listener,
        console.print_summary,
        lambda result: click.echo(result.describe()),
        click.echo,
    )
    finish(command.run(space, dataset, request, hooks, root))


@main.command("run")
@click.argument("path", type=ROOT, metavar="RECIPE.yaml")
@click.option(
    "--only", "only", multiple=True, metavar="STAGE", help="Only this stage; several times for several."
)
@click.option("--from", "first", metavar="STAGE", help="Only this stage and those after it.")
@click.option("--root", type=ROOT, help="Where the data set lies, in place of what the recipe says.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="In place of the recipe's.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    help="Of forward passes, in place of the recipe's.",
)
@click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ADAPREP_WORKSPACE",
    help="In place of the recipe's. Also: ADAPREP_WORKSPACE.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Networks trained at the same time, sharing the cores, and on a GPU each where there are several.",
)
@dry_run_option
def run_recipe(
    path: Path,
    only: tuple[str, ...],
    first: str | None,
    root: Path | None,
    device: str | None,
    precision: Precision | None,
    workspace: Path | None,
    jobs: int,
    dry_run: bool,
) -> None:
    """Do a whole experiment: every step that RECIPE.yaml comes to, from label maps to a report.

    What is done already is skipped, so that the same command goes on where it was stopped. Every step names
    the command that does it by hand. Recipes to start from are in workflows/, with a guide.

    \b
    Examples:
      adaprep run workflows/demo.yaml
      adaprep run workflows/camvid.yaml --root ~/camvid --dry-run
      adaprep run workflows/camvid.yaml --only boundaries --only solve-tensors
      adaprep run workflows/demo.yaml --from evaluate
    """
    from pipeline.recipes import plan, schema
    from pipeline.recipes import run as running

    recipe = schema.load(path, schema.Overrides(workspace, root, device, precision))
    every = plan.steps(recipe)
    chosen = plan.select(recipe, every, only, first)
    if dry_run:
        for planned in running.plan(recipe, chosen, every):
            click.echo(planned.describe())
        return
    finish(running.run(recipe, chosen, recipe_hooks(), jobs))


def recipe_hooks() -> Hooks:
    """What `adaprep run` prints: what each step's own command prints."""
    from pipeline.recipes.steps import Hooks
    from pipeline.report import bounds, console, evaluation
    from pipeline.train import progress

    return Hooks(
        click.echo,
        console.listener,
        progress.listener,
        console.print_summary,
        console.print_check,
        bounds.print_bounds,
        lambda result: click.echo(result.describe()),
        evaluation.print_evaluations,
    )


@main.command()
@click.argument("base", type=ROOT, required=False)
@click.option("--auxiliary", type=ROOT, help="Checkpoint of the network that says where BASE is sampled.")
@click.option("--baseline", type=ROOT, help="Base network of uniform samples to compare with.")
@click.option("--proposals", is_flag=True, help="Sample with the ground truth's own proposals: a reference.")
@click.option("--dataset", help="Name or YAML file. Default: the one in the workspace.")
@click.option("--root", type=ROOT, help="Where the data set lies.")
@click.option("--targets", help="Target classes by name, with commas.")
@click.option("--split", "splits", multiple=True, default=["val"], show_default=True)
@limit_option
@click.option("--overwrite", is_flag=True, help="Without BASE: measure again what was measured.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@json_option
@workspace_option
def evaluate(
    base: Path | None,
    auxiliary: Path | None,
    baseline: Path | None,
    proposals: bool,
    dataset: str | None,
    root: Path | None,
    targets: str | None,
    splits: tuple[str, ...],
    limit: int | None,
    overwrite: bool,
    device: str,
    as_json: bool,
    space: Workspace,
) -> None:
    """Score base networks at the full resolution of every image's central square.

    Without BASE: every trained base network in the workspace, uniform beside adaptive, seeds together; what
    is found is kept for adaprep report. With BASE, a checkpoint: that one; with --auxiliary and --proposals
    both are shown. See docs/evaluating.md for what each figure is.

    \b
    Examples:
      adaprep evaluate
      adaprep evaluate base.pt --auxiliary auxiliary.pt --baseline uniform.pt
      adaprep evaluate base.pt --auxiliary auxiliary.pt --proposals --limit 100 --json
    """
    from pipeline.train import settings

    settings.need_torch()
    from pipeline.options import open_held
    from pipeline.report import console, evaluation
    from pipeline.train import evaluate as stage
    from pipeline.train import evaluations
    from pipeline.train.processes import choose_device
    from pipeline.train.systems import open_systems

    place = choose_device(device)
    if base is None:
        if auxiliary or baseline or proposals or targets or limit:
            raise click.UsageError(
                "--auxiliary, --baseline, --proposals, --targets and --limit go with BASE, a checkpoint"
            )
        every = [
            evaluations.run_all(space, dataset, split, place, root, overwrite, console.listener())
            for split in splits
        ]
        if as_json:
            print_json([found for one in every for found in one.found])
        else:
            for one in every:
                evaluation.print_evaluations(one)
        finish(all(one.ok for one in every))
        return
    data, frames = open_held(dataset, root, targets, splits, space.path)
    systems, notes = open_systems(data, base, auxiliary, baseline, proposals, place)
    reports = [
        stage.run(data, split, found[:limit], systems, notes, console.listener())
        for split, found in frames.items()
    ]
    if as_json:
        print_json([report.as_dict() for report in reports])
    else:
        for report in reports:
            evaluation.print_evaluation(report)
    finish(all(report.ok for report in reports))


@main.command()
@held_option
@click.option("--root", type=ROOT, help="Where the data set lies now, if it has moved.")
@click.option("--split", default="val", show_default=True, help="That networks were evaluated on.")
@click.option("--output", "-o", type=ROOT, help="Folder. Default: WORKSPACE/DATASET/report.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@workspace_option
def report(
    dataset: str | None, root: Path | None, split: str, output: Path | None, device: str, space: Workspace
) -> None:
    """Write one HTML page with the paper's tables and figures for your data, and CSV and PNG beside it.

    It shows what the workspace holds: statistics, sampling pictures, upper bound, training, evaluations. What
    is missing is named with the command that makes it.

    \b
    Examples:
      adaprep report
      adaprep report --split test -o report
    """
    import importlib.util

    from pipeline.report import page

    examples = None
    data, frames = page.shown(space, dataset, split, root)
    if importlib.util.find_spec("torch") and importlib.util.find_spec("timm"):
        from pipeline.train import examples as stage
        from pipeline.train.processes import choose_device

        examples = stage.predict(space, data, frames, choose_device(device))
    click.echo(f"report: {page.write(space, dataset, split, output, examples, root)}")


@main.command()
@click.argument("images", nargs=-1, required=True, type=ROOT, metavar="IMAGE...")
@click.option("--checkpoint", type=ROOT, required=True, help="Base network.")
@click.option("--auxiliary", type=ROOT, help="Checkpoint of the network that says where it is sampled.")
@click.option("--output", "-o", "folder", type=ROOT, required=True, help="Folder for the results.")
@click.option("--dataset", help="YAML file of the data set it was trained on, if the workspace lacks it.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@workspace_option
def predict(
    images: tuple[Path, ...],
    checkpoint: Path,
    auxiliary: Path | None,
    folder: Path,
    dataset: str | None,
    device: str,
    space: Workspace,
) -> None:
    """Label images of any size, every pixel: FOLDER/labels/NAME.png and FOLDER/overlays/NAME.jpg.

    Label maps hold the data set's own ids. A file that cannot be read is listed, the rest goes on, and the
    exit status is 1.

    \b
    Examples:
      adaprep predict street.jpg --checkpoint base.pt --auxiliary auxiliary.pt -o predicted
      adaprep predict photos/*.jpg --checkpoint uniform.pt -o predicted --device cuda
    """
    from pipeline.train import settings

    settings.need_torch()
    from pipeline.report import console
    from pipeline.train import label_maps as stage
    from pipeline.train import systems
    from pipeline.train.processes import choose_device

    jobs = stage.plan(images, folder)
    base = systems.load_base(checkpoint)
    classes = stage.class_table(base, dataset, space)
    system, notes = systems.open_system(base, auxiliary, choose_device(device))
    for note in notes:
        click.echo(f"note: {note}", err=True)
    summary = stage.run(system, jobs, classes, console.listener())
    console.print_summary(summary, folder)
    finish(summary.ok)


@main.command()
@click.argument("image")
@held_options
@click.option("--lambda", "lambdas", type=Numbers(), multiple=True, default=["1"], show_default=True)
@click.option("--grid", type=Grid(), default="8x8", show_default=True)
@click.option("--resize", type=click.IntRange(min=2), help="Also show the tensor resized to N x N (Fig. 5).")
@click.option("--sampled", type=click.IntRange(min=2), help="Show instead what N x N samples keep, and lose.")
@click.option("--crop", type=click.IntRange(min=0), default=0, show_default=True, help="Which crop.")
@click.option("--crops", type=click.IntRange(min=1), default=1, show_default=True, help="Of how many.")
@click.option("--labels", is_flag=True, help="Show class colours in place of the image.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Default: NAME.png.")
def show(
    image: str,
    held: tuple[Dataset, dict[str, list[Frame]]],
    lambdas: tuple[list[float], ...],
    grid: tuple[int, int],
    resize: int | None,
    sampled: int | None,
    crop: int,
    crops: int,
    labels: bool,
    output: Path | None,
) -> None:
    """Draw target boundaries and sample points of IMAGE: a number, a path, or a part of its name.

    \b
    Examples:
      adaprep show 0
      adaprep show 0016E5_08159 --lambda 0.1,1,10 --resize 32 -o points.png
      adaprep show 0016E5_08159 --sampled 64 -o kept.png
    """
    from pipeline.report import reconstruction
    from pipeline.report import show as report
    from pipeline.stages.inputs import find_frame

    data, frames = held
    frame = find_frame([f for found in frames.values() for f in found], image)
    path = output or Path(f"{Path(frame.name).name}.png")
    scene = report.load_scene(data, frame, grid, crop, crops, labels)
    if sampled:
        reconstruction.draw(data, scene, path, grid, flat(lambdas)[0], sampled)
    else:
        report.draw_points(data, scene, path, flat(lambdas), grid, resize)
    click.echo(f"{frame.name}: {path}")


@main.command()
@click.option("--dataset", help="Only this data set.")
@click.option("--failures", is_flag=True, help="List every file that failed, with its reason.")
@json_option
@workspace_option
def status(dataset: str | None, failures: bool, as_json: bool, space: Workspace) -> None:
    """Say what the workspace holds, with which parameters, how complete."""
    from pipeline.report import console
    from pipeline.stages import status as stage

    rows = stage.run(space, dataset)
    failed = stage.failures(space, dataset)
    if as_json:
        print_json({"stores": [row.as_dict() for row in rows], "failures": failed})
    else:
        console.print_status(rows)
        if failures:
            console.print_known_failures(failed)
    finish(not any(row.damaged for row in rows))


@main.command()
@held_option
@click.option("--root", type=ROOT, help="Where the data set lies now, if it has moved.")
@split_option
@click.option(
    "--sample", type=click.IntRange(min=1), default=20, show_default=True, help="Images done again."
)
@click.option("--all", "everything", is_flag=True, help="Do every image again.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random sample.")
@click.option(
    "--repair", is_flag=True, help="Read every chunk; blocks with a damaged one become to do again."
)
@json_option
@workspace_option
def verify(
    dataset: str | None,
    root: Path | None,
    splits: tuple[str, ...],
    sample: int,
    everything: bool,
    seed: int,
    repair: bool,
    as_json: bool,
    space: Workspace,
) -> None:
    """Hold the stores against the sources and the definitions, by other means than they were made.

    A random sample of images is done again from the label maps; constraints, range, minimum and folded
    cells are checked on all. With --all every chunk is read too.
    """
    from pipeline.report import console
    from pipeline.stages import verify as stage

    count = None if everything else sample
    results = {f.title: stage.run(f, count, seed, root, repair) for f in space.folders(dataset, splits)}
    if as_json:
        print_json({title: [f.as_dict() for f in found] for title, found in results.items()})
    else:
        for title, found in results.items():
            console.print_findings(title, found)
    finish(all(f.ok for found in results.values() for f in found))


if __name__ == "__main__":
    main()
