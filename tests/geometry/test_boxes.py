import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.geometry.boxes import box_means


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(0, 80),
    st.sampled_from([1, 3]),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
)
def test_means_are_those_of_pillow(size: int, more: int, channels: int, threads: int, seed: int) -> None:
    shape = (2, size + more, size + more, channels)
    images = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    found = box_means(images, size, threads)
    for image, means in zip(images, found, strict=True):
        picture = Image.fromarray(image if channels == 3 else image[..., 0])
        expected = np.asarray(picture.resize((size, size), Image.Resampling.BOX))
        np.testing.assert_array_equal(means.reshape(expected.shape), expected)


@pytest.mark.parametrize("side", [513, 514, 515])
@pytest.mark.parametrize("channels", [1, 3])
def test_white_boxes_wider_than_16_bits_hold_stay_white(side: int, channels: int) -> None:
    images = np.full((1, side, side, channels), 255, np.uint8)
    assert (box_means(images, 2) == 255).all()


def test_parts_of_larger_images_are_taken_as_they_are() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    part = image[:, 10:50]
    np.testing.assert_array_equal(box_means(part[None], 7), box_means(part.copy()[None], 7))


@pytest.mark.parametrize(
    ("shape", "kind", "size", "message"),
    [
        ((9, 9, 3), "uint8", 3, "images have shape"),
        ((1, 9, 9, 2), "uint8", 3, "must be .n, S, S, 1 or 3. uint8"),
        ((1, 9, 9, 3), "int16", 3, "dtype int16"),
        ((1, 9, 8, 3), "uint8", 3, "images have shape"),
        ((1, 5, 5, 3), "uint8", 6, "size is 6, must be 1 to 5"),
        ((1, 5, 5, 3), "uint8", 0, "size is 0"),
    ],
)
def test_other_images_and_sizes_are_refused(
    shape: tuple[int, ...], kind: str, size: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        box_means(np.zeros(shape, kind), size)
