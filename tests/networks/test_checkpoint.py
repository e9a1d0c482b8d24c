"""Checkpoints: written whole or not at all, read with care, refused with reasons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import AdaprepError
from pipeline.networks import checkpoint
from pipeline.networks.auxiliary import AuxiliaryNetwork
from pipeline.networks.factory import build

ABOUT: dict[str, Any] = {
    "dataset": "blobs",
    "class_names": ["ground", "blob", "stick"],
    "targets": [1, 2],
    "lambda": 1.0,
    "resolution": 24,
    "filter": "area",
}
BASE: dict[str, Any] = {"classes": 3, "widths": [4, 6]}
AUXILIARY: dict[str, Any] = {"resolution": 16, "grid": (4, 4), "features": 4, "first": 4}


def write_base(path: Path, **changes: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    network = build("unet", **BASE)
    values = {"kind": "base", "network": "unet", "arguments": BASE, "about": ABOUT, **changes}
    checkpoint.save(path, state_dict=network.state_dict(), **values)
    return network


def write_auxiliary(path: Path) -> AuxiliaryNetwork:
    torch.manual_seed(0)
    network = AuxiliaryNetwork(**AUXILIARY)
    checkpoint.save(path, "auxiliary", "auxiliary", AUXILIARY, network.state_dict(), ABOUT)
    return network


def rewritten(path: Path, **changes: Any) -> Path:
    content = torch.load(path, weights_only=True)
    torch.save({**content, **changes}, path)
    return path


def test_a_base_network_comes_back_as_it_was(tmp_path: Path) -> None:
    network = write_base(tmp_path / "base.pt").eval()
    found = checkpoint.load(tmp_path / "base.pt", "base")
    assert (found.kind, found.network, found.arguments, found.about) == ("base", "unet", BASE, ABOUT)
    again = found.build()
    assert not again.training
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(again(images), network(images))


def test_an_auxiliary_network_comes_back_as_it_was(tmp_path: Path) -> None:
    network = write_auxiliary(tmp_path / "auxiliary.pt").eval()
    again = checkpoint.load(tmp_path / "auxiliary.pt", "auxiliary").build()
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(again(images), network(images))


def test_normalisation_travels_with_the_weights(tmp_path: Path) -> None:
    network = AuxiliaryNetwork(**AUXILIARY, mean=(0.1, 0.2, 0.3), std=(1, 1, 1))
    checkpoint.save(tmp_path / "a.pt", "auxiliary", "auxiliary", AUXILIARY, network.state_dict(), {})
    again = checkpoint.load(tmp_path / "a.pt").build()
    assert torch.equal(again.normalise.mean, network.normalise.mean)


def test_what_a_training_run_needs_to_go_on_is_kept(tmp_path: Path) -> None:
    network = build("unet", **BASE)
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.zeros(2, 3, 8, 8)).square().mean().backward()
    optimiser.step()
    training = {"epoch": 7, "optimiser": optimiser.state_dict(), "random": torch.get_rng_state()}
    checkpoint.save(tmp_path / "b.pt", "base", "unet", BASE, network.state_dict(), ABOUT, training)
    found = checkpoint.load(tmp_path / "b.pt").training
    assert found["epoch"] == 7
    torch.optim.Adam(network.parameters()).load_state_dict(found["optimiser"])
    assert torch.equal(found["random"], training["random"])


def test_pretrained_weights_need_not_be_there_again(tmp_path: Path) -> None:
    write_base(tmp_path / "base.pt", arguments={**BASE, "pretrained": tmp_path / "gone.pth"})
    assert "pretrained" not in checkpoint.load(tmp_path / "base.pt").arguments


def test_identity_names_network_and_weights(tmp_path: Path) -> None:
    network = write_base(tmp_path / "a.pt")
    write_base(tmp_path / "b.pt", about={"dataset": "another"})
    with torch.no_grad():
        network.network.head.bias += 1
    checkpoint.save(tmp_path / "c.pt", "base", "unet", BASE, network.state_dict(), ABOUT)
    a, b, c = (checkpoint.load(tmp_path / f"{name}.pt").identity for name in "abc")
    assert a == b != c
    assert len(a) == 12


def test_an_interrupted_save_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_base(tmp_path / "base.pt")
    before = (tmp_path / "base.pt").read_bytes()

    def full(content: Any, file: Any) -> None:
        file.write(b"half a")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(AdaprepError) as caught:
        write_base(tmp_path / "base.pt")
    assert str(caught.value) == (
        f"the disk is full: no space left to write {tmp_path / 'base.pt'}. What was finished before is kept: "
        f"make room (or move the workspace) and run the same command again."
    )
    assert (tmp_path / "base.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["base.pt"]


def test_folders_are_made(tmp_path: Path) -> None:
    write_base(tmp_path / "runs" / "first" / "base.pt")
    assert checkpoint.load(tmp_path / "runs" / "first" / "base.pt").kind == "base"


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"lambda": np.float32(1)}, r"about\['lambda'\] is a float32, must be plain data"),
        ({"grid": {"h": [8, Path("8")]}}, r"about\['grid'\]\['h'\]\[1\] is a PosixPath, must be plain data"),
        ({"names": {1: "ground"}}, r"about\['names'\] has the key 1 of type int, must be str"),
    ],
)
def test_what_is_not_plain_data_is_refused_before_it_is_written(
    tmp_path: Path, about: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_base(tmp_path / "base.pt", about=about)
    assert not list(tmp_path.iterdir())


def test_unknown_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kind is 'teacher', must be one of auxiliary, base"):
        write_base(tmp_path / "base.pt", kind="teacher")


class TestLoading:
    def message(self, path: Path, **arguments: Any) -> str:
        with pytest.raises(AdaprepError) as caught:
            checkpoint.load(path, **arguments)
        return str(caught.value)

    def test_missing_file(self, tmp_path: Path) -> None:
        path = tmp_path / "base.pt"
        assert self.message(path) == f"no checkpoint at {path}: it does not exist."
        assert self.message(tmp_path) == f"no checkpoint at {tmp_path}: it is a folder."

    @pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
    def test_truncated_file(self, tmp_path: Path, share: float) -> None:
        path = tmp_path / "base.pt"
        write_base(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        assert self.message(path) == (
            f"{path} is damaged, or no checkpoint at all. If it was copied here, copy it again."
        )

    def test_a_file_that_holds_code(self, tmp_path: Path) -> None:
        path = tmp_path / "network.pt"
        torch.save(build("unet", **BASE), path)
        assert self.message(path) == f"{path} is not a checkpoint of adaprep."

    def test_another_programs_checkpoint(self, tmp_path: Path) -> None:
        path = tmp_path / "weights.pth"
        torch.save({"state_dict": {}}, path)
        assert self.message(path) == (
            f"{path} is not a checkpoint of adaprep: PyTorch reads it, but it is another program's."
        )

    def test_newer_format(self, tmp_path: Path) -> None:
        write_base(tmp_path / "base.pt")
        path = rewritten(tmp_path / "base.pt", version=2)
        assert self.message(path) == (
            f"{path} is written in format 2, this adaprep reads up to 1. Update adaprep."
        )

    def test_incomplete(self, tmp_path: Path) -> None:
        path = tmp_path / "base.pt"
        torch.save({"format": checkpoint.FORMAT, "version": 1, "kind": "base", "state": {}}, path)
        assert self.message(path) == (
            f"{path} is an incomplete checkpoint: it has no network, arguments, about, training."
        )

    def test_wrong_kind(self, tmp_path: Path) -> None:
        write_base(tmp_path / "base.pt")
        write_auxiliary(tmp_path / "auxiliary.pt")
        assert self.message(tmp_path / "base.pt", kind="auxiliary") == (
            f"{tmp_path / 'base.pt'} is a base network's checkpoint, an auxiliary one is needed."
        )
        assert self.message(tmp_path / "auxiliary.pt", kind="base") == (
            f"{tmp_path / 'auxiliary.pt'} is an auxiliary network's checkpoint, a base network's is needed."
        )


class TestExpectations:
    def test_that_hold(self, tmp_path: Path) -> None:
        write_auxiliary(tmp_path / "auxiliary.pt")
        checkpoint.load(tmp_path / "auxiliary.pt").expect(grid=[4, 4], resolution=16, dataset="blobs")

    def test_another_grid(self, tmp_path: Path) -> None:
        path = tmp_path / "auxiliary.pt"
        write_auxiliary(path)
        with pytest.raises(AdaprepError) as caught:
            checkpoint.load(path).expect(grid=(8, 8))
        assert str(caught.value) == (
            f"{path} was trained with grid 4 x 4, but grid 8 x 8 is asked for. "
            "Ask for 4 x 4, or train a network for 8 x 8."
        )

    def test_another_number_of_classes(self, tmp_path: Path) -> None:
        path = tmp_path / "base.pt"
        write_base(path)
        with pytest.raises(AdaprepError, match="was trained with classes 3, but classes 22 is asked for"):
            checkpoint.load(path).expect(classes=22)

    def test_unrecorded(self, tmp_path: Path) -> None:
        path = tmp_path / "base.pt"
        write_base(path)
        with pytest.raises(AdaprepError) as caught:
            checkpoint.load(path).expect(grid=(8, 8))
        assert str(caught.value) == f"{path} does not say its grid; grid 8 x 8 is asked for."


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_base(tmp_path / "base.pt")
    path = rewritten(tmp_path / "base.pt", arguments={**BASE, "classes": 4})
    with pytest.raises(
        AdaprepError, match=r"(?s)base\.pt does not fit the network unet as it is now: .*head\.weight"
    ):
        checkpoint.load(path).build()
