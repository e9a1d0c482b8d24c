"""Stores, runs and checkpoints of an early version: opened, gone on with, and made again byte by byte.

That version wrote `data/workspace.tar.xz` before any store had digests or second copies; its pictures are
those of `fixed`. `data/digests.json` holds what it made of them: every array by its values, and by the bytes
of its chunks, which count only under the versions of Zarr and numcodecs that wrote them.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from click.testing import CliRunner

from cli import main
from tests.workspace import fixed

DATA = Path(__file__).parent / "data"
DIGESTS: dict[str, Any] = json.loads((DATA / "digests.json").read_text(encoding="utf-8"))
NETWORK = "tests.workspace.tiny:tiny"
SAMPLES = ("--resolution", "8", "--sampler", "uniform", "--sampler", "proposal", "--grid", "4x4")
TRAINING = ("--resolution", "8", "--epochs", "1", "--batch-size", "4", "--device", "cpu")


def call(space: Path, *command: str) -> str:
    outcome = CliRunner().invoke(main, [*command, "--workspace", str(space)])
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def of_values(array: Any) -> str:
    values = np.ascontiguousarray(array[:])
    about = f"{values.dtype.str} {values.shape}".encode()
    return hashlib.blake2b(about + values.tobytes(), digest_size=8).hexdigest()


def of_chunks(store: Path, name: str) -> str:
    found = hashlib.blake2b(digest_size=8)
    files = {f"{name}/{file.name.replace('.', '/')}": file for file in (store / name).glob("c.*")}
    for key in sorted(files, key=Path):  # as the early version, which made folders of the numbers
        found.update(key.encode() + b"\0" + files[key].read_bytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every store of the fixed data set, made now."""
    place = tmp_path_factory.mktemp("fixed")
    space = place / "w"
    call(space, "boundaries", "--dataset", str(fixed.write(place / "data")), "--threads", "1")
    call(space, "solve-tensors", "--lambda", "1,0.5", "--grid", "4x4", "--threads", "1")
    call(space, "solve-tensors", "--threads", "1")
    call(space, "sample", *SAMPLES, "--aux-resolution", "8", "--threads", "1")
    return space


def test_every_array_has_the_values_that_it_always_had(fresh: Path) -> None:
    found = {}
    for key in DIGESTS["values"]:
        store, _, name = key.rpartition("/")
        found[key] = of_values(zarr.open_group(fresh / store, mode="r")[name])
    assert found == DIGESTS["values"]


def test_every_chunk_has_the_bytes_that_it_always_had(fresh: Path) -> None:
    if DIGESTS["versions"] != {"zarr": zarr.__version__, "numcodecs": numcodecs.__version__}:
        pytest.skip("another version of Zarr or numcodecs")
    found = {
        key: of_chunks(fresh / key.rpartition("/")[0], key.rpartition("/")[2]) for key in DIGESTS["chunks"]
    }
    assert found == DIGESTS["chunks"]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The old workspace, beside its data set."""
    with tarfile.open(DATA / "workspace.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    root = fixed.write(tmp_path / "data").parent
    for description in (tmp_path / "w").glob("fixed/*/dataset.json"):
        description.write_text(description.read_text().replace('"/data', f'"{root}'))
    return tmp_path / "w"


def test_old_stores_are_whole_and_need_not_be_made_again(old: Path) -> None:
    rows = json.loads(call(old, "status", "--json"))
    stores = rows["stores"] if isinstance(rows, dict) else rows
    assert len(stores) == 14
    assert all(row["done"] == row["images"] and not row["damaged"] for row in stores)
    call(old, "verify", "--all")
    assert "5 done before" in call(old, "boundaries", "--dataset", str(old.parent / "data" / "fixed.yaml"))
    assert "5 done before" in call(old, "solve-tensors", "--grid", "4x4")
    call(old, "solve-tensors", "--lambda", "0.5", "--grid", "4x4")
    made = zarr.open_group(old / "fixed/train/tensors/4x4-lambda0.5.zarr", mode="r")["phi"]
    assert of_values(made) == DIGESTS["values"]["fixed/train/tensors/4x4-lambda0.5.zarr/phi"]
    assert "5 done before" in call(old, "sample", *SAMPLES)


def test_old_runs_are_complete_and_their_networks_are_evaluated(old: Path) -> None:
    pytest.importorskip("torch")
    architecture = ("--architecture", NETWORK)
    helper = ("--grid", "4x4", "--aux-resolution", "8", "--aux-features", "2")
    for chosen in (("--network", "base", "--sampler", "uniform"), helper):
        assert "complete already" in call(old, "train", *TRAINING, *architecture, *chosen)
    kept = old.glob("fixed/runs/base-*/evaluation-val.json")
    before = {path: json.loads(path.read_text())["systems"] for path in kept}
    assert len(before) == 2
    assert "0 measured now" in call(old, "evaluate", "--device", "cpu", *architecture)
    assert "2 measured now" in call(old, "evaluate", "--device", "cpu", "--overwrite", *architecture)
    for path, systems in before.items():
        again = json.loads(path.read_text())["systems"]
        assert [row["miou"] for row in again] == pytest.approx([row["miou"] for row in systems], abs=1e-4)
