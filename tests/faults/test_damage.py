"""Files of a workspace that are corrupt, empty or missing: `verify` names them, and `--repair` leads back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.harness import Stage, World, adaprep, assert_whole, make_world

STAGES = ("boundaries", "solve-tensors", "sample")

Harm = Callable[[Path], None]


def corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


CHUNKS = (
    "boundaries.zarr/packed/c.1.0.0.0",
    "boundaries.zarr/b/c.0.0.0.0.0",
    "boundaries.zarr/source/c.2.0",
    "boundaries.zarr/status/c.1",
    "tensors/4x4-lambda1.zarr/phi/c.1.0.0.0.0",
    "tensors/4x4-lambda1.zarr/status/c.0",
    "samples/uniform-8.zarr/image/c.1.0.0.0.0",
    "samples/uniform-8.zarr/source/c.0.0",
    "samples/uniform-8.zarr/status/c.2",
)
ARRAYS = (
    "boundaries.zarr/packed/zarr.json",
    "boundaries.zarr/status/zarr.json",
    "tensors/4x4-lambda1.zarr/phi/zarr.json",
    "samples/uniform-8.zarr/image/zarr.json",
)
DESCRIPTIONS = (
    "boundaries.zarr/zarr.json",
    "tensors/4x4-lambda1.zarr/zarr.json",
    "samples/uniform-8.zarr/zarr.json",
    "inputs.tsv",
    "dataset.json",
    "failures-boundaries.json",
    *ARRAYS,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("damage"), train=20, val=2).prepare(*STAGES)


@pytest.fixture
def world(whole: World, tmp_path: Path) -> World:
    return whole.copied(f"copy-of-{tmp_path.name}")


def lead_back(world: World) -> None:
    """Do what `verify --repair` and the commands advise, in the order in which stages are run."""
    world.verify("--repair")
    for command in STAGES:
        outcome = world.do(command)
        if outcome.code and "--overwrite" in outcome.text:
            outcome = world.do(command, "--overwrite")
        assert outcome.code == 0, f"{command}: {outcome.output}"


def subject(path: Path) -> str:
    """What a message about a file must name: its store, or itself where it is in none."""
    return next((part.removesuffix(".zarr") for part in path.parts if part.endswith(".zarr")), path.name)


def check(world: World, whole: World, harm: Harm, name: str, must_name: bool = True) -> None:
    path = world.space / "blobs" / "train" / name
    harm(path)
    told = world.verify("--all")
    if must_name:
        assert told.code == 1, f"called sound: {told.output}"
        problems = [line for line in told.output.splitlines() if not line.startswith("  ok ")]
        assert subject(path) in " ".join(problems)
    lead_back(world)
    assert world.verify("--all").code == 0
    assert_whole(world, whole)


@pytest.mark.parametrize(
    ("harm", "name"),
    [(corrupt, CHUNKS[0]), (empty, CHUNKS[4]), (remove, CHUNKS[6])],
    ids=["corrupt", "empty", "missing"],
)
def test_a_damaged_chunk_is_named_and_repaired(harm: Harm, name: str, world: World, whole: World) -> None:
    check(world, whole, harm, name)


@pytest.mark.fuzz
@pytest.mark.parametrize("harm", [corrupt, empty, remove])
@pytest.mark.parametrize("name", CHUNKS)
def test_any_damaged_chunk_is_repaired_to_the_same_bytes(
    harm: Harm, name: str, world: World, whole: World
) -> None:
    gone = harm is remove and "/status/" in name  # then its block is one to do, which is no damage
    check(world, whole, harm, name, must_name=not gone)


@pytest.mark.fuzz
@pytest.mark.parametrize("harm", [cut, empty, remove])
@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_damaged_description_is_repaired_to_the_same_bytes(
    harm: Harm, name: str, world: World, whole: World
) -> None:
    check(world, whole, harm, name, must_name="failures" not in name)


@pytest.mark.parametrize("name", ["boundaries.zarr/packed", "samples/uniform-8.zarr/image"])
def test_a_sound_chunk_of_other_images_is_named_and_repaired(name: str, world: World, whole: World) -> None:
    chunks = world.space / "blobs" / "train" / name
    other, one = (next(chunks.glob(f"c.{block}.*")) for block in (1, 0))
    other.write_bytes(one.read_bytes())
    assert world.verify("--all").code == 1
    lead_back(world)
    assert_whole(world, whole)


def test_a_damaged_chunk_ends_reading_commands_in_a_sentence(world: World) -> None:
    corrupt(world.space / "blobs" / "train" / "tensors" / "4x4-lambda1.zarr" / "phi/c.0.0.0.0.0")
    outcome = world.do("sample", "--overwrite")
    assert outcome.code == 1
    assert "is damaged" in outcome.text
    assert "adaprep verify --repair" in outcome.text


RUN = "blobs/runs/base-unet-uniform-8-seed0"


@pytest.mark.fuzz
@pytest.mark.parametrize("harm", [cut, empty, remove])
@pytest.mark.parametrize("name", ["best.pt", "last.pt", "result.json", "history.csv", "evaluation-val.json"])
@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_a_damaged_file_of_a_run_is_a_sentence_that_says_what_to_do(
    command: str, name: str, harm: Harm, stages: dict[str, Stage], tmp_path: Path
) -> None:
    world = stages["evaluate"].after.copied(f"run-{tmp_path.name}")
    harm(world.space / RUN / name)
    outcome = adaprep(*world.arguments(command))
    if outcome.code:
        named = f"1 failed:\n  {Path(RUN).name}: "  # a run that cannot be evaluated costs the others nothing
        assert any(words in outcome.output for words in ("Error: ", "left out: ", named))
        assert "un" in outcome.text  # "run ...", "Run: ...": there is something to do
