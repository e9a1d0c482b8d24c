"""Metrics of the user's own: measured, kept, and never imported because a file says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cli import main
from pipeline.datasets import registry as datasets
from pipeline.datasets.base import ClassTable
from pipeline.errors import AdaprepError
from pipeline.metrics import registry
from pipeline.metrics.base import Metric
from pipeline.workspace import disk, records, results, stores
from tests.evaluation.test_evaluations import space, trained  # noqa: F401
from tests.train.test_fit import TINY

MakeBlobs = Callable[..., Path]
HERE = "tests.evaluation.test_own_metrics"


class Pixels(Metric[int]):
    """How many pixels were compared."""

    name = "pixels"

    def count(self, truth: Any, prediction: Any, instances: Any, classes: ClassTable) -> int:
        return int(truth.size)

    def figures(self, counts: int, classes: ClassTable) -> dict[str, Any]:
        return {"pixels": counts, "by class": dict.fromkeys(classes.names, np.float64("nan"))}


def doubled() -> Metric[int]:
    class Doubled(Pixels):
        def count(self, truth: Any, prediction: Any, instances: Any, classes: ClassTable) -> int:
            return 2 * int(truth.size)

    return Doubled()


class Failing(Pixels):
    def count(self, *_: Any) -> int:
        raise KeyError("no count")


class Unwritable(Pixels):
    def figures(self, *_: Any) -> dict[str, Any]:
        return {"object": object()}


def number() -> int:
    return 3


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout if result.exit_code == 0 else " ".join(result.output.split())


def evaluate(place: stores.Workspace, *arguments: str) -> tuple[int, str]:
    options = ["--workspace", place.path, "--device", "cpu", "--architecture", TINY.base.architecture]
    return call("evaluate", *options, *arguments)


def test_the_upper_bound_measures_them_beside_its_own(make_blobs: MakeBlobs) -> None:
    given = ["--dataset", make_blobs(val=3, size=(20, 30)), "--split", "val", "--resolution", "8"]
    asked = ["--metric", f"{HERE}:Pixels", "--metric", f"{HERE}:doubled"]
    status, printed = call("upper-bound", *given, *asked, "--json")
    assert status == 0
    for row in json.loads(printed)[0]["settings"]:
        by_class = {"ground": None, "blob": None, "stick": None}
        assert row["metrics"][f"{HERE}:Pixels"] == {"pixels": 1200, "by class": by_class}
        assert row["metrics"][f"{HERE}:doubled"]["pixels"] == 2400
    status, printed = call("upper-bound", *given, *asked)
    assert [line.split()[1:] for line in printed.splitlines() if line.startswith(HERE)] == [
        ["pixels", "1200.000", "1200.000"],
        ["pixels", "2400.000", "2400.000"],
    ]


def test_bounds_that_lack_a_metric_are_measured_again(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    from pipeline.commands import upper_bound
    from pipeline.settings import Held

    held = Held(str(make_blobs(val=2)), splits=("val",))
    asked = {"held": held, "resolutions": (8,), "save": True, "workspace": tmp_path / "w"}
    assert upper_bound.run(upper_bound.Options(**asked))
    assert upper_bound.state(upper_bound.Options(**asked)) == "done"
    more = upper_bound.Options(metrics=(f"{HERE}:Pixels",), **asked)
    assert upper_bound.state(more) == "to do"
    assert upper_bound.run(more)
    assert upper_bound.state(more) == "done"


def test_runs_are_measured_once_with_each_metric(space: stores.Workspace) -> None:  # noqa: F811
    assert evaluate(space)[0] == 0
    status, printed = evaluate(space, "--metric", f"{HERE}:Pixels")
    assert status == 0, printed
    assert "4 measured now" in " ".join(printed.split())
    kept = results.evaluations(space, "blobs", "val")
    assert all(one["systems"][0]["metrics"][f"{HERE}:Pixels"]["pixels"] > 0 for one in kept)
    for asked in ((), ("--metric", f"{HERE}:Pixels")):
        assert "0 measured now" in " ".join(evaluate(space, *asked)[1].split())
    _, printed = evaluate(space, "--metric", f"{HERE}:doubled")
    assert "4 measured now" in " ".join(printed.split())


def test_code_that_a_file_names_is_not_imported(space: stores.Workspace, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "named_by_a_file.py").write_text("raise SystemExit('imported')\n")
    sys.path.insert(0, str(tmp_path))
    try:
        assert evaluate(space)[0] == 0
        for run in results.finished_runs(space, "blobs", "base"):
            path = run.evaluation_file("val")
            found = disk.read_json(path)
            found["systems"][0]["metrics"] = {
                "named_by_a_file:make": {"x": 1.5, "of any kind": [{"a": None}]}
            }
            disk.write_json(path, found)
            records.read(path, records.EVALUATION)
        status, printed = evaluate(space)
        assert status == 0, printed
        assert "named_by_a_file:make" in printed
        assert evaluate(space, "--metric", f"{HERE}:Pixels")[0] == 0
        assert "named_by_a_file" not in sys.modules
    finally:
        sys.path.remove(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("trimap", "must be package.module:factory, a metric of your own"),
        ("no_such_module:x", "there is no module no_such_module"),
        (f"{HERE}:missing", "has no missing"),
        (f"{HERE}:number", "returned a int, must be a pipeline.metrics.base.Metric"),
        (f"{HERE}:Failing", "failed on a label map of 2 x 2 pixels without objects: KeyError: 'no count'"),
        (f"{HERE}:Unwritable", "cannot be used: Object of type object is not JSON serializable"),
    ],
)
def test_what_is_no_metric_is_refused_before_any_work(make_blobs: MakeBlobs, name: str, problem: str) -> None:
    with pytest.raises(AdaprepError, match=problem.replace("(", r"\(")):
        registry.opened([name], datasets.load(make_blobs()).classes)


def test_a_recipe_names_them_for_both_commands(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    from pipeline.recipes import plan, schema

    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"dataset: {make_blobs()}\nworkspace: {tmp_path / 'w'}\nupper_bound: {{resolutions: [8]}}\n"
        f"base: {{resolutions: [8]}}\nmetrics: ['{HERE}:Pixels']\n"
    )
    lines = {step.stage: step.command for step in plan.steps(schema.load(path))}
    assert f"--metric {HERE}:Pixels" in lines["upper-bound"]
    assert f"--metric {HERE}:Pixels" in lines["evaluate"]
    path.write_text(path.read_text().replace("Pixels", "missing"))
    assert "metrics: " in call("run", path, "--only", "upper-bound", "--dry-run")[1]
    path.write_text(path.read_text().replace(f"{HERE}:missing", "miou"))
    with pytest.raises(AdaprepError, match="line 5.*adaprep's own metrics are always measured"):
        schema.load(path)
