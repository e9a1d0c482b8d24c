"""Segmentation networks and the auxiliary network.

A base network maps (B, 3, h, w) to scores (B, classes, h, w) at any h and w. `factory.build` makes one by
name and puts the normalisation of images into it, so that what it returns takes uint8 images, or floats on
the same scale of 0 to 255. The auxiliary network maps (B, 3, r, r), likewise, to a sampling tensor.
"""

from importlib.util import find_spec

from pipeline.errors import AdaprepError


def need_torch() -> None:
    """Raise AdaprepError unless what networks need is installed."""
    if absent := [name for name in ("torch", "timm") if find_spec(name) is None]:
        raise AdaprepError(
            f"running networks needs {' and '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} not "
            f"installed. Run: pip install 'adaprep[train]'"
        )
