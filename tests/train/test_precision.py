"""Training in bfloat16: as good as in float32, and coordinates are not among what it rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline.networks.auxiliary import AuxiliaryNetwork  # noqa: E402
from tests.train.test_fit import losses, make_space  # noqa: E402

MakeBlobs = Callable[..., Path]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small only wait for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_bfloat16_trains_the_auxiliary_network_as_well_as_float32(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    space = make_space(make_blobs(train=32, val=2), tmp_path / "w")
    slow: dict[str, Any] = {"networks": ("auxiliary",), "rate": 3e-3, "epochs": 15}  # chaos takes longer
    full, short = (
        losses(space, precision=precision, device="cpu", **slow)["auxiliary"]
        for precision in ("float32", "bfloat16")
    )
    assert full[-5:].mean() < 0.75 * full[0]
    assert short[-5:].mean() < 1.05 * full[-5:].mean()
    assert short.mean() == pytest.approx(full.mean(), rel=0.05)
    assert not np.array_equal(short, full), "both were trained in the same precision"


def test_coordinates_are_not_rounded_to_bfloat16() -> None:
    torch.manual_seed(0)
    network = AuxiliaryNetwork(16, (8, 8), features=16, first=8).eval()
    torch.nn.init.normal_(network.head.weight, std=5)
    torch.nn.init.zeros_(network.mean_grid)
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        full = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            short = network(images)
    assert short.dtype == torch.float32
    assert float(full.abs().max()) > 0.5
    rounded = short.bfloat16().float() == short
    assert float(rounded.float().mean()) < 0.05, "offsets have no more bits than bfloat16"
    assert not torch.equal(short, full), "the layers below are in bfloat16"
    assert float((short - full).square().mean().sqrt()) < 2**-6 * float(full.square().mean().sqrt())


def test_weights_of_other_precisions_are_taken_as_they_are() -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    network = AuxiliaryNetwork(16, (4, 4), features=4, first=4).eval()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    with torch.no_grad():
        torch.testing.assert_close(network.double()(images), network.float()(images).double())
        assert network.bfloat16()(images).dtype == torch.bfloat16
