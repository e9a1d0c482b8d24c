"""Predictions for the pictures of a report: which networks are shown, and that they are their systems'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline.evaluation import examples  # noqa: E402
from pipeline.geometry.crops import central_crop  # noqa: E402
from pipeline.inference.systems import load_base, open_system  # noqa: E402
from pipeline.networks import checkpoint  # noqa: E402
from pipeline.report import page  # noqa: E402
from pipeline.workspace import disk, results, stores  # noqa: E402
from tests.evaluation.test_evaluate import save_auxiliary, save_base  # noqa: E402
from tests.report.test_page import add_run, cli  # noqa: E402

CPU = torch.device("cpu")


def with_weights(
    held: stores.Workspace, sampler: str, resolution: int, seed: int, target: float = 0.3
) -> Path:
    """A complete run with an untrained network."""
    run = add_run(held, sampler, resolution, seed, 0.4, target)
    about = {} if sampler == "uniform" else {"auxiliary": _auxiliary(held)}
    save_base(run / "best.pt", sampler, resolution=resolution, **about)
    return run


def _auxiliary(held: stores.Workspace) -> str:
    folder = held.runs_folder("blobs") / "auxiliary-8-seed0"
    folder.mkdir(parents=True, exist_ok=True)
    return checkpoint.load(save_auxiliary(folder / "best.pt"), "auxiliary").identity


def test_of_equal_pairs_the_highest_of_the_first_seed_is_shown(space: stores.Workspace) -> None:
    for resolution, seed in ((12, 0), (16, 0), (16, 1)):
        for sampler in ("uniform", "auxiliary"):
            with_weights(space, sampler, resolution, seed)
    with_weights(space, "uniform", 20, 0)  # higher, but without a partner
    data, frames = page.shown(space, None, "val")
    found = examples.predict(space, data, frames, CPU)
    assert [one.name for one in found] == [frame.name for frame in frames]
    assert found[0].runs == ("base-unet-uniform-16-seed0", "base-unet-auxiliary-16-seed0")
    assert found[0].resolution == 16


def test_the_best_run_is_shown_whatever_its_resolution_and_seed(space: stores.Workspace) -> None:
    for resolution, seed, target in ((12, 0, 0.5), (12, 1, 0.6), (16, 0, 0.4)):
        with_weights(space, "uniform", resolution, seed)
        with_weights(space, "auxiliary", resolution, seed, target)
    data, frames = page.shown(space, None, "val")
    (one, *_) = examples.predict(space, data, frames[:1], CPU)
    assert one.runs == ("base-unet-uniform-12-seed1", "base-unet-auxiliary-12-seed1")


def test_without_evaluations_validation_says_which_run_is_best(space: stores.Workspace) -> None:
    for resolution, miou in ((12, 0.9), (16, 0.4)):
        for sampler in ("uniform", "auxiliary"):
            run = with_weights(space, sampler, resolution, 0)
            (run / "evaluation-val.json").unlink()
            results.write(
                run / "result.json", disk.read_json(run / "result.json") | {"figures": {"miou": miou}}
            )
    data, frames = page.shown(space, None, "val")
    (one, *_) = examples.predict(space, data, frames[:1], CPU)
    assert one.resolution == 12


def test_labels_and_tensors_are_those_of_the_systems(space: stores.Workspace) -> None:
    run = with_weights(space, "auxiliary", 12, 0)
    data, frames = page.shown(space, None, "val")
    (one, *_) = examples.predict(space, data, frames, CPU)
    auxiliary = run.parent / "auxiliary-8-seed0" / "best.pt"
    system, _ = open_system(load_base(run / "best.pt"), auxiliary, CPU)
    crop = central_crop(data.read_image(frames[0]))
    assert one.phi is not None
    assert np.array_equal(one.phi, system.tensor(crop))
    assert np.array_equal(one.adaptive, system.labels(crop, one.phi))
    assert one.uniform is None


def test_nothing_trained_is_no_example(space: stores.Workspace) -> None:
    data, frames = page.shown(space, None, "val")
    assert examples.predict(space, data, frames, CPU) == []


def test_a_lost_auxiliary_network_leaves_the_baseline(space: stores.Workspace) -> None:
    run = with_weights(space, "auxiliary", 12, 0)
    with_weights(space, "uniform", 12, 0)
    (run.parent / "auxiliary-8-seed0" / "best.pt").unlink()
    data, frames = page.shown(space, None, "val")
    (one, *_) = examples.predict(space, data, frames, CPU)
    assert one.adaptive is None
    assert one.uniform is not None
    assert one.runs == ("base-unet-uniform-12-seed0",)


def test_the_command_shows_predictions(space: stores.Workspace, tmp_path: Path) -> None:
    with_weights(space, "uniform", 12, 0)
    with_weights(space, "auxiliary", 12, 0)
    cli("report", "--workspace", space.path, "-o", tmp_path / "r", "--device", "cpu")
    text = (tmp_path / "r" / "index.html").read_text(encoding="utf-8")
    assert "Predicted by unet at 12 x 12" in text
    assert "networks that never saw these images" in text
    assert (tmp_path / "r" / "figures" / "image-1-predicted-adaptive.jpg").exists()
