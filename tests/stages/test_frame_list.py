"""Lists of frames that stay in files: the same frames, however they are asked for, and little memory."""

from __future__ import annotations

import pickle
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets import pairs, registry
from pipeline.datasets.base import ClassTable, Dataset, Frame, LabelClass, Row
from pipeline.datasets.ordering import ordered
from pipeline.errors import AdaprepError
from pipeline.stages import boundaries, engine, frame_list, sources
from pipeline.stages import inputs as listing
from pipeline.stages.frame_list import STRIDE, FrameList
from pipeline.stages.input_list import formatted, parse_list
from pipeline.workspace import disk
from pipeline.workspace.stores import SplitFolder, Workspace

MakeBlobs = Callable[..., Path]
ROOT = Path("/data/of a kind")
NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=()), min_size=1, max_size=5)
TABLE = ClassTable((LabelClass(0, "road", 0), LabelClass(1, "car", 1, target=True)))


class Many(Dataset):
    """As many frames as one likes, of which no file exists."""

    name, title, archives, splits, table = "many", "Many", "", ("train",), TABLE

    def __init__(self, count: int) -> None:
        super().__init__(ROOT)
        self.count, self.listings = count, 0

    def frames(self, split: str) -> list[Frame]:
        return list(frame_list.listed(self, split))

    def rows(self, split: str) -> Iterator[Row]:
        self.listings += 1
        for i in range(self.count):
            yield Row(f"{i:08}", f"images/{i:08}.jpg", f"labels/{i:08}.png", "")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lists")


def frames_of(names: list[str]) -> list[Frame]:
    return [
        Frame(name, ROOT / "i" / name, ROOT / "l" / name if i % 3 else Path("/elsewhere") / name, None)
        for i, name in enumerate(names)
    ]


