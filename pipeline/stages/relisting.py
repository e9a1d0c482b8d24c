"""A list of images that names other folders than before, and holds the same files: renamed, not replaced.

The stores of a split say which list they were made from. Where folders were renamed inside a data set, or
given otherwise in its YAML file, every path in the list is another one. Names and contents of the files
decide: if they are the same, the stores take up the new list, and nothing is made again.
"""

from __future__ import annotations

from pipeline.datasets.base import Dataset, Frame
from pipeline.datasets.files import exists
from pipeline.errors import AdaprepError
from pipeline.stages import engine, sources
from pipeline.stages import inputs as listing
from pipeline.stages.inputs import Inputs
from pipeline.workspace import stores

REASON = "the list names other folders than before, which hold the same files"


def same_files(folder: stores.SplitFolder, dataset: Dataset, found: Inputs, store: stores.Store) -> bool:
    """Whether a list, if it differs from that of a store, does so in folders alone.

    Files have the same names, in the same order, and the label maps of all images that are done are what was
    read (by their fingerprints).
    """
    try:
        listed = listing.read_list(folder, dataset)
    except AdaprepError:
        return False
    count = store.count
    before, now = listed.frames[:count], found.frames[:count]
    if len(before) < count or len(now) < count:
        return False
    if any(_names(old) != _names(new) for old, new in zip(before, now, strict=True)):
        return False
    if not all(dataset.has_labels(frame) and exists(frame.image) for frame in now):
        return False
    stale, _ = sources.changed(store, dataset, now, sources.KeptStamps(folder), engine.cores())
    return not stale.any()


def _names(frame: Frame) -> tuple[str, ...]:
    """Of one image's files, without their folders."""
    return frame.name.rpartition("/")[2], frame.image.name, frame.label.name


def take_up(folder: stores.SplitFolder, found: Inputs) -> None:
    """Let every store of a split say that it was made from this list, the boundaries' last.

    To be called while the split is locked, and its list is saved. What was killed here is begun again.
    """
    for path in reversed(folder.stores()):
        if path.exists():
            store = stores.open_store(path)
            stores.grow(store, found.first(store.count).attributes)
