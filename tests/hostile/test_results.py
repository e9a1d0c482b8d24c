"""Damaged JSON and histories of a workspace: a sentence names each, and all others are used."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli import main
from pipeline.errors import AdaprepError
from pipeline.report import bounds
from pipeline.report.page import bound_charts, cells, collect, document, findings, stored, tables
from pipeline.workspace import disk, records, results, stores
from tests.report.test_page import add_run, write_blobs

LIGHT = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

BOUND = {
    "images": 2,
    "measured_at": "full resolution of the central square crop",
    "targets": ["blob", "stick"],
    "failures": [],
    "settings": [
        {
            "resolution": 32,
            "sampler": "uniform" if grid is None else f"8x8, lambda {lam:g}",
            "grid": grid,
            "lambda": lam,
            "auxiliary": None,
            "miou": 0.8,
            "target_miou": 0.7,
            "trimap": {"1": 0.5, "4": 0.6},
            "object_recall": 0.9,
            "folded_cells": 0,
        }
        for grid, lam in ((None, None), ([8, 8], 0.3), ([8, 8], 1.0))
    ],
}


def adaprep(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with boundaries, two runs and a bound."""
    root = tmp_path_factory.mktemp("prepared")
    yaml = write_blobs(root / "blobs")
    assert adaprep("boundaries", "--dataset", yaml, "--workspace", root / "w")[0] == 0
    space = stores.Workspace(root / "w")
    for seed in (0, 1):
        add_run(space, "uniform", 32, seed, 0.5, 0.3)
        add_run(space, "auxiliary", 32, seed, 0.55, 0.4)
    results.write(space.upper_bound_file("blobs", "val"), BOUND)
    return root / "w"


@pytest.fixture
def space(prepared: Path, tmp_path: Path) -> stores.Workspace:
    """A copy of it, to damage."""
    return stores.Workspace(Path(shutil.copytree(prepared, tmp_path / "w")))


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "no UTF-8": lambda data: b"\xff\xfe" + data,
    "list": lambda data: b"[1, 2]",
    "nothing": lambda data: b"{}",
    "null": lambda data: b"null",
    "deep": lambda data: b'{"settings": ' + b"[" * 100_000,
    "huge number": lambda data: b'{"settings": ' + b"9" * 10_000 + b"}",
}
FILES = ("settings.json", "result.json", "evaluation-val.json", "upper-bound-val.json")


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_and_the_others_are_shown(
    space: stores.Workspace, name: str, damage: Callable[[bytes], bytes]
) -> None:
    run = space.runs_folder("blobs") / "base-unet-uniform-32-seed0"
    path = (run.parents[1] if name.startswith("upper") else run) / name
    path.write_bytes(damage(path.read_bytes()))
    facts = collect.collect(space, "blobs", "val")
    assert len(facts.damaged) == 1
    assert str(path) in facts.damaged[0]
    assert "make" in facts.damaged[0] or "run its command again" in facts.damaged[0]
    lost = {"settings.json": (3, 4, True), "result.json": (3, 4, True), "evaluation-val.json": (4, 3, True)}
    runs, evaluations, bound = lost.get(name, (4, 4, False))
    assert (len(facts.runs), len(facts.evaluations), facts.bound is not None) == (runs, evaluations, bound)


@pytest.mark.slow
def test_the_report_names_what_is_damaged_and_the_exit_status_is_1(
    space: stores.Workspace, tmp_path: Path
) -> None:
    run = space.runs_folder("blobs") / "base-unet-uniform-32-seed0"
    (run / "settings.json").write_text("{")
    (run.with_name("base-unet-uniform-32-seed1") / "history.csv").write_bytes(b"\x00\x01")
    shutil.rmtree(run.with_name("base-unet-auxiliary-32-seed0") / "result.json", ignore_errors=True)
    code, said = adaprep("report", "--workspace", space.path, "-o", tmp_path / "out", "--device", "cpu")
    assert code == 1
    assert f"left out: cannot read {run / 'settings.json'}" in said
    assert f"left out: {run.with_name('base-unet-uniform-32-seed1') / 'history.csv'} has" in said
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Left out: damaged files" in page
    assert "base-unet-auxiliary-32-seed1" in page


def test_status_lists_damaged_failures_and_goes_on(space: stores.Workspace) -> None:
    (space.path / "blobs" / "train" / "failures-boundaries.json").write_text('{"failures": [3]}')
    code, said = adaprep("status", "--failures", "--workspace", space.path)
    assert code == 0
    assert "blobs/val" in said
    assert "failures[0] is no object" in said


