"""Each command that adaprep advises is run in the situation that advises it, and ends well.

`test_every_place_is_tried` finds all places in the source that advise one: a new place needs a test here.
"""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli import SUMMARIES, main
from pipeline import advice
from pipeline.names import join_names, split_names
from pipeline.workspace import disk, stores

MakeBlobs = Callable[..., Path]
Test = TypeVar("Test", bound=Callable[..., Any])

MAKERS = {"command", "line", "again"}
FOLDER_MAKERS = {
    *("boundaries_command", "tensors_command", "verify_command", "failures_command", "repair_command"),
}
BEGIN = re.compile(
    rf"adaprep ({'|'.join(sorted(SUMMARIES, key=len, reverse=True))})(?= |$|[.,;)])", re.MULTILINE
)
WORD = re.compile(r" ((?:'[^']*'|[^\s'])+)")
AFTER = ("and", "or", "by", "makes", "lists", "describes", "writes", "if", "&&")
"""Words that go on with the sentence: no advice has one of them as a value here."""
ROOT = Path(__file__).parents[1]
TRIED: set[str] = set()


def covers(*places: str) -> Callable[[Test], Test]:
    """Name the functions whose advice a test runs: ``package.module:function``."""
    TRIED.update(places)
    return lambda test: test


def places() -> Iterator[str]:
    """Every function that advises a command, ``package.module:function``."""
    for path in sorted((ROOT / "pipeline").rglob("*.py")):
        if path.name != "advice.py":
            module = ".".join(path.relative_to(ROOT / "pipeline").with_suffix("").parts)
            yield from (f"{module}:{name}" for name in _advisers(ast.parse(path.read_text("utf-8"))))


def _advisers(tree: ast.AST, name: str = "") -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from _advisers(node, node.name)
        else:
            if isinstance(node, ast.Attribute) and (
                (isinstance(node.value, ast.Name) and node.value.id == "advice" and node.attr in MAKERS)
                or node.attr in FOLDER_MAKERS
            ):
                yield name
            if isinstance(node, ast.Name) and node.id in FOLDER_MAKERS and isinstance(node.ctx, ast.Load):
                yield name
            yield from _advisers(node, name)


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def ok(*arguments: object, status: int = 0) -> str:
    found, printed = call(*arguments)
    assert found == status, printed
    return printed


def advised(text: str) -> list[str]:
    """The commands in a message, in order, each once."""
    return list(dict.fromkeys(_line(text, match) for match in BEGIN.finditer(text)))


def _line(text: str, begin: re.Match[str]) -> str:
    """The words of a command up to where the sentence goes on: a mark, a word such as `and`, a wide space."""
    words, place = [begin[0]], begin.end()
    while (word := WORD.match(text, place)) and word[1] not in AFTER and not word[1].startswith("("):
        bare = word[1].rstrip(".,;:)") or word[1]
        words.append(bare)
        place = word.end()
        if bare != word[1]:
            break
    return " ".join(words)


def follow(text: str, *more: str, status: int = 0, **placeholders: object) -> list[str]:
    """Run every command that a message advises; what each prints."""
    lines = advised(text)
    assert lines, text
    return [run_line(line, *more, status=status, **placeholders) for line in lines]


def run_line(line: str, *more: str, status: int = 0, **placeholders: object) -> str:
    words = [str(placeholders.get(word.replace(".", "_"), word)) for word in shlex.split(line)[1:]]
    dry = ["--dry-run"] if words[0] == "train" else []
    return ok(*words, *dry, *more, status=status)


@pytest.fixture
def yaml(make_blobs: MakeBlobs) -> Path:
    return make_blobs(train=3, val=2)


@pytest.fixture
def space(yaml: Path, tmp_path: Path) -> stores.Workspace:
    """Boundaries and tensors made with options that are not the usual ones."""
    place = tmp_path / "a place"
    shape = ["--grid", "4x4", "--crops", 3, "--targets", "blob"]
    ok("boundaries", "--dataset", yaml, *shape, "--workspace", place)
    ok("solve-tensors", "--workspace", place)
    return stores.Workspace(place)


def sample(space: stores.Workspace, *more: object, status: int = 0) -> str:
    shape = ["--grid", "4x4", "--resolution", 8]
    return ok("sample", *shape, "--workspace", space.path, *more, status=status)


# What is not there yet


@covers("workspace.folders:folders")
def test_an_empty_workspace(yaml: Path, tmp_path: Path) -> None:
    text = ok("solve-tensors", "--workspace", tmp_path / "w", status=1)
    place = tmp_path / "mine.yaml"
    for line in advised(text):
        more = ["-o", str(place)] if "init" in line else []
        run_line(line, *more, NAME=yaml, FOLDER=yaml.parent)
    ok("solve-tensors", "--workspace", tmp_path / "w")


