"""Scores: metrics from a registry, the same figures in every command, nothing that JSON does not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets import registry as datasets
from pipeline.datasets.base import ClassTable
from pipeline.evaluation import scoring, upper_bound
from pipeline.metrics import registry
from pipeline.metrics.base import Metric
from pipeline.stages import engine
from pipeline.workspace import records

MakeBlobs = Callable[..., Path]


class Pixels(Metric[int]):
    """A toy: how many pixels were compared."""

    name = "pixels"

    def count(self, truth: Any, prediction: Any, instances: Any, classes: ClassTable) -> int:
        return int(truth.size)

    def figures(self, counts: int, classes: ClassTable) -> dict[str, Any]:
        return {"pixels": counts, "pixels_by_class": dict.fromkeys(classes.names, np.float64("nan"))}


@pytest.fixture
def pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "METRICS", [*registry.METRICS, Pixels()])


def bound(yaml: Path) -> dict[str, Any]:
    data = datasets.load(str(yaml))
    settings = upper_bound.settings([8], [(4, 4)], [1.0])
    return upper_bound.run(data, "val", data.frames("val"), settings, engine.Scheduler(threads=2)).as_dict()


@pytest.mark.usefixtures("pixels")
def test_a_registered_metric_appears_in_the_upper_bound(make_blobs: MakeBlobs) -> None:
    facts = bound(make_blobs(val=3, size=(20, 30)))
    records.BOUND(facts, "")
    for row in facts["settings"]:
        assert row["pixels"] == 3 * 20 * 20
        assert row["pixels_by_class"] == {"ground": None, "blob": None, "stick": None}


@pytest.mark.usefixtures("pixels")
def test_a_registered_metric_appears_in_an_evaluation(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tests.evaluation.test_evaluate import facts_of, save_base

    facts = facts_of(save_base(tmp_path / "u.pt"), "--dataset", make_blobs(val=3, size=(20, 30)))
    assert facts["systems"][0]["pixels"] == 3 * 20 * 20
    about = {"architecture": "unet", "sampler": "uniform", "resolution": 12, "seed": 0}
    records.EVALUATION({**facts, "run": "u", "settings": about}, "")


def test_every_command_has_the_same_figures(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tests.evaluation.test_evaluate import facts_of, save_base

    yaml = make_blobs()
    system = facts_of(save_base(tmp_path / "u.pt"), "--dataset", yaml)["systems"][0]
    setting = bound(yaml)["settings"][0]
    figures = [
        "miou",
        "target_miou",
        "accuracy",
        "iou",
        "trimap",
        "object_recall",
        "recall_by_size",
        "recall_by_class",
        "folded_cells",
    ]
    assert list(system)[-len(figures) - 1 :] == [*figures, "per_image"]
    assert list(setting) == [
        "resolution",
        "sampler",
        "grid",
        "lambda",
        "auxiliary",
        "fixed",
        *figures,
        "object_recall_by_size",
    ]
    assert list(system["trimap"]) == list(setting["trimap"]) == ["1", "2", "4", "8", "16", "32", "64"]
    assert list(setting["recall_by_size"][0]) == ["objects", "pixels", "recall"]
    assert list(setting["object_recall_by_size"][0]) == ["count", "smallest", "largest", "recall"]


def test_what_cannot_be_measured_is_null(make_blobs: MakeBlobs) -> None:
    classes = datasets.load(str(make_blobs())).classes
    ground = np.zeros((9, 9), np.uint8)
    figures = scoring.figures(scoring.score_labels(ground, ground, None, classes), classes)
    json.dumps(figures, allow_nan=False)
    assert figures["miou"] == 1
    assert figures["iou"] == {"ground": 1, "blob": None, "stick": None}
    assert figures["target_miou"] is figures["object_recall"] is figures["trimap"]["4"] is None
    assert [part["recall"] for part in figures["recall_by_size"]] == [None] * 4


def test_scores_of_images_add_up_to_those_of_all(make_blobs: MakeBlobs) -> None:
    classes = datasets.load(str(make_blobs())).classes
    maps = np.random.default_rng(0).integers(0, 3, (2, 2, 12, 12), np.uint8)
    parts = [{"one": scoring.score_labels(t, p, None, classes, folded=n)} for n, (t, p) in enumerate(maps, 1)]
    summed = scoring.total(parts)["one"]
    assert summed.folded == 3
    assert summed.confusion.counts.sum() == 2 * 144
    assert summed.confusion.accuracy() == np.mean(maps[:, 0] == maps[:, 1])
    assert len(summed.objects.areas) == sum(len(part["one"].objects.areas) for part in parts)
    assert scoring.total([]) == {}


def test_two_metrics_cannot_have_one_figure(make_blobs: MakeBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    class Again(Pixels):
        name = "again"

    monkeypatch.setattr(registry, "METRICS", [Pixels(), Again()])
    classes = datasets.load(str(make_blobs())).classes
    score = scoring.score_labels(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), None, classes)
    with pytest.raises(ValueError, match="metric again: another one has the figures pixels, pixels_by_class"):
        scoring.figures(score, classes)
