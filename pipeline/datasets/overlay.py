"""Labels over an image in class colours: what `adaprep predict` writes and a report shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import ClassTable


def overlay(image: NDArray[np.uint8], labels: NDArray[np.uint8], classes: ClassTable) -> NDArray[np.uint8]:
    """The mean of an image and its labels' colours; under background and void the image as it is.

    Parameters
    ----------
    image
        (H, W, 3), RGB.
    labels
        (H, W) train ids.

    Returns
    -------
    ndarray of uint8
        (H, W, 3), RGB.
    """
    colors = classes.colors[labels]
    mixed = (image // 2 + colors // 2 + (image & colors & 1)).astype(np.uint8)
    clear = np.ones(256, bool)
    for train_id, known in enumerate(classes.train_classes):
        clear[train_id] = known.is_background
    hidden = clear[labels]
    mixed[hidden] = image[hidden]
    return mixed
