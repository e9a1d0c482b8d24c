"""Names that would be paths, escape sequences or markup: nothing outside the workspace changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.table import Table

from cli import main
from pipeline import numba_cache, screen
from pipeline.errors import AdaprepError, BusyError
from pipeline.names import check_component, one_line
from pipeline.report import console
from pipeline.train.settings import Base, Request
from pipeline.workspace import disk, stores
from pipeline.workspace.runs import Run
from tests.conftest import tree

MakeBlobs = Callable[..., Path]
REPOSITORY = Path(__file__).parents[2]

PARTS = [
    "..",
    ".",
    "/",
    "\\",
    "\x00",
    "\x1b[2J",
    "\u202e",
    "\ud800",
    "CON",
    "nul.txt",
    "~",
    "*",
    "[a]",
    "-rf",
    "$HOME",
]
HOSTILE = st.one_of(
    st.lists(st.sampled_from(PARTS) | st.text(max_size=3), min_size=1, max_size=6).map("".join),
    st.text(st.characters(), max_size=20),
    st.integers(90, 400).map(lambda n: "a" * n),
    st.just("x/../../../../guard"),
    st.just("../../guard"),
)
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def adaprep(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own."""
    command = [sys.executable, str(REPOSITORY / "cli.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, env={**os.environ, **environment}, check=False)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def guarded(tmp_path: Path) -> Path:
    """A folder in which only `guarded/here/w` may change; beside it lies what must not."""
    root = tmp_path / "guarded"
    for name in (
        "guard/inputs.tsv",
        "guard/a.b.partial",
        "guard/last.pt",
        "here/notes.txt",
        "here/w/keep.txt",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def outside(root: Path) -> dict[str, str]:
    return {name: digest for name, digest in tree(root).items() if not name.startswith("here/w/")}


@FEW
@given(HOSTILE)
@example("x/../../../../guard")
@example("..")
def test_no_name_leads_out_of_the_workspace(guarded: Path, name: str) -> None:
    before, space = outside(guarded), stores.Workspace(guarded / "here" / "w")
    refused: list[str] = []
    for make in (
        lambda: space.folder(name, "train").path,
        lambda: space.folder("d", name).path,
        lambda: space.upper_bound_file("d", name),
        lambda: space.run("d", "r").evaluation_file(name),
        lambda: space.runs_folder(name) / "base",
        lambda: space.run("d", Request(("base",), base=Base(), tag=name).run_name("base")).path,
    ):
        try:
            path = make()
        except AdaprepError as error:
            refused.append(str(error))
            continue
        assert path.resolve().is_relative_to(space.path.resolve())
        disk.write_text(path / "x", "ours")
        shutil.rmtree(path)
    assert outside(guarded) == before
    assert all(message.isprintable() for message in refused)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    HOSTILE, st.sampled_from(["dataset", "split", "tag", "report", "evaluate", "recipe", "status", "show"])
)
def test_no_option_of_a_command_changes_what_lies_outside(
    guarded: Path, make_blobs: MakeBlobs, name: str, option: str
) -> None:
    yaml = make_blobs(2, 1)
    before, space = outside(guarded), guarded / "here" / "w"
    content = yaml.read_text(encoding="utf-8")
    quoted = json.dumps(name)
    if option == "dataset":
        yaml.write_text(content.replace("name: blobs", f"name: {quoted}"), encoding="utf-8", errors="replace")
        result = invoke("boundaries", "--dataset", yaml, "--workspace", space)
    elif option == "split":
        yaml.write_text(content.replace("  train:", f"  {quoted}:"), encoding="utf-8", errors="replace")
        result = invoke("boundaries", "--dataset", yaml, "--workspace", space, f"--split={name}")
    elif option == "tag":
        result = invoke(
            "train", f"--tag={name}", "--network", "base", "--sampler", "uniform", "--workspace", space
        )
    elif option == "recipe":
        recipe = yaml.with_name("recipe.yaml")
        text = f"dataset: {yaml}\nworkspace: {space}\ntag: {quoted}\n"
        text += "base: {resolutions: [8], samplers: [uniform]}\n"
        recipe.write_text(text, encoding="utf-8", errors="replace")
        result = invoke("run", recipe, "--dry-run")
    elif option == "show":
        result = invoke("show", name or "x", "--workspace", space)
    elif option == "status":
        result = invoke("status", f"--dataset={name}", "--workspace", space)
    else:
        result = invoke(option, f"--split={name}", "--workspace", space)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert one_line(result.output) == result.output.replace("\n", "\\n").replace("\t", "\\t")
    assert outside(guarded) == before


def test_a_tag_that_is_a_path_is_refused_before_anything_is_read(guarded: Path) -> None:
    before = tree(guarded)
    request = Request(("base",), base=Base(sampler="uniform"), tag="x/../../../../guard")
    with pytest.raises(AdaprepError, match="the tag 'x/../../../../guard' cannot be used: it holds '/'"):
        request.run_name("base")
    assert tree(guarded) == before


def test_a_run_does_not_empty_a_folder_that_holds_what_no_run_makes(tmp_path: Path) -> None:
    run = Run(tmp_path / "w" / "d" / "runs" / "base-unet", {})
    run.path.mkdir(parents=True)
    (run.path / "thesis.txt").write_text("mine")
    (run.path / "settings.json").write_text("{}")
    with pytest.raises(AdaprepError, match=r"thesis.txt is nothing that adaprep makes"):
        run.begin({})
    assert tree(run.path).keys() == {"thesis.txt", "settings.json"}


def test_a_run_empties_its_own_folder_and_no_other(tmp_path: Path) -> None:
    run = Run(tmp_path / "w" / "d" / "runs" / "base-unet", {"seed": 1})
    run.path.mkdir(parents=True)
    names = (
        "settings.json",
        "last.pt",
        "best.pt",
        "history.csv",
        "result.json",
        "evaluation-val.json",
        ".lock",
    )
    for name in (*names, "events.out.tfevents.1.host.2.0", "last.pt.77.partial"):
        (run.path / name).write_text("old")
    run.begin({"device": "cpu"})
    assert tree(run.path).keys() == {"settings.json", ".lock"}
    assert disk.read_json(run.path / "settings.json")["settings"] == {"seed": 1}

    (run.path / "settings.json").unlink()
    (run.path / "history.csv").write_text("of something else")
    with pytest.raises(AdaprepError, match="holds history.csv but no settings.json"):
        run.begin({})
    assert (run.path / "history.csv").exists()


def test_a_run_that_is_a_link_is_not_emptied(guarded: Path) -> None:
    runs = guarded / "here" / "w" / "d" / "runs"
    runs.mkdir(parents=True)
    (runs / "base").symlink_to(guarded / "guard")
    before = outside(guarded)
    with pytest.raises(AdaprepError, match="is a link"):
        Run(runs / "base", {}).begin({})
    shutil.rmtree(guarded / "here" / "w" / "d")
    (guarded / "here" / "w" / "d").symlink_to(guarded)  # w/d/guard is in the workspace by name alone
    with pytest.raises(AdaprepError, match="which is not in"):
        disk.delete(guarded / "here" / "w" / "d" / "guard", guarded / "here" / "w", lambda name: True)
    assert outside(guarded) == before


def spoil_with_notes(store: Path) -> None:
    (store / "status" / "notes.txt").write_text("mine")


def spoil_by_link(store: Path) -> None:
    moved = store.rename(store.with_name("elsewhere"))
    store.symlink_to(moved)


def spoil_with_another_zarr(store: Path) -> None:
    (store / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')


def spoil_into_a_file(store: Path) -> None:
    shutil.rmtree(store)
    store.write_text("mine")


@pytest.mark.parametrize(
    "spoil",
    [spoil_with_notes, spoil_by_link, spoil_with_another_zarr, spoil_into_a_file],
    ids=lambda f: f.__name__,
)
def test_what_is_no_store_of_ours_is_not_deleted(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "w" / "d" / "train" / "boundaries.zarr"
    stores.create(
        path, {"status": stores.ArraySpec((), "uint8")}, {}, stores.Layout(8, 8), {"count": 3, "sha256": ""}
    )
    disk.write_text(path.with_name("dataset.json"), "{}")
    spoil(path)
    before = tree(tmp_path)
    with pytest.raises(AdaprepError):
        stores.remove(path)
    assert tree(tmp_path) == before


def test_a_damaged_store_of_ours_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "w" / "d" / "train" / "boundaries.zarr"
    stores.create(
        path, {"status": stores.ArraySpec((), "uint8")}, {}, stores.Layout(8, 8), {"count": 3, "sha256": ""}
    )
    (path / "zarr.json").write_bytes(b"{\x00")
    (path / "status" / f"c.{'a' * 32}.partial").write_bytes(b"half")
    (path / "status" / "c").mkdir()  # as older versions lay out an array
    (path / "status" / "c" / f"0.{'a' * 32}.partial").write_bytes(b"half")
    stores.remove(path)
    assert tree(tmp_path) == {}


def test_only_our_own_half_written_files_are_cleared(tmp_path: Path) -> None:
    kept = [
        "a.b.partial",
        "notes.2024.partial",
        "inputs.tsv.partial",
        "inputs.tsv.x1.partial",
        "xinputs.tsv.1.partial",
    ]
    for name in [
        *kept,
        "inputs.tsv.123.partial",
        "dataset.json.9.partial",
        "failures-boundaries.json.7.partial",
    ]:
        (tmp_path / name).write_text("x")
    with stores.SplitFolder(tmp_path).lock():
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([".lock", *kept])


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "file"])
def test_a_lock_that_is_not_ours_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    victim, place = tmp_path / "thesis.txt", tmp_path / "w" / ".lock"
    victim.write_text("mine")
    place.parent.mkdir()
    if kind == "link":
        place.symlink_to(victim)
    elif kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.write_text("my own lock")
    before = {p: p.read_text() for p in (victim, *([place] if kind == "file" else []))}
    with pytest.raises(AdaprepError, match="is not a lock of adaprep"), disk.lock(place.parent):
        pass
    assert {p: p.read_text() for p in before} == before


def test_a_lock_says_who_holds_it_and_is_empty_afterwards(tmp_path: Path) -> None:
    with disk.lock(tmp_path):
        with pytest.raises(BusyError, match=f"process {os.getpid()} on"), disk.lock(tmp_path):
            pass
    assert (tmp_path / ".lock").read_bytes() == b""


def test_a_lock_goes_with_the_process_that_held_it(tmp_path: Path) -> None:
    start = "import os, pathlib, sys\nfrom pipeline.workspace import disk\n"
    code = start + "with disk.lock(pathlib.Path(sys.argv[1])): os._exit(9)"
    assert (
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY, timeout=60).returncode
        == 9
    )
    assert (tmp_path / ".lock").read_bytes().startswith(b"process ")
    with disk.lock(tmp_path):
        pass
    assert (tmp_path / ".lock").read_bytes() == b""


def test_no_module_needs_what_windows_has_not() -> None:
    code = (
        "import sys, os\nsys.modules['fcntl'] = None\n"
        "for name in ('O_NOFOLLOW', 'O_NONBLOCK', 'O_CLOEXEC', 'pread'): delattr(os, name)\n"
        "from pipeline.workspace import blocks, disk, folders, layout, records, results, runs, stores"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, timeout=120)


NAMES = {
    "escape": ("a\x1b[2J\x1b]0;owned\x07", r"a\x1b[2J\x1b]0;owned\x07"),
    "bidi": ("a\u202egnp", r"a\u202egnp"),
    "not UTF-8": ("a\udce9", r"a\udce9"),
    "line": ("a\nError: all is lost", r"a\nError: all is lost"),
    "separator": ("a\u2028b\x85c", r"a\u2028b\x85c"),
    "markup": ("[red]a[/red]", "[red]a[/red]"),
    "emoji": (":car:", ":car:"),
}


@pytest.mark.parametrize(("name", "shown"), NAMES.values(), ids=NAMES.keys())
def test_names_are_printed_as_text(name: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    from pipeline.stages.engine import Failure

    console.print_failures([Failure(0, name, f"{name}: truncated")])
    assert f"  {shown}: {shown}: truncated\n" in capsys.readouterr().out
    console.print_datasets([{"name": name}])
    assert shown in capsys.readouterr().out.splitlines()[1]
    console.print_known_failures([{"split": "d/train", "name": name, "reason": "bad"}])
    assert capsys.readouterr().out == f"d/train {shown}: bad\n"
    screen.print_json({"name": name})
    text = capsys.readouterr().out
    assert json.loads(text) == {"name": name}
    assert one_line(text).replace("\\n", "\n") == text.replace("\\n", "\n")


def test_the_console_escapes_what_any_table_or_message_holds(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("class\x1b[5m", box=None)
    table.add_row("car\x1b[5m\u202e")
    console.console().print(table)
    console.console().print("title \x1b[2J [bold]x[/bold]")
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert r"car\x1b[5m\u202e" in text
    assert r"title \x1b[2J [bold]x[/bold]" in text


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(e, marks=pytest.mark.slow) for e in ("latin-1", "utf-8"))]
)
def test_no_encoding_of_the_terminal_ends_a_command(make_blobs: MakeBlobs, encoding: str) -> None:
    yaml = make_blobs(1, 0)
    labels = yaml.parent / "labels" / "train"
    os.rename(labels / "0000.png", os.fsencode(labels) + b"/caf\xe9\xe2\x82\xac\x1b[2J.png")
    done = adaprep("check", "--dataset", yaml, "--split", "train", PYTHONIOENCODING=encoding)
    assert b"Traceback" not in done.stdout + done.stderr, done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    shown = adaprep("check", "--dataset", yaml, "--split", "train", "--json", PYTHONIOENCODING=encoding)
    json.loads(shown.stdout.decode(encoding))
    done = adaprep("show", "caf\u20ac\x1b[2J", "--dataset", yaml, PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    assert b"Error: " in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"\x1b" not in done.stderr


def test_click_s_own_messages_are_escaped_too() -> None:
    for arguments in (
        ["\x1b[2J"],
        ["--\x1b[2J"],
        ["show", "0", "--grid", "\x1b[2J"],
        ["train", "--device", "\x1b[2J"],
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert "\x1b" not in result.output


FAULTS = {
    "full": (OSError(28, "No space left on device", "w/x"), "w/x: No space left on device. The disk is full"),
    "denied": (
        PermissionError(13, "Permission denied", "w/x"),
        "w/x: Permission denied. You may not do that",
    ),
    "files": (OSError(24, "Too many open files", "w/x"), "ulimit -n"),
    "name": (OSError(36, "File name too long", "w/x"), "The name is too long"),
    "memory": (MemoryError(), "out of memory. Use fewer --threads"),
    "depth": (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
}


@pytest.mark.parametrize(("error", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_of_the_machine_are_sentences(
    error: BaseException, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("pipeline.stages.status.run", fail)
    result = invoke("status", "--workspace", tmp_path)
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output
    monkeypatch.setenv("ADAPREP_TRACEBACK", "1")
    assert invoke("status", "--workspace", tmp_path).exception is error


def test_a_reader_that_goes_away_ends_a_command_quietly(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "cli.py"), "datasets", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert b"Traceback" not in said


def test_a_package_of_the_same_name_does_not_hide_ours(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").touch()
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.pop(0); import cli; cli.main()", "--version"],
        capture_output=True,
        env=env,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("adaprep, version")


def unwritable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(numba_cache.VARIABLE, raising=False)
    monkeypatch.setattr(numba_cache, "_writable", lambda folder: False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_compiled_functions_find_a_place_where_home_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import numba

    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    unwritable(monkeypatch, tmp_path)
    numba_cache.prepare()
    folder = tmp_path / f"adaprep-numba-{os.getuid()}"
    assert os.environ[numba_cache.VARIABLE] == str(folder)
    assert str(folder) == numba.config.CACHE_DIR
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_cache_folder_that_others_may_write_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import numba

    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    unwritable(monkeypatch, tmp_path)
    shared = tmp_path / f"adaprep-numba-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    numba_cache.prepare()
    assert os.environ[numba_cache.VARIABLE] != str(shared)
    assert Path(os.environ[numba_cache.VARIABLE]).parent == tmp_path


def test_numba_s_own_places_are_kept_where_they_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(numba_cache.VARIABLE, raising=False)
    numba_cache.prepare()
    assert numba_cache.VARIABLE not in os.environ
    monkeypatch.setenv(numba_cache.VARIABLE, "/chosen")
    numba_cache.prepare()
    assert os.environ[numba_cache.VARIABLE] == "/chosen"


@pytest.mark.parametrize("name", ["a" * 100, "é" * 50, "camvid", "v1.2+x=3@home", "_x", "日本"])
def test_usual_names_pass(name: str) -> None:
    assert check_component("tag", name) == name


def test_json_is_plain(tmp_path: Path) -> None:
    import numpy as np

    facts: dict[str, Any] = {
        "share": np.float64(0.169),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "none": float("nan"),
        "most": np.float32("inf"),
        "list": np.array([1.5, np.nan]),
        "nested": [{"x": (np.float64("nan"), 2)}],
        "name": "a\udce9",
    }
    disk.write_json(tmp_path / "x.json", facts)
    assert json.loads((tmp_path / "x.json").read_bytes(), parse_constant=pytest.fail) == {
        "share": 0.169,
        "count": 3,
        "flag": True,
        "none": None,
        "most": None,
        "list": [1.5, None],
        "nested": [{"x": [None, 2]}],
        "name": "a\udce9",
    }
