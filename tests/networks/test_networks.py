"""Every network keeps the same contract; what each costs; making them by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn

from pipeline.errors import AdaprepError
from pipeline.geometry import tensors
from pipeline.networks import auxiliary, backbone, factory, macs
from pipeline.networks.auxiliary import AuxiliaryNetwork
from pipeline.networks.factory import ARCHITECTURES, build
from pipeline.networks.unet import UNet


class Small(nn.Module):
    """One convolution, and what becomes of its scores."""

    def __init__(self, classes: int, after: Callable[[nn.Module, Tensor], Any], stride: int = 1) -> None:
        super().__init__()
        self.layer, self.after = nn.Conv2d(3, classes, 3, stride, 1), after

    def forward(self, images: Tensor) -> Any:
        return self.after(self, self.layer(images))


def probabilities(classes: int) -> nn.Module:
    return Small(classes, lambda _, scores: scores.softmax(1))


def only_in_training(classes: int) -> nn.Module:
    return Small(classes, lambda self, scores: {"masks": scores} if self.training else scores)


def no_gradient(classes: int) -> nn.Module:
    return Small(classes, lambda _, scores: scores.detach())


WRONG: dict[str, tuple[Callable[[int], Any], str]] = {
    "a dictionary": (
        lambda n: Small(n, lambda _, s: {"masks": s}),
        r"to a dict, must be a tensor \(1, 4, 64, 64\)\. Return its entry 'masks' alone",
    ),
    "a tuple": (lambda n: Small(n, lambda _, s: (s, s)), "to a tuple.*Return its first entry alone"),
    "more pixels": (
        lambda n: Small(n, lambda _, s: s.repeat(1, 1, 2, 2)),
        r"to \(1, 4, 128, 128\).*Resize them",
    ),
    "a class less": (lambda n: Small(n - 1, lambda _, s: s), r"to \(1, 3, 64, 64\), must be \(1, 4"),
    "a class more": (lambda n: Small(n + 1, lambda _, s: s), r"to \(1, 5, 64, 64\), must be \(1, 4"),
    "an arg max": (lambda n: Small(n, lambda _, s: s.argmax(1)), "Leave the arg max over the classes out"),
    "integers": (lambda n: Small(n, lambda _, s: s.long()), "gives torch.int64 scores"),
    "probabilities": (probabilities, r"gives probabilities.*must be scores \(logits\)"),
    "no numbers": (lambda n: Small(n, lambda _, s: s * torch.nan), "are NaN or infinite in evaluation mode"),
    "no module": (lambda n: lambda images: images, "returned a function, must return a torch.nn.Module"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_network_that_gives_something_else_is_told_what_to_change(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(AdaprepError, match=message):
        build(make, 4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("probabilities", "gives probabilities"),
        ("only_in_training", r"\(2, 3, 16, 16\) to a dict.*Return its entry 'masks' alone"),
        ("no_gradient", "gives scores without gradients in training"),
    ],
)
def test_a_step_of_training_is_tried_out(name: str, message: str) -> None:
    state = torch.get_rng_state()
    with pytest.raises(AdaprepError, match=message):
        factory.try_out(f"tests.networks.test_networks:{name}", 4, 16)
    assert torch.equal(torch.get_rng_state(), state)


def pictures(*shape: int, seed: int = 0) -> Tensor:
    """Random uint8 images."""
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


class Contract:
    """What every base network owes; a subclass names the network and sizes that are quick for it."""

    name: ClassVar[str]
    arguments: ClassVar[dict[str, Any]] = {}
    sizes: ClassVar[list[tuple[int, int]]] = [(32, 32), (33, 46)]

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls) -> nn.Module:
        torch.manual_seed(0)
        network = build(cls.name, 5, **cls.arguments).eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):  # timm shuts residual branches by norms that start at zero
                nn.init.ones_(module.weight)
        return network

    def test_scores_have_the_size_of_the_images(self, network: nn.Module) -> None:
        for h, w in self.sizes:
            with torch.no_grad():
                assert network(pictures(1, 3, h, w)).shape == (1, 5, h, w)

    @pytest.mark.parametrize("classes", [2, 22])
    def test_one_score_map_a_class(self, classes: int) -> None:
        with torch.device("meta"):
            network = build(self.name, classes, **self.arguments).eval()
            assert network(torch.empty(3, 3, 64, 64)).shape == (3, classes, 64, 64)

    def test_uint8_images_and_floats_on_the_same_scale_are_alike(self, network: nn.Module) -> None:
        images = pictures(1, 3, 16, 16)
        with torch.no_grad():
            assert torch.equal(network(images), network(images.float()))

    def test_every_weight_gets_a_gradient(self, network: nn.Module) -> None:
        network.train()
        try:
            network(pictures(2, 3, 17, 17)).square().mean().backward()
        finally:
            network.eval()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name
        network.zero_grad()

    @pytest.mark.slow
    def test_exports(self, network: nn.Module) -> None:
        images = pictures(1, 3, 32, 32)
        exported = torch.export.export(network, (images,)).module()
        with torch.no_grad():
            torch.testing.assert_close(exported(images), network(images))


class TestUNet(Contract):
    name = "unet"
    arguments: ClassVar[dict[str, Any]] = {"widths": (4, 6, 8, 10)}
    sizes: ClassVar[list[tuple[int, int]]] = [(32, 32), (33, 46), (8, 8), (7, 1)]

    def test_any_number_of_levels(self) -> None:
        for widths in ([4], [4, 6], [4, 5, 6, 7, 8]):
            assert UNet(3, widths)(torch.zeros(2, 3, 32, 32)).shape == (2, 3, 32, 32)

    def test_no_levels_are_refused(self) -> None:
        with pytest.raises(ValueError, match="widths is empty"):
            UNet(3, [])

    def test_multiply_adds_to_the_digit(self) -> None:
        with torch.device("meta"):
            network = UNet(22)
        counted = [macs.macs(network, (3, side, side)) for side in (32, 64, 128, 256, 512)]
        assert [f"{count / 1e9:.3f}" for count in counted] == ["0.311", "1.246", "4.984", "19.936", "79.742"]


class TestPSPNet(Contract):
    name = "pspnet"
    sizes: ClassVar[list[tuple[int, int]]] = [(17, 24)]

    @pytest.mark.slow
    def test_every_weight_gets_a_gradient(self, network: nn.Module) -> None:
        super().test_every_weight_gets_a_gradient(network)

    def test_multiply_adds(self) -> None:
        assert f"{giga('pspnet', 22, 256):.1f}" == f"{giga('pspnet', 19, 256):.1f}" == "44.3"


class TestDeepLabV3Plus(Contract):
    name = "deeplabv3plus"
    sizes: ClassVar[list[tuple[int, int]]] = [(17, 24)]

    @pytest.mark.slow
    def test_every_weight_gets_a_gradient(self, network: nn.Module) -> None:
        super().test_every_weight_gets_a_gradient(network)

    def test_multiply_adds(self) -> None:
        assert f"{giga('deeplabv3plus', 19, 224):.1f}" == "32.8"

    def test_images_are_normalised_as_its_backbone_was_pretrained(self) -> None:
        with torch.device("meta"):
            network = build("deeplabv3plus", 2)
        assert tuple(network.network.mean) == tuple(network.network.std) == (0.5, 0.5, 0.5)


def giga(name: str, classes: int, side: int) -> float:
    with torch.device("meta"):
        network = build(name, classes)
    return macs.macs(network, (3, side, side)) / 1e9


class TestAuxiliaryNetwork:
    @pytest.mark.parametrize(
        ("resolution", "grid"),
        [
            (16, (8, 8)),
            (32, (8, 8)),
            (64, (8, 8)),
            (32, (2, 2)),
            (32, (32, 32)),
            (32, (5, 7)),
            (48, (8, 12)),
            (30, (4, 3)),
            (17, (8, 8)),
        ],
    )
    def test_starts_at_the_uniform_tensor(self, resolution: int, grid: tuple[int, int]) -> None:
        network = AuxiliaryNetwork(resolution, grid, features=4, first=4)
        u = torch.tensor(tensors.uniform(*grid), dtype=torch.float32)
        network.train()
        assert torch.equal(network(pictures(3, 3, resolution, resolution)), u.expand(3, -1, -1, -1))

    def test_every_weight_learns(self) -> None:
        """The head starts at zero, so that the layers below have no gradient at the very first step."""
        torch.manual_seed(0)
        network = AuxiliaryNetwork(32, features=8, first=8)
        before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        images = pictures(8, 3, 32, 32)
        proposals = network.mean_grid.detach() + 0.1 * torch.rand(8, 2, 8, 8)
        optimiser = torch.optim.Adam(network.parameters(), 3e-3)
        losses = []
        for _ in range(40):
            loss = (network(images) - proposals).square().sum((1, 2, 3)).mean()
            losses.append(loss.item())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert losses[-1] < losses[0] / 5
        for name, parameter in network.named_parameters():
            assert not torch.equal(parameter, before[name]), name

    def test_predicts_on_the_constraints(self) -> None:
        torch.manual_seed(0)
        network = AuxiliaryNetwork(16, (4, 6), features=4, first=4).eval()
        nn.init.normal_(network.mean_grid, std=3.0)
        images = pictures(2, 3, 16, 16)
        raw, phi = network(images).detach(), network.predict(images).detach()
        assert raw.min() < 0
        assert raw.max() > 1
        assert phi.numpy().tobytes() == tensors.project(raw.numpy()).tobytes()

    def test_uint8_images_and_floats_on_the_same_scale_are_alike(self) -> None:
        network = AuxiliaryNetwork(16, features=4, first=4).eval()
        nn.init.normal_(network.head.weight)
        images = pictures(2, 3, 16, 16)
        assert torch.equal(network(images), network(images.float()))

    def test_depth_follows_the_resolution_and_the_grid_alone_sets_the_rest(self) -> None:
        small, large = (AuxiliaryNetwork(side, features=4, first=4) for side in (16, 64))
        assert len(large.encoder) == len(small.encoder) + 2
        for part in ("boundary", "selection"):
            assert str(getattr(small, part)) == str(getattr(large, part))

    def test_images_of_another_size_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"\(1, 3, 64, 64\), this .* was made for 32 x 32: downsample"):
            AuxiliaryNetwork(32, features=4, first=4)(torch.zeros(1, 3, 64, 64))

    @pytest.mark.parametrize("grid", [(1, 8), (8, 33)])
    def test_grids_out_of_range_are_refused(self, grid: tuple[int, int]) -> None:
        with pytest.raises(ValueError, match=r"must have 2 points a side at least and 32 at most"):
            AuxiliaryNetwork(32, grid)

    def test_exports(self) -> None:
        torch.manual_seed(0)
        network = AuxiliaryNetwork(32, features=4, first=4).eval()
        nn.init.normal_(network.head.weight)
        images = pictures(2, 3, 32, 32)
        exported = torch.export.export(network, (images,)).module()
        torch.testing.assert_close(exported(images), network(images))


@settings(max_examples=50)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.just(2), st.integers(2, 5), st.integers(2, 5)),
        elements=st.floats(-2, 2, width=32),
    )
)
def test_projection_is_that_of_the_geometry(phi: Any) -> None:
    assert auxiliary.project(torch.from_numpy(phi)).numpy().tobytes() == tensors.project(phi).tobytes()


class TestMacs:
    def test_of_each_kind_of_layer(self) -> None:
        layers: list[tuple[nn.Module, int]] = [
            (nn.Conv2d(3, 8, 3, padding=1), 10 * 12 * 3 * 8 * 9),
            (nn.Conv2d(3, 8, 3, stride=2), 4 * 5 * 3 * 8 * 9),
            (nn.Conv2d(3, 6, 3, padding=1, groups=3), 10 * 12 * 6 * 9),
            (nn.ConvTranspose2d(3, 8, 2, stride=2), 10 * 12 * 3 * 8 * 4),
            (nn.Linear(12, 5), 3 * 10 * 12 * 5),
            (nn.BatchNorm2d(3), 0),
        ]
        for layer, count in layers:
            assert macs.macs(layer, (3, 10, 12)) == count, layer

    def test_a_layer_used_twice_counts_twice(self) -> None:
        layer = nn.Conv2d(3, 3, 1)
        assert macs.macs(nn.Sequential(layer, layer), (3, 4, 4)) == 2 * 9 * 16

    def test_leaves_the_network_as_it_was(self) -> None:
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        network[1].eval()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        macs.macs(network, (3, 8, 8))
        assert network.training
        assert not network[1].training
        assert not network[0]._forward_hooks
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())

    def test_a_network_that_looks_at_values_is_run(self) -> None:
        class Looks(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = nn.Conv2d(3, 2, 1)

            def forward(self, images: Tensor) -> Tensor:
                scores: Tensor = self.layer(images)
                return scores if scores.max() > 0 else -scores

        assert macs.macs(Looks(), (3, 4, 4)) == 3 * 2 * 16

    def test_parameters_are_the_trainable_ones(self) -> None:
        network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        network[1].requires_grad_(False)
        assert macs.parameters(network) == 16

    def test_table_stands_near_the_paper(self) -> None:
        """All but PSP-Net at 64: the paper's 4.20 is far from a quarter of its 11.08 at 128."""
        rows = list(macs.table())
        assert [row.paper for row in rows] == list(macs.PAPER)
        for row in rows:
            if (row.paper.network, row.paper.resolution) == ("pspnet", 64):
                assert row.macs / 1e9 == pytest.approx(2.82, abs=0.01)
            else:
                assert row.macs / 1e9 == pytest.approx(row.paper.giga, rel=0.03, abs=0.011), row

    @pytest.mark.parametrize(
        ("resolution", "low", "high"), [(16, 7, 8), (32, 16, 18), (64, 55, 57), (128, 210, 212)]
    )
    def test_auxiliary_network_costs_what_the_tables_leave_for_it(
        self, resolution: int, low: int, high: int
    ) -> None:
        """In 1e7: differences of two figures rounded to 0.01e9, as narrow as all rows together allow."""
        with torch.device("meta"):
            network = AuxiliaryNetwork(resolution)
        assert low <= macs.macs(network, (3, resolution, resolution)) / 1e7 <= high


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a module of the user's own and returns its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> str:
        name = f"own_networks_{len(list(tmp_path.iterdir()))}_{tmp_path.name}"
        (tmp_path / f"{name}.py").write_text("from torch import nn\n" + text, encoding="utf-8")
        return name

    return write


