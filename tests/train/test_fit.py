"""`adaprep train`: learning, going on, refusing, and what it says when it cannot."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cli import main
from pipeline.errors import AdaprepError
from pipeline.metrics import ConfusionMatrix
from pipeline.workspace import stores

torch = pytest.importorskip("torch")

from pipeline.evaluation.upper_bound import load_truth  # noqa: E402
from pipeline.networks import checkpoint  # noqa: E402
from pipeline.networks.unet import UNet  # noqa: E402
from pipeline.progress import Silent  # noqa: E402
from pipeline.train import command, prepare, settings  # noqa: E402
from pipeline.workspace import results  # noqa: E402
from tests import processes  # noqa: E402
from tests.conftest import blobs_in, copied  # noqa: E402

MakeBlobs = Callable[..., Path]

TINY = settings.Request(
    ("auxiliary", "base"),
    settings.Auxiliary(16, grid=(4, 4), features=8),
    settings.Base("tests.train.test_fit:tiny", resolution=8, grid=(4, 4)),
    rate=1e-3,
    epochs=3,
    batch_size=4,
    device="cpu",
)


def tiny(classes: int) -> torch.nn.Module:
    return UNet(classes, (8, 8))


class Greedy(torch.nn.Module):
    """Asks for more memory than there is, but only while it is trained."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.network = UNet(classes, (8,))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and len(images) > 2:
            torch.empty(2**50)
        return self.network(images)


def greedy(classes: int) -> torch.nn.Module:
    return Greedy(classes)


