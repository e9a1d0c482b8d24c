"""Samplers that look at what the base network itself predicted: of the last frame, or in a coarse pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets import registry
from pipeline.datasets.base import Frame, Moment
from pipeline.datasets.custom import Custom
from pipeline.errors import AdaprepError
from pipeline.geometry.crops import central_crop
from pipeline.geometry.proposal import propose
from pipeline.geometry.tensors import uniform
from pipeline.metrics import ConfusionMatrix
from pipeline.samplers import feedback

torch = pytest.importorskip("torch")

from pipeline.evaluation import evaluate  # noqa: E402
from pipeline.geometry.crops import WHOLE  # noqa: E402
from pipeline.inference import predict, systems, tiling  # noqa: E402
from pipeline.inference.systems import System  # noqa: E402
from pipeline.networks import checkpoint, macs  # noqa: E402
from pipeline.networks.auxiliary import AuxiliaryNetwork  # noqa: E402
from tests.evaluation.test_evaluate import cli, facts_of, save_base  # noqa: E402

MakeBlobs = Callable[..., Path]
CPU = torch.device("cpu")
TARGETS = (1, 2)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_base(tmp_path / "base.pt", "proposal")


@pytest.fixture
def videos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images 0 to 2 are a video, the others another, both filmed from the last to the first."""

    def moment(self: Custom, frame: Frame) -> Moment:
        return Moment("a" if int(frame.name) < 3 else "b", "", 99 - int(frame.name))

    monkeypatch.setattr(Custom, "moment", moment)


def made(base: Path, name: str, first: Path | None = None) -> System:
    coarse = systems.load_base(first) if first else None
    return systems.with_feedback(systems.load_base(base), name, CPU, first=coarse)


