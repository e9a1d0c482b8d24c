"""The baseline that a skeptic would choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.evaluation import baselines, comparison
from pipeline.evaluation.comparison import Group
from pipeline.workspace import disk, results, stores
from tests.evaluation.test_comparison import change
from tests.report.test_page import add_run


def groups(space: stores.Workspace) -> list[Group]:
    return comparison.groups(results.evaluations(space, "blobs", "val"))


def predicted(space: stores.Workspace) -> Group:
    return next(group for group in groups(space) if group.sampler == "auxiliary")


def costing(run: Path, gmacs: float) -> Path:
    """Let a system cost so much."""
    path = run / "evaluation-val.json"
    content = disk.read_json(path)
    content["systems"][0]["gmacs"] = gmacs
    results.write(path, content)
    return run


@pytest.fixture
def space(tmp_path: Path) -> stores.Workspace:
    """One predicted system and every baseline of its cost, and beyond."""
    space = stores.Workspace(tmp_path)
    costing(add_run(space, "auxiliary", 16, 0, 0.42, 0.35), 1.0)
    costing(add_run(space, "uniform", 16, 0, 0.40, 0.30), 0.9)
    change(costing(add_run(space, "uniform", 16, 0, 0.41, 0.31, tag="-area"), 0.9), filter="area")
    costing(add_run(space, "mean", 16, 0, 0.39, 0.33), 0.9)
    costing(add_run(space, "uniform", 20, 0, 0.43, 0.32), 1.05)
    costing(add_run(space, "uniform", 32, 0, 0.60, 0.60), 1.06)
    return space


def test_each_figure_has_its_best_baseline_whatever_its_sampler_filter_and_resolution(
    space: stores.Workspace,
) -> None:
    told = {}
    for figure in ("target_miou", "miou"):
        pair = baselines.best_baseline(predicted(space), groups(space), figure)
        assert pair is not None
        difference = pair.difference(figure)
        assert difference is not None
        told[figure] = (baselines.describe(pair.base), round(difference.mean, 6))
    assert told == {"target_miou": ("fixed warp, 16 px", 0.02), "miou": ("uniform, 20 px", -0.01)}


def test_anti_aliasing_is_part_of_a_baseline(space: stores.Workspace) -> None:
    found = [g for g in groups(space) if g.resolution == 16 and g.sampler != "mean"]
    pair = baselines.best_baseline(predicted(space), found, "target_miou")
    assert pair is not None
    assert baselines.describe(pair.base) == "uniform, area, 16 px"
    assert not pair.differing


def test_a_baseline_trained_otherwise_is_none(space: stores.Workspace) -> None:
    run = next(g for g in groups(space) if g.sampler == "mean").rows["run"].iloc[0]
    change(space.runs_folder("blobs") / str(run), epochs=400)
    pair = baselines.best_baseline(predicted(space), groups(space), "target_miou")
    assert pair is not None
    assert baselines.describe(pair.base) == "uniform, 20 px"


def test_what_samples_every_image_alike_has_none(space: stores.Workspace) -> None:
    for group in groups(space):
        pair = baselines.best_baseline(group, groups(space), "miou")
        assert (pair is None) == (group.sampler != "auxiliary")


def test_the_table_of_evaluate_names_it(
    space: stores.Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from pipeline.evaluation.evaluations import Evaluations
    from pipeline.report.evaluation import print_evaluations

    monkeypatch.setenv("COLUMNS", "200")
    found = results.evaluations(space, "blobs", "val")
    print_evaluations(Evaluations("blobs", "val", found))
    said = capsys.readouterr().out
    assert "+2.0" in said
    assert "fixed warp, 16 px" in said


def test_the_report_has_a_table_and_a_finding_of_it(space: stores.Workspace) -> None:
    from pipeline.report.page import compare, findings, gain_tables

    systems = compare.systems(results.evaluations(space, "blobs", "val"))
    by_figure = {name: compare.gains_on_best(systems, name) for name in ("target_miou", "miou")}
    (row,) = gain_tables.gains_on_best(by_figure).rows
    assert [cell.text for cell in row][3:] == [
        *("+2.0", "fixed warp, 16 px", "+11 %", "–"),
        *("−1.0", "uniform, 20 px", "−4.8 %", "–"),
    ]
    (finding,) = findings.of_best(by_figure)
    assert finding.text == "+2.0 on targets (fixed warp, 16 px); −1.0 over all (uniform, 20 px)."
