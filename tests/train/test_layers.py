"""Layers by hand-made values: the normalisation of images, and the skips of the U-Nets."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from pipeline.networks.auxiliary import AuxiliaryNetwork  # noqa: E402
from pipeline.networks.blocks import IMAGENET_MEAN, IMAGENET_STD, Normalise, Up  # noqa: E402
from pipeline.networks.factory import BaseNetwork  # noqa: E402
from pipeline.networks.unet import UNet  # noqa: E402

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Given(nn.Module):
    """A network that states how its images are normalised, and returns them."""

    mean, std = MEAN, STD

    def forward(self, images: Tensor) -> Tensor:
        return images


@pytest.mark.parametrize(
    "normalise",
    [
        Normalise(MEAN, STD),
        BaseNetwork(Given()),
        AuxiliaryNetwork(8, (4, 4), features=2, first=2, mean=MEAN, std=STD).normalise,
    ],
    ids=["by itself", "base network", "auxiliary network"],
)
def test_images_lose_the_mean_and_are_divided_by_the_deviation(normalise: nn.Module) -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    expected = [
        [-0.2, 0.2, 1.8],  # (x / 255 - 0.1) / 0.5
        [-0.8, 0.0, 3.2],  # (x / 255 - 0.2) / 0.25
        [-2.4, -0.8, 5.6],  # (x / 255 - 0.3) / 0.125
    ]
    torch.testing.assert_close(normalise(images)[0, :, 0], torch.tensor(expected), rtol=1e-5, atol=1e-5)


def test_networks_without_a_wish_are_given_imagenets_normalisation() -> None:
    for network in (BaseNetwork(nn.Identity()), AuxiliaryNetwork(8, (4, 4), features=2, first=2)):
        normalise: Any = network.normalise
        assert normalise.mean.flatten().tolist() == pytest.approx(IMAGENET_MEAN)
        assert normalise.std.flatten().tolist() == pytest.approx(IMAGENET_STD)
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert IMAGENET_STD == (0.229, 0.224, 0.225)


def test_going_up_uses_both_inputs() -> None:
    torch.manual_seed(0)
    up = Up(6, 4, 5).eval()
    features, skip = noise(1, 6, 3, 4), noise(1, 4, 5, 8, seed=1)
    before = up(features, skip)
    assert before.shape == (1, 5, 5, 8)
    assert not torch.allclose(up(features, skip + noise(1, 4, 5, 8, seed=2)), before, atol=1e-2)
    assert not torch.allclose(up(features + noise(1, 6, 3, 4, seed=2), skip), before, atol=1e-2)
    corner = skip.clone()
    corner[..., 0, 0] += 1
    there = (up(features, corner) - before).abs().sum(dim=(0, 1)) > 0
    assert there[:2, :2].any()
    assert not there[2:].any(), "a skip reaches its own place alone"
    assert not there[:, 2:].any()


def inputs_of(
    network: nn.Module, kind: type[nn.Module], images: Tensor
) -> list[tuple[nn.Module, Any, Tensor]]:
    """Every call of modules of a kind, in order: the module, its arguments, its result."""
    calls: list[tuple[nn.Module, Any, Tensor]] = []
    hooks = [
        module.register_forward_hook(lambda module, args, out: calls.append((module, args, out)))
        for module in network.modules()
        if isinstance(module, kind)
    ]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return calls


def test_the_unet_hands_each_level_to_the_same_level_on_the_way_up() -> None:
    torch.manual_seed(0)
    network = UNet(3, (4, 5, 6, 7)).eval()
    images = noise(1, 3, 16, 24)
    levels: list[Tensor] = []
    hooks = [b.register_forward_hook(lambda m, args, out: levels.append(out.clone())) for b in network.down]
    calls = inputs_of(network, Up, images)
    for hook in hooks:
        hook.remove()
    assert [module for module, _, _ in calls] == list(network.up)
    for (_, (_, skip), _), level in zip(calls, reversed(levels[:-1]), strict=True):
        assert level.any()
        assert torch.equal(skip, level)


def test_both_hourglasses_of_the_auxiliary_network_hand_their_input_across() -> None:
    torch.manual_seed(0)
    network = AuxiliaryNetwork(16, (8, 8), features=4, first=4).eval()
    images = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8)
    entered: list[Tensor] = []
    hooks = [
        part.register_forward_hook(lambda m, args, out: entered.append(args[0].clone()))
        for part in (network.boundary, network.selection)
    ]
    calls = inputs_of(network, Up, images)
    for hook in hooks:
        hook.remove()
    assert len(calls) == len(entered) == 2
    for (_, (_, skip), _), features in zip(calls, entered, strict=True):
        assert features.any()
        assert torch.equal(skip, features)
