"""What `check` keeps of a split: sums in the order of its images, and no record of each."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.datasets.base import ClassTable, Dataset, Frame, LabelClass, Row
from pipeline.stages import check, engine, frame_list
from pipeline.stages.checked import MAX_DOUBTS, FrameCheck, InOrder, Totals
from pipeline.stages.engine import BlockResult
from pipeline.stages.photos import PhotoFacts

TABLE = ClassTable((LabelClass(0, "road", 0), LabelClass(1, "car", 1, target=True)))
TARGETS = frozenset({1})
CHECKS = st.builds(
    FrameCheck,
    name=st.just("a"),
    image=st.booleans(),
    label=st.booleans(),
    size=st.sampled_from([None, (2, 30), (5, 5), (1, 9)]),
    kind=st.sampled_from(["", "RGB", "L"]),
    counts=st.dictionaries(st.sampled_from([0, 1, 7]), st.integers(1, 9), max_size=2),
    central=st.dictionaries(st.sampled_from([0, 1, 7]), st.integers(1, 9), max_size=2),
    doubts=st.lists(st.sampled_from("abc"), max_size=4).map(tuple),
    photo=st.builds(PhotoFacts, st.integers(1, 8), st.booleans(), st.booleans(), st.booleans()),
)


class OneFile(Dataset):
    """As many frames as one likes of one image and one label map."""

    name, title, archives, splits, table = "one", "One", "", ("train",), TABLE

    def __init__(self, root: Path, count: int) -> None:
        super().__init__(root)
        self.count = count

    def frames(self, split: str) -> list[Frame]:
        return list(frame_list.listed(self, split))

    def rows(self, split: str) -> Iterator[Row]:
        return (Row(f"{i:030}", "image.png", "label.png", "") for i in range(self.count))


@settings(max_examples=30)
@given(st.lists(CHECKS, max_size=12), st.randoms(use_true_random=False), st.integers(1, 4))
def test_totals_are_those_of_all_frames_in_order_however_blocks_come(
    frames: list[FrameCheck], chance: random.Random, block: int
) -> None:
    alone, total = Totals(), Totals()
    results = []
    for start in range(0, len(frames), block):
        part = Totals()
        for place, frame in enumerate(frames[start : start + block], start):
            alone.take(place, frame, TARGETS, 5)
            part.take(place, frame, TARGETS, 5)
        results.append(BlockResult(start, min(start + block, len(frames)), (), [part]))
    chance.shuffle(results)
    in_order = InOrder(total)
    for result in results:
        in_order.take(result)
    assert total == alone
    assert [*total.sizes] == [*alone.sizes]
    assert total.pairs == sum(frame.image and frame.label for frame in frames)
    assert total.counts[7] == sum(frame.counts.get(7, 0) for frame in frames)
    assert total.images[7] == sum(7 in frame.counts for frame in frames)
    assert total.uncovered == [i for i, frame in enumerate(frames) if frame.size == (2, 30)]
    doubts = [doubt for frame in frames for doubt in frame.doubts]
    assert (total.doubts, total.doubted) == (doubts[:MAX_DOUBTS], len(doubts))
    assert total.photos.turned == sum(frame.photo.orientation > 1 for frame in frames)


def test_one_image_more_takes_no_record_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((6, 6), np.uint8)
    Image.fromarray(labels).save(tmp_path / "label.png")
    Image.fromarray(np.stack([labels] * 3, -1)).save(tmp_path / "image.png")
    monkeypatch.setattr(frame_list, "IN_MEMORY", 1)
    monkeypatch.setattr(check, "MAX_TASKS", 8)

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            report = check.run(OneFile(tmp_path, count), "train", scheduler=engine.Scheduler(threads=1))
            assert (report.ok, report.pairs, len(report.totals.without_target)) == (True, count, count)
            assert [*report.without_target()][-1] == f"{count - 1:030}"
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(8)
    few, many = 40, 240
    assert peak(many) - peak(few) < 200 * (many - few)  # bytes; a record took two thousand
