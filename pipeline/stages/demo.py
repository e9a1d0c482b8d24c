"""`adaprep demo`: the whole of the pipeline on generated street scenes, as a newcomer's first command."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.datasets.base import Dataset
from pipeline.stages import boundaries, engine, tensors, verify
from pipeline.workspace import stores

LAMBDAS = (0.1, 1.0, 10.0)


def generate(root: Path, train: int, val: int, say: Callable[[str], None], ahead: bool = True) -> Dataset:
    """Make the street scenes (kept when they are there already) and open them as a data set.

    Parameters
    ----------
    ahead
        Compile meanwhile what `run` needs.
    """
    from pipeline.datasets import demo

    say(f"street scenes: {train} to train on, {val} to validate on, in {root}")
    if ahead:
        threading.Thread(target=_compile, daemon=True).start()
    demo.generate(root, train=train, val=val, processes=engine.cores())
    return demo.Demo(root.absolute())


def _compile() -> None:
    """Compile the loops that read label maps and measure them: ten seconds, once on a machine."""
    from pipeline.datasets.readers import decode_ids
    from pipeline.geometry.proposal import propose

    labels, file = np.eye(16, dtype=np.uint8), BytesIO()
    with suppress(Exception):  # whatever is wrong is said where the loops are needed
        Image.fromarray(labels).save(file, "PNG")
        propose(decode_ids(file.getvalue(), Path("tiny.png")), [1])


def run(
    dataset: Dataset,
    workspace: stores.Workspace,
    listener: engine.Listener,
    say: Callable[[str], None],
    show_summary: Callable[[engine.Summary, Path], None],
) -> bool:
    """Boundaries, tensors and a verification of the demo data; whether all went well."""
    scheduler = engine.Scheduler()
    ok = True
    for split in ("train", "val"):
        folder = workspace.folder(dataset.name, split)
        found, todo = boundaries.prepare(folder, dataset, split, boundaries.BoundaryOptions())
        summary = boundaries.run(folder, found, todo, scheduler, listener)
        show_summary(summary, folder.boundaries)
        ok &= summary.ok
        for lam in LAMBDAS:
            solve = tensors.plan(folder, tensors.TensorOptions(lam))
            summary = tensors.run(folder, solve, scheduler, listener)
            show_summary(summary, solve.path)
            ok &= summary.ok
        findings = verify.run(folder, samples=2)
        ok &= all(f.ok for f in findings)
        say(f"verified {folder.title}: {sum(f.ok for f in findings)} of {len(findings)} checks hold")
    return ok
