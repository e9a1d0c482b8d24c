"""The generated street scenes: files, labels, and the painter that marks both with the same shapes."""

from __future__ import annotations

import hashlib
import itertools
import math
import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets import demo as drawing
from pipeline.datasets.apolloscape import ApolloScape
from pipeline.datasets.base import UNKNOWN
from pipeline.datasets.demo import Demo, generate
from pipeline.datasets.scenes import FACES, LINES, OWN, PLAIN, THINGS, VEHICLES, Scene, Street, scene
from pipeline.datasets.scenes.canvas import Canvas, Color, Numbers, corners
from pipeline.errors import AdaprepError

SIZE = (160, 200)
DIGESTS = ["d5eaa8d14fa34ae9", "dd2409d9c011d8d8"]
"""Of the label maps of the first scenes, 271 x 338."""


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


def test_every_target_class_occurs(scenes: list[Scene]) -> None:
    seen = np.unique(np.concatenate([Demo.table.lut[drawn.labels].ravel() for drawn in scenes]))
    assert set(Demo.table.targets) <= set(seen.tolist())


def test_every_class_that_is_learnt_occurs(scenes: list[Scene]) -> None:
    seen = np.unique(np.concatenate([Demo.table.lut[drawn.labels].ravel() for drawn in scenes]))
    assert set(range(22)) <= set(seen.tolist())


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


def test_several_processes_draw_the_same_bytes(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "LITTLE", 1)
    told: list[tuple[int, int]] = []
    generate(tmp_path, train=3, val=2, size=SIZE, seed=5, progress=lambda *of: told.append(of), processes=2)
    assert told == [(done, 5) for done in range(1, 6)]
    assert contents(tmp_path) == contents(demo)


@pytest.mark.slow
def test_a_killed_process_is_said_and_what_is_drawn_is_kept(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "LITTLE", 1)

    def kill(done: int, total: int) -> None:
        for process in multiprocessing.active_children():
            process.kill()

    with pytest.raises(AdaprepError, match="was killed, most likely for want of memory. What is drawn"):
        generate(tmp_path, train=20, val=2, size=SIZE, seed=5, progress=kill, processes=2)
    kept = times(tmp_path)
    assert any(path.suffix == ".jpg" for path in kept)
    generate(tmp_path, train=20, val=2, size=SIZE, seed=5)
    whole = {path for path in kept if path.suffix == ".jpg"}
    assert {path: times(tmp_path)[path] for path in whole} == {path: kept[path] for path in whole}


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


def test_label_maps_are_the_same_bytes_on_every_machine(scenes: list[Scene]) -> None:
    digests = [hashlib.sha256(drawn.labels.tobytes()).hexdigest()[:16] for drawn in scenes[:2]]
    assert digests == DIGESTS


def test_no_two_objects_share_an_instance(scenes: list[Scene]) -> None:
    """A number of the instance map is one object that was painted, so that each class counts from nought."""
    street = Street(0, 3, (271, 338))
    street.all(3)
    ids = {c.name: c.id for c in Demo.table.classes}
    for name in ("car", "person", "rider"):
        objects = [i for i, label in enumerate(street.labels) if label == name]
        seen = [i for i in objects if (np.asarray(street.objects) == i).any()]
        numbers = np.unique(scenes[3].instances[scenes[3].labels == ids[name]])
        np.testing.assert_array_equal(numbers, [ids[name] * 1000 + objects.index(i) for i in seen])


def test_the_size_of_the_picture_does_not_change_what_is_on_it(scenes: list[Scene]) -> None:
    larger = scene(0, 0, (542, 676))
    same = larger.labels[::2, ::2] == scenes[0].labels
    assert same.mean() > 0.97


