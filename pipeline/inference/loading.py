"""Checkpoints of `adaprep train` as one module that segments large images."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import torch

from pipeline.errors import AdaprepError
from pipeline.inference.segmenter import AdaptiveSegmenter
from pipeline.inference.systems import load_base, open_system
from pipeline.networks import checkpoint
from pipeline.storage import file_path


def load(
    base: str | PathLike[str],
    auxiliary: str | PathLike[str] | None = None,
    device: str | torch.device = "cpu",
    factories: Sequence[str] = (),
) -> AdaptiveSegmenter:
    """A trained base network with the auxiliary network that it was trained with, ready to segment.

    Parameters
    ----------
    base
        Checkpoint of a base network, such as `runs/NAME/best.pt`, here or in an object store.
    auxiliary
        Checkpoint of the network that says where it is sampled; None for a base network of uniform samples,
        or of a fixed warp.
    device
        Where both run.
    factories
        ``package.module:function`` of networks that are not adaprep's, as for `Checkpoint.build`.

    Returns
    -------
    AdaptiveSegmenter
        In evaluation mode; `segmenter.labels(images)` maps (B, 3, S, S) uint8 to (B, S, S) train ids.

    Raises
    ------
    AdaprepError
        A file is no such checkpoint, or the two do not belong together.
    """
    found, place = load_base(file_path(base)), torch.device(device)
    system, _ = open_system(
        found, file_path(auxiliary) if auxiliary is not None else None, place, factories=factories
    )
    if auxiliary is None:
        tensor = system.sampler.fixed
        if tensor is None:
            raise AdaprepError(
                f"{base} was trained with the sampler {system.sampler.kind}, which has no tensor that is the "
                f"same for every image: use `adaprep predict`, or pipeline.inference.systems.open_system."
            )
        return AdaptiveSegmenter(
            None, system.network, system.resolution, tensor=tensor, sample_filter=system.filter
        ).eval()
    helper = checkpoint.load(auxiliary, "auxiliary", place)
    network = helper.build().to(place).to(memory_format=torch.channels_last)
    chosen = str(helper.about.get("filter", "area"))
    return AdaptiveSegmenter(
        network,  # type: ignore[arg-type]
        system.network,
        system.resolution,
        chosen,
        sample_filter=system.filter,
    ).eval()
