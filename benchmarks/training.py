"""What a training step waits for data, and how long whole systems take from a large image to its labels.

    python -m benchmarks.training

The data path of a step is reading a batch from sampled stores, moving it to the device and augmenting it; the
rest is the network's forward and backward pass and the optimiser. Latency is the time that
`AdaptiveSegmenter` takes for one image to its labels (`labels`) and to the scores of every pixel (`forward`),
adaptive beside uniform sampling with the same base network: on a CPU the processor time of one thread, which
depends less on what else the machine does; on a GPU (`--device cuda`) that of the clock.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click


def median(work: Callable[[], Any], rounds: int) -> float:
    """Median seconds of several calls, after one that does not count."""
    work()
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def steps(resolution: int, batch: int, rounds: int, bfloat16: bool, device: Any) -> dict[str, float]:
    """Seconds of the data path and of the rest of a step of the base U-Net, 22 classes."""
    import torch
    from torch.utils.data import BatchSampler, RandomSampler

    from pipeline.networks.factory import build
    from pipeline.stages import samples
    from pipeline.train.data import Augmentation, StoreDataset, sampled
    from pipeline.train.fit import channels_last
    from pipeline.train.losses import cross_entropy
    from pipeline.train.pools import loader

    with tempfile.TemporaryDirectory() as name:
        folder, output = _stores(Path(name), resolution)
        data = StoreDataset(sampled(samples.folder_of(folder) / f"{output.name}.zarr"))
        order = RandomSampler(data, replacement=True, num_samples=batch * (rounds + 2))
        loading: Iterator[Any] = iter(loader(data, BatchSampler(order, batch, drop_last=True)))
        augment = Augmentation()
        network = channels_last(build("unet", 22).to(device)).train()
        optimiser = torch.optim.AdamW(network.parameters(), 1e-4)
        held: list[Any] = []

        def wait() -> None:
            if device.type == "cuda":
                torch.cuda.synchronize()

        def read() -> None:
            there = {name: value.to(device) for name, value in next(loading).items()}
            held[:] = [augment(there)]
            wait()

        def learn() -> None:
            image = held[0]["image"].contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                loss = cross_entropy(network(image), held[0]["label"])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            wait()

        path = median(read, rounds)
        return {"data": path, "rest": median(learn, rounds)}


def _stores(root: Path, resolution: int) -> tuple[Any, Any]:
    """Uniform samples of a few generated street scenes."""
    from pipeline.datasets import demo
    from pipeline.samplers.uniform import Uniform
    from pipeline.stages import boundaries, engine, outputs, samples
    from pipeline.workspace.stores import Workspace

    where = engine.Scheduler()
    demo.generate(root / "data", train=8, val=1, size=(360, 480))
    data = demo.Demo(root / "data")
    folder = Workspace(root / "w").folder("demo", "train")
    found, todo = boundaries.prepare(folder, data, "train", boundaries.BoundaryOptions())
    boundaries.run(folder, found, todo, where)
    wanted: list[outputs.Output] = [outputs.Sampled(resolution, Uniform())]
    samples.run(folder, found, wanted, samples.plan(folder, wanted), where)
    return folder, wanted[0]


def latencies(resolution: int, side: int, rounds: int, device: Any) -> dict[str, dict[str, float]]:
    """Seconds from one image (3, side, side) to its labels and its scores, 22 classes."""
    import torch

    from pipeline.inference.segmenter import AdaptiveSegmenter
    from pipeline.networks.auxiliary import AuxiliaryNetwork
    from pipeline.networks.factory import build

    clock = time.process_time if device.type == "cpu" else time.perf_counter
    torch.set_num_threads(1)
    torch.manual_seed(0)
    image = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8, device=device)
    base = build("unet", 22)
    systems = {
        name: AdaptiveSegmenter(auxiliary, base, resolution).to(device).eval()
        for name, auxiliary in (
            ("uniform", None),
            ("adaptive, auxiliary 16", AuxiliaryNetwork(16)),
            ("adaptive, auxiliary 32", AuxiliaryNetwork(32)),
            ("adaptive, 64 features", AuxiliaryNetwork(32, features=64)),
        )
    }
    wanted: dict[str, Callable[[Any], Any]] = {
        "labels": lambda system: system.labels(image).cpu(),
        "scores": lambda system: system(image)[..., -1, -1].cpu(),  # which waits for all of them
    }
    taken: dict[str, dict[str, list[float]]] = {kind: {name: [] for name in systems} for kind in wanted}
    for _ in range(rounds + 1):  # in turn, so that a noisy moment meets all of them
        for kind, work in wanted.items():
            for name, system in systems.items():
                begun = clock()
                with torch.no_grad():
                    work(system)
                taken[kind][name].append(clock() - begun)
    return {
        kind: {name: statistics.median(seconds[1:]) for name, seconds in of_kind.items()}
        for kind, of_kind in taken.items()
    }


@click.command()
@click.option("--resolution", default=64, show_default=True, help="Of training steps; 0 for none.")
@click.option("--latency-at", default=(64, 128, 256), multiple=True, show_default=True, help="Resolutions.")
@click.option("--batch", default=128, show_default=True)
@click.option("--side", default=2710, show_default=True, help="Of the large image of the latencies.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--bfloat16", is_flag=True, help="Forward passes of training steps in bfloat16.")
@click.option("--device", "name", default="cpu", show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(
    resolution: int,
    latency_at: tuple[int, ...],
    batch: int,
    side: int,
    rounds: int,
    bfloat16: bool,
    name: str,
    as_json: bool,
) -> None:
    """Measure and print."""
    import torch

    device = torch.device(name)
    step = steps(resolution, batch, rounds, bfloat16, device) if resolution else {}
    latency = {sampled: latencies(sampled, side, rounds, device) for sampled in latency_at}
    if as_json:
        click.echo(json.dumps({"step": step, "latency": latency}, indent=2))
        return
    if step:
        share = step["data"] / (step["data"] + step["rest"])
        click.echo(f"step at {resolution} x {resolution}, batch {batch}, on {name}, base U-Net:")
        click.echo(
            f"  data path {1000 * step['data']:.1f} ms, network {1000 * step['rest']:.1f} ms: {share:.1%}"
        )
    for sampled, kinds in latency.items():
        for kind, systems in kinds.items():
            click.echo(f"one image of {side} x {side} to {kind}, sampled at {sampled} x {sampled}:")
            for system, seconds in systems.items():
                ratio = seconds / systems["uniform"]
                click.echo(f"  {system:24} {1000 * seconds:8.1f} ms  {ratio:.2f} x uniform")


if __name__ == "__main__":
    main()
