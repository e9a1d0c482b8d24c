"""SYNTHIA: three data sets of the same name with three layouts and three class tables."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import VOID, ClassTable, Dataset, Frame, LabelClass, Moment
from pipeline.datasets.files import find_keys, read_bytes
from pipeline.datasets.limits import short
from pipeline.datasets.lists import line_error, names_file, read_lines
from pipeline.errors import AdaprepError, FileError
from pipeline.storage import is_dir, lexists

HELD_OUT = 0.1
"""Share of the frames that the validation split takes."""

MOMENT = re.compile(r"(.+_\d{6})_\d+_Rand_\d+")
"""A SYNTHIA-RAND name up to the number of the moment; the camera and the world's variation follow."""


class Synthia(Dataset):
    """What the three have in common: no official split, so `train` and `val` are made here out of `all`."""

    splits = ("train", "val", "all")
    training_splits = ("train", "all")
    license = "non-commercial"

    def frames(self, split: str) -> list[Frame]:
        self.check_split(split)
        frames = sorted(self._all_frames(), key=lambda frame: frame.name)
        if not frames:
            raise self.nothing_found(self._places())
        if split == "all":
            return frames
        held_out = self._held_out(frames)
        chosen = [frame for frame in frames if (frame.name in held_out) == (split == "val")]
        if not chosen:
            raise AdaprepError(
                f"{self.name}: {split} is empty: too few frames in {self.root} to hold some out "
                f"(found {len(frames)}). Use --split all."
            )
        return chosen

    @abstractmethod
    def _all_frames(self) -> list[Frame]:
        """Every frame, in no particular order."""

    @abstractmethod
    def _places(self) -> list[str]:
        """Where frames were looked for."""

    @abstractmethod
    def _held_out(self, frames: list[Frame]) -> set[str]:
        """The names of the validation split."""


