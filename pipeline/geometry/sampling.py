"""The sampling operator, equation (1) of the paper: the nearest pixel to every entry of a sampling tensor."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry._arguments import sides
from pipeline.geometry.tensors import validate

Scalar = TypeVar("Scalar", bound=np.generic)


def indices(
    phi: NDArray[np.floating[Any]], size: int | tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pixels nearest to the entries of a sampling tensor.

    Parameters
    ----------
    phi
        Sampling tensor (2, h, w): vertical, then horizontal coordinates in [0, 1].
    size
        Side S of the crop in pixels, or its (height, width).

    Returns
    -------
    tuple of NDArray
        Rows and columns, (h, w) each: ``round(phi[0] * (height - 1))``, ``round(phi[1] * (width - 1))``.

    Raises
    ------
    ValueError
        The tensor is no (2, h, w), has values that are NaN or outside [0, 1], or the size is below 1.

    Notes
    -----
    Each half of a side is measured from its own end, and a point half way between two pixels takes the one
    nearer to the middle. So sampling commutes with flipping, to the bit, wherever ``1 - x`` is exact in
    floating point. One point is left over: the middle of a side with an even number of pixels
    (``x == 0.5``) has two nearest pixels that a flip exchanges. No rule commutes there; it takes the second.
    """
    height, width = sides("size", size, 1)
    if phi.ndim != 3:
        raise ValueError(f"sampling tensor has shape {phi.shape}, must be (2, h, w)")
    validate(phi)
    return _nearest(phi[0], height), _nearest(phi[1], width)


def sample(image: NDArray[Scalar], phi: NDArray[np.floating[Any]]) -> NDArray[Scalar]:
    """Sample an image or a label map at the pixels nearest to the entries of a tensor: equation (1).

    Parameters
    ----------
    image
        (H, W) or (H, W, channels), any dtype.
    phi
        Sampling tensor (2, h, w), values in [0, 1]; see `indices` for how its entries are rounded.

    Returns
    -------
    NDArray
        (h, w) or (h, w, channels), a copy in the image's dtype.

    Raises
    ------
    ValueError
        The image has another number of axes, or the tensor is not one `indices` takes.
    """
    if image.ndim not in (2, 3):
        raise ValueError(f"image has shape {image.shape}, must be (H, W) or (H, W, channels)")
    rows, cols = indices(phi, (image.shape[0], image.shape[1]))
    sampled: NDArray[Scalar] = image[rows, cols]
    return sampled


def _nearest(coordinates: NDArray[np.floating[Any]], length: int) -> NDArray[np.intp]:
    """Nearest of `length` corner-aligned pixels, halves towards the centre."""
    x = coordinates.astype(np.float64)
    last = length - 1
    from_start = np.floor(x * last + 0.5)
    from_end = last - np.floor((1 - x) * last + 0.5)
    return np.where(x <= 0.5, from_start, from_end).astype(np.intp)
