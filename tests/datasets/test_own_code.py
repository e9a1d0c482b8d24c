"""Data sets made by code of the user's own: in every command, and only where the user names it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MethodType

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from cli import main
from pipeline.datasets import png, registry
from pipeline.datasets.base import ClassTable, Dataset, Frame, LabelClass, strips_of
from pipeline.datasets.pairs import pair_folders
from pipeline.errors import AdaprepError
from pipeline.stages.frame import process_frame

MakeBlobs = Callable[..., Path]
HERE = "tests.datasets.test_own_code"
TOY = f"{HERE}:Toy"


class Toy(Dataset):
    """Blobs whose label maps are read by code."""

    name = "toy"
    title = "Toy"
    splits = ("train", "val")
    archives = "Put images and labels in ROOT."
    table = ClassTable(
        (
            LabelClass(0, "ground", 0),
            LabelClass(1, "blob", 1, target=True),
            LabelClass(7, "stick", 2, target=True),
            LabelClass(255, "void"),
        )
    )

    def __init__(self, root: Path, flipped: bool = False) -> None:
        super().__init__(root)
        self.flipped = flipped

    def settings(self) -> dict[str, bool]:
        return {"flipped": self.flipped}

    def frames(self, split: str) -> list[Frame]:
        self.check_split(split)
        return pair_folders(self.root / "images" / split, self.root / "labels" / split)

    def decode_labels(self, data: bytes, frame: Frame) -> NDArray[np.uint8] | NDArray[np.uint16]:
        labels = super().decode_labels(data, frame)
        return labels[::-1] if self.flipped else labels


def test_label_maps_of_plain_images_are_decoded_in_strips(
    make_blobs: MakeBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = registry.load(str(make_blobs(train=1)))
    whole = described.read_labels(described.frames("train")[0])
    monkeypatch.setattr(png, "STRIP_BYTES", 57 * 9)
    frame = described.frames("train")[0]
    strips = [strip.copy() for strip in strips_of(described, described.label_bytes(frame), frame)]
    assert [len(strip) for strip in strips] == [9, 9, 9, 9, 4]
    np.testing.assert_array_equal(np.concatenate(strips), whole)


@pytest.mark.parametrize("derived", [False, True])
def test_a_way_of_its_own_to_decode_is_not_passed_over_for_strips(
    make_blobs: MakeBlobs, derived: bool
) -> None:
    """Neither where a data set of adaprep's is derived from, nor where an object's method is replaced."""
    described = registry.load(str(make_blobs(train=1)))

    def decode_labels(self: Dataset, data: bytes, frame: Frame) -> NDArray[np.uint8]:
        return np.zeros((40, 56), np.uint8)

    frame = described.frames("train")[0]
    assert process_frame(described, frame, (2, 2), 1).has_boundary.all()
    if derived:
        described.__class__ = type("Blank", (type(described),), {"decode_labels": decode_labels})
    else:
        described.decode_labels = MethodType(decode_labels, described)  # type: ignore[method-assign]
    assert not process_frame(described, frame, (2, 2), 1).has_boundary.any()


def made(root: Path | None, flipped: str = "false") -> Dataset:
    return Toy(root or Path("data"), flipped == "true")


def number(root: Path | None) -> int:
    return 3


def failing(root: Path | None) -> Dataset:
    raise KeyError("no key")


class Bare(Dataset):
    name = "bare"


class Camvid(Toy):
    name = "camvid"


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def ok(*arguments: object) -> str:
    status, printed = call(*arguments)
    assert status == 0, printed
    return printed


@pytest.fixture
def prepared(make_blobs: MakeBlobs, tmp_path: Path) -> list[object]:
    """Options that name a workspace with boundaries of the toy."""
    place: list[object] = ["--workspace", tmp_path / "w"]
    root = make_blobs(train=3, val=2).parent
    ok("boundaries", "--dataset", TOY, "--root", root, "--set", "flipped=true", "--grid", "4x4", *place)
    return place


def test_every_command_takes_it(prepared: list[object], tmp_path: Path) -> None:
    told = ["--dataset", TOY, *prepared]
    ok("solve-tensors", "--grid", "4x4", *told)
    ok("sample", "--resolution", 8, "--grid", "4x4", *told)
    ok("verify", "--all", *told)
    ok("upper-bound", "--split", "val", "--resolution", 8, "--save", *told)
    ok("show", 0, "-o", tmp_path / "points.png", *told)
    ok("check", "--dataset", TOY, *prepared)
    ok("report", *told)
    assert "toy/train" in ok("status", *told)
    about = json.loads((tmp_path / "w" / "toy" / "train" / "dataset.json").read_text())
    assert (about["dataset"], about["settings"]) == (TOY, {"flipped": True})


def test_what_needs_no_files_needs_no_code(prepared: list[object]) -> None:
    ok("solve-tensors", "--grid", "4x4", *prepared)
    ok("status", *prepared)


def test_a_workspace_does_not_decide_which_code_runs(prepared: list[object]) -> None:
    ok("solve-tensors", "--grid", "4x4", *prepared)
    sample = ("sample", "--resolution", 8, "--grid", "4x4")
    for command in (sample, ("verify",), ("show", 0), ("upper-bound",), ("report",)):
        for named in ([], ["--dataset", "toy"]):
            status, printed = call(*command, *named, *prepared)
            assert status == 1
            assert "a file does not decide which code runs" in printed
            assert f"--dataset {TOY}" in printed


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[str]:
    """A door to code that must not run."""
    (tmp_path / "code_of_a_file.py").write_text("raise SystemExit('imported')\n")
    sys.path.insert(0, str(tmp_path))
    yield "code_of_a_file:make"
    sys.path.remove(str(tmp_path))
    assert "code_of_a_file" not in sys.modules


def test_other_code_than_the_user_names_is_not_imported(
    prepared: list[object], tmp_path: Path, foreign: str
) -> None:
    ok("solve-tensors", "--grid", "4x4", *prepared)
    for path in (tmp_path / "w").rglob("dataset.json"):
        path.write_text(path.read_text().replace(TOY, foreign))
    for command in (("sample", "--resolution", 8, "--grid", "4x4"), ("verify",), ("report",)):
        for named in ([], ["--dataset", "toy"], ["--dataset", TOY]):
            status, printed = call(*command, *named, *prepared)
            assert status == 1
            assert "a file does not decide which code runs" in printed


def test_settings_are_given_to_a_function(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    root = make_blobs(train=2, val=1).parent
    data = registry.load(f"{HERE}:made", root, flipped="true", targets=["blob"])
    assert isinstance(data, Toy)
    assert (data.flipped, data.root, data.spelling) == (True, root, f"{HERE}:made")
    assert data.classes.targets == (1,)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("no_such_module:x", "there is no module no_such_module"),
        (f"{HERE}:missing", "has no missing"),
        (f"{HERE}:number", "returned a int, must be a pipeline.datasets.base.Dataset"),
        (f"{HERE}:failing", "failed: KeyError: 'no key'"),
        (f"{HERE}:Bare", "does not state its title, splits, table, archives"),
        (f"{HERE}:Camvid", "calls its data set camvid, as one of adaprep's is called"),
    ],
)
def test_what_makes_no_data_set_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(AdaprepError, match=problem):
        registry.load(name, tmp_path)


def test_its_folder_is_looked_for_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ADAPREP_DATA", raising=False)
    with pytest.raises(AdaprepError, match=r"toy: not found. Looked for the folders\n.*data/toy"):
        registry.load(TOY)
    (tmp_path / "data" / "toy").mkdir(parents=True)
    assert registry.load(TOY).root == tmp_path / "data" / "toy"


def test_a_recipe_names_it_in_every_step(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    root = make_blobs(train=3, val=2).parent
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"dataset: {TOY}\nroot: {root}\nworkspace: {tmp_path / 'w'}\nsettings: {{flipped: true}}\n"
        f"check: {{limit: 2}}\nupper_bound: {{resolutions: [8]}}\n"
    )
    ok("run", path)
    printed = ok("run", path, "--dry-run")
    assert printed.count(f"--dataset {TOY}") == printed.count("adaprep ")
    assert "to do" not in printed


@pytest.mark.slow
def test_local_processes_find_code_in_the_working_folder(
    make_blobs: MakeBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_the_user.py").write_text(
        f"from {HERE} import Toy\n\nclass Mine(Toy):\n    name = 'mine'\n"
    )
    monkeypatch.chdir(tmp_path)
    root = make_blobs(train=2, val=1).parent
    ok("boundaries", "--dataset", "beside_the_user:Mine", "--root", root, "--split", "val", "--workers", 1)
