"""`adaprep verify`: holds the stores against the sources and against the definitions, by other means.

What the stages compute with compiled walks and fast transforms is computed again here the plain way: the
boundary from its definition, the nearest boundary by trying every boundary pixel, and the minimum of
energy (2) from its gradient, which must vanish wherever no constraint holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import stores
from pipeline.errors import AdaprepError, FileError
from pipeline.stages import inputs as listing
from pipeline.stages.frame import process_frame, source_of

PHI_ROUNDING = 1e-6
"""phi is stored as float32: twice the largest rounding of a number in [0, 1], with room for sums."""


@dataclass
class Finding:
    """One thing that was checked, on how much, and what did not hold."""

    what: str
    checked: int
    unit: str
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        return {"what": self.what, "checked": self.checked, "unit": self.unit, "problems": self.problems}


def plain_boundary(train: NDArray[np.uint8], targets: Sequence[int]) -> NDArray[np.bool_]:
    """Target boundary of an (S, S) crop of train ids, straight from its definition."""
    differs = np.zeros(train.shape, bool)
    differs[1:] |= train[1:] != train[:-1]
    differs[:-1] |= train[1:] != train[:-1]
    differs[:, 1:] |= train[:, 1:] != train[:, :-1]
    differs[:, :-1] |= train[:, 1:] != train[:, :-1]
    return np.asarray(differs & np.isin(train, list(targets)))


def plain_nearest(boundary: NDArray[np.bool_], grid: tuple[int, int]) -> NDArray[np.float64]:
    """B (2, h, w) of an (S, S) boundary map by trying every boundary pixel for every grid point."""
    rows, cols = np.nonzero(boundary)
    side = len(boundary) - 1
    h, w = grid
    b = np.empty((2, h, w))
    for i in range(h):
        for j in range(w):
            # scaled by (h-1)(w-1) so that distances are whole numbers and ties are exact
            down = (rows * (h - 1) - i * side) * (w - 1)
            right = (cols * (w - 1) - j * side) * (h - 1)
            best = int(np.argmin(down * down + right * right))  # row order: ties go to the first
            b[:, i, j] = rows[best] / side, cols[best] / side
    return b


def gradient(phi: NDArray[np.float64], b: NDArray[np.float64], lam: float) -> NDArray[np.float64]:
    """Half the gradient of energy (2), zero where constraints (3) hold phi; shape of phi (..., 2, h, w)."""
    slope = phi - b
    for axis in (-2, -1):
        step = lam * np.diff(phi, axis=axis)
        before, after = [[(0, 0)] * phi.ndim for _ in range(2)]
        before[axis], after[axis] = (1, 0), (0, 1)
        slope += np.pad(step, before) - np.pad(step, after)
    slope[..., 0, [0, -1], :] = 0
    slope[..., 1, :, [0, -1]] = 0
    return np.asarray(slope)


def constraint_problems(phi: NDArray[Any]) -> list[str]:
    """What of constraints (3) does not hold for tensors (..., 2, h, w)."""
    problems = []
    if not np.isfinite(phi).all():
        problems.append("values that are not numbers")
    if (phi < 0).any() or (phi > 1).any():
        problems.append(f"values outside [0, 1]: {phi.min()} to {phi.max()}")
    sides = {
        "phi0 = 0 on the first row": (phi[..., 0, 0, :], 0),
        "phi0 = 1 on the last row": (phi[..., 0, -1, :], 1),
        "phi1 = 0 on the first column": (phi[..., 1, :, 0], 0),
        "phi1 = 1 on the last column": (phi[..., 1, :, -1], 1),
    }
    return problems + [
        f"{name} does not hold" for name, (side, value) in sides.items() if (side != value).any()
    ]


def run(
    folder: stores.SplitFolder,
    samples: int | None = 20,
    seed: int = 0,
    root: Path | None = None,
    repair: bool = False,
) -> list[Finding]:
    """Check everything one split holds. Where chunks are damaged, nothing is checked but chunks.

    Parameters
    ----------
    samples
        How many images, drawn at random, are done again from their sources; None: all, and every chunk is
        read.
    root
        Where the data set lies now, if it has moved.
    repair
        Read every chunk, and make blocks to do again where one is damaged.
    """
    found = listing.load(folder, root)
    with folder.lock() if repair else nullcontext():
        chunks = [
            _chunks(path, command, samples is None or repair, repair)
            for path, command in _stores(folder, found)
        ]
    if not all(finding.ok for finding in chunks):
        return chunks
    store = stores.open_store(folder.boundaries, mode="r")
    findings = [*chunks, _fingerprint(found, store)]
    done = np.flatnonzero(store.status()[: len(found)] == stores.DONE)
    chosen = done
    if samples is not None and samples < len(done):
        chosen = np.sort(np.random.default_rng(seed).choice(done, samples, replace=False))
    findings += _boundaries(found, store, [int(i) for i in chosen])
    for path in folder.tensor_stores():
        findings += _tensors(path, store)
    return findings


def _stores(folder: stores.SplitFolder, found: listing.Inputs) -> list[tuple[Path, str]]:
    """Every store of a split, and what makes it again."""
    dataset = getattr(found.dataset, "source", found.dataset.name)
    made = [(folder.boundaries, f"adaprep boundaries --dataset {dataset}")]
    made += [(path, "adaprep solve-tensors as before") for path in folder.tensor_stores()]
    made += [(path, "adaprep sample, or train, as before") for path in sorted(folder.samples.glob("*.zarr"))]
    return made


def _chunks(path: Path, command: str, read: bool, repair: bool) -> Finding:
    """Whether the chunks of finished blocks are there and, if they are read, sound."""
    store = stores.open_store(path)
    checked, damaged = 0, []
    for start, stop in store.blocks():
        files, problem = _damage(store, start, stop, read)
        checked += files
        if problem:
            damaged.append(f"images {start} to {stop}: {problem}")
            if repair:
                store.forget(start, stop)
    finding = Finding(f"{path.stem}: chunks are {'sound' if read else 'there'}", checked, "files")
    if damaged:
        first = "they are to do again now; run:" if repair else "run: adaprep verify --repair   and then:"
        blocks = "1 block is" if len(damaged) == 1 else f"{len(damaged)} blocks are"
        finding.problems = [f"{blocks} damaged; {first} {command}", *damaged]
    return finding


def _damage(store: stores.Store, start: int, stop: int, read: bool) -> tuple[int, str]:
    """How many files of a block were looked at, and the first thing that is wrong with them."""
    try:
        if not store["status"][start:stop].any():
            return 0, ""  # not finished, so what lies there does not count
        files = store.files(start, stop)
        for file in files:
            if not file.exists() or not file.stat().st_size:
                return len(files), f"{file} is {'empty' if file.exists() else 'missing'}"
        if read:
            for name in store.arrays:
                for i in range(start, stop, store.layout.shard):
                    store[name][i : min(i + store.layout.shard, stop)]
    except AdaprepError as error:
        return 1, str(error.__cause__ or error)
    return len(files), ""


def _fingerprint(found: listing.Inputs, store: stores.Store) -> Finding:
    finding = Finding("the input list is the one the store was made from (SHA-256)", len(found), "images")
    if found.attributes != store.inputs:
        finding.problems.append(f"{store.path} was made from another list: run adaprep boundaries again")
    return finding


def _boundaries(found: listing.Inputs, store: stores.Store, chosen: Sequence[int]) -> list[Finding]:
    files = Finding("label files are unchanged (size and hash)", len(chosen), "label files")
    again = Finding("maps, b, flags and counts made again from the label files are the same", 0, "images")
    plain = Finding("b is the nearest boundary pixel (definition, every pixel tried)", 0, "crops")
    grid = (int(store["b"].shape[-2]), int(store["b"].shape[-1]))
    crops = int(store["b"].shape[1])
    for i in chosen:
        frame = found.frames[i]
        try:
            if (source_of(frame.label) != store["source"][i]).any():
                files.problems.append(f"{frame.label} has changed: run adaprep boundaries again")
                continue
            made = process_frame(found.dataset, frame, grid, crops)
            if (made.source != store["source"][i]).any():
                raise FileError(f"{frame.label} has changed meanwhile: run adaprep boundaries again")
        except FileError as error:
            files.problems.append(str(error))
            continue
        again.checked += 1
        height, columns = made.packed.shape[1:]
        same = np.array_equal(store["packed"][i][:, :height, :columns], made.packed) and all(
            np.array_equal(store[name][i], getattr(made, name), equal_nan=name == "b")
            for name in ("b", "has_boundary", "pixels", "size")
        )
        if not same:
            again.problems.append(f"{frame.name}: the store holds something else")
        plain.checked += crops
        plain.problems += _plain_problems(found, i, store["b"][i], store["pixels"][i])
    return [files, again, plain]


def _plain_problems(
    found: listing.Inputs, index: int, b: NDArray[np.float64], pixels: NDArray[np.int32]
) -> list[str]:
    from pipeline.geometry.crops import offsets

    frame, classes = found.frames[index], found.dataset.classes
    train = classes.lut[found.dataset.read_labels(frame)]
    side = min(train.shape)
    problems = []
    for k, (top, left) in enumerate(offsets(train.shape[0], train.shape[1], len(b))):
        crop = train[top : top + side, left : left + side]
        boundary = plain_boundary(crop, classes.targets)
        if [int((boundary & (crop == t)).sum()) for t in classes.targets] != pixels[k].tolist():
            problems.append(f"{frame.name}, crop {k}: other boundary pixels by the definition")
        elif boundary.any() and not np.array_equal(plain_nearest(boundary, (b.shape[2], b.shape[3])), b[k]):
            problems.append(f"{frame.name}, crop {k}: another pixel is nearer")
    return problems


def _tensors(path: Path, source: stores.Store) -> list[Finding]:
    from pipeline.geometry.tensors import folded_cells, uniform

    store = stores.open_store(path, mode="r")
    lam, name = float(store.parameters["lambda"]), path.stem
    constraints = Finding(f"{name}: constraints (3) and range hold", 0, "crops")
    minimum = Finding(f"{name}: phi minimises energy (2) (gradient within rounding)", 0, "crops")
    folded = Finding(f"{name}: folded cells counted again", 0, "crops")
    current = Finding(f"{name}: solved from the boundaries as they are now", 0, "images")
    status = store.status()
    for start, stop in store.blocks():
        rows = np.flatnonzero(status[start:stop] == stores.DONE)
        if not len(rows):
            continue
        phi = np.asarray(store["phi"][start:stop][rows], np.float64)
        has = store["has_boundary"][start:stop][rows]
        u = uniform(*phi.shape[-2:])
        b = np.where(has[..., None, None, None], store["b"][start:stop][rows], u)
        for finding in (constraints, minimum, folded):
            finding.checked += has.size
        current.checked += len(rows)
        constraints.problems += [f"images {start} to {stop}: {p}" for p in constraint_problems(phi)]
        slope = float(np.abs(gradient(phi, b, lam)).max())
        if slope > PHI_ROUNDING * (1 + 8 * lam):
            minimum.problems.append(f"images {start} to {stop}: gradient {slope:.2g}")
        if (folded_cells(phi).sum(axis=(-2, -1)) != store["folded"][start:stop][rows]).any():
            folded.problems.append(f"images {start} to {stop}: other counts")
        if (store["source"][start:stop][rows] != source["source"][start:stop][rows]).any():
            current.problems.append(f"images {start} to {stop}: run adaprep solve-tensors again")
    return [constraints, minimum, folded, current]
