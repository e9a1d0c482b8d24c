"""Label maps that change, files that bring about the unforeseen, names of every kind, sizes beyond reason."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets import registry
from pipeline.datasets.base import Dataset, Frame
from pipeline.errors import AdaprepError
from pipeline.samplers.proposal import Proposals
from pipeline.stages import boundaries, engine, outputs, samples, sources, tensors, verify
from pipeline.stages import inputs as listing
from pipeline.workspace import stores
from tests.conftest import tree

MakeBlobs = Callable[..., Path]
ONE = engine.Scheduler(threads=1)


def prepare(space: Path, yaml: Path) -> tuple[stores.SplitFolder, listing.Inputs, boundaries.Plan]:
    dataset = registry.load(str(yaml))
    folder = stores.Workspace(space).folder(dataset.name, "train")
    return folder, *boundaries.prepare(folder, dataset, "train", boundaries.BoundaryOptions())


def run_all(space: Path, yaml: Path) -> tuple[stores.SplitFolder, engine.Summary]:
    """Boundaries, tensors and samples; the summary is that of the boundaries."""
    folder, found, todo = prepare(space, yaml)
    summary = boundaries.run(folder, found, todo, ONE)
    tensors.run(folder, tensors.plan(folder, tensors.TensorOptions()), ONE)
    wanted: list[outputs.Output] = [outputs.Sampled(16, Proposals())]
    samples.run(folder, found, wanted, samples.plan(folder, wanted), ONE)
    return folder, summary


def label(yaml: Path, number: int) -> Path:
    return yaml.parent / "labels" / "train" / f"{number:04}.png"


def as_bitmaps(yaml: Path) -> None:
    """Label maps whose size in bytes does not tell their content."""
    for path in sorted((yaml.parent / "labels").rglob("*.png")):
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()


def rewrite(path: Path) -> None:
    """Other content of the same size, under the time that the file had before."""
    before = path.stat()
    content = np.asarray(Image.open(path))
    Image.fromarray(np.roll(np.ascontiguousarray(content[::-1]), 3, axis=0)).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_label_map_changed_under_its_old_time_is_done_again(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=10)
    as_bitmaps(yaml)
    run_all(tmp_path / "w", yaml)
    path = label(yaml, 9).with_suffix(".bmp")
    rewrite(path)
    os.utime(path, (0, 0))
    _, _, todo = prepare(tmp_path / "w", yaml)
    assert todo.todo == ((8, 10),)
    assert "1 changed on disk since and are done again" in todo.reasons
    folder, _ = run_all(tmp_path / "w", yaml)
    fresh, _ = run_all(tmp_path / "fresh", yaml)
    assert tree(folder.path) == tree(fresh.path)
    assert all(f.ok for f in verify.run(folder, None))


def test_unchanged_label_maps_are_not_read_again(
    make_blobs: MakeBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "FINE", -(10**9))  # what was made just now is as what has lain for long
    monkeypatch.setattr(sources, "COARSE", -(10**9))
    yaml = make_blobs(train=20)
    folder, found, todo = prepare(tmp_path / "w", yaml)
    boundaries.run(folder, found, todo, ONE)
    read: list[Path] = []
    source_of = sources.source_of

    def note(dataset: Dataset, frame: Frame) -> NDArray[np.uint64]:
        read.append(frame.label)
        return source_of(dataset, frame)

    monkeypatch.setattr(sources, "source_of", note)
    prepare(tmp_path / "w", yaml)
    assert read == []
    os.utime(label(yaml, 3))
    prepare(tmp_path / "w", yaml)
    assert [p.name for p in read] == ["0003.png"]
    folder.stamps.unlink()
    assert prepare(tmp_path / "w", yaml)[2].todo == ()
    assert len(read) == 21


def test_a_copy_of_the_workspace_and_the_data_goes_on_from_the_fingerprints(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(train=10)
    run_all(tmp_path / "w", yaml)
    shutil.copytree(tmp_path / "w", tmp_path / "elsewhere")
    shutil.copytree(yaml.parent, tmp_path / "moved")
    rewrite_one = tmp_path / "moved" / "labels" / "train" / "0001.png"
    Image.new("L", (56, 40), 1).save(rewrite_one)
    _, _, todo = prepare(tmp_path / "elsewhere", tmp_path / "moved" / "blobs.yaml")
    assert todo.todo == ((0, 8),)


def test_what_was_just_written_is_not_trusted_by_its_stamp(tmp_path: Path) -> None:
    path = tmp_path / "label.png"
    path.write_bytes(b"1")
    assert sources.stamp(path) is None
    assert not sources.with_source(sources.stamp(path), [path], np.ones(2, np.uint64)).any()


def test_a_label_map_rewritten_while_it_is_read_has_no_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "FINE", -(10**9))
    monkeypatch.setattr(sources, "COARSE", -(10**9))
    path = tmp_path / "label.png"
    path.write_bytes(b"1")
    before = sources.stamp(path)
    assert sources.with_source(before, [path], np.ones(2, np.uint64)).all()
    other = tmp_path / "other"
    other.write_bytes(b"2")
    os.replace(other, path)
    assert not sources.with_source(before, [path], np.ones(2, np.uint64)).any()


def test_what_verify_advises_of_a_changed_label_map_works_even_where_stamps_lie(
    make_blobs: MakeBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = make_blobs(train=10)
    as_bitmaps(yaml)
    folder, _ = run_all(tmp_path / "w", yaml)
    rewrite(label(yaml, 8).with_suffix(".bmp"))
    monkeypatch.setattr(sources, "changed", lambda store, _, frames, *__: (np.zeros(len(frames), bool), []))
    assert prepare(tmp_path / "w", yaml)[2].todo == ()
    repaired = verify.run(folder, 1, repair=True)
    changed = next(f for f in repaired if f.what.startswith("label files are unchanged"))
    assert "0008.bmp has changed; run: adaprep boundaries --dataset" in changed.problems[0]
    assert "they are marked as not done; run: adaprep boundaries --dataset" in changed.problems[1]
    run_all(tmp_path / "w", yaml)
    assert all(f.ok for f in verify.run(folder, None))


def swap(store: Path, array: str) -> None:
    """Put the second shard of an array in place of the first: sound, and wrong."""
    first, second = sorted(p for p in (store / array).glob("c.*"))[:2]
    shutil.copy(second, first)


@pytest.mark.parametrize(
    ("name", "everything"),
    [
        ("image", True),
        *(
            pytest.param(name, everything, marks=pytest.mark.slow)
            for name in ("packed", "phi", "image", "label")
            for everything in (True, False)
        ),
    ],
)
def test_a_sound_chunk_of_another_block_is_found_and_made_again(
    make_blobs: MakeBlobs, tmp_path: Path, name: str, everything: bool
) -> None:
    yaml = make_blobs(train=10)
    folder, _ = run_all(tmp_path / "w", yaml)
    before = tree(folder.path)
    places = {"packed": folder.boundaries, "phi": folder.tensors((8, 8), 1.0)}
    swap(places.get(name, folder.sample_stores()[0]), name)
    bad = [f for f in verify.run(folder, None if everything else 1) if not f.ok]
    digests = next(f for f in bad if f.what.endswith("blocks are what was written (digests)"))
    assert digests.problems[0].startswith("1 block is damaged; run: adaprep verify --repair --workspace ")
    assert digests.problems[1] == "images 0 to 8: it holds something else than was written"
    verify.run(folder, repair=True)
    run_all(tmp_path / "w", yaml)
    assert all(f.ok for f in verify.run(folder, None))
    assert tree(folder.path) == before


def test_wrong_content_in_stores_without_digests_is_made_again_where_it_is_found(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    from tests.workspace.test_stores import without_digests

    yaml = make_blobs(train=10)
    folder, _ = run_all(tmp_path / "w", yaml)
    for path in (folder.boundaries, *folder.tensor_stores(), *folder.sample_stores()):
        without_digests(path)
    before = tree(folder.path)
    findings = verify.run(folder, None)
    assert all(f.ok for f in findings)
    assert "boundaries: no digests: made by an older version" in [f.what for f in findings]
    swap(folder.boundaries, "b")
    swap(folder.tensors((8, 8), 1.0), "phi")
    assert not all(f.ok for f in verify.run(folder, None, repair=True))
    run_all(tmp_path / "w", yaml)
    assert all(f.ok for f in verify.run(folder, None))
    assert tree(folder.path) == before


def test_samples_are_not_made_from_tensors_of_label_maps_that_changed(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(train=10)
    run_all(tmp_path / "w", yaml)
    Image.new("L", (56, 40), 7).save(label(yaml, 3))
    folder, found, todo = prepare(tmp_path / "w", yaml)
    boundaries.run(folder, found, todo, ONE)
    with pytest.raises(AdaprepError, match=r"have changed since. Run: adaprep solve-tensors --grid "):
        samples.plan(folder, [outputs.Sampled(16, Proposals())])


@pytest.mark.parametrize("error", [MemoryError(), ValueError("odd"), KeyError("k")])
def test_whatever_one_file_brings_about_costs_no_other(
    make_blobs: MakeBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    yaml = make_blobs(train=10)

    def fail(method: Callable[..., object], number: str) -> Callable[..., object]:
        def call(self: Dataset, *about: Any) -> object:
            if number in about[-1].name:
                raise error
            return method(self, *about)

        return call

    kind = type(registry.load(str(yaml)))
    for way in ("decode_labels", "label_strips"):
        monkeypatch.setattr(kind, way, fail(getattr(kind, way), "0004"))
    monkeypatch.setattr(kind, "label_size", fail(kind.label_size, "0004"))
    monkeypatch.setattr(kind, "read_image", fail(kind.read_image, "0006"))
    folder, summary = run_all(tmp_path / "w", yaml)
    assert [f.index for f in summary.failures] == [4]
    assert "0004.png: " in summary.failures[0].reason
    assert (summary.failures[0].reason.count("memory ran out") == 1) == isinstance(error, MemoryError)
    status = stores.open_store(folder.sample_stores()[0]).status()
    assert np.flatnonzero(status != stores.DONE).tolist() == [4, 6]


ODD_NAMES = [
    "tab\there",
    "line\nfeed",
    "return\rhere",
    "next\u0085line",
    "separator\u2028here",
    "vertical\x0btab",
    "file\x1cseparator",
    "bytes\udce9\udcff",
    "back\\x09slash",
    "escape\x1b[31m\u202e",
]


def test_names_of_every_kind_go_all_the_way(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=12)
    for number, name in enumerate(ODD_NAMES):
        for kind, suffix in (("images", "jpg"), ("labels", "png")):
            path = yaml.parent / kind / "train" / f"{number:04}.{suffix}"
            os.rename(path, os.fsencode(path.parent) + b"/" + os.fsencode(f"{name}.{suffix}"))
    folder, summary = run_all(tmp_path / "w", yaml)
    assert summary.failures == []
    found = listing.load(folder)
    assert sorted(f.label for f in found.frames) == sorted((yaml.parent / "labels" / "train").iterdir())
    assert prepare(tmp_path / "w", yaml)[2].todo == ()
    assert all(f.ok for f in verify.run(folder, None))


def test_one_size_beyond_reason_costs_its_file_alone(
    make_blobs: MakeBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = make_blobs(train=8)
    kind = type(registry.load(str(yaml)))
    honest = kind.label_size
    claims = {"0002": (2**31, 2**31), "0003": (60_000, 60_000), "0005": (2**31 - 1, 3), "0007": (-1, 5)}

    def size(self: Dataset, frame: Frame) -> tuple[int, int]:
        return next((s for number, s in claims.items() if number in frame.name), honest(self, frame))

    monkeypatch.setattr(kind, "label_size", size)
    monkeypatch.setattr(listing, "_proven_size", lambda dataset, frame: size(dataset, frame))
    folder, summary = run_all(tmp_path / "w", yaml)
    assert stores.open_store(folder.boundaries)["packed"].shape == (8, 2, 40, 7)
    assert [f.index for f in summary.failures] == [3, 5]
    assert "0003.png: 60000 x 60000 pixels, far more than the 56 x 40 that the rest" in str(
        summary.failures[0].reason
    )
    assert prepare(tmp_path / "w", yaml)[2].todo == ((0, 8),), "what failed is tried again"
    monkeypatch.undo()
    _, summary = run_all(tmp_path / "w", yaml)
    assert summary.failures == []


def test_a_large_map_that_cannot_be_read_costs_its_file_alone(
    make_blobs: MakeBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = make_blobs(train=8)
    kind = type(registry.load(str(yaml)))
    honest = kind.label_size

    def size(self: Dataset, frame: Frame) -> tuple[int, int]:
        return (9000, 9000) if "0003" in frame.name else honest(self, frame)

    def breaking(read: Callable[..., object]) -> Callable[..., object]:
        def decode(self: Dataset, data: bytes, frame: Frame) -> object:
            if "0003" in frame.name:
                raise MemoryError
            return read(self, data, frame)

        return decode

    monkeypatch.setattr(kind, "label_size", size)
    for way in ("decode_labels", "label_strips"):
        monkeypatch.setattr(kind, way, breaking(getattr(kind, way)))
    folder, summary = run_all(tmp_path / "w", yaml)
    assert [f.index for f in summary.failures] == [3]
    assert "memory ran out" in summary.failures[0].reason
    assert stores.open_store(folder.boundaries)["packed"].shape == (8, 2, 40, 7)


def test_sizes_that_differ_within_reason_share_a_store(make_blobs: MakeBlobs) -> None:
    dataset = registry.load(str(make_blobs(train=3)))
    sizes = np.array([[40, 56], [4000, 6000], [30_000, 30_000]], np.int32)
    found = listing.Inputs(dataset, "train", tuple(dataset.frames("train")), sizes)
    assert found.oversized.tolist() == [False, False, True]
    same = listing.Inputs(dataset, "train", found.frames, np.full((3, 2), 30_000, np.int32))
    assert same.largest == (30_000, 30_000)
    absurd = listing.Inputs(dataset, "train", found.frames, np.full((3, 2), 2**31 - 1, np.int32))
    with pytest.raises(AdaprepError, match=r"not one of the 3 label maps can be read.*claims more pixels"):
        absurd.largest  # noqa: B018


def test_an_overwrite_that_was_killed_does_not_mix_lists(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml = make_blobs(train=10)
    folder, found, todo = prepare(tmp_path / "w", yaml)
    boundaries.run(folder, found, todo, ONE)
    for kind, suffix in (("images", "jpg"), ("labels", "png")):
        (yaml.parent / kind / "train" / f"0000.{suffix}").rename(
            yaml.parent / kind / "train" / f"0099.{suffix}"
        )
    dataset = registry.load(str(yaml))
    listing.list_inputs(dataset, "train").save(folder)  # and killed before the store was replaced
    with pytest.raises(AdaprepError, match=r"inputs: .*are not the 10 in the store(.|\n)*--overwrite"):
        prepare(tmp_path / "w", yaml)
    again, todo = boundaries.prepare(folder, dataset, "train", boundaries.BoundaryOptions(), overwrite=True)
    boundaries.run(folder, again, todo, ONE)
    assert all(f.ok for f in verify.run(folder, None))


def test_a_lost_list_is_made_again_of_a_store_that_holds_the_first_images_only(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(train=20)
    dataset = registry.load(str(yaml))
    folder = stores.Workspace(tmp_path / "w").folder(dataset.name, "train")
    for limit in (12, 5, 16):
        found, todo = boundaries.prepare(folder, dataset, "train", boundaries.BoundaryOptions(), limit=limit)
        boundaries.run(folder, found, todo, ONE)
        folder.inputs.unlink()
        shutil.rmtree(folder.spare)
    found, todo = boundaries.prepare(folder, dataset, "train", boundaries.BoundaryOptions(), limit=3)
    assert (len(found), todo.todo, todo.action) == (16, (), "resume")