def by_hand(system: System, squares: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Labels of the squares of a video, one after the other."""
    found: list[NDArray[np.uint8]] = []
    for square in squares:
        phi = propose(found[-1], TARGETS, (4, 4), 1.0) if found else uniform(4, 4)
        found.append(system.labels(square, phi.astype(np.float32)))
    return found


def test_each_frame_is_sampled_by_the_labels_of_the_one_before(
    make_blobs: MakeBlobs, base: Path, videos: None
) -> None:
    data = registry.load(make_blobs(val=5))
    system = made(base, "previous")
    report = evaluate.run(data, "val", data.frames("val"), [system])
    expected = ConfusionMatrix(data.classes.names, data.classes.targets)
    frames = {int(frame.name): frame for frame in data.frames("val")}
    seen = set()
    for clip in ([2, 1, 0], [4, 3]):
        squares = [central_crop(data.read_image(frames[i])) for i in clip]
        for i, labels in zip(clip, by_hand(system, squares), strict=True):
            expected.update(central_crop(data.classes.lut[data.read_labels(frames[i])]), labels)
            seen.add(labels.tobytes())
    assert np.array_equal(report.scores[system.name].confusion.counts, expected.counts)
    assert len(seen) == 5
    assert report.rows()[0]["sampler"] == "previous frame 4x4, lambda 1"
    assert system.auxiliary_macs == 0


def test_squares_of_a_whole_image_each_look_at_their_own(
    make_blobs: MakeBlobs, base: Path, videos: None
) -> None:
    data = registry.load(make_blobs(val=3, size=(24, 60)))
    system = made(base, "previous")
    report = evaluate.run(data, "val", data.frames("val"), [system], region=WHOLE)
    expected = ConfusionMatrix(data.classes.names, data.classes.targets)
    frames = data.frames("val")[::-1]
    images = [data.read_image(frame) for frame in frames]
    tiles = tiling.tiles(24, 60)
    columns = [by_hand(system, [tile.of(image) for image in images]) for tile in tiles]
    for number, frame in enumerate(frames):
        joined = np.empty((24, 60), np.uint8)
        for tile, column in zip(tiles, columns, strict=True):
            joined[tile.owned] = column[number][tile.inside]
        expected.update(data.classes.lut[data.read_labels(frame)], joined)
    assert np.array_equal(report.scores[system.name].confusion.counts, expected.counts)


def test_lambda_is_that_of_the_auxiliary_network_that_sampled_for_the_training(
    make_blobs: MakeBlobs, tmp_path: Path, videos: None
) -> None:
    network = AuxiliaryNetwork(resolution=8, grid=(4, 4), features=4, first=4)
    arguments = {"resolution": 8, "grid": [4, 4], "features": 4, "first": 4}
    about = {"dataset": "blobs", "filter": "area", "lambda": 0.3}
    auxiliary = tmp_path / "a.pt"
    checkpoint.save(auxiliary, "auxiliary", "auxiliary", arguments, network.state_dict(), about)
    identity = checkpoint.load(auxiliary, "auxiliary").identity
    known = {"auxiliary": identity, "grid": None, "lambda": None}
    base = save_base(tmp_path / "b.pt", "auxiliary", **known)
    rows = facts_of(base, "--dataset", make_blobs(val=2), "--sampler", "previous", "--sampler", "twice")
    told = [row["sampler"].partition(", first")[0] for row in rows["systems"][1:]]
    assert told == ["previous frame 4x4, lambda 0.3", "two passes 4x4, lambda 0.3"]
    auxiliary.unlink()
    with pytest.raises(AdaprepError, match=r"does not say the lambda .* give --auxiliary FILE"):
        systems.with_feedback(systems.load_base(base), "previous", CPU)


def test_without_videos_the_sampler_previous_is_refused(make_blobs: MakeBlobs, base: Path) -> None:
    status, said = cli(
        "evaluate", base, "--dataset", make_blobs(), "--sampler", "previous", "--device", "cpu"
    )
    assert status == 1
    assert "the sampler previous looks at the frame before, and blobs does not say which video" in said


def test_two_passes_are_a_coarse_uniform_one_and_one_by_its_boundaries(base: Path, tmp_path: Path) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    own = made(base, "twice")
    other = made(base, "twice", save_base(tmp_path / "first.pt", resolution=16))
    for system, resolution in ((own, 6), (other, 16)):
        coarse = System("", system.network, resolution, CPU, system.sampler)
        if system is other:
            coarse = systems.open_system(systems.load_base(tmp_path / "first.pt"), None, CPU)[0]
        scores, _ = coarse.scores(crop, uniform(8, 8).astype(np.float32))
        labels = scores.argmax(axis=0).astype(np.uint8)
        assert labels.shape == (resolution, resolution)
        expected = propose(labels, TARGETS, (4, 4), 1.0).astype(np.float32)
        assert np.array_equal(system.tensor(crop), expected)
        assert system.auxiliary_macs == macs.macs(system.network, (3, resolution, resolution))
    assert own.parameters == macs.parameters(own.network)
    assert other.parameters == 2 * own.parameters


def test_the_first_network_is_one_of_uniform_samples_and_goes_with_two_passes(
    make_blobs: MakeBlobs, base: Path, tmp_path: Path
) -> None:
    yaml, small = make_blobs(val=1), save_base(tmp_path / "s.pt", resolution=4)
    (row,) = facts_of(base, "--dataset", yaml, "--sampler", "twice", "--first", small)["systems"]
    assert row["sampler"] == "two passes 4x4, lambda 1, first 4"
    for command in (("evaluate", base), ("predict", yaml.parent, "--checkpoint", base, "-o", tmp_path / "o")):
        status, said = cli(*command, "--dataset", yaml, "--sampler", "twice", "--first", base)
        assert (status, "--first" in said, "give a base network trained with --sampler uniform" in said) == (
            1,
            True,
            True,
        )
        status, said = cli(*command, "--dataset", yaml, "--first", small)
        assert (status, "add --sampler twice" in said) == (1, True)


def test_evaluate_shows_them_beside_the_baseline(
    make_blobs: MakeBlobs, base: Path, tmp_path: Path, videos: None
) -> None:
    yaml, plain = make_blobs(val=2), save_base(tmp_path / "u.pt")
    options = ("--sampler", "previous", "--sampler", "twice", "--baseline", plain)
    rows = facts_of(base, "--dataset", yaml, *options)["systems"]
    assert [row["name"] for row in rows] == ["baseline", "previous frame", "two passes"]
    cost = {row["name"]: row["gmacs"] for row in rows}
    assert cost["two passes"] == pytest.approx(cost["previous frame"] + cost["baseline"])
    status, said = cli("evaluate", "--sampler", "twice", "--workspace", tmp_path / "w")
    assert status == 2
    assert "go with BASE, a checkpoint" in said
    status, said = cli("evaluate", base, "--dataset", yaml, "--sampler", "mean")
    assert status == 1
    assert "--sampler mean: here it is previous or twice" in said


def test_predict_follows_the_frames_of_a_folder(base: Path, tmp_path: Path, make_blobs: MakeBlobs) -> None:
    images = []
    rng = np.random.default_rng(1)
    for number in range(4):
        images.append(rng.integers(0, 256, (30, 30, 3), dtype=np.uint8))
        path = tmp_path / "clips" / "one" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[-1]).save(path)
    (tmp_path / "clips" / "one" / "2.png").write_bytes(b"no image")
    system = made(base, "previous")
    data = registry.load(make_blobs())
    paths = sorted((tmp_path / "clips" / "one").iterdir())
    jobs = predict.plan(paths, tmp_path / "out")
    summary = predict.run(system, jobs, data.classes)
    assert [failure.name for failure in summary.failures] == ["2.png"]
    expected = by_hand(system, [images[0], images[1], images[3]])
    ids = predict.raw_ids(data.classes)
    for number, labels in zip((0, 1, 3), expected, strict=True):
        found = np.asarray(Image.open(tmp_path / "out" / "labels" / f"{number}.png"))
        assert np.array_equal(found, ids[labels]), number


def test_the_command_takes_one_of_them(base: Path, tmp_path: Path, make_blobs: MakeBlobs) -> None:
    yaml = make_blobs(val=2)
    folder = yaml.parent / "images" / "val"
    common = ("predict", folder, "--checkpoint", base, "--dataset", yaml, "--device", "cpu")
    status, said = cli(*common, "--sampler", "previous", "--sampler", "twice", "-o", tmp_path / "out")
    assert (status, "give one of --sampler previous and twice" in said) == (2, True), said


def test_they_are_not_trained_with() -> None:
    from pipeline.samplers.base import Wanted

    for kind in feedback.FEEDBACK.values():
        with pytest.raises(AdaprepError, match="needs a trained base network: adaprep evaluate BASE"):
            kind.make(Wanted())
