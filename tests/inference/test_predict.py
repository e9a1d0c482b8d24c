"""`adaprep predict`: every pixel of images of any shape, in the data set's own ids."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

torch = pytest.importorskip("torch")

from pipeline.datasets import registry  # noqa: E402
from pipeline.datasets.base import VOID, ClassTable, LabelClass  # noqa: E402
from pipeline.datasets.overlay import overlay  # noqa: E402
from pipeline.errors import AdaprepError  # noqa: E402
from pipeline.inference import predict as label_maps  # noqa: E402
from pipeline.inference import systems, tiling  # noqa: E402
from pipeline.workspace import stores  # noqa: E402
from tests.conftest import tree  # noqa: E402
from tests.evaluation.test_evaluate import cli, save_auxiliary, save_base  # noqa: E402

MakeBlobs = Callable[..., Path]
sides = st.integers(2, 60)


@settings(max_examples=200)
@given(sides, sides)
def test_every_pixel_belongs_to_one_square_that_holds_it(height: int, width: int) -> None:
    found = tiling.tiles(height, width)
    times = np.zeros((height, width), int)
    for tile in found:
        times[tile.owned] += 1
        assert tile.side == min(height, width)
        assert 0 <= tile.top <= height - tile.side
        assert 0 <= tile.left <= width - tile.side
        for part, owned in zip(tile.inside, tile.owned, strict=True):
            assert 0 <= part.start < part.stop <= tile.side
            assert part.stop - part.start == owned.stop - owned.start
    assert (times == 1).all()
    assert len(found) == -(-max(height, width) // min(height, width))


@settings(max_examples=100)
@given(sides, sides)
def test_a_pixel_belongs_to_the_square_with_the_nearest_centre(height: int, width: int) -> None:
    found = tiling.tiles(height, width)
    axis = 1 if width >= height else 0
    centres = np.array([(t.left if axis else t.top) + (t.side - 1) / 2 for t in found])
    for number, tile in enumerate(found):
        places = np.arange(tile.owned[axis].start, tile.owned[axis].stop)
        assert (np.abs(places[:, None] - centres).argmin(axis=1) == number).all()


@settings(max_examples=50)
@given(sides, sides)
def test_labels_come_back_where_their_pixels_were(height: int, width: int) -> None:
    image = np.random.default_rng(height * 100 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert np.array_equal(tiling.label(image, lambda square: square[..., 1]), image[..., 1])


def test_a_square_image_is_seen_once_and_whole() -> None:
    image = np.arange(49, dtype=np.uint8).reshape(7, 7)
    seen = []
    tiling.label(image, lambda square: seen.append(square) or square)  # type: ignore[func-returns-value]
    assert len(seen) == 1
    assert np.array_equal(seen[0], image)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_base(tmp_path / "b.pt", "auxiliary")


@pytest.fixture
def auxiliary(tmp_path: Path) -> Path:
    return save_auxiliary(tmp_path / "a.pt")


def picture(path: Path, width: int, height: int) -> Path:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_images_of_any_size_become_maps_of_raw_ids(
    make_blobs: MakeBlobs, tmp_path: Path, base: Path, auxiliary: Path
) -> None:
    sizes = {"wide": (70, 20), "high": (15, 40), "square": (33, 33)}
    images = [picture(tmp_path / f"{name}.png", *size) for name, size in sizes.items()]
    options = ["--auxiliary", auxiliary, "--dataset", make_blobs(), "-o", tmp_path / "out", "--device", "cpu"]
    code, said = cli("predict", *images, "--checkpoint", base, *options)
    assert code == 0, said
    assert "predictions: 3 images" in said
    seen = set()
    for name, size in sizes.items():
        with Image.open(tmp_path / "out" / "labels" / f"{name}.png") as labels:
            assert (labels.size, labels.mode) == (size, "L")
            seen |= set(np.unique(np.asarray(labels)).tolist())
        with Image.open(tmp_path / "out" / "overlays" / f"{name}.jpg") as shown:
            assert (shown.size, shown.mode) == (size, "RGB")
    assert seen <= {0, 1, 7}
    assert len(seen) > 1
    assert sorted(tree(tmp_path / "out")) == sorted(
        part for name in sizes for part in (f"labels/{name}.png", f"overlays/{name}.jpg")
    )


def test_the_compiler_of_pytorch_is_not_loaded(
    make_blobs: MakeBlobs, tmp_path: Path, base: Path, auxiliary: Path
) -> None:
    code = (
        "import sys; from cli import main; main(sys.argv[1:], standalone_mode=False); "
        "print('torch._dynamo' in sys.modules, file=sys.stderr)"
    )
    networks = ["--checkpoint", base, "--auxiliary", auxiliary, "--device", "cpu"]
    options = [
        picture(tmp_path / "a.png", 30, 20),
        *networks,
        "--dataset",
        make_blobs(),
        "-o",
        tmp_path / "out",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", *options], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "False"


def test_a_square_image_is_labelled_as_evaluation_would(
    make_blobs: MakeBlobs, tmp_path: Path, base: Path, auxiliary: Path
) -> None:
    path = picture(tmp_path / "square.png", 33, 33)
    system, _ = systems.open_system(systems.load_base(base), auxiliary, torch.device("cpu"))
    classes = registry.load(make_blobs()).classes
    job = label_maps.plan([path], tmp_path / "out")[0]
    label_maps.predict(system, job, classes)
    pixels = np.asarray(Image.open(path))
    expected = system.labels(pixels, system.tensor(pixels))
    assert np.array_equal(np.asarray(Image.open(job.labels)), np.array([0, 1, 7])[expected])


def test_deep_images_are_scaled_by_the_range_of_the_data_set(
    make_blobs: MakeBlobs, tmp_path: Path, base: Path, auxiliary: Path
) -> None:
    yaml = make_blobs()
    yaml.write_text("image_range: [0, 4095]\n" + yaml.read_text())
    deep = np.random.default_rng(0).integers(0, 4096, (30, 40), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(np.rint(deep / 4095 * 255).astype(np.uint8)).save(tmp_path / "plain.png")
    images = [tmp_path / "deep.png", tmp_path / "plain.png"]
    options = ["--auxiliary", auxiliary, "--dataset", yaml, "-o", tmp_path / "out", "--device", "cpu"]
    code, said = cli("predict", *images, "--checkpoint", base, *options)
    assert code == 0, said
    for folder, end in (("labels", "png"), ("overlays", "jpg")):
        one, other = (Image.open(tmp_path / f"out/{folder}/{name}.{end}") for name in ("deep", "plain"))
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_files_that_cannot_be_read_are_listed_and_the_rest_goes_on(
    make_blobs: MakeBlobs, tmp_path: Path, base: Path, auxiliary: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    images = [
        picture(tmp_path / "good.png", 20, 30),
        tmp_path / "bad.jpg",
        tmp_path / "absent.jpg",
        picture(tmp_path / "line.png", 20, 1),
    ]
    options = ["--auxiliary", auxiliary, "--dataset", make_blobs(), "-o", tmp_path / "out", "--device", "cpu"]
    code, said = cli("predict", *images, "--checkpoint", base, *options)
    assert code == 1
    assert "3 failed" in said
    assert "bad.jpg: not a picture in a known format" in said
    assert "absent.jpg" in said
    assert "line.png: 20 x 1 pixels are too few to be sampled" in said
    assert sorted(tree(tmp_path / "out")) == ["labels/good.png", "overlays/good.jpg"]


def test_the_workspace_knows_the_ids(make_blobs: MakeBlobs, tmp_path: Path, base: Path) -> None:
    found = systems.load_base(base)
    space = stores.Workspace(tmp_path / "w")
    with pytest.raises(AdaprepError, match="which is neither in the workspace .*give its YAML"):
        label_maps.class_table(found, None, space)
    assert cli("boundaries", "--dataset", make_blobs(), "--split", "val", "--workspace", space.path)[0] == 0
    assert label_maps.raw_ids(label_maps.class_table(found, None, space)).tolist() == [0, 1, 7]


def test_data_sets_that_adaprep_brings_need_no_files(tmp_path: Path) -> None:
    names = list(registry.load("camvid", tmp_path).classes.names)
    found = systems.load_base(save_base(tmp_path / "c.pt", dataset="camvid", class_names=names))
    table = label_maps.class_table(found, None, stores.Workspace(tmp_path / "w"))
    assert list(table.names) == names
    with pytest.raises(AdaprepError, match="was trained on camvid, not on cityscapes"):
        label_maps.class_table(found, "cityscapes", stores.Workspace(tmp_path / "w"))


def test_the_first_of_several_ids_is_written_and_large_ids_fit() -> None:
    rows = (LabelClass(33, "car", 0), LabelClass(161, "car group", 0), LabelClass(300, "sky", 1))
    ids = label_maps.raw_ids(ClassTable(rows))
    assert ids.tolist() == [33, 300]
    assert ids.dtype == np.uint16
    assert label_maps.raw_ids(ClassTable(rows[:2])).dtype == np.uint8


def test_the_overlay_is_the_mean_of_image_and_colour() -> None:
    classes = ClassTable((LabelClass(0, "a", 0, color=(255, 0, 11)),))
    image = np.array([[[255, 255, 20]]], np.uint8)
    shown = overlay(image, np.zeros((1, 1), np.uint8), classes)
    assert shown.tolist() == [[[255, 127, 15]]]


def test_under_background_and_void_the_image_is_seen_as_it_is() -> None:
    rows = (LabelClass(0, "Background", 0, color=(9, 9, 9)), LabelClass(1, "a", 1, color=(200, 0, 0)))
    image = np.full((1, 3, 3), 100, np.uint8)
    shown = overlay(image, np.array([[0, 1, VOID]], np.uint8), ClassTable(rows))
    assert shown.tolist() == [[[100, 100, 100], [150, 50, 50], [100, 100, 100]]]
    target = ClassTable((replace(rows[0], target=True), rows[1]))
    assert overlay(image, np.zeros((1, 3), np.uint8), target)[0, 0].tolist() == [54, 54, 54]


def test_results_that_would_replace_each_other_or_an_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AdaprepError, match=r"a/x\.jpg and b/x\.png would both be written to out/labels/x"):
        label_maps.plan([Path("a/x.jpg"), Path("b/x.png")], Path("out"))
    with pytest.raises(AdaprepError, match="would be replaced by a result"):
        label_maps.plan([tmp_path / "labels" / "x.png"], tmp_path)
    assert len(label_maps.plan([Path("x.jpg"), Path("x.jpg")], Path("out"))) == 1


def test_a_folder_that_cannot_be_written_stops_with_a_sentence(
    make_blobs: MakeBlobs, tmp_path: Path, base: Path, auxiliary: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    image = picture(tmp_path / "x.png", 20, 20)
    options = ["--auxiliary", auxiliary, "--dataset", make_blobs(), "-o", tmp_path / "out", "--device", "cpu"]
    code, said = cli("predict", image, "--checkpoint", base, *options)
    assert code == 1
    assert "give another folder to -o." in said


@settings(max_examples=100)
@given(sides, sides, st.integers(1, 40))
def test_more_squares_than_are_needed_divide_an_image_too_and_fewer_are_refused(
    height: int, width: int, count: int
) -> None:
    if count < len(tiling.tiles(height, width)):
        with pytest.raises(ValueError, match="do not cover an image"):
            tiling.tiles(height, width, count)
        return
    times = np.zeros((height, width), int)
    for tile in tiling.tiles(height, width, count):
        times[tile.owned] += 1
        assert tile.of(times).shape == (tile.side, tile.side)
    assert (times == 1).all()
