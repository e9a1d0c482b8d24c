"""What cannot work is refused before any work, in a dry run too, and leaves no run folder behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import main
from pipeline.errors import AdaprepError
from pipeline.train import environment
from tests import processes
from tests.faults.harness import World, make_world

pytest.importorskip("torch")

SMALL = ("--resolution", "8", "--aux-resolution", "8", "--aux-features", "4", "--grid", "4", "--epochs", "1")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("early"), train=4, val=2).prepare("boundaries", "solve-tensors")


def adaprep(world: World, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--workspace", str(world.space)])


REFUSED = {
    "network": (("--architecture", "resnet"), "no base network is called 'resnet'"),
    "factory": (("--architecture", "no_such_module:make"), "there is no module no_such_module"),
    "weights": (("--architecture", "pspnet", "--pretrained", "nothing.pt"), "nothing.pt"),
    "device": (("--device", "cuda:99"), "--device cuda:99"),
    "loss": (("--aux-loss", "no_such_module:loss"), "no_such_module"),
    "grid": (("--grid", "16"), "resolution 8 cannot predict a grid of 16x16"),
    "augmentation": (("--augment", "sepia=1"), "no augmentation is called 'sepia'"),
}


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "dry-run"])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(*case, id=name, marks=[pytest.mark.slow] if name == "weights" else [])
        for name, case in REFUSED.items()
    ],
)
def test_train_refuses_before_any_work(
    world: World, options: tuple[str, ...], sentence: str, dry: tuple[str, ...]
) -> None:
    result = adaprep(world, "train", *SMALL, "--device", "cpu", *options, *dry)
    assert result.exit_code == 1, result.output
    assert sentence in " ".join(result.output.split())
    assert not world.space.joinpath("blobs", "runs").exists()
    assert not world.space.joinpath("blobs", "train", "samples").exists()


BREAKING = """
import torch

class Breaks(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, classes, 1)

    def forward(self, images):
        return self.layer(images) * (float("nan") if self.training and len(images) > 2 else 1)
"""


def test_a_run_that_fails_before_it_has_learnt_anything_leaves_no_folder(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "breaking_network.py").write_text(BREAKING)
    monkeypatch.syspath_prepend(tmp_path)
    options = ("--sampler", "uniform", "--architecture", "breaking_network:Breaks", "--device", "cpu")
    result = adaprep(world, "train", *SMALL, *options)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), result.output
    runs = world.space / "blobs" / "runs"
    assert not runs.exists() or not list(runs.iterdir())


FILES: dict[str, tuple[Callable[[Path], tuple[str, ...]], str]] = {
    "plot": (lambda _: ("upper-bound", "--plot", "x.xyz"), ".xyz is no format of pictures"),
    "curves": (lambda _: ("boundary-error", "--plot", "x.xyz"), ".xyz is no format of pictures"),
    "picture": (lambda _: ("show", "0", "-o", "x.xyz"), ".xyz is no format of pictures"),
    "no suffix": (lambda _: ("show", "0", "-o", "x"), "the name has no suffix"),
    "in a file": (lambda file: ("show", "0", "-o", f"{file}/x.png"), "is not a folder"),
    "report": (lambda file: ("report", "-o", str(file)), "that is a file"),
    "a folder": (
        lambda file: ("upper-bound", "--split", "val", "--plot", f"{file.parent}/a.png"),
        "that is a folder",
    ),
}


@pytest.mark.parametrize(("command", "sentence"), FILES.values(), ids=FILES)
def test_outputs_that_cannot_be_written_are_refused_before_any_work(
    world: World, tmp_path: Path, command: Callable[[Path], tuple[str, ...]], sentence: str
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    (tmp_path / "a.png").mkdir()
    result = adaprep(world, *command(file))
    assert result.exit_code in (1, 2), result.output
    assert sentence in " ".join(result.output.split())
    assert isinstance(result.exception, SystemExit)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("command", ["boundaries", "check", "demo", "status", "train", "predict", "verify"])
def test_a_workspace_below_a_file_is_refused_by_every_command(
    world: World, tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").write_text("mine")
    more = {
        "boundaries": ("--dataset", str(world.yaml)),
        "check": ("--dataset", str(world.yaml)),
        "predict": ("a.jpg", "--checkpoint", "b.pt", "-o", str(tmp_path / "out")),
    }.get(command, ())
    result = CliRunner().invoke(main, [command, *more, "--workspace", str(tmp_path / "file" / "w")])
    assert result.exit_code == 1
    assert f"{tmp_path / 'file'} is not a folder" in " ".join(result.output.split())


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with two GPUs: only which of them is chosen, nothing runs there."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_is_chosen_by_its_number() -> None:
    from pipeline.train.processes import choose_device, gpus

    chosen = {name: str(choose_device(name)) for name in ("auto", "cpu", "cuda", "cuda:0", "cuda:1")}
    assert chosen == {
        "auto": "cuda:0",
        "cpu": "cpu",
        "cuda": "cuda:0",
        "cuda:0": "cuda:0",
        "cuda:1": "cuda:1",
    }
    assert (gpus("auto"), gpus("cuda:1"), gpus("cpu"), gpus("mps")) == (["0", "1"], ["1"], [], [])
    with pytest.raises(
        AdaprepError, match=r"--device cuda:2: there is no such GPU here; there are cuda:0 to"
    ):
        choose_device("cuda:2")
    with pytest.raises(AdaprepError, match="several processes take a GPU each. Give --device cuda"):
        choose_device("cuda:1", local=1)


def test_an_apple_gpu_that_is_not_there_is_a_sentence() -> None:
    import torch

    from pipeline.train.processes import choose_device

    if torch.backends.mps.is_available():
        pytest.skip("there is one here")
    with pytest.raises(AdaprepError, match="--device mps: PyTorch .* sees no Apple GPU here"):
        choose_device("mps")


def left_over() -> None:
    """In the command's process: what a shell may still say, and a shorter patience with it."""
    os.environ.update(WORLD_SIZE="2", RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT="29673")
    environment.UNEXPECTED = 3.0


@pytest.mark.slow
def test_a_world_size_that_was_left_in_the_environment_ends_in_seconds_and_says_what_is_waited_for(
    world: World,
) -> None:
    assert environment.UNEXPECTED <= 20
    done = processes.run(
        ["train", *SMALL, "--device", "cpu", "--workspace", world.space], first=left_over, timeout=300
    )
    assert done.returncode == 1
    assert "waiting for the other processes at 127.0.0.1:29673: this is process 1 of 2" in done.stderr
    assert "gives up after 3 s" in done.stderr
    assert "To train in this process alone: unset WORLD_SIZE" in " ".join(done.stderr.split())
