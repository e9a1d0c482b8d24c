"""Data read where they lie: object stores, zip and tar files. The same stores come of them as of a folder."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import cli
from pipeline.datasets.cityscapes import Cityscapes
from tests.conftest import tree
from tests.datasets import replicas
from tests.storage.conftest import Server, tarred, upload, zipped

MakeBlobs = Callable[..., Path]


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli.main, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def stores(workspace: Path) -> dict[str, str]:
    """Files of all stores with the hash of their bytes."""
    return {name: digest for name, digest in tree(workspace).items() if ".zarr/" in name}


def prepared(yaml: Path, workspace: Path, *more: object) -> dict[str, str]:
    """The stores that boundaries and samples of a data set of the user's own are kept in."""
    run("boundaries", "--dataset", yaml, "--workspace", workspace, "--threads", "1", *more)
    run("sample", "--sampler", "uniform", "--resolution", "16", "--workspace", workspace, "--threads", "1")
    return stores(workspace)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archive_gives_the_same_stores_as_its_folder(
    make_blobs: MakeBlobs, tmp_path: Path, pack: Callable[[Path, Path], Path]
) -> None:
    yaml = make_blobs()
    wanted = prepared(yaml, tmp_path / "from-folder")
    archive = pack(yaml.parent, tmp_path / f"blobs.{pack.__name__[:3]}")
    archive = archive.rename(archive.with_suffix(".zip" if pack is zipped else ".tar"))
    shutil.rmtree(yaml.parent / "images")
    shutil.rmtree(yaml.parent / "labels")
    assert prepared(yaml, tmp_path / "from-archive", "--root", archive) == wanted
    # the workspace remembers where they lie, and nothing has changed
    done = run("boundaries", "--dataset", "blobs", "--workspace", tmp_path / "from-archive")
    assert "0 images, 6 done before" in done.output


