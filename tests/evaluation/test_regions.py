"""`evaluate --whole-image`: what predict does is what is measured, and regions are never mixed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline.datasets import registry  # noqa: E402
from pipeline.errors import AdaprepError  # noqa: E402
from pipeline.evaluation import comparison, evaluate  # noqa: E402
from pipeline.geometry.crops import CENTRAL, WHOLE  # noqa: E402
from pipeline.inference import predict as label_maps  # noqa: E402
from pipeline.inference import systems  # noqa: E402
from pipeline.metrics import ConfusionMatrix  # noqa: E402
from pipeline.stages.frame import read_label_map  # noqa: E402
from pipeline.workspace import results, stores  # noqa: E402
from tests.evaluation.test_evaluate import cli, facts_of, save_auxiliary, save_base  # noqa: E402
from tests.evaluation.test_evaluations import evaluate as evaluate_all  # noqa: E402
from tests.evaluation.test_evaluations import space as space  # noqa: E402
from tests.evaluation.test_evaluations import trained as trained  # noqa: E402
from tests.report.test_page import add_run  # noqa: E402

MakeBlobs = Callable[..., Path]

SHAPES = {"portrait": (70, 40), "landscape": (40, 56), "panorama": (20, 130), "square": (33, 33)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("adaptive", [True, False])
def test_a_whole_image_is_measured_as_predict_labels_it(
    make_blobs: MakeBlobs, tmp_path: Path, shape: str, adaptive: bool
) -> None:
    height, width = SHAPES[shape]
    data = registry.load(yaml := make_blobs(val=2, size=(height, width)))
    auxiliary = save_auxiliary(tmp_path / "a.pt") if adaptive else None
    base = save_base(tmp_path / "b.pt", "auxiliary" if adaptive else "uniform")
    given = ["--auxiliary", auxiliary] if adaptive else []
    facts = facts_of(base, *given, "--dataset", yaml, "--whole-image")
    assert (facts["region"], facts["measured_at"]) == (WHOLE, "full resolution of the whole image")
    squares = -(-max(height, width) // min(height, width))
    assert facts["squares"] == [squares, squares]

    system, _ = systems.open_system(systems.load_base(base), auxiliary, torch.device("cpu"))
    matrix = ConfusionMatrix(data.classes.names, data.classes.targets)
    for frame in data.frames("val"):
        job = label_maps.plan([frame.image], tmp_path / "out")[0]
        label_maps.predict(system, job, data.classes)
        truth, written = (read_label_map(data, f).ids for f in (frame, _with_labels(frame, job.labels)))
        matrix.update(data.classes.lut[truth], data.classes.lut[written])
    assert facts["systems"][0]["miou"] == pytest.approx(matrix.miou())
    assert facts["systems"][0]["accuracy"] == pytest.approx(matrix.accuracy())
    assert int(matrix.counts.sum()) == sum(
        int((data.classes.lut[read_label_map(data, frame).ids] < 3).sum()) for frame in data.frames("val")
    )


def _with_labels(frame: Any, labels: Path) -> Any:
    from dataclasses import replace

    return replace(frame, label=labels)


def test_proposals_are_made_square_by_square(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(val=2, size=(40, 56))
    base = save_base(tmp_path / "b.pt", "proposal")
    facts = facts_of(base, "--proposals", "--dataset", yaml, "--whole-image")
    assert facts["systems"][0]["miou"] is not None
    assert facts["squares"] == [2, 2]


def test_the_two_regions_of_a_square_image_have_the_same_figures(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    data = registry.load(make_blobs(val=2, size=(33, 33)))
    system, _ = systems.open_system(
        systems.load_base(save_base(tmp_path / "u.pt")), None, torch.device("cpu")
    )
    one, other = (
        evaluate.run(data, "val", data.frames("val"), [system], region=region).rows()
        for region in (CENTRAL, WHOLE)
    )
    assert one == other


def test_an_image_of_one_row_of_pixels_fails_alone(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    from PIL import Image

    yaml = make_blobs(val=2)
    for kind, mode in (("images", "RGB"), ("labels", "L")):
        suffix = "jpg" if kind == "images" else "png"
        Image.fromarray(np.zeros((1, 50, 3) if mode == "RGB" else (1, 50), np.uint8)).save(
            yaml.parent / kind / "val" / f"line.{suffix}"
        )
    options = ["--dataset", yaml, "--device", "cpu", "--whole-image"]
    code, said = cli("evaluate", save_base(tmp_path / "u.pt"), *options)
    assert code == 1
    assert "blobs/val, 2 images" in said
    assert "full resolution of the whole image (joined from 2 squares, 40 pixels a side)" in said
    assert "fewer than 2 pixels along a side" in said


def test_both_regions_are_kept_and_never_compared_or_taken_for_each_other(space: stores.Workspace) -> None:
    status, printed = evaluate_all(space)
    assert status == 0, printed
    assert "central square crop" in printed
    status, printed = evaluate_all(space, "--whole-image")
    assert status == 0, printed
    assert "whole image" in printed
    assert "4 measured now" in " ".join(printed.split())
    central, whole = (
        results.evaluations(space, "blobs", "val", region=region) for region in (CENTRAL, WHOLE)
    )
    assert {one["region"] for one in central} == {CENTRAL}
    assert {one["region"] for one in whole} == {WHOLE}
    assert [one["run"] for one in central] == [one["run"] for one in whole]
    groups = comparison.groups([*central, *whole])
    assert len(groups) == 6
    for group in (group for group in groups if group.sampler != "uniform"):
        beside = comparison.baseline(group, groups)
        assert beside is not None
        assert beside.region == group.region
    ours = next(g for g in groups if g.sampler == "auxiliary" and g.region == WHOLE)
    base = next(g for g in groups if g.sampler == "uniform" and g.region == CENTRAL)
    pair = comparison.Pair(ours, base)
    assert pair.differing == [f"region measured {WHOLE} / {CENTRAL}"]
    assert pair.difference("miou") is None
    assert comparison.baseline(ours, [base, ours]) is None

    _take_for_each_other(space)


def _take_for_each_other(space: stores.Workspace) -> None:
    run = next(run for run in space.runs("blobs") if "uniform" in run.name)
    measured = json.loads(run.evaluation_file("val").read_text())
    assert run.evaluation_file("val", WHOLE).name == "whole-image-val.json"
    run.evaluation_file("val", WHOLE).write_text(json.dumps(measured))
    with pytest.raises(AdaprepError, match="measures the central square, not the whole image"):
        results.evaluation(run, "val", WHOLE)
    del measured["region"]  # as earlier versions wrote it
    run.evaluation_file("val").write_text(json.dumps(measured))
    assert results.evaluation(run, "val") == measured


def _also_whole(run: Path, miou: float) -> None:
    """Give a run of `add_run` an evaluation of whole images too, with other objects."""
    found = json.loads((run / "evaluation-val.json").read_text())
    system = found["systems"][0] | {"miou": miou}
    system["recall_by_size"] = [one | {"pixels": [100, 200]} for one in system["recall_by_size"]]
    facts = {**found, "region": WHOLE, "squares": [1, 2], "systems": [system]}
    (run / "whole-image-val.json").write_text(json.dumps(facts))


def test_objects_by_size_stand_in_a_table_for_each_region(tmp_path: Path) -> None:
    from pipeline.report.page import compare, tables

    space = stores.Workspace(tmp_path / "w")
    for sampler in ("uniform", "auxiliary"):
        _also_whole(add_run(space, sampler, 16, 0, 0.4, 0.3), 0.6)
    every = [one for r in (CENTRAL, WHOLE) for one in results.evaluations(space, "blobs", "val", region=r)]
    one, other = tables.recall_by_size(compare.systems(every))
    assert (one.name, other.name) == ("recall-by-size", "recall-by-size-whole-image")
    assert "0 to 9 px" in one.csv()
    assert "100 to 200 px" in other.csv()
    assert (len(one.rows), len(other.rows)) == (2, 2)


def test_runs_trained_for_different_regions_are_not_compared(tmp_path: Path) -> None:
    space = stores.Workspace(tmp_path / "w")
    add_run(space, "uniform", 16, 0, 0.4, 0.3)
    run = add_run(space, "auxiliary", 16, 0, 0.42, 0.35)
    for path in (run / "settings.json", run / "evaluation-val.json"):
        content = json.loads(path.read_text())
        content["settings"]["region"] = WHOLE
        path.write_text(json.dumps(content))
    groups = comparison.groups(results.evaluations(space, "blobs", "val"))
    ours = next(group for group in groups if group.sampler == "auxiliary")
    base = comparison.baseline(ours, groups)
    assert base is not None
    assert comparison.Pair(ours, base).differing == [f"region trained for {WHOLE} / {CENTRAL}"]
    assert comparison.Pair(ours, base).difference("miou") is None