@covers("workspace.folders:boundaries_command", "workspace.folders:folders")
def test_a_split_or_a_data_set_that_is_not_held(yaml: Path, tmp_path: Path, make_blobs: MakeBlobs) -> None:
    place = tmp_path / "w"
    ok("boundaries", "--dataset", yaml, "--split", "train", "--workspace", place)
    follow(ok("solve-tensors", "--split", "val", "--workspace", place, status=1))
    ok("solve-tensors", "--split", "val", "--workspace", place)
    other = make_blobs(train=2, val=1, folder="other")
    other.write_text(other.read_text().replace("name: blobs", "name: other"))
    follow(ok("solve-tensors", "--dataset", other, "--workspace", place, status=1), other=other)


@covers("stages.tensors:plan", "stages.samples:check_boundaries")
@pytest.mark.parametrize("command", [["solve-tensors"], ["sample", "--grid", "4x4"]])
def test_boundaries_that_are_lost(space: stores.Workspace, command: list[str]) -> None:
    shutil.rmtree(space.folder("blobs", "train").boundaries)
    more = ["--workspace", space.path, "--split", "train"]
    follow(ok(*command, *more, status=1))
    assert "no boundaries" not in call(*command, *more)[1]


@covers("stages.samples:plan", "stages.tensors:_notes")
def test_boundaries_that_are_not_finished_are_finished_as_they_were_begun(space: stores.Workspace) -> None:
    folder = space.folder("blobs", "train")
    stores.open_store(folder.boundaries).forget(0, 3)
    text = sample(space, status=1)
    noted = ok("solve-tensors", "--workspace", space.path, status=1)
    assert advised(noted) == advised(text)
    follow(text)
    ok("solve-tensors", "--workspace", space.path)
    sample(space)


@covers("stages.samples:check_tensors", "workspace.folders:tensors_command")
def test_tensors_that_are_not_there(space: stores.Workspace) -> None:
    follow(sample(space, "--lambda", 2, "--split", "val", status=1))
    sample(space, "--lambda", 2, "--split", "val")


@covers("stages.samples:mean")
def test_the_mean_of_a_split_that_is_not_held(yaml: Path, tmp_path: Path) -> None:
    place = stores.Workspace(tmp_path / "w")
    more = ["--grid", "4x4", "--split", "val", "--workspace", place.path]
    ok("boundaries", "--dataset", yaml, *more)
    follow(sample(place, "--sampler", "mean", status=1))
    sample(place, "--sampler", "mean", "--split", "val")


@covers("report.page.collect:collect")
def test_nothing_to_report(space: stores.Workspace) -> None:
    for store in space.folder("blobs", "train"), space.folder("blobs", "val"):
        shutil.rmtree(store.boundaries)
        shutil.rmtree(store.path / "tensors")
    follow(ok("report", "--workspace", space.path, status=1))
    ok("report", "--workspace", space.path)


# Files that fail


def spoil(yaml: Path, *names: str) -> None:
    for name in names:
        (yaml.parent / "labels" / name).write_bytes(b"no picture")


