"""What the YAML file of a data set of the user's own may say (docs/your-own-data.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.datasets.base import ClassTable
from pipeline.datasets.class_tables import class_table, items
from pipeline.datasets.described_file import (
    MASK,
    TAKEN,
    DividedBy,
    File,
    ListSplit,
    PooledFile,
    component,
    name_of,
)
from pipeline.datasets.formats import Meaning
from pipeline.datasets.limits import listed, short
from pipeline.datasets.split_sources import POOL, ListFile, PoolPart, Source
from pipeline.datasets.splitting import Division, folds
from pipeline.datasets.yaml_models import Mistakes
from pipeline.datasets.yaml_nodes import YamlNode, read_yaml


@dataclass(frozen=True)
class Description:
    """What a file says."""

    name: str
    title: str
    license: str
    root: Path
    sources: dict[str, Source]
    training_splits: tuple[str, ...]
    table: ClassTable
    labels_are: str
    meaning: Meaning
    images_are: str
    image_range: tuple[float, float] | None


def read(path: Path, text: str | None = None) -> Description:
    """Read and check a file; `text` is what it held, where it has gone.

    Raises
    ------
    AdaprepError
        It cannot be read or says something that cannot be: every mistake, with its line and key.
    """
    mistakes = Mistakes()
    node = read_yaml(path, text=text)
    pooled = node.has(POOL) or node.has("split_by")
    file = (PooledFile if pooled else File).read(node, mistakes)
    made = _parts(file, mistakes) if isinstance(file, PooledFile) else {}
    _check_splits(file, made, mistakes)
    _check_sources(file, mistakes)
    found = class_table(file, mistakes)
    mistakes.refuse()
    assert found is not None
    skip = file.unpaired == "skip"
    sources: dict[str, Source] = {split: source.source(skip) for split, source in (file.splits or {}).items()}
    if isinstance(file, PooledFile):
        pool = file.pool.source(skip)
        sources = {**{split: replace(part, pool=pool) for split, part in made.items()}, **sources}
    name = file.name or name_of(path)
    training = [split for split in sources if split == "train"]
    return Description(
        name,
        file.title or name,
        file.license,
        file.root,
        sources,
        tuple(training if file.training_splits is None else file.training_splits),
        found[0],
        file.labels_are,
        found[1],
        file.images_are,
        file.image_range,
    )


def _parts(file: PooledFile, mistakes: Mistakes) -> dict[str, PoolPart]:
    """The splits that the pool is divided into; their pool is filled in later."""
    if not file.usable("split_by"):
        return {}
    by, node = file.split_by, file.nodes["split_by"]
    if not by.usable("fractions", "folds", "fold"):
        return {}
    problem = "must have either 'fractions' (such as {train: 0.8, val: 0.2}) or 'folds' (such as 5)"
    made: dict[str, PoolPart] = {}
    with mistakes.at(node):
        if by.fractions is not None and by.folds is None:
            made = _by_fractions(by.fractions, by)
        elif by.fractions is None and by.folds is not None:
            made = _by_folds(by.folds, by)
        else:
            node.fail(problem)
    return made


_NO_POOL = ListFile("")


def _by_folds(count: int, by: DividedBy) -> dict[str, PoolPart]:
    if by.fold >= count:
        by.nodes["fold"].fail(f"must be a whole number in 0..{count - 1}, found {by.fold}")
    division, val = folds(count, by.fold, by.seed, by.together)
    rest = frozenset(split for split, _ in division.shares) - val
    return {"train": PoolPart(_NO_POOL, division, rest), "val": PoolPart(_NO_POOL, division, val)}


def _by_fractions(fractions: dict[str, float], by: DividedBy) -> dict[str, PoolPart]:
    node = by.nodes["fractions"]
    if (whole_sum := sum(fractions.values())) > 1 + 1e-9:
        node.fail(f"must not be more than 1 in all, found {whole_sum:g}")
    if zero := next((name for name, share in fractions.items() if share == 0), None):
        node.fail(f"{zero} must be more than 0")
    for name in fractions:
        _check_name(node, name)
    division = Division(tuple(fractions.items()), by.seed, by.together)
    return {name: PoolPart(_NO_POOL, division, frozenset({name})) for name in fractions}


def _check_name(node: YamlNode, name: str) -> None:
    if name in TAKEN or name.startswith("report-"):
        node.fail(f"no split can be called {name}: workspaces have a folder of this name for something else")
    component(node, "name of a split", name)


def _check_splits(file: File, made: dict[str, PoolPart], mistakes: Mistakes) -> None:
    """Their names, and that those to train on are among them."""
    if not file.usable("splits") or (isinstance(file, PooledFile) and not file.usable("split_by")):
        return
    splits = file.splits or {}
    for name, split in splits.items():
        with mistakes.at(split.node):
            _check_name(split.node, name)
            if name in made:
                split.node.fail("a split of this name is made of the pool")
    every = {**made, **splits}
    for item in items(file, "training_splits", mistakes):
        with mistakes.at(item):
            if (name := item.text()) not in every:
                item.fail(f"no split {short(name)}; the splits are: {listed(every)}")


def _check_sources(file: File, mistakes: Mistakes) -> None:
    """That every split can be read in the format of the labels."""
    if not file.usable("labels_are", "splits", "classes"):
        return
    every = list((file.splits or {}).values())
    if isinstance(file, PooledFile) and file.usable(POOL):
        every.append(file.pool)
    count = len(file.classes)
    for split in every:
        with mistakes.at(split.node):
            if isinstance(split, ListSplit):
                if file.labels_are in ("coco", "masks"):
                    split.node.fail(f"labels_are: {file.labels_are} has no lists of label files")
            elif split.usable("labels", "label_suffix"):
                named = MASK in split.labels + split.label_suffix
                if named and file.labels_are != "masks":
                    split.node.fail(f"{MASK} stands for the class of a mask: add labels_are: masks")
                if file.labels_are == "masks" and not named and count != 2:
                    split.node.fail(
                        f"masks of {count} classes need {MASK} in 'labels' or 'label_suffix'; without it "
                        f"the first of two classes is 0, the second all else"
                    )
