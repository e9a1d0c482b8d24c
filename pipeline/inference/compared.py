"""The systems of one comparison: a base network sampled in several ways, and the baseline beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import AdaprepError
from pipeline.inference.systems import (
    System,
    check_classes,
    kind_of,
    load_base,
    open_system,
    with_feedback,
    with_proposals,
)
from pipeline.samplers.uniform import Uniform

if TYPE_CHECKING:
    import torch

    from pipeline.datasets.base import Dataset
    from pipeline.networks.checkpoint import Checkpoint


@dataclass(frozen=True)
class Networks:
    """The checkpoints of a comparison."""

    base: Path
    auxiliary: Path | None = None  # that says where `base` is sampled
    behind: Path | None = None  # likewise in training; says the proposals that `base` goes back to
    baseline: Path | None = None  # of uniform samples
    first: Path | None = None  # of uniform samples, for the first of two passes; `baseline` where None


def open_systems(
    dataset: Dataset,
    networks: Networks,
    proposals: bool,
    device: torch.device,
    factories: Sequence[str] = (),
    feedback: Sequence[str] = (),
) -> tuple[list[System], list[str]]:
    """What is to be compared on a data set, the baseline first, and notes about it.

    Raises
    ------
    AdaprepError
        A checkpoint is of other classes, of another data set, or of another sampler than its place asks for.
    """
    found, auxiliary = load_base(networks.base), networks.auxiliary
    check_classes(found, dataset.name, dataset.classes.names)
    baseline = of_uniform(networks.baseline, "--baseline", dataset)
    first = of_uniform(networks.first, "--first", dataset) or baseline
    systems: list[System] = []
    notes: list[str] = []
    if baseline is not None:
        systems.append(replace(open_system(baseline, None, device, factories=factories)[0], name="baseline"))
    if auxiliary is not None or not (proposals or feedback):
        system, notes = open_system(found, auxiliary, device, ", or --proposals", factories)
        systems.append(system)
    behind = auxiliary or networks.behind
    if proposals:
        systems.append(with_proposals(found, behind, device, factories))
    systems += [with_feedback(found, name, device, factories, first, behind) for name in feedback]
    return systems, notes


def of_uniform(path: Path | None, flag: str, dataset: Dataset) -> Checkpoint | None:
    """A base network of uniform samples of a data set; None where none is given.

    Raises
    ------
    AdaprepError
        It was trained on other samples, other classes or another data set.
    """
    if path is None:
        return None
    found = load_base(path)
    check_classes(found, dataset.name, dataset.classes.names)
    if kind_of(found).role != Uniform.role:
        raise AdaprepError(
            f"{flag} {path} was trained on samples of the sampler {found.about['sampler']!r}: "
            f"give a base network trained with --sampler uniform."
        )
    return found
