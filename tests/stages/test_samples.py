"""The stage sample and the training data made of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli import main
from pipeline.datasets import registry
from pipeline.errors import AdaprepError
from pipeline.geometry.cells import cell_means
from pipeline.geometry.crops import offsets
from pipeline.geometry.sampling import sample
from pipeline.geometry.tensors import resize, uniform
from pipeline.samplers import registry as registry_of_samplers
from pipeline.samplers.base import Sampler, Wanted
from pipeline.samplers.mean import Mean
from pipeline.samplers.proposal import Proposals
from pipeline.samplers.uniform import Uniform
from pipeline.stages import engine, outputs, samples
from pipeline.stages import inputs as listing
from pipeline.workspace import stores
from tests.conftest import tree
from tests.stages.test_boundaries import run_boundaries, run_tensors

torch = pytest.importorskip("torch")

MakeBlobs = Callable[..., Path]
ONE = engine.Scheduler(threads=1)


@pytest.fixture
def folder(make_blobs: MakeBlobs, tmp_path: Path) -> stores.SplitFolder:
    """A split of 11 images with boundaries and tensors; image 7 has failed."""
    yaml = make_blobs(train=11, size=(40, 56))
    (yaml.parent / "labels" / "train" / "0007.png").write_bytes(b"")
    dataset = registry.load(str(yaml))
    found, _ = run_boundaries(tmp_path / "w", dataset)
    run_tensors(found)
    return found


def run_samples(
    folder: stores.SplitFolder, wanted: list[outputs.Output], where: engine.Scheduler = ONE
) -> engine.Summary:
    found = listing.load(folder)
    return samples.run(folder, found, wanted, samples.plan(folder, wanted), where)


def open_samples(folder: stores.SplitFolder, output: outputs.Output) -> stores.Store:
    return stores.open_store(samples.folder_of(folder) / f"{output.name}.zarr")


def test_samples_are_what_the_operator_gives(folder: stores.SplitFolder) -> None:
    wanted: list[outputs.Output] = [
        outputs.AuxiliaryInput(16),
        outputs.Sampled(12, Uniform()),
        outputs.Sampled(12, Proposals()),
    ]
    summary = run_samples(folder, wanted)
    assert [f.index for f in summary.failures] == [7]
    found = listing.load(folder)
    tensors = stores.open_store(folder.tensors((8, 8), 1.0))
    for output in wanted[1:]:
        store = open_samples(folder, output)
        assert store.status().tolist() == [1] * 7 + [2] + [1] * 3
        for i, k in itertools.product((0, 9), range(5)):
            top, left = offsets(40, 56, 5)[k]
            proposal = isinstance(output.sampler, Proposals)  # type: ignore[union-attr]
            phi = tensors["phi"][i, k] if proposal else uniform(8, 8).astype(np.float32)
            assert np.array_equal(store["phi"][i, k], phi)
            points = resize(phi.astype(float), (12, 12))
            raw = np.asarray(Image.open(found.frames[i].label))[top : top + 40, left : left + 40]
            picture = np.asarray(Image.open(found.frames[i].image))[top : top + 40, left : left + 40]
            assert np.array_equal(store["label"][i, k], found.dataset.classes.lut[sample(raw, points)])
            assert np.array_equal(store["image"][i, k], sample(picture, points))
    small = open_samples(folder, wanted[0])["image"]
    assert small.shape == (11, 5, 16, 16, 3)
    crop = np.asarray(Image.open(found.frames[0].image))[:, :40].astype(float)
    assert abs(small[0, 0].mean() - crop.mean()) < 1


@pytest.mark.parametrize("sampler", [Uniform(), Proposals()])
def test_a_filter_averages_images_and_leaves_labels(folder: stores.SplitFolder, sampler: Sampler) -> None:
    wanted: list[outputs.Output] = [outputs.Sampled(12, sampler, how) for how in ("nearest", "area")]
    run_samples(folder, wanted)
    plain, filtered = (open_samples(folder, output) for output in wanted)
    assert filtered.parameters["filter"] == "area"
    assert "filter" not in plain.parameters  # as in stores from before there was one
    for name in ("label", "phi"):
        assert np.array_equal(plain[name][:], filtered[name][:])
    picture = np.asarray(Image.open(listing.load(folder).frames[9].image))
    for k, (top, left) in enumerate(offsets(40, 56, 5)):
        points = resize(filtered["phi"][9, k].astype(float), (12, 12))
        expected = cell_means(picture[top : top + 40, left : left + 40], points)
        assert np.array_equal(filtered["image"][9, k], expected)
    assert not np.array_equal(plain["image"][9], filtered["image"][9])


def test_status_lists_the_samples(folder: stores.SplitFolder) -> None:
    run_samples(folder, [outputs.Sampled(8, Uniform())])
    result = CliRunner().invoke(
        main, ["status", "--workspace", str(folder.path.parents[1])], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 0, result.output
    assert "sampler uniform, resolution 8" in " ".join(result.output.split())


def test_each_image_is_decoded_once(folder: stores.SplitFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.datasets.custom import Custom

    decoded: list[str] = []
    original = Custom.read_image

    def counted(self: Custom, frame: object) -> object:
        decoded.append(frame.name)  # type: ignore[attr-defined]
        return original(self, frame)  # type: ignore[arg-type]

    monkeypatch.setattr(Custom, "read_image", counted)
    run_samples(folder, [outputs.Sampled(r, s) for r in (8, 16) for s in (Uniform(), Proposals())])
    assert len(decoded) == len(set(decoded)) == 10


def test_only_what_is_missing_is_made(folder: stores.SplitFolder) -> None:
    first: list[outputs.Output] = [outputs.Sampled(8, Uniform())]
    run_samples(folder, first)
    before = tree(samples.folder_of(folder))
    both = [*first, outputs.Sampled(8, Proposals())]
    summary = run_samples(folder, both)
    assert summary.images == 11
    after = tree(samples.folder_of(folder))
    assert {k: v for k, v in after.items() if k in before} == before
    assert run_samples(folder, both).images == 8  # the block with the failed image is tried again


def test_processes_give_the_same_bytes(folder: stores.SplitFolder, tmp_path: Path) -> None:
    wanted: list[outputs.Output] = [outputs.Sampled(8, Proposals()), outputs.AuxiliaryInput(16)]
    run_samples(folder, wanted)
    alone = tree(samples.folder_of(folder))
    samples.folder_of(folder).rename(tmp_path / "aside")
    run_samples(folder, wanted, engine.Scheduler(workers=2))
    assert tree(samples.folder_of(folder)) == alone


def save_network(path: Path, grid: tuple[int, int] = (8, 8), **about: object) -> None:
    from pipeline.networks import checkpoint
    from pipeline.networks.auxiliary import AuxiliaryNetwork

    torch.manual_seed(0)
    arguments = {"resolution": 16, "grid": grid, "features": 8}
    network = AuxiliaryNetwork(**arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    checkpoint.save(
        path, "auxiliary", "auxiliary", arguments, network.state_dict(), {"filter": "area", **about}
    )


def test_a_trained_network_says_where_to_sample(folder: stores.SplitFolder, tmp_path: Path) -> None:
    from pipeline.samplers.predicted import Predicted, Predictor
    from pipeline.stages.verify import constraint_problems

    save_network(tmp_path / "aux.pt")
    predictor = Predictor.load(tmp_path / "aux.pt")
    output = outputs.Sampled(12, Predicted(predictor))
    run_samples(folder, [output, outputs.AuxiliaryInput(16)])
    store = open_samples(folder, output)
    small = open_samples(folder, outputs.AuxiliaryInput(16))["image"][0]
    assert np.allclose(store["phi"][0], predictor(small), atol=1e-6)
    assert constraint_problems(store["phi"][:7]) == []
    assert not np.allclose(store["phi"][0], uniform(8, 8), atol=1e-3)
    picture = np.asarray(Image.open(listing.load(folder).frames[0].image))[:, :40]
    points = resize(store["phi"][0, 0].astype(float), (12, 12))
    assert np.array_equal(store["image"][0, 0], sample(picture, points))


def invoke(folder: stores.SplitFolder, *args: object) -> str:
    space = folder.path.parents[1]
    result = CliRunner().invoke(main, ["sample", "--workspace", str(space), *map(str, args)])
    return f"{result.exit_code} " + " ".join(result.output.split())


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--resolution", "1"), "give whole numbers of at least 2"),
        (("--sampler", "auxiliary"), "needs a trained network: give --checkpoint FILE"),
        (("--lambda", "3"), "has no tensors of grid 8x8, lambda 3. Run: adaprep solve-tensors --lambda 3"),
        (("--split", "val"), "holds no split val of blobs (it holds: train)"),
        (("--sampler", "auxiliary", "--checkpoint", "absent.pt"), "absent.pt"),
    ],
)
def test_what_cannot_be_sampled_is_explained(
    folder: stores.SplitFolder, args: tuple[str, ...], sentence: str
) -> None:
    output = invoke(folder, *args)
    assert not output.startswith("0")
    assert sentence in output
    assert not samples.folder_of(folder).exists()


def test_a_checkpoint_of_another_kind_is_refused(folder: stores.SplitFolder, tmp_path: Path) -> None:
    from pipeline.networks import checkpoint
    from pipeline.networks.factory import build

    network = build("unet", 3)
    checkpoint.save(tmp_path / "base.pt", "base", "unet", {"classes": 3}, network.state_dict(), {})
    output = invoke(folder, "--sampler", "auxiliary", "--checkpoint", tmp_path / "base.pt")
    assert "an auxiliary one is needed" in output


def test_a_network_for_another_grid_or_other_classes_is_refused(
    folder: stores.SplitFolder, tmp_path: Path
) -> None:
    save_network(tmp_path / "four.pt", (4, 4))
    output = invoke(folder, "--sampler", "auxiliary", "--checkpoint", tmp_path / "four.pt")
    assert "trained for grid 4x4, grid 8x8 is asked for: give --grid 4x4" in output
    save_network(tmp_path / "other.pt", class_names=("sky", "car"))
    output = invoke(folder, "--sampler", "auxiliary", "--checkpoint", tmp_path / "other.pt")
    assert "trained on 2 classes (sky, car), but blobs has 3 (ground, blob, stick)" in output
    assert not samples.folder_of(folder).exists()


def test_a_disk_without_room_is_seen_before_anything_is_written(
    folder: stores.SplitFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples.room, "free_space", lambda _: 1000)
    with pytest.raises(
        AdaprepError, match=r"need about \d+ MiB, and the disk of .* has 0 MiB left: make room"
    ):
        run_samples(folder, [outputs.Sampled(64, Uniform())])
    assert not samples.folder_of(folder).exists()


def test_a_dry_run_names_every_store_and_writes_nothing(folder: stores.SplitFolder) -> None:
    output = invoke(
        folder, "--resolution", "8,16", "--sampler", "uniform", "--sampler", "proposal", "--dry-run"
    )
    for name in (
        "uniform-8",
        "uniform-16",
        "proposal-8x8-lambda1-8",
        "proposal-8x8-lambda1-16",
        "disk about",
    ):
        assert name in output
    assert not samples.folder_of(folder).exists()


def test_unfinished_boundaries_are_named(folder: stores.SplitFolder) -> None:
    store = stores.open_store(folder.boundaries)
    store.arrays["status"][8:] = stores.TODO
    with pytest.raises(
        AdaprepError, match=r"not finished \(3 images missing\): run: adaprep boundaries --dataset blobs "
    ):
        samples.plan(folder, [outputs.Sampled(8, Uniform())])


def test_a_missing_image_fails_by_name(folder: stores.SplitFolder) -> None:
    listing.load(folder).frames[2].image.unlink()
    summary = run_samples(folder, [outputs.Sampled(8, Uniform())])
    assert [f.index for f in summary.failures] == [2, 7]
    assert "no such file" in summary.failures[0].reason


def test_the_mean_proposal_is_one_tensor_for_every_image(folder: stores.SplitFolder) -> None:
    output = outputs.Sampled(12, Mean.make(Wanted(mean=partial(samples.mean_proposal, folder))))
    run_samples(folder, [output])
    tensors = stores.open_store(folder.tensors((8, 8), 1.0))
    done = tensors["phi"][:][tensors.status() == stores.DONE].astype(np.float64)
    store = open_samples(folder, output)
    assert store.path.name == f"mean-8x8-lambda1-{store.parameters['mean']}-12.zarr"
    assert np.allclose(store["phi"][0, 0], done.mean(axis=(0, 1)), atol=1e-7)
    assert all(np.array_equal(phi, store["phi"][0, 0]) for phi in store["phi"][:7].reshape(-1, 2, 8, 8))
    picture = np.asarray(Image.open(listing.load(folder).frames[0].image))[:, :40]
    points = resize(store["phi"][0, 0].astype(float), (12, 12))
    assert np.array_equal(store["image"][0, 0], sample(picture, points))


def test_a_checkpoint_remembers_the_mean_proposal_to_the_bit(folder: stores.SplitFolder) -> None:
    made = Mean.make(Wanted(mean=partial(samples.mean_proposal, folder)))
    recalled = registry_of_samplers.recall({"sampler": "mean", **made.remembered()})
    assert recalled == made
    assert np.array_equal(recalled.fixed, made.fixed)  # type: ignore[arg-type]


def test_the_mean_before_the_proposals_names_the_command(folder: stores.SplitFolder) -> None:
    said = invoke(folder, "--sampler", "mean", "--lambda", "3")
    assert said.startswith("1 ")
    assert "Run: adaprep solve-tensors --lambda 3 --grid 8x8 --dataset blobs" in said
    assert invoke(folder, "--sampler", "mean", "--resolution", "8").startswith("1 ")  # one file has failed
