"""When frames were filmed, as each data set says it, and what follows of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import main
from pipeline.datasets import registry, sequences
from pipeline.datasets.base import Frame, Moment
from pipeline.datasets.camvid import CamVid
from tests.datasets import replicas

MakeBlobs = Callable[..., Path]


def frame(name: str, image: str = "") -> Frame:
    return Frame(name, Path(image or name), Path(name))


@pytest.mark.parametrize(
    ("dataset", "of", "moment"),
    [
        ("camvid", frame("0016E5_07959"), Moment("0016E5", "", 7959)),
        ("camvid", frame("Seq05VD_f01230"), Moment("Seq05VD", "", 1230)),
        ("camvid", frame("holiday"), None),
        ("cityscapes", frame("hamburg/hamburg_000000_042505"), Moment("hamburg", "", 42505)),
        ("cityscapes", frame("bochum/bochum_000001_000019"), Moment("bochum", "", 1_000_019)),
        (
            "apolloscape",
            frame("road01_ins/Record001/Camera 5/170908_061502408_Camera_5"),
            Moment("road01_ins/Record001", "Camera 5", 60_000 * (60 * (24 * 170908 + 6) + 15) + 2408),
        ),
        (
            "synthia-seqs",
            frame("x", "/data/SYNTHIA-SEQS-05-SPRING/RGB/Stereo_Left/Omni_F/000012.png"),
            Moment("SYNTHIA-SEQS-05-SPRING", "Stereo_Left/Omni_F", 12),
        ),
        ("supervisely", frame("ds1/picture12"), None),
    ],
)
def test_each_data_set_says_when_a_frame_was_filmed(
    tmp_path: Path, dataset: str, of: Frame, moment: Moment | None
) -> None:
    assert registry.load(dataset, tmp_path).moment(of) == moment


def test_clips_are_in_order_of_time(tmp_path: Path) -> None:
    names = ["b_10", "a_00300", "b_9", "a_f2"]
    dataset = CamVid(tmp_path)
    assert sequences.clips(dataset, [frame(name) for name in names]) == [[3, 1], [2, 0]]
    assert sequences.names(dataset, [frame(name) for name in names]) == ["b", "a", "b", "a"]
    assert sequences.clips(dataset, [frame("a_1"), frame("holiday")]) is None
    assert sequences.names(dataset, [frame("a_1"), frame("holiday")]) is None


def test_frames_are_near_in_their_own_sequence_alone(tmp_path: Path) -> None:
    dataset = CamVid(tmp_path)
    trained = [frame(name) for name in ("a_100", "a_1000", "b_600")]
    frames = [frame(name) for name in ("a_650", "a_701", "a_380", "c_100", "x")]
    found = list(sequences.near(dataset, frames, [trained[:2], [], trained[2:]]))
    assert [(one.name, other.name, apart) for one, other, apart in found] == [
        ("a_701", "a_1000", 299),
        ("a_380", "a_100", 280),
    ]


def test_what_may_not_be_torn_apart_is_a_sequence(make_blobs: MakeBlobs) -> None:
    yaml = make_blobs()
    text = yaml.read_text(encoding="utf-8")
    start = text.index("splits:")
    divided = (
        "pool: {images: images/train, labels: labels/train}\n"
        "split_by: {fractions: {train: 0.5, val: 0.5}, together: '(0)[0-9]+'}\n"
    )
    yaml.write_text(text[:start] + divided, encoding="utf-8")
    dataset = registry.load(yaml)
    assert dataset.moment(frame("0012")) == Moment("0", "", 12)
    yaml.write_text(text, encoding="utf-8")
    assert registry.load(yaml).moment(frame("0012")) is None


def test_check_warns_of_neighbours(tmp_path: Path) -> None:
    root = replicas.camvid(tmp_path, CamVid.table)
    for kind in ("images", "labels"):
        for number, path in enumerate(sorted((root / kind / "val").iterdir())):
            path.rename(path.with_name(f"0001TP_{10 + number:06}.png"))
    result = CliRunner().invoke(main, ["check", "--dataset", "camvid", "--root", str(root)])
    said = " ".join(result.output.split())
    assert "2 of 2 images of val were filmed next to an image that is trained on: 0001TP_000010 is 8" in said
    assert result.exit_code == 0, result.output