HISTORIES = {
    "empty": (b"", 0, 1),
    "zeros": (bytes(100), 0, 1),
    "header alone": (b"epoch,step,rate,loss\n", 0, 0),
    "cut line": (b"epoch,step,rate,loss\n1,5,0.1,2.5\n2,1", 1, 0),
    "word": (b"epoch,step,rate,loss\n1,5,0.1,x\n2,10,0.1,1.5\n", 1, 1),
    "too long": (b"epoch,step,rate,loss\n1,5,0.1,2.5,9\n2,10,0.1,1.5\n", 1, 1),
    "no epoch": (b"epoch,step,rate,loss\n,5,0.1,2.5\n2,10,0.1,1.5\n", 1, 1),
    "huge": (b"epoch,step,rate,loss\n" + b"9" * 20 + b",5,0.1,2.5\n2,10,0.1,1e999\n", 1, 1),
    "no UTF-8": (b"epoch,step,rate,loss\n1,5,0.1,\xff\n2,10,0.1,1.5\n", 1, 1),
}


@pytest.mark.parametrize(("data", "rows", "dropped"), HISTORIES.values(), ids=HISTORIES.keys())
def test_the_sound_lines_of_a_history_are_kept(tmp_path: Path, data: bytes, rows: int, dropped: int) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(data)
    found, lost = results.parse_history(path)
    assert (len(found), lost) == (rows, dropped)
    run = collect.RunFacts("r", {"network": "base"}, {}, {}, found, None)
    assert all(np.isfinite(value) for _, value in run.curve("loss"))


def test_a_history_of_one_endless_field_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(b"epoch,loss\n1," + b"9" * 200_000)
    with pytest.raises(AdaprepError, match="cannot read"):
        results.parse_history(path)


def test_json_that_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "settings.json")
    with pytest.raises(AdaprepError, match="not a regular file"):
        disk.read_json(tmp_path / "settings.json")
    with pytest.raises(AdaprepError, match="cannot read"):
        disk.read_json(Path("/dev/zero"))


def test_json_with_nan_is_read_as_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": NaN, "b": [Infinity, -Infinity, 1]}')
    assert disk.read_json(tmp_path / "x.json") == {"a": None, "b": [None, None, 1]}


def test_nothing_to_count_is_a_dash_and_never_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = copy.deepcopy(BOUND)
    for row in found["settings"]:
        row["object_recall"] = row["target_miou"] = row["trimap"]["4"] = None
    shown = [bounds._figures(row, found["settings"]) for row in found["settings"]]
    assert [[str(cell) for cell in cells] for cells in shown] == [["0.800", "-", "-", "-", "0"]] * 3
    assert [[str(cell.style) for cell in cells[:4]] for cells in shown] == [["bold", "", "", ""]] * 3
    table = tables.bound(found)
    assert [[row[k].text for k in (2, 4, 5)] for row in table.rows] == [["–", "–", "–"]] * 3
    assert not any(row[k].bold for row in table.rows for k in (2, 4, 5))
    assert table.csv().splitlines()[1] == "uniform,32,,0.8,,,0"
    more = [{**row, "resolution": side} for side in (16, 32, 64) for row in found["settings"]]
    assert [chart.name for chart in bound_charts.bound({**found, "settings": more})] == ["upper-bound-all"]
    assert bound_charts.bound(found) == []
    assert bound_charts.trade_off(found) == []
    more = [*found["settings"], {**found["settings"][-1], "lambda": 3.0}]
    assert len(bound_charts.trade_off({**found, "settings": more})) == 1
    assert findings.of_bound(found) == []


@pytest.mark.parametrize("value", [np.float64(0.169), np.float32(0.5), np.int64(3), 2, 0.1])
def test_a_cell_of_any_number_is_a_plain_number_in_csv(value: Any) -> None:
    assert float(cells.Cell("x", value).exact) == float(value)
    assert cells.Cell("x", float("nan")).exact == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in plain data."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def change(data: st.DataObject, content: Any) -> None:
    """Put anything in the place of some value, or take it out."""
    container, key = data.draw(
        st.sampled_from([(id(c), k) for c, k in places(content)]).map(lambda pair: pair)
    )
    owner = next(c for c, k in places(content) if id(c) == container and k == key)
    if key is None or data.draw(st.booleans()):
        owner[key] = data.draw(JSON)
    else:
        del owner[key]


