"""Listing folders: links, circles, odd names; and what is said about files that cannot be opened."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets import files
from pipeline.datasets.files import find_files, find_keys, read_bytes, walk
from pipeline.errors import AdaprepError, FileError


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_files_below_folders_come_sorted_and_relative(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.png", "a/1.png", "a/deep/er/3.png", "0.png", "a/1.txt")
    assert find_files(tmp_path, (".png",)) == ["0.png", "a/1.png", "a/deep/er/3.png", "b/2.png"]


def test_names_with_blanks_and_beyond_ascii(tmp_path: Path) -> None:
    names = ["Camera 5/Straße ä.png", "Camera 5/日本.png", "a 'b' \"c\".png"]
    touch(tmp_path, *names)
    assert find_files(tmp_path, (".png",)) == sorted(names)


def test_an_absent_folder_has_no_files(tmp_path: Path) -> None:
    touch(tmp_path, "file")
    assert find_files(tmp_path / "nowhere", (".png",)) == []
    assert find_files(tmp_path / "file", (".png",)) == []


def test_hidden_files_and_archive_companions_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "._a.png", ".DS_Store", ".cache/b.png", "__MACOSX/._c.png", "__MACOSX/d.png", "e.png")
    assert list(walk(tmp_path)) == ["e.png"]


def test_links_are_followed_and_circles_end(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/far.png", "data/near.png", "data/sub/deep.png")
    data = tmp_path / "data"
    (data / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (data / "sub" / "up").symlink_to(data, target_is_directory=True)
    (data / "sub" / "self").symlink_to(data / "sub", target_is_directory=True)
    assert find_files(data, (".png",)) == ["linked/far.png", "near.png", "sub/deep.png"]


def test_a_folder_with_two_names_is_listed_under_its_real_one(tmp_path: Path) -> None:
    touch(tmp_path, "z/1.png")
    (tmp_path / "a").symlink_to(tmp_path / "z", target_is_directory=True)
    assert find_files(tmp_path, (".png",)) == ["z/1.png"]


def test_links_to_nowhere_are_listed_and_fail_when_read(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "never.png")
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    assert find_files(tmp_path, (".png",)) == ["gone.png", "round.png"]
    with pytest.raises(FileError) as error:
        read_bytes(tmp_path / "gone.png")
    assert str(error.value) == (
        f"{tmp_path}/gone.png: is a symbolic link to {tmp_path}/never.png, which does not exist"
    )
    with pytest.raises(FileError, match=r"round\.png: is a symbolic link that leads back to itself$"):
        read_bytes(tmp_path / "round.png")


def test_a_folder_that_may_not_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "open/a.png", "shut/b.png")
    scandir = os.scandir

    def guarded(path: str) -> Any:
        if path.endswith("shut"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", guarded)
        with pytest.raises(AdaprepError) as error:
            find_files(tmp_path, (".png",))
    assert str(error.value) == (
        f"cannot list the folder {tmp_path}/shut: permission denied: this user may not read it"
    )


def test_files_are_not_looked_at_while_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, *(f"sub/{i}.png" for i in range(50)))
    looked_at: list[str] = []
    stat = os.stat

    def counted(path: str, **more: Any) -> os.stat_result:
        looked_at.append(str(path))
        return stat(path, **more)

    monkeypatch.setattr(os, "stat", counted)
    assert len(find_files(tmp_path, (".png",))) == 50
    assert len(looked_at) == 2


def test_keys_are_paths_without_their_ending(tmp_path: Path) -> None:
    touch(tmp_path, "x/1_bin.png", "x/1_instanceIds.png", "2_bin.png")
    assert find_keys(tmp_path, ("_bin.png",)) == {"2": "2_bin.png", "x/1": "x/1_bin.png"}


def test_two_files_of_one_key_are_both_named(tmp_path: Path) -> None:
    touch(tmp_path, "x/1.png", "x/1.jpg")
    with pytest.raises(AdaprepError) as error:
        find_keys(tmp_path, (".jpg", ".png"))
    assert str(error.value) == (
        f"two files of the same name in {tmp_path}: x/1.jpg and x/1.png. "
        f"Which of them belongs to the frame 'x/1' cannot be told: remove one."
    )


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"/no\.png: no such file$"):
        read_bytes(tmp_path / "no.png")


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    touch(tmp_path, "labels")
    with pytest.raises(FileError, match=r"a\.png: no such file \(a part of the path is not a folder\)$"):
        read_bytes(tmp_path / "labels" / "a.png")


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(FileError, match=r"/a\.png: is a folder, not a file$"):
        read_bytes(tmp_path / "a.png")


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(FileError, match=r"/a\.png: empty file \(0 bytes\)$"):
        read_bytes(tmp_path / "a.png")


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no such file \(the name is longer than the file system allows\)$"):
        read_bytes(tmp_path / ("a" * 300))


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.png")

    def refuse(path: Path, mode: str, **more: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(files, "open", refuse, raising=False)
    with pytest.raises(FileError, match=r"/a\.png: permission denied: this user may not read it$"):
        read_bytes(tmp_path / "a.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission_as_an_ordinary_user(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(FileError, match=r"/a\.png: permission denied: this user may not read it$"):
        read_bytes(tmp_path / "a.png")


def test_another_error_of_the_system_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, mode: str, **more: Any) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(files, "open", fail, raising=False)
    with pytest.raises(FileError, match=r"/a\.png: Input/output error$"):
        read_bytes(tmp_path / "a.png")
