"""The three SYNTHIAs on small files, and one genuine frame of SYNTHIA-SEQS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets import png
from pipeline.datasets.base import UNKNOWN, VOID, Dataset, strips_of
from pipeline.datasets.cityscapes import Cityscapes
from pipeline.datasets.synthia import SynthiaRand, SynthiaRandCityscapes, SynthiaSeqs
from pipeline.datasets.text_ids import read_text_ids, text_size
from pipeline.errors import AdaprepError, FileError
from tests.conftest import shared
from tests.datasets import replicas
from tests.datasets.encode import write_png


def target_names(dataset: type[Dataset]) -> list[str]:
    return [dataset.table.names[t] for t in dataset.table.targets]


def split_names(dataset: Dataset) -> tuple[set[str], set[str], set[str]]:
    train, val, both = ({f.name for f in dataset.frames(split)} for split in ("train", "val", "all"))
    return train, val, both


def test_class_tables() -> None:
    assert (len(SynthiaRand.table.names), len(SynthiaSeqs.table.names)) == (11, 13)
    assert target_names(SynthiaRand) == ["car", "pedestrian", "cyclist"]
    assert target_names(SynthiaSeqs) == ["car", "pedestrian", "bicycle"]
    assert SynthiaSeqs.table.lut[12] == 11  # lane marking
    assert SynthiaRandCityscapes.table.lut[12] == 17  # motorcycle
    assert SynthiaRandCityscapes.table.lut[[0, 13, 14, 22]].tolist() == [VOID] * 4


def test_rand_cityscapes_has_the_train_ids_of_cityscapes() -> None:
    same = {"pedestrian": "person"}
    names = [same.get(name, name) for name in SynthiaRandCityscapes.table.names]
    assert tuple(names) == Cityscapes.table.names
    assert SynthiaRandCityscapes.table.targets == Cityscapes.table.targets


@pytest.mark.parametrize("folder", [".", "SYNTHIA_RAND_CVPR16"])
def test_rand_reads_text(tmp_path: Path, folder: str) -> None:
    replicas.synthia_rand(tmp_path / folder, SynthiaRand.table, 3)
    dataset = SynthiaRand(tmp_path)
    frames = dataset.frames("all")
    assert len(frames) == 6
    for frame in frames:
        labels = dataset.read_labels(frame)
        assert labels.dtype == np.uint8
        assert labels.shape == dataset.label_size(frame) == dataset.read_image(frame).shape[:2]
        np.testing.assert_array_equal(labels, np.loadtxt(frame.label, dtype=int))
        assert dataset.read_instances(frame) is None


def test_rand_without_its_list_takes_what_lies_there(tmp_path: Path) -> None:
    stems = replicas.synthia_rand(tmp_path, SynthiaRand.table, 3)
    (tmp_path / "ALL.txt").unlink()
    (tmp_path / f"RGB/{stems[0]}.png").unlink()
    (tmp_path / f"GTTXT/{stems[1]}.txt").unlink()
    assert [frame.name for frame in SynthiaRand(tmp_path).frames("all")] == sorted(stems)


def test_rand_lists_what_the_list_names_and_fails_on_what_is_missing(tmp_path: Path) -> None:
    stems = replicas.synthia_rand(tmp_path, SynthiaRand.table, 2)
    (tmp_path / f"GTTXT/{stems[0]}.txt").unlink()
    dataset = SynthiaRand(tmp_path)
    frame = dataset.frames("all")[0]
    with pytest.raises(FileError, match=r"_0_Rand_0\.txt: no such file$"):
        dataset.read_labels(frame)


def test_rand_keeps_the_cameras_of_a_moment_together(tmp_path: Path) -> None:
    replicas.synthia_rand(tmp_path, SynthiaRand.table, 60)
    train, val, both = split_names(SynthiaRand(tmp_path))
    assert train | val == both
    assert not train & val
    moments = [{name.split("_Rand_")[0][:-2] for name in names} for names in (train, val)]
    assert not moments[0] & moments[1]
    assert 1 <= len(moments[1]) <= 15


def test_seeded_splits_depend_on_the_name_and_the_seed_alone(tmp_path: Path) -> None:
    replicas.synthia_rand_cityscapes(tmp_path, SynthiaRandCityscapes.table, 60)
    _, val, _ = split_names(SynthiaRandCityscapes(tmp_path))
    for name in ("0000003", "0000040"):
        (tmp_path / f"RGB/{name}.png").unlink()
        (tmp_path / f"GT/LABELS/{name}.png").unlink()
    assert split_names(SynthiaRandCityscapes(tmp_path))[1] == val - {"0000003", "0000040"}
    assert split_names(SynthiaRandCityscapes(tmp_path, seed=1))[1] != val
    assert SynthiaRandCityscapes(tmp_path, seed=1).settings() == {"seed": 1}


@pytest.mark.parametrize("folder", [".", "RAND_CITYSCAPES"])
def test_rand_cityscapes_reads_classes_and_instances(tmp_path: Path, folder: str) -> None:
    replicas.synthia_rand_cityscapes(tmp_path / folder, SynthiaRandCityscapes.table, 4)
    dataset = SynthiaRandCityscapes(tmp_path)
    frames = dataset.frames("all")
    assert [frame.name for frame in frames] == ["0000000", "0000001", "0000002", "0000003"]
    for frame in frames:
        labels, instances = dataset.read_labels(frame), dataset.read_instances(frame)
        assert labels.dtype == np.uint8
        assert (dataset.classes.lut[labels] != UNKNOWN).all()
        np.testing.assert_array_equal(instances, np.where(labels == 8, 193, 0))


@pytest.mark.parametrize("kind", [SynthiaRand, SynthiaRandCityscapes])
def test_strips_are_what_is_decoded(
    tmp_path: Path, kind: type[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text is one strip, 16-bit RGB several."""
    make = replicas.synthia_rand if kind is SynthiaRand else replicas.synthia_rand_cityscapes
    make(tmp_path, kind.table, 2)
    monkeypatch.setattr(png, "STRIP_BYTES", 500)
    dataset = kind(tmp_path)
    for frame in dataset.frames("all"):
        data = dataset.label_bytes(frame)
        strips = [strip.copy() for strip in strips_of(dataset, data, frame)]
        assert (len(strips) > 1) == (kind is SynthiaRandCityscapes)
        np.testing.assert_array_equal(np.concatenate(strips), dataset.decode_labels(data, frame))


