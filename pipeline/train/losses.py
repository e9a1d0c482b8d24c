"""What training makes small. Each is a mean: over crops, or over pixels that have a class."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from pipeline import doors
from pipeline.datasets.base import VOID
from pipeline.geometry.tensors import uniform

AT_BOUNDARY = 5.0
"""Weight of samples at boundaries in the loss of that name."""

SMALLEST_AREA = 1e-3
"""Of a cell, in units of the mean cell, in the loss: one that is folded has none."""


def squared_distance(phi: Tensor, proposal: Tensor) -> Tensor:
    """Squared L2 distance to the proposal (section 3.1), mean over crops.

    Parameters
    ----------
    phi
        Predictions (B, 2, h, w), not projected.
    proposal
        phi~, same shape; u where a crop has no boundary.
    """
    return (phi - proposal).square().sum(dim=(1, 2, 3)).mean()


def energy(phi: Tensor, b: Tensor, lam: float) -> Tensor:
    """Energy (2) of the prediction under constraints (3), mean over crops.

    The constrained sides are overwritten before the energy is taken, as they are when the network is used;
    clipping is not needed, since the minimiser lies in [0, 1] by itself. So this loss and
    `squared_distance` are made least by the same tensor, the proposal.

    Parameters
    ----------
    phi
        Predictions (B, 2, h, w), not projected.
    b
        Nearest boundaries, same shape; NaN where a crop has none. Its points are then drawn to their own
        places in the uniform tensor, so that u is the minimiser for it too.
    lam
        Weight of the smoothness term; each pair of neighbours counts once.
    """
    held = hold_sides(phi)
    u = torch.tensor(uniform(*phi.shape[-2:]), dtype=phi.dtype, device=phi.device)
    data = (held - torch.where(b.isnan(), u, b.to(phi.dtype))).square().sum(dim=(1, 2, 3))
    smoothness = sum(held.diff(dim=axis).square().sum(dim=(1, 2, 3)) for axis in (-1, -2))
    total: Tensor = data + lam * smoothness
    return total.mean()


def hold_sides(phi: Tensor) -> Tensor:
    """Overwrite the four sides that constraints (3) fix; nothing is clipped. (B, 2, h, w) to the same."""
    held = phi.clone()
    held[:, 0, 0], held[:, 0, -1] = 0, 1
    held[:, 1, :, 0], held[:, 1, :, -1] = 0, 1
    return held


def cross_entropy(scores: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Softmax cross-entropy on the sampled label map, mean over the samples that are not void.

    Parameters
    ----------
    scores
        (B, C, h, w).
    labels
        (B, h, w) train ids, 255 void. A batch of void alone has a loss of 0.
    weights
        (B, h, w) of samples: the mean is the weighted one, so that only ratios matter.
    """
    target, known = labels.long(), labels != VOID
    if weights is None:
        total = functional.cross_entropy(scores.float(), target, ignore_index=VOID, reduction="sum")
        return total / known.sum().clamp(min=1)
    each = functional.cross_entropy(scores.float(), target, ignore_index=VOID, reduction="none")
    weight = weights.where(known, 0)
    total = weight.sum()
    return (each * weight).sum() / total.where(total > 0, 1)


def near_boundaries(scores: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """`cross_entropy` with samples at boundaries weighing `AT_BOUNDARY` times as much; same parameters."""
    more = torch.where(at_boundary(labels), AT_BOUNDARY, 1.0)
    return cross_entropy(scores, labels, more if weights is None else more * weights)


def at_boundary(labels: Tensor) -> Tensor:
    """Samples with another label (void is one) beside, above or below: (B, h, w) to bool of that shape."""
    found = torch.zeros_like(labels, dtype=torch.bool)
    down, across = labels[:, 1:] != labels[:, :-1], labels[:, :, 1:] != labels[:, :, :-1]
    found[:, 1:] |= down
    found[:, :-1] |= down
    found[:, :, 1:] |= across
    found[:, :, :-1] |= across
    return found


def sample_weights(
    labels: Tensor, by_class: Tensor | None, areas: Tensor | None, power: float
) -> Tensor | None:
    """Weights of samples in a base network's loss; None where all are alike.

    Parameters
    ----------
    labels
        (B, h, w) train ids, 255 void.
    by_class
        (C,) weights by train id.
    areas
        (B, h, w) of the samples' cells, in any unit; their `power` is a factor.
    """
    if by_class is None and areas is None:
        return None
    found = torch.ones(labels.shape, device=labels.device)
    if by_class is not None:
        found = by_class[labels.long().where(labels != VOID, 0)]
    return found if areas is None else found * areas.float().clamp(min=SMALLEST_AREA) ** power


BaseLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Of scores (B, C, h, w), train ids (B, h, w), and weights of samples (B, h, w) or None: a number."""

BASE: dict[str, BaseLoss] = {"cross-entropy": cross_entropy, "boundary": near_boundaries}
"""The base network's, by the names that --loss takes."""


def base(name: str) -> BaseLoss:
    """A loss of the base network: one of adaprep's, or the user's own as ``package.module:function``.

    Raises
    ------
    AdaprepError
        There is none of that name, or the user's own cannot be imported.
    """
    return BASE.get(name) or doors.opened(name, "loss of the base network", BASE)


Loss = Callable[[Tensor, Mapping[str, Tensor], float], Tensor]
"""Of predicted tensors (B, 2, h, w), a batch, and lambda: a number. The batch holds `image` (B, 3, r, r), the
proposals `phi` and the nearest boundaries `b`, both (B, 2, h, w); NaN in `b` where a crop has no boundary."""


def _to_proposal(phi: Tensor, batch: Mapping[str, Tensor], lam: float) -> Tensor:
    return squared_distance(phi, batch["phi"])


def _of_energy(phi: Tensor, batch: Mapping[str, Tensor], lam: float) -> Tensor:
    return energy(phi, batch["b"], lam)


AUXILIARY: dict[str, Loss] = {"proposal": _to_proposal, "energy": _of_energy}
"""The auxiliary network's, by the names that --aux-loss takes."""


def auxiliary(name: str) -> Loss:
    """A loss of the auxiliary network: one of adaprep's, or the user's own as ``package.module:function``.

    Raises
    ------
    AdaprepError
        There is none of that name, or the user's own cannot be imported.
    """
    return AUXILIARY.get(name) or doors.opened(name, "loss of the auxiliary network", AUXILIARY)
