"""Data sets by name: where each is looked for, and what its settings take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.datasets import registry
from pipeline.datasets.camvid import CamVid
from pipeline.datasets.cityscapes import Cityscapes
from pipeline.datasets.custom import Custom
from pipeline.datasets.supervisely import Supervisely
from pipeline.datasets.synthia import SynthiaRand
from pipeline.errors import AdaprepError

HERE = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder holds nothing."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def test_every_name_opens_its_data_set(tmp_path: Path) -> None:
    for name in registry.names():
        dataset = registry.load(name, tmp_path)
        assert dataset.name == name
        assert dataset.root == tmp_path
        assert dataset.title
        assert dataset.archives
        assert set(dataset.training_splits) <= set(dataset.splits)
        assert dataset.classes.targets
        assert registry.load(name, tmp_path, **dataset.settings()).settings() == dataset.settings()


def test_the_given_root_goes_before_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYSCAPES_DATASET", str(tmp_path))
    assert registry.load("cityscapes", tmp_path / "mine").root == tmp_path / "mine"


def test_a_relative_root_is_made_absolute(tmp_path: Path) -> None:
    assert registry.load("camvid", Path("here")).root == tmp_path / "work/here"


def test_places_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, common, local = tmp_path / "own", tmp_path / "common/cityscapes", tmp_path / "work/data/cityscapes"
    monkeypatch.setenv("CITYSCAPES_DATASET", str(own))
    monkeypatch.setenv("ADAPREP_DATA", str(tmp_path / "common"))
    assert registry.places("cityscapes") == [own, common, local]
    for place in (local, common, own):
        place.mkdir(parents=True)
        dataset = registry.load("cityscapes")
        assert isinstance(dataset, Cityscapes)
        assert dataset.root == place


def test_nowhere_to_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPREP_DATA", str(tmp_path / "common"))
    with pytest.raises(AdaprepError) as error:
        registry.load("camvid")
    assert str(error.value) == (
        f"camvid: not found. Looked for the folders\n"
        f"  {tmp_path}/common/camvid ($ADAPREP_DATA/camvid)\n"
        f"  {tmp_path}/work/data/camvid (./data/camvid)\n"
        f"{CamVid.archives}\n"
        f"If the data are elsewhere, give --root FOLDER, "
        f"or set ADAPREP_DATA to the folder above camvid."
    )


@pytest.mark.parametrize("name", registry.names())
def test_the_root_of_a_data_set_is_absolute(tmp_path: Path, name: str) -> None:
    Path("mine").mkdir()
    assert registry.load(name, Path("mine")).root == tmp_path / "work/mine"
    assert registry._class(name)(Path("mine")).root == tmp_path / "work/mine"


def test_a_home_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for call in (
        lambda: registry.load("~nosuchuser/mine.yaml"),
        lambda: registry.load("camvid", Path("~nosuchuser/x")),
    ):
        with pytest.raises(AdaprepError, match="there is no such user here"):
            call()
    monkeypatch.setenv("ADAPREP_DATA", "~nosuchuser")
    with pytest.raises(AdaprepError, match="there is no such user here"):
        registry.load("camvid")


@pytest.mark.parametrize("key", ["name", "root", "self"])
def test_a_setting_cannot_stand_for_something_else(tmp_path: Path, key: str) -> None:
    with pytest.raises(AdaprepError, match=f"camvid has no setting '{key}'"):
        registry.load("camvid", tmp_path, **{key: "x"})


@pytest.mark.parametrize("value", [[], {"a": 1}, 1.5, None, True])
def test_a_setting_of_another_kind(tmp_path: Path, value: object) -> None:
    with pytest.raises(AdaprepError, match="supervisely: the setting seed must be a whole number, got "):
        registry.load("supervisely", tmp_path, seed=value)


def test_a_name_there_is_none_of() -> None:
    with pytest.raises(AdaprepError) as error:
        registry.load("camvdi")
    assert str(error.value) == (
        "no data set 'camvdi'; did you mean 'camvid'? The data sets are: apolloscape, cityscapes, "
        "synthia-rand, synthia-rand-cityscapes, synthia-seqs, supervisely, camvid, camvid-by-sequence, demo; "
        "or give a YAML file that describes your own (docs/your-own-data.md), or package.module:factory."
    )


def test_targets_by_name(tmp_path: Path) -> None:
    dataset = registry.load("camvid", tmp_path, targets=["pole", " car"])
    assert dataset.classes.targets == (2, 8)
    assert CamVid.table.targets == (8, 9, 10)
    assert registry.load("camvid", tmp_path, targets=[]).classes.targets == ()
    with pytest.raises(
        AdaprepError, match="no class named 'lorry' to make a target of; the classes are: sky, "
    ):
        registry.load("camvid", tmp_path, targets=["lorry"])


def test_settings_reach_the_data_set(tmp_path: Path) -> None:
    dataset = registry.load("supervisely", tmp_path, neutral="person", seed="3")
    assert isinstance(dataset, Supervisely)
    assert (dataset.neutral, dataset.seed) == ("person", 3)
    synthia = registry.load("synthia-rand", tmp_path, seed=4)
    assert isinstance(synthia, SynthiaRand)
    assert synthia.seed == 4


@pytest.mark.parametrize(
    ("name", "setting", "problem"),
    [
        (
            "supervisely",
            {"neutrl": "person"},
            "supervisely has no setting 'neutrl'; did you mean 'neutral'? Its settings are: neutral, seed",
        ),
        ("camvid", {"seed": "1"}, "camvid has no setting 'seed'. It has none."),
        (
            "synthia-rand",
            {"seed": "x"},
            "synthia-rand: the setting seed must be a whole number, got 'x'",
        ),
    ],
)
def test_settings_that_make_no_sense(
    tmp_path: Path, name: str, setting: dict[str, str], problem: str
) -> None:
    with pytest.raises(AdaprepError) as error:
        registry.load(name, tmp_path, **setting)
    assert str(error.value) == problem


YAML = """\
classes: [{id: 0, name: a}, {id: 1, name: b}]
splits: {train: {images: i, labels: l}}
"""


@pytest.mark.parametrize("given", ["mine.yaml", "./mine.yaml", "mine.yml", "mine"])
def test_a_yaml_file_for_a_name(tmp_path: Path, given: str) -> None:
    Path(given).write_text(YAML)
    dataset = registry.load(given, targets=["b"])
    assert isinstance(dataset, Custom)
    assert dataset.root == tmp_path / "work"
    assert dataset.classes.targets == (1,)
    again = registry.load(dataset.source, dataset.root, targets=["b"], **dataset.settings())
    assert again.classes == dataset.classes
    assert registry.load(given, Path("other")).root == tmp_path / "work/other"


def test_a_yaml_file_that_is_not_there() -> None:
    with pytest.raises(AdaprepError, match=r"^no/such\.yaml: no such file$"):
        registry.load("no/such.yaml")


def test_a_yaml_file_has_no_settings() -> None:
    Path("mine.yaml").write_text(YAML)
    with pytest.raises(AdaprepError) as error:
        registry.load("mine.yaml", seed="1")
    assert str(error.value) == "mine.yaml: a data set of your own has no setting 'seed'"


def test_description_of_all(tmp_path: Path) -> None:
    (tmp_path / "work/data/camvid").mkdir(parents=True)
    rows = {row["name"]: row for row in registry.describe()}
    assert list(rows) == list(registry.names())
    assert rows["camvid"] == {
        "name": "camvid",
        "title": "CamVid",
        "splits": "train, val, test",
        "classes": 11,
        "targets": "car, pedestrian, bicyclist",
        "place": str(tmp_path / "work/data/camvid"),
    }
    assert rows["supervisely"]["place"] == "not found: looked in ./data/supervisely"


def test_the_registry_is_cheap_to_import() -> None:
    code = (
        "import sys; from pipeline.datasets import registry; registry.names(); "
        "print({'numba', 'PIL', 'pipeline.datasets.supervisely', 'torch', 'zarr'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HERE)
    assert done.stdout.strip() == "set()"


def test_listing_frames_needs_no_compiled_code(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pipeline.datasets import registry; "
        "registry.load('cityscapes', Path(sys.argv[1])).frames('train'); print('numba' in sys.modules)"
    )
    (tmp_path / "gtFine/train/x").mkdir(parents=True)
    (tmp_path / "gtFine/train/x/x_gtFine_labelIds.png").touch()
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, cwd=HERE
    )
    assert done.stdout.strip() == "False"
