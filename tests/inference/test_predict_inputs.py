"""What `adaprep predict` is given: folders, patterns, videos, turned photos; and what it is asked to save."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

torch = pytest.importorskip("torch")

from pipeline.datasets import registry  # noqa: E402
from pipeline.datasets.pictures import upright  # noqa: E402
from pipeline.errors import AdaprepError  # noqa: E402
from pipeline.inference import images, tiling  # noqa: E402
from pipeline.inference import predict as label_maps  # noqa: E402
from pipeline.inference.images import collect, natural  # noqa: E402
from pipeline.marks import Writer, is_ours  # noqa: E402
from tests.conftest import tree  # noqa: E402
from tests.evaluation.test_evaluate import cli, save_base  # noqa: E402
from tests.inference.test_predict import picture  # noqa: E402

MakeBlobs = Callable[..., Path]


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def names(*arguments: Path, leave_out: tuple[Path, ...] = ()) -> list[str]:
    return [one.name for one in collect(arguments, leave_out)]


def predict(base: Path, yaml: Path, *arguments: object) -> tuple[int, str]:
    return cli("predict", *arguments, "--checkpoint", base, "--dataset", yaml, "--device", "cpu")


def test_frames_of_a_folder_come_in_natural_order(tmp_path: Path) -> None:
    video = touch(tmp_path / "v", "f10.jpg", "f2.PNG", "f1.jpeg", "b/3.png", "a10/1.png", "a9/1.png")
    touch(video, "notes.txt", ".hidden.jpg", "@eaDir/f1.jpg")
    assert names(video) == ["a9/1", "a10/1", "b/3", "f1", "f2", "f10"]


@given(st.lists(st.integers(0, 10**6), min_size=2, unique=True), st.text("ab_-/", max_size=4))
def test_numbers_in_names_are_counted(numbers: list[int], start: str) -> None:
    made = [f"{start}{number}.png" for number in numbers]
    assert sorted(made, key=natural) == [f"{start}{number}.png" for number in sorted(numbers)]


@given(st.lists(st.text("a1²٣/.", max_size=6), max_size=6))
def test_all_names_can_be_sorted(made: list[str]) -> None:
    assert sorted(sorted(made, key=natural)) == sorted(made)


def test_folders_among_several_arguments_are_told_apart(tmp_path: Path) -> None:
    one = touch(tmp_path / "one" / "frames", "1.png")
    two = touch(tmp_path / "two" / "frames", "1.png")
    image = touch(tmp_path, "1.png") / "1.png"
    assert names(one, two, image) == ["one/frames/1", "two/frames/1", "1"]
    assert names(one, image) == ["frames/1", "1"]
    assert names(one) == ["1"]
    assert names(one, one) == ["1"]
    assert names(one, one / "1.png") == ["frames/1"]


def test_images_of_one_folder_that_differ_in_their_suffix_are_both_labelled(tmp_path: Path) -> None:
    assert names(touch(tmp_path / "p", "x.jpg", "x.png", "y.png")) == ["x-jpg", "x-png", "y"]


def test_patterns_are_expanded_where_no_shell_did(tmp_path: Path) -> None:
    touch(tmp_path, "a10.png", "a9.png", "b.png", "sub/a1.png")
    assert names(tmp_path / "a*.png") == ["a9", "a10"]
    assert names(tmp_path / "**" / "a*.png") == ["a9", "a10", "a1"]
    assert names(touch(tmp_path, "[x].png") / "[x].png") == ["[x]"]
    with pytest.raises(AdaprepError, match=r"nothing matches .*c\*\.png: give image files, folders"):
        collect([tmp_path / "c*.png"])


def test_what_is_no_image_is_said(tmp_path: Path) -> None:
    with pytest.raises(AdaprepError, match=r"no images in .*e: it is empty"):
        collect([touch(tmp_path / "e", "x.png").joinpath("x.png").unlink() or tmp_path / "e"])
    with pytest.raises(AdaprepError, match=r"no images in .*t \(there is: 2 x \.txt\)"):
        collect([touch(tmp_path / "t", "a.txt", "b.txt")])
    with pytest.raises(AdaprepError, match=r"but a video: take its frames out .*ffmpeg"):
        collect([touch(tmp_path / "m", "a.MP4")])
    with pytest.raises(AdaprepError, match=r"a\.MP4 is a video: take its frames out"):
        collect([tmp_path / "m" / "a.MP4"])


def test_earlier_results_are_no_images_to_label(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml, base = make_blobs(), save_base(tmp_path / "u.pt")
    photos = tmp_path / "photos"
    photos.mkdir()
    picture(photos / "a.png", 20, 30)
    for _ in range(2):
        code, said = predict(base, yaml, photos, "-o", photos)
        assert code == 0, said
        assert "predictions: 1 image" in said
    assert sorted(tree(photos)) == ["a.png", "labels/a.png", "overlays/a.jpg"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned_as_pillow_turns_them(orientation: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    stored = Image.fromarray(pixels)
    stored.getexif()[0x0112] = orientation
    assert np.array_equal(upright(pixels, orientation), np.asarray(ImageOps.exif_transpose(stored)))


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_results_of_a_turned_photo_lie_as_viewers_show_it(
    make_blobs: MakeBlobs, tmp_path: Path, orientation: int
) -> None:
    yaml, base = make_blobs(), save_base(tmp_path / "u.pt")
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 40, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "in").mkdir()
    photo.save(tmp_path / "in" / "turned.jpg", exif=exif, quality=95)
    with Image.open(tmp_path / "in" / "turned.jpg") as stored:
        shown = ImageOps.exif_transpose(stored)
    shown.save(tmp_path / "in" / "shown.png")
    code, said = predict(base, yaml, tmp_path / "in", "-o", tmp_path / "out")
    assert code == 0, said
    for place, suffix in (("labels", "png"), ("overlays", "jpg")):
        with (
            Image.open(tmp_path / "out" / place / f"turned.{suffix}") as one,
            Image.open(tmp_path / "out" / place / f"shown.{suffix}") as other,
        ):
            assert one.size == shown.size
            assert one.getexif().get(0x0112, 1) == 1
            assert np.array_equal(np.asarray(one), np.asarray(other))


def test_what_is_asked_for_is_saved(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml, base = make_blobs(), save_base(tmp_path / "u.pt")
    image = picture(tmp_path / "wide.png", 70, 20)
    out = tmp_path / "out"
    code, said = predict(base, yaml, image, "-o", out, "--save", "labels,probabilities")
    assert code == 0, said
    assert sorted(tree(out)) == ["labels/wide.png", "probabilities/wide.npz"]
    with np.load(out / "probabilities" / "wide.npz", allow_pickle=False) as kept:
        shares, ids = kept["probabilities"], kept["ids"]
        assert kept["classes"].tolist() == ["ground", "blob", "stick"]
    assert (shares.shape, shares.dtype) == ((3, 20, 70), np.float16)
    assert np.allclose(shares.astype(float).sum(axis=0), 1, atol=2e-3)
    labels = np.asarray(Image.open(out / "labels" / "wide.png"))
    top = np.sort(shares.astype(float), axis=0)
    clear = top[-1] - top[-2] > 1e-2
    assert clear.mean() > 0.5
    assert np.array_equal(ids[shares.argmax(axis=0)][clear], labels[clear])
    code, said = predict(base, yaml, image, "-o", tmp_path / "o2", "--save", "overlay", "--save", "overlay")
    assert sorted(tree(tmp_path / "o2")) == ["overlays/wide.jpg"]
    code, said = predict(base, yaml, image, "-o", out, "--save", "labels,colours")
    assert code == 2
    assert "'colours': give one or more of labels, overlay, probabilities, with commas" in said


def test_probabilities_that_adaprep_did_not_make_are_not_replaced(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml, base = make_blobs(), save_base(tmp_path / "u.pt")
    image, place = picture(tmp_path / "x.png", 20, 20), tmp_path / "out" / "probabilities" / "x.npz"
    place.parent.mkdir(parents=True)
    for make in (lambda: np.savez(place, mine=np.zeros(3)), lambda: place.write_bytes(b"PK\3\4 mine")):
        make()
        before = place.read_bytes()
        code, said = predict(base, yaml, image, "-o", tmp_path / "out", "--save", "probabilities")
        assert code == 1
        assert "is there already, and adaprep did not make it" in said
        assert place.read_bytes() == before
    options = ("-o", tmp_path / "out", "--save", "probabilities")
    assert predict(base, yaml, image, *options, "--force")[0] == 0
    assert is_ours(place)
    assert predict(base, yaml, image, *options)[0] == 0  # its own is replaced


def test_an_input_is_known_under_its_other_names(tmp_path: Path) -> None:
    image = picture(tmp_path / "x.png", 4, 4)
    os.link(image, tmp_path / "same.png")
    with pytest.raises(AdaprepError, match="is read by this command and not written over"):
        Writer([image], force=True).check(tmp_path / "same.png")


def test_frames_of_changing_size_are_labelled_and_said(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml, base = make_blobs(), save_base(tmp_path / "u.pt")
    video = tmp_path / "video"
    video.mkdir()
    for k, size in enumerate([(30, 20), (30, 20), (20, 44)]):
        picture(video / f"{k}.png", *size)
    touch(video, "broken.png")
    code, said = predict(base, yaml, video, "-o", tmp_path / "out")
    assert code == 1
    assert f"images of 2 sizes in {video} (2 of 30 x 20, 1 of 20 x 44): each labelled at its own size" in said
    assert "1 failed: broken.png" in said
    assert len(list((tmp_path / "out" / "labels").iterdir())) == 3


def test_squares_are_joined_as_their_scores_are(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    from pipeline.inference import systems

    system, _ = systems.open_system(
        systems.load_base(save_base(tmp_path / "u.pt")), None, torch.device("cpu")
    )
    image = np.random.default_rng(2).integers(0, 256, (15, 40, 3), dtype=np.uint8)
    job = label_maps.plan([picture(tmp_path / "x.png", 40, 15)], tmp_path / "out", saved=["labels"])[0]
    assert set(job.results) == {"labels"}
    labels, shares = label_maps._labelled(system, image, True)
    assert np.array_equal(labels, tiling.label(image, lambda s: system.labels(s, system.tensor(s))))
    assert shares is not None
    assert shares.shape == (len(registry.load(make_blobs()).classes.names), 15, 40)
    assert images.NamedImage(job.image, "x") == collect([job.image])[0]
