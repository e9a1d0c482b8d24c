"""Row 6 of the performance table: reading an epoch from sampled stores against decoding the full images.

    python -m benchmarks.epoch

Generated street scenes of ApolloScape's size are sampled once; then, in turn, every image and label map is
decoded, as a loader would, and every crop is read from the stores in shuffled batches, from disk and from
memory.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def seconds(work: Callable[[], Any]) -> float:
    """Time of one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@click.command()
@click.option("--images", default=12, show_default=True)
@click.option("--resolution", default=64, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(images: int, resolution: int, rounds: int, as_json: bool) -> None:
    """Measure and print."""
    from pipeline.datasets import demo
    from pipeline.samplers.proposal import Proposals
    from pipeline.stages import boundaries, engine, outputs, samples, tensors
    from pipeline.train.batches import ShardShuffle
    from pipeline.train.data import StoreDataset, sampled
    from pipeline.train.pools import loader
    from pipeline.workspace.stores import Workspace

    where = engine.Scheduler()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "data"
        demo.generate(root, train=images, val=1, size=(2710, 3384))
        data = demo.Demo(root)
        folder = Workspace(Path(name) / "w").folder("demo", "train")
        found, todo = boundaries.prepare(folder, data, "train", boundaries.BoundaryOptions())
        boundaries.run(folder, found, todo, where)
        tensors.run(folder, tensors.plan(folder, tensors.TensorOptions()), where)
        wanted: list[outputs.Output] = [outputs.Sampled(resolution, Proposals())]
        samples.run(folder, found, wanted, samples.plan(folder, wanted), where)
        path = samples.folder_of(folder) / f"{wanted[0].name}.zarr"

        def decode() -> None:
            for frame in found.frames:
                data.read_image(frame)
                data.read_labels(frame)

        def read(in_memory: bool) -> None:
            dataset = StoreDataset(sampled(path), in_memory)
            for _ in loader(dataset, ShardShuffle(dataset, 32)):
                pass

        kept = StoreDataset(sampled(path), True)
        times = [
            (
                seconds(decode),
                seconds(lambda: read(False)),
                seconds(lambda: [None for _ in loader(kept, ShardShuffle(kept, 32))]),
            )
            for _ in range(rounds)
        ]
    facts = {
        "images": images,
        "items": len(kept),
        "decode_s": statistics.median(t[0] for t in times),
        "from_disk_s": statistics.median(t[1] for t in times),
        "from_memory_s": statistics.median(t[2] for t in times),
        "decode_against_disk": statistics.median(t[0] / t[1] for t in times),
        "decode_against_memory": statistics.median(t[0] / t[2] for t in times),
    }
    click.echo(json.dumps(facts, indent=2) if as_json else "\n".join(f"{k}: {v}" for k, v in facts.items()))


if __name__ == "__main__":
    main()
