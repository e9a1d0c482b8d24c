"""Workspaces live: data sets and workspaces that are moved, renamed or copied, and what `--dataset` takes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cli import main
from pipeline.datasets.camvid import CamVid
from pipeline.workspace import stores
from tests.datasets import replicas

Run = Callable[..., Result]
MakeBlobs = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a project's folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(main, [str(a) for a in args])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project: `data` with its YAML file, and the workspace beside it, with boundaries and tensors."""
    from tests.faults.harness import make_world

    world = make_world(tmp_path_factory.mktemp("made") / "project", train=3, val=2)
    for command in (("boundaries", "--dataset", str(world.yaml)), ("solve-tensors",)):
        done = CliRunner().invoke(main, [*command, "--workspace", str(world.folder / "adaprep-workspace")])
        assert done.exit_code == 0, done.output
    return world.folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it, whose original has gone."""
    copied = shutil.copytree(made, tmp_path / "project")
    away = made.rename(made.with_name("away"))
    yield copied
    away.rename(made)


COMMANDS: dict[str, tuple[str, ...]] = {
    "check": (),
    "boundaries": (),
    "solve-tensors": (),
    "sample": ("--resolution", "8", "--sampler", "uniform"),
    "show": ("0", "--grid", "4"),
    "upper-bound": ("--resolution", "8", "--limit", "1"),
    "boundary-error": ("--limit", "1"),
    "verify": (),
    "status": (),
    "convert": ("-o", "converted", "--limit", "1"),
    "report": ("--device", "cpu"),
}
"""Every command that takes --dataset and needs no trained network, with options that make it quick."""


def do(run: Run, command: str, dataset: object, space: object) -> Result:
    named = ("--dataset", dataset) if dataset else ()
    return run(command, *COMMANDS[command], *named, "--workspace", space)


def description(space: Path, split: str = "train") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((space / "blobs" / split / "dataset.json").read_text())
    return content


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in ("report", "upper-bound") else [])
        for name in COMMANDS
    ],
)
@pytest.mark.parametrize("spelling", ["name", "yaml"])
def test_every_command_takes_a_name_that_the_workspace_holds_and_a_yaml_file(
    project: Path, run: Run, command: str, spelling: str
) -> None:
    named = "blobs" if spelling == "name" else project / "data" / "blobs.yaml"
    result = do(run, command, named, project / "adaprep-workspace")
    if command == "boundary-error":  # found and read, and no blob is large enough
        assert "blobs/val: none of 1 image has a closed outline" in result.output
    else:
        assert result.exit_code == 0, result.output
    assert "overwrite" not in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_corrects_a_misspelt_name(project: Path, run: Run, command: str) -> None:
    result = do(run, command, "blob", project / "adaprep-workspace")
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert "no data set 'blob'; did you mean 'blobs'?" in said
    assert "holds: blobs." in said
    assert "camvid" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_corrects_a_misspelt_yaml_file(project: Path, run: Run, command: str) -> None:
    result = do(run, command, project / "data" / "blob.yaml", project / "adaprep-workspace")
    assert result.exit_code == 1
    assert "blob.yaml: no such file; did you mean 'blobs.yaml'?" in " ".join(result.output.split())


def test_a_project_that_was_moved_as_a_whole_works_by_its_workspace_alone(project: Path, run: Run) -> None:
    for command in ("sample", "show", "upper-bound", "verify", "report"):
        result = do(run, command, None, project / "adaprep-workspace")
        assert result.exit_code == 0, result.output
    result = run("boundaries", "--dataset", "blobs", "--workspace", project / "adaprep-workspace")
    assert "0 images, 3 done before" in result.output


def test_a_copied_project_reads_its_own_files_and_not_the_originals(
    made: Path, tmp_path: Path, run: Run
) -> None:
    copied = shutil.copytree(made, tmp_path / "copied")
    from pipeline.stages import remembered
    from pipeline.workspace.stores import Workspace

    data = remembered.open_dataset(Workspace(copied / "adaprep-workspace").folder("blobs", "train"))
    assert data.root == copied / "data"


def test_a_workspace_without_its_yaml_file_knows_classes_and_splits(project: Path, run: Run) -> None:
    (project / "data" / "blobs.yaml").unlink()
    for command in ("show", "sample", "verify", "boundaries", "check"):
        result = do(run, command, "blobs", project / "adaprep-workspace")
        assert result.exit_code == 0, result.output


def test_a_yaml_file_that_moved_next_to_the_workspace_is_found(project: Path, run: Run) -> None:
    (project / "data" / "blobs.yaml").rename(project / "blobs.yaml")
    (project / "blobs.yaml").write_text((project / "blobs.yaml").read_text() + "title: Blobs anew\n")
    from pipeline.stages import remembered
    from pipeline.workspace.stores import Workspace

    data = remembered.open_dataset(Workspace(project / "adaprep-workspace").folder("blobs", "train"))
    assert data.title == "Blobs anew"
    assert data.root == project / "data"


def test_data_that_moved_are_asked_for_in_one_sentence_and_root_is_remembered(
    project: Path, run: Run
) -> None:
    space = project / "adaprep-workspace"
    moved = (project / "data").rename(project / "elsewhere")
    for command in ("show", "sample"):
        result = do(run, command, None, space)
        assert result.exit_code == 1
        said = " ".join(result.output.split())
        assert "which is not there (any more). Give its new folder with --root FOLDER" in said
        assert "failed" not in said
    assert run("show", "0", "--grid", "4", "--root", moved, "--workspace", space).exit_code == 0
    assert description(space)["root"] == str(moved)
    assert description(space)["beside"]["root"] == "../elsewhere"
    for command in ("sample", "verify", "report", "upper-bound"):
        result = do(run, command, None, space)
        assert result.exit_code == 0, result.output


def test_a_yaml_file_at_another_place_is_remembered(project: Path, run: Run) -> None:
    space = project / "adaprep-workspace"
    other = (project / "data").rename(project / "elsewhere")
    (other / "blobs.yaml").rename(other / "renamed.yaml")
    assert do(run, "solve-tensors", other / "renamed.yaml", space).exit_code == 0
    assert description(space)["dataset"] == str(other / "renamed.yaml")
    result = do(run, "show", None, space)
    assert result.exit_code == 0, result.output


def test_a_dry_run_remembers_nothing(project: Path, run: Run) -> None:
    space = project / "adaprep-workspace"
    moved = (project / "data").rename(project / "elsewhere")
    before = description(space)
    result = run(
        "sample",
        "--resolution",
        "8",
        "--sampler",
        "uniform",
        "--root",
        moved,
        "--dry-run",
        "--workspace",
        space,
    )
    assert result.exit_code == 0, result.output
    assert description(space) == before


def test_a_root_without_the_images_is_refused_and_not_remembered(
    project: Path, run: Run, tmp_path: Path
) -> None:
    space = project / "adaprep-workspace"
    (tmp_path / "empty").mkdir()
    before = description(space)
    result = run("show", "0", "--root", tmp_path / "empty", "--workspace", space)
    assert result.exit_code == 1
    assert "does not hold blobs/train: there is no " in " ".join(result.output.split())
    result = run("show", "0", "--root", tmp_path / "nothing", "--workspace", space)
    assert "no such folder. It must hold the data set blobs" in " ".join(result.output.split())
    assert description(space) == before


def test_a_root_with_other_label_maps_of_the_same_names_is_refused(project: Path, run: Run) -> None:
    space = project / "adaprep-workspace"
    other = shutil.copytree(project / "data", project / "other")
    for label in (other / "labels").rglob("*.png"):
        Image.new("L", (56, 40), 1).save(label)
    before = description(space)
    for command in ("show", "sample", "verify", "report", "upper-bound"):
        result = run(command, *COMMANDS[command], "--root", other, "--workspace", space)
        assert result.exit_code == 1
        assert "holds other label maps than blobs/train was made from" in " ".join(result.output.split())
    assert description(space) == before


def test_a_root_where_one_label_map_was_edited_is_taken(project: Path, run: Run) -> None:
    other = (project / "data").rename(project / "other")
    Image.new("L", (56, 40), 1).save(other / "labels" / "train" / "0000.png")
    space = project / "adaprep-workspace"
    assert run("show", "1", "--grid", 4, "--root", other, "--workspace", space).exit_code == 0
    assert description(space)["root"] == str(other)


def test_a_yaml_file_of_other_classes_is_not_taken_for_the_workspaces(project: Path, run: Run) -> None:
    yaml = project / "data" / "blobs.yaml"
    yaml.write_text(yaml.read_text().replace("name: stick", "name: pole").replace("stick", "pole"))
    result = do(run, "sample", yaml, project / "adaprep-workspace")
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert "is another blobs than" in said
    assert "classes:" in said


def test_a_workspace_of_an_older_version_asks_for_the_yaml_file_and_remembers_it(
    project: Path, run: Run
) -> None:
    space = project / "adaprep-workspace"
    for path in space.rglob("dataset.json"):
        about = json.loads(path.read_text())
        path.write_text(json.dumps({key: about[key] for key in ("dataset", "root", "settings", "targets")}))
    shutil.rmtree(space / ".spare")
    (project / "data").rename(project / "elsewhere")
    result = do(run, "show", None, space)
    assert result.exit_code == 1
    assert "Give its YAML file with --dataset FILE, wherever it is now" in " ".join(result.output.split())
    assert do(run, "sample", project / "elsewhere" / "blobs.yaml", space).exit_code == 0
    assert do(run, "show", None, space).exit_code == 0


def test_moving_makes_nothing_to_do_again(project: Path, run: Run) -> None:
    space = (project / "adaprep-workspace").rename(project / "renamed")
    moved = (project / "data").rename(project / "elsewhere")
    result = run("boundaries", "--dataset", moved / "blobs.yaml", "--workspace", space)
    assert "0 images, 3 done before" in result.output
    result = run("solve-tensors", "--workspace", space)
    assert "0 images, 3 done before" in result.output


def test_a_built_in_name_means_what_the_workspace_holds(tmp_path: Path, run: Run) -> None:
    replicas.camvid(tmp_path / "elsewhere", CamVid.table)
    named = ("--dataset", "camvid", "--workspace", tmp_path / "w")
    assert run("boundaries", *named, "--root", tmp_path / "elsewhere").exit_code == 0
    for command in (("show", "0", "--grid", "4"), ("check",), ("boundaries",), ("upper-bound", "--limit", 1)):
        result = run(*command, *named)
        assert result.exit_code == 0, result.output


def test_status_says_that_a_place_is_empty_and_that_a_name_is_not_held(
    project: Path, run: Run, tmp_path: Path
) -> None:
    result = run("status", "--workspace", tmp_path / "nothing")
    assert result.exit_code == 1
    assert "nothing holds nothing yet. Start with: adaprep boundaries" in " ".join(result.output.split())
    result = run("status", "--dataset", "camvid", "--workspace", project / "adaprep-workspace")
    assert result.exit_code == 1
    assert "holds nothing of camvid (it holds: blobs)" in " ".join(result.output.split())


@pytest.mark.parametrize("address", ["s3://bucket/prefix", "gs://bucket"])
def test_an_object_store_without_credentials_is_a_sentence_and_no_folder_is_made(
    address: str, project: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    result = run("upper-bound", "--resolution", "8", "--workspace", address)
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert f"{address.removesuffix('/prefix')}: there are no credentials. Set " in said
    assert not (tmp_path / address.split(":")[0]).exists()
    assert not list(tmp_path.glob("*:"))


def rename_folders(project: Path) -> Path:
    """Other names for the folders of images and label maps, in the YAML file too."""
    for old, new in (("images", "photos"), ("labels", "masks")):
        (project / "data" / old).rename(project / "data" / new)
    yaml = project / "data" / "blobs.yaml"
    yaml.write_text(yaml.read_text().replace("images/", "photos/").replace("labels/", "masks/"))
    return yaml


def test_renamed_folders_of_the_same_files_make_nothing_to_do_again(project: Path, run: Run) -> None:
    space = project / "adaprep-workspace"
    assert do(run, "sample", None, space).exit_code == 0
    yaml = rename_folders(project)
    result = run("boundaries", "--dataset", yaml, "--dry-run", "--workspace", space)
    assert "the list names other folders than before, which hold the same files" in " ".join(
        result.output.split()
    )
    result = run("boundaries", "--dataset", yaml, "--workspace", space)
    assert result.exit_code == 0, result.output
    assert "0 images, 3 done before" in result.output
    for command in ("solve-tensors", "sample"):
        result = do(run, command, None, space)
        assert "0 images, 3 done before" in result.output, result.output
    result = run("verify", "--all", "--workspace", space)
    assert result.exit_code == 0, result.output
    assert do(run, "show", None, space).exit_code == 0


def test_renamed_folders_with_a_label_map_that_changed_are_refused(project: Path, run: Run) -> None:
    yaml = rename_folders(project)
    Image.new("L", (56, 40), 1).save(project / "data" / "masks" / "train" / "0001.png")
    result = run("boundaries", "--dataset", yaml, "--workspace", project / "adaprep-workspace")
    assert result.exit_code == 1
    assert "number 1 was images/train/0000.png, is photos/train/0000.png" in " ".join(result.output.split())


def test_taking_up_a_list_that_was_interrupted_is_begun_again(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = project / "adaprep-workspace"
    yaml = rename_folders(project)
    grow, left = stores.grow, [1]

    def grow_or_stop(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return grow(*arguments)

    with monkeypatch.context() as stopping:
        stopping.setattr(stores, "grow", grow_or_stop)
        assert run("boundaries", "--dataset", yaml, "--workspace", space).exit_code == 130
    result = run("boundaries", "--dataset", yaml, "--workspace", space)
    assert result.exit_code == 0, result.output
    assert do(run, "solve-tensors", None, space).exit_code == 0
    assert run("verify", "--workspace", space).exit_code == 0


def test_a_recipe_takes_a_name_that_the_workspace_holds(project: Path, run: Run, tmp_path: Path) -> None:
    space = project / "adaprep-workspace"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"dataset: blobs\nworkspace: {space}\ncheck: {{limit: 2}}\nreport: false\n")
    result = run("run", recipe)
    assert result.exit_code == 0, result.output
    assert "done before" in result.output
    recipe.write_text(recipe.read_text().replace("blobs", "blob"))
    result = run("run", recipe)
    assert "line 1: dataset: no data set 'blob'; did you mean 'blobs'?" in " ".join(result.output.split())
