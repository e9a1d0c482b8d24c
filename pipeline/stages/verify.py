"""`adaprep verify`: holds the stores against the sources and against the definitions, by other means.

What the stages compute with compiled walks and fast transforms is computed again here the plain way: the
boundary from its definition, the nearest boundary by trying every boundary pixel, and the minimum of
energy (2) from its gradient, which must vanish wherever no constraint holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Dataset
from pipeline.errors import AdaprepError, FileError
from pipeline.samplers import registry
from pipeline.stages import damage, engine, remembered
from pipeline.stages import inputs as listing
from pipeline.stages.damage import Finding
from pipeline.stages.frame import FrameBoundaries, LabelMap, fingerprint, process_label_map
from pipeline.workspace import disk, stores

PHI_ROUNDING = 1e-6
"""phi is stored as float32: twice the largest rounding of a number in [0, 1], with room for sums."""


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
    """Check everything one split holds. Where chunks or lists are damaged, nothing else is checked.

    Parameters
    ----------
    samples
        How many images, drawn at random, are done again from their sources; None: all, and every chunk is
        read.
    root
        Where the data set lies now, if it has moved.
    repair
        Read every chunk and every label file. Blocks that are damaged, or whose label file has changed,
        become blocks to do again; lists and descriptions are written again from what is known of them.

    Raises
    ------
    BusyError
        Something is to be repaired while another run is writing. Without `repair` that is not refused: what
        then seems wrong is said to be undecided.
    """
    if repair:
        with folder.lock():
            return _look(folder, samples, seed, root, repair)
    findings = _look(folder, samples, seed, root)
    if all(finding.ok for finding in findings):
        return findings
    writer = disk.holder(folder.path)
    if writer is None:  # one that wrote meanwhile may have ended just now
        findings, writer = _look(folder, samples, seed, root), disk.holder(folder.path)
    return findings if writer is None else [_undecided(finding, writer) for finding in findings]


def _undecided(finding: Finding, writer: str) -> Finding:
    """What seems wrong while another run is writing is no finding yet."""
    if finding.ok:
        return finding
    busy = f"cannot be told while another adaprep run is writing ({writer}); verify again when it has ended"
    return replace(finding, problems=[busy])


def _look(
    folder: stores.SplitFolder, samples: int | None, seed: int, root: Path | None, repair: bool = False
) -> list[Finding]:
    files = Files(folder, root, samples is None or repair, repair)
    return _contents(files, samples, seed) if files.usable else files.findings


class Files:
    """The split's own files: stores that are open, the list, and what was found of them."""

    def __init__(self, folder: stores.SplitFolder, root: Path | None, read: bool, repair: bool) -> None:
        self.folder, self.repair = folder, repair
        self.findings: list[Finding] = []
        self.stores: dict[Path, stores.Store] = {}
        self.commands: dict[Path, str] = {}
        dataset = _dataset(folder, root)
        usable = True
        digests: list[Finding] = []
        for path in folder.stores():
            store, problems = damage.open_or_mend(
                path, repair, damage.command_of(folder, path, dataset, None)
            )
            if problems:
                self.findings.append(Finding(f"{path.stem}: can be opened", 1, "stores", problems))
            usable &= not problems
            if store is not None:
                command = damage.command_of(folder, path, dataset, store.parameters)
                self.stores[path], self.commands[path] = store, command
                chunks, digest = damage.check_blocks(store, command, read, repair)
                usable &= chunks.ok
                self.findings.append(chunks)
                digests.append(digest)
        self.findings += digests
        trusted = repair or all(finding.ok for finding in self.findings)
        store = self.stores.get(folder.boundaries) if trusted else None
        again = self.commands.get(folder.boundaries, folder.boundaries_command() + ", as the first time")
        found, lists = damage.check_lists(folder, root, store, repair, again)
        if not lists.ok:
            self.findings.append(lists)
        self.usable = usable and found is not None
        if found is not None:
            self.found = found


def _dataset(folder: stores.SplitFolder, root: Path | None) -> Dataset | None:
    """The data set, for the commands that are advised; None where both descriptions are damaged."""
    for place in (folder.path, folder.spare):
        with suppress(AdaprepError):
            return remembered.open_dataset(folder, root, place / folder.description.name)
    return None


