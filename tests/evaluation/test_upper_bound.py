"""The upper bound: what it measures, on what, and what it says to bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli import main
from pipeline.datasets import registry
from pipeline.errors import AdaprepError
from pipeline.evaluation import upper_bound
from pipeline.evaluation.upper_bound import BoundSetting
from pipeline.stages import engine
from tests.conftest import shared

MakeBlobs = Callable[..., Path]


def invoke(*args: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["upper-bound", *map(str, args)])
    return result.exit_code, result.output


def test_sampling_every_pixel_loses_nothing(make_blobs: MakeBlobs) -> None:
    dataset = registry.load(str(make_blobs(val=3, size=(33, 47))))
    wanted = upper_bound.settings([33], [], [])
    report = upper_bound.run(dataset, "val", dataset.frames("val"), wanted)
    row = report.rows()[0]
    assert row["sampler"] == "uniform"
    assert row["miou"] == row["target_miou"] == row["object_recall"] == 1


def test_more_samples_keep_more_and_adaptive_keeps_more_of_the_targets(make_blobs: MakeBlobs) -> None:
    dataset = registry.load(str(make_blobs(val=12, size=(120, 150), seed=1)))
    wanted = upper_bound.settings([8, 16, 32], [(8, 8)], [1.0])
    rows = upper_bound.run(dataset, "val", dataset.frames("val"), wanted).rows()
    uniform = [r["target_miou"] for r in rows if r["sampler"] == "uniform"]
    adaptive = [r["target_miou"] for r in rows if r["sampler"] == "8x8, lambda 1"]
    assert uniform == sorted(uniform)
    assert all(a > u for a, u in zip(adaptive, uniform, strict=True))


@pytest.mark.parametrize(
    "where", [engine.Scheduler(threads=3), engine.Scheduler(workers=1)], ids=["threads", "process"]
)
def test_the_same_figures_wherever_it_runs(make_blobs: MakeBlobs, where: engine.Scheduler) -> None:
    dataset = registry.load(str(make_blobs(val=6)))
    wanted = upper_bound.settings([8, 16], [(4, 6)], [0.5, 2])
    alone = upper_bound.run(dataset, "val", dataset.frames("val"), wanted, engine.Scheduler(threads=1))
    other = upper_bound.run(dataset, "val", dataset.frames("val"), wanted, where)
    assert alone.rows() == other.rows()
    assert len(alone.rows()) == 2 * 3


def test_the_command_prints_a_table_json_and_a_plot(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs()
    plot = tmp_path / "bound.png"
    code, output = invoke("--dataset", yaml, "--split", "val", "--resolution", "8,16", "--plot", plot)
    assert code == 0, output
    assert "mIoU targets" in output
    assert "full resolution of the central square crop" in output
    assert Image.open(plot).size[0] > 1000
    code, output = invoke("--dataset", yaml, "--split", "val", "--resolution", "8", "--json")
    facts = json.loads(output)[0]
    assert facts["measured_at"] == "full resolution of the central square crop"
    assert facts["objects_from"] == "components"
    assert [s["sampler"] for s in facts["settings"]] == ["uniform", "8x8, lambda 1"]


def test_bad_files_are_listed_and_left_out(make_blobs: MakeBlobs) -> None:
    yaml = make_blobs(val=4)
    (yaml.parent / "labels" / "val" / "0002.png").write_bytes(b"")
    code, output = invoke("--dataset", yaml, "--split", "val", "--resolution", "8")
    assert code == 1
    assert "3 images" in output
    assert "empty file (0 bytes)" in output


def test_a_resolution_below_two_is_refused() -> None:
    with pytest.raises(AdaprepError, match="resolution 1 is too small: the least is 2"):
        upper_bound.settings([1], [], [])
    code, output = invoke("--resolution", "1")
    assert code == 2
    assert "give whole numbers of at least 2" in output


def test_uniform_on_camvid_agrees_with_an_independent_computation() -> None:
    """Against SciPy's griddata on one frame: one-hot scores, linear, arg max; ties and void aside."""
    from scipy.interpolate import RegularGridInterpolator

    from pipeline.geometry.interpolation import interpolate_label_map
    from pipeline.geometry.sampling import sample
    from pipeline.geometry.tensors import uniform

    dataset = registry.load("camvid", shared("camvid"))
    truth = upper_bound.load_truth(dataset, dataset.frames("val")[10])
    phi = uniform(32, 32)
    labels = sample(truth, phi)
    ours = interpolate_label_map(labels, phi, truth.shape)
    axis = np.linspace(0, 1, 32)
    points = np.stack(np.meshgrid(np.linspace(0, 1, 360), np.linspace(0, 1, 360), indexing="ij"), axis=-1)
    scores = [RegularGridInterpolator((axis, axis), (labels == c).astype(float))(points) for c in range(11)]
    theirs = np.argmax(scores, axis=0)
    known = np.isin(labels, range(11)).all()
    agree = (ours == theirs)[truth != 255].mean()
    assert agree > (0.97 if known else 0.95), agree  # bilinear against linear in triangles


def test_camvid_figures_stay_as_documented() -> None:
    dataset = registry.load("camvid", shared("camvid"))
    wanted = [BoundSetting(64), BoundSetting(64, (8, 8), 1.0)]
    uniform, adaptive = upper_bound.run(dataset, "val", dataset.frames("val"), wanted).rows()
    assert uniform["miou"] == pytest.approx(0.832, abs=0.002)
    assert uniform["target_miou"] == pytest.approx(0.816, abs=0.002)
    assert adaptive["miou"] == pytest.approx(0.844, abs=0.002)
    assert adaptive["target_miou"] == pytest.approx(0.858, abs=0.002)
