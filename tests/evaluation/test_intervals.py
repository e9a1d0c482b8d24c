"""Intervals of differences: what is kept of each image, the bootstrap, and what a table says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import AdaprepError
from pipeline.evaluation import comparison, intervals
from pipeline.evaluation.comparison import Pair
from pipeline.evaluation.evaluations import Evaluations
from pipeline.metrics import ConfusionMatrix
from pipeline.report import evaluation
from pipeline.report.page import compare, findings, gain_tables
from pipeline.workspace import disk, results, stores
from pipeline.workspace.per_image import PerImage
from tests.report.test_page import add_run

CLASSES, SIDE = 3, 12


def confusions(count: int, errors: float, seed: int = 0) -> list[ConfusionMatrix]:
    """Of images whose truth depends on the seed alone, with so many wrong pixels."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        truth = rng.integers(0, CLASSES, (SIDE, SIDE))
        draw, other = rng.random((SIDE, SIDE)), rng.integers(0, CLASSES, (SIDE, SIDE))
        matrix = ConfusionMatrix(CLASSES, (1, 2))
        matrix.update(truth, np.where(draw < errors, other, truth))
        found.append(matrix)
    return found


def kept(matrices: list[ConfusionMatrix], sequences: list[str] | None = None) -> PerImage:
    names = [f"{i:04}" for i in range(len(matrices))]
    return PerImage.of([matrix.counts for matrix in matrices], names, sequences)


def naive(
    ours: list[ConfusionMatrix], base: list[ConfusionMatrix], groups: list[list[int]], name: str
) -> Any:
    """The bootstrap with whole confusion matrices, one draw after the other."""
    rng = np.random.default_rng([intervals.SEED, len(groups)])
    weights = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), intervals.DRAWS)
    found = []
    for draw in weights[:200]:
        drawn = [i for group, times in zip(groups, draw, strict=True) for i in group * int(times)]
        sides = [sum((side[i] for i in drawn), ConfusionMatrix(CLASSES, (1, 2))) for side in (ours, base)]
        found.append(getattr(sides[0], name)() - getattr(sides[1], name)())
    return np.array(found)


@pytest.mark.parametrize("name", ["miou", "target_miou"])
def test_draws_are_those_of_whole_confusion_matrices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, base = confusions(9, 0.3), confusions(9, 0.5)
    sequences = list("aaabbbbcc")
    groups = {"images": [[i] for i in range(9)], "sequences": [[0, 1, 2], [3, 4, 5, 6], [7, 8]]}
    seen: list[NDArray[np.float64]] = []
    quantile = np.quantile
    monkeypatch.setattr(np, "quantile", lambda values, at: seen.append(values) or quantile(values, at))
    found = intervals.of_difference([kept(ours, sequences)], [kept(base, sequences)], name, (1, 2))
    assert [(one.over, one.units) for one in found] == [("images", 9), ("sequences", 3)]
    for over, values in zip(groups, seen, strict=True):
        assert values[:200] == pytest.approx(naive(ours, base, groups[over], name), abs=1e-12)
        assert len(values) == intervals.DRAWS