def _contents(files: Files, samples: int | None, seed: int) -> list[Finding]:
    """Hold what the stores say against the sources and the definitions."""
    folder, found = files.folder, files.found
    store = files.stores[folder.boundaries]
    findings = [*files.findings, _fingerprint(found, store, files.commands[store.path])]
    done = np.flatnonzero(store.status()[: len(found)] == stores.DONE)
    chosen = done
    if samples is not None and samples < len(done):
        chosen = np.sort(np.random.default_rng(seed).choice(done, samples, replace=False))
    findings += _boundaries(files, store, [int(i) for i in chosen], [int(i) for i in done])
    for path in folder.tensor_stores():
        if path in files.stores:  # others have appeared meanwhile
            findings += _tensors(files, files.stores[path], store)
    for path in folder.sample_stores():
        if path in files.stores:
            findings.append(_samples(files, files.stores[path], store))
    return findings


def _redo(files: Files, store: stores.Store, index: int, finding: Finding) -> None:
    """Make the block of an image one to do again, when repairing, and say so once."""
    if files.repair:
        start = index - index % store.layout.block
        store.forget(start, min(start + store.layout.block, store.count))
        advice = f"they are marked as not done; run: {files.commands[store.path]}"
        if advice not in finding.problems:
            finding.problems.append(advice)


def _fingerprint(found: listing.Inputs, store: stores.Store, command: str) -> Finding:
    finding = Finding("the input list is the one the store was made from (SHA-256)", len(found), "images")
    if found.attributes != store.inputs:
        finding.problems.append(f"{store.path} was made from another list; run: {command}")
    return finding


def _boundaries(
    files: Files, store: stores.Store, chosen: Sequence[int], done: Sequence[int]
) -> list[Finding]:
    found = files.found
    unchanged = Finding("label files are unchanged (size and hash)", 0, "label files")
    again = Finding("maps, b, flags and counts recomputed from the label files are the same", 0, "images")
    plain = Finding("b is the nearest boundary pixel (definition, every pixel tried)", 0, "crops")
    grid = (int(store["b"].shape[-2]), int(store["b"].shape[-1]))
    crops = int(store["b"].shape[1])
    sources, command = store["source"][: store.count], files.commands[store.path]
    wanted = frozenset(chosen)
    for i in done if files.repair else chosen:
        frame = found.frames[i]
        unchanged.checked += 1
        try:
            data = found.dataset.label_bytes(frame)
            if (fingerprint(data) != sources[i]).any():
                unchanged.problems.append(f"{frame.label} has changed; run: {command}")
                _redo(files, store, i, unchanged)
                continue
            if i not in wanted:
                continue
            labels = LabelMap(found.dataset.decode_labels(data, frame), sources[i])
            made = process_label_map(labels, found.dataset, frame, grid, crops)
        except Exception as error:
            known = isinstance(error, FileError)
            unchanged.problems.append(str(error) if known else f"{frame.label}: {engine.surprise(error)}")
            continue
        if not store["status"][i]:
            continue  # its block was just made one to do again
        again.checked += 1
        if not _is_same(store, i, made):
            again.problems.append(f"{frame.name}: the store holds something else")
            _redo(files, store, i, again)
            continue
        plain.checked += crops
        plain.problems += _plain_problems(found, i, labels.ids, store["b"][i], store["pixels"][i])
    return [unchanged, again, plain]


def _is_same(store: stores.Store, index: int, made: FrameBoundaries) -> bool:
    height, columns = made.packed.shape[1:]
    return np.array_equal(store["packed"][index][:, :height, :columns], made.packed) and all(
        np.array_equal(store[name][index], getattr(made, name), equal_nan=name == "b")
        for name in ("b", "has_boundary", "pixels", "size")
    )


def _plain_problems(
    found: listing.Inputs,
    index: int,
    labels: NDArray[Any],
    b: NDArray[np.float64],
    pixels: NDArray[np.int32],
) -> list[str]:
    from pipeline.geometry.crops import offsets

    frame, classes = found.frames[index], found.dataset.classes
    train = classes.lut[labels]
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


