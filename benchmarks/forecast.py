"""Foretells hours, memory, requests and disk of `boundaries` from what was measured, as in docs/scaling.md.

    python -m benchmarks.forecast

It reads docs/scaling.json: what `python -m benchmarks.scaling --json` printed, and the lines of
`python -m benchmarks.many empty FOLDER`. Another file: `--measured FILE`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

MEASURED = Path(__file__).parents[1] / "docs" / "scaling.json"

CROPS, GRID, TARGETS = 5, (8, 8), 8
BYTES = 22_000
"""On disk per image: packed maps and all else (docs/scaling.md)."""


@dataclass(frozen=True)
class Line:
    """A cost that grows with the number of images."""

    at_none: float
    per_image: float

    @classmethod
    def through(cls, costs: Sequence[dict[str, Any]], what: str) -> Line:
        """The line through the first and the last of some measurements."""
        few, many = costs[0], costs[-1]
        slope = (many[what] - few[what]) / (many["images"] - few["images"])
        return cls(few[what] - slope * few["images"], slope)

    def at(self, images: int) -> float:
        return self.at_none + self.per_image * images


@dataclass(frozen=True)
class Machine:
    """What one image, one task and one line of the list cost, as measured."""

    seconds: float  # of one worker, from file to what is written
    efficiency: float  # of each of several workers on one machine
    task_seconds: float  # of the scheduler, one task after the other
    worker_mib: float  # memory
    planning: Line  # seconds before the first task, on one core
    memory: Line  # MiB of the command itself

    @classmethod
    def of(cls, measured: dict[str, Any]) -> Machine:
        worker = next(one for one in measured["scaling"] if one["kind"] == "cluster workers")
        return cls(
            1 / worker["images_per_second"],
            min(worker["two_against_one"] / 2, 1.0),
            worker["task_ms"] / 1000,
            worker["peak_mib"],
            Line.through(_of(measured, "plan"), "cpu_seconds"),
            Line.through(_of(measured, "resume"), "peak_mib"),
        )


@dataclass(frozen=True)
class Forecast:
    """`boundaries` of one data set on so many cores, a worker on each."""

    images: int
    cores: int
    hours: float
    memory_gib: float
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

    specs = arrays(size, CROPS, GRID, TARGETS)
    layout = Layout.choose(images, int(np.prod(specs["packed"].shape)))
    blocks, shards = -(-images // layout.block), -(-images // layout.shard)
    side_by_side = cores * (machine.efficiency if cores > 1 else 1.0)
    seconds = max(images * machine.seconds / side_by_side, blocks * machine.task_seconds)
    return Forecast(
        images,
        cores,
        (machine.planning.at(images) + seconds) / 3600,
        (machine.memory.at(images) + cores * machine.worker_mib) / 1024,
        blocks,
        3 * images,  # header and content of the label map, header of the image
        shards + blocks * len(specs),  # of the packed maps; of the other arrays and the digests
        images * BYTES / 2**30,
    )


def _of(measured: dict[str, Any], command: str) -> list[dict[str, Any]]:
    """The measurements of a command, fewest images first."""
    return sorted(
        (c for c in measured["costs"] if c.get("command") == command), key=lambda c: int(c["images"])
    )


def growth_table(measured: dict[str, Any], wanted: int) -> str:
    """Seconds and memory of commands on many images, as measured, and as they follow for more."""
    commands = list(dict.fromkeys(cost["command"] for cost in measured["costs"] if "command" in cost))
    counts = [cost["images"] for cost in _of(measured, commands[0])]
    heads = [*(f"{count:,}" for count in counts), f"{wanted:,}, computed"]
    lines = ["| | " + " | ".join(heads) + " |", "|" + "---|" * (len(heads) + 1)]
    for command in commands:
        costs = _of(measured, command)
        cells = [f"{cost['cpu_seconds']:.1f} s, {cost['peak_mib']:.0f} MiB" for cost in costs]
        cpu, memory = (Line.through(costs, what).at(wanted) for what in ("cpu_seconds", "peak_mib"))
        lines.append(f"| {command} | " + " | ".join([*cells, f"{cpu:.0f} s, {memory:.0f} MiB"]) + " |")
    return "\n".join(lines)


def forecast_table(
    measured: dict[str, Any], counts: Sequence[int], cores: Sequence[int], size: tuple[int, int]
) -> str:
    """One line per number of images and of cores."""
    heads = ["images", "cores", "hours", "memory, GiB", "tasks", "reads", "files written", "disk, GiB"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    machine = Machine.of(measured)
    for images in counts:
        for count in cores:
            f = forecast(images, size, count, machine)
            row = (
                f"{f.images:,}", str(f.cores), f"{f.hours:.2f}", f"{f.memory_gib:.1f}", f"{f.tasks:,}",
                f"{f.reads:,}", f"{f.writes:,}", f"{f.disk_gib:.1f}",
            )  # fmt: skip
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


@click.command()
@click.option("--measured", "path", default=MEASURED, type=click.Path(path_type=Path, exists=True))
@click.option("--images", "counts", multiple=True, type=int, default=(113_000, 10_000_000), show_default=True)
@click.option("--height", default=2710, show_default=True)
@click.option("--width", default=3384, show_default=True)
@click.option("--cores", multiple=True, type=int, default=(1, 8, 64), show_default=True)
def main(path: Path, counts: Sequence[int], height: int, width: int, cores: Sequence[int]) -> None:
    """Print both tables."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    click.echo(growth_table(measured, max(counts)))
    click.echo()
    click.echo(forecast_table(measured, counts, cores, (height, width)))


if __name__ == "__main__":
    main()
