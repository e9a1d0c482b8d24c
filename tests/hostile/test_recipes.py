"""Recipes of any content: steps, or a sentence with the line before anything is done."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import AdaprepError
from pipeline.recipes import plan, schema
from tests.hostile.fuzz import damaged, only_sentences, rounds
from tests.hostile.test_yaml import SCALARS, bomb, made_up

DATA = """\
name: mine
classes: [{id: 0, name: ground}, {id: 1, name: blob}, {id: 2, name: stick}]
targets: [blob]
splits: {train: {images: i, labels: l}, val: {images: i, labels: l}}
"""
WHOLE = """\
dataset: d.yaml
root: data
workspace: ws
device: auto
precision: auto
targets: [blob]
settings: {}
train_split: train
val_split: val
tag: first
grid: 8x8
lambda: 1
crops: 5
check: {limit: 50}
upper_bound: {resolutions: [32, 64], grids: [8x8, 16x16], lambdas: [0.3, 1, 3], limit: 100, split: val}
auxiliary: {resolution: 32, lambda: 0.5, filter: area, loss: proposal, features: 256, rate: 1e-4, epochs: 5,
  batch_size: 45, weight_decay: 0.01, validate_every: 10, precision: float32,
  augment: {flip: 0.5, brightness: 0.2, contrast: 0.2, salt_and_pepper: 0.01}}
base:
  architecture: pspnet
  pretrained: weights.pt
  samplers: [uniform, auxiliary, proposal]
  seeds: [0]
  aux_resolution: 32
  resolutions:
    32: {seeds: [0, 1, 2]}
    64: {epochs: 300, aux_resolution: 64}