def test_description_names_an_archive_and_a_folder_inside(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs()
    wanted = prepared(yaml, tmp_path / "from-folder")
    (yaml.parent / "below").mkdir()
    for kind in ("images", "labels"):
        (yaml.parent / kind).rename(yaml.parent / "below" / kind)
    zipped(yaml.parent, tmp_path / "packed.zip", compress=False)
    moved = tmp_path / "moved.yaml"
    moved.write_text(f"root: packed.zip/below\n{yaml.read_text(encoding='utf-8')}", encoding="utf-8")
    shutil.rmtree(yaml.parent)
    assert prepared(moved, tmp_path / "from-archive") == wanted


def test_built_in_data_set_is_read_from_a_zip_file(tmp_path: Path) -> None:
    root = tmp_path / "cityscapes"
    replicas.cityscapes(root, Cityscapes.table)
    archive = zipped(root, tmp_path / "cityscapes.zip")
    for name, place in (("folder", root), ("zip", archive)):
        run("boundaries", "--dataset", "cityscapes", "--root", place, "--workspace", tmp_path / name)
    assert stores(tmp_path / "zip") == stores(tmp_path / "folder")


def test_bucket_gives_the_same_stores_and_few_requests(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Path
) -> None:
    yaml = make_blobs(train=20, val=4)
    wanted = prepared(yaml, tmp_path / "from-folder")
    upload(yaml.parent, bucket / "some where")
    server.counts()
    workspace = tmp_path / "from-bucket"
    run("boundaries", "--dataset", yaml, "--root", bucket / "some where", "--workspace", workspace)
    first = server.counts()
    # per image: the header of the label map once for the list, then the label map and the image's header
    assert first["GET"] <= 3 * 24 + 2
    assert first["HEAD"] + first["LIST"] <= 24
    run("sample", "--sampler", "uniform", "--resolution", "16", "--workspace", workspace)
    assert server.counts()["GET"] <= 3 * 24
    assert stores(workspace) == wanted
    run("boundaries", "--dataset", "blobs", "--workspace", workspace)
    again = server.counts()
    assert again["GET"] == 0, again
    assert again["HEAD"] + again["LIST"] <= 32, again  # of folders, however many images there are


def test_object_that_was_replaced_is_read_again(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Path
) -> None:
    yaml, workspace = make_blobs(train=6, val=2), tmp_path / "workspace"
    upload(yaml.parent, bucket)
    run("boundaries", "--dataset", yaml, "--root", bucket, "--workspace", workspace)
    labels = yaml.parent / "labels" / "train"
    shutil.copy(labels / "0001.png", labels / "0000.png")
    upload(yaml.parent, bucket)
    server.counts()
    run("boundaries", "--dataset", "blobs", "--workspace", workspace)
    assert 1 <= server.counts()["GET"] <= 2 * 6 + 2  # that one, and the block that it is of
    fresh = tmp_path / "fresh"
    run("boundaries", "--dataset", yaml, "--workspace", fresh)
    assert stores(workspace) == stores(fresh)


def test_zip_file_in_a_bucket_is_read_by_ranges(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Path
) -> None:
    yaml = make_blobs(train=6, val=2)
    wanted = prepared(yaml, tmp_path / "from-folder")
    (tmp_path / "up").mkdir()
    zipped(yaml.parent, tmp_path / "up" / "blobs.zip")
    upload(tmp_path / "up", bucket)
    server.counts()
    assert prepared(yaml, tmp_path / "from-bucket", "--root", bucket / "blobs.zip") == wanted
    assert server.counts()["GET"] <= 6 * 8 + 6


def test_damage_inside_a_zip_file_costs_one_image(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=4, val=2)
    archive = zipped(yaml.parent, tmp_path / "blobs.zip")
    with zipfile.ZipFile(archive) as packed:
        about = packed.getinfo("labels/train/0002.png")
    content = bytearray(archive.read_bytes())
    content[about.header_offset + 30 + len(about.filename) + about.compress_size // 2] ^= 0x55
    archive.write_bytes(content)
    said = run("boundaries", "--dataset", yaml, "--root", archive, "--workspace", tmp_path / "w", code=1)
    assert f"{archive}/labels/train/0002.png: is damaged inside the archive" in said.output.replace("\n", " ")
    assert "1 failed" in said.output


@pytest.mark.parametrize("cut", [0.5, 0.99, 0.0])
def test_zip_file_cut_short_is_a_sentence(make_blobs: MakeBlobs, tmp_path: Path, cut: float) -> None:
    yaml = make_blobs(train=2, val=1)
    archive = zipped(yaml.parent, tmp_path / "blobs.zip")
    os.truncate(archive, int(archive.stat().st_size * cut))
    said = run("boundaries", "--dataset", yaml, "--root", archive, "--workspace", tmp_path / "w", code=1)
    assert f"{archive}: is no zip archive, or is cut short or damaged" in said.output
    assert not (tmp_path / "w").exists()


def test_archive_compressed_as_a_whole_is_refused(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=2, val=1)
    archive = tarred(yaml.parent, tmp_path / "blobs.tar.gz")
    said = run("boundaries", "--dataset", yaml, "--root", archive, "--workspace", tmp_path / "w", code=1)
    assert "is compressed as a whole" in said.output


def test_store_that_cannot_be_used_is_a_sentence(
    make_blobs: MakeBlobs, tmp_path: Path, server: Server, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = make_blobs(train=2, val=1)
    upload(yaml.parent, bucket)

    def refused(root: object = bucket) -> str:
        said = run("boundaries", "--dataset", yaml, "--root", root, "--workspace", tmp_path / "w", code=1)
        assert "Traceback" not in said.output
        assert not (tmp_path / "w").exists()
        return " ".join(said.output.split())

    assert "there is no such bucket at http://127.0.0.1" in refused("s3://no-such-bucket/data")
    server.refuse()
    assert "does not take these credentials (InvalidAccessKeyId)" in refused()
    server.refuse(float("inf"))
    with monkeypatch.context() as changed:
        changed.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        assert "the object store at http://127.0.0.1:9 does not answer" in refused()
        changed.setenv("AWS_ENDPOINT_URL", "nonsense")
        assert "the endpoint 'nonsense' is no address" in refused()
    with monkeypatch.context() as changed:
        changed.delenv("AWS_ACCESS_KEY_ID")
        changed.delenv("AWS_SECRET_ACCESS_KEY")
        assert "there are no credentials. Set AWS_ACCESS_KEY_ID" in refused()
    with monkeypatch.context() as changed:
        changed.setitem(__import__("sys").modules, "obstore.store", None)
        changed.setenv("AWS_REGION", "eu-west-1")  # one that was not opened before
        assert "need the package obstore. Install it with: pip install 'adaprep[objects]'" in refused()


@pytest.mark.parametrize("address", ["hdfs://host/data", "s3://"])
def test_address_of_another_kind_is_refused(address: str, tmp_path: Path) -> None:
    said = run("boundaries", "--dataset", "camvid", "--root", address, "--workspace", tmp_path / "w", code=2)
    assert "object stores (s3://, gs://, az://)" in said.output or "names no bucket" in said.output


def test_file_to_write_is_no_address(tmp_path: Path) -> None:
    said = run("show", "0", "-o", "s3://bucket/picture.png", "--workspace", tmp_path, code=2)
    assert "address" in said.output
