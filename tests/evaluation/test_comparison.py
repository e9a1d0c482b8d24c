"""What may be compared with what: runs trained alike, and which of them still improve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.evaluation import comparison
from pipeline.evaluation.comparison import Pair
from pipeline.workspace import disk, results, stores
from pipeline.workspace.results import Training
from tests.report.test_page import add_run


def change(run: Path, **settings: Any) -> None:
    """Let a run have been trained otherwise."""
    for path in (run / "settings.json", run / "evaluation-val.json"):
        content = disk.read_json(path)
        content["settings"] |= settings
        results.write(path, content)


def compared(space: stores.Workspace) -> Pair:
    """The predicted group of a workspace beside its baseline."""
    runs = results.complete_runs(space, "blobs")
    found = comparison.groups(results.evaluations(space, "blobs", "val"), results.trainings(runs))
    ours = next(group for group in found if group.sampler == "auxiliary")
    base = comparison.baseline(ours, found)
    assert base is not None
    return Pair(ours, base)


@pytest.fixture
def space(tmp_path: Path) -> stores.Workspace:
    return stores.Workspace(tmp_path)


def test_a_row_per_evaluation_holds_every_figure(space: stores.Workspace) -> None:
    for seed in (1, 0):
        add_run(space, "uniform", 16, seed, 0.4, 0.3, tag="-long")
    table = comparison.frame(results.evaluations(space, "blobs", "val"))
    assert list(table["seed"]) == [0, 1]
    assert list(table["tag"]) == ["long", "long"]
    assert list(table["miou"]) == [0.4, 0.4]
    assert list(table["trimap_4"]) == pytest.approx([0.304, 0.304])
    assert list(table["recall_blob_1"]) == pytest.approx([0.4, 0.4])
    assert table["iou_stick"].isna().all()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"epochs": 40}, "epochs 2 / 40"),
        ({"rate": 0.01}, "learning rate 0.001 / 0.01"),
        ({"batch_size": 8}, "batch size 4 / 8"),
        ({"weight_decay": 0.1}, "weight decay 0 / 0.1"),
        ({"augmentation": {"flip": 0.0}}, "augmentation flip 0.5 / 0"),
        ({"augmentation": {"flip": 0.5, "contrast": 0.2}}, "augmentation contrast ? / 0.2"),
        ({"augmentation": {"flip": 0.5, "zoom": 1.0}}, "augmentation zoom 0 / 1"),
        ({"training_split": "more"}, "training split train / more"),
        ({"pretrained": "weights.pt"}, "pretrained weights ? / weights.pt"),
        ({"class_names": ["ground", "blob", "stick"]}, "other classes"),
        ({"filter": "area"}, "filter nearest / area"),
        ({"weight_by_class": {"blob": 2.0}}, 'class weights ? / {"blob": 2.0}'),
    ],
)
def test_runs_trained_unequally_have_no_difference(
    space: stores.Workspace, settings: dict[str, Any], told: str
) -> None:
    add_run(space, "auxiliary", 16, 0, 0.42, 0.35)
    change(add_run(space, "uniform", 16, 0, 0.40, 0.30), **settings)
    pair = compared(space)
    assert pair.differing == [told]
    assert pair.difference("miou") is None
    assert pair.ratio("recall_1") is None


def test_anti_aliased_uniform_samples_are_compared_with_plain_ones_and_are_a_baseline_of_their_own(
    space: stores.Workspace,
) -> None:
    for sampler, figure in (("uniform", 0.4), ("auxiliary", 0.5)):
        for tag, extra in (("", 0.0), ("-area", 0.1)):
            run = add_run(space, sampler, 16, 0, figure + extra, 0.3, tag=tag)
            change(run, filter="area" if tag else "nearest")
    found = comparison.groups(results.evaluations(space, "blobs", "val"))
    beside = {(g.sampler, g.filter): comparison.baseline(g, found) for g in found}
    filters = {key: base.filter for key, base in beside.items() if base is not None}
    assert filters == {
        ("uniform", "area"): "nearest",
        ("auxiliary", "nearest"): "nearest",
        ("auxiliary", "area"): "area",
    }
    for group in found:
        if base := comparison.baseline(group, found):
            assert not Pair(group, base).differing
            assert Pair(group, base).difference("miou").mean == pytest.approx(0.1)  # type: ignore[union-attr]


def test_seeds_trained_unequally_are_no_baseline(space: stores.Workspace) -> None:
    add_run(space, "auxiliary", 16, 0, 0.42, 0.35)
    add_run(space, "uniform", 16, 0, 0.40, 0.30)
    change(add_run(space, "uniform", 16, 1, 0.40, 0.30), epochs=40)
    assert compared(space).differing == ["epochs 2 / 2, 40"]


def test_another_precision_is_another_training(space: stores.Workspace) -> None:
    for sampler, precision in (("auxiliary", "float32"), ("uniform", "bfloat16")):
        path = add_run(space, sampler, 16, 0, 0.42, 0.35) / "settings.json"
        results.write(path, disk.read_json(path) | {"machine": {"precision": precision}})
    assert compared(space).differing == ["precision float32 / bfloat16"]


def test_other_images_measured_are_not_compared(space: stores.Workspace) -> None:
    add_run(space, "auxiliary", 16, 0, 0.42, 0.35)
    path = add_run(space, "uniform", 16, 0, 0.40, 0.30) / "evaluation-val.json"
    results.write(path, disk.read_json(path) | {"images": 50})
    assert compared(space).differing == ["images measured 2 / 50"]


def test_runs_trained_alike_are_compared(space: stores.Workspace) -> None:
    add_run(space, "auxiliary", 16, 0, 0.42, 0.35)
    add_run(space, "uniform", 16, 0, 0.40, 0.30)
    spread = compared(space).difference("miou")
    assert spread is not None
    assert spread.values == pytest.approx((0.02,))


def history(*miou: float) -> list[dict[str, str]]:
    return [{"epoch": str(i), "miou": str(value)} for i, value in enumerate(miou, 1)]


@pytest.mark.parametrize(
    ("best", "rows", "improving"),
    [
        (2, history(0.1, 0.3, 0.2), False),
        (3, history(0.1, 0.2, 0.3), True),
        (9, history(0.1, 0.2, 0.3, 0.4, 0.42, 0.43, 0.44, 0.45, 0.47, 0.46), True),
        (9, history(0.1, 0.2, 0.3, 0.4, 0.45, 0.45, 0.46, 0.45, 0.461, 0.452), False),
        (2, [{"epoch": "1", "loss": "2"}, {"epoch": "2", "loss": "1"}], False),
        (3, [*history(0.1, 0.2, 0.3), {"epoch": "4", "loss": "1"}], True),
        (10, [], True),
        (9, [], False),
    ],
)
def test_which_runs_still_improve(best: int, rows: list[dict[str, str]], improving: bool) -> None:
    assert results.still_improving({"epochs": 10, "best_epoch": best}, rows) is improving


def test_a_run_that_is_not_over_is_not_judged() -> None:
    assert not results.still_improving(None, history(0.1, 0.2))


def test_a_group_says_how_many_of_its_runs_still_improve(space: stores.Workspace) -> None:
    for seed in (0, 1):
        add_run(space, "uniform", 16, seed, 0.4, 0.3)
    found = results.evaluations(space, "blobs", "val")
    first = "base-unet-uniform-16-seed0"
    told = [
        comparison.groups(found, known)[0].improving
        for known in (
            None,
            {first: Training(improving=True)},
            results.trainings(results.complete_runs(space, "blobs")),
        )
    ]
    assert told == ["", "1 of 2 still improving", "still improving"]


def test_the_table_of_evaluate_says_why_there_are_no_points(
    space: stores.Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from pipeline.evaluation.evaluations import Evaluations
    from pipeline.report.evaluation import print_evaluations

    monkeypatch.setenv("COLUMNS", "200")
    add_run(space, "auxiliary", 16, 0, 0.42, 0.35)
    change(add_run(space, "uniform", 16, 0, 0.40, 0.30), epochs=40)
    found = results.evaluations(space, "blobs", "val")
    known = results.trainings(results.complete_runs(space, "blobs"))
    print_evaluations(Evaluations("blobs", "val", found, 0, trainings=known))
    said = capsys.readouterr().out
    (line,) = (line for line in said.splitlines() if "adaptive" in line)
    assert line.count("epochs 2 / 40") == 2
    assert "+" not in line
    assert line.rstrip().endswith("still improving")


def test_names_that_are_no_unicode_are_compared(space: stores.Workspace) -> None:
    path = add_run(space, "uniform", 16, 0, 0.4, 0.3) / "evaluation-val.json"
    content = path.read_text(encoding="utf-8").replace('"blob"', r'"\ud800"').replace('"flip"', r'"\udfff"')
    path.write_text(content, encoding="utf-8")
    assert json.loads(content)["targets"][0] == "\ud800"
    assert len(comparison.groups(results.evaluations(space, "blobs", "val"))) == 1
