"""The exact minimiser of energy (2) as a layer of a network: pulls and weights in, a sampling tensor out.

Each point (i, j) is drawn to a target t_ij with a weight w_ij > 0 of its own:

    E(phi) = sum_ij w_ij |phi_ij - t_ij|^2 + lambda * sum over neighbouring pairs |phi_ij - phi_kl|^2

subject to constraints (3). As in `pipeline.geometry.energy`, the two components do not meet, and the
difference d = phi - u solves ``(W + lambda L) d = W (t - u)`` with zeros on the constrained sides. Weights
that differ by point rule out its transform. From one constrained side to the other the system is tridiagonal
in blocks, one per line of the grid, and symmetric positive definite, so blocks are eliminated in order
without pivoting. That is exact, differentiable, and of operations that ONNX knows.
"""

import torch
from torch import Tensor

from pipeline.geometry.tensors import uniform


def minimise(target: Tensor, weight: Tensor, lam: float) -> Tensor:
    """The sampling tensor that minimises the weighted energy under constraints (3).

    Parameters
    ----------
    target
        t, (B, 2, h, w), h and w at least 2. Where all of it lies in [0, 1], so does the result (discrete
        maximum principle), up to rounding.
    weight
        w, (B, h, w), above 0. With 1 everywhere the result is `pipeline.geometry.energy.solve`.
    lam
        Weight of the smoothness term, finite and at least 0; each pair of neighbours counts once.

    Returns
    -------
    Tensor
        phi, (B, 2, h, w). Its constrained sides are exactly 0 and 1.
    """
    h, w = target.shape[-2:]
    u = torch.tensor(uniform(h, w), dtype=target.dtype, device=target.device)
    pulls = [(target - u)[:, 0, 1:-1], (target - u)[:, 1, :, 1:-1].mT]
    weights = [weight[:, 1:-1], weight[:, :, 1:-1].mT]
    if h == w:  # both components at once
        parts = relax(torch.cat(pulls), torch.cat(weights), lam).chunk(2)
    else:
        parts = tuple(relax(*pair, lam) for pair in zip(pulls, weights, strict=True))
    down, across = (torch.nn.functional.pad(part, (0, 0, 1, 1)) for part in parts)
    return u + torch.stack([down, across.mT], dim=1)


def relax(pull: Tensor, weight: Tensor, lam: float) -> Tensor:
    """Solve ``(W + lambda L) d = W pull`` with zeros before the first line and after the last.

    Parameters
    ----------
    pull
        (B, m, n): m lines between two constrained sides, n points along them.
    weight
        Same shape, above 0.
    lam
        As for `minimise`.

    Returns
    -------
    Tensor
        d, same shape.

    Notes
    -----
    Both sides are divided by 1 + lambda, so that any lambda suits single precision.
    """
    lines, points = pull.shape[-2:]
    own, joint = weight / (1 + lam), lam / (1 + lam)
    within = joint * _line(points, pull)
    inverses: list[Tensor] = []
    solved: list[Tensor] = []
    for k in range(lines):
        block = torch.diag_embed(own[:, k]) + within
        right = own[:, k] * pull[:, k]
        if inverses:
            block, right = block - joint**2 * inverses[-1], right + joint * solved[-1]
        inverses.append(inverse(block))
        solved.append(_product(inverses[-1], right))
    for k in reversed(range(lines - 1)):
        solved[k] = solved[k] + joint * _product(inverses[k], solved[k + 1])
    return torch.stack(solved, dim=1) if solved else pull


def inverse(matrix: Tensor) -> Tensor:
    """The inverse of symmetric positive definite matrices (..., n, n).

    In an exported program by Gauss-Jordan elimination, since ONNX has no inverse.
    """
    if torch.compiler.is_compiling():
        return eliminate(matrix)
    found: Tensor = torch.linalg.inv_ex(matrix).inverse
    return found


def eliminate(matrix: Tensor) -> Tensor:
    """The same by n steps of Gauss-Jordan elimination, without pivoting."""
    points = matrix.shape[-1]
    places = torch.eye(points, dtype=torch.bool, device=matrix.device)
    for k in range(points):
        here = places[k]
        column, row = matrix[..., k : k + 1], matrix[..., k : k + 1, :]
        scaled = torch.where(here, 1.0, row) / row[..., k : k + 1]
        rest = torch.where(here, 0.0, matrix) - column * scaled
        matrix = torch.where(here[:, None], scaled, rest)
    return matrix


def _line(points: int, like: Tensor) -> Tensor:
    """(n, n) L of one line: free at both ends, with a neighbour before and after every point."""
    near = torch.ones(points - 1, dtype=like.dtype, device=like.device)
    neighbours = torch.diag(near, 1) + torch.diag(near, -1)
    return torch.diag(neighbours.sum(0) + 2) - neighbours


def _product(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector[..., None])[..., 0]
