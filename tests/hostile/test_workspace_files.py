"""Every file of a workspace deleted, emptied, cut, replaced: it is named, and the advice makes it whole."""

from __future__ import annotations

import random
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import cli
from tests.conftest import CLASSES, blobs, tree

Run = Callable[..., Result]

HARMLESS = (".lock", "stamps.npy")
"""What these hold is for people, or made again without a word."""

UNNOTICED = {
    *((f".spare/{name}", "deleted") for name in ("blobs/train/dataset.json", "blobs/train/inputs.tsv")),
    ("blobs/train/failures-boundaries.json", "deleted"),  # nothing failed
}
"""What is written again by the next command, and no loss until then."""

SPLIT = "blobs/train"
ARRAYS = {
    "boundaries.zarr": ("b", "digest", "has_boundary", "packed", "pixels", "size", "source", "status"),
    "tensors/8x8-lambda1.zarr": (
        "b",
        "data",
        "digest",
        "folded",
        "has_boundary",
        "phi",
        "smoothness",
        "source",
        "status",
    ),
    "samples/proposal-8x8-lambda1-16.zarr": ("digest", "image", "label", "phi", "source", "status"),
    "samples/uniform-16.zarr": ("digest", "image", "label", "phi", "source", "status"),
}


def workspace_files() -> list[str]:
    """All files of the small workspace below, so that tests can be parametrised before it is made."""
    files = [f".spare/{SPLIT}/{name}" for name in ("dataset.json", "inputs.tsv", "stamps.npy")]
    files += [f"{SPLIT}/{name}" for name in (".lock", "dataset.json", "inputs.tsv")]
    files.append(f"{SPLIT}/failures-boundaries.json")
    dimensions = {"b": 5, "phi": 5, "packed": 4, "image": 5, "label": 4, "has_boundary": 2}
    dimensions |= {"pixels": 3, "size": 2, "source": 2, "data": 2, "smoothness": 2, "folded": 2}
    for store, arrays in ARRAYS.items():
        files.append(f"{SPLIT}/{store}/zarr.json")
        for array in arrays:
            files.append(f"{SPLIT}/{store}/{array}/zarr.json")
            for block in (0, 1):
                inner = ".0" * (dimensions.get(array, 1) - 1)
                files.append(f"{SPLIT}/{store}/{array}/c.{block}{inner}")
    return files


def neighbour(file: str) -> str:
    """Another file of the same kind: the other block's chunk, another array's description."""
    if re.search(r"/c\.[01]", file):
        return re.sub(r"/c\.([01])", lambda m: f"/c.{1 - int(m[1])}", file)
    if file.endswith("/zarr.json"):
        other = "b" if "/source/" not in file and "/b/" not in file else "status"
        if "samples" in file:
            other = "phi" if "/phi/" not in file else "status"
        return re.sub(r"\.zarr/.*", f".zarr/{other}/zarr.json", file)
    return f"{SPLIT}/inputs.tsv" if file.endswith(".json") else f"{SPLIT}/dataset.json"


def damage(file: Path, how: str, other: Path) -> None:
    content = file.read_bytes()
    if how == "deleted":
        file.unlink()
    elif how == "emptied":
        file.write_bytes(b"")
    elif how == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif how == "garbage":
        file.write_bytes(random.Random(len(content)).randbytes(max(len(content), 16)))
    elif how == "another":
        file.write_bytes(other.read_bytes())