class Numbered(Street):
    """A street whose picture shows the number of each object in place of its colours."""

    def fill(self, dots: Sequence[Numbers], color: Color, shade: float = 1.0, mark: bool = True) -> None:
        if mark:
            number = len(self.labels) - 1
            self.haze, self.white = math.inf, (255, 255, 255)
            super().fill(dots, (number % 256, number // 256, 0))


def within_a_pixel(values: NDArray[np.int32], picture: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether each value is in the picture, at twice the size, there or one pixel off."""
    height, width = values.shape
    padded = np.pad(picture, 2, mode="edge")
    found = np.zeros(values.shape, bool)
    for row, column in itertools.product(range(6), range(6)):
        found |= padded[row : row + 2 * height : 2, column : column + 2 * width : 2] == values
    return found


@pytest.mark.parametrize("index", range(3))
def test_picture_and_annotation_agree_to_within_a_pixel(index: int) -> None:
    street = Numbered(0, index, (271, 338))
    street.image.paste((0, 0, 0), (0, 0, 676, 542))
    street.all(index)
    colors = np.asarray(street.image).astype(np.int32)
    picture, seen = colors[..., 0] + 256 * colors[..., 1], np.asarray(street.objects)
    assert (~within_a_pixel(seen, picture)).mean() < 1e-4
    blocks = picture.reshape(271, 2, 338, 2) == seen[:, None, :, None]
    assert blocks.any((1, 3)).mean() > 0.998
    assert blocks.mean() > 0.97


def plain(size: tuple[int, int] = (90, 120)) -> Canvas:
    """A canvas without haze, in white light, and with nothing on it."""
    canvas = Canvas(0, 0, size)
    canvas.haze, canvas.white = math.inf, (255, 255, 255)
    canvas.image.paste((0, 0, 0), (0, 0, 2 * size[1], 2 * size[0]))
    return canvas


@given(left=st.floats(5, 60), top=st.floats(5, 40), width=st.floats(0.01, 55), height=st.floats(0.01, 45))
@settings(max_examples=50, deadline=None)
def test_a_shape_covers_the_same_pixels_of_picture_and_annotation(
    left: float, top: float, width: float, height: float
) -> None:
    canvas = plain()
    canvas.thing("car", 0)
    canvas.fill(corners(left, top, left + width, top + height), (255, 0, 0))
    share = np.asarray(canvas.image.reduce(2))[..., 0] / 255
    seen = np.asarray(canvas.objects) == 1
    assert (share[~seen] == 0).all()
    assert (share[seen] > 0).all()
    rows, columns = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
    assert (share[rows[1:-1]][:, columns[1:-1]] == 1).all()


def test_marks_on_an_object_change_the_picture_alone() -> None:
    canvas = plain()
    canvas.thing("bus", 0)
    quad = [(-2.0, 0.5, 5.0), (2.0, 0.5, 5.0), (2.0, 2.5, 5.0), (-2.0, 2.5, 5.0)]
    canvas.paint(quad, (255, 0, 0))
    before = np.asarray(canvas.objects).copy()
    canvas.patch(quad, (0.25, 0.25, 0.75, 0.75), (0, 0, 255))
    np.testing.assert_array_equal(np.asarray(canvas.objects), before)
    assert (np.asarray(canvas.image) == (0, 0, 255)).all(2).any()


def test_nearer_things_hide_farther_ones() -> None:
    street = Street(1, 0, (271, 338))
    street.all(0)
    near = [place.z for _, place in sorted(street.things, key=lambda thing: -thing[1].z)]
    assert near == sorted(near, reverse=True)
    assert street.labels[-1] == "rover"
    assert (np.asarray(street.objects)[-1, 100:240] == len(street.labels) - 1).all()


def test_every_word_of_the_tables_means_something() -> None:
    letters = set(PLAIN) | set(OWN)
    classes = {c.name for c in Demo.table.classes}
    for rows in THINGS.values():
        assert all(len(numbers) in (4, 5, 8) and word in letters for numbers, word in rows if numbers)
        assert all(
            word in THINGS or word.replace("_", " ") in classes for numbers, word in rows if not numbers
        )
    for *profile, (window, _), rest in VEHICLES.values():
        assert all(len(point) == 2 and face in FACES for point, face in profile)
        assert len(window) == 9
        assert len(rest[0]) >= 4
    for rows in LINES.values():
        names = {name.replace("_", " ") for _, names in rows for name in names.split("/")}
        assert names <= set(THINGS) | classes | {"tree"}
