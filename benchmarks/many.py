"""How commands grow with the number of images: their processor time and memory, and what they leave on disk.

    python -m benchmarks.many make FOLDER --images 1000000
    python -m benchmarks.many measure FOLDER --images 10000 --images 100000
    python -m benchmarks.many fill FOLDER --images 1000000
    python -m benchmarks.many measure FOLDER --images 1000000 --names --only "boundaries again" --only status
    python -m benchmarks.many model

The label maps are tiny, so that what is measured is what adaprep does per image beside its actual work: list,
plan, compare, write down. They are many names of few files. Each command is a process of its own, on one
thread, and is measured by what the system says of it when it has ended.
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


def names(root: Path, images: str = "1000000", files: str = "10000") -> ManyNames:
    """The data set for ``--dataset benchmarks.many:names``."""
    return ManyNames(root, int(images), int(files))


def fill_workspace(root: Path, workspace: Path, images: int) -> None:
    """Make the boundaries of many images in the time of few, since all label maps are the same.

    The first and the last block are computed; files of the others are names of the first one's. Everything
    is as after a run, but the digests, which cover the names of files, too.
    """
    from pipeline.datasets import registry
    from pipeline.stages import boundaries, engine, sources
    from pipeline.workspace.stores import Workspace, open_store

    data = registry.load("benchmarks.many:names", root, images=str(images))
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
    status: int


def run(arguments: Sequence[str], workspace: Path, images: int, title: str) -> Cost:
    """Run one command as a process and measure it."""
    program = [sys.executable, "-m", "adaprep", *arguments, "--workspace", str(workspace)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    begun = time.perf_counter()
    with open(os.devnull, "w") as nothing:
        process = subprocess.Popen(program, stdout=nothing, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    seconds = time.perf_counter() - begun
    return Cost(images, title, cpu, seconds, peak_mib(usage), process.returncode)


def peak_mib(usage: resource.struct_rusage) -> float:
    """Largest resident memory, MiB."""
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def commands(root: Path, images: int, only_names: bool) -> Iterator[tuple[str, list[str]]]:
    """Titles and arguments, in the order in which they are run on a new workspace."""
    if only_names:
        data = ["--dataset", "benchmarks.many:names", "--root", str(root), "--set", f"images={images}"]
    else:
        data = ["--dataset", str(root / "many.yaml"), "--limit", str(images)]
    once = ["--threads", "1", "--quiet"]
    yield "boundaries", ["boundaries", *data, *once]
    yield "boundaries again", ["boundaries", *data, *once]
    yield "solve-tensors", ["solve-tensors", *once]
    yield "solve-tensors again", ["solve-tensors", *once]
    yield "status", ["status"]
    yield "verify", ["verify"]
    yield "check", ["check", *data, *once]


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
@click.option("--images", default=1_000_000, show_default=True)
def fill(root: Path, images: int) -> None:
    """Make a workspace as if `boundaries` had been run, in less time."""
    fill_workspace(root, root / f"names-{images}", images)


@main.command()
@click.argument("root", metavar="FOLDER", type=click.Path(path_type=Path, exists=True))
@click.option("--images", "counts", multiple=True, type=int, default=(10_000, 100_000), show_default=True)
@click.option("--only", multiple=True, help="Only commands of these titles, on the workspace that is there.")
@click.option("--names", "only_names", is_flag=True, help="On the workspace that `fill` made.")
def measure(root: Path, counts: Sequence[int], only: Sequence[str], only_names: bool) -> None:
    """Run the commands on new workspaces beside the data, and print one JSON object per line."""
    for images in counts:
        workspace = root / f"{'names' if only_names else 'workspace'}-{images}"
        for title, arguments in commands(root, images, only_names):
            if not only or title in only:
                click.echo(json.dumps(asdict(run(arguments, workspace, images, title))))
        click.echo(json.dumps({"images": images, **on_disk(workspace)}))


@dataclass(frozen=True)
class Machine:
    """What one image costs, as measured on full-size maps (docs/performance.md)."""

    seconds: float  # of one core, from file to what is written
    process_seconds: float  # the same where each core is a process of its own
    serial: float  # share of the work of threads that does not run side by side
    task_seconds: float = 0.01  # of the scheduler, one task after the other
    listing_seconds: float = 20e-6  # of one core, to list an image and look at its files
    bytes: int = 22_000  # on disk


@dataclass(frozen=True)
class Forecast:
    """`boundaries` of one data set on so many cores."""

    images: int
    cores: int
    hours_threads: float
    hours_processes: float
    memory_gib: float  # of threads
    tasks: int
    reads: int  # requests to the storage of the data
    writes: int  # files of the store
    disk_gib: float


def forecast(images: int, size: tuple[int, int], cores: int, machine: Machine) -> Forecast:
    """Hours, memory, requests and disk of `boundaries`, by the layout that the store would have.

    Parameters
    ----------
    size
        (H, W) of a label map, pixels.
    """
    from pipeline.stages.boundaries import arrays
    from pipeline.workspace.stores import Layout

    specs = arrays(size, 5, (8, 8), 8)
    packed = int(np.prod(specs["packed"].shape))
    layout = Layout.choose(images, packed)
    blocks, shards = -(-images // layout.block), -(-images // layout.shard)
    listing = images * machine.listing_seconds
    speedup = 1 / (machine.serial + (1 - machine.serial) / cores)
    threads = listing + images * machine.seconds / speedup
    processes = listing + max(images * machine.process_seconds / cores, blocks * machine.task_seconds)
    per_thread = 4 * size[0] * size[1] + 3 * layout.shard * packed
    return Forecast(
        images,
        cores,
        threads / 3600,
        processes / 3600,
        (200 * 2**20 + 100 * images + cores * per_thread) / 2**30,
        blocks,
        3 * images,  # header and content of the label map, header of the image
        shards + blocks * len(specs),  # of the packed maps; of the other arrays and the digests
        images * machine.bytes / 2**30,
    )


@main.command()
@click.option("--images", "counts", multiple=True, type=int, default=(113_000, 1_000_000, 10_000_000))
@click.option("--height", default=2710, show_default=True)
@click.option("--width", default=3384, show_default=True)
@click.option("--cores", multiple=True, type=int, default=(1, 8, 64), show_default=True)
@click.option("--seconds", default=0.022, show_default=True, help="Of one thread per image.")
@click.option("--process-seconds", default=0.029, show_default=True, help="Of one worker process per image.")
@click.option("--two-threads", default=1.67, show_default=True, help="Speed of two threads against one.")
def model(
    counts: Sequence[int],
    height: int,
    width: int,
    cores: Sequence[int],
    seconds: float,
    process_seconds: float,
    two_threads: float,
) -> None:
    """Foretell `boundaries` on full-size maps from what benchmarks.running measures, as a table."""
    machine = Machine(seconds, process_seconds, 2 / two_threads - 1)
    heads = ["images", "cores", "hours, threads", "hours, processes", "memory, GiB", "tasks", "reads"]
    heads += ["files", "disk, GiB"]
    click.echo("| " + " | ".join(heads) + " |")
    click.echo("|" + "---|" * len(heads))
    for images in counts:
        for count in cores:
            f = forecast(images, (height, width), count, machine)
            row = (
                f"{f.images:,}", f.cores, f"{f.hours_threads:.2f}", f"{f.hours_processes:.2f}",
                f"{f.memory_gib:.1f}", f"{f.tasks:,}", f"{f.reads:,}", f"{f.writes:,}", f"{f.disk_gib:.1f}",
            )  # fmt: skip
            click.echo("| " + " | ".join(map(str, row)) + " |")


if __name__ == "__main__":
    main()