evaluate: [val]
report: true
"""
OWN = (
    "2", "8x8", "1x8", "8x8x8", "²", "٣", "9" * 5000, "600", "unet", "os:system", "a:b:c", "a b:c", "../x", "a/b", "..", "val",
    "test", "cuda", "gpu", "10000000000", "[32, 32]", "{32: , 0x20: }", "{32: {}}", "[blob, stick]", "[ground]", "demo",
    "camvid", "[uniform]", "[0, 1]", "[" + ",".join(map(str, range(4000))) + "]", "{limit: 3}", "{train: 3, val: 2}", "1e9",
    "1e300", "d.yaml", "nowhere.yaml", "weights.pt/x", "ws/x",
)  # fmt: skip
WORDS = tuple(
    w.encode("utf-8", "surrogatepass")
    for w in (*SCALARS, *OWN, "\n", "\n  ", ": ", "generate: ", "dataset: demo\n")
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.yaml").write_text(DATA)
    (tmp_path / "data").mkdir()
    (tmp_path / "weights.pt").touch()
    return tmp_path


def expand(path: Path) -> list[str]:
    """What a dry run makes of a recipe."""
    recipe = schema.load(path)
    steps = plan.steps(recipe)
    titles = [step.title for step in steps]
    assert len(set(titles)) == len(titles)
    assert [step.command for step in steps[:30]]
    assert all(len(step.title.encode()) < 255 for step in steps)
    return titles


def complaint(folder: Path, text: str) -> str:
    path = folder / "r.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(AdaprepError) as error:
        expand(path)
    return str(error.value).removeprefix(f"{path}, ")


TRAINED = "base: {resolutions: [32], samplers: [uniform]}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "crops: 2\n" + TRAINED,
            "line 2: crops: must be odd where networks are trained, found 2: they are measured on the central "
            "crop of the images of val",
        ),
        ("crops: 0\n", "line 2: crops: must be a whole number in 1..999, found 0"),
        ("tag: a/b\n", "line 2: tag: the tag 'a/b' cannot be used: it holds '/'. "),
        ("tag: ../../x\n", "line 2: tag: the tag '../../x' cannot be used: it holds '/'. "),
        ("tag: [[a]]\n", "line 2: tag: must be a word or a number"),
        ("tag: " + "[" * 2000 + "]" * 2000 + "\n", "line 2: nested more than 32 deep"),
        ("lambda: 1" + "0" * 400 + "\n", "line 2: lambda: a number of 401 characters is too long: 100 are"),
        ("lambda: 1e300\n", "line 2: lambda: must be a number of at most 1e+09, found '1e300'"),
        ("lambda: .nan\n", "line 2: lambda: must be a number of at least 0, found nan"),
        (f"grid: {bomb()}\n", "line 2: holds more than 300000 values, aliases written out"),
        ("grid: [8, 8]\n", "line 2: grid: must be a grid such as 8 or 8x8 (height x width), at least 2x2"),
        ("grid: " + "9" * 5000 + "\n", "line 2: grid: a number of 5000 characters is too long"),
        ("grid: 9999x8\n", "line 2: grid: must be a grid of at most 512x512, found '9999x8'"),
        (
            "grid: 40\nauxiliary: {}\n",
            "line 2: grid: an auxiliary network of resolution 32 cannot predict a grid of 40x40: give a smaller",
        ),
        (
            "auxiliary: {resolution: 4}\n",
            "line 2: auxiliary: an auxiliary network of resolution 4 cannot predict a grid of 8x8",
        ),
        ("auxiliary: {resolution: 1}\n", "line 2: auxiliary.resolution: must be a whole number in 2..8192, "),
        ("base: {resolutions: [1000000000]}\n", "line 2: base.resolutions[0]: must be a whole number in 2..8192"),
        ("base: {resolutions: {32: , 0x20: }}\n", "line 2: base.resolutions.0x20: the resolution 32 was given"),
        ("upper_bound: {resolutions: [1]}\n", "line 2: upper_bound.resolutions[0]: must be a whole number in"),
        ("upper_bound: {resolutions: [8], split: x}\n", "line 2: upper_bound.split: mine has no split 'x'; it has"),
        ("evaluate: [test]\n" + TRAINED, "line 2: evaluate[0]: mine has no split 'test'; it has: train, val"),
        ("val_split: ../x\n", "line 2: val_split: mine has no split '../x'; it has: train, val"),
        ("targets: []\n", "line 2: targets: must not be an empty list"),
        ("targets: [cat]\n", "line 2: targets: no class named 'cat' to make a target of; the classes are: "),
        ("settings: {seed: 3}\n", "line 1: dataset: d.yaml: a data set of your own has no setting 'seed'"),
        ("settings: {name: 3}\n", "line 1: dataset: d.yaml: a data set of your own has no setting 'name'"),
        ("settings: {targets: 3}\n", "line 2: settings: targets is no setting: it is a key of its own"),
        ("device: gpu\n", "line 2: device: must be auto, cpu, cuda, cuda:N or mps, found 'gpu'"),
        ("workspace: d.yaml\n", "line 2: workspace: must be a folder, and d.yaml is none"),
        ("workspace: d.yaml/w\n", "line 2: workspace: must be a folder, and d.yaml is none"),
        ('workspace: "a\\0"\n', "line 2: workspace: holds '\\x00', which no name or text may hold"),
        ("root: " + "a" * 300 + "\n", "line 2: root: no such folder: aaaaa"),
        (
            TRAINED.replace("samplers", "architecture: 'a b:c', samplers"),
            "line 2: base.architecture: must be package.module:factory, found 'a b:c'",
        ),
        (
            TRAINED.replace("samplers", "pretrained: d.yaml, samplers"),
            "line 2: base.pretrained: unet takes no pretrained weights",
        ),
        (
            TRAINED.replace("samplers", "augment: {flip: 1.5}, samplers"),
            "line 2: base.augment.flip: must be a number of at most 1, found 1.5",
        ),
        (
            TRAINED.replace("samplers", f"seeds: [{','.join(map(str, range(20_000)))}], samplers"),
            "line 2: base.seeds: more than 10000 trainings: seeds x samplers",
        ),
        (
            "tag: " + "x" * 100 + "\n" + TRAINED.replace("samplers", f"architecture: {'m' * 150}:f, samplers"),
            "line 2: tag: the run 'base-mmm",
        ),
    ],
)  # fmt: skip
def test_values_that_a_later_step_would_refuse(folder: Path, text: str, said: str) -> None:
    message = complaint(folder, "dataset: d.yaml\n" + text)
    assert message.startswith(said)
    assert len(message) < 600


def test_a_data_set_without_targets_is_refused(folder: Path) -> None:
    (folder / "d.yaml").write_text(DATA.replace("targets: [blob]\n", ""))
    assert complaint(folder, "dataset: d.yaml\n") == (
        "line 1: dataset: mine has no target classes: name some, as targets: [CLASS, ...]"
    )
    (folder / "r.yaml").write_text("dataset: d.yaml\ntargets: [blob]\n")
    assert "boundaries train" in expand(folder / "r.yaml")


def test_an_even_number_of_crops_is_right_where_nothing_is_trained(folder: Path) -> None:
    (folder / "r.yaml").write_text("dataset: d.yaml\ncrops: 2\n")
    assert expand(folder / "r.yaml")


def test_one_split_to_train_on_and_to_validate_on(folder: Path) -> None:
    (folder / "r.yaml").write_text("dataset: d.yaml\nval_split: train\n" + TRAINED)
    assert expand(folder / "r.yaml").count("boundaries train") == 1


def test_a_recipe_is_read_without_running_what_it_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "trap.py").write_text("open('sprung', 'w')\ndef network(classes): open('sprung', 'w')\n")
    monkeypatch.syspath_prepend(str(folder))
    (folder / "r.yaml").write_text(
        "dataset: d.yaml\n" + TRAINED.replace("samplers", "architecture: trap:network, samplers")
    )
    assert expand(folder / "r.yaml")
    assert not (folder / "sprung").exists()


def hostile(rng: random.Random) -> bytes:
    """A recipe with one value, or a few, replaced by something else, or with damaged bytes."""
    text = WHOLE
    if rng.random() < 0.4:
        text = "".join(line for line in text.splitlines(True) if line[0] != " " and rng.random() < 0.6)
        text = "dataset: d.yaml\n" + text.replace("dataset: d.yaml\n", "")
    if rng.random() < 0.2:
        return text.encode()
    if rng.random() < 0.25:
        return damaged(rng, text.encode(), WORDS)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(re.finditer(r"(?<=: )[^\n{},]+|(?<=\[)[^\n\]]+(?=\])|(?<=: )\{[^\n]*\}", text))
        place = rng.choice(places)
        text = (
            text[: place.start()]
            + (rng.choice(OWN) if rng.random() < 0.6 else made_up(rng))
            + text[place.end() :]
        )
    return text.encode("utf-8", "surrogatepass")


@rounds(25)
def test_fuzzed_recipes(folder: Path, numbers: range) -> None:
    path = folder / "r.yaml"
    taken: Any = 0
    for number in numbers:
        content = hostile(random.Random(f"recipe {number}"))
        path.write_bytes(content)
        taken += only_sentences(lambda: expand(path), (number, content)) is not None
    assert taken > len(numbers) // 50