def test_the_same_images_give_the_same_interval_and_no_difference_holds_zero() -> None:
    same = kept(confusions(20, 0.4))
    found = intervals.of_difference([same], [same], "miou", ())
    assert (found[0].low, found[0].high) == (0, 0)
    assert found[0].holds_zero
    better = kept(confusions(20, 0.1))
    first, again = (intervals.of_difference([better], [same], "miou", ()) for _ in range(2))
    assert first == again
    assert 0 < first[0].low < first[0].high


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Of 40 pairs of equally good networks, some 2 intervals do not hold 0."""
    missed = 0
    for trial in range(40):
        ours, base = (kept(confusions(30, 0.4, 2 * trial + side)) for side in (0, 1))
        base = PerImage(base.pixels, ours.images)
        missed += not intervals.of_difference([ours], [base], "miou", ())[0].holds_zero
    assert missed <= 9


def test_seeds_are_averaged() -> None:
    one, two, base = (kept(confusions(10, errors)) for errors in (0.1, 0.3, 0.5))
    both = intervals.of_difference([one, two], [base], "miou", ())[0]
    alone = [intervals.of_difference([side], [base], "miou", ())[0] for side in (one, two)]
    assert alone[1].low < both.low < alone[0].low


def test_there_is_no_interval_of_other_images_or_of_one() -> None:
    some = kept(confusions(5, 0.3))
    assert intervals.of_difference([some], [kept(confusions(6, 0.3))], "miou", ()) == ()
    assert intervals.of_difference([some], [PerImage(some.pixels, "other")], "miou", ()) == ()
    assert intervals.of_difference([], [some], "miou", ()) == ()
    assert (
        intervals.of_difference([kept(confusions(1, 0.3))] * 2, [kept(confusions(1, 0.3))], "miou", ()) == ()
    )
    one_video = kept(confusions(5, 0.3), ["a"] * 5)
    assert [i.over for i in intervals.of_difference([one_video], [one_video], "miou", ())] == ["images"]


def test_what_is_kept_is_read_again() -> None:
    before = kept(confusions(4, 0.3), ["a", "b", "a", "b"])
    after = PerImage.read(json.loads(json.dumps(before.as_dict())))
    assert np.array_equal(before.pixels, after.pixels)
    assert (before.images, before.sequences) == (after.images, after.sequences)
    matrix = confusions(4, 0.3)[2]
    assert before.pixels[2].tolist() == [
        np.diagonal(matrix.counts).tolist(),
        matrix.counts.sum(axis=1).tolist(),
        matrix.counts[:, :-1].sum(axis=0).tolist(),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"shape": None},
        {"shape": [4, 3]},
        {"shape": [4, 2, 3]},
        {"shape": [10**9, 3, 3]},
        {"shape": [5, 3, 3]},
        {"shape": [3, 3, 3]},
        {"pixels": "?"},
        {"pixels": 5},
        {"pixels": "AAAA"},
        {"sequences": ["a"]},
        {"sequence_of": [0, 1, 0, 7]},
        {"sequence_of": [0]},
    ],
)
def test_what_is_damaged_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    good = kept(confusions(4, 0.3), ["a", "b", "a", "b"]).as_dict()
    with pytest.raises(ValueError, match="shape|pixels|sequence"):
        PerImage.read({**good, **change})
    space = stores.Workspace(tmp_path)
    path = add_run(space, "uniform", 16, 0, 0.4, 0.3) / "evaluation-val.json"
    content = disk.read_json(path)
    content["systems"][0]["per_image"] = {**good, **change}
    results.write(path, content)
    with pytest.raises(AdaprepError, match="is damaged: systems"):
        results.evaluations(space, "blobs", "val")


def measured(space: stores.Workspace, sampler: str, seed: int, errors: float, **facts: Any) -> None:
    """A run with counts of its images."""
    matrices = confusions(40, errors)
    total = sum(matrices[1:], matrices[0])
    run = add_run(space, sampler, 16, seed, total.miou(), total.target_miou())
    path = run / "evaluation-val.json"
    content = disk.read_json(path) | {"milliseconds_at": "one square, 2 CPU threads"} | facts
    content["milliseconds"] = {content["systems"][0]["name"]: 10.0 + 10 * (sampler != "uniform")}
    content["systems"][0] |= {"per_image": kept(matrices, list("abcd") * 10).as_dict()}
    results.write(path, content)


def pair(space: stores.Workspace) -> Pair:
    runs = results.complete_runs(space, "blobs")
    found = comparison.groups(results.evaluations(space, "blobs", "val"), results.trainings(runs))
    ours = next(group for group in found if group.sampler == "auxiliary")
    base = comparison.baseline(ours, found)
    assert base is not None
    return Pair(ours, base)


def table(space: stores.Workspace, capsys: pytest.CaptureFixture[str]) -> str:
    runs = results.complete_runs(space, "blobs")
    every = results.evaluations(space, "blobs", "val")
    evaluation.print_evaluations(Evaluations("blobs", "val", every, trainings=results.trainings(runs)))
    return capsys.readouterr().out


@pytest.mark.parametrize(("errors", "none"), [(0.3, False), (0.5001, True)])
def test_a_difference_whose_interval_holds_zero_is_said_to_be_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], errors: float, none: bool
) -> None:
    space = stores.Workspace(tmp_path)
    for seed in (0, 1):
        measured(space, "uniform", seed, 0.5)
        measured(space, "auxiliary", seed, errors)
    found = pair(space).intervals("miou")
    assert [(i.over, i.units, i.holds_zero) for i in found] == [("images", 40, none), ("sequences", 4, none)]
    printed = table(space, capsys)
    assert ("none (" in printed) == none
    assert "4 sequences" in printed
    assert "95 % interval" in printed


def test_runs_that_may_not_be_compared_have_no_interval(tmp_path: Path) -> None:
    space = stores.Workspace(tmp_path)
    measured(space, "uniform", 0, 0.5)
    measured(space, "auxiliary", 0, 0.3, images=7)
    assert pair(space).differing == ["images measured 7 / 2"]
    assert pair(space).intervals("miou") == ()


def test_time_is_compared_on_one_machine_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = stores.Workspace(tmp_path)
    measured(space, "uniform", 0, 0.5)
    measured(space, "auxiliary", 0, 0.3)
    assert pair(space).slower == pytest.approx(1.0)
    assert "ms: one square, 2 CPU threads" in table(space, capsys)
    measured(space, "auxiliary", 0, 0.3, milliseconds_at="one square, 8 CPU threads")
    assert pair(space).slower is None


def test_a_report_says_how_sure_a_difference_is(tmp_path: Path) -> None:
    space = stores.Workspace(tmp_path)
    for seed in (0, 1):
        measured(space, "uniform", seed, 0.5)
        measured(space, "auxiliary", seed, 0.3)
        measured(space, "proposal", seed, 0.5001)
    runs = results.complete_runs(space, "blobs")
    found = results.evaluations(space, "blobs", "val")
    systems = compare.systems(found, results.trainings(runs))
    (gain,) = compare.gains(systems)
    (finding,) = findings.of_gains([gain], None)
    assert "95 % interval over 40 images: +" in finding.text
    assert "95 % interval over 4 sequences: +" in finding.text
    assert "100 % more time" in finding.text
    (reference,) = compare.gains(systems, "reference")
    assert reference.is_none("miou")
    text = findings.of_gains([reference], None)[0].text
    assert "makes no difference over all classes that can be told from chance" in text
    cells = gain_tables.gains([gain, reference]).rows
    assert any(cell.text == "none" and "4 sequences" in cell.note for cell in cells[1])
    assert not any(cell.text == "none" for cell in cells[0])