@covers(
    *("stages.samples:make_job", "workspace.folders:failures_command", "stages.tensors:_notes"),
    "report.console:print_failures",
)
def test_files_that_fail(yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.report import console

    monkeypatch.setattr(console, "LISTED", 1)
    place = stores.Workspace(tmp_path / "w")
    spoil(yaml, "train/0000.png", "train/0001.png")
    options = ["--workspace", place.path, "--split", "train"]
    text = ok("boundaries", "--dataset", yaml, "--grid", "4x4", *options, status=1)
    text += ok("solve-tensors", *options)
    text += sample(place, "--split", "train", status=1)
    printed = follow(text)
    assert all("0001" in listing for listing in printed)


@covers("stages.engine:_incomplete")
def test_blocks_that_are_lost(space: stores.Workspace) -> None:
    from pipeline.commands import sample as command
    from pipeline.stages import engine

    with advice.running("sample", command.Options(workspace=space.path)):
        error = engine._incomplete("samples", [lambda: engine.BlockResult(0, 1)], [], 1)
    follow(str(error))


@covers("stages.inputs:largest", "report.show:load_scene")
def test_label_maps_that_cannot_be_used(yaml: Path, tmp_path: Path) -> None:
    place = ["--workspace", tmp_path / "w"]
    path = yaml.parent / "labels" / "val" / "0000.png"
    Image.fromarray(np.full((40, 56), 9, np.uint8)).save(path)
    follow(ok("show", 0, "--dataset", yaml, "--split", "val", *place, status=1), status=1)
    spoil(yaml, "train/0000.png", "train/0001.png", "train/0002.png")
    text = ok("boundaries", "--dataset", yaml, "--split", "train", *place, status=1)
    follow(text, status=1)


# Damage


def corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def repaired(space: stores.Workspace, text: str, *rest: str) -> None:
    """Follow the advice, and what that advises, until all is well."""
    for line in [*advised(text), *rest]:
        printed = call(*shlex.split(line)[1:])[1]
        for again in advised(printed):
            call(*shlex.split(again)[1:])
    ok("verify", "--all", "--workspace", space.path)


@covers("stages.damage:_listed", "stages.damage:boundaries_command", "stages.damage:command_of")
@pytest.mark.parametrize(
    "chunk",
    ["boundaries.zarr/b", "tensors/4x4-lambda1.zarr/phi", "samples/proposal-4x4-lambda1-8.zarr/image"],
)
def test_a_damaged_chunk(space: stores.Workspace, chunk: str) -> None:
    sample(space)
    corrupt(next((space.folder("blobs", "train").path / chunk).glob("c.*")))
    repaired(space, ok("verify", "--all", "--workspace", space.path, status=1))


@covers("workspace.blocks:_damage_told", "workspace.folders:repair_command")
def test_a_damaged_chunk_that_is_read(space: stores.Workspace) -> None:
    folder = space.folder("blobs", "train").boundaries / "status"
    corrupt(next(folder.glob("c.*")))
    repaired(space, sample(space, status=1))


@covers("workspace.stores:_advice", "workspace.stores:open_array", "stages.damage:_mend")
@pytest.mark.parametrize("name", ["zarr.json", "status/zarr.json"])
def test_a_damaged_description_of_a_store(space: stores.Workspace, name: str) -> None:
    (space.folder("blobs", "train").boundaries / name).write_text("{")
    text = ok("solve-tensors", "--workspace", space.path, status=1)
    found = ok("verify", "--workspace", space.path, status=1)
    assert set(advised(text)) <= set(advised(found))
    repaired(space, text)


@covers("stages.verify:__init__", "stages.damage:boundaries_command")
def test_a_store_that_cannot_be_mended(space: stores.Workspace) -> None:
    folder = space.folder("blobs", "train")
    shutil.rmtree(folder.boundaries)
    text = ok("verify", "--workspace", space.path, status=1)
    repaired(space, text, f"adaprep solve-tensors --workspace '{space.path}'")


@covers(
    *("stages.remembered:repair", "stages.remembered:list_again", "workspace.folders:verify_command"),
    *("stages.damage:_again", "stages.damage:_deleted", "stages.status:failures"),
    *("stages.damage:check_lists", "stages.inputs:read_list", "stages.remembered:open_dataset"),
)
def test_lists_and_descriptions(space: stores.Workspace, yaml: Path) -> None:
    folder = space.folder("blobs", "train")
    disk.write_json(folder.failures("boundaries"), {"failures": 3})
    repaired(space, ok("status", "--failures", "--workspace", space.path))
    assert not folder.failures("boundaries").exists()
    folder.second_inputs.write_text("x")
    repaired(space, ok("verify", "--workspace", space.path, status=1))
    for path in (folder.description, folder.inputs):
        path.write_text("{")
        repaired(space, sample(space, status=1))
    for path in (folder.description, folder.second_description):
        path.write_text("{")
    printed = follow(sample(space, status=1), status=1)[0]
    shape = ["--grid", "4x4", "--crops", "3", "--targets", "blob"]
    run_line(next(line for line in advised(printed) if "NAME" in line), *shape, NAME=yaml)
    sample(space)


@covers("stages.verify:_boundaries", "stages.damage:boundaries_command")
def test_a_label_map_that_has_changed(space: stores.Workspace, yaml: Path) -> None:
    path = yaml.parent / "labels" / "train" / "0000.png"
    Image.fromarray(np.rot90(np.asarray(Image.open(path)), 2)).save(path)
    text = ok("verify", "--all", "--workspace", space.path, status=1)
    follow(text)
    ok("solve-tensors", "--workspace", space.path)
    ok("verify", "--all", "--workspace", space.path)


# Data sets


@covers("stages.chosen:_init")
def test_a_data_set_that_there_is_not(yaml: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("no-such", tmp_path / "no-such.yaml")):
        text = ok("check", "--dataset", name, "--workspace", tmp_path / "w", status=1)
        follow(text, "-o", str(tmp_path / f"{number}.yaml"), FOLDER=yaml.parent)


@covers(
    *("commands.init:command", "commands.init:_place", "commands.convert:_run"),
    *("datasets.discovery.written:_lines", "datasets.discovery.archives:unpack"),
)
def test_describing_and_converting(
    make_blobs: MakeBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = make_blobs(train=3, val=2).parent
    (root / "blobs.yaml").rename(tmp_path / "old.yaml")
    follow(ok("init", root, "-o", "mine.yaml"))
    follow((tmp_path / "mine.yaml").read_text().split("then run:")[1].splitlines()[0])
    follow(ok("convert", "--dataset", "mine.yaml", "-o", "as-ids"))
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", root)
    lines = advised(ok("init", archive, status=1))
    assert "packed.zip" in lines[-1]
    run_line(lines[-1])
    (tmp_path / "blobs.yaml").unlink(missing_ok=True)
    text = ok("init", archive, "--extract-to", "packed", "--force", status=1)
    run_line(advised(text)[0], "--force")
    first, second = advised(ok("init", "mine.yaml", status=1))
    run_line(first)
    assert shlex.split(second)[1:] == ["init", "."]


@covers("datasets.demo:Demo")
def test_scenes_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = ok("check", "--dataset", "demo", status=1)
    follow(text, "--train", "1", "--val", "1")
    ok("check", "--dataset", "demo", "--split", "val")


@covers("report.console:_print_region")
def test_images_that_central_squares_miss(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    yaml = make_blobs(train=2, val=1, size=(30, 150))
    place = ["--workspace", tmp_path / "w"]
    ok("boundaries", "--dataset", yaml, *place)
    ok("solve-tensors", *place)
    trained, evaluated = advised(ok("check", "--dataset", yaml, *place))
    run_line(trained)
    assert shlex.split(evaluated)[1:] == ["evaluate", "--whole-image", "--workspace", str(tmp_path / "w")]


def test_names_with_commas_pass_the_targets(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    names = ['a, "b"', "plain", " spaced ", "c\nd", "'"]
    assert split_names(join_names(names)) == names
    assert split_names("car, person,") == ["car", "person"]
    yaml = make_blobs(train=2, val=1)
    yaml.write_text(
        yaml.read_text().replace("name: blob}", "name: 'blob, round'}").replace("[blob,", "['blob, round',")
    )
    folder = stores.Workspace(tmp_path / "w").folder("blobs", "train")
    options = ["--split", "train", "--workspace", tmp_path / "w"]
    ok("boundaries", "--dataset", yaml, "--targets", '"blob, round",stick', *options)
    stores.open_store(folder.boundaries).forget(0, 2)
    follow(sample(stores.Workspace(tmp_path / "w"), status=1))
    assert stores.open_store(folder.boundaries).parameters["targets"] == ["blob, round", "stick"]


# Networks


@covers("train.environment:read", "train.processes:_join", "train.processes:choose_device")
def test_processes_that_do_not_go_together(space: stores.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    with monkeypatch.context() as world:
        world.setenv("WORLD_SIZE", "2")
        world.delenv("RANK", raising=False)
        text = ok("train", "--sampler", "uniform", "--grid", "4x4", "--workspace", space.path, status=1)
    assert f"torchrun --nproc-per-node 2 -m {advised(text)[0]}" in text
    follow(text)


@covers("recipes.run:_only_training")
def test_a_recipe_in_several_processes(yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"dataset: {yaml}\nbase: {{resolutions: [8], samplers: [uniform], epochs: 1}}\n")
    with monkeypatch.context() as world:
        world.setenv("WORLD_SIZE", "2")
        text = ok("run", recipe, "--workspace", tmp_path / "w", "--device", "cpu", status=1)
    for line in advised(text):
        assert f"--workspace {tmp_path / 'w'}" in line
        run_line(line, "--dry-run")


@pytest.fixture
def trained(space: stores.Workspace) -> stores.Workspace:
    """An auxiliary network, and a base network on its samples."""
    pytest.importorskip("torch")
    shape = ["--aux-resolution", 16, "--aux-features", 8, "--resolution", 8, "--grid", "4x4"]
    more = ["--epochs", 1, "--batch-size", 2, "--device", "cpu", "--workspace", space.path]
    ok("train", *shape, *more)
    return space


@covers("evaluation.evaluations:_candidates", "inference.choosing:best_run", "train.parts:output")
def test_networks_that_are_not_there(space: stores.Workspace, yaml: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    image = yaml.parent / "images" / "val" / "0000.jpg"
    text = ok("evaluate", "--workspace", space.path, status=1)
    train, _ = advised(text)
    run_line(train, "--grid", "4x4")
    text = ok("predict", image, "-o", tmp_path / "out", "--workspace", space.path, status=1)
    run_line(advised(text)[0], "--grid", "4x4")
    base = ["--network", "base", "--grid", "4x4", "--device", "cpu"]
    follow(ok("train", *base, "--workspace", space.path, status=1))


@covers("train.validation:central_items")
def test_an_even_number_of_crops(yaml: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    place = ["--workspace", tmp_path / "w"]
    ok("boundaries", "--dataset", yaml, "--crops", 2, "--grid", "4x4", *place)
    ok("solve-tensors", *place)
    base = ["train", "--network", "base", "--sampler", "uniform", "--grid", "4x4", "--device", "cpu"]
    more = ["--resolution", 8, "--epochs", 1, "--batch-size", 2]
    follow(ok(*base, *more, *place, status=1))
    assert (
        stores.open_store(stores.Workspace(tmp_path / "w").folder("blobs", "val").boundaries).parameters[
            "crops"
        ]
        == 1
    )


@pytest.mark.slow
@covers("samplers.feedback:make")
def test_a_sampler_that_needs_a_base_network(trained: stores.Workspace) -> None:
    from pipeline.errors import AdaprepError
    from pipeline.samplers import feedback
    from pipeline.samplers.base import Wanted

    base = next(run for run in trained.runs("blobs") if run.name.startswith("base"))
    with pytest.raises(AdaprepError) as error:
        feedback.FEEDBACK["twice"].make(Wanted())
    follow(str(error.value), "--device", "cpu", "--workspace", str(trained.path), BASE=base.best)


@pytest.mark.slow
@covers(
    *("evaluation.evaluations:_candidates", "inference.systems:open_recorded", "inference.systems:load_base"),
    *("workspace.results:_evaluate", "workspace.results:evaluation"),
)
def test_evaluations_and_checkpoints_that_are_not_whole(trained: stores.Workspace, tmp_path: Path) -> None:
    from pipeline.networks import checkpoint

    base, auxiliary = (
        next(r for r in trained.runs("blobs") if r.name.startswith(k)) for k in ("base", "aux")
    )
    place = ["--workspace", trained.path, "--device", "cpu"]
    ok("evaluate", *place)
    path = base.evaluation_file("val")
    disk.write_json(path, {**disk.read_json(path), "run": "another"})
    text = " ".join(ok("report", *place, status=1).split())
    path.unlink()
    follow(text)
    assert path.exists()
    shutil.copytree(auxiliary.path, tmp_path / "moved")
    shutil.rmtree(auxiliary.path)
    text = ok("evaluate", "--overwrite", *place, status=1)
    follow(text, FILE=tmp_path / "moved" / "best.pt")
    found = checkpoint.load(base.best)
    checkpoint.save(base.best, "base", found.network, found.arguments, found.state, {"dataset": "blobs"})
    run_line(advised(ok("evaluate", base.best, *place, status=1))[0], "--grid", "4x4")


@pytest.mark.slow
@covers(
    *("report.page.document:_to_train", "report.page.document:_to_evaluate", "report.page.document:_bound"),
    *("report.page.document:_to_draw", "report.page.document:_pictures", "report.page.document:_no_examples"),
    *("report.page.findings:to_compare", "report.page.commands:_line", "report.page.commands:_boundaries"),
    *("report.page.commands:_bound", "report.page.commands:again", "report.page.commands:_tensors"),
)
def test_what_a_report_misses_and_how_it_was_made(
    trained: stores.Workspace, yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import html

    place = ["--workspace", trained.path]
    ok("upper-bound", "--split", "val", "--resolution", 8, "--grid", "4x4", "--save", *place)
    for _ in range(2):  # before networks are evaluated, and after
        ok("report", "--device", "cpu", *place)
        page = (trained.report_folder("blobs", "val") / "index.html").read_text("utf-8")
        monkeypatch.setenv("ADAPREP_WORKSPACE", str(trained.path))
        codes = re.findall(r"<(?:code|pre)[^>]*>([^<]*)<", page)
        for line in advised("\n".join(map(html.unescape, codes))):
            run_line(
                line,
                *(["--grid", "4x4"] if line.startswith("adaprep train") and "--grid" not in line else []),
            )


@pytest.mark.slow
@covers("commands.demo:run")
def test_what_comes_after_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = ok("demo", "--train", 2, "--val", 1, "--workspace", "w")
    follow(text.split("next:")[1].replace("show 5", "show 0"))


def test_every_place_is_tried() -> None:
    assert sorted(set(places()) - TRIED) == []