def test_ids_that_need_16_bits_stay_whole(tmp_path: Path) -> None:
    path = write_png(tmp_path / "GT/LABELS/0000000.png", np.full((2, 2, 3), 300, np.uint16))
    dataset = SynthiaRandCityscapes(tmp_path)
    (frame,) = dataset.frames("all")
    assert frame.label == path
    assert dataset.read_labels(frame).tolist() == [[300, 300], [300, 300]]


@pytest.mark.parametrize(("channels", "bits"), [(3, 8), (4, 8), (1, 16)])
def test_colour_pictures_are_no_label_maps(tmp_path: Path, channels: int, bits: int) -> None:
    pixels = np.zeros((4, 4, channels), f"uint{bits}")
    path = write_png(tmp_path / "GT/LABELS/0000000.png", pixels[..., 0] if channels == 1 else pixels)
    dataset = SynthiaRandCityscapes(tmp_path)
    with pytest.raises(FileError) as error:
        dataset.read_labels(dataset.frames("all")[0])
    assert str(error.value) == (
        f"{path}: is no label map of SYNTHIA: those are 16-bit RGB (class ids, instances, nothing), "
        f"and this has {bits} bits and {channels} channels"
    )


def test_sequences_hold_out_their_last_tenth_in_all_cameras(tmp_path: Path) -> None:
    for name in ("SYNTHIA-SEQS-01-FALL", "SYNTHIA-SEQS-05-SPRING"):
        replicas.synthia_sequence(tmp_path / name, SynthiaSeqs.table)
    dataset = SynthiaSeqs(tmp_path)
    train, val, both = split_names(dataset)
    assert train | val == both
    assert len(both) == 120
    assert val == {name for name in both if name.endswith(("000018", "000019"))}
    frame = dataset.frames("train")[0]
    assert frame.name == "SYNTHIA-SEQS-01-FALL/Stereo_Left/Omni_B/000000"
    assert dataset.read_labels(frame).shape == dataset.read_image(frame).shape[:2]


