"""Cityscapes with its fine annotation."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import VOID, ClassTable, Dataset, Frame, LabelClass, Moment
from pipeline.datasets.files import exists, find_keys

IMAGE, LABEL, INSTANCE = "_leftImg8bit.png", "_gtFine_labelIds.png", "_gtFine_instanceIds.png"
FIRST_INSTANCE = 1000
"""Instance maps hold class id * 1000 + number for an object, and a bare class id (below 34) elsewhere."""


class Cityscapes(Dataset):
    """Cityscapes: `leftImg8bit/{split}/{city}` and `gtFine/{split}/{city}` as unpacked.

    Train ids are the official ones. Targets are the classes of people and vehicles, train ids 11 to 18; the
    paper names no target classes for this data set.
    """

    name = "cityscapes"
    title = "Cityscapes (gtFine)"
    splits = ("train", "val", "test")
    archives = (
        "Unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip (www.cityscapes-dataset.com) in "
        "ROOT, so that ROOT/leftImg8bit/train/aachen and ROOT/gtFine/train/aachen exist."
    )
    license = "own terms: non-commercial, no redistribution"
    environment = "CITYSCAPES_DATASET"
    table = ClassTable(
        (
            LabelClass(0, "unlabeled", VOID, color=(0, 0, 0)),
            LabelClass(1, "ego vehicle", VOID, color=(0, 0, 0)),
            LabelClass(2, "rectification border", VOID, color=(0, 0, 0)),
            LabelClass(3, "out of roi", VOID, color=(0, 0, 0)),
            LabelClass(4, "static", VOID, color=(0, 0, 0)),
            LabelClass(5, "dynamic", VOID, color=(111, 74, 0)),
            LabelClass(6, "ground", VOID, color=(81, 0, 81)),
            LabelClass(7, "road", 0, color=(128, 64, 128)),
            LabelClass(8, "sidewalk", 1, color=(244, 35, 232)),
            LabelClass(9, "parking", VOID, color=(250, 170, 160)),
            LabelClass(10, "rail track", VOID, color=(230, 150, 140)),
            LabelClass(11, "building", 2, color=(70, 70, 70)),
            LabelClass(12, "wall", 3, color=(102, 102, 156)),
            LabelClass(13, "fence", 4, color=(190, 153, 153)),
            LabelClass(14, "guard rail", VOID, color=(180, 165, 180)),
            LabelClass(15, "bridge", VOID, color=(150, 100, 100)),
            LabelClass(16, "tunnel", VOID, color=(150, 120, 90)),
            LabelClass(17, "pole", 5, color=(153, 153, 153)),
            LabelClass(18, "polegroup", VOID, color=(153, 153, 153)),
            LabelClass(19, "traffic light", 6, color=(250, 170, 30)),
            LabelClass(20, "traffic sign", 7, color=(220, 220, 0)),
            LabelClass(21, "vegetation", 8, color=(107, 142, 35)),
            LabelClass(22, "terrain", 9, color=(152, 251, 152)),
            LabelClass(23, "sky", 10, color=(70, 130, 180)),
            LabelClass(24, "person", 11, target=True, color=(220, 20, 60)),
            LabelClass(25, "rider", 12, target=True, color=(255, 0, 0)),
            LabelClass(26, "car", 13, target=True, color=(0, 0, 142)),
            LabelClass(27, "truck", 14, target=True, color=(0, 0, 70)),
            LabelClass(28, "bus", 15, target=True, color=(0, 60, 100)),
            LabelClass(29, "caravan", VOID, color=(0, 0, 90)),
            LabelClass(30, "trailer", VOID, color=(0, 0, 110)),
            LabelClass(31, "train", 16, target=True, color=(0, 80, 100)),
            LabelClass(32, "motorcycle", 17, target=True, color=(0, 0, 230)),
            LabelClass(33, "bicycle", 18, target=True, color=(119, 11, 32)),
        )
    )

    def frames(self, split: str) -> list[Frame]:
        self.check_split(split)
        images, labels = self.root / "leftImg8bit" / split, self.root / "gtFine" / split
        keys = find_keys(images, (IMAGE,)).keys() | find_keys(labels, (LABEL,)).keys()
        if not keys:
            raise self.nothing_found([f"{images}/*/*{IMAGE}", f"{labels}/*/*{LABEL}"])
        return [
            Frame(key, images / (key + IMAGE), labels / (key + LABEL), labels / (key + INSTANCE))
            for key in sorted(keys)
        ]

    def moment(self, frame: Frame) -> Moment | None:
        """By the file's name, ``CITY_SEQUENCE_FRAME``; what was filmed in one city counts as one sequence."""
        match = re.fullmatch(r"(.+)_(\d{1,6})_(\d{1,6})", Path(frame.name).name)
        return Moment(match[1], "", 10**6 * int(match[2]) + int(match[3])) if match else None

    def read_instances(self, frame: Frame) -> NDArray[np.int32] | None:
        """(H, W) class id * 1000 + number; 0 outside objects and in groups. Raises FileError.

        None if the frame has no file of instances.
        """
        from pipeline.datasets import readers

        if frame.instance is None or not exists(frame.instance):
            return None
        values = readers.read_ids(frame.instance).astype(np.int32)
        values[values < FIRST_INSTANCE] = 0
        return values

    def notes(self, split: str) -> list[str]:
        if split == "test":
            return ["the label maps of the test split are dummies: its annotation is kept by the benchmark"]
        return []