class _SeededSplit(Synthia):
    """Frames that stand for themselves: a tenth is held out by a hash of seed and name.

    Parameters
    ----------
    root
        The folder of the data set, or the folder that holds it.
    seed
        Chooses the validation split. Which side a frame falls on depends on its name and the seed alone, not
        on which other frames are there.
    """

    def __init__(self, root: Path, seed: int = 0) -> None:
        super().__init__(root)
        self.seed = seed

    def settings(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def _held_out(self, frames: list[Frame]) -> set[str]:
        return {f.name for f in frames if _share(f"{self.seed} {self._scene(f.name)}") < HELD_OUT}

    def _scene(self, name: str) -> str:
        """What must not be torn apart between training and validation."""
        return name

    def _base(self, marks: tuple[str, ...]) -> Path:
        """The root, or the first folder in it, that holds one of these folders; else the root."""
        below = sorted(self.root.glob("*"))
        return next((p for p in (self.root, *below) if any(is_dir(p / mark) for mark in marks)), self.root)


class SynthiaRand(_SeededSplit):
    """SYNTHIA-RAND (CVPR 2016): 13,407 images of 960 x 720, label maps as text, no instances.

    The views of one moment by several cameras go to the same split.
    """

    name = "synthia-rand"
    title = "SYNTHIA-RAND (CVPR16)"
    archives = (
        "Unpack SYNTHIA-RAND (CVPR16) of synthia-dataset.net so that RGB, GTTXT and ALL.txt lie in ROOT or "
        "in ROOT/SYNTHIA_RAND_CVPR16."
    )
    table = ClassTable(
        (
            LabelClass(0, "void", VOID),
            LabelClass(1, "sky", 0, color=(128, 128, 128)),
            LabelClass(2, "building", 1, color=(128, 0, 0)),
            LabelClass(3, "road", 2, color=(128, 64, 128)),
            LabelClass(4, "sidewalk", 3, color=(0, 0, 192)),
            LabelClass(5, "fence", 4, color=(64, 64, 128)),
            LabelClass(6, "vegetation", 5, color=(128, 128, 0)),
            LabelClass(7, "pole", 6, color=(192, 192, 128)),
            LabelClass(8, "car", 7, True, (64, 0, 128)),
            LabelClass(9, "sign", 8, color=(192, 128, 128)),
            LabelClass(10, "pedestrian", 9, True, (64, 64, 0)),
            LabelClass(11, "cyclist", 10, True, (0, 128, 192)),
        )
    )

    def decode_labels(self, data: bytes, frame: Frame) -> NDArray[np.uint8] | NDArray[np.uint16]:
        from pipeline.datasets.text_ids import decode_text_ids

        return decode_text_ids(data, frame.label)

    def label_size(self, frame: Frame) -> tuple[int, int]:
        from pipeline.datasets.text_ids import text_size

        return text_size(frame.label)

    def _all_frames(self) -> list[Frame]:
        base = self._base(("GTTXT", "RGB"))
        names = self._listed(base / "ALL.txt")
        if names is None:
            names = find_keys(base / "RGB", (".png",)).keys() | find_keys(base / "GTTXT", (".txt",)).keys()
        return [Frame(name, base / f"RGB/{name}.png", base / f"GTTXT/{name}.txt") for name in names]

    def _listed(self, path: Path) -> set[str] | None:
        """Stems that the list names (the first word of each line); None if there is no list."""
        if not lexists(path):
            return None
        stems = set()
        for number, line in read_lines(path):
            word = line.replace("\t", " ").split(" ")[0] or line.strip()
            if not names_file(word):
                raise line_error(path, number, f"{short(word)} is a folder, not a file")
            stems.add(PurePosixPath(word).stem)
        return stems

    def _places(self) -> list[str]:
        return [f"{self.root}/{below}" for below in ("ALL.txt", "RGB/*.png", "GTTXT/*.txt", "*/RGB/*.png")]

    def _scene(self, name: str) -> str:
        match = MOMENT.fullmatch(name)
        return match[1] if match else name


class _WithInstances:
    """Label maps in 16-bit RGB: class ids in the first channel, instances in the second."""

    def decode_labels(self, data: bytes, frame: Frame) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """(H, W) class ids. Raises FileError."""
        ids = _label_channels(data, frame.label)[..., 0]
        return ids.astype(np.uint8) if ids.max() < 256 else np.ascontiguousarray(ids)

    def label_strips(self, data: bytes, frame: Frame) -> Iterator[NDArray[np.uint8] | NDArray[np.uint16]]:
        """`decode_labels` a strip of rows after another, all in 16 bits. Raises FileError."""
        from pipeline.datasets.png import strips

        for strip in strips(data, frame.label):
            yield np.ascontiguousarray(_checked_channels(strip, frame.label)[..., 0])

    decoded_in_strips = decode_labels

    def read_instances(self, frame: Frame) -> NDArray[np.int32]:
        """(H, W) numbers of the moving objects, 0 elsewhere. Raises FileError."""
        return _label_channels(read_bytes(frame.label), frame.label)[..., 1].astype(np.int32)


class SynthiaRandCityscapes(_WithInstances, _SeededSplit):
    """SYNTHIA-RAND-CITYSCAPES: 9,400 images of 1280 x 760 in the classes of Cityscapes.

    Train ids are those of Cityscapes, so that a network trained here can be tested there; parking slots, road
    works and lane markings have no counterpart and are void. Targets are people and vehicles.
    """

    name = "synthia-rand-cityscapes"
    title = "SYNTHIA-RAND-CITYSCAPES"
    archives = (
        "Unpack SYNTHIA-RAND-CITYSCAPES of synthia-dataset.net so that RGB and GT/LABELS lie in ROOT or "
        "in ROOT/RAND_CITYSCAPES."
    )
    table = ClassTable(
        (
            LabelClass(0, "void", VOID),
            LabelClass(1, "sky", 10, color=(70, 130, 180)),
            LabelClass(2, "building", 2, color=(70, 70, 70)),
            LabelClass(3, "road", 0, color=(128, 64, 128)),
            LabelClass(4, "sidewalk", 1, color=(244, 35, 232)),
            LabelClass(5, "fence", 4, color=(64, 64, 128)),
            LabelClass(6, "vegetation", 8, color=(107, 142, 35)),
            LabelClass(7, "pole", 5, color=(153, 153, 153)),
            LabelClass(8, "car", 13, True, (0, 0, 142)),
            LabelClass(9, "traffic sign", 7, color=(220, 220, 0)),
            LabelClass(10, "pedestrian", 11, True, (220, 20, 60)),
            LabelClass(11, "bicycle", 18, True, (119, 11, 32)),
            LabelClass(12, "motorcycle", 17, True, (0, 0, 230)),
            LabelClass(13, "parking slot", VOID, color=(250, 170, 160)),
            LabelClass(14, "road work", VOID, color=(128, 64, 64)),
            LabelClass(15, "traffic light", 6, color=(250, 170, 30)),
            LabelClass(16, "terrain", 9, color=(152, 251, 152)),
            LabelClass(17, "rider", 12, True, (255, 0, 0)),
            LabelClass(18, "truck", 14, True, (0, 0, 70)),
            LabelClass(19, "bus", 15, True, (0, 60, 100)),
            LabelClass(20, "train", 16, True, (0, 80, 100)),
            LabelClass(21, "wall", 3, color=(102, 102, 156)),
            LabelClass(22, "lane marking", VOID, color=(102, 102, 156)),
        )
    )

    def _all_frames(self) -> list[Frame]:
        return _labelled_frames(self._base(("GT", "RGB")), "")

    def _places(self) -> list[str]:
        return [f"{self.root}/{below}" for below in ("RGB/*.png", "GT/LABELS/*.png", "*/GT/LABELS/*.png")]


class SynthiaSeqs(_WithInstances, Synthia):
    """SYNTHIA-SEQS: videos of 1280 x 760 by up to eight cameras, five frames a second.

    The root is one sequence (`SYNTHIA-SEQS-05-SPRING`) or holds several. Neighbouring frames look alike, so
    the validation split is the last tenth of each sequence, in all its cameras.
    """

    name = "synthia-seqs"
    title = "SYNTHIA-SEQS"
    near = 50  # five a second
    archives = (
        "Unpack the SYNTHIA-SEQS of synthia-dataset.net in ROOT, so that "
        "ROOT/SYNTHIA-SEQS-05-SPRING/RGB/Stereo_Left/Omni_F and .../GT/LABELS/Stereo_Left/Omni_F exist; ROOT "
        "may also be one sequence."
    )
    table = ClassTable(
        (
            LabelClass(0, "void", VOID),
            LabelClass(1, "sky", 0, color=(128, 128, 128)),
            LabelClass(2, "building", 1, color=(128, 0, 0)),
            LabelClass(3, "road", 2, color=(128, 64, 128)),
            LabelClass(4, "sidewalk", 3, color=(0, 0, 192)),
            LabelClass(5, "fence", 4, color=(64, 64, 128)),
            LabelClass(6, "vegetation", 5, color=(128, 128, 0)),
            LabelClass(7, "pole", 6, color=(192, 192, 128)),
            LabelClass(8, "car", 7, True, (64, 0, 128)),
            LabelClass(9, "traffic sign", 8, color=(192, 128, 128)),
            LabelClass(10, "pedestrian", 9, True, (64, 64, 0)),
            LabelClass(11, "bicycle", 10, True, (0, 128, 192)),
            LabelClass(12, "lane marking", 11, color=(0, 175, 0)),
            LabelClass(13, "reserved 13", VOID),
            LabelClass(14, "reserved 14", VOID),
            LabelClass(15, "traffic light", 12, color=(0, 128, 128)),
        )
    )

    def _all_frames(self) -> list[Frame]:
        if frames := _labelled_frames(self.root, ""):
            return frames
        sequences = sorted(p for p in self.root.glob("*") if is_dir(p))
        return [frame for sequence in sequences for frame in _labelled_frames(sequence, f"{sequence.name}/")]

    def _places(self) -> list[str]:
        camera = "Stereo_*/Omni_*/*.png"
        return [f"{self.root}/{below}/{camera}" for below in ("RGB", "GT/LABELS", "*/RGB", "*/GT/LABELS")]

    def moment(self, frame: Frame) -> Moment | None:
        sequence, _, rest = frame.image.as_posix().rpartition("/RGB/")
        camera, _, number = rest.rpartition("/")
        stem = number.removesuffix(".png")
        return Moment(Path(sequence).name, camera, int(stem)) if stem.isdecimal() else None

    def _held_out(self, frames: list[Frame]) -> set[str]:
        moments: dict[str, dict[str, list[str]]] = {}  # sequence -> number of the frame -> names
        for frame in frames:
            sequence, number = frame.image.as_posix().rsplit("/RGB/", 1)[0], frame.image.stem
            moments.setdefault(sequence, {}).setdefault(number, []).append(frame.name)
        held_out: set[str] = set()
        for names in moments.values():
            count = max(1, round(len(names) * HELD_OUT)) if len(names) > 1 else 0
            for number in sorted(names)[len(names) - count :]:
                held_out.update(names[number])
        return held_out


def _share(text: str) -> float:
    """A number in [0, 1) that the text alone decides."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64


def _labelled_frames(base: Path, prefix: str) -> list[Frame]:
    """Frames of `RGB` and `GT/LABELS` in a folder, whichever of the two has the file."""
    images, labels = base / "RGB", base / "GT" / "LABELS"
    keys = find_keys(images, (".png",)).keys() | find_keys(labels, (".png",)).keys()
    return [Frame(prefix + key, images / f"{key}.png", labels / f"{key}.png") for key in keys]


def _label_channels(data: bytes, path: Path) -> NDArray[np.uint16]:
    """(H, W, 3) class ids, instances, nothing."""
    from pipeline.datasets.png import decode

    return _checked_channels(decode(data, path), path)


def _checked_channels(pixels: NDArray[np.uint8] | NDArray[np.uint16], path: Path) -> NDArray[np.uint16]:
    """The pixels (H, W, 3), if they are 16-bit RGB. Raises FileError."""
    if pixels.dtype == np.uint8 or pixels.ndim != 3:
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        raise FileError(
            f"{path}: is no label map of SYNTHIA: those are 16-bit RGB (class ids, instances, nothing), "
            f"and this has {pixels.dtype.itemsize * 8} bits and {channels} channels"
        )
    return pixels.astype(np.uint16, copy=False)