def test_the_root_may_be_one_sequence(tmp_path: Path) -> None:
    replicas.synthia_sequence(tmp_path, SynthiaSeqs.table, 10)
    train, val, _ = split_names(SynthiaSeqs(tmp_path))
    assert len(train) == 27
    assert val == {
        "Stereo_Left/Omni_B/000009", "Stereo_Left/Omni_F/000009", "Stereo_Right/Omni_F/000009",
    }  # fmt: skip


def test_too_few_frames_to_hold_some_out(tmp_path: Path) -> None:
    replicas.synthia_sequence(tmp_path, SynthiaSeqs.table, 1)
    dataset = SynthiaSeqs(tmp_path)
    assert len(dataset.frames("train")) == 3
    with pytest.raises(AdaprepError) as error:
        dataset.frames("val")
    assert str(error.value) == (
        f"synthia-seqs: val is empty: too few frames in {tmp_path} to hold some out (found 3). "
        f"Use --split all."
    )


@pytest.mark.parametrize("kind", [SynthiaRand, SynthiaRandCityscapes, SynthiaSeqs])
def test_nothing_there(tmp_path: Path, kind: type[Dataset]) -> None:
    with pytest.raises(AdaprepError) as error:
        kind(tmp_path).frames("all")
    assert str(error.value).startswith(f"{kind.name}: no images found. Looked for\n  {tmp_path}/")


@settings(max_examples=50)
@given(
    hnp.arrays(
        np.uint16,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.sampled_from([0, 9, 11, 255, 256, 65535]),
    ),
    st.sampled_from([" ", "  ", "\t"]),
    st.sampled_from(["\n", " \n", "\r\n"]),
    st.sampled_from(["", "\n", "\n\n"]),
)
def test_text_comes_back_as_numbers(
    tmp_path_factory: pytest.TempPathFactory, ids: NDArray[np.uint16], gap: str, eol: str, end: str
) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes((eol.join(gap.join(map(str, row)) for row in ids) + end).encode())
    read = read_text_ids(path)
    assert text_size(path) == ids.shape
    assert read.dtype == (np.uint8 if ids.max() < 256 else np.uint16)
    np.testing.assert_array_equal(read, ids)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 2 3\n4 5\n6 7 8\n", "row 1 has 2 numbers, the first row 3: damaged or truncated"),
        ("1 2 3\n4 5 6 7\n", "row 1 has 4 numbers, the first row 3: damaged or truncated"),
        ("1 2\n3 4\n5", "row 2 has 1 numbers, the first row 2: damaged or truncated"),
        ("1 2\n\n3 4\n", "row 1 has 0 numbers, the first row 2: damaged or truncated"),
        ("1 2\n3 x\n", "row 1 holds 'x'; a label map in text holds numbers only"),
        ("1 -1\n", "row 0 holds '-'; a label map in text holds numbers only"),
        ("1 65536\n", "row 0 holds the id 65536; class ids must lie in 0..65535"),
        ("1 999999999999999999999999\n", "row 0 holds the id 99999; class ids must lie in 0..65535"),
        ("\n1 2\n", "its first line is empty; a label map in text has numbers in each line"),
        ("", "empty file (0 bytes)"),
    ],
)
def test_text_that_is_no_label_map(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(FileError) as error:
        read_text_ids(path)
    assert str(error.value) == f"{path}: {problem}"


def test_genuine_frame() -> None:
    dataset = SynthiaSeqs(shared("synthia-seqs"))
    (frame,) = dataset.frames("all")
    assert frame.name == "SYNTHIA-SEQS-05-SPRING/Stereo_Left/Omni_F/000000"
    labels, instances = dataset.read_labels(frame), dataset.read_instances(frame)
    assert labels.shape == dataset.label_size(frame) == (760, 1280)
    assert set(np.unique(labels)) <= set(range(16))
    assert set(np.unique(labels[instances > 0])) == {8}
    assert len(np.unique(instances)) == 9
    # The picture that the archive adds for the eye has one colour a class, but for cars and what is void.
    with Image.open(str(frame.label).replace("LABELS", "COLOR")) as image:
        colors = np.asarray(image)[..., :3]
    for raw in set(np.unique(labels).tolist()) - {0, 8}:
        (shown,) = np.unique(colors[labels == raw], axis=0)
        assert shown.tolist() == dataset.classes.colors[dataset.classes.lut[raw]].tolist()
