"""The commands as typed: what they print, their exit status, what they say to bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cli import main
from pipeline.workspace import stores

MakeBlobs = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def call(*args: object) -> Result:
        return CliRunner().invoke(main, [str(a) for a in args])

    return call


Run = Callable[..., Result]


def test_help_names_every_command_and_gives_examples(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name in ("demo", "datasets", "check", "boundaries", "solve-tensors", "show", "status", "verify"):
        assert name in result.output
    for name in ("check", "boundaries", "solve-tensors", "show"):
        assert f"adaprep {name} " in run(name, "--help").output


def test_from_label_maps_to_a_picture(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    result = run("boundaries", "--dataset", yaml)
    assert result.exit_code == 0, result.output
    assert "boundaries of blobs/train: 6 images in" in result.output
    assert "boundaries of blobs/val: 2 images in" in result.output
    result = run("solve-tensors", "--lambda", "0.1,1", "--lambda", "10")
    assert result.exit_code == 0, result.output
    tensors = Path("adaprep-workspace/blobs/train/tensors")
    assert sorted(p.name for p in tensors.iterdir()) == [f"8x8-lambda{x}.zarr" for x in ("0.1", "1", "10")]
    result = run("show", "0003", "--lambda", "0.1,1", "--resize", "16", "-o", "points.png")
    assert result.exit_code == 0, result.output
    assert Image.open("points.png").size[0] > 1500
    result = run("verify")
    assert result.exit_code == 0, result.output
    assert "BAD" not in result.output
    assert "phi minimises energy (2) (gradient within rounding): 30 crops" in result.output
    result = run("status")
    assert result.exit_code == 0
    assert "6 of 6" in result.output


def test_status_as_json_holds_parameters_and_failures(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    (yaml.parent / "labels" / "train" / "0001.png").write_bytes(b"")
    assert run("boundaries", "--dataset", yaml).exit_code == 1
    facts = json.loads(run("status", "--json").output)
    train = next(s for s in facts["stores"] if s["split"] == "train")
    assert (train["images"], train["done"], train["failed"]) == (6, 5, 1)
    assert train["parameters"]["targets"] == ["blob", "stick"]
    assert "0001" in facts["failures"][0]["name"]
    assert "empty" in run("status", "--failures").output


def test_a_dry_run_says_what_and_why_and_writes_nothing(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    result = run("boundaries", "--dataset", yaml, "--dry-run")
    assert result.exit_code == 0, result.output
    for word in ("would make", "why     not there yet", "6 of 6 images", "time    about", "memory", "disk"):
        assert word in result.output
    assert not Path("adaprep-workspace").exists()
    run("boundaries", "--dataset", yaml)
    result = run("solve-tensors", "--dry-run")
    assert "would make" in result.output
    assert not Path("adaprep-workspace/blobs/train/tensors").exists()


def test_check_reports_a_sound_data_set(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    result = run("check", "--dataset", yaml)
    assert result.exit_code == 0, result.output
    assert "pairs     6 of 6 (0 images and 0 label maps missing)" in result.output
    assert "nothing wrong found" in result.output
    facts = json.loads(run("check", "--dataset", yaml, "--split", "train", "--json").output)[0]
    assert facts["sizes"] == {"40x56": 6}
    assert facts["modes"] == {"RGB image, L labels (uint8)": 6}
    assert sum(row["pixels"] for row in facts["classes"]) == 6 * 40 * 56
    assert abs(sum(row["share"] for row in facts["classes"]) - 1) < 1e-9


def spoil_truncated(label: Path) -> None:
    label.write_bytes(label.read_bytes()[:60])


def spoil_empty(label: Path) -> None:
    label.write_bytes(b"")


def spoil_size(label: Path) -> None:
    Image.new("L", (30, 20), 1).save(label)


def spoil_rgb(label: Path) -> None:
    Image.new("RGB", (56, 40), (1, 2, 3)).save(label)


def spoil_sixteen_bit(label: Path) -> None:
    Image.fromarray(np.full((40, 56), 4000, np.uint16)).save(label)


def spoil_unknown(label: Path) -> None:
    Image.new("L", (56, 40), 99).save(label)


def spoil_missing(label: Path) -> None:
    label.unlink()


def spoil_folder(label: Path) -> None:
    label.unlink()
    label.mkdir()


def spoil_link(label: Path) -> None:
    label.unlink()
    label.symlink_to(label.name)


BAD_LABELS = [
    (spoil_truncated, "truncated"),
    (spoil_empty, "empty file (0 bytes)"),
    (spoil_size, "they must have the same size"),
    (spoil_rgb, "RGB picture"),
    (spoil_sixteen_bit, "id 4000 is not in the class table of blobs"),
    (spoil_unknown, "id 99 is not in the class table of blobs"),
    (spoil_missing, "no such file"),
    (spoil_folder, "folder"),
    (spoil_link, "symbolic link"),
]


@pytest.mark.parametrize(("spoil", "sentence"), BAD_LABELS, ids=lambda v: getattr(v, "__name__", None))
@pytest.mark.parametrize("command", ["check", "boundaries"])
def test_a_bad_label_map_is_named_with_its_reason_and_the_rest_goes_on(
    make_blobs: MakeBlobs, run: Run, command: str, spoil: Callable[[Path], None], sentence: str
) -> None:
    yaml = make_blobs()
    spoil(yaml.parent / "labels" / "train" / "0004.png")
    result = run(command, "--dataset", yaml, "--split", "train")
    assert result.exit_code == 1
    text = " ".join(result.output.split())
    assert "1 failed:" in text
    assert "0004" in text
    assert sentence in text
    if command == "boundaries":
        assert "5 images in" in text


def test_a_palette_label_map_is_read_as_indices(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    path = yaml.parent / "labels" / "train" / "0000.png"
    labels = Image.open(path)
    expected = np.asarray(labels).copy()
    palette = Image.fromarray(expected, mode="P")
    palette.putpalette([(i * 37) % 256 for i in range(768)])
    palette.save(path)
    assert Image.open(path).mode == "P"
    assert run("boundaries", "--dataset", yaml, "--split", "train").exit_code == 0
    assert run("verify", "--split", "train", "--all").exit_code == 0


def test_sixteen_bit_ids_of_the_class_table_are_fine(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    yaml.write_text(yaml.read_text().replace("id: 7", "id: 7007"))
    for path in (yaml.parent / "labels").rglob("*.png"):
        labels = np.asarray(Image.open(path)).astype(np.uint16)
        Image.fromarray(np.where(labels == 7, 7007, labels).astype(np.uint16)).save(path)
    result = run("check", "--dataset", yaml)
    assert result.exit_code == 0, result.output
    assert "uint16" in result.output
    assert run("boundaries", "--dataset", yaml).exit_code == 0


def test_a_truncated_image_is_found_when_images_are_decoded(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    image = yaml.parent / "images" / "train" / "0001.jpg"
    image.write_bytes(image.read_bytes()[: image.stat().st_size * 3 // 4])
    assert run("check", "--dataset", yaml, "--split", "train").exit_code == 0
    result = run("check", "--dataset", yaml, "--split", "train", "--decode-images")
    assert result.exit_code == 1
    assert "0001" in result.output
    assert "truncated" in result.output


def test_a_missing_image_fails_the_check_but_not_the_boundaries(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    (yaml.parent / "images" / "train" / "0002.jpg").unlink()
    result = run("check", "--dataset", yaml, "--split", "train")
    assert result.exit_code == 1
    assert "no such image" in result.output
    assert run("boundaries", "--dataset", yaml, "--split", "train").exit_code == 0


def test_file_names_with_spaces_and_other_scripts(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    for kind in ("images", "labels"):
        for path in (yaml.parent / kind / "train").iterdir():
            path.rename(path.with_name(f"Straße 東京 {path.name}"))
    assert run("boundaries", "--dataset", yaml).exit_code == 0
    assert run("verify", "--all").exit_code == 0
    result = run("show", "東京 0003")
    assert result.exit_code == 0, result.output


def test_of_several_data_sets_in_a_workspace_the_users_own_is_named_as_the_message_says(
    make_blobs: MakeBlobs, run: Run
) -> None:
    yaml = make_blobs()
    other = make_blobs(seed=1, folder="others")
    other.write_text(
        other.read_text(encoding="utf-8").replace("name: blobs", "name: others"), encoding="utf-8"
    )
    for own in (yaml, other):
        assert run("boundaries", "--dataset", own).exit_code == 0
    result = run("show", "0003")
    assert result.exit_code == 1
    assert "several data sets (blobs, others): say which one with --dataset NAME" in result.output
    for name in ("blobs", "others"):
        result = run("show", "0003", "--dataset", name, "-o", f"{name}.png")
        assert result.exit_code == 0, result.output
    assert Path("blobs.png").read_bytes() != Path("others.png").read_bytes()
    result = run("show", "0003", "--dataset", "nothing")
    assert result.exit_code == 1
    assert "no data set 'nothing'" in result.output


def test_an_empty_data_set_says_where_it_looked(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs(train=0, val=0)
    result = run("boundaries", "--dataset", yaml)
    assert result.exit_code == 1
    assert str(yaml.parent / "labels") in result.output.replace("\n", "")


@pytest.mark.parametrize("name", ["camvid", "cityscapes", "apolloscape", "supervisely", "synthia-seqs"])
def test_a_data_set_that_is_not_here_says_where_it_looked(run: Run, name: str) -> None:
    result = run("check", "--dataset", name)
    assert result.exit_code == 1
    assert "Error:" in result.output
    assert f"data/{name}" in result.output
    assert "--root" in result.output


def test_a_misspelt_data_set_is_corrected(run: Run) -> None:
    result = run("check", "--dataset", "cityscape")
    assert result.exit_code == 1
    assert "cityscapes" in result.output


def test_unknown_targets_list_the_classes(make_blobs: MakeBlobs, run: Run) -> None:
    result = run("boundaries", "--dataset", make_blobs(), "--targets", "blob,bolb")
    assert result.exit_code == 1
    assert "no class named 'bolb' to make a target of; the classes are: ground, blob, stick" in result.output


def test_a_label_map_nobody_may_read(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    (yaml.parent / "labels" / "train" / "0001.png").chmod(0)
    if os.geteuid() == 0:
        pytest.skip("root may read every file; tests/datasets covers the sentence")
    result = run("boundaries", "--dataset", yaml, "--split", "train")
    assert result.exit_code == 1
    assert "permission" in result.output.lower()


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("solve-tensors", "--lambda", "-1"), "give numbers of at least 0"),
        (("solve-tensors", "--lambda", "one"), "give numbers of at least 0"),
        (("solve-tensors", "--grid", "1x8"), "is no grid"),
        (("solve-tensors", "--workers", "2", "--threads", "2"), "give only one of --workers"),
        (("solve-tensors",), "holds nothing yet. Start with: adaprep boundaries"),
        (("verify",), "holds nothing yet"),
        (("show", "0"), "holds nothing yet"),
    ],
)
def test_wrong_options_are_explained(run: Run, args: tuple[str, ...], sentence: str) -> None:
    result = run(*args)
    assert result.exit_code != 0
    assert sentence in " ".join(result.output.split())


def test_show_says_which_images_there_are(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    result = run("show", "nothing-like-it", "--dataset", yaml)
    assert result.exit_code == 1
    assert "no image matches 'nothing-like-it' among 8" in result.output
    assert run("show", "000", "--dataset", yaml).exit_code == 1


def test_no_scheduler_at_the_address(make_blobs: MakeBlobs, run: Run) -> None:
    result = run("boundaries", "--dataset", make_blobs(), "--scheduler", "tcp://127.0.0.1:1")
    assert result.exit_code == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in result.output


def test_a_newer_store_is_refused_by_every_command(make_blobs: MakeBlobs, run: Run) -> None:
    yaml = make_blobs()
    run("boundaries", "--dataset", yaml)
    for path in Path("adaprep-workspace").rglob("boundaries.zarr/zarr.json"):
        meta = json.loads(path.read_text())
        meta["attributes"]["adaprep"]["format"] = stores.FORMAT + 1
        path.write_text(json.dumps(meta))
    for args in (("boundaries", "--dataset", yaml), ("solve-tensors",), ("verify",), ("status",)):
        result = run(*args)
        assert result.exit_code == 1, args
        assert "newer adaprep" in result.output


WITH_SOMETHING_REQUIRED = [
    name for name, command in sorted(main.commands.items()) if any(part.required for part in command.params)
]


@pytest.mark.parametrize("name", WITH_SOMETHING_REQUIRED)
def test_what_a_command_cannot_do_without_is_said_to_be_missing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [name])
    assert result.exit_code == 2
    assert "Error: Missing " in result.output
    assert not list(tmp_path.iterdir())


def test_what_a_demo_leads_to_needs_no_torch(make_blobs: Callable[..., Path], tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from cli import main; main(sys.argv[1:])"
    place = ("--workspace", tmp_path / "w")

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *map(str, words), *map(str, place)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    for words in (
        ("boundaries", "--dataset", make_blobs(), "--grid", "4"),
        ("upper-bound", "--split", "val", "--grid", "4", "--resolution", "8"),
        ("sample", "--sampler", "uniform", "--resolution", "8", "--grid", "4"),
    ):
        done = run(*words)
        assert done.returncode == 0, done.stderr
    refused = run("upper-bound", "--split", "val", "--first", "base")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert "running networks needs torch, which is not installed" in refused.stderr
