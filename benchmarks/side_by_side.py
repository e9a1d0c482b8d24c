"""How many training steps a GPU makes a second, for one process and for several at once.

    python -m benchmarks.side_by_side --jobs 1 --jobs 14 --resolution 64
    nvidia-cuda-mps-control -d; python -m benchmarks.side_by_side --jobs 14 --resolution 64

Each process trains the base U-Net with 22 classes on batches of 12 random images that lie on the device, with
augmentation, in bfloat16: as `adaprep run --jobs` does. Eager steps start every kernel from Python; recorded
ones replay a CUDA graph. With NVIDIA's MPS, whose daemon the second line starts, kernels of several processes
run at the same time; without it they take turns. On a CPU only eager steps are measured.
"""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

import click

IMAGES, BATCH, CLASSES = 375, 12, 22

WARM_UP = 20
"""Steps of each process before all begin to count together."""

LOOK_EVERY = 20
"""Steps after which a process waits for the device, as training does."""


def steps_per_second(
    device: str, resolution: int, seconds: float, eager: bool, gate: Any, found: Any
) -> None:
    """Train for some seconds once all processes are ready; puts steps per second into the queue `found`."""
    import torch

    from pipeline.networks.factory import build
    from pipeline.train import losses
    from pipeline.train.data import Augmentation
    from pipeline.train.fit import channels_last
    from pipeline.train.optimisers import adam
    from pipeline.train.settings import Schedule
    from pipeline.train.steps import Eager, Recorded

    there = torch.device(device)
    torch.backends.cudnn.benchmark = True
    network = channels_last(build("unet", CLASSES).to(there)).train()
    optimiser = adam(network, Schedule(1e-3, 1, BATCH))

    def loss(chosen: Any, batch: Any) -> Any:
        return losses.cross_entropy(chosen(batch["image"]), batch["label"])

    learn = (Eager if eager else Recorded)(network, optimiser, loss, there, True)
    augment = Augmentation()
    shape = (IMAGES, 3, resolution, resolution)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=there)
    labels = torch.randint(0, CLASSES, (IMAGES, *shape[2:]), dtype=torch.uint8, device=there)

    def step(number: int) -> Any:
        torch.manual_seed(number)
        generator = torch.Generator(there).manual_seed(number)
        rows = torch.randint(0, IMAGES, (BATCH,), device=there, generator=generator)
        batch = augment({"image": images[rows], "label": labels[rows]}, generator)
        batch["image"] = batch["image"].contiguous(memory_format=torch.channels_last)
        return learn(batch, 1e-3)

    for number in range(WARM_UP):
        step(number)
    gate.wait()
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        values = [step(count + number) for number in range(LOOK_EVERY)]
        float(values[-1])
        count += LOOK_EVERY
    found.put(count / (time.perf_counter() - begun))


def together(jobs: int, device: str, resolution: int, seconds: float, eager: bool) -> list[float]:
    """Steps per second of each of several processes that train at once."""
    context = multiprocessing.get_context("spawn")
    gate, found = context.Barrier(jobs), context.Queue()
    chosen = (device, resolution, seconds, eager, gate, found)
    processes = [context.Process(target=steps_per_second, args=chosen) for _ in range(jobs)]
    for process in processes:
        process.start()
    rates = [float(found.get(timeout=300)) for _ in processes]
    for process in processes:
        process.join()
    return rates


@click.command()
@click.option("--jobs", default=(1,), multiple=True, show_default=True, help="Processes at once.")
@click.option("--resolution", default=(64,), multiple=True, show_default=True)
@click.option("--seconds", default=4.0, show_default=True)
@click.option("--device", default="cuda", show_default=True)
def main(jobs: tuple[int, ...], resolution: tuple[int, ...], seconds: float, device: str) -> None:
    """Measure and print."""
    for side in resolution:
        for count in jobs:
            for eager in (True,) if device == "cpu" else (True, False):
                rates = together(count, device, side, seconds, eager)
                words = "eager" if eager else "recorded"
                click.echo(
                    f"{side} px, {count} at once, {words}: {sum(rates):.0f} steps/s in all "
                    f"({min(rates):.0f} to {max(rates):.0f} each), {BATCH * sum(rates):.0f} images/s"
                )


if __name__ == "__main__":
    main()
