"""Which network `adaprep predict` takes: a file, a run by name, the best run; and its auxiliary network."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from pipeline.errors import AdaprepError  # noqa: E402
from pipeline.geometry.crops import WHOLE  # noqa: E402
from pipeline.inference import choosing  # noqa: E402
from pipeline.networks import checkpoint  # noqa: E402
from pipeline.workspace import stores  # noqa: E402
from tests.evaluation.test_evaluate import cli, save_auxiliary, save_base  # noqa: E402
from tests.inference.test_predict import picture  # noqa: E402
from tests.report.test_page import add_run  # noqa: E402

MakeBlobs = Callable[..., Path]


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def make_run(space: stores.Workspace, sampler: str, seed: int, miou: float, evaluated: bool = True) -> Path:
    """A run with untrained weights, whose files say that it is over."""
    folder = add_run(space, sampler, 12, seed, miou, miou, evaluated=evaluated)
    about = {}
    if sampler == "auxiliary":
        helper = space.runs_folder("blobs") / "auxiliary-8-seed0"
        helper.mkdir(exist_ok=True)
        about["auxiliary"] = checkpoint.load(save_auxiliary(helper / "best.pt")).identity
        settings = json.loads((folder / "settings.json").read_text())
        settings["settings"] |= about
        (folder / "settings.json").write_text(json.dumps(settings))
    weights = checkpoint.load(save_base(folder / "best.pt", sampler, **about)).identity
    change(folder / "result.json", weights=weights)
    if evaluated:
        change(folder / "evaluation-val.json", weights=weights)
    return folder


@pytest.fixture
def space(make_blobs: MakeBlobs, tmp_path: Path) -> stores.Workspace:
    """Uniform, predicted, the better one, and proposals, the best, which cannot label unknown images."""
    path = tmp_path / "w"
    assert cli("boundaries", "--dataset", make_blobs(), "--split", "val", "--workspace", path)[0] == 0
    found = stores.Workspace(path)
    for sampler, miou in (("uniform", 0.4), ("auxiliary", 0.5), ("proposal", 0.9)):
        make_run(found, sampler, 0, miou)
    return found


def choose(space: stores.Workspace, network: str | None = None, auxiliary: str | None = None):  # type: ignore[no-untyped-def]
    return choosing.choose(space, None, network, auxiliary)


def test_the_best_run_is_taken_with_the_network_that_sampled_for_it(
    space: stores.Workspace, tmp_path: Path
) -> None:
    options = ["--workspace", space.path, "--device", "cpu", "-o", tmp_path / "out"]
    code, said = cli("predict", picture(tmp_path / "x.png", 30, 20), *options)
    assert code == 0, said
    assert (
        "network: base-unet-auxiliary-12-seed0, mIoU 0.500 of central squares of val, as evaluated, "
        "the best of 2 runs; not usable here: base-unet-proposal-12-seed0 (trained on proposals" in said
    )
    assert (
        f"sampled with {space.runs_folder('blobs') / 'auxiliary-8-seed0' / 'best.pt'}, as in training" in said
    )
    assert (tmp_path / "out" / "labels" / "x.png").exists()


def test_figures_of_different_kinds_are_not_compared(space: stores.Workspace) -> None:
    make_run(space, "uniform", 1, 0.99, evaluated=False)  # validated only, as all are
    assert "base-unet-uniform-12-seed1, mIoU 0.990 in the validations" in choose(space).notes[0]
    other = make_run(space, "uniform", 2, 0.3)
    shutil.rmtree(space.runs_folder("blobs") / "base-unet-uniform-12-seed1")
    whole = json.loads((other / "evaluation-val.json").read_text()) | {"region": WHOLE}
    whole["systems"][0]["miou"] = 0.95
    (other / "whole-image-val.json").write_text(json.dumps(whole))
    best = choosing.best_run(space, None)  # three have central figures, one has others
    assert best.run.name == "base-unet-auxiliary-12-seed0"
    change(other / "evaluation-val.json", weights="of before")
    assert "of 2 runs; 1 without that figure left out" not in choosing.best_run(space, None).why
    assert "in the validations" in choosing.best_run(space, None).why


def test_a_run_is_named_or_its_folder_or_its_file(space: stores.Workspace) -> None:
    run = space.runs_folder("blobs") / "base-unet-uniform-12-seed0"
    for name in (run.name, f"blobs/{run.name}", str(run), str(run / "best.pt")):
        chosen = choose(space, name)
        assert chosen.base.path.samefile(run / "best.pt")
        assert (chosen.auxiliary, chosen.notes) == (None, ())
    with pytest.raises(
        AdaprepError, match=r"no run of that name .*Did you mean base-unet-uniform-12-seed0\?"
    ):
        choose(space, "base-unet-unifrom-12-seed0")
    with pytest.raises(AdaprepError, match="absent.pt"):
        choose(space, "absent.pt")
    with pytest.raises(AdaprepError, match=r"auxiliary network's checkpoint"):
        choose(space, "auxiliary-8-seed0")


def test_the_auxiliary_network_is_found_wherever_it_lies(space: stores.Workspace, tmp_path: Path) -> None:
    runs = space.runs_folder("blobs")
    base, helper = runs / "base-unet-auxiliary-12-seed0" / "best.pt", runs / "auxiliary-8-seed0" / "best.pt"
    assert choose(space, base.parent.name, "auxiliary-8-seed0").auxiliary == helper
    beside = tmp_path / "given"
    beside.mkdir()
    shutil.copy(base, beside / "street.pt")
    nowhere = stores.Workspace(tmp_path / "empty")
    with pytest.raises(
        AdaprepError, match="neither beside it nor in the workspace .*name it with --auxiliary"
    ):
        choose(nowhere, str(beside / "street.pt"))
    assert choose(space, str(beside / "street.pt")).auxiliary == helper
    shutil.copy(helper, beside / "other name.pt")
    assert choose(nowhere, str(beside / "street.pt")).auxiliary == beside / "other name.pt"
    helper.parent.rename(runs / "auxiliary-renamed")
    assert choose(space, base.parent.name).auxiliary == runs / "auxiliary-renamed" / "best.pt"
    shutil.rmtree(runs / "auxiliary-renamed")
    best = choosing.best_run(space, None)
    assert best.run.name == "base-unet-uniform-12-seed0"
    assert "base-unet-auxiliary-12-seed0 (its auxiliary network" in best.why


def test_without_a_network_the_command_is_named(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    space = stores.Workspace(tmp_path / "w")
    with pytest.raises(AdaprepError, match="no base network in the workspace .*\nRun: adaprep train"):
        choose(space)
    options = ["--workspace", space.path, "--device", "cpu", "-o", tmp_path / "out"]
    code, said = cli("predict", picture(tmp_path / "x.png", 30, 20), *options)
    assert code == 1
    assert re.search(r"Run: adaprep train --workspace \S+ or name a network with --checkpoint", said)


def test_evaluate_finds_the_network_that_sampled_for_a_checkpoint(space: stores.Workspace) -> None:
    base = space.runs_folder("blobs") / "base-unet-auxiliary-12-seed0" / "best.pt"
    options = ["--workspace", space.path, "--device", "cpu", "--json"]
    code, said = cli("evaluate", base, *options)
    assert code == 0, said
    named = cli("evaluate", base, *options, "--auxiliary", base.parents[1] / "auxiliary-8-seed0" / "best.pt")
    assert [json.loads(text)[0]["systems"][0]["miou"] for text in (said, named[1])] == 2 * [
        json.loads(said)[0]["systems"][0]["miou"]
    ]
