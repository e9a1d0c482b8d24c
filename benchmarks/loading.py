"""Reading training samples from disk: stores against a plain PyTorch Dataset over JPEG and PNG files.

    python -m benchmarks.loading

Crops of generated street scenes are written twice: as a store of samples, and as one JPEG and one PNG file
for each crop. Both are then read in shuffled batches, in turn, with and without workers (threads for the
store, processes for the files): all crops of every image, and one of five per image, as in an epoch of
training. Nothing is in memory but pools.

Samples per second are those of the clock; processor time is that of all processes, and depends less on what
else the machine does.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

CROPS = 5
BATCH = 32
PIXELS, FEWEST = 2**24, 128
"""Pixels of all samples at one resolution, about, and images at least."""


class Row(NamedTuple):
    """One way to read, and what it takes."""

    side: int
    items: str
    kind: str
    workers: int
    speed: float  # samples per second
    cpu: float  # microseconds of processor time per sample


def crops_of(scenes: list[tuple[NDArray[Any], NDArray[Any]]], image: int, side: int) -> tuple[Any, Any]:
    """Images (K, side, side, 3) and label maps (K, side, side): crops along a scene, each image's its own."""
    pixels, labels = scenes[image % len(scenes)]
    height, width = labels.shape
    rows = (image % 7 + np.linspace(0, height - 8, side)).astype(int)
    lefts = np.linspace(0, width - height, CROPS).astype(int)
    found = [(pixels[rows][:, left + rows], labels[rows][:, left + rows]) for left in lefts]
    return np.stack([f[0] for f in found]), np.stack([f[1] for f in found])


def write(root: Path, scenes: list[Any], side: int, images: int) -> Path:
    """A store of samples, and in `files` the same as JPEG (quality 95) and PNG; the path of the store."""
    from PIL import Image

    from pipeline.samplers.uniform import Uniform
    from pipeline.stages.outputs import Sampled
    from pipeline.workspace import stores

    specs = {**Sampled(side, Uniform()).arrays(CROPS), "status": stores.ArraySpec((), "uint8")}
    layout = stores.Layout.choose(images, CROPS * side**2 * 3)
    inputs = {"count": images, "sha256": "0" * 64}
    path = root / "street" / "train" / "samples" / f"uniform-{side}.zarr"
    store = stores.create(path, specs, {"crops": CROPS}, layout, inputs)
    files = root / "files"
    files.mkdir()
    for start, stop in store.blocks():
        with stores.BlockWriter(store, start, stop - start) as writer:
            for image in range(start, stop):
                pixels, labels = crops_of(scenes, image, side)
                writer.put(image - start, {"image": pixels, "label": labels})
                for crop in range(CROPS):
                    name = files / f"{image * CROPS + crop:06}"
                    Image.fromarray(pixels[crop]).save(name.with_suffix(".jpg"), quality=95)
                    Image.fromarray(labels[crop]).save(name.with_suffix(".png"))
    return path


def plain(files: Path, images: int, one_crop: bool, batch: int, workers: int) -> Iterable[Any]:
    """What one would write by hand: one JPEG and one PNG per item, PyTorch's own loader."""
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    class Files(Dataset[dict[str, torch.Tensor]]):
        def __len__(self) -> int:
            return images * (1 if one_crop else CROPS)

        def __getitem__(self, item: int) -> dict[str, torch.Tensor]:
            number = item * CROPS + int(torch.randint(CROPS, ())) if one_crop else item
            name = files / f"{number:06}"
            pixels = np.array(Image.open(name.with_suffix(".jpg")))
            labels = np.array(Image.open(name.with_suffix(".png")))
            return {"image": torch.from_numpy(pixels).permute(2, 0, 1), "label": torch.from_numpy(labels)}

    return DataLoader(Files(), batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


def stored(path: Path, one_crop: bool, batch: int, workers: int) -> Iterable[Any]:
    """The same from the store, without keeping it in memory."""
    from pipeline.train.batches import CropShuffle, ShardShuffle
    from pipeline.train.data import StoreDataset, sampled
    from pipeline.train.pools import loader

    sources = {name: source for name, source in sampled(path).items() if name in ("image", "label")}
    data = StoreDataset(sources, in_memory=False)
    return loader(data, (CropShuffle if one_crop else ShardShuffle)(data, batch), workers)


def used() -> float:
    """Processor seconds of this process and its workers so far; those of workers to a hundredth."""
    import psutil

    workers = psutil.Process().children(recursive=True)
    return time.process_time() + sum(sum(process.cpu_times()[:2]) for process in workers)


def rates(loading: Iterable[Any]) -> tuple[float, float]:
    """Samples per second of one pass, and microseconds of processor time per sample."""
    begun, before, count = time.perf_counter(), used(), 0
    for batch in loading:
        count += len(batch["image"])
    return count / (time.perf_counter() - begun), 1e6 * (used() - before) / count


def measure(name: Path, scenes: list[Any], side: int, workers: Sequence[int], rounds: int) -> list[Row]:
    """Medians of all ways to read samples of one resolution."""
    images = max(FEWEST, PIXELS // side**2 // CROPS)
    path = write(name, scenes, side, images)
    rows = []
    for one_crop in (False, True):
        loaders: dict[tuple[str, int], Iterable[Any]] = {}
        for count in workers:
            loaders["store", count] = stored(path, one_crop, BATCH, count)
            loaders["files", count] = plain(name / "files", images, one_crop, BATCH, count)
        found: dict[Any, list[tuple[float, float]]] = {key: [] for key in loaders}
        for _ in range(rounds + 1):  # in turn, so that a noisy moment meets all of them
            for key, loading in loaders.items():
                found[key].append(rates(loading))
        for (kind, count), passes in found.items():
            speed, cpu = (statistics.median(values) for values in zip(*passes[1:], strict=True))
            rows.append(Row(side, "one crop per image" if one_crop else "all crops", kind, count, speed, cpu))
    return rows


@click.command()
@click.option("--resolution", "resolutions", default=(64, 128, 256, 512), multiple=True, show_default=True)
@click.option("--workers", default=(0, 2), multiple=True, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(resolutions: tuple[int, ...], workers: tuple[int, ...], rounds: int, as_json: bool) -> None:
    """Measure and print."""
    import torch

    from pipeline.datasets import demo

    torch.set_num_threads(1)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        demo.generate(Path(name) / "data", train=4, val=1, size=(1080, 1440))
        data = demo.Demo(Path(name) / "data")
        scenes = [(data.read_image(frame), data.read_labels(frame)) for frame in data.frames("train")]
        for side in resolutions:
            rows += measure(Path(name) / str(side), scenes, side, workers, rounds)
    if as_json:
        click.echo(json.dumps([row._asdict() for row in rows], indent=2))
        return
    speeds = {row[:4]: row for row in rows}
    for row in rows:
        files = speeds[row.side, row.items, "files", row.workers]
        click.echo(
            f"{row.side:4} {row.items:18} {row.kind:5} {row.workers} workers {row.speed:8.0f} samples/s "
            f"{row.speed / files.speed:5.2f} x files   {row.cpu:6.0f} us {files.cpu / row.cpu:5.2f} x"
        )


if __name__ == "__main__":
    main()
