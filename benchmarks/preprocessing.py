"""Rows 1 and 2 of the performance table: one label map from file to proposal, and proposals by the 100,000.

    python -m benchmarks.preprocessing [--label FILE]... [--rounds 15] [--json]

All contestants take turns in one process and on one thread, on the same file in a warm cache; compiled code
is loaded before. Processor times are medians over the rounds, ratios are of those medians.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before NumPy loads its BLAS

import json  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterable, Mapping  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import click  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402
from scipy import sparse  # noqa: E402
from scipy.ndimage import distance_transform_edt  # noqa: E402
from scipy.sparse.linalg import spsolve  # noqa: E402
from skimage.segmentation import find_boundaries  # noqa: E402

from benchmarks.street import street_map  # noqa: E402
from pipeline.datasets import png, readers  # noqa: E402
from pipeline.datasets.apolloscape import ApolloScape  # noqa: E402
from pipeline.geometry.boundaries import boundary_pixels, boundary_pixels_of_strips, crop_pixels  # noqa: E402
from pipeline.geometry.crops import central_view, offsets, side  # noqa: E402
from pipeline.geometry.energy import solve  # noqa: E402
from pipeline.geometry.nearest import nearest_pixels  # noqa: E402
from pipeline.geometry.proposal import propose  # noqa: E402
from pipeline.geometry.tensors import uniform  # noqa: E402

GRID = 8
LAMBDA = 1.0
TABLE = ApolloScape.table
Floats = NDArray[np.float64]
Labels = NDArray[np.uint8] | NDArray[np.uint16]


def proposal_of_file(path: Path) -> Floats:
    """(2, 8, 8) what this project does: file to proposal of the central crop."""
    return proposal(readers.id_strips(path.read_bytes(), path))


def proposal(strips: Iterable[Labels]) -> Floats:
    """(2, 8, 8) the part of it after the decode: of a whole map, or of its strips as they are decoded."""
    pixels, shape = boundary_pixels_of_strips(strips, TABLE.lut, TABLE.targets)
    top, left, size = central_crop(shape)
    inside = crop_pixels(pixels, top, left, size)
    b = nearest_pixels(inside.rows, inside.cols, (size, size), (GRID, GRID)) / (size - 1)
    return solve(b, LAMBDA)


def inflate_file(path: Path) -> None:
    """What decoding begins with: the filtered rows of a PNG, a strip after another."""
    data = path.read_bytes()
    header = png.parse_header(data, path)
    stream = png._Inflater(png._chunks(data, path)[0], header, path)
    for begin in range(0, header.stream_bytes, png.STRIP_BYTES):
        stream.read(min(png.STRIP_BYTES, header.stream_bytes - begin))


def read_strips(path: Path) -> None:
    """The decode alone, a strip after another in the same memory."""
    for _ in readers.id_strips(path.read_bytes(), path):
        pass


def central_crop(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """First row and column of the central crop, and its side."""
    height, width = shape
    ((top, left),) = offsets(height, width, 1)
    return top, left, side(height, width)


class Reference:
    """The same after the decode, composed of what scikit-image and SciPy offer.

    It is given every advantage: ids are mapped and searched within the crop alone, the cheapest mode of
    `find_boundaries` is taken, no distances are computed beside the indices, and the matrices are made once.
    It reads the distance transform at the pixel nearest to each grid point, as it has to.
    """

    def __init__(self) -> None:
        self.target = np.zeros(256, bool)
        self.target[list(TABLE.targets)] = True
        self.lut = TABLE.lut[:256].copy()
        self.systems = [self._system(component) for component in range(2)]

    def proposal(self, labels: Labels) -> Floats:
        """(2, 8, 8)."""
        boundary = self.boundary(labels)
        last = boundary.shape[0] - 1
        indices = distance_transform_edt(~boundary, return_distances=False, return_indices=True)
        y, x = np.rint(uniform(GRID, GRID) * last).astype(int)
        return self.solve(indices[:, y, x] / last)

    def boundary(self, labels: Labels) -> NDArray[np.bool_]:
        """(S, S) target boundary of the central crop."""
        top, left, size = central_crop(labels.shape)
        train = self.lut[labels[top : top + size, left : left + size]]
        return np.asarray(find_boundaries(train, connectivity=1, mode="thick") & self.target[train])

    def solve(self, b: Floats) -> Floats:
        """(2, 8, 8) proposal for nearest boundaries b, by a sparse solver."""
        phi = uniform(GRID, GRID)
        for component, (free, matrix, constant) in enumerate(self.systems):
            phi[component][free] = spsolve(matrix, b[component][free] + constant)
        return phi

    @staticmethod
    def _system(component: int) -> tuple[NDArray[np.bool_], Any, Floats]:
        """Unknowns (8, 8), normal equations of energy (2) in them, and what the constrained sides add."""
        step = sparse.csr_array(np.diff(np.eye(GRID), axis=0))
        one = sparse.eye_array(GRID)
        pairs = sparse.vstack([sparse.kron(step, one), sparse.kron(one, step)]).tocsr()
        hessian = (sparse.eye_array(GRID**2) + LAMBDA * (pairs.T @ pairs)).tocsr()
        free = np.ones((GRID, GRID), bool)
        np.moveaxis(free, component, 0)[[0, -1]] = False
        rows = hessian[free.ravel()]
        pinned = uniform(GRID, GRID)[component][~free]
        return free, rows[:, free.ravel()].tocsc(), -(rows[:, ~free.ravel()] @ pinned)


def check_same(labels: Labels, reference: Reference) -> int:
    """Make sure that both sides compute the same thing; returns the boundary pixels in the crop."""
    pixels = boundary_pixels(labels, TABLE.lut, TABLE.targets)
    if pixels.unknown:
        raise click.ClickException(f"ids {pixels.unknown} are not ApolloScape's")
    inside = crop_pixels(pixels, *central_crop(labels.shape))
    found = np.zeros((min(labels.shape),) * 2, bool)
    found[inside.rows, inside.cols] = True
    if not found.any():
        raise click.ClickException("the map has no target boundary in its central crop: nothing to measure")
    if not np.array_equal(found, reference.boundary(labels)):
        raise AssertionError("the reference finds another boundary")
    b = np.random.default_rng(0).random((2, GRID, GRID))
    if np.abs(solve(b, LAMBDA) - reference.solve(b)).max() > 1e-9:
        raise AssertionError("the reference finds another minimum")
    return int(found.sum())


def medians(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each; they take turns, and the first turn does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, contestant in contestants.items():
            begun = time.process_time()
            contestant()
            if turn:
                seconds[name].append(time.process_time() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure_file(path: Path, rounds: int) -> dict[str, Any]:
    """Row 1 for one label map."""
    labels = readers.read_ids(path)
    square = np.ascontiguousarray(central_view(TABLE.lut[labels]))
    reference = Reference()
    count = check_same(labels, reference)
    times = medians(
        {
            "pillow_decode": lambda: Image.open(path).load(),
            "file_to_proposal": lambda: proposal_of_file(path),
            "inflate": lambda: inflate_file(path),
            "decode": lambda: readers.read_ids(path),
            "decode_in_strips": lambda: read_strips(path),
            "boundary_pixels": lambda: boundary_pixels(labels, TABLE.lut, TABLE.targets),
            "after_decode": lambda: proposal([labels]),
            "propose": lambda: propose(square, TABLE.targets),
            "reference_after_decode": lambda: reference.proposal(labels),
        },
        rounds,
    )
    return {
        "file": path.name,
        "size": f"{labels.shape[1]} x {labels.shape[0]}",
        "boundary_pixels_in_crop": count,
        **{f"{name}_ms": round(1000 * value, 2) for name, value in times.items()},
        "file_to_proposal_over_pillow_decode": round(times["file_to_proposal"] / times["pillow_decode"], 3),
        "reference_over_after_decode": round(times["reference_after_decode"] / times["after_decode"], 1),
    }


def measure_proposals(count: int, rounds: int) -> dict[str, Any]:
    """Row 2: seconds for many proposals at once."""
    b = np.random.default_rng(0).random((count, 2, GRID, GRID))
    times = medians({"solve": lambda: solve(b, LAMBDA)}, rounds)
    return {"proposals": count, "seconds": round(times["solve"], 3)}


@click.command()
@click.option(
    "--label", "labels", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--seed", default=0, show_default=True, help="Of the drawn map, where no --label is given.")
@click.option("--rounds", default=15, show_default=True, help="Turns of each contestant.")
@click.option("--proposals", default=100_000, show_default=True, help="Proposals of row 2.")
@click.option("--json", "as_json", is_flag=True)
def main(labels: tuple[Path, ...], seed: int, rounds: int, proposals: int, as_json: bool) -> None:
    """Measure and print. --label takes PNG maps of ApolloScape ids, such as apolloscape_from_masks makes."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / f"street-{seed}.png"
        if not labels:
            Image.fromarray(street_map(seed)).save(drawn)
        found = [measure_file(path, rounds) for path in labels or (drawn,)]
    row_2 = measure_proposals(proposals, 5)
    if as_json:
        click.echo(json.dumps({"row_1": found, "row_2": row_2}, indent=2))
        return
    for row in (*found, row_2):
        click.echo("\n".join(f"{name}: {value}" for name, value in row.items()) + "\n")


if __name__ == "__main__":
    main()