@settings(max_examples=30)
@given(st.lists(NAMES, max_size=8), st.integers(1, 30))
def test_frames_are_the_same_by_number_by_part_in_turn_and_in_another_process(
    names: list[str], times: int
) -> None:
    frames = frames_of(names * times)
    found = frame_list.of_frames(frames, ROOT)
    assert list(found) == frames
    assert len(found) == len(frames)
    assert found.names() == [frame.name for frame in frames]
    places = range(len(frames))
    assert all(found[i] == frames[i] == found[i - len(frames)] for i in places[:: max(len(places) // 9, 1)])
    for part in (slice(3, 70), slice(None, -2), slice(STRIDE, None), slice(5, 2)):
        assert list(found[part]) == frames[part] == list(pickle.loads(pickle.dumps(found[part])))
    with pytest.raises(IndexError):
        found[len(frames)]


@settings(max_examples=30)
@given(st.lists(NAMES, min_size=1, max_size=8), st.integers(1, 30))
def test_a_list_that_is_saved_is_read_as_it_was_and_travels_as_a_place_in_its_file(
    scratch: Path, names: list[str], times: int
) -> None:
    path = scratch / "inputs.tsv"
    frames = frames_of(names * times)
    found = frame_list.of_frames(frames, ROOT)
    sizes = np.arange(2 * len(frames), dtype=np.int32).reshape(-1, 2)
    disk.write_lines(path, formatted(found.lines(), sizes))
    kept, read = frame_list.opened(path, ROOT)
    assert (read == sizes).all()
    assert list(kept) == frames
    assert list(kept.lines()) == list(found.lines())
    assert parse_list(path.read_bytes())[0] == [tuple(row) for row in found.rows()]
    part = kept[len(frames) // 3 : len(frames)]
    sent = pickle.dumps(part)
    assert len(sent) < 400 + len(str(path))
    assert list(pickle.loads(sent)) == frames[len(frames) // 3 :]


def test_a_task_reads_its_lines_when_it_needs_them_and_refuses_those_of_another_list(scratch: Path) -> None:
    path = scratch / "moved" / "inputs.tsv"
    path.parent.mkdir()
    found = frame_list.of_frames(frames_of([f"{i:03}" for i in range(200)]), ROOT)
    sizes = np.ones((200, 2), np.int32)
    disk.write_lines(path, formatted(found.lines(), sizes))
    kept, _ = frame_list.opened(path, ROOT)
    sent = pickle.dumps(kept[70:140])
    again = pickle.dumps(pickle.loads(sent)[10:20])
    disk.write_lines(path, formatted(frame_list.of_frames(list(found)[::-1], ROOT).lines(), sizes))
    part = pickle.loads(sent)
    assert len(part) == 70  # nothing is read until then
    with pytest.raises(OSError, match="is not the list that this run has"):
        list(part)
    disk.write_lines(path, formatted(found.lines(), sizes))
    assert list(part) == list(found[70:140])
    assert list(pickle.loads(again)) == list(found[80:90])
    carried = pickle.dumps(kept[70:140].carried())
    path.unlink()
    with pytest.raises(FileNotFoundError):
        list(pickle.loads(sent))
    assert list(pickle.loads(carried)) == list(found[70:140])


def peak(count: int, folder: SplitFolder) -> int:
    """Bytes at most, while a list is made, saved and compared."""
    tracemalloc.start()
    try:
        found = listing.Inputs(
            Many(count), "train", frame_list.listed(Many(count), "train"), np.full((count, 2), 9, np.int32)
        )
        found.save(folder)
        known = listing.Inputs(found.dataset, "train", *frame_list.opened(folder.inputs, ROOT))
        again = listing.list_inputs(Many(count), "train", known=known)
        assert again.is_saved(folder)
        assert again.attributes == found.attributes
        assert listing.prefix_difference(known, again) is None
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_one_image_more_takes_a_few_numbers_not_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_list, "IN_MEMORY", 1)
    folder = Workspace(tmp_path).folder("many", "train")
    few, many = 6_000, 18_000
    assert peak(many, folder) - peak(few, folder) < 100 * (many - few)  # bytes; a frame takes a thousand


@given(st.lists(st.text(max_size=4)), st.integers(1, 5))
def test_names_that_do_not_fit_in_memory_are_sorted_all_the_same(names: list[str], run: int) -> None:
    assert list(ordered(names, run)) == sorted(names)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(("i", "l", "m"))), unique=True),
    st.sampled_from(("", "_L")),
)
def test_files_are_paired_as_by_looking_each_of_them_up(
    scratch: Path, files: list[tuple[str, str]], suffix: str
) -> None:
    root = Path(tempfile.mkdtemp(dir=scratch))
    ends = {"i": ".jpg", "l": f"{suffix}.png", "m": ".tif"}
    for key, kind in files:
        (root / kind / "x").mkdir(parents=True, exist_ok=True)
        (root / kind / "x" / f"{key}{ends[kind]}").touch()
    found = pairs.pair_folders(root / "i", root / "l", root / "m", label_suffix=suffix)
    assert [frame.name for frame in found] == sorted({f"x/{key}" for key, kind in files if kind != "m"})
    for frame in found:
        for path, kind in ((frame.image, "i"), (frame.label, "l"), (frame.instance, "m")):
            assert path is not None
            if (frame.name[2:], kind) in files:
                assert path == root / kind / f"{frame.name}{ends[kind]}"
            else:
                assert not path.exists()


def test_label_maps_beside_their_images_are_no_images_of_the_same_name(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.jpg"):
        (tmp_path / name).touch()
    found = pairs.pair_folders(tmp_path, tmp_path, label_suffix=".png")
    assert [(f.image.name, f.label.name) for f in found] == [("a.jpg", "a.png"), ("b.jpg", "b.png")]
    with pytest.raises(AdaprepError, match=r"two files of the same name in .*: a.jpg and a.png"):
        pairs.pair_folders(tmp_path, tmp_path / "absent")


def test_a_split_is_listed_once_and_its_list_read_by_tasks_from_the_workspace(
    make_blobs: MakeBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = registry.load(str(make_blobs(train=20)))
    calls: list[str] = []
    rows = type(dataset).rows

    def note(self: Dataset, split: str) -> Iterator[Row]:
        calls.append(split)
        return rows(self, split)

    monkeypatch.setattr(type(dataset), "rows", note)
    folder = Workspace(tmp_path / "w").folder("blobs", "train")
    for split, frames in listing.listed_splits(dataset, ()).items():
        if split == "train":
            found, todo = boundaries.prepare(
                folder, dataset, split, boundaries.BoundaryOptions(), frames=frames
            )
    assert calls.count("train") == 1
    assert boundaries.run(folder, found, todo, engine.Scheduler(threads=1)).ok
    assert calls.count("train") == 1
    kept = found.kept_in(folder).frames
    assert isinstance(kept, FrameList)
    assert list(kept) == list(found.frames) == dataset.frames("train")


def test_stamps_are_written_in_parts_and_never_through_a_link(tmp_path: Path) -> None:
    folder = Workspace(tmp_path).folder("many", "train")
    kept = sources.KeptStamps(folder)
    assert not kept.read(3, 5).any()
    kept.make_room(4)
    kept.write(1, np.arange(10, dtype=np.uint64).reshape(2, 5))
    kept.make_room(9)
    again = sources.KeptStamps(folder)
    assert again.read(0, 12)[1:3].ravel().tolist() == list(range(10))
    assert not again.read(3, 9).any()
    assert np.load(folder.stamps).shape == (9, 5)
    theirs = tmp_path / "theirs.npy"
    folder.stamps.rename(theirs)
    folder.stamps.symlink_to(theirs)
    before = theirs.read_bytes()
    linked = sources.KeptStamps(folder)
    assert not linked.read(0, 9).any()
    linked.make_room(9)
    linked.write(0, np.ones((9, 5), np.uint64))
    assert theirs.read_bytes() == before
    assert not folder.stamps.is_symlink()
