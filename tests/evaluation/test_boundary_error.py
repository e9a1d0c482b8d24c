"""Appendix A: slopes and constants where they are known exactly, and the command on data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli import main
from pipeline.datasets import registry
from pipeline.errors import AdaprepError
from pipeline.evaluation import boundary_error as stage
from pipeline.geometry import curves
from pipeline.geometry.tensors import uniform
from pipeline.report import boundary_error as report
from tests.conftest import shared


@pytest.mark.parametrize("segments", [4, 16, 128])
def test_chords_of_a_circle_miss_it_by_the_sagitta(segments: int) -> None:
    circle = stage.shape("circle")
    radius, half = 0.3 * (stage.SIDE - 1), np.pi / segments
    largest, mean, back = stage.chord_errors(circle, segments)
    assert largest == pytest.approx(radius * (1 - np.cos(half)), rel=1e-3)
    assert back == pytest.approx(largest, rel=1e-3)
    assert largest / 2 < mean < largest * 0.7  # two thirds in the limit, less the ends that are exact


@pytest.mark.parametrize(
    ("name", "kappa"), [("circle", 1 / (0.3 * 1024)), ("ellipse", 0.36 / 0.15**2 / 1024)]
)
def test_the_largest_curvature_is_the_exact_one(name: str, kappa: float) -> None:
    assert stage.shape(name).kappa == pytest.approx(kappa, rel=1e-4)


@pytest.mark.parametrize("name", stage.SHAPES)
@pytest.mark.parametrize("segments", [32, 128])
def test_chords_stay_within_the_bound_and_come_near_it(name: str, segments: int) -> None:
    curve = stage.shape(name)
    assert curve.kappa is not None
    bound = stage.BOUND * curve.kappa * curve.length**2 / (3 * segments) ** 2
    assert 0.5 * bound < stage.chord_errors(curve, segments)[0] < 1.002 * bound


def test_the_mask_is_what_the_curve_encloses() -> None:
    curve = stage.shape("five lobes", (3.3, -8.1), side=257)
    assert curve.mask is not None
    outline = stage.outlines(curve.mask)
    assert len(outline) == 1
    assert curves.hausdorff([curve.points], outline, 0.1) < 1


def test_a_uniform_grid_errs_by_less_than_a_cell_and_by_half_as_much_with_twice_the_side() -> None:
    errors = []
    for n in (17, 33, 65):
        found = [stage.grid_error(stage.shape("circle", s, side=257), uniform(n, n)) for s in stage.SHIFTS]
        assert all(e is not None and e < np.sqrt(2) * 256 / (n - 1) for e in found)
        errors.append(np.mean([e for e in found if e is not None]))
    assert np.log2(errors[0] / errors[2]) == pytest.approx(2, abs=0.35)


def test_a_curve_between_the_samples_is_lost() -> None:
    circle = stage.shape("circle", side=257)
    speck = np.zeros((257, 257), bool)
    speck[50, 50] = True
    lost = stage.Curve("speck", circle.points, 257, speck)
    assert stage.grid_error(lost, uniform(9, 9)) is None


def test_slopes_are_those_of_a_power_law_and_leave_out_what_lost_a_curve() -> None:
    points = [stage.Measured(n, 5 * n**-1.5, 2) for n in (10, 20, 40, 80)]
    series = stage.Series("uniform", (stage.Measured(5, 99.0, 1, lost=1), *points))
    assert series.slope() == pytest.approx(-1.5)
    assert series.final_slope() == pytest.approx(-1.5)
    assert series.local_slopes()[0] is None
    assert series.local_slopes()[1:] == pytest.approx([-1.5] * 3)


def test_a_circle_known_by_its_pixels_stops_at_the_size_of_a_pixel() -> None:
    chords = stage.measure("traced", [stage.traced_circle()]).find("chords")
    errors = {p.samples: p.error for p in chords.points}
    assert errors[12] / errors[24] > 3.5
    assert 0.5 < errors[384] < 1


@pytest.mark.slow
def test_smooth_curves_have_the_slopes_of_the_paper(tmp_path: Path) -> None:
    found = stage.run_shapes()
    for group in found.groups[:3]:
        assert group.find("chords").final_slope() == pytest.approx(-2, abs=0.12)
        assert group.find("uniform").slope() == pytest.approx(-0.5, abs=0.05)
        assert group.bound == pytest.approx(1, abs=0.01)
        for lam in stage.LAMBDAS:
            adaptive = group.find(stage.method(lam))
            assert -0.75 < (adaptive.slope() or 0) < -0.4
            assert adaptive.points[-1].error < group.find("uniform").points[-1].error
    report.plot(found, tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").size[0] > 1000


def disc_dataset(root: Path, radii: list[int]) -> Path:
    """Label maps of 120 x 140 with a disc each, and their YAML file."""
    rows, cols = np.mgrid[:120, :140]
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for i, radius in enumerate(radii):
        disc = ((rows - 60) ** 2 + (cols - 70) ** 2 <= radius**2).astype(np.uint8)
        Image.fromarray(disc).save(root / "labels" / f"{i}.png")
        Image.fromarray(np.zeros((120, 140, 3), np.uint8)).save(root / "images" / f"{i}.jpg")
    yaml = root / "discs.yaml"
    yaml.write_text(
        "name: discs\nclasses:\n  - {id: 0, name: ground}\n  - {id: 1, name: disc}\ntargets: [disc]\n"
        "splits:\n  val: {images: images, labels: labels}\n",
        encoding="utf-8",
    )
    return yaml


def test_the_command_measures_outlines_of_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "SEGMENTS", (4, 8, 16))
    monkeypatch.setattr(stage, "RESOLUTIONS", (12, 24, 48))
    yaml = disc_dataset(tmp_path, [40, 3, 50])
    arguments = ["boundary-error", "--dataset", str(yaml), "--lambda", "1", "--plot", str(tmp_path / "p.png")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "discs/val, 2 outlines" in result.output  # the small disc is too short
    assert "8x8, lambda 1" in result.output
    assert (tmp_path / "p.png").exists()
    result = CliRunner().invoke(main, [*arguments[:-2], "--json"])
    facts = json.loads(result.stdout)
    assert [g["name"] for g in facts["groups"]] == [
        "outlines as annotated",
        "smoothed by 4 px",
        "smoothed by 16 px",
    ]
    chords = facts["groups"][0]["series"][0]
    sagitta = np.sqrt(40 * 50) * (1 - np.cos(np.pi / 4))
    assert chords["points"][0]["error"] == pytest.approx(sagitta, abs=0.7)  # to a pixel's half diagonal


def test_data_without_outlines_are_refused_with_a_remedy(tmp_path: Path) -> None:
    data = registry.load(str(disc_dataset(tmp_path, [2, 3])), None)
    with pytest.raises(AdaprepError, match="none of 2 images has a closed outline .* --limit"):
        stage.run_dataset(data, "val", data.frames("val"))


def test_an_unreadable_label_map_is_listed_and_the_rest_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "SEGMENTS", (4, 8))
    monkeypatch.setattr(stage, "RESOLUTIONS", (12, 24))
    yaml = disc_dataset(tmp_path, [40, 45])
    (tmp_path / "labels" / "1.png").write_bytes(b"")
    data = registry.load(str(yaml), None)
    found = stage.run_dataset(data, "val", data.frames("val"))
    assert not found.ok
    assert [f.name for f in found.failures] == ["1"]


@pytest.mark.slow
def test_outlines_of_camvid_fall_with_slope_minus_one(monkeypatch: pytest.MonkeyPatch) -> None:
    data = registry.load("camvid", shared("camvid"))
    raw = stage.run_dataset(data, "val", data.frames("val")[:12]).groups[0]
    assert raw.find("chords").final_slope() == pytest.approx(-1, abs=0.15)
    assert raw.find("uniform").slope() == pytest.approx(-0.5, abs=0.15)
