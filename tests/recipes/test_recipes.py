"""`adaprep run`: what recipes may say, the steps that they come to, doing them once, twice, and in part."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import cli
from pipeline.errors import AdaprepError
from pipeline.geometry.crops import WHOLE
from pipeline.recipes import plan, schema, trainings
from pipeline.recipes.recipe import Overrides
from pipeline.recipes.steps import Train
from pipeline.train import settings
from pipeline.workspace import results, stores
from tests import processes
from tests.conftest import tree

MakeBlobs = Callable[..., Path]

WORKFLOWS = sorted((Path(__file__).parents[2] / "workflows").glob("*.yaml"))

OF_KNOWN_DATA = [path for path in WORKFLOWS if "dataset: workflows/" not in path.read_text(encoding="utf-8")]
"""The others' data sets are known by name in their workspaces alone."""

TINY = """\
dataset: {yaml}
workspace: {space}
device: cpu
grid: 4
check: {{limit: 3}}
upper_bound: {{resolutions: [8]}}
auxiliary: {{resolution: 16, features: 8, rate: 1e-3, epochs: 2, batch_size: 4}}
base:
  architecture: tests.train.test_fit:tiny
  rate: 1e-3
  epochs: 2
  batch_size: 4
  resolutions:
    8: {{samplers: [uniform, auxiliary], seeds: [0, 1]}}
    16: {{epochs: 1, samplers: [proposal]}}
"""

FEWER_NETWORKS = "    8: {samplers: [uniform, auxiliary: {seeds: [0, 1]}]}\n"
"""Five in place of seven."""

WHOLE_NETWORKS = """\
base:
  architecture: tests.train.test_fit:tiny
  epochs: 1
  batch_size: 4
  samplers: [uniform, auxiliary]
  resolutions: [8]
"""

TINY_TITLES = [
    "check train",
    "check val",
    "boundaries train",
    "boundaries val",
    "solve-tensors train",
    "solve-tensors val",
    "upper-bound val",
    "train auxiliary-16-4x4-features8-seed0",
    "train auxiliary-16-4x4-features8-seed1",
    "train base-tests.train.test_fit-tiny-uniform-8-seed0",
    "train base-tests.train.test_fit-tiny-auxiliary16-8-4x4-seed0",
    "train base-tests.train.test_fit-tiny-uniform-8-seed1",
    "train base-tests.train.test_fit-tiny-auxiliary16-8-4x4-seed1",
    "train base-tests.train.test_fit-tiny-proposal-16-4x4-seed0",
    "evaluate val",
    "report val",
]


@pytest.fixture
def tiny(make_blobs: MakeBlobs, tmp_path: Path) -> Path:
    """A recipe that takes seconds, of a data set of its own."""
    return write(tmp_path, TINY.format(yaml=make_blobs(train=8, val=3), space=tmp_path / "w"))


