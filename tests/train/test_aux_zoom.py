"""`--aux-zoom` and `--aux-mirrored`: what is learned from, going on, what samples, what is recorded of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.report.page.commands import _auxiliary
from pipeline.workspace import stores
from tests.train.test_fit import (
    TINY,
    Interrupting,
    MakeBlobs,
    Stop,
    cli,
    make_space,
    run_folder,
    same,
    weights,
)

torch = pytest.importorskip("torch")

from pipeline.networks import checkpoint, macs  # noqa: E402
from pipeline.networks.auxiliary import AuxiliaryNetwork, MirroredNetwork, mirror, project  # noqa: E402
from pipeline.train import command, settings  # noqa: E402

BOTH = replace(TINY, auxiliary=replace(TINY.auxiliary, zoom=1.0, mirrored=True))
ALONE = replace(BOTH, networks=("auxiliary",))
NAME = "auxiliary-16-4x4-features8-zoom1-mirrored-seed0"


@pytest.fixture
def space(make_blobs: MakeBlobs, tmp_path: Path) -> stores.Workspace:
    return make_space(make_blobs(train=14, val=5), tmp_path / "w")


def test_a_run_on_squares_goes_on_to_the_same_bits_and_learns_from_others_than_whole_crops(
    space: stores.Workspace,
) -> None:
    request = replace(ALONE, save_every=2)
    command.run(space, None, request)
    folder = run_folder(space, request, "auxiliary")
    assert folder.name == NAME
    alone = {name: weights(folder / name) for name in ("last.pt", "best.pt")}
    shutil.rmtree(folder)
    with pytest.raises(Stop):
        command.run(space, None, request, command.Hooks(listener=lambda: Interrupting(4)))
    command.run(space, None, request)
    assert all(same(weights(folder / name), expected) for name, expected in alone.items())
    whole = replace(request, auxiliary=replace(request.auxiliary, zoom=0.0))
    command.run(space, None, whole)
    assert not same(weights(run_folder(space, whole, "auxiliary") / "last.pt"), alone["last.pt"])


def test_a_base_network_is_trained_on_what_it_samples_and_evaluated_with_it(space: stores.Workspace) -> None:
    assert command.run(space, None, replace(BOTH, epochs=1))
    folder = run_folder(space, BOTH, "auxiliary")
    found = checkpoint.load(folder / "best.pt", "auxiliary")
    assert found.arguments["mirrored"] is True
    assert found.about["zoom"] == 1.0
    recorded = json.loads((folder / "settings.json").read_text())["settings"]
    assert (recorded["zoom"], recorded["mirrored"]) == (1.0, True)
    words = list(map(str, _auxiliary(recorded)))
    assert words[-3:] == ["--aux-zoom", "1.0", "--aux-mirrored"]
    base = run_folder(space, BOTH, "base")
    assert checkpoint.load(base / "best.pt").about["auxiliary"] == found.identity
    factory = ("--architecture", BOTH.base.architecture)
    code, said = cli(space.path, "evaluate", base / "best.pt", *factory)
    assert code == 0, said


def test_runs_without_either_are_recorded_as_before(space: stores.Workspace) -> None:
    command.run(space, None, replace(TINY, networks=("auxiliary",), epochs=1))
    recorded = json.loads((run_folder(space, TINY, "auxiliary") / "settings.json").read_text())["settings"]
    assert not {"zoom", "mirrored"} & recorded.keys()
    assert settings.Auxiliary(zoom=1.0).name != settings.Auxiliary().name


def test_a_mirrored_network_predicts_the_mirrored_tensor_for_a_mirror_image() -> None:
    torch.manual_seed(0)
    network = MirroredNetwork(16, (4, 6), 8, 4).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    images = torch.rand(3, 3, 16, 16) * 255
    with torch.no_grad():
        found, turned = network(images), network(images.flip(-1))
        torch.testing.assert_close(turned, mirror(found))
        torch.testing.assert_close(project(turned), mirror(project(found)))
        alone = AuxiliaryNetwork(16, (4, 6), 8, 4).eval()
        alone.load_state_dict(network.state_dict())
        torch.testing.assert_close(found, (alone(images) + mirror(alone(images.flip(-1)))) / 2)
        assert not torch.allclose(found, alone(images))
    network.train(), alone.train()
    torch.testing.assert_close(network(images), alone(images))


def test_a_mirrored_network_costs_twice_as_much() -> None:
    costs = [
        macs.macs(kind(16, (4, 4), 8, 4).eval(), (3, 16, 16)) for kind in (AuxiliaryNetwork, MirroredNetwork)
    ]
    assert costs[1] == 2 * costs[0]