def mutate(space: stores.Workspace, data: st.DataObject) -> None:
    """Change one JSON file of a run or the bound, and look at all that reads it."""
    run = space.runs_folder("blobs") / "base-unet-auxiliary-32-seed0"
    name = data.draw(st.sampled_from(FILES))
    path = (run.parents[1] if name.startswith("upper") else run) / name
    before = path.read_bytes()
    content = json.loads(before)
    for _ in range(data.draw(st.integers(1, 2))):
        change(data, content)
    path.write_text(json.dumps(content), encoding="utf-8", errors="replace")
    try:
        facts = reread(space)
        found = document.systems(facts.evaluations)
        parts = document._Parts(facts, found, document.gains(found), document.gains_at_cost(found), None)
        for section in (
            document._results(parts),
            document._classes(parts),
            stored.parameters(facts),
        ):
            for block in section.blocks:
                (block.table or (block.folded and block.folded[1]) or cells.Table("x", "", (), ())).csv()
        if facts.bound:
            tables.bound(facts.bound).csv()
        if found:
            for table in tables.recall_by_size(found):
                table.csv()
        tables.recall_by_class(parts.gains, facts.targets).csv()
        tables.runs(facts).csv()
        list(document._findings(parts))
        document.commands.again(facts)
    finally:
        path.write_bytes(before)


_FACTS: dict[Path, collect.Facts] = {}


def reread(space: stores.Workspace) -> collect.Facts:
    """The facts of a workspace in which nothing but runs and bounds has changed."""
    whole = _FACTS.get(space.path) or _FACTS.setdefault(space.path, collect.collect(space, "blobs", "val"))
    damaged: list[str] = []
    return replace(
        whole,
        evaluations=results.evaluations(space, "blobs", "val", damaged),
        bound=collect._bound(space, "blobs", "val", damaged),
        runs=collect._runs(space, "blobs", damaged),
        damaged=tuple(damaged),
    )


@pytest.mark.slow
@LIGHT
@given(st.data())
def test_changed_json_ends_in_named_errors_alone(space: stores.Workspace, data: st.DataObject) -> None:
    mutate(space, data)


def test_figures_of_metrics_that_are_not_known_here_do_no_harm(space: stores.Workspace) -> None:
    run = space.runs_folder("blobs") / "base-unet-auxiliary-32-seed0"
    for path, key in (
        (space.upper_bound_file("blobs", "val"), "settings"),
        (run / "evaluation-val.json", "systems"),
    ):
        content = json.loads(path.read_text())
        for row in content[key]:
            row |= {"pixels": 7, "boundary_f": {"car": None, "road": [0.5, "x"]}}
        path.write_text(json.dumps(content))
    facts = collect.collect(space, "blobs", "val")
    assert facts.damaged == ()
    assert document.build(facts, (), facts.damaged).sections


@pytest.mark.fuzz
@settings(LIGHT, max_examples=int(os.environ.get("ADAPREP_FUZZ", "100000")))
@given(st.data())
def test_changed_json_ends_in_named_errors_alone_many_times(
    space: stores.Workspace, data: st.DataObject
) -> None:
    mutate(space, data)


@pytest.mark.slow
@settings(LIGHT, max_examples=15)
@given(st.data())
def test_charts_of_changed_json_can_be_drawn(space: stores.Workspace, data: st.DataObject) -> None:
    path = space.upper_bound_file("blobs", "val")
    run = space.runs_folder("blobs") / "base-unet-auxiliary-32-seed0"
    chosen = data.draw(st.sampled_from([path, run / "evaluation-val.json"]))
    before = chosen.read_bytes()
    content = json.loads(before)
    change(data, content)
    chosen.write_text(json.dumps(content), encoding="utf-8", errors="replace")
    try:
        facts = collect.collect(space, "blobs", "val")
        for chart in document.build(facts, (), facts.damaged).charts:
            assert chart.png.startswith(b"\x89PNG")
    finally:
        chosen.write_bytes(before)


@settings(LIGHT, max_examples=300)
@given(
    JSON,
    st.sampled_from([records.SETTINGS, records.RESULT, records.EVALUATION, records.BOUND, records.FAILURES]),
)
def test_anything_that_is_no_record_is_a_value_error(value: Any, check: records.Check) -> None:
    with suppress(ValueError):
        check(value, "")


def test_an_auxiliary_network_that_is_no_run_of_the_workspace_is_named_as_a_checkpoint(
    space: stores.Workspace,
) -> None:
    path = space.upper_bound_file("blobs", "val")
    content = json.loads(path.read_text())
    content["settings"][0]["auxiliary"] = "elsewhere/best.pt"
    path.write_text(json.dumps(content))
    lines = document.commands.again(collect.collect(space, "blobs", "val"))
    assert any("upper-bound" in line and "--auxiliary CHECKPOINT" in line for line in lines)
