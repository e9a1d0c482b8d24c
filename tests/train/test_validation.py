"""Validation at full resolution, against the same thing done the long way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets import registry
from pipeline.errors import AdaprepError
from pipeline.evaluation import upper_bound
from pipeline.evaluation.upper_bound import load_truth
from pipeline.geometry.crops import CENTRAL, central_crop
from pipeline.metrics import ConfusionMatrix
from pipeline.samplers.proposal import Proposals
from pipeline.samplers.uniform import Uniform
from pipeline.stages import boundaries, outputs
from pipeline.stages import inputs as listing
from pipeline.workspace import stores
from tests.stages.test_boundaries import run_boundaries, run_tensors
from tests.stages.test_samples import run_samples

torch = pytest.importorskip("torch")

from pipeline.inference.segmenter import AdaptiveSegmenter  # noqa: E402
from pipeline.networks.factory import build  # noqa: E402
from pipeline.train.data import StoreDataset, sampled  # noqa: E402
from pipeline.train.truths import Truths  # noqa: E402
from pipeline.train.validation import evaluate  # noqa: E402

MakeBlobs = Callable[..., Path]


def sampled_split(
    make_blobs: MakeBlobs, space: Path, output: outputs.Sampled, crops: int | None = None
) -> tuple[stores.SplitFolder, StoreDataset]:
    dataset = registry.load(str(make_blobs(val=5)))
    folder, _ = run_boundaries(space, dataset, "val", boundaries.BoundaryOptions(crops=crops))
    run_tensors(folder)
    run_samples(folder, [output])
    return folder, StoreDataset(sampled(folder.path / "samples" / f"{output.name}.zarr"))


def network() -> torch.nn.Module:
    torch.manual_seed(3)
    return build("unet", 3, widths=(8, 8)).eval()


def test_uniform_samples_score_as_the_whole_segmenter_does(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    folder, data = sampled_split(make_blobs, tmp_path / "w", outputs.Sampled(12, Uniform()))
    found = listing.load(folder)
    base = network()
    scores = evaluate(base, data, found, torch.device("cpu"))
    segmenter = AdaptiveSegmenter(None, base, 12)
    expected = ConfusionMatrix(found.dataset.classes.names, found.dataset.classes.targets)
    for frame in found.frames:
        image = central_crop(found.dataset.read_image(frame))
        labels = segmenter.labels(torch.from_numpy(image.transpose(2, 0, 1).copy())[None])[0]
        expected.update(load_truth(found.dataset, frame), labels.numpy())
    assert np.array_equal(scores.confusion.counts, expected.counts)
    assert list(scores.figures()) == ["miou", "target_miou", "accuracy", "validation_loss"]
    assert scores.figures()["miou"] == expected.miou()
    assert scores.confusion.counts.sum() == sum(
        int((load_truth(found.dataset, frame) != 255).sum()) for frame in found.frames
    )


def test_each_label_map_is_read_once_as_far_as_memory_goes(
    make_blobs: MakeBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, data = sampled_split(make_blobs, tmp_path / "w", outputs.Sampled(12, Uniform()))
    found = listing.load(folder)
    read: list[str] = []

    def counted(dataset: Any, frame: Any, *region: Any) -> Any:
        read.append(frame.name)
        return load_truth(dataset, frame, *region)

    monkeypatch.setattr(upper_bound, "load_truth", counted)
    counts = []
    for room in (10**9, 0):
        truths, base = Truths(found, CENTRAL, room), network()
        for _ in range(3):
            scores = evaluate(base, data, found, torch.device("cpu"), truths=truths)
            counts.append((len(read), scores.confusion.counts))
    assert [number for number, _ in counts] == [5, 5, 5, 10, 15, 20]
    assert all(np.array_equal(matrix, counts[-1][1]) for _, matrix in counts)


def test_of_three_crops_the_central_one_counts(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    output = outputs.Sampled(12, Proposals())
    one = sampled_split(make_blobs, tmp_path / "one", output)
    three = sampled_split(make_blobs, tmp_path / "three", output, crops=3)
    counts = [
        evaluate(network(), data, listing.load(folder), torch.device("cpu")).confusion.counts
        for folder, data in (one, three)
    ]
    assert np.array_equal(counts[0], counts[1])


def test_without_a_central_crop_it_refuses(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    folder, data = sampled_split(make_blobs, tmp_path / "w", outputs.Sampled(8, Uniform()), crops=2)
    with pytest.raises(AdaprepError, match="has 2 crops an image and so no central one"):
        evaluate(network(), data, listing.load(folder), torch.device("cpu"))
