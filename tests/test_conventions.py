"""What commands have in common: how much they say, where options come from, completion, tables, JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner, Result
from rich.cells import cell_len
from rich.table import Table

import cli
from cli import main
from pipeline import screen
from pipeline.report.columns import print_table
from pipeline.report.console import PlainConsole

REPOSITORY = Path(__file__).parents[1]
MakeBlobs = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("ADAPREP_") or name == "COLUMNS"]:
        monkeypatch.delenv(name)
    return lambda *args, **about: CliRunner(**about).invoke(main, [str(a) for a in args])


Run = Callable[..., Result]


def test_quiet_prints_results_and_problems_alone(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    assert run("boundaries", "--dataset", yaml, "-q").output == ""
    assert run("-q", "solve-tensors").output == ""
    assert "6 of 6" in run("status", "-q").output
    (yaml.parent / "labels" / "train" / "0001.png").write_bytes(b"")
    result = run("boundaries", "--dataset", yaml, "--quiet", "--overwrite")
    assert result.exit_code == 1
    assert result.output.startswith("1 failed:")
    assert "Error: no image matches" in run("show", "x", "-q").output


def test_verbose_says_what_is_opened_and_where_errors_come_from(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    result = run("boundaries", "--dataset", yaml, "-v")
    for said in (
        "adaprep boundaries --dataset",
        "workspace: ",
        f"data set blobs: in {yaml.parent}",
        "runs on ",
    ):
        assert said in result.stderr
    result = run("show", "x", "--verbose")
    assert "find_frame" in result.stderr
    assert result.stderr.rstrip().splitlines()[-1].startswith("Error: no image matches 'x'")
    assert "Traceback" not in run("show", "x").output


def test_a_command_cannot_be_quiet_and_verbose(run: Run) -> None:
    assert "give only one of --quiet and --verbose" in run("status", "-q", "-v").output


def test_the_log_file_holds_messages_tables_details_and_errors_with_their_times(
    make_blobs: MakeBlobs, run: Run
) -> None:
    yaml = make_blobs()
    run("boundaries", "--dataset", yaml, "--log-file", "log.txt", "-q")
    run("--log-file", "log.txt", "status")
    run("show", "\x1b[2Jnothing", "--log-file", "log.txt")
    lines = Path("log.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)
    text = "\n".join(lines)
    for said in (
        "adaprep boundaries --dataset",
        "boundaries of blobs/train: 6 images in",
        "blobs/train  boundaries",
        "no image matches",
        "find_frame",
        "ended after",
    ):
        assert said in text
    assert "\x1b" not in text


def test_a_log_file_never_grows_onto_anything_else(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    before = yaml.read_text()
    result = run("check", "--dataset", yaml, "--log-file", yaml)
    assert result.exit_code == 1
    assert "that file is no log of adaprep" in result.output
    assert yaml.read_text() == before
    result = run("status", "--log-file", "nowhere/log.txt")
    assert "--log-file nowhere/log.txt: cannot be written: No such file" in result.output


def test_nothing_of_how_much_is_said_is_left_for_the_next_command(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    run("boundaries", "--dataset", yaml, "-q", "--log-file", "log.txt")
    size = Path("log.txt").stat().st_size
    assert "6 images in" in run("solve-tensors").output
    assert Path("log.txt").stat().st_size == size


def test_every_option_is_taken_from_the_environment_and_what_is_typed_comes_first(
    make_blobs: MakeBlobs, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = make_blobs()
    monkeypatch.setenv("ADAPREP_BOUNDARIES_DATASET", str(yaml))
    monkeypatch.setenv("ADAPREP_BOUNDARIES_SPLIT", "train val")
    monkeypatch.setenv("ADAPREP_WORKSPACE", "one")
    monkeypatch.setenv("ADAPREP_SOLVE_TENSORS_LAMBDA", "0.1,1")
    monkeypatch.setenv("ADAPREP_STATUS_WORKSPACE", "two")
    monkeypatch.setenv("ADAPREP_QUIET", "1")
    assert run("boundaries").exit_code == 0
    assert sorted(path.name for path in Path("one/blobs").iterdir()) == ["train", "val"]
    assert run("solve-tensors", "--split", "val").exit_code == 0
    assert len(list(Path("one/blobs/val/tensors").iterdir())) == 2
    assert run("solve-tensors", "--split", "train", "--lambda", "3").output == ""
    assert [path.name for path in Path("one/blobs/train/tensors").iterdir()] == ["8x8-lambda3.zarr"]
    monkeypatch.setenv("ADAPREP_SOLVE_TENSORS_LAMBDA", "many")
    assert "ADAPREP_SOLVE_TENSORS_LAMBDA" in run("solve-tensors").output


def test_steps_that_a_recipe_starts_take_no_options_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipeline.recipes import side_by_side

    monkeypatch.setenv("ADAPREP_TRAIN_EPOCHS", "3")
    monkeypatch.setenv("ADAPREP_WORKSPACE", "w")
    left = side_by_side._without_options("train")
    assert "ADAPREP_TRAIN_EPOCHS" not in left
    assert left["ADAPREP_WORKSPACE"] == "w"


def completed(*words: str) -> list[str]:
    """What the shell offers for the last word."""
    shell = BashComplete(main, {}, "adaprep", "_ADAPREP_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


def test_names_are_completed(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    run("boundaries", "--dataset", yaml)
    assert completed("show", "--dataset", "b") == ["blobs"]
    assert "cityscapes" in completed("check", "--dataset", "")
    assert str(yaml) in completed("check", "--dataset", f"{yaml.parent}/")
    assert completed("show", "000") == [f"{i:04}" for i in range(6)]
    assert completed("show", "--split", "val", "") == ["0000", "0001"]
    assert completed("sample", "--split", "t") == ["train"]
    assert "cuda:1" in completed("train", "--device", "cuda")
    assert completed("stat") == ["status"]
    best = Path("adaprep-workspace/blobs/runs/a-run/best.pt")
    best.parent.mkdir(parents=True)
    best.touch()
    assert "a-run" in completed("evaluate", "")
    assert completed("predict", "--checkpoint", "a-r") == ["a-run"]


@pytest.mark.parametrize("words", [("show", ""), ("show", "--dataset", "x/y/"), ("evaluate", "nothing/")])
def test_completion_in_an_empty_place_offers_nothing_and_says_nothing(
    run: Run, words: tuple[str, ...]
) -> None:
    assert completed(*words) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shells_script_names_the_program(shell: str) -> None:
    result = CliRunner().invoke(main, prog_name="adaprep", env={"_ADAPREP_COMPLETE": f"{shell}_source"})
    assert "_ADAPREP_COMPLETE" in result.output


WIDE = [
    ("name", "left", ["a-rather-long-name", "short"]),
    (
        "what it is",
        "left",
        ["several words that can be broken", "a/path/that/cannot/be/broken/but/for/its/length"],
    ),
    *((f"figure number {i}", "right", ["0.12345", "1,234,567"]) for i in range(12)),
]


@pytest.mark.parametrize("width", [40, 60, 80, 110, 400])
def test_no_word_or_number_of_a_table_is_cut_at_any_width(width: int) -> None:
    table = Table(box=None, pad_edge=False)
    for head, justify, _ in WIDE:
        table.add_column(head, justify=justify)  # type: ignore[arg-type]
    for row in zip(*(cells for *_, cells in WIDE), strict=True):
        table.add_row(*row)
    out = PlainConsole(width=width)
    with out.capture() as captured:
        print_table(out, table)
    lines = captured.get().splitlines()
    assert max(map(cell_len, lines)) <= width
    said = captured.get().split()
    for word in ("a-rather-long-name", "several", "broken", "0.12345", "1,234,567", "figure"):
        assert word in said, captured.get()
    assert "…" not in captured.get()


TABLES: dict[str, tuple[str, ...]] = {
    "datasets": (),
    "check": ("--dataset", "blobs"),
    "status": (),
    "upper-bound": ("--resolution", "8", "--split", "val"),
    "verify": ("--split", "val"),
    "boundary-error": ("--dataset", "blobs", "--split", "train"),
}


SLOW_TABLES = ("boundary-error", "upper-bound")
SOME_TABLES = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW_TABLES else []) for name in TABLES]


@pytest.mark.parametrize("command", SOME_TABLES)
def test_tables_fit_80_columns(
    make_blobs: MakeBlobs, run: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    run("boundaries", "--dataset", make_blobs(size=(90, 90)))
    monkeypatch.setenv("COLUMNS", "80")
    result = run(command, *TABLES[command])
    assert result.exit_code == 0, result.output
    assert "…" not in result.output
    for word in result.output.split():
        assert word not in ("reso…", "cla…")


def strict(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


@pytest.mark.parametrize("command", SOME_TABLES)
def test_json_stands_alone_on_standard_output_and_holds_no_nan(
    make_blobs: MakeBlobs, run: Run, command: str
) -> None:
    yaml = make_blobs(size=(90, 90))
    for label in (yaml.parent / "labels" / "val").iterdir():  # a split without any target: means of nothing
        label.write_bytes((yaml.parent / "labels" / "val" / "0000.png").read_bytes())
    run("boundaries", "--dataset", yaml)
    result = run(command, *TABLES[command], "--json")
    json.loads(result.stdout, parse_constant=strict)


def test_figures_that_are_no_numbers_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    screen.print_json({"miou": float("nan"), "best": [float("inf"), 0.5]})
    assert json.loads(capsys.readouterr().out, parse_constant=strict) == {"miou": None, "best": [None, 0.5]}


def test_every_command_that_prints_a_table_has_json() -> None:
    for name in (*TABLES, "networks", "evaluate"):
        assert any("--json" in option.opts for option in main.commands[name].params), name


@pytest.mark.parametrize("name", cli.SUMMARIES)
def test_short_help_is_not_cut(name: str) -> None:
    text = CliRunner().invoke(main, ["--help"], terminal_width=80).output
    assert f"{name} " in text
    assert cli.SUMMARIES[name] in text
    first = (main.commands[name].help or "").split("\n\n")[0]
    assert not first.rstrip().endswith(("...", "(Eq."))
    assert "INTEGER" not in CliRunner().invoke(main, [name, "--help"]).output
    assert "None" not in CliRunner().invoke(main, [name, "--help"]).output


def test_python_dash_m_is_the_command(tmp_path: Path) -> None:
    (tmp_path / "cli.py").write_text("raise SystemExit('not this one')")
    done = subprocess.run(
        [sys.executable, "-m", "adaprep", "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("adaprep, version ")


@pytest.mark.parametrize("device", ["cuda:1", "mps", "cuda", "auto", "cpu"])
def test_devices_are_taken_as_they_are_written(device: str) -> None:
    found = main.commands["train"]
    with found.make_context("train", ["--device", device]) as context:
        assert context.params["device"] == device


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CUDA", "cuda:1000", ""])
def test_other_devices_are_refused_in_a_sentence(run: Run, device: str) -> None:
    result = run("train", "--device", device)
    assert result.exit_code == 2
    assert "is no device: give auto, cpu, cuda, cuda:N or mps" in " ".join(result.output.split())