def _tensors(files: Files, store: stores.Store, source: stores.Store) -> list[Finding]:
    from pipeline.geometry.tensors import folded_cells, uniform

    lam, name = float(store.parameters["lambda"]), store.path.stem
    constraints = Finding(f"{name}: constraints (3) and range hold", 0, "crops")
    minimum = Finding(f"{name}: phi minimises energy (2) (gradient within rounding)", 0, "crops")
    folded = Finding(f"{name}: folded cells counted again", 0, "crops")
    current = Finding(f"{name}: solved from the boundaries as they are now", 0, "images")
    for start, rows in _done_blocks(store):
        stop = start + store.layout.block
        phi = np.asarray(store["phi"][start:stop][rows], np.float64)
        has = store["has_boundary"][start:stop][rows]
        u = uniform(*phi.shape[-2:])
        b = np.where(has[..., None, None, None], store["b"][start:stop][rows], u)
        for finding in (constraints, minimum, folded):
            finding.checked += has.size
        current.checked += len(rows)
        images = f"images {start} to {min(stop, store.count)}"
        before = len(constraints.problems) + len(minimum.problems) + len(folded.problems)
        constraints.problems += [f"{images}: {p}" for p in constraint_problems(phi)]
        slope = float(np.abs(gradient(phi, b, lam)).max())
        if not slope <= PHI_ROUNDING * (1 + 8 * lam):
            minimum.problems.append(f"{images}: gradient {slope:.2g}")
        if (folded_cells(phi).sum(axis=(-2, -1)) != store["folded"][start:stop][rows]).any():
            folded.problems.append(f"{images}: other counts")
        rows = _done_in_both(source, start, stop, rows)
        if (store["source"][start:stop][rows] != source["source"][start:stop][rows]).any():
            current.problems.append(f"{images}: of other boundaries; run: {files.commands[store.path]}")
        elif not _same_nearest(store, source, start, stop, rows):
            current.problems.append(f"{images}: other nearest boundaries than the boundaries' own")
            _redo(files, store, start, current)
        if len(constraints.problems) + len(minimum.problems) + len(folded.problems) > before:
            _redo(files, store, start, next(f for f in (constraints, minimum, folded) if not f.ok))
    return [constraints, minimum, folded, current]


def _done_blocks(store: stores.Store) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Blocks of a store, and which of their images are done."""
    status = store.status()
    for start, stop in store.blocks():
        rows = np.flatnonzero(status[start:stop] == stores.DONE)
        if len(rows):
            yield start, rows


def _done_in_both(source: stores.Store, start: int, stop: int, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Those of a block's images that are done in the boundaries too, as they are now."""
    theirs = np.flatnonzero(source.status()[start:stop] == stores.DONE)
    return rows[np.isin(rows, theirs)]


def _same_nearest(
    store: stores.Store, source: stores.Store, start: int, stop: int, rows: NDArray[np.intp]
) -> bool:
    if store["b"].shape[1:] != source["b"].shape[1:]:
        return True  # another grid or crop count: found in the packed maps
    ours, theirs = store["b"][start:stop][rows], source["b"][start:stop][rows]
    return np.array_equal(ours, theirs, equal_nan=True)


def _samples(files: Files, store: stores.Store, source: stores.Store) -> Finding:
    finding = Finding(f"{store.path.stem}: sampled from what the other stores hold now", 0, "images")
    tensors = _tensors_of(files, store)
    for start, done in _done_blocks(store):
        stop = start + store.layout.block
        rows = _done_in_both(source, start, stop, done)
        finding.checked += len(rows)
        images = f"images {start} to {min(stop, store.count)}"
        if (store["source"][start:stop][rows] != source["source"][start:stop][rows]).any():
            finding.problems.append(f"{images}: other label maps; run: {files.commands[store.path]}")
        elif tensors is not None and not _same_tensors(store, tensors, start, stop, rows):
            finding.problems.append(f"{images}: other sampling tensors")
            _redo(files, store, start, finding)
    return finding


def _same_tensors(
    store: stores.Store, tensors: stores.Store, start: int, stop: int, rows: NDArray[np.intp]
) -> bool:
    if (tensors["status"][start:stop][rows] != stores.DONE).any():
        return True  # cannot be told
    return np.array_equal(store["phi"][start:stop][rows], tensors["phi"][start:stop][rows])


def _tensors_of(files: Files, store: stores.Store) -> stores.Store | None:
    """The tensors that a store of proposals was sampled with, where they are there."""
    about = store.parameters
    if not registry.kind(str(about.get("sampler"))).needs_truth:
        return None
    crops = about["crops"] if "-crops" in store.path.stem else None
    tensors = files.stores.get(files.folder.tensors(about["tensor_grid"], about["lambda"], crops))
    return tensors if tensors is not None and tensors.count >= store.count else None
