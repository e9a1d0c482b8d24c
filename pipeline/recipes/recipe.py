"""A recipe that was read and makes sense, as its steps use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.base import Dataset
from pipeline.settings import Device, Precision
from pipeline.train.settings import Request
from pipeline.workspace.stores import Workspace


@dataclass(frozen=True)
class Generate:
    """How many street scenes to draw for the data set `demo`."""

    train: int = 24
    val: int = 8


@dataclass(frozen=True)
class Bounds:
    """What `adaprep upper-bound` is asked for."""

    split: str
    resolutions: tuple[int, ...]
    grids: tuple[tuple[int, int], ...]
    lambdas: tuple[float, ...]
    limit: int | None = None  # images


@dataclass(frozen=True)
class Overrides:
    """What the command line says in place of the recipe; None: what the recipe says."""

    workspace: Path | None = None
    root: Path | None = None
    device: Device | None = None
    precision: Precision | None = None


@dataclass(frozen=True)
class Recipe:
    """A recipe that makes sense. Its trainings are in the order in which they are done."""

    path: Path
    dataset: Dataset
    said_dataset: str  # as --dataset takes it
    said_root: Path | None  # None: found in one of the usual places
    said_targets: tuple[str, ...]  # empty: the data set's own
    said_settings: Mapping[str, str]  # as --set takes them
    workspace: Path
    splits: tuple[str, str]
    grid: tuple[int, int]
    lam: float
    crops: int | None
    generate: Generate | None
    check: int | None  # images a split
    bounds: Bounds | None
    trainings: tuple[Request, ...]  # of one network each
    evaluated: tuple[str, ...]  # splits
    metrics: tuple[str, ...]  # of the user's own, package.module:factory
    report: bool
    device: Device
    whole_image: bool = False  # train on crops that cover images, and measure whole ones
    notes: tuple[str, ...] = ()  # of older names that it uses

    @property
    def space(self) -> Workspace:
        return Workspace(self.workspace)

    @property
    def held_dataset(self) -> str:
        """As `--dataset` names what the workspace holds; code of the user's own must be named each time."""
        return self.dataset.door or self.dataset.name

    @property
    def code(self) -> tuple[str, ...]:
        """All code of the user's own that it names beside losses."""
        door = (self.dataset.door,) if self.dataset.door else ()
        return (*door, *self.samplers, *self.factories, *self.metrics)

    @property
    def samplers(self) -> tuple[str, ...]:
        """``package.module:factory`` of the samplers that are not ours."""
        every = (request.base.sampler for request in self.trainings if request.networks == ("base",))
        return tuple(dict.fromkeys(name for name in every if ":" in name))

    @property
    def factories(self) -> tuple[str, ...]:
        """``package.module:factory`` of the base networks that are not ours."""
        every = (request.base.architecture for request in self.trainings if request.networks == ("base",))
        return tuple(dict.fromkeys(name for name in every if ":" in name))

    @property
    def trained_splits(self) -> list[str]:
        """What networks are trained and validated on; a data set may have no validation split."""
        return [split for split in dict.fromkeys(self.splits) if split in self.dataset.splits]

    @property
    def lambdas(self) -> list[float]:
        """Of the proposals that are solved for: the recipe's, and those of the networks."""
        own = (lam for request in self.trainings for lam in (request.auxiliary.lam, request.base.lam))
        return list(dict.fromkeys([self.lam, *own]))

    @property
    def reported(self) -> list[str]:
        """Every split that networks are evaluated on; where there is none, the one to validate on."""
        return list(self.evaluated) or self.trained_splits[-1:]

    @property
    def all_splits(self) -> list[str]:
        """Every split that the recipe works on."""
        bounded = [self.bounds.split] if self.bounds else []
        return list(dict.fromkeys([*self.trained_splits, *bounded, *self.evaluated]))
