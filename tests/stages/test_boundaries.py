"""The stages boundaries and solve-tensors: what is stored, resuming, and sameness of bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import registry
from pipeline.datasets.base import Dataset
from pipeline.errors import AdaprepError
from pipeline.geometry.crops import offsets
from pipeline.geometry.tensors import uniform
from pipeline.stages import boundaries, engine, tensors, verify
from pipeline.workspace import stores
from tests.conftest import tree

MakeBlobs = Callable[..., Path]
ONE = engine.Scheduler(threads=1)


def run_boundaries(
    space: Path,
    dataset: Dataset,
    split: str = "train",
    options: boundaries.BoundaryOptions | None = None,
    where: engine.Scheduler = ONE,
    limit: int | None = None,
    overwrite: bool = False,
    block_size: int | None = None,
) -> tuple[stores.SplitFolder, engine.Summary]:
    folder = stores.Workspace(space).folder(dataset.name, split)
    chosen = options or boundaries.BoundaryOptions()
    found, todo = boundaries.prepare(folder, dataset, split, chosen, overwrite, limit)
    return folder, boundaries.run(folder, found, todo, where, images_per_task=block_size)


def run_tensors(
    folder: stores.SplitFolder, options: tensors.TensorOptions | None = None, where: engine.Scheduler = ONE
) -> tuple[stores.Store, engine.Summary]:
    todo = tensors.plan(folder, options or tensors.TensorOptions())
    summary = tensors.run(folder, todo, where)
    return stores.open_store(todo.path), summary


def test_stores_hold_what_the_definitions_say(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    dataset = registry.load(str(make_blobs(train=7, size=(31, 58))))
    folder, summary = run_boundaries(tmp_path / "w", dataset)
    assert (summary.images, summary.failures) == (7, [])
    store = stores.open_store(folder.boundaries)
    assert store["b"].shape == (7, 5, 2, 8, 8)
    for i, frame in enumerate(dataset.frames("train")):
        train = dataset.classes.lut[np.asarray(Image.open(frame.label))]
        for k, (top, left) in enumerate(offsets(31, 58, 5)):
            crop = train[top : top + 31, left : left + 31]
            boundary = verify.plain_boundary(crop, dataset.classes.targets)
            assert store["has_boundary"][i, k] == boundary.any()
            counts = [int((boundary & (crop == t)).sum()) for t in dataset.classes.targets]
            assert store["pixels"][i, k].tolist() == counts
            if boundary.any():
                assert np.array_equal(store["b"][i, k], verify.plain_nearest(boundary, (8, 8)))
            else:
                assert np.isnan(store["b"][i, k]).all()


def test_tensors_minimise_the_energy_and_are_uniform_without_boundary(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(train=9)
    Image.new("L", (56, 40), 0).save(yaml.parent / "labels" / "train" / "0004.png")
    dataset = registry.load(str(yaml))
    folder, _ = run_boundaries(tmp_path / "w", dataset)
    store, summary = run_tensors(folder, tensors.TensorOptions(0.5))
    assert summary.images == 9
    phi, has, b = store["phi"][:], store["has_boundary"][:], store["b"][:]
    assert not has[4].any()
    assert (phi[~has] == uniform(8, 8).astype(np.float32)).all()
    slope = verify.gradient(phi[has].astype(float), b[has], 0.5)
    assert np.abs(slope).max() < 1e-6
    assert verify.constraint_problems(phi) == []


def test_default_crops_are_five_for_training_and_one_elsewhere(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    dataset = registry.load(str(make_blobs()))
    for split, crops in (("train", 5), ("val", 1)):
        folder, _ = run_boundaries(tmp_path / "w", dataset, split)
        assert stores.open_store(folder.boundaries)["b"].shape[1] == crops


@pytest.mark.parametrize("size", [(31, 58), (58, 31), (40, 40)])
def test_another_grid_and_crop_count_need_no_label_map(
    make_blobs: MakeBlobs, tmp_path: Path, size: tuple[int, int]
) -> None:
    yaml = make_blobs(train=6, size=size)
    dataset = registry.load(str(yaml))
    direct, _ = run_boundaries(tmp_path / "direct", dataset, options=boundaries.BoundaryOptions((5, 11), 3))
    folder, _ = run_boundaries(tmp_path / "w", dataset)
    for path in (yaml.parent / "labels").rglob("*.png"):
        path.unlink()
    again, _ = run_tensors(folder, tensors.TensorOptions(1.0, (5, 11), 3))
    expected, _ = run_tensors(direct)
    for name in ("phi", "b", "has_boundary", "data", "smoothness", "folded"):
        assert np.array_equal(again[name][:], expected[name][:], equal_nan=name == "b"), name


def test_a_second_run_does_nothing(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    dataset = registry.load(str(make_blobs()))
    folder, _ = run_boundaries(tmp_path / "w", dataset)
    run_tensors(folder)
    before = {p: p.stat().st_mtime_ns for p in folder.path.rglob("*.zarr/**/*") if p.is_file()}
    _, summary = run_boundaries(tmp_path / "w", dataset)
    assert (summary.images, summary.skipped) == (0, 6)
    _, summary = run_tensors(folder)
    assert (summary.images, summary.skipped) == (0, 6)
    assert before == {p: p.stat().st_mtime_ns for p in folder.path.rglob("*.zarr/**/*") if p.is_file()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (boundaries.BoundaryOptions((4, 4)), r"grid: \[8, 8\] in the store, \[4, 4\] asked for"),
        (boundaries.BoundaryOptions(crops=2), "crops: 5 in the store, 2 asked for"),
    ],
)
def test_changed_options_are_refused(
    make_blobs: MakeBlobs, tmp_path: Path, options: boundaries.BoundaryOptions, message: str
) -> None:
    dataset = registry.load(str(make_blobs()))
    run_boundaries(tmp_path / "w", dataset)
    with pytest.raises(AdaprepError, match=message):
        run_boundaries(tmp_path / "w", dataset, options=options)
    _, summary = run_boundaries(tmp_path / "w", dataset, options=options, overwrite=True)
    assert summary.images == 6


def test_changed_targets_are_refused(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = str(make_blobs())
    run_boundaries(tmp_path / "w", registry.load(yaml))
    with pytest.raises(
        AdaprepError, match=r'targets: \["blob", "stick"\] in the store, \["stick"\] asked for'
    ):
        run_boundaries(tmp_path / "w", registry.load(yaml, targets=["stick"]))


def test_a_changed_image_list_is_refused_and_a_longer_one_is_not(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(train=19)
    dataset = registry.load(str(yaml))
    folder, summary = run_boundaries(tmp_path / "w", dataset, limit=10)
    assert summary.images == 10
    folder, summary = run_boundaries(tmp_path / "w", dataset)
    assert stores.open_store(folder.boundaries).count == 19
    assert summary.images == 11  # the block that was cut short, and the new one
    _, summary = run_boundaries(tmp_path / "w", dataset, limit=3)
    assert (summary.images, summary.skipped) == (0, 19)
    (yaml.parent / "labels" / "train" / "0001.png").unlink()
    (yaml.parent / "images" / "train" / "0001.jpg").unlink()
    with pytest.raises(AdaprepError, match=r"inputs: 19 images in the store, 18 now; number 2 was .*0001"):
        run_boundaries(tmp_path / "w", dataset)


def test_a_failed_file_is_listed_and_tried_again(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=6)
    dataset = registry.load(str(yaml))
    clean, _ = run_boundaries(tmp_path / "clean", dataset)
    victim = yaml.parent / "labels" / "train" / "0002.png"
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 2])
    folder, summary = run_boundaries(tmp_path / "w", dataset)
    assert [(f.index, f.name) for f in summary.failures] == [(2, summary.failures[0].name)]
    assert "0002" in summary.failures[0].name
    assert "truncated" in summary.failures[0].reason
    assert stores.open_store(folder.boundaries).status().tolist() == [1, 1, 2, 1, 1, 1]
    store, solved = run_tensors(folder)
    assert store.status().tolist() == [1, 1, 2, 1, 1, 1]
    assert "1 image has no boundaries" in solved.notes[0]
    victim.write_bytes(content)
    folder, summary = run_boundaries(tmp_path / "w", dataset)
    assert summary.ok
    assert tree(folder.boundaries) == tree(clean.boundaries)
    store, solved = run_tensors(folder)
    assert (store.status() == stores.DONE).all()


def test_a_label_map_that_changed_is_done_again(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=10)
    dataset = registry.load(str(yaml))
    folder, _ = run_boundaries(tmp_path / "w", dataset)
    run_tensors(folder)
    labels = np.zeros((40, 56), np.uint8)
    labels[10:30, 20:40] = 1
    Image.fromarray(labels).save(yaml.parent / "labels" / "train" / "0009.png")
    todo = boundaries.prepare(folder, dataset, "train", boundaries.BoundaryOptions())[1]
    assert todo.todo == ((8, 10),)
    assert "1 changed on disk since and are done again" in todo.reasons
    run_boundaries(tmp_path / "w", dataset)
    store, summary = run_tensors(folder)
    assert summary.images == 2
    fresh, _ = run_boundaries(tmp_path / "fresh", dataset)
    expected, _ = run_tensors(fresh)
    assert tree(folder.boundaries) == tree(fresh.boundaries)
    assert np.array_equal(store["phi"][:], expected["phi"][:])


def test_a_larger_label_map_than_the_store_has_room_for_is_refused(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(train=4)
    dataset = registry.load(str(yaml))
    run_boundaries(tmp_path / "w", dataset)
    for kind in ("images", "labels"):
        suffix = "jpg" if kind == "images" else "png"
        mode = "RGB" if kind == "images" else "L"
        Image.new(mode, (200, 300), 1 if mode == "L" else 0).save(
            yaml.parent / kind / "train" / f"0009.{suffix}"
        )
    with pytest.raises(AdaprepError, match="size of packed per image"):
        run_boundaries(tmp_path / "w", dataset)


def test_tensors_wait_for_boundaries(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    dataset = registry.load(str(make_blobs(train=19)))
    folder = stores.Workspace(tmp_path / "w").folder(dataset.name, "train")
    with pytest.raises(AdaprepError, match="no boundaries to solve from. Run: adaprep boundaries --dataset"):
        tensors.plan(folder, tensors.TensorOptions())
    found, todo = boundaries.prepare(folder, dataset, "train", boundaries.BoundaryOptions())
    boundaries.run(folder, found, replace(todo, todo=todo.todo[:1]), ONE)
    store, summary = run_tensors(folder)
    assert summary.images == 8
    assert not summary.ok
    assert (
        "not finished (11 of 19 images missing): run: adaprep boundaries --dataset blobs" in summary.notes[0]
    )
    run_boundaries(tmp_path / "w", dataset)
    store, summary = run_tensors(folder)
    assert (summary.images, summary.ok) == (11, True)
    assert (store.status() == stores.DONE).all()


@pytest.mark.parametrize(
    "where", [engine.Scheduler(threads=2), engine.Scheduler(workers=2)], ids=["threads", "processes"]
)
def test_the_same_bytes_wherever_it_runs(
    make_blobs: MakeBlobs, tmp_path: Path, where: engine.Scheduler
) -> None:
    dataset = registry.load(str(make_blobs(train=20)))
    alone, _ = run_boundaries(tmp_path / "alone", dataset)
    run_tensors(alone)
    other, _ = run_boundaries(tmp_path / "other", dataset, where=where, block_size=9)
    run_tensors(other, where=where)
    assert tree(alone.path) == tree(other.path)


def test_a_running_cluster_gives_the_same_bytes(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    from distributed import LocalCluster

    dataset = registry.load(str(make_blobs(train=5)))
    alone, _ = run_boundaries(tmp_path / "alone", dataset)
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        where = engine.Scheduler(address=cluster.scheduler_address)
        other, _ = run_boundaries(tmp_path / "other", dataset, where=where)
    assert tree(alone.boundaries) == tree(other.boundaries)


def test_images_of_different_sizes_share_a_store(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=3, size=(20, 61))
    other = make_blobs(train=3, size=(47, 33), folder="more")
    for kind in ("images", "labels"):
        for path in (other.parent / kind / "train").iterdir():
            path.rename(yaml.parent / kind / "train" / f"tall-{path.name}")
    dataset = registry.load(str(yaml))
    folder, _ = run_boundaries(tmp_path / "w", dataset)
    run_tensors(folder)
    store = stores.open_store(folder.boundaries)
    assert sorted(map(tuple, store["size"][:].tolist())) == [(20, 61)] * 3 + [(47, 33)] * 3
    assert all(finding.ok for finding in verify.run(folder, None))


def test_verify_finds_what_was_tampered_with(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=6)
    dataset = registry.load(str(yaml))
    folder, _ = run_boundaries(tmp_path / "w", dataset)
    store, _ = run_tensors(folder)
    assert all(f.ok for f in verify.run(folder, None))
    phi = store["phi"][:4]
    phi[0, 0, 0, 3, 3] += 0.01
    phi[1, 0, 1, 2, 0] = 0.5
    store.arrays["phi"][:4] = phi
    bad = {f.what.split(": ")[-1]: f for f in verify.run(folder, None) if not f.ok}
    assert "phi1 = 0 on the first column does not hold" in bad["constraints (3) and range hold"].problems[0]
    assert any(
        p.startswith("images 0 to 6: gradient")
        for p in bad["phi minimises energy (2) (gradient within rounding)"].problems
    )
    kept = stores.open_store(folder.boundaries)
    b = kept["b"][:4]
    b[2] = np.where(np.isnan(b[2]), 0.25, b[2] * 0.9)
    kept.arrays["b"][:4] = b
    bad = {f.what: f for f in verify.run(folder, None) if not f.ok}
    assert any(
        "0002" in p
        for p in bad["maps, b, flags and counts recomputed from the label files are the same"].problems
    )
    Image.new("L", (56, 40), 7).save(yaml.parent / "labels" / "train" / "0003.png")
    bad = {f.what: f for f in verify.run(folder, None) if not f.ok}
    assert (
        "0003.png has changed; run: adaprep boundaries --dataset"
        in bad["label files are unchanged (size and hash)"].problems[0]
    )


def spoil(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "missing":
        file.unlink()
    elif how == "empty":
        file.write_bytes(b"")
    else:
        middle = len(content) // 2
        content[middle - 4 : middle + 4] = bytes(255 - value for value in content[middle - 4 : middle + 4])
        file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "how"),
    [("packed", "missing"), ("b", "empty"), ("b", "changed"), ("status", "empty"), ("pixels", "changed")],
)
def test_damaged_chunks_are_found_named_and_made_again(
    make_blobs: MakeBlobs, tmp_path: Path, name: str, how: str
) -> None:
    dataset = registry.load(str(make_blobs(train=20)))
    folder, _ = run_boundaries(tmp_path / "w", dataset)
    run_tensors(folder)
    before = tree(folder.path)
    file = next(f for f in stores.open_store(folder.boundaries).files(8, 16) if f"/{name}/" in str(f))
    spoil(file, how)
    bad = [f for f in verify.run(folder, None) if not f.ok]
    assert [f.what for f in bad] == ["boundaries: chunks are sound"]
    assert (
        bad[0]
        .problems[0]
        .startswith(
            f"1 block is damaged; run: adaprep verify --repair --workspace {tmp_path / 'w'}   and then: "
        )
    )
    assert bad[0].problems[1].startswith("images 8 to 16: ")
    if how != "changed":
        assert not verify.run(folder)[0].ok, "what is empty or missing is found without reading it"
    if how == "changed" or name == "status":
        with pytest.raises(AdaprepError, match=rf"boundaries.zarr/{name} is damaged.*verify --repair"):
            stores.open_store(folder.boundaries)[name][8:16]
    repaired = verify.run(folder, repair=True)
    assert (
        "1 block is damaged; they are marked as not done; run: adaprep boundaries" in repaired[0].problems[0]
    )
    run_boundaries(tmp_path / "w", dataset)
    run_tensors(folder)
    assert all(f.ok for f in verify.run(folder, None, repair=True))
    assert tree(folder.path) == before