def cli(space: Path, *args: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*map(str, args), "--workspace", str(space)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def make_space(yaml: Path, space: Path, *splits: str) -> stores.Workspace:
    chosen = [part for split in splits for part in ("--split", split)]
    assert cli(space, "boundaries", "--dataset", yaml, "--grid", "4", *chosen)[0] == 0
    assert cli(space, "solve-tensors")[0] == 0
    return stores.Workspace(space)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 images to train on, 5 to validate on, with boundaries and tensors of a 4 x 4 grid."""
    made = tmp_path_factory.mktemp("prepared") / "made"
    make_space(blobs_in(made)(train=14, val=5), made / "w")
    return made.rename(made.with_name("kept"))


@pytest.fixture
def space(prepared: Path, tmp_path: Path) -> stores.Workspace:
    """A copy of them, to change."""
    return stores.Workspace(copied(prepared, tmp_path))


def run_folder(space: stores.Workspace, request: settings.Request, network: str) -> Path:
    return space.run("blobs", request.run_name(network)).path


def weights(path: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(path).state


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def majority(space: stores.Workspace) -> ConfusionMatrix:
    """Of always naming the most frequent class, at full resolution."""
    found = prepare.open_splits(space, None, ("train", "val")).validation.found  # type: ignore[union-attr]
    truths = [load_truth(found.dataset, frame) for frame in found.frames]
    most = int(np.bincount(np.concatenate([t.ravel() for t in truths]), minlength=256)[:255].argmax())
    matrix = ConfusionMatrix(found.dataset.classes.names, found.dataset.classes.targets)
    for truth in truths:
        matrix.update(truth, np.full_like(truth, most))
    return matrix


def test_both_networks_learn(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    space = make_space(make_blobs(train=32, val=8), tmp_path / "w")
    request = replace(
        TINY,
        auxiliary=replace(TINY.auxiliary, features=16),
        base=replace(TINY.base, resolution=16),
        rate=1e-2,
        epochs=25,
        batch_size=8,
    )
    trained: list[Any] = []
    assert command.run(space, None, request, command.Hooks(trained=trained.append))
    auxiliary, base = trained
    assert auxiliary.figures["validation_loss"] < 0.9 * auxiliary.figures["uniform_loss"]
    constant = majority(space)
    assert base.figures["miou"] > 1.3 * constant.miou()
    assert base.figures["target_miou"] > 0.2
    assert base.figures["accuracy"] > constant.accuracy()
    for result in trained:
        losses = [float(row["loss"]) for row in results.read_history(result.path / "history.csv")]
        assert len(losses) == 25
        assert losses[-1] < 0.7 * losses[0]


def test_a_run_leaves_its_files(space: stores.Workspace) -> None:
    command.run(space, None, TINY)
    for network in ("auxiliary", "base"):
        folder = run_folder(space, TINY, network)
        names = {p.name for p in folder.iterdir()} - {".lock"}
        events = {name for name in names if name.startswith("events.out.tfevents")}
        assert len(events) == 1
        assert names - events == {"settings.json", "last.pt", "best.pt", "history.csv", "result.json"}
        best, last = checkpoint.load(folder / "best.pt"), checkpoint.load(folder / "last.pt")
        result = json.loads((folder / "result.json").read_text())
        assert (best.kind, best.training, set(last.training)) == (network, {}, {"position"})
        assert best.about["epoch"] == result["best_epoch"]
        assert best.about["dataset"] == "blobs"
        assert best.about["class_names"] == ["ground", "blob", "stick"]
    assert folder.name == "base-tests.train.test_fit-tiny-auxiliary16-8-4x4-seed0"
    base = checkpoint.load(folder / "best.pt", "base")
    auxiliary = checkpoint.load(run_folder(space, TINY, "auxiliary") / "best.pt", "auxiliary")
    assert base.about["auxiliary"] == auxiliary.identity
    assert base.arguments["classes"] == 3


def test_training_and_validation_samples_lie_where_the_trained_network_says(space: stores.Workspace) -> None:
    command.run(space, None, TINY)
    found = checkpoint.load(run_folder(space, TINY, "auxiliary") / "best.pt")
    network = found.build()
    for split in ("train", "val"):
        folder = space.path / "blobs" / split / "samples"
        store = stores.open_store(folder / f"auxiliary-{found.identity}-8.zarr", mode="r")
        small = stores.open_store(folder / "input-16-area.zarr", mode="r")["image"][0]
        phi = network.predict(torch.from_numpy(small.transpose(0, 3, 1, 2).copy())).detach().numpy()
        assert np.allclose(store["phi"][0], phi, atol=1e-6)


class Stop(Exception):
    pass


class Interrupting(Silent):
    """Raises at its n-th look at the losses."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def advanced(self, units: int, images: int, failures: int = 0, note: str = "") -> None:
        self.looks -= 1
        if self.looks == 0:
            raise Stop


@pytest.mark.parametrize("network", ["auxiliary", "base"])
@pytest.mark.parametrize("looks", [1, 4, 5])
def test_a_run_that_goes_on_ends_with_the_same_bits(
    space: stores.Workspace, tmp_path: Path, network: str, looks: int
) -> None:
    request = replace(
        TINY, networks=(network,), base=replace(TINY.base, sampler="proposal"), save_every=2, weight_decay=0.1
    )
    command.run(space, None, request)
    folder = run_folder(space, request, network)
    alone = {name: weights(folder / name) for name in ("last.pt", "best.pt")}
    rows = [drop_times(row) for row in results.read_history(folder / "history.csv")]
    shutil.rmtree(folder)
    with pytest.raises(Stop):
        command.run(space, None, request, command.Hooks(listener=lambda: Interrupting(looks)))
    left = checkpoint.load(folder / "last.pt") if (folder / "last.pt").exists() else None
    assert left is None or left.training["position"]["epoch"] < 3
    command.run(space, None, request)
    for name, expected in alone.items():
        assert same(weights(folder / name), expected)
    assert [drop_times(row) for row in results.read_history(folder / "history.csv")] == rows


def drop_times(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if name not in ("images_per_second", "seconds")}


def test_the_seed_and_nothing_else_decides(space: stores.Workspace, tmp_path: Path) -> None:
    uniform = replace(TINY, networks=("base",), base=replace(TINY.base, sampler="uniform"))
    found = []
    for seed, tag, workers in ((0, "a", 0), (0, "b", 2), (1, "c", 0)):
        request = replace(uniform, seed=seed, tag=tag, workers=workers)
        command.run(space, None, request)
        found.append(weights(run_folder(space, request, "base") / "last.pt"))
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_a_run_that_reads_from_disk_keeps_its_order_or_is_refused(
    space: stores.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.train.data.fits", lambda *_: False)
    uniform = replace(TINY, networks=("base",), base=replace(TINY.base, sampler="uniform"), save_every=2)
    command.run(space, None, uniform)
    folder = run_folder(space, uniform, "base")
    expected = weights(folder / "last.pt")
    shutil.rmtree(folder)
    with pytest.raises(Stop):
        command.run(space, None, uniform, command.Hooks(listener=lambda: Interrupting(3)))
    about = json.loads((folder / "settings.json").read_text())
    assert (about["machine"]["in_memory"], about["machine"]["pool"]) == (False, 4096)
    for changes, message in (
        ({"pool": None}, "begun by an earlier version, which read samples from disk in another order"),
        (
            {"processes": 2},
            r"begun by 2 processes, and the order.* depends on their number; now there are 1",
        ),
    ):
        other = {**about, "machine": {**about["machine"], **changes}}
        (folder / "settings.json").write_text(json.dumps(other))
        with pytest.raises(AdaprepError, match=message) as error:
            command.run(space, None, uniform)
        assert "Use --overwrite to start it again, or --tag WORD to keep both." in str(error.value)
    (folder / "settings.json").write_text(json.dumps(about))
    command.run(space, None, replace(uniform, workers=1))
    assert same(weights(folder / "last.pt"), expected)


def test_a_complete_run_is_skipped_and_changed_settings_are_refused_by_name(space: stores.Workspace) -> None:
    request = replace(TINY, networks=("auxiliary",))
    command.run(space, None, request)
    folder = run_folder(space, request, "auxiliary")
    before = (folder / "last.pt").stat().st_mtime_ns
    results: list[Any] = []
    command.run(space, None, request, command.Hooks(trained=results.append))
    assert results[0].skipped
    assert "complete already; best at epoch" in results[0].describe()
    assert (folder / "last.pt").stat().st_mtime_ns == before
    changed = replace(request, rate=1e-4, augmentation={"flip": 0.0})
    with pytest.raises(AdaprepError) as error:
        command.run(space, None, changed)
    assert "  rate: 0.001 in the run, 0.0001 asked for" in str(error.value)
    assert '  augmentation: {"flip": 0.5,' in str(error.value)
    assert "Use --overwrite to start it again, or --tag WORD to keep both." in str(error.value)
    command.run(space, None, replace(changed, overwrite=True))
    assert json.loads((folder / "settings.json").read_text())["settings"]["rate"] == 1e-4


def test_a_loss_of_the_users_own_trains(space: stores.Workspace) -> None:
    chosen = replace(TINY.auxiliary, loss="tests.train.test_losses:absolute")
    trained: list[Any] = []
    request = replace(TINY, networks=("auxiliary",), auxiliary=chosen, epochs=1)
    assert command.run(space, None, request, command.Hooks(trained=trained.append))
    assert "tests.train.test_losses-absolute" in trained[0].name
    assert checkpoint.load(trained[0].path / "best.pt").about["loss"] == chosen.loss


def test_other_data_under_the_same_name_are_refused(space: stores.Workspace) -> None:
    request = replace(TINY, networks=("auxiliary",))
    command.run(space, None, request)
    tensors = stores.open_store(space.folder("blobs", "train").tensors((4, 4), 1.0))
    for store in (tensors, stores.open_store(space.folder("blobs", "train").boundaries)):
        store.arrays["source"][0] = (1, 2)
    with pytest.raises(AdaprepError, match="data_tensors_train"):
        command.run(space, None, request)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(
    space: stores.Workspace,
) -> None:
    base = replace(TINY.base, sampler="uniform")
    request = replace(TINY, networks=("base",), base=base, rate=1e30, save_every=1)
    with pytest.raises(AdaprepError) as error:
        command.run(space, None, request)
    message = str(error.value)
    assert "the loss became nan at epoch 1, step 2, learning rate" in message
    assert "The checkpoint before that is kept" in message
    assert "Try a lower --learning-rate, with --overwrite." in message
    kept = checkpoint.load(run_folder(space, request, "base") / "last.pt")
    assert kept.training["position"]["step"] == 1
    assert all(value.isfinite().all() for value in kept.state.values())


class Sleeper(torch.nn.Module):
    """Its scores are numbers in training alone, once it has learnt a little."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.network = UNet(classes, (8,))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores = self.network(images)
        if self.training:
            self.steps += 1
            return scores
        return scores * (torch.nan if self.steps > 1 else 1)


def sleeper(classes: int) -> torch.nn.Module:
    return Sleeper(classes)


def test_scores_that_are_no_numbers_in_validation_alone_stop_the_run(space: stores.Workspace) -> None:
    base = replace(TINY.base, sampler="uniform", architecture="tests.train.test_fit:sleeper")
    with pytest.raises(
        AdaprepError, match="the scores are no numbers in validation at epoch 1, step.*--learning-rate"
    ):
        command.run(space, None, replace(TINY, networks=("base",), base=base))


@pytest.mark.parametrize("option", ["--learning-rate", "--weight-decay", "--lambda"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_options_that_are_no_finite_numbers_are_refused(tmp_path: Path, option: str, value: str) -> None:
    code, output = cli(tmp_path / "w", "train", option, value)
    assert code == 2
    assert f"Invalid value for '{option}'" in output


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 0.0, -1.0, 1e38])
def test_rates_that_cannot_be_are_refused(rate: float) -> None:
    with pytest.raises(AdaprepError, match="must be numbers from 0 to 1e.30, the rate above 0"):
        command.check(replace(TINY, rate=rate))


def test_a_network_that_cannot_be_trained_is_refused_before_anything_is_sampled(
    space: stores.Workspace,
) -> None:
    base = replace(TINY.base, architecture="tests.networks.test_networks:probabilities")
    with pytest.raises(AdaprepError, match="gives probabilities"):
        command.run(space, None, replace(TINY, base=base))
    assert not (space.path / "blobs" / "runs").exists()
    assert not (space.path / "blobs" / "train" / "samples").exists()


def test_fewer_images_than_a_batch_are_one_batch_and_it_is_said(space: stores.Workspace) -> None:
    said: list[str] = []
    request = replace(TINY, networks=("base",), base=replace(TINY.base, sampler="uniform"), batch_size=64)
    assert command.run(space, None, request, command.Hooks(waiting=said.append))
    assert said == [f"{request.run_name('base')}: 14 images to train on, so a step takes so many, not 64"]


@pytest.mark.parametrize(
    "damage",
    [b"", b"\xff\xfe\x00", b"epoch\n1\n", b"epoch,step\nx,y\n1,2,3,4,5,6\n", b'"' * 99, b"\x00" * 9],
)
def test_a_damaged_history_does_not_stop_a_run(
    space: stores.Workspace, damage: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    request = replace(TINY, networks=("base",), base=replace(TINY.base, sampler="uniform"))
    command.run(space, None, request)
    folder = run_folder(space, request, "base")
    (folder / "result.json").unlink()
    (folder / "history.csv").write_bytes(damage)
    assert command.run(space, None, request)
    assert (folder / "result.json").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("result.json", "{}", "result.json is damaged: epochs is missing. Delete it"),
        ("result.json", '{"figures": [1]}', "result.json is damaged"),
        ("result.json", "[]", "result.json is damaged"),
        ("settings.json", "{}", "settings.json is damaged: it has no settings.*--overwrite"),
        ("settings.json", '{"settings": 3}', "settings.json is damaged"),
    ],
)
def test_damaged_json_of_a_run_is_a_sentence(
    space: stores.Workspace, name: str, text: str, message: str
) -> None:
    request = replace(TINY, networks=("base",), base=replace(TINY.base, sampler="uniform"), epochs=1)
    command.run(space, None, request)
    folder = run_folder(space, request, "base")
    (folder / name).write_text(text)
    with pytest.raises(AdaprepError, match=message):
        command.run(space, None, request)
    if name == "result.json":
        (folder / name).unlink()
        assert command.run(space, None, request)


@pytest.mark.parametrize(
    "changes",
    [{"epoch": "1"}, {"epoch": -1}, {"step": 10**9}, {"figures": 3}, {"loss": None}, {"speed": 1}],
)
def test_a_position_that_cannot_be_is_a_sentence(space: stores.Workspace, changes: dict[str, Any]) -> None:
    request = replace(TINY, networks=("base",), base=replace(TINY.base, sampler="uniform"), epochs=1)
    command.run(space, None, request)
    folder = run_folder(space, request, "base")
    (folder / "result.json").unlink()
    found = checkpoint.load(folder / "last.pt")
    training = {"position": {**found.training["position"], **changes}}
    rest = (found.arguments, found.state, found.about, training)
    checkpoint.save(folder / "last.pt", "base", found.network, *rest)
    with pytest.raises(AdaprepError, match=r"cannot go on: .*last.pt.*Start it again with --overwrite"):
        command.run(space, None, request)


def test_a_damaged_checkpoint_to_go_on_from_is_a_sentence(space: stores.Workspace) -> None:
    request = replace(TINY, networks=("base",), base=replace(TINY.base, sampler="uniform"), epochs=1)
    command.run(space, None, request)
    folder = run_folder(space, request, "base")
    (folder / "result.json").unlink()
    whole = bytearray((folder / "last.pt").read_bytes())
    whole[len(whole) // 2] ^= 4
    (folder / "last.pt").write_bytes(whole)
    with pytest.raises(AdaprepError, match=r"cannot go on: .* is damaged.* start it again with --overwrite"):
        command.run(space, None, request)


@pytest.mark.parametrize("place", ["import", "begin", "add"])
def test_a_broken_tensorboard_is_said_once_and_the_run_goes_on(
    space: stores.Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
) -> None:
    from pipeline.train import history

    pytest.importorskip("tensorboard")
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    history._say.cache_clear()

    class Writer:
        def __init__(self, *_: object, **__: object) -> None:
            if place == "begin":
                raise TypeError("Descriptors cannot be created directly.")

        def add_scalar(self, *_: object) -> None:
            raise OSError(28, "No space left on device")

    if place == "import":
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setattr(tensorboard, "SummaryWriter", Writer)
    request = replace(TINY, networks=("base",), base=replace(TINY.base, sampler="uniform"), epochs=2)
    assert command.run(space, None, request)
    assert capsys.readouterr().err.count("TensorBoard does not work here") == 1
    assert len(results.read_history(run_folder(space, request, "base") / "history.csv")) == 2


def test_too_little_memory_suggests_half_the_batch(space: stores.Workspace) -> None:
    base = replace(TINY.base, sampler="uniform", architecture="tests.train.test_fit:greedy")
    with pytest.raises(AdaprepError, match="ran out at a batch of 4 crops.*--batch-size 2 --overwrite"):
        command.run(space, None, replace(TINY, networks=("base",), base=base))


def test_another_checkpoint_in_the_runs_place_is_refused(space: stores.Workspace) -> None:
    request = replace(TINY, networks=("auxiliary",))
    command.run(space, None, request)
    folder = run_folder(space, request, "auxiliary")
    (folder / "result.json").unlink()
    found = checkpoint.load(folder / "last.pt")
    about = {**found.about, "dataset": "camvid"}
    checkpoint.save(
        folder / "last.pt", "auxiliary", "auxiliary", found.arguments, found.state, about, {"a": 1}
    )
    with pytest.raises(AdaprepError, match="was trained with dataset camvid, but dataset blobs is asked for"):
        command.run(space, None, request)


def test_a_sampling_network_of_another_data_set_is_refused(space: stores.Workspace, tmp_path: Path) -> None:
    command.run(space, None, replace(TINY, networks=("auxiliary",)))
    found = checkpoint.load(run_folder(space, TINY, "auxiliary") / "best.pt")
    other = tmp_path / "other.pt"
    about = {**found.about, "class_names": ["sky"]}
    checkpoint.save(other, "auxiliary", "auxiliary", found.arguments, found.state, about)
    request = replace(TINY, networks=("base",), checkpoint=other)
    with pytest.raises(AdaprepError, match="was trained with class_names"):
        command.run(space, None, request)
    shutil.copy(run_folder(space, TINY, "auxiliary") / "best.pt", other)
    assert command.run(space, None, request)


def test_without_validation_split_the_training_loss_decides(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    space = make_space(make_blobs(), tmp_path / "w", "train")
    trained: list[Any] = []
    command.run(space, None, TINY, command.Hooks(trained=trained.append))
    for result in trained:
        rows = results.read_history(result.path / "history.csv")
        best = min(rows, key=lambda row: float(row["loss"]))
        assert result.best_epoch == int(best["epoch"])
        assert result.figures == {"training_loss": pytest.approx(float(best["loss"]), rel=1e-5)}


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--lambda", "3"), "no tensors of grid 4x4, lambda 3. Run: adaprep solve-tensors --lambda 3"),
        (("--train-split", "dev"), "Run: adaprep boundaries --dataset blobs --split dev"),
        (("--network", "base"), "Run: adaprep train --network auxiliary --grid 4x4"),
        (("--network", "base", "--checkpoint", "absent.pt"), "no checkpoint at absent.pt: it does not exist"),
        (("--checkpoint", "some.pt"), "use it with --network base --sampler auxiliary"),
        (("--augment", "blur=1"), "no augmentation is called 'blur'; there are: flip, brightness, contrast"),
        (("--augment", "flip"), "flip: give KEY=NUMBER"),
        (("--sampler", "uniform", "--architecture", "resnet"), "no base network is called 'resnet'"),
        (("--device", "cuda"), "--device cuda: PyTorch"),
    ],
)
def test_what_cannot_be_trained_is_explained(
    space: stores.Workspace, args: tuple[str, ...], sentence: str
) -> None:
    if "cuda" in args and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    code, output = cli(space.path, "train", "--grid", "4", *args)
    assert code == (2 if "KEY=NUMBER" in sentence else 1)
    assert sentence in output


def test_an_empty_workspace_says_where_to_start(tmp_path: Path) -> None:
    code, output = cli(tmp_path / "nothing", "train")
    assert code == 1
    assert "Start with: adaprep boundaries --dataset NAME" in output


def test_a_dry_run_says_what_and_writes_nothing(space: stores.Workspace) -> None:
    code, output = cli(space.path, "train", "--grid", "4", "--dry-run")
    assert code == 0
    for words in (
        "would train",
        "auxiliary-32-4x4-seed0",
        "500 epochs, 8 crops a step, learning rate 0.0001 falling to 1e-06",
        "first samples 14 images of blobs/train (input-32-area)",
        "samples with the auxiliary network, once that is trained",
    ):
        assert words in output
    assert not (space.path / "blobs" / "runs").exists()
    assert not (space.path / "blobs" / "train" / "samples").exists()


def test_the_command_trains_on_what_it_can_read_and_says_what_it_cannot(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs()
    space = make_space(yaml, tmp_path / "w")
    (yaml.parent / "images" / "train" / "0002.jpg").unlink()
    args = [
        "--sampler",
        "uniform",
        "--architecture",
        "tests.train.test_fit:tiny",
        "--resolution",
        8,
        "--epochs",
        2,
    ]
    code, output = cli(space.path, "train", *args, "--device", "cpu")
    assert code == 1
    assert "0002" in output
    assert "base-tests.train.test_fit-tiny-uniform-8-seed0: 2 epochs in" in output
    assert "best at epoch" in output


@pytest.mark.slow
def test_layers_that_are_not_used_do_not_stop_several_processes(space: stores.Workspace) -> None:
    options = ["--sampler", "uniform", "--architecture", "tests.train.test_fit:unused", "--resolution", "8"]
    options += ["--epochs", "1", "--batch-size", "4", "--device", "cpu", "--workspace", str(space.path)]
    done = processes.together(["train", *options])
    assert [one.returncode for one in done] == [0, 0], done
    assert sum("1 epoch in" in one.stdout for one in done) == 1


class Unused(UNet):
    """With a layer that its scores do not depend on."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes, (8,))
        self.extra = torch.nn.Linear(3, 3)


def unused(classes: int) -> torch.nn.Module:
    return Unused(classes)


def losses(space: stores.Workspace, **changes: Any) -> dict[str, np.ndarray]:
    """Training losses by epoch of each network, without augmentation, which would hide what is learnt."""
    trained: list[Any] = []
    request = replace(
        TINY,
        auxiliary=replace(TINY.auxiliary, features=16),
        base=replace(TINY.base, resolution=16),
        batch_size=8,
        validate_every=100,
        augmentation={"flip": 0.0, "brightness": 0.0, "contrast": 0.0, "salt_and_pepper": 0.0},
        tag=changes["precision"],
        **changes,
    )
    assert command.run(space, None, request, command.Hooks(trained=trained.append))
    found = {}
    for network, result in zip(request.networks, trained, strict=True):
        assert not any(v.dtype == torch.bfloat16 for v in weights(result.path / "best.pt").values())
        assert checkpoint.load(result.path / "best.pt").build([TINY.base.architecture]) is not None
        rows = results.read_history(result.path / "history.csv")
        found[network] = np.array([float(row["loss"]) for row in rows])
    return found


def check_that_both_learn(space: stores.Workspace, device: str) -> None:
    precisions = ("float32", "bfloat16")
    full, short = (losses(space, precision=p, device=device, rate=1e-2, epochs=30) for p in precisions)
    for network in ("auxiliary", "base"):
        for found in (full[network], short[network]):
            assert found[-5:].mean() < 0.6 * found[0]
    assert short["auxiliary"][-5:].mean() < 1.15 * full["auxiliary"][-5:].mean()


@pytest.mark.slow
def test_both_networks_learn_in_either_precision(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    check_that_both_learn(make_space(make_blobs(train=32, val=2), tmp_path / "w"), "cpu")


@pytest.mark.gpu
def test_both_networks_learn_on_a_gpu(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    check_that_both_learn(make_space(make_blobs(train=32, val=2), tmp_path / "w"), "cuda")
