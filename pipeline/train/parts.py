"""The two networks of a request: what each reads, where its run lies, how its task is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline import advice
from pipeline.errors import AdaprepError
from pipeline.geometry.crops import CENTRAL, WHOLE, Region
from pipeline.networks import checkpoint
from pipeline.samplers.uniform import Uniform
from pipeline.stages.outputs import Sampled
from pipeline.train import class_weights, prepare, settings
from pipeline.train.anew import Anew
from pipeline.train.auxiliary_task import AuxiliaryTask
from pipeline.train.base_task import BaseTask
from pipeline.train.data import FINER, Augmentation
from pipeline.train.fit import Task
from pipeline.train.prepare import Needed, Splits
from pipeline.train.settings import Request, Schedule
from pipeline.workspace import stores
from pipeline.workspace.runs import LATER_STRENGTHS, Run
from pipeline.workspace.stores import RunFolder


@dataclass
class NetworkPart(ABC):
    """One of the two networks: what it reads, where its run lies, how its task is made."""

    space: stores.Workspace
    splits: Splits
    request: Request

    network = ""

    @property
    def name(self) -> str:
        return self.request.run_name(self.network, self.splits.long)

    @property
    def path(self) -> Path:
        return self.sibling(self.name).path

    @property
    def schedule(self) -> Schedule:
        images = len(self.splits.train.found)
        return self.request.schedule(self.splits.dataset.name, images, self.resolution)

    @property
    @abstractmethod
    def resolution(self) -> int:
        """Of what the network is shown."""

    def sibling(self, name: str) -> RunFolder:
        """The folder of a run of the same data set."""
        return self.space.run(self.splits.train.folder.dataset, name)

    @abstractmethod
    def needed(self) -> Needed:
        """What has to be sampled. Raises AdaprepError when an earlier stage is missing."""

    @abstractmethod
    def data(self) -> dict[str, Path]:
        """The stores that are read, by name."""

    @abstractmethod
    def own_settings(self) -> dict[str, Any]:
        """What shapes the weights beside schedule and data set."""

    @abstractmethod
    def task(self, in_memory: bool | None) -> Task:
        """What the loop needs; `in_memory` as for `StoreDataset`."""

    def region(self) -> dict[str, Region]:
        """What of the images it is trained for, unless that is the usual, which older runs do not name."""
        return {"region": WHOLE} if self.splits.long else {}

    def ready(self) -> bool:
        """Whether all that it samples with is there."""
        return True

    def run(self) -> Run:
        """Its run; the stores that it reads are complete."""
        schedule = settings.plain(self.schedule, augmentation=_strengths(self.request.augmentation))
        data = {f"data_{name}": prepare.fingerprint(path) for name, path in self.data().items()}
        own = {**self.own_settings(), **self.splits.about(), **self.region()}
        return Run(self.path, {"network": self.network, **schedule, **own, **data})


class AuxiliaryPart(NetworkPart):
    network = "auxiliary"

    @property
    def resolution(self) -> int:
        return self.request.auxiliary.resolution

    @property
    def finer(self) -> Sampled | None:
        """Uniform samples that are read beside the small images, if any are."""
        chosen = self.request.auxiliary
        return Sampled(FINER * chosen.resolution, Uniform()) if chosen.zoom else None

    def needed(self) -> Needed:
        chosen = self.request.auxiliary
        prepare.check_proposals(self.splits, chosen.grid, chosen.lam)
        return Needed([*prepare.auxiliary_outputs(chosen), *([self.finer] if self.finer else [])])

    def data(self) -> dict[str, Path]:
        return {
            f"{kind}_{split.folder.split}": path
            for split in self.splits.all
            for kind, path in zip(("images", "tensors", "fine"), self.stores(split), strict=False)
        }

    def stores(self, split: prepare.Split) -> tuple[Path, ...]:
        """Of small images, of proposals, and of finer samples where there are such."""
        chosen = self.request.auxiliary
        small = split.store(prepare.auxiliary_outputs(chosen)[0])
        fine = [split.store(self.finer)] if self.finer else []
        return (small, split.tensors(chosen.grid, chosen.lam), *fine)

    def own_settings(self) -> dict[str, Any]:
        chosen = settings.plain(self.request.auxiliary)
        for name, usual in (
            ("encoder", "plain"),
            ("head", settings.DIRECT),
            ("zoom", 0.0),
            ("mirrored", False),
        ):
            if chosen[name] == usual:  # as runs were recorded before there were others
                del chosen[name]
        return {"lambda": chosen.pop("lam"), **chosen}

    def task(self, in_memory: bool | None) -> Task:
        held = self.splits.validation
        beside = self.stores(held)[:2] if held else None
        about = self.splits.about()
        return AuxiliaryTask(self.request.auxiliary, self.stores(self.splits.train), beside, about, in_memory)


class BasePart(NetworkPart):
    network = "base"

    @property
    def resolution(self) -> int:
        return self.request.base.resolution

    @property
    def auxiliary(self) -> Path:
        """Weights of the network that samples."""
        named = self.request.checkpoint
        return named or self._sampler.best

    @property
    def _sampler(self) -> RunFolder:
        return self.sibling(self.request.run_name("auxiliary", self.splits.long))

    def region(self) -> dict[str, Region]:
        return {"region": WHOLE} if self.splits.whole else {}

    def ready(self) -> bool:
        if not self.request.base.kind.needs_network or self.request.checkpoint:
            return True
        return self._sampler.is_over()

    @cached_property
    def output(self) -> Sampled:
        """What is sampled. Raises AdaprepError when the auxiliary network that it needs is not there."""
        if not self.request.base.kind.needs_network:
            return prepare.base_output(self.splits, self.request.base)
        if not self.ready():
            chosen, asked = self.request.auxiliary, self.request
            command = advice.command(
                "train",
                network=("auxiliary",),
                aux_resolution=chosen.resolution,
                aux_filter=chosen.filter,
                aux_loss=chosen.loss,
                aux_features=chosen.features,
                aux_encoder=chosen.encoder,
                aux_head=chosen.head,
                aux_zoom=chosen.zoom,
                aux_mirrored=chosen.mirrored,
                grid=chosen.grid,
                lambda_=chosen.lam,
                seed=asked.seed,
                whole_image=self.splits.long,
                tag=asked.tag,
            )
            raise AdaprepError(
                f"no auxiliary network has been trained in {self.auxiliary.parent}. "
                f"Run: {command}   or give --checkpoint FILE"
            )
        about = self.splits.about()
        found = checkpoint.load(self.auxiliary, "auxiliary")
        found.expect(dataset=about["dataset"], class_names=about["class_names"], targets=about["targets"])
        return prepare.base_output(self.splits, self.request.base, self.auxiliary)

    @cached_property
    def weights(self) -> dict[str, float] | None:
        """Of classes in the loss, by name. Raises AdaprepError where they cannot be those asked for."""
        train = self.splits.train
        return class_weights.weights(self.request.base.class_weights, train.found, train.folder.title)

    @property
    def finer(self) -> Sampled | None:
        """Uniform samples that are sampled anew in every epoch, if crops are."""
        return Sampled(FINER * self.resolution, Uniform()) if self._zoom else None

    @property
    def _zoom(self) -> float:
        return float(self.request.augmentation.get("zoom", 0.0))

    def needed(self) -> Needed:
        return Needed([self.output], [self.finer] if self.finer else [])

    def data(self) -> dict[str, Path]:
        made = {f"samples_{split.folder.split}": split.store(self.output) for split in self.splits.all}
        if self.finer:
            train = self.splits.train
            made[f"fine_{train.folder.split}"] = train.store(self.finer)
        return made

    def own_settings(self) -> dict[str, Any]:
        chosen = settings.plain(self.request.base)
        return {
            **{name: value for name, value in chosen.items() if name != "lam"},
            "weight_by_class": self.weights,
            **self.output.sampler.settings(),
        }

    def task(self, in_memory: bool | None) -> Task:
        output, held, classes = self.output, self.splits.validation, self.splits.dataset.classes
        names, train, anew = classes.names, self.splits.train.store(output), None
        if self.finer:
            chosen = output.sampler, output.resolution, output.filter
            train = self.splits.train.store(self.finer)
            anew = Anew(*chosen, self._zoom, tuple(classes.targets))
        return BaseTask(
            self.request.base,
            len(names),
            train,
            (held.store(output), held.found) if held else None,
            {**self.splits.about(), **output.sampler.remembered()},
            in_memory,
            WHOLE if self.splits.whole else CENTRAL,
            None if self.weights is None else class_weights.as_row(self.weights, names),
            anew,
        )


def _strengths(chosen: Mapping[str, float]) -> dict[str, float]:
    """All of an augmentation's numbers, the defaults among them."""
    made = Augmentation(**chosen)
    every = {name: float(getattr(made, name)) for name in Augmentation.__dataclass_fields__}
    return {name: value for name, value in every.items() if value or name not in LATER_STRENGTHS}