def use_fewer_networks(recipe: Path) -> None:
    """For where each network starts Python."""
    head, key, _ = recipe.read_text().partition("  resolutions:\n")
    recipe.write_text(head + key + FEWER_NETWORKS)


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def run(*args: object) -> Result:
    result = CliRunner().invoke(cli.main, ["run", *map(str, args)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def call(*args: object) -> subprocess.CompletedProcess[str]:
    """In a process of its own."""
    return processes.run(args)


def titles(path: Path, **chosen: Any) -> list[str]:
    recipe = schema.load(path)
    return [step.title for step in plan.select(recipe, plan.steps(recipe), **chosen)]


def needs_torch() -> None:
    pytest.importorskip("torch")


def test_a_recipe_comes_to_its_steps_in_order(tiny: Path) -> None:
    assert titles(tiny) == TINY_TITLES


def test_from_nothing_to_evaluations_and_then_nothing_is_done_again(tiny: Path, tmp_path: Path) -> None:
    needs_torch()
    first = run(tiny)
    assert first.exit_code == 0, first.output
    space = stores.Workspace(tmp_path / "w")
    assert len(results.evaluations(space, "blobs", "val")) == 5
    bound = results.upper_bound(space, "blobs", "val")
    assert bound is not None
    assert bound["images"] == 3
    assert f"report: {space.path / 'blobs' / 'report' / 'index.html'}" in first.output
    before = tree(space.path)
    again = run(tiny)
    assert again.exit_code == 0, again.output
    assert again.output.count("done before") == len(TINY_TITLES)
    assert tree(space.path) == before


@pytest.mark.parametrize(("size", "crops"), [((40, 56), ""), ((20, 130), "crops: 7\n")])
def test_a_recipe_for_whole_images_trains_and_measures_them(
    make_blobs: MakeBlobs, tmp_path: Path, size: tuple[int, int], crops: str
) -> None:
    needs_torch()
    text = TINY.format(yaml=make_blobs(train=6, val=3, size=size), space=tmp_path / "w")
    recipe = write(tmp_path, text.split("base:")[0] + "whole_image: true\n" + crops + WHOLE_NETWORKS)
    first = run(recipe)
    assert first.exit_code == 0, first.output
    space = stores.Workspace(tmp_path / "w")
    assert {kept["run"] for kept in results.evaluations(space, "blobs", "val", region=WHOLE)} == {
        "base-tests.train.test_fit-tiny-auxiliary16-8-4x4-whole-seed0",
        "base-tests.train.test_fit-tiny-uniform-8-whole-seed0",
    }
    assert results.evaluations(space, "blobs", "val") == []
    again = run(recipe)
    assert again.exit_code == 0, again.output
    assert again.output.count("done before") == len(titles(recipe))


def test_an_interrupted_recipe_goes_on_where_it_was(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_torch()
    done = Train.run

    def interrupted(step: Train) -> bool:
        if step.request.seed == 1:
            raise KeyboardInterrupt
        return done(step)

    monkeypatch.setattr(Train, "run", interrupted)
    first = run(tiny)
    assert first.exit_code == 130
    assert "run the same command again to resume" in first.output
    monkeypatch.setattr(Train, "run", done)
    planned = run(tiny, "--dry-run").output
    assert "done   train auxiliary-16-4x4-features8-seed0\n" in planned
    assert "to do  train auxiliary-16-4x4-features8-seed1\n" in planned
    again = run(tiny)
    assert again.exit_code == 0, again.output
    assert again.output.count("done before") == TINY_TITLES.index("train auxiliary-16-4x4-features8-seed1")
    assert len(results.evaluations(stores.Workspace(tmp_path / "w"), "blobs", "val")) == 5


def test_a_dry_run_names_states_and_commands_and_writes_nothing(tiny: Path, tmp_path: Path) -> None:
    needs_torch()
    before = tree(tmp_path)
    planned = run(tiny, "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert planned.output.count("to do ") >= len(TINY_TITLES)
    assert (
        f"to do  solve-tensors val\n       adaprep solve-tensors --dataset blobs --split val "
        f"--workspace {tmp_path / 'w'}\n"
    ) in planned.output
    assert tree(tmp_path) == before


def test_only_and_from_choose_stages(tiny: Path, tmp_path: Path) -> None:
    assert titles(tiny, only=("boundaries", "upper-bound")) == [
        "boundaries train",
        "boundaries val",
        "upper-bound val",
    ]
    assert titles(tiny, first="train") == titles(tiny)[TINY_TITLES.index("upper-bound val") + 1 :]
    first = run(tiny, "--only", "boundaries")
    assert first.exit_code == 0, first.output
    assert "[2/2] boundaries val" in first.output
    assert not (tmp_path / "w" / "blobs" / "train" / "tensors").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--only", "boundary"),
            "--only boundary: no such stage; did you mean 'boundaries'? The stages are: generate, check, "
            "boundaries, solve-tensors, upper-bound, train, evaluate, report",
        ),
        (("--from", "x"), "--from x: no such stage. The stages are: generate, check, boundaries,"),
        (("--only", "generate"), "recipe.yaml has no such step; its stages are: check, boundaries,"),
        (("--root", "/nowhere"), "--root /nowhere: no such folder. It must hold the data set "),
    ],
)
def test_options_that_make_no_sense(tiny: Path, options: tuple[str, ...], said: str) -> None:
    result = run(tiny, *options)
    assert result.exit_code == 1
    assert said in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": is empty; workflows/README.md says what belongs in it"),
        ("base: {resolutions: [32]}\n", ", line 1: missing key 'dataset'"),
        (
            "dataset: {yaml}\nbsae:\n  epochs: 3\n",
            ", line 2: bsae: unknown key; did you mean 'base'? Known here: dataset, root, workspace, ",
        ),
        (
            "dataset: {yaml}\nbase:\n  resolutions: [32]\n  epoch: 3\n",
            ", line 4: base.epoch: unknown key; did you mean 'epochs'? Known here: ",
        ),
        (
            "dataset: {yaml}\nbase:\n  resolutions: [32]\n  epochs: many\n",
            ", line 4: base.epochs: must be a whole number in 1..1000000000, found 'many'",
        ),
        (
            "dataset: {yaml}\nbase:\n  resolutions: [32]\n  rate: 0\n",
            ", line 4: base.rate: must be a number above 0, found 0",
        ),
        (
            "dataset: {yaml}\nbase:\n  resolutions: [32]\n  rate: quick\n",
            ", line 4: base.rate: must be a number of at least 0, found 'quick'",
        ),
        (
            "dataset: {yaml}\nbase:\n  resolutions: [32]\n  samplers: [unifrom]\n",
            ", line 4: base.samplers[0]: must be one of uniform, auxiliary, proposal, mean, found 'unifrom'; "
            "did you mean 'uniform'?",
        ),
        (
            "dataset: {yaml}\nbase:\n  resolutions: [32]\n  architecture: unett\n",
            ", line 4: base.architecture: must be one of unet, pspnet, deeplabv3plus, "
            "efficientnet-lite0, LIBRARY:NAME, package.module:factory, found 'unett'; did you mean 'unet'?",
        ),
        (
            "dataset: {yaml}\nbase:\n  resolutions: [32]\n  pretrained: /no/weights.pt\n",
            ", line 4: base.pretrained: no such file: /no/weights.pt",
        ),
        (
            "dataset: {yaml}\nbase:\n  resolutions: 32\n",
            ", line 3: base.resolutions: must be a list such as [32, 64], or resolutions as keys, such as "
            "32: {epochs: 100}",
        ),
        (
            "dataset: {yaml}\nbase:\n  resolutions:\n    large: {epochs: 3}\n",
            ", line 4: base.resolutions.large: must be a whole number in 2..8192, found 'large'",
        ),
        (
            "dataset: {yaml}\nbase:\n  resolutions:\n    32: {epochs: 0}\n",
            ", line 4: base.resolutions.32.epochs: must be a whole number in 1..1000000000, found 0",
        ),
        ("dataset: {yaml}\nbase: {epochs: 3}\n", ", line 2: base: missing key 'resolutions'"),
        ("dataset: {yaml}\nbase: {resolutions: []}\n", "base.resolutions: must not be an empty list"),
        (
            "dataset: {yaml}\nauxiliary: {loss: energi}\n",
            ", line 2: auxiliary.loss: must be one of proposal, energy, found 'energi'; "
            "did you mean 'energy'?",
        ),
        (
            "dataset: {yaml}\nauxiliary: {augment: {flips: 1}}\n",
            ", line 2: auxiliary.augment.flips: unknown key; did you mean 'flip'? "
            "Known here: flip, brightness, contrast, salt_and_pepper",
        ),
        (
            "dataset: {yaml}\ngrid: 1x8\n",
            ", line 2: grid: must be a grid such as 8 or 8x8 (height x width), at least 2x2, found '1x8'",
        ),
        (
            "dataset: {yaml}\nlambda: -1\n",
            ", line 2: lambda: must be a number of at least 0, found -1",
        ),
        (
            "dataset: {yaml}\nroot: /no/where\n",
            ", line 2: root: no such folder: /no/where. "
            "Fix it, or give the folder of the data with --root FOLDER.",
        ),
        (
            "dataset: {yaml}\ntrain_split: learn\n",
            ", line 2: train_split: blobs has no split 'learn'; it has: train, val",
        ),
        (
            "dataset: {yaml}\nevaluate: [val]\n",
            ", line 2: evaluate: there is no base network to evaluate: add the section base",
        ),
        (
            "dataset: {yaml}\ntargets: [tree]\n",
            ", line 2: targets: no class named 'tree' to make a target of; "
            "the classes are: ground, blob, stick",
        ),
        (
            "dataset: {yaml}\ngenerate: {train: 3}\n",
            ", line 2: generate: only the data set demo is generated",
        ),
        (
            "dataset: {yaml}\nval_split: val\nbase: {resolutions: [8], patience: some}\n",
            ", line 3: base.patience: must be a whole number in 0..1000000000, found 'some'",
        ),
        ("dataset: {yaml}\nreport: maybe\n", ", line 2: report: must be true or false, found 'maybe'"),
        ("dataset: camvit\n", ", line 1: dataset: no data set 'camvit'; did you mean 'camvid'?"),
        ("dataset: camvid\n", ", line 1: dataset: camvid: not found. Looked for the folders\n"),
    ],
)
def test_recipes_that_make_no_sense(
    make_blobs: MakeBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, text.replace("{yaml}", str(make_blobs())))
    with pytest.raises(AdaprepError) as error:
        schema.load(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert said in message


def test_patience_needs_a_split_to_validate_on(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs()
    yaml.write_text(yaml.read_text().replace("  val: {images: images/val, labels: labels/val}\n", ""))
    path = write(tmp_path, f"dataset: {yaml}\nbase: {{resolutions: [8], patience: 2}}\n")
    with pytest.raises(AdaprepError, match="line 2: base: patience counts validations, and blobs has no spl"):
        schema.load(path)
    write(tmp_path, path.read_text().replace(", patience: 2", ""))
    assert schema.load(path).trainings


def test_all_mistakes_of_a_recipe_are_named_each_with_its_line(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    text = f"""\
dataset: {make_blobs()}
device: gpu
tag: a/b
crops: 2
targets: [tree]
auxiliary: {{learning_rate: 0}}
base:
  epoch: 3
  samplers: [unifrom]
  resolutions:
    32: {{epochs: 0}}
evaluate: [test]
"""
    path = write(tmp_path, text)
    with pytest.raises(AdaprepError) as error:
        schema.load(path)
    said = [line.removeprefix(f"{path}, ") for line in str(error.value).splitlines()]
    begun = (
        "line 2: device: must be auto, cpu, cuda, cuda:N or mps, found 'gpu'",
        "line 3: tag: the tag 'a/b' cannot be used: it holds '/'",
        "line 4: crops: must be odd where networks are trained, found 2",
        "line 5: targets: no class named 'tree' to make a target of",
        "line 6: auxiliary.learning_rate: must be a number above 0, found 0",
        "line 8: base.epoch: unknown key; did you mean 'epochs'?",
        "line 9: base.samplers[0]: must be one of uniform, auxiliary, proposal, mean, found 'unifrom'",
        "line 11: base.resolutions.32.epochs: must be a whole number in 1..1000000000, found 0",
        "line 12: evaluate[0]: blobs has no split 'test'; it has: train, val",
    )
    assert len(said) == len(begun)
    assert all(line.startswith(start) for line, start in zip(said, begun, strict=True)), said


def test_an_older_key_works_with_a_note_and_not_beside_the_new_one(tiny: Path) -> None:
    recipe = schema.load(tiny)
    assert {request.rate for request in recipe.trainings} == {1e-3}
    assert recipe.notes == (
        f"note: {tiny}, line 7: rate is now called learning_rate; the old name goes away",
    )
    tiny.write_text(tiny.read_text().replace("  rate: 1e-3\n", "  learning_rate: 1e-3\n  rate: 1e-3\n"))
    with pytest.raises(AdaprepError, match=r"base\.rate: this key was given before, as learning_rate"):
        schema.load(tiny)


@pytest.mark.slow
def test_a_file_that_cannot_be_read_is_listed_and_the_rest_goes_on(tiny: Path, make_blobs: MakeBlobs) -> None:
    needs_torch()
    label = make_blobs(train=8, val=3).parent / "labels" / "train" / "0001.png"
    label.write_bytes(b"")
    result = run(tiny)
    assert result.exit_code == 1
    assert f"{label}: empty file (0 bytes)" in result.output
    assert "evaluate val" in result.output


def test_a_step_that_cannot_go_on_names_itself_and_how_to_go_on(tiny: Path) -> None:
    assert run(tiny, "--only", "boundaries").exit_code == 0
    tiny.write_text(tiny.read_text().replace("grid: 4", "grid: 5"))
    result = run(tiny, "--only", "boundaries")
    assert result.exit_code == 1
    assert f"Error: {tiny}, step 1 of 2, boundaries train: boundaries of blobs/train: " in result.output
    assert "grid: [4, 4] in the store, [5, 5]" in result.output
    assert result.output.endswith(
        "What is finished is kept: fix this, then run the recipe again, and it goes on here.\n"
    )


def test_a_network_that_cannot_be_made_is_named_before_anything_is_done(tiny: Path, tmp_path: Path) -> None:
    needs_torch()
    tiny.write_text(tiny.read_text().replace("test_fit:tiny", "test_fit:huge"))
    result = run(tiny)
    assert result.exit_code == 1
    assert f"{tiny}, base.architecture: tests.train.test_fit:huge: " in result.output
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (
            "own:narrow",
            "base.resolutions: own:narrow cannot be applied to images of 16 x 16 pixels: RuntimeError",
        ),
        (
            "own:failing",
            "base.resolutions: own:failing cannot be applied to images of 8 x 8 pixels: IndexError",
        ),
    ],
)
def test_a_network_that_does_not_take_a_resolution_is_named_before_anything_is_done(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str, said: str
) -> None:
    needs_torch()
    (tmp_path / "own.py").write_text(
        "import torch\n"
        "class Narrow(torch.nn.Conv2d):\n"
        "    def forward(self, x):\n"
        "        if x.shape[-1] == 16: raise RuntimeError('not 16')\n"
        "        return super().forward(x)\n"
        "class Failing(torch.nn.Conv2d):\n"
        "    def forward(self, x):\n"
        "        if x.shape[-1] == 8: raise IndexError('not 8')\n"
        "        return super().forward(x)\n"
        "def narrow(classes): return Narrow(3, classes, 1)\n"
        "def failing(classes): return Failing(3, classes, 1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own", raising=False)
    tiny.write_text(tiny.read_text().replace("tests.train.test_fit:tiny", network))
    result = run(tiny)
    assert result.exit_code == 1
    assert f"{tiny}, {said}" in result.output
    assert not (tmp_path / "w").exists()


def test_a_split_without_images_is_named_before_anything_is_done(tiny: Path, tmp_path: Path) -> None:
    yaml = tmp_path / "blobs.yaml"
    text = next(p for p in tmp_path.rglob("*.yaml") if p != tiny).read_text()
    yaml.write_text(text + "  spare: {images: none, labels: none}\n")
    tiny.write_text(f"dataset: {yaml}\nworkspace: {tmp_path / 'w'}\nval_split: spare\n")
    result = run(tiny)
    assert result.exit_code == 1
    assert f"{tiny}, the split " in result.output
    assert "splits.train.images: there is no 'images' in" in result.output
    assert not (tmp_path / "w").exists()


def test_options_stand_for_what_the_recipe_says(tiny: Path, tmp_path: Path) -> None:
    tiny.write_text(tiny.read_text().replace("  rate: 1e-3\n", "  rate: 1e-3\n  precision: float32\n"))
    recipe = schema.load(tiny, Overrides(tmp_path / "other", tmp_path, "auto", "bfloat16"))
    assert recipe.workspace == tmp_path / "other"
    assert recipe.dataset.root == tmp_path
    assert recipe.device == "auto"
    assert all(request.device == "auto" for request in recipe.trainings)
    assert all(request.precision == "bfloat16" for request in recipe.trainings)


def test_precision_is_of_all_networks_but_those_that_say_another(tiny: Path) -> None:
    text = tiny.read_text().replace("device: cpu\n", "device: cpu\nprecision: bfloat16\n")
    tiny.write_text(text.replace("16: {epochs: 1,", "16: {epochs: 1, precision: float32,"))
    precisions = [request.precision for request in schema.load(tiny).trainings]
    assert precisions == ["bfloat16"] * 6 + ["float32"]


def test_several_processes_only_train(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = run(tiny)
    assert result.exit_code == 1
    assert (
        "several processes together can only train, and the first step is check train. Run:" in result.output
    )
    assert (
        f"  adaprep run {tiny} --only check --only boundaries --only solve-tensors --only upper-bound\n"
        f"  torchrun --nproc-per-node 2 -m adaprep run {tiny} --only train\n"
    ) in result.output


@pytest.mark.slow
def test_processes_train_one_network_after_the_other_together(tiny: Path, tmp_path: Path) -> None:
    needs_torch()
    assert run(tiny, "--only", "boundaries", "--only", "solve-tensors").exit_code == 0
    done = processes.together(["run", tiny, "--only", "train"])
    assert [one.returncode for one in done] == [0, 0], done
    assert sum(one.stdout.count("[7/7]") for one in done) == 1
    runs = results.complete_runs(stores.Workspace(tmp_path / "w"), "blobs")
    assert len(runs) == 7
    assert run(tiny, "--only", "train").output.count("done before") == 7


@pytest.mark.slow
def test_side_by_side_one_that_cannot_go_on_stops_the_rest_and_all_have_the_weights_of_one_after_the_other(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_torch()
    use_fewer_networks(tiny)
    monkeypatch.setenv("PYTHONPATH", str(Path(cli.__file__).parent))  # the network of the tests
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    only = ("--only", "boundaries", "--only", "solve-tensors", "--only", "train")
    blocked = tmp_path / "w" / "blobs" / "runs" / "auxiliary-16-4x4-features8-seed1"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("no folder")
    stopped = run(tiny, *only, "--jobs", "2")
    assert stopped.exit_code == 1
    assert f"{tiny}, training: train {blocked.name} failed, for the reason printed above" in stopped.output
    assert str(blocked) in stopped.output
    assert "then run the recipe again, and it goes on here" in stopped.output
    done = len(results.complete_runs(stores.Workspace(tmp_path / "w"), "blobs"))
    assert done < 5
    blocked.unlink()

    at_once = run(tiny, *only, "--jobs", "3")
    assert at_once.exit_code == 0, at_once.output
    assert at_once.output.count("best at epoch") == 5 - done
    begun = [at_once.output.index(title) for title in titles(tiny) if title.startswith("train ")]
    assert begun[0] < begun[1] < begun[2], "the auxiliary networks come first"
    again = run(tiny, "--only", "train", "--jobs", "3")
    assert again.output.count("done before") == 5
    other = tmp_path / "other"
    assert call(*("run", tiny, "--workspace", other), *only).returncode == 0
    for path in results.complete_runs(stores.Workspace(tmp_path / "w"), "blobs"):
        weights = [
            json.loads((space / "blobs" / "runs" / path.name / "result.json").read_text())["weights"]
            for space in (tmp_path / "w", other)
        ]
        assert weights[0] == weights[1], path.name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_recipes_that_come_along_make_sense(path: Path, tmp_path: Path) -> None:
    recipe = schema.load(path, Overrides(root=tmp_path))
    steps = plan.steps(recipe)
    assert len({step.title for step in steps}) == len(steps)
    known = {step.title for step in steps}
    assert all(set(step.needs) <= known for step in steps)
    samplers = {r.base.sampler for r in recipe.trainings if r.networks == ("base",)}
    assert {"uniform", "auxiliary"} <= samplers


@pytest.mark.parametrize(
    ("name", "resolutions", "auxiliary", "rate", "epochs"),
    [
        ("apolloscape", [32, 64, 128, 256, 512], [16] * 5, 1e-5, 33),
        ("cityscapes-pspnet", [64, 128, 256], [32] * 3, 1e-4, 200),
        ("cityscapes-deeplabv3plus", [160, 192, 224], [32] * 3, 1e-4, 200),
        ("synthia", [32, 64, 128, 256], [16, 32, 64, 128], 1e-4, 500),
        ("supervisely", [16, 32, 64, 128, 256], [16, 16, 32, 64, 64], 1e-4, 1000),
    ],
)
def test_recipes_say_what_the_paper_says(
    tmp_path: Path, name: str, resolutions: list[int], auxiliary: list[int], rate: float, epochs: int
) -> None:
    path = next(p for p in WORKFLOWS if p.stem == name)
    recipe = schema.load(path, Overrides(root=tmp_path))
    adaptive = [r for r in recipe.trainings if r.networks == ("base",) and r.base.sampler == "auxiliary"]
    assert [r.base.resolution for r in adaptive] == resolutions
    assert [r.auxiliary.resolution for r in adaptive] == auxiliary
    assert {(r.rate, r.epochs) for r in adaptive} == {(rate, epochs)}
    if name != "cityscapes-deeplabv3plus":
        assert [r.batch_size for r in adaptive] == [settings.BATCH_SIZES[r] for r in resolutions]
    assert (recipe.grid, recipe.lam) == ((8, 8), 1.0)


@pytest.mark.parametrize("path", OF_KNOWN_DATA, ids=lambda path: path.stem)
def test_the_printed_train_command_asks_for_the_same(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_torch()
    from pipeline.train import command

    asked: list[settings.Request] = []

    def capture(space: Any, dataset: Any, request: settings.Request, hooks: Any, root: Any) -> bool:
        asked.append(request)
        return True

    monkeypatch.setattr(command, "run", capture)
    recipe = schema.load(path, Overrides(tmp_path / "a space", tmp_path, "cpu"))
    wanted = [step for step in plan.steps(recipe) if isinstance(step, Train)]
    for step in wanted:
        result = CliRunner().invoke(cli.main, shlex.split(step.command)[1:])
        assert result.exit_code == 0, result.output
    assert asked == [step.request for step in wanted]


def test_the_example_in_the_guide_makes_sense_and_names_every_key(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    guide = (WORKFLOWS[0].parent / "README.md").read_text(encoding="utf-8")
    text = guide.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "weights.pt").touch()
    for said, here in {
        "dataset: my-data.yaml": f"dataset: {make_blobs()}",
        "root: /data/mine": f"root: {tmp_path / 'blobs'}",
        "[car, person]": "[blob]",
        "settings: {seed: 0}": "settings: {}",
        "weights.pt": str(tmp_path / "weights.pt"),
        "generate:": "# generate:",
    }.items():
        assert said in text
        text = text.replace(said, here)
    recipe = schema.load(write(tmp_path, text))
    assert len(recipe.trainings) == 4 + 3 * 3 + 3
    keys = (*schema.PLACES, *schema.SAMPLING, *schema.STEPS, *trainings.SCHEDULE)
    assert all(f"{key}:" in text for key in keys)


def test_the_auxiliary_network_may_learn_from_a_lambda_of_its_own(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    text = (
        f"dataset: {make_blobs()}\nworkspace: {tmp_path / 'w'}\nauxiliary: {{lambda: 0.5}}\n"
        "base: {resolutions: [8]}\n"
    )
    recipe = schema.load(write(tmp_path, text))
    assert recipe.lambdas == [1.0, 0.5]
    lambdas = {
        r.base.sampler: (r.base.lam, r.auxiliary.lam) for r in recipe.trainings if "base" in r.networks
    }
    assert lambdas == {"uniform": (1.0, 1.0), "auxiliary": (0.5, 0.5), "proposal": (1.0, 1.0)}
    result = run(tmp_path / "recipe.yaml", "--only", "boundaries", "--only", "solve-tensors")
    assert result.exit_code == 0, result.output
    stores_made = sorted(p.name for p in (tmp_path / "w" / "blobs" / "train" / "tensors").iterdir())
    assert stores_made == ["8x8-lambda0.5.zarr", "8x8-lambda1.zarr"]


def test_a_sampler_may_have_settings_of_its_own(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    text = (
        f"dataset: {make_blobs()}\n"
        "base:\n"
        "  resolutions: [8]\n"
        "  epochs: 3\n"
        "  samplers: [uniform, uniform: {filter: area}, mean: {seeds: [1], epochs: 4}]\n"
    )
    found = schema.load(write(tmp_path, text)).trainings
    assert [(r.base.sampler, r.base.filter, r.seed, r.epochs) for r in found] == [
        ("uniform", "nearest", 0, 3),
        ("uniform", "area", 0, 3),
        ("mean", "nearest", 1, 4),
    ]
    assert [r.run_name("base") for r in found][:2] == [
        "base-unet-uniform-8-seed0",
        "base-unet-uniform-8-area-seed0",
    ]


@pytest.mark.parametrize(
    ("samplers", "said"),
    [
        ("[uniform: {fliter: area}]", "base.samplers[0].uniform.fliter: unknown key; did you mean 'filter'?"),
        (
            "[uniform: {filter: box}]",
            "base.samplers[0].uniform.filter: must be one of area, nearest, found 'box'",
        ),
        ("[unifrom: {}]", "base.samplers[0].unifrom: must be one of uniform"),
        (
            "[uniform, uniform: {epochs: 9}]",
            "two different networks would be the run base-unet-uniform-8-seed0",
        ),
    ],
)
def test_what_a_sampler_cannot_have_is_named(
    make_blobs: MakeBlobs, tmp_path: Path, samplers: str, said: str
) -> None:
    text = f"dataset: {make_blobs()}\nbase:\n  resolutions: [8]\n  samplers: {samplers}\n"
    with pytest.raises(AdaprepError, match=re.escape(said)):
        schema.load(write(tmp_path, text))


def test_preparing_needs_no_torch(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    result = run(tiny, "--only", "boundaries", "--only", "solve-tensors", "--only", "upper-bound")
    assert result.exit_code == 0, result.output


def test_every_printed_option_is_one(tiny: Path) -> None:
    recipe = schema.load(tiny)
    for step in plan.steps(recipe):
        _, name, *options = shlex.split(step.command)
        known = {option for parameter in cli.main.commands[name].params for option in parameter.opts}
        assert {o.split("=")[0] for o in options if o.startswith("--")} <= known


def test_names_of_networks_and_augmentations_are_those_of_the_trainer() -> None:
    needs_torch()
    from pipeline.networks.factory import ARCHITECTURES
    from pipeline.train.data import Augmentation

    assert tuple(ARCHITECTURES) == trainings.NETWORKS
    assert tuple(f.name for f in fields(Augmentation)) == trainings.AUGMENTATIONS


def test_networks_of_other_libraries_and_their_weights_are_named_as_in_train(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    needs_torch()
    from pipeline.networks import auxiliary, libraries
    from pipeline.settings import entries
    from pipeline.train import settings

    text = (
        "dataset: {yaml}\nworkspace: {space}\nauxiliary: {{encoder: efficientnet-lite0, head: solver}}\n"
        "base:\n  resolutions: [32]\n  samplers: [auxiliary]\n  architecture: {name}\n"
        "  pretrained: {weights}\n"
    )
    yaml = make_blobs(train=4, val=1)
    for name, weights in (("hf:/some/folder", "none"), ("smp:Unet:tu-resnet18.a1_in1k", "imagenet")):
        filled = text.format(yaml=yaml, space=tmp_path / "w", name=name, weights=weights)
        recipe = schema.load(write(tmp_path, filled))
        first, second = recipe.trainings
        assert (first.auxiliary.encoder, first.auxiliary.head) == ("efficientnet-lite0", "solver")
        assert (second.base.architecture, second.base.pretrained) == (name, weights)
    assert tuple(libraries.LIBRARIES) == settings.PREFIXES
    assert {libraries.IMAGENET, *libraries.RANDOM} == {*settings.WEIGHTS, None}
    encoder = next(e for e in entries(settings.Auxiliary) if e.name == "encoder")
    assert encoder.setting.choices == auxiliary.ENCODERS


def test_a_fixed_warp_may_have_a_lambda_of_its_own(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    base = "base: {samplers: [mean, mean: {lambda: 1}, auxiliary], resolutions: [8]}"
    text = f"dataset: {make_blobs(train=4, val=2)}\nlambda: 0.5\n{base}\n"
    path.write_text(text, encoding="utf-8")
    recipe = schema.load(path)
    bases = [r.base for r in recipe.trainings if r.networks == ("base",)]
    assert [(base.sampler, base.lam) for base in bases] == [("mean", 0.5), ("mean", 1.0), ("auxiliary", 0.5)]
    assert recipe.lambdas == [0.5, 1.0]
    (solving,) = {step.command for step in plan.steps(recipe) if step.title == "solve-tensors train"}
    assert "--lambda 0.5,1" in solving


def test_a_lambda_more_makes_nothing_to_do_again(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    text = (
        f"dataset: {make_blobs(train=4, val=2)}\nworkspace: {tmp_path / 'w'}\ngrid: 4\n"
        "base: {architecture: tests.train.test_fit:tiny, epochs: 1, batch_size: 4, resolutions: [8],\n"
        "       samplers: [uniform, mean]}\nevaluate: []\nreport: false\n"
    )
    path = write(tmp_path, text)
    assert run(path).exit_code == 0
    write(tmp_path, text.replace("mean]", "mean, mean: {lambda: 2}]"))
    lines = [line for line in run(path, "--dry-run").output.splitlines() if not line.startswith(" ")]
    network = "train base-tests.train.test_fit-tiny"
    assert lines == [
        "done   boundaries train",
        "done   boundaries val",
        "begun  solve-tensors train",
        "begun  solve-tensors val",
        f"done   {network}-uniform-8-seed0",
        f"done   {network}-mean-8-4x4-seed0",
        f"to do  {network}-mean-8-4x4-lambda2-seed0",
    ]


def test_a_sampler_or_a_resolution_has_predictions_of_its_own_lambda(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    path = tmp_path / "r.yaml"
    text = (
        f"dataset: {make_blobs(train=4, val=2)}\nlambda: 0.5\nbase:\n  lambda: 3\n"
        "  samplers: [auxiliary, mean, auxiliary: {lambda: 1, seeds: [1]}]\n"
        "  resolutions: {8: , 16: {lambda: 2}}\n"
    )
    path.write_text(text, encoding="utf-8")
    recipe = schema.load(path)
    bases = [r for r in recipe.trainings if r.networks == ("base",)]
    assert [(r.base.resolution, r.base.sampler, r.seed, r.base.lam) for r in bases] == [
        (8, "auxiliary", 0, 0.5), (8, "mean", 0, 3), (8, "auxiliary", 1, 1),
        (16, "auxiliary", 0, 2), (16, "mean", 0, 2), (16, "auxiliary", 1, 1),
    ]  # fmt: skip
    assert all(r.auxiliary.lam == r.base.lam for r in bases if r.base.sampler == "auxiliary")
    helpers = [(r.auxiliary.lam, r.seed) for r in recipe.trainings if r.networks == ("auxiliary",)]
    assert sorted(helpers) == [(0.5, 0), (1, 1), (2, 0)]
    assert set(recipe.lambdas) == {0.5, 1, 2, 3}
