"""Rows 3 and 4 of the performance table: two threads against one, and memory against the number of images.

    python -m benchmarks.running

Full-size (3384 x 2710) label maps in ApolloScape's layout are made in a temporary folder; every measurement
is one process that runs the stage `boundaries` on some of them into a new workspace. Runs of one and two
threads alternate, and the ratio is taken pair by pair.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import click

CHILD = """
import json, resource, sys, time
from pathlib import Path
from pipeline.datasets import registry
from pipeline.stages import boundaries, engine
from pipeline.workspace.stores import Workspace
root, space, threads, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
data = registry.load("apolloscape", Path(root))
folder = Workspace(space).folder("apolloscape", "train")
found, todo = boundaries.prepare(folder, data, "train", boundaries.BoundaryOptions(), limit=limit)
# modules and compiled code are loaded before the clock starts
boundaries.process_frame(data, found.frames[0], (8, 8), 5)
engine.run([lambda: engine.BlockResult(0, 1)], engine.Scheduler(threads=threads), "")
begun = time.process_time()
summary = boundaries.run(folder, found, todo, engine.Scheduler(threads=threads))
cpu = time.process_time() - begun
assert summary.ok, summary.failures
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
facts = {"seconds": summary.seconds, "cpu": cpu, "peak_mib": peak / 1024, "images": summary.images}
print(json.dumps(facts))
"""


def measure(root: Path, threads: int, images: int) -> dict[str, Any]:
    """Seconds and peak memory of one process."""
    with tempfile.TemporaryDirectory() as space:
        args = [sys.executable, "-c", CHILD, str(root), space, str(threads), str(images)]
        result = subprocess.run(
            args, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1]
        )
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def machine_scaling() -> float:
    """How much two threads gain over one on this machine just now, at work that holds no lock (SHA-256)."""
    data = bytes(8_000_000)

    def work() -> None:
        for _ in range(8):
            hashlib.sha256(data).digest()

    begun = time.perf_counter()
    work()
    work()
    alone = time.perf_counter() - begun
    threads = [threading.Thread(target=work) for _ in range(2)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return alone / (time.perf_counter() - begun)


def make_maps(root: Path, count: int) -> None:
    """Street-like label maps from 16 seeds, over and over."""
    from PIL import Image

    from benchmarks.street import street_map

    place = root / "road01_ins" / "Label" / "Record001" / "Camera 5"
    place.mkdir(parents=True)
    for i in range(count):
        path = place / f"{i:06}_Camera_5_bin.png"
        if i < 16:
            Image.fromarray(street_map(seed=i)).save(path)
        else:
            path.hardlink_to(place / f"{i % 16:06}_Camera_5_bin.png")


@click.command()
@click.option("--images", default=192, show_default=True, help="Label maps of the long run.")
@click.option("--pairs", default=5, show_default=True, help="Pairs of runs with one and two threads.")
@click.option("--json", "as_json", is_flag=True)
def main(images: int, pairs: int, as_json: bool) -> None:
    """Measure and print."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    with tempfile.TemporaryDirectory() as folder:
        make_maps(Path(folder), images)
        runs, machine = [], []
        for _ in range(pairs):
            runs.append((measure(Path(folder), 1, images), measure(Path(folder), 2, images)))
            machine.append(machine_scaling())
        short = measure(Path(folder), 2, images // 2)
    ratios = [one["seconds"] / two["seconds"] for one, two in runs]
    facts = {
        "images": images,
        "one_thread_images_per_s": statistics.median(images / one["seconds"] for one, _ in runs),
        "one_thread_cpu_ms_per_image": statistics.median(1000 * one["cpu"] / images for one, _ in runs),
        "two_threads_cpu_ms_per_image": statistics.median(1000 * two["cpu"] / images for _, two in runs),
        "two_threads_against_one": statistics.median(ratios),
        "two_threads_against_one_all": [round(r, 2) for r in ratios],
        "machine_two_threads_against_one": statistics.median(machine),
        "peak_mib_two_threads": max(two["peak_mib"] for _, two in runs),
        f"peak_mib_two_threads_{images // 2}_images": short["peak_mib"],
        "benchmark_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    click.echo(json.dumps(facts, indent=2) if as_json else "\n".join(f"{k}: {v}" for k, v in facts.items()))


if __name__ == "__main__":
    main()
