"""Trainings, evaluations and reports in a bucket: what the same commands leave in a folder, few requests."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import cli
from pipeline.storage import StoredPath, as_path, objects
from pipeline.workspace import object_locks, results
from tests import processes
from tests.conftest import left_alone, tree
from tests.storage.conftest import Server
from tests.storage.test_data import run

torch = pytest.importorskip("torch")

from pipeline.networks import checkpoint  # noqa: E402
from pipeline.train import data, pools  # noqa: E402
from pipeline.train.batches import ShardShuffle  # noqa: E402

MakeBlobs = Callable[..., Path]
NETWORK = "tests.train.test_fit:tiny"
CODE = ("--architecture", NETWORK)
BASE = "base-tests.train.test_fit-tiny"
PAIR = f"{BASE}-auxiliary16-8-4x4-seed0"
UNIFORM = f"{BASE}-uniform-8-seed0"
TRAIN = ("train", *CODE, "--resolution", "8", "--batch-size", "4", "--learning-rate", "0.01")
TRAIN += ("--device", "cpu", "--epochs", "2")
ALONE = ("--network", "base", "--sampler", "uniform")


def prepared(yaml: Path, workspace: object) -> None:
    run("boundaries", "--dataset", yaml, "--grid", "4", "--workspace", workspace, "--threads", "1")


def everything(yaml: Path, workspace: object, server: Server) -> tuple[dict[str, dict[str, int]], str]:
    """Every stage in turn: requests by command, those of a second training apart; what was printed last."""
    asked, printed = {}, ""

    def do(*arguments: object, title: str = "") -> None:
        nonlocal printed
        server.counts()
        printed = run(*arguments, "--workspace", workspace).output
        asked[title or str(arguments[0])] = server.counts()

    prepared(yaml, workspace)
    do("solve-tensors", "--threads", "1")
    do("sample", "--resolution", "8", "--sampler", "uniform", "--threads", "1")
    auxiliary = ("--aux-resolution", "16", "--aux-features", "8", "--grid", "4x4")
    do(*TRAIN, *auxiliary)
    do(*TRAIN, *ALONE, title="second")
    do("evaluate", *CODE)
    do("upper-bound", "--split", "val", "--resolution", "8", "--grid", "4", "--save")
    do("report", *CODE)
    return asked, "".join(printed.splitlines())


def objects_of(workspace: Any) -> dict[str, str]:
    """Every object below an address with the hash of its bytes."""
    bucket, key = workspace.bucket()
    return {name: hashlib.sha256(bucket.read(f"{key}/{name}")).hexdigest() for name, _ in bucket.walk(key)}


def is_kept(name: str) -> bool:
    """Whether a file says nothing of times, machines and places."""
    varies = ("history.csv", "last.pt", "result.json", "index.html", "dataset.json", "evaluation-val.json")
    return not name.endswith((".lock", *varies)) and "events.out" not in name and "gains" not in name


def evaluated(workspace: Path, name: str) -> dict[str, Any]:
    """The figures of a run, without times."""
    found: dict[str, Any] = json.loads((workspace / "blobs/runs" / name / "evaluation-val.json").read_bytes())
    return {key: value for key, value in found.items() if not key.startswith("milliseconds")}


@pytest.mark.slow
def test_bucket_holds_what_a_folder_does(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.chdir(tmp_path)
    yaml, folder, workspace = left_alone(make_blobs(train=20, val=6)), tmp_path / "w", bucket / "some where"
    everything(yaml, folder, server)
    asked, printed = everything(yaml, workspace, server)
    assert f"report: {workspace}/blobs/report/index.html" in printed
    assert not list(tmp_path.glob("s3*"))
    page = bucket.bucket()[0].store.get("some where/blobs/report/index.html")
    assert page.attributes["Content-Type"] == "text/html; charset=utf-8"

    there, wanted = objects_of(workspace), tree(folder)
    assert {name for name in there if "events" not in name} == {
        name for name in wanted if "events" not in name and not name.endswith(".lock")
    }
    assert sum("events.out.tfevents" in name for name in there) == 3
    assert {n: v for n, v in there.items() if is_kept(n)} == {n: v for n, v in wanted.items() if is_kept(n)}
    for name in (PAIR, UNIFORM):
        assert evaluated(workspace, name) == evaluated(folder, name)
        rows, others = (
            results.read_history(place / "blobs/runs" / name / "history.csv") for place in (workspace, folder)
        )
        assert [row["loss"] for row in rows] == [row["loss"] for row in others]
        last = [checkpoint.load(place / "blobs/runs" / name / "last.pt") for place in (workspace, folder)]
        assert last[0].identity == last[1].identity
    # of the second training: a few small arrays of every block, a shard of each wide array, and what is asked
    # once
    blocks = 4
    assert asked["second"]["GET"] <= 12 * blocks + 40, asked
    assert asked["second"]["HEAD"] + asked["second"]["LIST"] <= 50, asked
    assert sum(asked["evaluate"][kind] for kind in ("GET", "HEAD", "LIST")) <= 30 * 3, asked
    files = sum("/report/" in name for name in there)
    assert asked["report"]["PUT"] <= files + 1, asked
    assert sum(asked["report"][kind] for kind in ("GET", "HEAD", "LIST")) <= 70 * 3, asked

    again = run(*TRAIN, *ALONE, "--workspace", workspace).output
    assert f"{UNIFORM}: complete already" in " ".join(again.split())
    predict_and_export(yaml, workspace, tmp_path)


def predict_and_export(yaml: Path, workspace: Path, place: Path) -> None:
    """A run of a bucket by its name, and by its address from another workspace."""
    images = yaml.parent / "images" / "val"
    run("predict", images, "--workspace", workspace, *CODE, "--checkpoint", UNIFORM, "-o", place / "one")
    address = workspace / "blobs/runs" / UNIFORM / "best.pt"
    run("predict", images, "--checkpoint", address, *CODE, "--dataset", yaml, "-o", place / "other")
    assert tree(place / "one") == tree(place / "other")
    run("export", UNIFORM, "--workspace", workspace, *CODE, "-o", place / "e", "--format", "safetensors")
    assert checkpoint.load(str(address), "base").identity == checkpoint.load(address).identity


def die_at_checkpoint(number: int) -> None:
    """For `first`: the process is killed as it writes one checkpoint more than so many."""
    write = StoredPath.write_file
    left = [number]

    def write_or_die(path: StoredPath, file: Any) -> Any:
        left[0] -= path.name == "last.pt"
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(path, file)

    StoredPath.write_file = write_or_die  # type: ignore[method-assign]


@pytest.mark.slow
def test_killed_training_goes_on_from_the_bucket(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Any
) -> None:
    yaml, workspace = make_blobs(train=9, val=2), bucket / "workspace"
    arguments = (*TRAIN, *ALONE, "--epochs", "6", "--save-every", "2", "--validate-every", "3")
    for place in (tmp_path / "w", workspace):
        prepared(yaml, place)
    run(*arguments, "--workspace", tmp_path / "w")
    done = processes.run((*arguments, "--workspace", workspace), first=partial(die_at_checkpoint, 3))
    assert done.returncode == -signal.SIGKILL
    folder = workspace / "blobs/runs" / UNIFORM
    position = checkpoint.load(folder / "last.pt").training["position"]
    assert 0 < position["epoch"] * 3 + position["step"] < 18
    assert (folder / ".lock").exists()  # of a process that has ended here: taken over at once
    run(*arguments, "--workspace", workspace)
    for name in ("best.pt", "last.pt"):
        ours, theirs = (
            checkpoint.load(place / name) for place in (folder, tmp_path / "w/blobs/runs" / UNIFORM)
        )
        assert ours.identity == theirs.identity
        assert ours.about["epoch"] == theirs.about["epoch"]
    assert [row["epoch"] for row in results.read_history(folder / "history.csv")] == list("123456")


@pytest.mark.slow
def test_workers_read_samples_of_a_bucket(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Any
) -> None:
    prepared(make_blobs(train=20, val=2), bucket)
    run("sample", "--resolution", "8", "--sampler", "uniform", "--workspace", bucket, "--split", "train")
    found = data.StoreDataset(data.sampled(bucket / "blobs/train/samples/uniform-8.zarr"), in_memory=False)

    def read(workers: int) -> list[torch.Tensor]:
        order = ShardShuffle(found, 4, 0)
        return [batch["image"] for batch in pools.loader(found, order, workers)]

    server.counts()
    alone = read(0)
    assert server.counts()["GET"] <= 3 * 3 + 20
    beside = read(1)
    assert all(torch.equal(one, other) for one, other in zip(alone, beside, strict=True))


def test_large_object_is_put_and_read_in_pieces(
    tmp_path: Path, server: Server, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "PIECE", 5 * 2**20)  # S3 takes no smaller parts
    content = os.urandom(11 * 2**20)
    (tmp_path / "large").write_bytes(content)
    target = bucket / "large"
    server.counts()
    target.write_file(tmp_path / "large")
    assert server.counts()["PUT"] == 3
    assert target.read_bytes() == content
    assert target.read_bytes(6 * 2**20) == content[: 6 * 2**20]
    assert server.counts()["GET"] == 3 + 2
    (bucket / "empty").write_bytes(b"")
    assert (bucket / "empty").read_bytes() == b""


COMMANDS = [
    TRAIN,
    ("evaluate", *CODE),
    ("upper-bound", "--save"),
    ("report",),
    ("check", "--dataset", "blobs"),
    ("predict", "blobs/images/val", "-o", "predicted"),
    ("export", "-o", "exported"),
    ("verify", "--repair"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=[command[0] for command in COMMANDS])
def test_bucket_that_cannot_be_used_is_a_sentence(
    command: tuple[str, ...],
    make_blobs: MakeBlobs,
    tmp_path: Path,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_blobs(train=2, val=1)

    def said(address: str) -> str:
        refused = run(*command, "--workspace", address, code=1)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs"]
        return " ".join(refused.output.split())

    assert "s3://no-such-bucket: there is no such bucket at http://127" in said("s3://no-such-bucket/w")
    server.refuse()
    assert "does not take these credentials (InvalidAccessKeyId)" in said("s3://bucket/w")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    assert "the endpoint 'nonsense' is no address" in said("s3://bucket/w")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "there are no credentials. Set AWS_ACCESS_KEY_ID" in said("s3://bucket/w")


@pytest.mark.slow
def test_bucket_that_may_only_be_read_is_a_sentence(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(make_blobs(train=5, val=2), bucket / "w")
    run(*TRAIN, *ALONE, "--workspace", bucket / "w")
    before = objects_of(bucket)
    for name, value in server.reader().items():
        monkeypatch.setenv(name, value)
    server.refuse()
    for command in ((*TRAIN, *ALONE, "--seed", "1"), ("evaluate", *CODE), ("report", *CODE)):
        said = " ".join(run(*command, "--workspace", bucket / "w", code=1).output.split())
        assert "permission denied by the store (AccessDenied)" in said, said
    run("status", "--workspace", bucket / "w")
    assert objects_of(bucket) == before


@pytest.mark.slow
def test_credentials_that_expire_cost_nothing_that_was_done(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        object_locks, "_is_alive", lambda process: False
    )  # as each command in its own process
    yaml, wanted = make_blobs(train=5, val=2), tmp_path / "w"
    for place in (wanted, bucket):
        prepared(yaml, place)
    commands = ((*TRAIN, *ALONE), ("evaluate", *CODE), ("report", *CODE))
    for command in commands:
        run(*command, "--workspace", wanted)
        server.counts()
        asked, ended = 10, False
        while not ended:
            server.refuse(asked)
            result = CliRunner().invoke(cli.main, [*command, "--workspace", str(bucket)])
            server.refuse(float("inf"))
            ended = result.exit_code == 0
            said = " ".join(result.output.split())
            assert ended or "does not take these credentials (InvalidAccessKeyId)" in said, result.exception
            assert ended or isinstance(result.exception, SystemExit), result.exception
            asked *= 2
        assert asked > 40
    for name in ("best.pt", "last.pt"):
        weights = [
            checkpoint.load(place / "blobs/runs" / UNIFORM / name).identity for place in (bucket, wanted)
        ]
        assert weights[0] == weights[1]
    assert evaluated(bucket, UNIFORM) == evaluated(wanted, UNIFORM)


@pytest.mark.parametrize("command", [("predict", "a.png"), ("export",), ("convert", "--dataset", "a.yaml")])
def test_output_for_other_programs_lies_on_this_machine(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = run(*command, "-o", "s3://bucket/out", code=2)
    assert "s3://bucket/out is an address of a store" in " ".join(said.output.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_recipe_runs_in_a_bucket(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_blobs(train=3, val=2)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"dataset: blobs/blobs.yaml\nworkspace: {bucket}/w\ngrid: 4\nreport: true\n")
    run("run", recipe)
    assert (as_path(f"{bucket}/w/blobs/report/index.html")).is_file()
    assert "to do" not in run("run", recipe, "--dry-run").output
    assert not list(tmp_path.glob("s3*"))
