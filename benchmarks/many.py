"""How commands grow with the number of images: their processor time and memory, and what they leave on disk.

    python -m benchmarks.many make FOLDER --images 100000
    python -m benchmarks.many measure FOLDER --images 10000 --images 100000
    python -m benchmarks.many empty FOLDER --images 100000 --images 1000000

The label maps are tiny, so that what is measured is what adaprep does per image beside its actual work: list,
plan, compare, write down. They are many names of few files. Each command is a process of its own, on one
thread, and is measured by what the system says of it when it has ended. `empty` leaves the work on images
out: it lists them, plans, and looks at a store of them that is complete; `make --images 1000` is enough.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from pipeline.datasets.base import ClassTable, Dataset, Frame, LabelClass, Row

SIDE = 16
FOLDER_FILES = 1000
NAMES_PER_FILE = 10_000
"""Hard links to one file: file systems allow 65,000."""

DESCRIPTION = """\
name: many
root: .
classes:
  - {id: 0, name: road}
  - {id: 1, name: car}
targets: [car]
splits:
  train: {images: images, labels: labels}
"""


def make_frames(root: Path, images: int) -> None:
    """Write a data set of tiny images and label maps, and its description `many.yaml`."""
    from PIL import Image

    root.mkdir(parents=True, exist_ok=True)
    (root / "many.yaml").write_text(DESCRIPTION, encoding="utf-8")
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[4:9, 5:12] = 1
    picture = np.stack([80 + 100 * labels] * 3, axis=-1)
    for kind, pixels in (("images", picture), ("labels", labels)):
        _many_names(root / kind, Image.fromarray(pixels), images)


def _many_names(place: Path, picture: Any, images: int) -> None:
    source = place
    for i in range(images):
        folder = place / f"{i // FOLDER_FILES:05}"
        path = folder / f"{i:08}.png"
        if i % FOLDER_FILES == 0:
            folder.mkdir(parents=True, exist_ok=True)
        if i % NAMES_PER_FILE == 0:
            picture.save(path)
            source = path
        elif not path.exists():
            path.hardlink_to(source)


class ManyNames(Dataset):
    """More names than files: image i has the label map i modulo those that `make` has written."""

    name, title, archives, splits = "names", "Many names of few files", "", ("train",)
    table = ClassTable((LabelClass(0, "road", 0), LabelClass(1, "car", 1, target=True)))

    def __init__(self, root: Path, images: int, files: int) -> None:
        super().__init__(root)
        self.images, self.files = images, files

    def rows(self, split: str) -> Iterator[Row]:
        self.check_split(split)
        for i in range(self.images):
            k = i % self.files
            yield Row(f"{i:08}", f"absent/{i:08}.png", f"labels/{k // FOLDER_FILES:05}/{k:08}.png", "")

    def frames(self, split: str) -> list[Frame]:
        return [Frame(row.name, self.root / row.image, self.root / row.label) for row in self.rows(split)]

    def reopening(self) -> dict[str, Any]:
        return {"images": str(self.images), "files": str(self.files)}


def names(root: Path | None, images: str = "1000000", files: str = "1000") -> ManyNames:
    """The data set for ``--dataset benchmarks.many:names``."""
    return ManyNames(root or Path(), int(images), int(files))


def fill_workspace(root: Path, workspace: Path, images: int, files: int) -> None:
    """Make the boundaries of many images in the time of few, since all label maps are the same.

    The first and the last block are computed; files of the others are names of the first one's. Everything
    is as after a run, but the digests, which cover the names of files, too.
    """
    from pipeline.datasets import registry
    from pipeline.stages import boundaries, engine, sources
    from pipeline.workspace.stores import Workspace, open_store

    data = registry.load("benchmarks.many:names", root, images=str(images), files=str(files))
    folder = Workspace(workspace).folder(data.name, "train")
    found, todo = boundaries.prepare(folder, data, "train", boundaries.BoundaryOptions(), True)
    ends = replace(todo, todo=(todo.todo[0], todo.todo[-1]))
    boundaries.run(folder, found, ends, engine.Scheduler(threads=1))
    store = open_store(folder.boundaries)
    first = store.files(*todo.todo[0])
    for block in todo.todo[1:-1]:
        for source, path in zip(first, store.files(*block), strict=True):
            path.hardlink_to(source)
    kept = sources.KeptStamps(folder)
    for start in range(0, images, sources.PORTION):
        part = found.frames[start : start + sources.PORTION]
        stamps = sources.stamps_of(data, part)
        same = store["source"][start : start + len(part)]
        kept.write(start, np.concatenate([same, stamps], axis=1))


@dataclass(frozen=True)
class Cost:
    """What one command took."""

    images: int
    command: str
    cpu_seconds: float
    seconds: float
    peak_mib: float


def run(arguments: Sequence[str], workspace: Path, images: int, title: str) -> Cost:
    """Run one command as a process and measure it."""
    return measured(["-m", "adaprep", *arguments, "--workspace", str(workspace)], images, title)


def measured(arguments: Sequence[str], images: int, title: str) -> Cost:
    """Run Python as a process and measure it."""
    program = [sys.executable, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    begun = time.perf_counter()
    with open(os.devnull, "w") as nothing:
        process = subprocess.Popen(program, stdout=nothing, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{title} of {images} images ended with {process.returncode}")
    cpu = usage.ru_utime + usage.ru_stime
    seconds = time.perf_counter() - begun
    return Cost(images, title, cpu, seconds, peak_mib(usage))


def peak_mib(usage: resource.struct_rusage) -> float:
    """Largest resident memory, MiB."""
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def commands(root: Path, images: int) -> Iterator[tuple[str, list[str]]]:
    """Titles and arguments, in the order in which they are run on a new workspace."""
    data = ["--dataset", str(root / "many.yaml"), "--limit", str(images)]
    once = ["--threads", "1", "--quiet"]
    yield "boundaries", ["boundaries", *data, *once]
    yield "boundaries again", ["boundaries", *data, *once]
    yield "solve-tensors", ["solve-tensors", *once]
    yield "solve-tensors again", ["solve-tensors", *once]
    yield "status", ["status"]
    yield "verify", ["verify"]
    yield "check", ["check", *data, *once]


LIST = """
import sys
from pathlib import Path
from pipeline.datasets import registry
from pipeline.stages import frame_list
data = registry.load("benchmarks.many:names", Path(sys.argv[1]), images=sys.argv[2], files=sys.argv[3])
assert len(frame_list.listed(data, "train")) == int(sys.argv[2])
"""

FILL = """
import sys
from pathlib import Path
from benchmarks.many import fill_workspace
fill_workspace(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
"""
"""In a process of its own: the system counts the memory of a process that starts another as the other's."""


def empty_costs(root: Path, images: int, files: int) -> Iterator[Cost]:
    """What many images cost on which there is nothing to do."""
    workspace, nowhere = root / f"names-{images}", root / "nowhere"
    data = ["--dataset", "benchmarks.many:names", "--root", str(root), "--set", f"images={images}"]
    data += ["--set", f"files={files}", "--threads", "1", "--quiet"]
    yield measured(["-c", LIST, str(root), str(images), str(files)], images, "list")
    yield run(["boundaries", *data, "--dry-run"], nowhere, images, "plan")
    if not workspace.exists():
        measured(["-c", FILL, str(root), str(workspace), str(images), str(files)], images, "fill")
    yield run(["boundaries", *data], workspace, images, "resume")
    yield run(["status"], workspace, images, "status")


def on_disk(workspace: Path) -> dict[str, int]:
    """Files, folders, bytes of content, and bytes that the disk gives to them."""
    found = {"files": 0, "folders": 0, "bytes": 0, "bytes_on_disk": 0}
    for folder, _, files in os.walk(workspace):
        found["folders"] += 1
        found["bytes_on_disk"] += os.stat(folder).st_blocks * 512
        for name in files:
            about = os.stat(os.path.join(folder, name))
            found["files"] += 1
            found["bytes"] += about.st_size
            found["bytes_on_disk"] += about.st_blocks * 512
    return found


@click.group()
def main() -> None:
    """Measure how commands grow with the number of images."""


@main.command()
@click.argument("root", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--images", default=100_000, show_default=True)
def make(root: Path, images: int) -> None:
    """Write the data set."""
    make_frames(root, images)
    click.echo(f"{images} label maps in {root}")


@main.command()
@click.argument("root", metavar="FOLDER", type=click.Path(path_type=Path, exists=True))
@click.option("--images", "counts", multiple=True, type=int, default=(10_000, 100_000), show_default=True)
@click.option("--only", multiple=True, help="Only commands of these titles, on the workspace that is there.")
def measure(root: Path, counts: Sequence[int], only: Sequence[str]) -> None:
    """Run the commands on new workspaces beside the data, and print one JSON object per line."""
    for images in counts:
        workspace = root / f"workspace-{images}"
        for title, arguments in commands(root, images):
            if not only or title in only:
                click.echo(json.dumps(asdict(run(arguments, workspace, images, title))))
        click.echo(json.dumps({"images": images, **on_disk(workspace)}))


@main.command()
@click.argument("root", metavar="FOLDER", type=click.Path(path_type=Path, exists=True))
@click.option("--images", "counts", multiple=True, type=int, default=(100_000, 1_000_000), show_default=True)
@click.option("--files", default=1000, show_default=True, help="Label maps that `make` has written.")
def empty(root: Path, counts: Sequence[int], files: int) -> None:
    """List many images, plan, and look at a store of them that is complete; one JSON object per line."""
    for images in counts:
        for cost in empty_costs(root, images, files):
            click.echo(json.dumps(asdict(cost)))
        click.echo(json.dumps({"images": images, **on_disk(root / f"names-{images}")}))


if __name__ == "__main__":
    main()
