"""What stands between adaprep and networks of any origin: images of 0 to 255 in, scores per pixel out."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import SizeError
from pipeline.networks.blocks import IMAGENET_MEAN, IMAGENET_STD, Normalise, resize_to
from pipeline.networks.points import CHANNELS, check_channels

ENTRIES = ("logits", "out")
"""Of a collection, where the scores are: as transformers and torchvision call them."""

MULTIPLES = (2, 4, 8, 16, 32, 64)
"""Of pixels, that an encoder may ask for; tried in this order."""

USUAL_SIDES = (64, 96, 112, 128, 192, 224, 256, 384, 448, 512)
"""Resolutions that a network of one fixed size may be made for, looked for when it refuses another."""


class BaseNetwork(nn.Module):
    """A base network behind the normalisation of its images.

    Parameters
    ----------
    network
        Maps normalised images (B, 3, h, w) to scores (B, classes, h', w'), or to a collection that holds them
        as ``logits`` or ``["out"]``. It may have the attributes `mean`, `std` and `multiple`.
    mean, std
        The normalisation it expects; ImageNet's by default.
    multiple
        Its images are padded to a multiple of so many pixels, and its scores cut again; 1 by default.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        multiple: int | None = None,
    ) -> None:
        super().__init__()
        own: dict[str, Any] = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "multiple": 1}
        said = {name: getattr(network, name, default) for name, default in own.items()}
        self.normalise = Normalise(
            said["mean"] if mean is None else mean, said["std"] if std is None else std
        )
        self.multiple = int(said["multiple"] if multiple is None else multiple)
        self.network = network

    @property
    def tensor_channels(self) -> bool:
        """Whether it expects the channels of the sampling tensor beside the image (`networks.points`)."""
        return getattr(self.network, "in_channels", 3) == 3 + CHANNELS

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) of uint8, or of floats on the same scale of 0 to 255, to scores (B, classes, h, w).

        With tensor channels the images are (B, 6, h, w), as `points.shown` joins them. Scores of fewer pixels
        than the images are resized bilinearly, corner-aligned.
        """
        h, w = images.shape[-2:]
        check_channels(images, self.tensor_channels)
        normalised = self.normalise(images[:, :3])
        if self.tensor_channels:
            normalised = torch.cat([normalised, images[:, 3:].to(normalised.dtype)], dim=1)
        padded = pad(normalised, self.multiple)
        scores = scores_of(self.network(padded))
        if not isinstance(scores, Tensor) or scores.dim() != 4:
            return scores  # type: ignore[no-any-return]
        sides, wanted = scores.shape[-2:], padded.shape[-2:]
        if sides != wanted and sides[0] <= wanted[0] and sides[1] <= wanted[1]:
            scores = resize_to(scores, padded)
        cut: Tensor = scores[..., :h, :w] if padded.shape[-2:] == scores.shape[-2:] else scores
        return cut


def scores_of(result: Any) -> Any:
    """The scores in what a network returns: itself, or an entry of `ENTRIES`."""
    for name in ENTRIES:
        if isinstance(result, Mapping) and name in result:
            return result[name]
        if not isinstance(result, Tensor) and isinstance(getattr(result, name, None), Tensor):
            return getattr(result, name)
    return result


def padded_side(side: int, multiple: int) -> int:
    """The side of images after padding."""
    return -(-side // multiple) * multiple


def pad(images: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and the last column until both sides are multiples."""
    h, w = images.shape[-2:]
    more = (padded_side(w, multiple) - w, padded_side(h, multiple) - h)
    if more == (0, 0):
        return images
    return nn.functional.pad(images, (0, more[0], 0, more[1]), mode="replicate")


def settle(name: str, base: BaseNetwork, images: Tensor, option: str = "--resolution") -> str | None:
    """Find what a network pads its images to, where it refuses them as they are.

    Parameters
    ----------
    name
        Of the network, for messages.
    images
        (B, 3, h, w), as it will be shown; its mode is that of `base`.

    Returns
    -------
    str or None
        A note, where images are padded.

    Raises
    ------
    AdaprepError
        It refuses them, padded or not.
    """
    side = images.shape[-1]
    refusal = _refusal(base, images)
    if refusal is not None:
        found = next((m for m in MULTIPLES if side % m and _asks_for(base, images, m)), None)
        if found is None:
            raise _refused(name, base, images, refusal, option)
        base.multiple = found
    if side % base.multiple == 0:
        return None
    larger = padded_side(side, base.multiple)
    return (
        f"{name} takes multiples of {base.multiple} pixels: images of {side} x {side} are padded to "
        f"{larger} x {larger}, at the cost of these; {option} {larger} costs the same"
    )


def _asks_for(base: BaseNetwork, images: Tensor, multiple: int) -> bool:
    """Whether a network takes sides that are multiples of a number, and refuses one between two of them."""

    def takes(side: int) -> bool:
        return _refusal(base, images.new_zeros((*images.shape[:2], side, side))) is None

    padded = padded_side(images.shape[-1], multiple)
    return takes(padded) and takes(3 * multiple) and not takes(3 * multiple + multiple // 2)


def _refused(name: str, base: BaseNetwork, images: Tensor, refusal: Exception, option: str) -> SizeError:
    sides = (n for n in USUAL_SIDES if _refusal(base, images.new_zeros((*images.shape[:2], n, n))) is None)
    reason = str(refusal).strip().rstrip(".")
    h, w = images.shape[-2:]
    said = f"{name} cannot be applied to images of {h} x {w} pixels: {type(refusal).__name__}: {reason}."
    return SizeError(said, next(sides, None), option)


def _refusal(base: BaseNetwork, images: Tensor) -> Exception | None:
    """What a network says against images; a machine's faults are raised."""
    try:
        with torch.no_grad():
            base(images)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        if "allocate memory" in str(error):
            raise
        return error
    return None
