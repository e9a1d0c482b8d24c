"""Weights of classes: by frequency against definitions written out, and what cannot be asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import AdaprepError
from pipeline.train import class_weights
from pipeline.workspace import stores

torch = pytest.importorskip("torch")

from pipeline.train import command, prepare  # noqa: E402
from tests.train.test_fit import TINY, make_space, run_folder, weights  # noqa: E402

MakeBlobs = Callable[..., Path]
COUNTS = np.array([[60, 40, 0, 0], [80, 0, 20, 0], [90, 10, 0, 0]])


@pytest.fixture
def space(make_blobs: MakeBlobs, tmp_path: Path) -> stores.Workspace:
    """The classes ground, blob, stick, and boat, which does not occur."""
    yaml = make_blobs(train=5, val=3)
    text = yaml.read_text(encoding="utf-8")
    yaml.write_text(text.replace("void:", "  - {id: 9, name: boat}\nvoid:"), encoding="utf-8")
    return make_space(yaml, tmp_path / "w")


def training(space: stores.Workspace) -> prepare.Split:
    return prepare.open_splits(space, None, ("train", "val")).train


def test_inverse_frequency_gives_all_classes_the_same_say() -> None:
    found = class_weights.inverse(COUNTS)
    total = COUNTS.sum(axis=0)
    assert (found * total)[:3] == pytest.approx([100] * 3)
    assert (found * total).sum() == pytest.approx(total.sum())
    assert found[3] == 0


def test_median_frequency_is_of_the_images_that_a_class_occurs_in() -> None:
    frequency = [230 / 300, 50 / 200, 20 / 100]
    expected = [sorted(frequency)[1] / f for f in frequency]
    assert class_weights.median(COUNTS).tolist() == pytest.approx([*expected, 0])


def asked(text: str, space: stores.Workspace) -> dict[str, float] | None:
    split = training(space)
    return class_weights.weights(text, split.found, split.folder.title)


def test_pixels_are_counted_in_whole_label_maps(space: stores.Workspace) -> None:
    split = training(space)
    maps = [split.found.dataset.read_labels(frame) for frame in split.found.frames]
    classes = split.found.dataset.classes
    expected = [[(classes.lut[ids] == i).sum() for i in range(len(classes.names))] for ids in maps]
    assert class_weights.pixels(split.found).tolist() == expected


def test_the_run_records_its_weights_and_its_name_says_so(space: stores.Workspace) -> None:
    base = replace(TINY.base, sampler="uniform", class_weights="inverse")
    request = replace(TINY, networks=("base",), base=base, epochs=1)
    said: list[str] = []
    command.run(space, None, request, command.Hooks(waiting=said.append))
    path = run_folder(space, request, "base")
    assert path.name == "base-tests.train.test_fit-tiny-uniform-8-inverse-seed0"
    recorded = json.loads((path / "settings.json").read_text())["settings"]
    assert recorded["class_weights"] == "inverse"
    assert recorded["weight_by_class"] == asked("inverse", space)
    assert "boat" not in recorded["weight_by_class"]
    assert any("no pixel of boat" in line and "it has no weight" in line for line in said)
    plain = replace(request, base=replace(base, class_weights="none"))
    command.run(space, None, plain)
    one, other = (weights(run_folder(space, r, "base") / "last.pt") for r in (request, plain))
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_numbers_by_name_leave_all_others_at_one(space: stores.Workspace) -> None:
    assert asked("blob=3", space) == {"ground": 1, "blob": 3, "stick": 1}
    assert asked("none", space) is None


@pytest.mark.parametrize(
    "text", ["inversed", "blob", "blob=0", "blob=-1", "blob=nan", "blob=1,", "=2", "a=b", ""]
)
def test_what_is_no_weight_is_refused(text: str) -> None:
    with pytest.raises(AdaprepError, match="must be none, inverse, median, or numbers above 0 by class"):
        class_weights.parse(text)


def test_weights_of_classes_that_do_not_occur_are_refused(space: stores.Workspace) -> None:
    with pytest.raises(AdaprepError, match="there is no class ship. The classes are: ground, blob"):
        asked("ship=2", space)
    with pytest.raises(AdaprepError, match="no pixel of boat is in the label maps of blobs/train"):
        asked("boat=2", space)


def test_weights_are_refused_before_anything_is_sampled(space: stores.Workspace) -> None:
    request = replace(TINY, base=replace(TINY.base, class_weights="boat=2"))
    for action in (command.plan, command.run):
        with pytest.raises(AdaprepError, match="no pixel of boat"):
            action(space, None, request)
    assert not space.folder("blobs", "train").samples.exists()
