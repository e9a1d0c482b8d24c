"""`adaprep train --whole-image`: crops that cover every image, and validation on what predict labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from pipeline.errors import AdaprepError  # noqa: E402
from pipeline.evaluation import evaluate  # noqa: E402
from pipeline.geometry.crops import CENTRAL, WHOLE, covering, offsets  # noqa: E402
from pipeline.geometry.sampling import sample  # noqa: E402
from pipeline.geometry.tensors import uniform  # noqa: E402
from pipeline.inference import systems  # noqa: E402
from pipeline.networks import checkpoint  # noqa: E402
from pipeline.stages import inputs, verify  # noqa: E402
from pipeline.train import command  # noqa: E402
from pipeline.workspace import results, stores  # noqa: E402
from tests.train.test_fit import TINY, cli, make_space, run_folder, same, weights  # noqa: E402

MakeBlobs = Callable[..., Path]

WHOLE_REQUEST = replace(TINY, whole_image=True, epochs=1)
UNIFORM = replace(WHOLE_REQUEST, networks=("base",), base=replace(TINY.base, sampler="uniform"))


def add_panorama(yaml: Path, split: str, width: int = 170) -> None:
    """One image of 20 rows, in the data set of `make_blobs`."""
    rng = np.random.default_rng(5)
    labels = np.where(rng.random((20, width)) < 0.5, 0, 1).astype(np.uint8)
    Image.fromarray(labels).save(yaml.parent / "labels" / split / "long.png")
    Image.fromarray(np.repeat(labels[..., None] * 90, 3, 2)).save(yaml.parent / "images" / split / "long.jpg")


def test_validation_measures_whole_images_as_evaluate_does(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    space = make_space(make_blobs(train=4, val=3, size=(70, 30)), tmp_path / "w")
    assert command.run(space, None, WHOLE_REQUEST)
    run = stores.RunFolder(run_folder(space, WHOLE_REQUEST, "base"))
    assert run.name == "base-tests.train.test_fit-tiny-auxiliary16-8-4x4-whole-seed0"
    assert results.settings_of(run)["region"] == WHOLE
    auxiliary = run_folder(space, TINY, "auxiliary") / "best.pt"  # five crops cover 70 x 30: the usual one
    system, _ = systems.open_system(
        systems.load_base(run.best), auxiliary, torch.device("cpu"), factories=[TINY.base.architecture]
    )
    found = inputs.load(space.folder("blobs", "val"))
    report = evaluate.run(found.dataset, "val", found.frames, [system], region=WHOLE)
    assert report.squares == (3, 3)
    kept = results.result_of(run)
    assert kept is not None
    assert kept["figures"]["miou"] == pytest.approx(report.rows()[0]["miou"], abs=1e-6)
    central = evaluate.run(found.dataset, "val", found.frames, [system], region=CENTRAL).rows()[0]["miou"]
    assert kept["figures"]["miou"] != pytest.approx(central, abs=1e-6)


def test_crops_cover_a_panorama_and_are_what_is_sampled(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=3, val=1)
    add_panorama(yaml, "train")
    space = make_space(yaml, tmp_path / "w")
    count = covering(20, 170)
    assert count == 9
    assert command.run(space, None, UNIFORM)
    folder = space.folder("blobs", "train")
    (path,) = folder.sample_stores()
    assert path.name == "uniform-8-crops9.zarr"
    store = stores.open_store(path)
    assert store.parameters["crops"] == 9
    names = [frame.name for frame in inputs.load(folder).frames]
    image = np.asarray(Image.open(yaml.parent / "images" / "train" / "long.jpg"))
    for k, (top, left) in enumerate(offsets(20, 170, 9)):
        crop = image[top : top + 20, left : left + 20]
        assert np.array_equal(store["image"][names.index("long"), k], sample(crop, uniform(8, 8)))
    assert all(finding.ok for finding in verify.run(folder))


def test_the_auxiliary_network_asks_for_the_tensors_that_cover_a_panorama(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(train=3, val=1)
    add_panorama(yaml, "train")
    space = make_space(yaml, tmp_path / "w")
    advice = "adaprep solve-tensors --grid 4x4 --crops 9 --dataset blobs --split train"
    with pytest.raises(AdaprepError, match=f"Run: {advice}"):
        command.run(space, None, WHOLE_REQUEST)
    assert cli(space.path, *advice.split()[1:])[0] == 0
    assert command.run(space, None, WHOLE_REQUEST)
    names = sorted(run.name for run in space.runs("blobs"))
    assert [name.endswith("-whole-seed0") for name in names] == [True, True]


def test_the_same_seed_gives_the_same_weights_and_the_default_stays_as_it_was(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(train=4, val=2)
    spaces = [make_space(yaml, tmp_path / name) for name in "ab"]
    paths = []
    for space in spaces:
        assert command.run(space, None, UNIFORM)
        paths.append(run_folder(space, UNIFORM, "base") / "last.pt")
    assert same(weights(paths[0]), weights(paths[1]))
    usual = replace(UNIFORM, whole_image=False)
    assert command.run(spaces[0], None, usual)
    path = run_folder(spaces[0], usual, "base")
    assert path.name == "base-tests.train.test_fit-tiny-uniform-8-seed0"
    assert "region" not in json.loads((path / "settings.json").read_text())["settings"]
    assert same(weights(path / "last.pt"), weights(paths[0]))  # five crops cover these images anyway
    assert checkpoint.load(path / "best.pt").about["sampler"] == "uniform"


def test_an_image_too_long_to_be_covered_is_named(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=3, val=1)
    add_panorama(yaml, "train", 20 * 257)
    space = make_space(yaml, tmp_path / "w", "train")
    with pytest.raises(AdaprepError, match=r"long.png: 257 square crops would be needed .* 5140 x 20 pixels"):
        command.run(space, None, UNIFORM)
