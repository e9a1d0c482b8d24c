"""`--aux-head solver`: where it starts, going on, what samples with it, and what is recorded of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import AdaprepError
from pipeline.geometry.tensors import uniform
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

from pipeline.networks import checkpoint  # noqa: E402
from pipeline.networks.auxiliary import AuxiliaryNetwork  # noqa: E402
from pipeline.train import command, settings  # noqa: E402

SOLVING = replace(TINY, auxiliary=replace(TINY.auxiliary, head="solver"))
ALONE = replace(SOLVING, networks=("auxiliary",))


@pytest.fixture
def space(make_blobs: MakeBlobs, tmp_path: Path) -> stores.Workspace:
    return make_space(make_blobs(train=14, val=5), tmp_path / "w")


def test_it_starts_at_the_mean_proposal(space: stores.Workspace) -> None:
    """Also where a crop has no boundary: it counts as the uniform tensor, which is its proposal."""
    folder = space.folder("blobs", "train")
    store = stores.open_store(folder.tensors((4, 4), 1.0))
    proposals, nearest = store["phi"][:], store["b"][:]
    proposals[2], nearest[2] = uniform(4, 4), np.nan
    store.arrays["phi"][:], store.arrays["b"][:] = proposals, nearest
    command.run(space, None, replace(ALONE, rate=1e-12, epochs=1))
    network = checkpoint.load(run_folder(space, ALONE, "auxiliary") / "best.pt").build()
    with torch.no_grad():
        found = network(torch.zeros(1, 3, 16, 16))[0].numpy()
    np.testing.assert_allclose(found, proposals.mean((0, 1)), atol=1e-5)


def test_a_run_that_goes_on_ends_with_the_same_bits(space: stores.Workspace) -> None:
    request = replace(ALONE, save_every=2)
    command.run(space, None, request)
    folder = run_folder(space, request, "auxiliary")
    alone = {name: weights(folder / name) for name in ("last.pt", "best.pt")}
    shutil.rmtree(folder)
    with pytest.raises(Stop):
        command.run(space, None, request, command.Hooks(listener=lambda: Interrupting(4)))
    command.run(space, None, request)
    assert all(same(weights(folder / name), expected) for name, expected in alone.items())


def test_a_base_network_is_trained_on_what_it_samples_and_evaluated_with_it(space: stores.Workspace) -> None:
    assert command.run(space, None, replace(SOLVING, epochs=1))
    folder = run_folder(space, SOLVING, "auxiliary")
    assert folder.name == "auxiliary-16-4x4-features8-solver-seed0"
    found = checkpoint.load(folder / "best.pt", "auxiliary")
    assert found.arguments["solver"] == 1.0
    base = run_folder(space, SOLVING, "base")
    assert checkpoint.load(base / "best.pt").about["auxiliary"] == found.identity
    factory = ("--architecture", SOLVING.base.architecture)
    code, said = cli(space.path, "evaluate", base / "best.pt", *factory)
    assert code == 0, said


def test_runs_say_how_they_end_only_where_that_is_not_the_usual(space: stores.Workspace) -> None:
    for request, head in ((replace(TINY, networks=("auxiliary",)), None), (ALONE, "solver")):
        command.run(space, None, replace(request, epochs=1))
        written = json.loads((run_folder(space, request, "auxiliary") / "settings.json").read_text())
        assert written["settings"].get("head") == head


def test_the_network_that_is_missing_is_named_with_its_head(space: stores.Workspace) -> None:
    with pytest.raises(AdaprepError, match=r"adaprep train .*--aux-head solver"):
        command.run(space, None, replace(SOLVING, networks=("base",)))


def test_the_report_repeats_it() -> None:
    about = {"resolution": 32, "filter": "area", "loss": "proposal", "features": 64, "grid": [8, 8]}
    assert "--aux-head" not in _auxiliary({**about, "lambda": 1.0})
    words = [str(word) for word in _auxiliary({**about, "lambda": 1.0, "head": settings.SOLVER})]
    assert " ".join(words).endswith("--aux-head solver")


@pytest.mark.parametrize("lam", [-1.0, float("nan"), "much", True])
def test_a_file_with_another_lambda_is_refused(tmp_path: Path, lam: object) -> None:
    arguments = {"resolution": 16, "grid": [4, 4], "features": 4, "first": 4, "solver": 1.0}
    state = AuxiliaryNetwork(**arguments).state_dict()  # type: ignore[arg-type]
    path = tmp_path / "a.pt"
    checkpoint.save(path, "auxiliary", "auxiliary", {**arguments, "solver": lam}, state, {})
    with pytest.raises(AdaprepError, match=r"arguments\['solver'\] is .*, must be a lambda of at least 0"):
        checkpoint.load(path)


def test_weights_of_another_head_are_refused(tmp_path: Path) -> None:
    arguments = {"resolution": 16, "grid": [4, 4], "features": 4, "first": 4}
    state = AuxiliaryNetwork(**arguments).state_dict()  # type: ignore[arg-type]
    checkpoint.save(tmp_path / "a.pt", "auxiliary", "auxiliary", {**arguments, "solver": 1.0}, state, {})
    with pytest.raises(AdaprepError, match=r"head\.weight: copying a param with shape"):
        checkpoint.load(tmp_path / "a.pt").build()
