"""Small data sets on disk, and what tests ask of stores."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from PIL import Image

from tests import processes

# One thread, as in the processes that tests start: weights are held against each other to the bit
os.environ.setdefault("OMP_NUM_THREADS", "1")

MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
    # A hundred thousand small files: writing and deleting them keeps a disk busy for minutes
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

settings.register_profile(
    "adaprep", deadline=None, print_blob=True, derandomize=os.environ.get("CI") == "true"
)
settings.load_profile("adaprep")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

CLASSES = """\
name: blobs
classes:
  - {id: 0, name: ground}
  - {id: 1, name: blob}
  - {id: 7, name: stick}
void: [255]
targets: [blob, stick]
splits:
  train: {images: images/train, labels: labels/train}
  val: {images: images/val, labels: labels/val}
"""


def shared(name: str) -> Path:
    """A folder of real data, or skip."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"real data not here: {folder}")
    return folder


def blobs(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """(H, W) ids 0, 1, 7, 255: some discs, a thin stick, a void corner."""
    rows, cols = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(0, 4))):
        r, c, radius = rng.integers(height), rng.integers(width), rng.integers(1, max(2, height // 4))
        labels[(rows - r) ** 2 + (cols - c) ** 2 <= radius**2] = 1
    if rng.random() < 0.7:
        column = rng.integers(width)
        labels[height // 3 :, column] = 7
    if rng.random() < 0.3:
        labels[: height // 5, : width // 5] = 255
    return labels


@pytest.fixture
def make_blobs(tmp_path: Path) -> Callable[..., Path]:
    """Writes a data set of the user's own and returns its YAML file."""
    return blobs_in(tmp_path)


def blobs_in(place: Path) -> Callable[..., Path]:
    """What `make_blobs` is, in a folder of one's choice."""

    def make(
        train: int = 6, val: int = 2, size: tuple[int, int] = (40, 56), seed: int = 0, folder: str = "blobs"
    ) -> Path:
        root = place / folder
        rng = np.random.default_rng(seed)
        for split, count in (("train", train), ("val", val)):
            for kind in ("images", "labels"):
                (root / kind / split).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                labels = blobs(rng, *size)
                noise = rng.integers(0, 40, (*size, 3), dtype=np.uint8)
                picture = np.where(labels[..., None] == 0, 90, 170).astype(np.uint8) + noise
                Image.fromarray(picture).save(root / "images" / split / f"{i:04}.jpg")
                Image.fromarray(labels).save(root / "labels" / split / f"{i:04}.png")
        yaml = root / "blobs.yaml"
        yaml.write_text(CLASSES, encoding="utf-8")
        return yaml

    return make


def copied(kept: Path, folder: Path) -> Path:
    """A copy of a data set and its workspace, whose way to the data is the one to the copy.

    `kept` has another name than what was written there had: recorded places lead nowhere.
    """
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    return folder / "w"


def left_alone(path: Path) -> Path:
    """Wait until what was just written is old enough for the file system's times to tell its next change."""
    from pipeline.stages.sources import FINE

    time.sleep(1.5 * FINE / 10**9)
    return path


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder with the hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def killed_at_move(number: int, arguments: Sequence[str]) -> bool:
    """Run adaprep and kill it when it has moved so many files to their names and is about to move one more.

    False when it ended before.
    """
    done = processes.run(arguments, first=partial(processes.die_at_move, number))
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode != 0


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's user reaches a test."""
    for name in ("ADAPREP_DATA", "ADAPREP_WORKSPACE", "CITYSCAPES_DATASET"):
        if name in os.environ:
            monkeypatch.delenv(name)
