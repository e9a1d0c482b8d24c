"""Seeds reach the weights, validation runs in evaluation mode, and the right auxiliary network samples."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cli import main
from pipeline.datasets import registry
from pipeline.errors import AdaprepError
from pipeline.geometry.cells import cell_means
from pipeline.geometry.crops import central_crop
from pipeline.geometry.interpolation import interpolate_labels
from pipeline.geometry.sampling import sample
from pipeline.geometry.tensors import project, resize, uniform
from pipeline.workspace import stores

torch = pytest.importorskip("torch")

from pipeline.evaluation import examples  # noqa: E402
from pipeline.inference import systems  # noqa: E402
from pipeline.networks import checkpoint, macs, points  # noqa: E402
from pipeline.networks.auxiliary import AuxiliaryNetwork  # noqa: E402
from pipeline.networks.factory import build  # noqa: E402
from pipeline.train import command, prepare  # noqa: E402
from pipeline.train.auxiliary_task import AuxiliaryTask  # noqa: E402
from pipeline.train.processes import Processes  # noqa: E402
from pipeline.train.validation import evaluate  # noqa: E402
from tests.evaluation.test_evaluate import FACTORY, NAMES, facts_of, save_base  # noqa: E402
from tests.train.test_fit import TINY, make_space, run_folder, weights  # noqa: E402
from tests.train.test_validation import sampled_split  # noqa: E402

MakeBlobs = Callable[..., Path]
CPU = torch.device("cpu")
BASE = "base-tiny-auxiliary-12-4x4-seed0"


@pytest.fixture
def space(make_blobs: MakeBlobs, tmp_path: Path) -> stores.Workspace:
    return make_space(make_blobs(train=5, val=3), tmp_path / "w")


def test_initial_weights_are_those_of_the_seed(space: stores.Workspace) -> None:
    found = []
    for seed, tag in ((0, "a"), (0, "b"), (1, "a")):
        torch.manual_seed(len(found))  # whatever was drawn before
        request = replace(TINY, base=replace(TINY.base, sampler="uniform"), seed=seed, tag=tag)
        request = replace(request, rate=1e-12, epochs=1, batch_size=5)  # weights stay where they began
        command.run(space, None, request)
        found.append({n: weights(run_folder(space, request, n) / "last.pt") for n in request.networks})
    for network, first, again, other in ((n, *(one[n] for one in found)) for n in ("auxiliary", "base")):
        convolutions = [name for name, value in first.items() if value.dim() == 4 and value.any()]
        assert len(convolutions) > 4, network
        for name in convolutions:
            assert torch.allclose(first[name], again[name], atol=1e-9), name
            if "head" not in name or network == "base":
                assert float((first[name] - other[name]).abs().max()) > 0.01, name


def auxiliary_task(space: stores.Workspace) -> AuxiliaryTask:
    splits = prepare.open_splits(space, None, ("train", "val"))
    prepare.sample(splits, prepare.Needed(prepare.auxiliary_outputs(TINY.auxiliary)))
    pairs = [
        (split.store(prepare.auxiliary_outputs(TINY.auxiliary)[0]), split.folder.tensors((4, 4), 1.0))
        for split in splits.all
    ]
    return AuxiliaryTask(TINY.auxiliary, pairs[0], pairs[1], splits.about())


def test_the_auxiliary_network_is_validated_in_evaluation_mode(space: stores.Workspace) -> None:
    task = auxiliary_task(space)
    torch.manual_seed(0)
    network = task.build()
    torch.nn.init.normal_(network.head.weight, std=0.3)
    assert task.validation is not None
    data = task.validation.__getitems__(range(len(task.validation)))
    network.train()
    network(data["image"])  # running means of their own
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.eval()
    with torch.no_grad():
        expected = (network(data["image"]) - data["phi"]).square().sum(dim=(1, 2, 3)).mean()
        network.train()
        trained = (network(data["image"]) - data["phi"]).square().sum(dim=(1, 2, 3)).mean()
    network.load_state_dict(before)
    figures = task.validate(network.train(), CPU, Processes())
    assert figures["validation_loss"] == pytest.approx(float(expected), rel=1e-5)
    assert float(trained) != pytest.approx(float(expected), rel=0.05)
    u = torch.tensor(uniform(4, 4))
    constant = (u - data["phi"]).square().sum(dim=(1, 2, 3)).mean()
    assert figures["uniform_loss"] == pytest.approx(float(constant), rel=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_base_network_is_validated_in_evaluation_mode(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    from pipeline.samplers.uniform import Uniform
    from pipeline.stages import inputs, outputs

    folder, data = sampled_split(make_blobs, tmp_path / "w", outputs.Sampled(12, Uniform()))
    torch.manual_seed(3)
    network = build("unet", 3, widths=(8, 8))
    expected = evaluate(network.eval(), data, inputs.load(folder), CPU)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    scores = evaluate(network.train(), data, inputs.load(folder), CPU)
    assert np.array_equal(scores.confusion.counts, expected.confusion.counts)
    assert scores.loss == expected.loss
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_filter_reaches_samples_evaluation_and_predictions(space: stores.Workspace) -> None:
    base = replace(TINY.base, sampler="mean", filter="area")
    request = replace(TINY, networks=("base",), base=base, epochs=1)
    command.run(space, None, request)
    path = run_folder(space, request, "base")
    assert path.name == "base-tests.train.test_fit-tiny-mean-8-4x4-area-seed0"
    (store,) = space.folder("blobs", "val").samples.glob("mean-*-8-area.zarr")
    found = systems.load_base(path / "best.pt")
    system, _ = systems.open_system(found, None, CPU, factories=[TINY.base.architecture])
    assert system.filter == "area"
    network = found.build([TINY.base.architecture])
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    fine = resize(system.tensor(picture).astype(np.float64), (8, 8))
    with torch.no_grad():
        shown = torch.from_numpy(cell_means(picture, fine).transpose(2, 0, 1)[None].copy())
        scores = network(shown)[0].numpy()
    expected = interpolate_labels(scores, fine, 40)
    assert np.array_equal(system.labels(picture, system.tensor(picture)), expected)
    assert stores.open_store(store).parameters["filter"] == "area"


def test_tensor_channels_and_area_weights_are_trained_with_and_evaluated(space: stores.Workspace) -> None:
    base = replace(TINY.base, sampler="proposal", architecture="unet", arguments={"widths": [4, 6]})
    made = []
    for power, channels in ((0.0, False), (0.5, False), (0.5, True)):
        chosen = replace(base, area_weight=power, tensor_channels=channels)
        request = replace(TINY, networks=("base",), base=chosen, epochs=4)
        command.run(space, None, request)
        made.append(run_folder(space, request, "base"))
    assert [path.name for path in made] == [
        "base-unet-proposal-8-4x4-seed0",
        "base-unet-proposal-8-4x4-areas0.5-seed0",
        "base-unet-proposal-8-4x4-areas0.5-channels-seed0",
    ]
    plain, weighted, _ = (weights(path / "last.pt") for path in made)
    assert not torch.equal(plain["network.head.weight"], weighted["network.head.weight"])
    found = systems.load_base(made[2] / "best.pt")
    system = systems.with_proposals(found, None, CPU)
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    phi = project(uniform(4, 4) ** 1.5).astype(np.float32)
    fine = resize(phi.astype(np.float64), (8, 8))
    shown = torch.from_numpy(sample(picture, fine).transpose(2, 0, 1)[None].copy())
    with torch.no_grad():
        scores = system.network(points.shown(shown, torch.from_numpy(fine)[None], True))[0].numpy()
    assert np.array_equal(system.labels(picture, phi), interpolate_labels(scores, fine, 40))
    assert system.base_macs == macs.macs(system.network, (6, 8, 8))


@pytest.mark.parametrize(
    ("base", "augmentation", "said"),
    [
        ({"area_weight": 1.5}, {}, "--area-weight 1.5 must be a power from 0 to 1"),
        ({"tensor_channels": True, "architecture": "pspnet"}, {}, "--tensor-channels is for unet"),
        ({"loss": "no_such:loss"}, {}, "there is no module no_such"),
        ({}, {"turn": 1.5}, "--augment turn=1.5: a probability is at most 1"),
        ({}, {"flip": 2.0}, "--augment flip=2: a probability is at most 1"),
        ({"area_weight": 0.5}, {"zoom": 1.0}, "leave out --tensor-channels and --area-weight, or zoom"),
    ],
)
def test_what_a_base_network_cannot_be_trained_with_is_refused(
    space: stores.Workspace, base: dict[str, Any], augmentation: dict[str, float], said: str
) -> None:
    chosen = replace(TINY.base, sampler="uniform", **base)
    request = replace(TINY, networks=("base",), base=chosen, augmentation=augmentation)
    with pytest.raises(AdaprepError, match=said):
        command.plan(space, None, request)


def test_a_grid_that_is_not_square_is_not_turned(space: stores.Workspace) -> None:
    auxiliary = replace(TINY.auxiliary, grid=(4, 6))
    with pytest.raises(AdaprepError, match="needs a square grid, and this one is 4x6"):
        command.plan(space, None, replace(TINY, auxiliary=auxiliary, augmentation={"turn": 0.5}))


def test_the_auxiliary_network_is_not_zoomed(space: stores.Workspace) -> None:
    with pytest.raises(AdaprepError, match="zoom is for base networks alone"):
        command.plan(space, None, replace(TINY, augmentation={"zoom": 1.0}))


def test_there_is_nothing_to_wait_for_without_a_validation_split(space: stores.Workspace) -> None:
    request = replace(TINY, patience=2, val_split="test")
    for ask in (command.run, command.plan):
        with pytest.raises(AdaprepError, match="beside blobs/train no split 'test' is in the workspace"):
            ask(space, None, request)


def test_a_patient_run_is_another_than_one_that_is_not(space: stores.Workspace) -> None:
    request = replace(TINY, networks=("base",), base=replace(TINY.base, sampler="uniform"), epochs=1)
    command.run(space, None, request)
    with pytest.raises(AdaprepError, match="patience: 0 in the run, 2 asked for"):
        command.run(space, None, replace(request, patience=2))
    (planned,) = command.plan(space, None, replace(request, patience=2, tag="more"))
    assert "1 epoch and more until 2 validations gained nothing, 4 crops a step" in planned.describe()


def test_a_run_from_before_there_was_a_filter_is_complete(space: stores.Workspace) -> None:
    request = replace(TINY, networks=("base",), base=replace(TINY.base, sampler="uniform"), epochs=1)
    command.run(space, None, request)
    path = run_folder(space, request, "base") / "settings.json"
    content = json.loads(path.read_text())
    del content["settings"]["filter"]
    path.write_text(json.dumps(content))
    assert command.plan(space, None, request)[0].state == "complete"
    other = replace(request, base=replace(request.base, filter="area"))
    assert command.plan(space, None, other)[0].state == "new"


def save_auxiliary(path: Path, seed: int) -> str:
    """An auxiliary network of random tensors; the identity of its weights."""
    torch.manual_seed(seed)
    arguments: dict[str, Any] = {"resolution": 8, "grid": [4, 4], "features": 4, "first": 4}
    network = AuxiliaryNetwork(**arguments)
    torch.nn.init.normal_(network.head.weight, std=0.5)
    torch.nn.init.normal_(network.mean_grid, 0.5, 0.5)
    about = {"dataset": "blobs", "class_names": NAMES, "filter": "area", "lambda": 1.0}
    path.parent.mkdir(parents=True)
    checkpoint.save(path, "auxiliary", "auxiliary", arguments, network.state_dict(), about)
    return checkpoint.load(path).identity


@pytest.fixture
def sampled_by(space: stores.Workspace) -> dict[str, Path]:
    """Three auxiliary networks; a complete base run that names the second in the order of their names."""
    runs = space.runs_folder("blobs")
    paths = {name: runs / f"auxiliary-8-4x4-seed{i}" / "best.pt" for i, name in enumerate("abc")}
    identities = {name: save_auxiliary(path, i) for i, (name, path) in enumerate(paths.items())}
    folder = runs / BASE
    folder.mkdir()
    save_base(folder / "best.pt", "auxiliary", auxiliary=identities["b"])
    settings = {
        "network": "base",
        "architecture": FACTORY,
        "sampler": "auxiliary",
        "auxiliary": identities["b"],
        "resolution": 12,
        "grid": [4, 4],
        "lambda": None,
        "seed": 0,
        "rate": 1e-3,
        "epochs": 1,
        "batch_size": 4,
        "weight_decay": 0.0,
        "validate_every": 1,
        "augmentation": {},
    }
    (folder / "settings.json").write_text(json.dumps({"settings": settings}))
    weights_of_base = checkpoint.load(folder / "best.pt").identity
    (folder / "result.json").write_text(
        json.dumps({"weights": weights_of_base, "best_epoch": 1, "epochs": 1, "figures": {}, "seconds": 1.0})
    )
    return paths


def test_a_base_network_is_evaluated_with_the_auxiliary_network_that_sampled_for_it(
    space: stores.Workspace, sampled_by: dict[str, Path]
) -> None:
    base = space.runs_folder("blobs") / BASE / "best.pt"
    rows = {
        name: facts_of(base, "--auxiliary", path, "--workspace", space.path)["systems"]
        for name, path in sampled_by.items()
    }
    assert rows["b"] != rows["a"]
    assert rows["b"] != rows["c"]
    result = CliRunner().invoke(
        main, ["evaluate", "--workspace", str(space.path), "--device", "cpu", "--json"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["systems"] == rows["b"]


def test_another_auxiliary_network_than_the_one_that_sampled_is_noted(
    space: stores.Workspace, sampled_by: dict[str, Path]
) -> None:
    base = space.runs_folder("blobs") / BASE / "best.pt"
    notes = {
        name: facts_of(base, "--auxiliary", path, "--workspace", space.path)["notes"]
        for name, path in sampled_by.items()
    }
    assert notes["b"] == []
    for name in "ac":
        assert "was trained on samples of other weights than" in notes[name][0]


def test_examples_are_sampled_by_the_auxiliary_network_of_their_base_network(
    space: stores.Workspace, sampled_by: dict[str, Path], make_blobs: MakeBlobs
) -> None:
    from pipeline.samplers.predicted import Predictor, predict

    dataset = registry.load(str(make_blobs(train=5, val=3)))
    frame = dataset.frames("val")[0]
    (example,) = examples.predict(space, dataset, [frame], CPU)
    crop = central_crop(dataset.read_image(frame))
    tensors = {name: predict(Predictor.load(path), [crop])[0] for name, path in sampled_by.items()}
    assert example.phi is not None
    np.testing.assert_allclose(example.phi, tensors["b"], atol=1e-6)
    assert not np.allclose(example.phi, tensors["a"], atol=1e-2)
    assert not np.allclose(example.phi, tensors["c"], atol=1e-2)
