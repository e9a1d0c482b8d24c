"""The generated street scenes: files, labels, and the renderer that makes both from the same samples."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.apolloscape import ApolloScape
from pipeline.datasets.base import UNKNOWN
from pipeline.datasets.demo import Demo, generate
from pipeline.datasets.scenes import Scene, scene
from pipeline.datasets.scenes.mesh import Material, Mesh, at, box, ellipsoid, quads, rgb, tube
from pipeline.datasets.scenes.optics import Light, View
from pipeline.datasets.scenes.plan import Id
from pipeline.datasets.scenes.raster import NONE, rasterise
from pipeline.datasets.scenes.render import render
from pipeline.errors import AdaprepError

SIZE = (160, 200)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "set"
    generate(root, train=3, val=2, size=SIZE, seed=5)
    return root


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [scene(0, index, (271, 338)) for index in range(8)]


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def times(root: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}


def test_layout_is_apolloscapes(demo: Path) -> None:
    for data in (Demo(demo), ApolloScape(demo)):
        assert [f.name for f in data.frames("train")] == [
            f"road01_ins/Record001/Camera 5/{i:06}_Camera_5" for i in range(3)
        ]
        assert [f.name for f in data.frames("val")] == [
            f"road01_ins/Record002/Camera 5/{i:06}_Camera_5" for i in range(2)
        ]
    assert all(f.image.exists() and f.label.exists() for f in Demo(demo).frames("train"))


def test_files_have_the_size_and_kind_that_the_reader_expects(demo: Path) -> None:
    data = Demo(demo)
    for frame in data.frames("train") + data.frames("val"):
        assert data.label_size(frame) == SIZE
        assert data.read_labels(frame).shape == SIZE
        assert data.read_image(frame).shape == (*SIZE, 3)
        assert frame.instance is not None
        with Image.open(frame.label) as label, Image.open(frame.instance) as instance:
            assert (label.mode, instance.mode) == ("P", "I;16")


def test_files_hold_what_was_drawn(demo: Path) -> None:
    data, drawn = Demo(demo), scene(5, 1, SIZE)
    frame = data.frames("train")[1]
    np.testing.assert_array_equal(data.read_labels(frame), drawn.labels)
    instances = data.read_instances(frame)
    assert instances is not None
    objects = (drawn.instances >= 33_000) & (drawn.instances < 41_000)
    np.testing.assert_array_equal(instances, np.where(objects, drawn.instances, 0))
    difference = data.read_image(frame).astype(int) - drawn.image
    assert np.abs(difference).mean() < 8


def test_a_seed_draws_the_same_bytes_again_and_another_seed_others(demo: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", train=3, val=2, size=SIZE, seed=5)
    assert contents(tmp_path / "again") == contents(demo)
    assert (scene(6, 0, SIZE).labels != scene(5, 0, SIZE).labels).any()


def test_growing_a_split_keeps_the_frames_there_were(demo: Path, tmp_path: Path) -> None:
    generate(tmp_path / "larger", train=4, val=2, size=SIZE, seed=5)
    before, after = contents(demo), contents(tmp_path / "larger")
    pictures = {name for name in before if name.endswith((".jpg", ".png"))}
    assert {name: after[name] for name in pictures} == {name: before[name] for name in pictures}


def test_training_and_validation_scenes_differ(demo: Path) -> None:
    data = Demo(demo)
    first, second = (data.read_labels(data.frames(split)[0]) for split in ("train", "val"))
    assert (first != second).any()


def test_every_id_is_in_the_class_table(scenes: list[Scene]) -> None:
    for drawn in scenes:
        assert not (Demo.table.lut[drawn.labels] == UNKNOWN).any()
    assert {int(i) for i in Id} <= {c.id for c in Demo.table.classes}


def test_every_target_class_occurs(scenes: list[Scene]) -> None:
    seen = np.unique(np.concatenate([Demo.table.lut[drawn.labels].ravel() for drawn in scenes]))
    assert set(Demo.table.targets) <= set(seen.tolist())


def test_targets_take_a_share_of_the_picture_as_in_road_data(scenes: list[Scene]) -> None:
    train_ids = np.concatenate([Demo.table.lut[drawn.labels].ravel() for drawn in scenes])
    assert 0.04 < np.isin(train_ids, Demo.table.targets).mean() < 0.25


def test_instances_agree_with_labels(scenes: list[Scene]) -> None:
    for drawn in scenes:
        objects = (drawn.labels >= 33) & (drawn.labels <= 40)
        np.testing.assert_array_equal(drawn.instances[objects] // 1000, drawn.labels[objects])
        groups = drawn.labels >= 161
        groups &= drawn.labels <= 168
        assert (drawn.instances[groups] == 65535).all()
        assert (drawn.instances[~objects & ~groups] == 255).all()


def test_a_finished_set_is_kept(demo: Path) -> None:
    before = times(demo)
    generate(demo, train=3, val=2, size=SIZE, seed=5, progress=lambda done, total: pytest.fail("drawn again"))
    assert times(demo) == before


def test_an_interrupted_set_is_finished_and_not_begun_again(demo: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        assert total == 5
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, train=3, val=2, size=SIZE, seed=5, progress=interrupt)
    with pytest.raises(AdaprepError, match="no images found"):
        Demo(tmp_path).frames("train")
    before = {p: t for p, t in times(tmp_path).items() if p.suffix in (".jpg", ".png")}
    assert len(before) == 6
    generate(tmp_path, train=3, val=2, size=SIZE, seed=5)
    assert {p: times(tmp_path)[p] for p in before} == before
    assert contents(tmp_path) == contents(demo)


def test_a_frame_cut_short_is_drawn_again(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, calls = os.replace, []

    def fail_on_the_fourth(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 4:
            raise OSError("disk full")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_on_the_fourth)
    with pytest.raises(OSError, match="disk full"):
        generate(tmp_path, train=3, val=2, size=SIZE, seed=5)
    assert not list(tmp_path.rglob("*.jpg"))
    generate(tmp_path, train=3, val=2, size=SIZE, seed=5)
    assert contents(tmp_path) == contents(demo)


def test_other_parameters_are_refused_by_name(demo: Path) -> None:
    message = r"holds a demo set with other parameters \(train 3, not 4; seed 5, not 1\); remove it"
    with pytest.raises(AdaprepError, match=message):
        generate(demo, train=4, val=2, size=SIZE, seed=1)


def test_foreign_data_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "road01_ins").mkdir()
    with pytest.raises(AdaprepError, match="holds a folder road01_ins that was not generated here"):
        generate(tmp_path, train=1, val=1, size=SIZE)
    assert [p.name for p in tmp_path.iterdir()] == ["road01_ins"]


@pytest.mark.parametrize("wrong", [{"train": 0}, {"val": 0}, {"size": (8, 200)}, {"seed": -1}])
def test_too_small_parameters_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(AdaprepError, match="a demo set needs a training and a validation image, 16 pixels"):
        generate(tmp_path, **{"train": 1, "val": 1, "size": SIZE, **wrong})  # type: ignore[arg-type]


def test_nothing_there_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(AdaprepError, match=r"demo\.json(.|\n)*Generate it with: adaprep demo --data-only"):
        Demo(tmp_path).frames("train")
    with pytest.raises(AdaprepError, match="demo has no split 'test'; it has: train, val"):
        Demo(tmp_path).frames("test")


VIEW = View(focal=40.0, column=30.0, row=20.0, x=0.0, height=1.5, bend=0.0, lane=3.4)
LIGHT = Light(
    (0.0, 1.0, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.2), 0.0, 0.0, 0.0, 1.0
)


def lamp(z: float, half: float, color: str) -> Mesh:
    """A shining upright square in front of the camera."""
    corners = [[s * half, 1.5 + t * half, z] for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return quads(corners, rgb(color), Material.LAMP)


def test_picture_and_objects_agree_at_every_pixel() -> None:
    red, green = lamp(6.1, 1.37, "#ff0000"), lamp(4.3, 0.53, "#00ff00")
    image, seen = render([red, green], VIEW, LIGHT, (40, 60))
    strongest = np.select([seen == 0, seen == 1], [0, 1], 2)
    np.testing.assert_array_equal(image.argmax(2), strongest)
    assert {int(v) for v in np.unique(seen)} == {NONE, 0, 1}


def test_nearer_things_hide_farther_ones_whatever_their_order() -> None:
    near, far = lamp(4.0, 0.5, "#ff0000"), lamp(8.0, 2.0, "#00ff00")
    _, seen = render([near, far], VIEW, LIGHT, (40, 60))
    _, turned = render([far, near], VIEW, LIGHT, (40, 60))
    np.testing.assert_array_equal(np.select([seen == 0, seen == 1], [1, 0], NONE), turned)
    assert seen[20, 30] == 0


def test_bands_do_not_show() -> None:
    tall = View(*VIEW[:2], 150.0, *VIEW[3:])
    image, seen = render([lamp(1.2, 4.0, "#ff0000")], tall, LIGHT, (300, 60))
    assert (seen[40:260, 10:50] == 0).all()
    assert (np.abs(np.diff(image[40:260, 30, 0].astype(int))) < 14).all()


@st.composite
def triangles(draw: st.DrawFn) -> NDArray[np.float64]:
    place = st.floats(-4, 16, allow_nan=False, width=32)
    count = draw(st.integers(1, 4))
    corners = [
        [[draw(place), draw(place), draw(st.floats(0.125, 2, width=32))] for _ in range(3)]
        for _ in range(count)
    ]
    return np.array(corners)


@given(corners=triangles())
@settings(max_examples=150, deadline=None)
def test_rasterise_agrees_with_a_test_of_every_sample(corners: NDArray[np.float64]) -> None:
    depth, index = np.zeros((11, 12), np.float32), np.full((11, 12), NONE, np.int32)
    rasterise(corners, depth, index, 0, 1.0)
    c, r = np.meshgrid(np.arange(12) + 0.5, np.arange(11) + 0.5)
    best, owner, doubtful = np.zeros((11, 12)), np.full((11, 12), NONE), np.zeros((11, 12), bool)
    for t, ((x0, y0, d0), (x1, y1, d1), (x2, y2, d2)) in enumerate(corners):
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 0.05:
            doubtful[:] = True
            continue
        b = ((c - x0) * (y2 - y0) - (x2 - x0) * (r - y0)) / area
        a = ((x1 - x0) * (r - y0) - (c - x0) * (y1 - y0)) / area
        least = np.minimum(np.minimum(a, b), 1 - a - b)
        value = d0 + b * (d1 - d0) + a * (d2 - d0)
        doubtful |= (np.abs(least) < 1e-3) | ((least > -1e-3) & (np.abs(value - best) < 1e-3))
        wins = (least > 0) & (value > best)
        best, owner = np.where(wins, value, best), np.where(wins, t, owner)
    np.testing.assert_array_equal(index[~doubtful], owner[~doubtful])


@given(
    center=st.tuples(*[st.floats(-5, 5, width=32)] * 3),
    size=st.tuples(*[st.floats(0.25, 4, width=32)] * 3),
)
@settings(max_examples=30, deadline=None)
def test_normals_point_outwards(center: tuple[float, float, float], size: tuple[float, float, float]) -> None:
    bar = [at(center, y=-size[1]), at(center, y=size[1])]
    for mesh in (
        box(center, size, "#ffffff"),
        ellipsoid(center, size, "#ffffff"),
        tube(bar, size[0], "#ffffff"),
    ):
        outward = mesh.corners.mean(1) - np.array(center, np.float32)
        middle = mesh.normals.mean(1)
        facing = (outward * middle).sum(1)
        assert (facing > -1e-4).all()