HOWS = ("deleted", "emptied", "cut", "garbage", "another")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set of two blocks of images, and a workspace where all is done."""
    import numpy as np
    from PIL import Image

    root = tmp_path_factory.mktemp("whole")
    rng = np.random.default_rng(7)
    for kind in ("images", "labels"):
        (root / "data" / kind / "train").mkdir(parents=True)
    for i in range(11):
        labels = blobs(rng, 40, 56)
        labels[10 + i : 22, 8:30] = 1
        noise = rng.integers(0, 256, (40, 56, 3), dtype=np.uint8)
        Image.fromarray(labels).save(root / "data" / "labels" / "train" / f"{i:04}.png")
        Image.fromarray(noise).save(root / "data" / "images" / "train" / f"{i:04}.png")
    yaml = root / "data" / "blobs.yaml"
    yaml.write_text(CLASSES.replace("  val: {images: images/val, labels: labels/val}\n", ""))
    for command in commands(root):
        result = CliRunner().invoke(cli.main, command, env=environment(root))
        assert result.exit_code == 0, result.output
    return root


def environment(root: Path) -> dict[str, str]:
    return {"ADAPREP_WORKSPACE": str(root / "w")}


def commands(root: Path) -> list[list[str]]:
    return [
        ["boundaries", "--dataset", str(root / "data" / "blobs.yaml"), "--threads", "1"],
        ["solve-tensors", "--threads", "1"],
        ["sample", "--resolution", "16", "--sampler", "uniform", "--sampler", "proposal", "--threads", "1"],
    ]


@pytest.fixture
def copy(whole: Path) -> Iterator[Path]:
    """The workspace alone is copied; it lies where the original lay, which dataset.json knows."""
    kept = whole / "kept"
    if not kept.exists():
        shutil.copytree(whole / "w", kept, copy_function=shutil.copy2)
    yield whole
    shutil.rmtree(whole / "w", ignore_errors=True)
    shutil.copytree(kept, whole / "w", copy_function=shutil.copy2)


def invoke(root: Path, arguments: list[str]) -> Result:
    result = CliRunner().invoke(cli.main, arguments, env=environment(root))
    assert result.exit_code in (0, 1), result.output
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


ADVICE = re.compile(
    r"run:? +adaprep (?P<what>[a-z-]+)(?P<rest>[^\n:;]*?(?= +and then|: it lists|\. |\n|$))"
    r"|(?P<own>its command|run its command) with --overwrite",
    re.I,
)


SOMEONE_ELSES = re.compile(r"Error: (?P<file>/\S+) is not a lock of adaprep.*Move it away", re.S)


def advised(text: str, root: Path, own: list[str]) -> list[list[str]]:
    """What a text says to run, in its order; the base command where it says 'again' or 'as before'."""
    usual = {command[0]: command for command in commands(root)}
    found = []
    for match in ADVICE.finditer(text):
        if match["own"]:
            found.append([*own, "--overwrite"])
        elif match["what"] == "verify" or "--workspace" in match["rest"]:
            found.append([match["what"], *shlex.split(match["rest"])])
        elif match["what"] in usual:
            again = ["--overwrite"] if "--overwrite" in match["rest"] else []
            found.append([*usual[match["what"]], *again])
    return [command for i, command in enumerate(found) if command not in found[:i]]


def make_whole(root: Path) -> None:
    """Do what is advised, by verify and by the commands, until all of them are content."""
    for _ in range(6):
        content = True
        for command in [["verify", "--all"], *commands(root)]:
            result = invoke(root, command)
            if result.exit_code:
                content = False
                if foreign := SOMEONE_ELSES.search(result.output):
                    Path(foreign["file"]).rename(root / "moved-away")
                    continue
                advice = advised(result.output, root, command)
                assert advice, f"nothing is advised: {result.output}"
                for step in advice:
                    invoke(root, step)
        if content:
            return
    raise AssertionError(f"the advice leads nowhere: {result.output}")


def problem(file: str, how: str) -> str:
    """The test's id."""
    return f"{file.replace(SPLIT + '/', '')}-{how}"


ALL = [(file, how) for file in workspace_files() for how in HOWS]
SOME = [
    (f"{SPLIT}/inputs.tsv", "cut"),
    (f"{SPLIT}/dataset.json", "deleted"),
    (f"{SPLIT}/failures-boundaries.json", "garbage"),
    (f"{SPLIT}/boundaries.zarr/zarr.json", "emptied"),
    (f"{SPLIT}/boundaries.zarr/packed/c.0.0.0.0", "another"),
    (f"{SPLIT}/tensors/8x8-lambda1.zarr/phi/zarr.json", "deleted"),
    (f"{SPLIT}/samples/uniform-16.zarr/image/c.1.0.0.0.0", "another"),
]


def test_the_list_of_files_is_complete(copy: Path) -> None:
    assert sorted(tree(copy / "w")) == sorted(workspace_files())


def check(root: Path, file: str, how: str) -> None:
    before, kept = tree(root / "w"), root / "kept"
    damage(root / "w" / file, how, kept / neighbour(file))
    if tree(root / "w") == before:
        return  # the other file holds the same
    found = invoke(root, ["verify", "--all"])
    if file.endswith("/status/c.1") and how == "another":
        return  # differs behind the last image only
    if not file.endswith(HARMLESS) and (file, how) not in UNNOTICED:
        assert found.exit_code == 1, found.output
    status = invoke(root, ["status", "--failures"])
    assert status.exit_code == 0 or "--repair" in status.output or "--overwrite" in status.output
    make_whole(root)
    after = tree(root / "w")
    assert {k: v for k, v in after.items() if not k.endswith(HARMLESS)} == {
        k: v for k, v in before.items() if not k.endswith(HARMLESS)
    }


@pytest.mark.parametrize(("file", "how"), SOME, ids=[problem(*case) for case in SOME])
def test_what_is_advised_makes_a_damaged_workspace_whole(copy: Path, file: str, how: str) -> None:
    check(copy, file, how)


@pytest.mark.fuzz
@pytest.mark.parametrize(("file", "how"), ALL, ids=[problem(*case) for case in ALL])
def test_any_file_may_be_damaged_in_any_way(copy: Path, file: str, how: str) -> None:
    check(copy, file, how)


@pytest.mark.fuzz
@pytest.mark.parametrize("folder", [f"{s}/{a}" for s, arrays in ARRAYS.items() for a in ("", *arrays)])
def test_any_folder_may_be_lost(copy: Path, folder: str) -> None:
    before = tree(copy / "w")
    shutil.rmtree(copy / "w" / SPLIT / folder)
    if not folder.startswith(("samples", "tensors")) or not folder.endswith("/"):
        assert invoke(copy, ["verify", "--all"]).exit_code == 1
    make_whole(copy)
    assert {k: v for k, v in tree(copy / "w").items() if not k.endswith(HARMLESS)} == {
        k: v for k, v in before.items() if not k.endswith(HARMLESS)
    }


def test_overwrite_replaces_whatever_lies_there(copy: Path) -> None:
    folder = copy / "w" / SPLIT
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != ".lock":
            path.write_bytes(b"garbage")
    shutil.rmtree(copy / "w" / ".spare")
    for command in commands(copy):
        result = invoke(copy, [*command, "--overwrite"])
        assert result.exit_code == 0, result.output
    assert invoke(copy, ["verify", "--all"]).exit_code == 0
