"""What the metrics ask of a pair of label maps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

VOID = 255
"""Train id of the pixels without a class."""


def paired(
    truth: NDArray[np.integer[Any]], prediction: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two label maps of one shape as C-contiguous uint8.

    Raises
    ------
    ValueError
        Shapes differ or are not (H, W), or labels are no integers in 0..255.
    """
    if truth.ndim != 2 or truth.shape != prediction.shape:
        raise ValueError(
            f"ground truth has shape {truth.shape}, prediction {prediction.shape}: must be (H, W) and agree"
        )
    return _bytes("ground truth", truth), _bytes("prediction", prediction)


def _bytes(what: str, labels: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    if labels.dtype != np.uint8:
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"{what} has dtype {labels.dtype}, must be integer")
        if labels.size and not 0 <= labels.min() <= labels.max() <= 255:
            raise ValueError(f"{what} has labels {labels.min()}..{labels.max()}, must lie in 0..255")
    return np.ascontiguousarray(labels, np.uint8)