class TestBuild:
    def test_a_function_by_its_path(self, own_module: Callable[[str], str]) -> None:
        module = own_module(
            "def make(classes, width):\n    return nn.Conv2d(3, classes, width, padding='same')\n"
        )
        network = build(f"{module}:make", 4, width=3)
        assert network(pictures(2, 3, 9, 7)).shape == (2, 4, 9, 7)

    def test_a_function_itself(self) -> None:
        assert build(lambda classes: nn.Conv2d(3, classes, 1), 4)(pictures(1, 3, 5, 5)).shape == (1, 4, 5, 5)

    def test_own_normalisation_is_kept_with_the_weights(self) -> None:
        def make(classes: int) -> nn.Module:
            network = nn.Conv2d(3, classes, 1)
            network.mean, network.std = (0.25, 0.5, 0.75), (0.5, 0.5, 0.5)  # type: ignore[assignment]
            return network

        state = build(make, 2).state_dict()
        assert state["normalise.mean"].flatten().tolist() == [0.25, 0.5, 0.75]

    def test_starts_in_training_mode(self) -> None:
        assert all(module.training for module in build(lambda classes: UNet(classes, [4]), 2).modules())

    def test_unknown_name(self) -> None:
        with pytest.raises(AdaprepError) as caught:
            build("segformer", 4)
        assert str(caught.value) == (
            "no base network is called 'segformer'. Give one of unet, pspnet, deeplabv3plus, "
            "efficientnet-lite0, smp:DECODER:ENCODER, torchvision:NAME, timm:ENCODER, hf:FOLDER, or your "
            "own as package.module:factory."
        )

    def test_no_such_module(self) -> None:
        with pytest.raises(AdaprepError) as caught:
            build("no_such_package.networks:make", 4)
        assert str(caught.value) == (
            "no_such_package.networks:make: there is no module no_such_package, neither installed nor in "
            f"{Path.cwd()}. Install it, go to the folder that holds it, or add that folder to PYTHONPATH."
        )

    def test_module_that_needs_another(self, own_module: Callable[[str], str]) -> None:
        module = own_module("import no_such_dependency\n")
        with pytest.raises(AdaprepError) as caught:
            build(f"{module}:make", 4)
        assert str(caught.value) == (
            f"{module}:make: importing {module} failed: No module named 'no_such_dependency'."
        )

    def test_module_that_fails(self, own_module: Callable[[str], str]) -> None:
        module = own_module("1 / 0\n")
        with pytest.raises(
            AdaprepError, match=f"importing {module} failed: ZeroDivisionError: division by zero"
        ):
            build(f"{module}:make", 4)

    def test_no_such_function(self, own_module: Callable[[str], str], tmp_path: Path) -> None:
        module = own_module("")
        with pytest.raises(AdaprepError) as caught:
            build(f"{module}:make", 4)
        assert str(caught.value) == f"{module}:make: {tmp_path / module}.py has no make."

    def test_refused_arguments(self) -> None:
        with pytest.raises(
            AdaprepError, match=r"unet cannot be made with arguments \(4, depth=3\): .*'depth'"
        ):
            build("unet", 4, depth=3)

    def test_no_module_returned(self) -> None:
        with pytest.raises(AdaprepError, match=r"returned a int, must return a torch\.nn\.Module that maps"):
            build(lambda classes: classes, 4)  # type: ignore[arg-type, return-value]

    def test_scores_of_fewer_pixels_are_resized_with_the_corners_on_each_other(self) -> None:
        network = build(lambda classes: nn.Conv2d(3, classes, 2, stride=2), 4)
        images = pictures(1, 3, 10, 14)
        scores = network.network(network.normalise(images))
        resized = network(images)
        assert resized.shape == (1, 4, 10, 14)
        torch.testing.assert_close(
            resized[..., [0, -1]][..., [0, -1], :], scores[..., [0, -1]][..., [0, -1], :]
        )

    def test_no_tensor_returned(self) -> None:
        class Two(nn.Module):
            def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
                return images, images

        with pytest.raises(AdaprepError, match=r"to a tuple, must be a tensor \(1, 4, 64, 64\)"):
            build(lambda classes: Two(), 4)

    def test_network_that_fails(self) -> None:
        with pytest.raises(AdaprepError, match="cannot be applied to images of 64 x 64 pixels: RuntimeError"):
            build(lambda classes: nn.Conv2d(5, classes, 1), 4)

    def test_registered_factories_exist(self) -> None:
        assert all(callable(factory._imported(known.factory)) for known in ARCHITECTURES.values())


