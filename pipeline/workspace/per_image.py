"""What an evaluation keeps of each image: pixels right, true and predicted by class, packed into text."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_IMAGES, MOST_CLASSES = 1_000_000, 255


@dataclass(frozen=True, eq=False)
class PerImage:
    """Of the images of a split, in the order of their names."""

    pixels: NDArray[np.int64]  # (N, 3, C): right, true, predicted; of its confusion matrix diagonal and sums
    images: str  # digest of the images' names
    sequences: tuple[str, ...] | None = None  # of each image, where the data set knows videos

    @classmethod
    def of(
        cls, confusions: Sequence[NDArray[np.int64]], names: Sequence[str], sequences: Sequence[str] | None
    ) -> PerImage:
        """Of confusion matrices (C, C + 1), one per image; see `pipeline.metrics.ConfusionMatrix`."""
        order = sorted(range(len(names)), key=lambda place: names[place])
        counts = np.stack([confusions[place] for place in order])
        right = np.diagonal(counts, axis1=1, axis2=2)
        pixels = np.stack([right, counts.sum(axis=2), counts[:, :, :-1].sum(axis=1)], axis=1)
        listed = "\n".join(names[place] for place in order).encode("utf-8", "surrogateescape")
        beside = None if sequences is None else tuple(sequences[place] for place in order)
        return cls(pixels, hashlib.sha256(listed).hexdigest(), beside)

    def as_dict(self) -> dict[str, Any]:
        """As it is kept in JSON."""
        found: dict[str, Any] = {
            "images": self.images,
            "shape": list(self.pixels.shape),
            "pixels": base64.b64encode(zlib.compress(self.pixels.astype("<i8").tobytes(), 9)).decode(),
        }
        if self.sequences is not None:
            known = list(dict.fromkeys(self.sequences))
            places = {name: place for place, name in enumerate(known)}
            found |= {"sequences": known, "sequence_of": [places[name] for name in self.sequences]}
        return found

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> PerImage:
        """What `as_dict` gave. Raises ValueError where it cannot be."""
        shape = kept.get("shape")
        if not isinstance(shape, list) or len(shape) != 3 or not all(type(side) is int for side in shape):
            raise ValueError("the shape is none")
        images, three, classes = shape
        if not (0 < images <= MOST_IMAGES and three == 3 and 0 < classes <= MOST_CLASSES):
            raise ValueError(f"the shape {shape} cannot be")
        size = 8 * images * three * classes
        try:
            packed = base64.b64decode(kept["pixels"], validate=True)
            data = zlib.decompressobj().decompress(packed, size + 1)
        except (KeyError, TypeError, binascii.Error, zlib.error) as error:
            raise ValueError("the pixels cannot be unpacked") from error
        if len(data) != size:
            raise ValueError("there are more or fewer pixels than images")
        pixels = np.frombuffer(data, "<i8").reshape(images, three, classes).astype(np.int64)
        right, true, predicted = pixels.min(axis=0).min(axis=1)
        if min(right, true, predicted) < 0 or (pixels[:, :1] > pixels[:, 1:]).any() or pixels.max() > 2**40:
            raise ValueError("the pixels are no counts")
        return cls(pixels, str(kept.get("images")), _sequences(kept, images))


def _sequences(kept: Mapping[str, Any], images: int) -> tuple[str, ...] | None:
    if "sequences" not in kept:
        return None
    known, places = kept["sequences"], kept.get("sequence_of")
    if not isinstance(known, list) or not isinstance(places, list) or len(places) != images:
        raise ValueError("the sequences are not those of the images")
    if not all(type(place) is int and 0 <= place < len(known) for place in places):
        raise ValueError("an image is of a sequence that there is not")
    return tuple(str(known[place]) for place in places)
