"""What a training step waits for data, and how long whole systems take from a large image to its labels.

    python -m benchmarks.training

The data path of a step is reading a batch from sampled stores, moving it to the device and augmenting it; the
rest is the network's forward and backward pass and the optimiser. Latency is the time that
`AdaptiveSegmenter` takes for images of a generated street to labels (`labels`) and to scores of all pixels
(`forward`), adaptive beside uniform sampling with the same base network, and what of it goes into the tensor
by which it samples (`locate`): on a CPU the processor time of one thread, which depends less on what else the
machine does; on a GPU that of the clock, from images there to labels there:

    python -m benchmarks.training --device cuda --resolution 0 --images 1 --images 8 --rounds 20

"replayed" labels are those of `pipeline.inference.replay`: one CUDA graph in place of some hundred kernels.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

BATCHES = 3
"""Of images that latencies are measured on, in turn."""

NEAREST = "nearest pixels"
"""In names of systems whose small image is made of them, not of box means."""


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


def systems(resolution: int, device: Any) -> dict[str, Any]:
    """Segmenters of one base U-Net, 22 classes: of uniform samples, and with several auxiliary networks.

    The last two have the auxiliary network that the recipes in workflows/ train. Auxiliary networks are shown
    box means, or where the name says so the nearest pixels of a uniform tensor. All predict the proposal of
    three discs.
    """
    import torch

    from benchmarks.interpolation import make_tensors
    from pipeline.errors import AdaprepError
    from pipeline.inference.segmenter import AdaptiveSegmenter
    from pipeline.networks.auxiliary import AuxiliaryNetwork, make
    from pipeline.networks.factory import build
    from pipeline.train.fit import channels_last

    torch.manual_seed(0)
    base = build("unet", 22)
    auxiliaries: dict[str, AuxiliaryNetwork | None] = {
        "uniform": None,
        "adaptive, 256 features, 16 px": make(resolution=16),
        "adaptive, 256 features, 32 px": make(resolution=32),
    }
    small = make(resolution=32, features=64)
    auxiliaries["adaptive, 64 features, 32 px"] = auxiliaries[f"adaptive, 64 features, {NEAREST}"] = small
    try:
        lite = make(resolution=32, features=64, encoder="efficientnet-lite0", mirrored=True)
        auxiliaries["adaptive, as in the recipes"] = auxiliaries[f"adaptive, as there, {NEAREST}"] = lite
    except AdaprepError as error:
        click.echo(f"without a row of the recipes' network: {error}", err=True)
    proposal = torch.tensor(make_tensors(8)["adaptive"])
    for auxiliary in auxiliaries.values():
        if auxiliary is not None:
            auxiliary.mean_grid.data.copy_(proposal)
    return {
        name: channels_last(
            AdaptiveSegmenter(auxiliary, base, resolution, "nearest" if NEAREST in name else "area").to(
                device
            )
        ).eval()
        for name, auxiliary in auxiliaries.items()
    }


def pictures(count: int, side: int) -> Any:
    """Squares (count, 3, side, side) of a generated street scene, uint8."""
    import numpy as np
    import torch

    from pipeline.datasets.scenes import scene

    image = scene(0, 0, (side, side + side // 4)).image
    lefts = np.linspace(0, side // 4, count).astype(int).tolist()
    squares = [image[:, left : left + side].transpose(2, 0, 1) for left in lefts]
    return torch.from_numpy(np.stack(squares))


def latencies(
    resolution: int, side: int, batch: int, rounds: int, device: Any
) -> dict[str, dict[str, float]]:
    """Seconds from images (batch, 3, side, side) to their tensors, labels and scores, 22 classes."""
    import torch

    from pipeline.inference.replay import Replay

    on_cpu = device.type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    torch.set_num_threads(1)
    batches = [images.to(device) for images in pictures(BATCHES * batch, side).split(batch)]
    works: dict[str, dict[str, Callable[[Any], Any]]] = {"tensors": {}, "labels": {}, "scores": {}}
    if not on_cpu:
        works["labels, replayed"] = {}
    for name, system in systems(resolution, device).items():
        works["tensors"][name] = system.locate
        works["labels"][name] = system.labels
        works["scores"][name] = partial(_last_pixel, system)
        if not on_cpu:
            works["labels, replayed"][name] = Replay(system, batches[0])
    taken: dict[str, dict[str, list[float]]] = {kind: {name: [] for name in of} for kind, of in works.items()}
    with torch.no_grad():
        for kind, of_kind in works.items():
            for turn in range((rounds + 1) * len(of_kind)):  # in turn: a noisy moment meets all of them
                name = list(of_kind)[(turn + turn // len(of_kind)) % len(of_kind)]  # each is first at times
                images = batches[turn % BATCHES]  # as in use: never the same twice
                _wait(device)
                begun = clock()
                of_kind[name](images)
                _wait(device)
                taken[kind][name].append(clock() - begun)
    return {
        kind: {name: statistics.median(seconds[1:]) for name, seconds in of_kind.items()}
        for kind, of_kind in taken.items()
    }


def _last_pixel(system: Any, images: Any) -> Any:
    """The scores of one pixel, so that those of all others are not held until the next are made."""
    return system(images)[..., -1, -1].clone()


def _wait(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


@click.command()
@click.option("--resolution", default=64, show_default=True, help="Of training steps; 0 for none.")
@click.option("--latency-at", default=(64, 128, 256), multiple=True, show_default=True, help="Resolutions.")
@click.option("--batch", default=128, show_default=True, help="Of training steps.")
@click.option("--images", default=(1,), multiple=True, show_default=True, help="In a batch of latencies.")
@click.option("--side", default=2710, show_default=True, help="Of the large image of the latencies.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--bfloat16", is_flag=True, help="Forward passes of training steps in bfloat16.")
@click.option("--device", "name", default="cpu", show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(
    resolution: int,
    latency_at: tuple[int, ...],
    batch: int,
    images: tuple[int, ...],
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
    latency = {
        count: {sampled: latencies(sampled, side, count, rounds, device) for sampled in latency_at}
        for count in images
    }
    if as_json:
        click.echo(
            json.dumps({"device": _name(device), "side": side, "step": step, "latency": latency}, indent=2)
        )
        return
    if step:
        share = step["data"] / (step["data"] + step["rest"])
        click.echo(f"step at {resolution} x {resolution}, batch {batch}, on {name}, base U-Net:")
        click.echo(
            f"  data path {1000 * step['data']:.1f} ms, network {1000 * step['rest']:.1f} ms: {share:.1%}"
        )
    for count, at in latency.items():
        for sampled, kinds in at.items():
            for kind, of_kind in kinds.items():
                click.echo(
                    f"{count} x {side} x {side} to {kind}, sampled at {sampled} x {sampled}, an image:"
                )
                for system, seconds in of_kind.items():
                    ratio = seconds / of_kind["uniform"]
                    click.echo(f"  {system:30} {1000 * seconds / count:8.2f} ms  {ratio:.2f} x uniform")


def _name(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


if __name__ == "__main__":
    main()