class TestPretrainedWeights:
    """With ResNet-18 in place of the large backbones."""

    name = "resnet18"

    @pytest.fixture
    def weights(self) -> dict[str, Tensor]:
        import timm

        torch.manual_seed(1)
        return dict(timm.create_model(self.name).state_dict())

    def test_are_read_from_a_file(self, weights: dict[str, Tensor], tmp_path: Path) -> None:
        torch.save(weights, tmp_path / "weights.pth")
        network = backbone.backbone(self.name, [4], tmp_path / "weights.pth")
        loaded = network.state_dict()
        assert len(loaded) == len(weights) - 2
        assert all(torch.equal(value, weights[name]) for name, value in loaded.items())

    def test_of_another_network_are_refused(self, weights: dict[str, Tensor], tmp_path: Path) -> None:
        path = tmp_path / "weights.pth"
        torch.save({name: value for name, value in weights.items() if "layer4" not in name}, path)
        with pytest.raises(AdaprepError) as caught:
            backbone.backbone(self.name, [4], path)
        assert str(caught.value) == (
            f"{path} holds no weights of resnet18: layer4.0.conv1.weight is missing. "
            "Give a file with the state of timm's resnet18, or leave the pretrained weights out."
        )

    def test_of_another_shape_are_refused(self, weights: dict[str, Tensor], tmp_path: Path) -> None:
        path = tmp_path / "weights.pth"
        torch.save({**weights, "conv1.weight": torch.zeros(64, 1, 7, 7)}, path)
        with pytest.raises(
            AdaprepError, match=r"conv1\.weight has shape \(64, 1, 7, 7\), must be \(64, 3, 7, 7\)"
        ):
            backbone.backbone(self.name, [4], path)

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(AdaprepError, match=r"no pretrained weights at .*nowhere\.pth: no such file"):
            build("pspnet", 2, pretrained=tmp_path / "nowhere.pth")

    def test_file_that_is_none(self, tmp_path: Path) -> None:
        path = tmp_path / "weights.pth"
        path.write_text("no weights", encoding="utf-8")
        with pytest.raises(AdaprepError, match="cannot be read as weights of a network"):
            backbone.backbone(self.name, [4], path)
