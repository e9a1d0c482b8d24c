"""Which folders and files a workspace has, and where each thing lies in it.

WORKSPACE/DATASET/
  SPLIT/                             the stores of a split, its list, its failures: a `SplitFolder`
  runs/NAME/                         one training: a `RunFolder`
  upper-bound-SPLIT.json             what `adaprep upper-bound --save` found
  report/, report-SPLIT/             pages
WORKSPACE/.spare/DATASET/SPLIT/      second copies of what a split cannot do without
WORKSPACE/demo.png                   the picture that `adaprep demo` draws
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import advice
from pipeline.errors import AdaprepError
from pipeline.geometry.crops import CENTRAL, Region
from pipeline.names import check_component, join_names, lambda_name
from pipeline.storage import folders_in, holding
from pipeline.workspace import disk, task_locks

MARKS = ("dataset.json", "inputs.tsv", "boundaries.zarr")
"""A folder that holds one of these is a split's."""

MAX_RUN_NAME = 200
"""Bytes of a run's name, which holds those of network and tag."""

STAGES = ("boundaries", "solve-tensors", "sample")
"""Those that keep a list of failures."""


def workspace_of(store: Path) -> Path:
    """The workspace that a store lies in: DATASET/SPLIT, or a folder in it, lies between."""
    above = store.absolute().parents
    return above[min(3 if store.parent.name in ("tensors", "samples") else 2, len(above) - 1)]


def repair_command(store: Path) -> str:
    """What to run when a store is damaged."""
    return advice.command("verify", repair=True, workspace=workspace_of(store))


@dataclass(frozen=True)
class SplitFolder:
    """The folder of one split of one data set in a workspace."""

    path: Path

    @property
    def dataset(self) -> str:
        return self.path.parent.name

    @property
    def split(self) -> str:
        return self.path.name

    @property
    def title(self) -> str:
        return f"{self.dataset}/{self.split}"

    @property
    def workspace(self) -> Path:
        """The workspace that it lies in."""
        return self.path.parent.parent

    @property
    def inputs(self) -> Path:
        return self.path / "inputs.tsv"

    @property
    def description(self) -> Path:
        return self.path / "dataset.json"

    @property
    def second_description(self) -> Path:
        return self.spare / self.description.name

    @property
    def second_inputs(self) -> Path:
        return self.spare / self.inputs.name

    def is_listed(self) -> bool:
        """Whether the list of images is there, and how to open their data set again."""
        return self.inputs.exists() and self.description.exists()

    @property
    def spare(self) -> Path:
        """The folder of second copies of the two files above, and of the stamps of the label files.

        Not in the split's own folder: what lies there depends on the data alone, stamps on the machine too.
        """
        return self.path.parent.parent / ".spare" / self.dataset / self.split

    @property
    def stamps(self) -> Path:
        return self.spare / "stamps.npy"

    @property
    def verify_command(self) -> str:
        """What to run when something in here is damaged."""
        return advice.command(
            "verify", repair=True, dataset=self.dataset, split=(self.split,), workspace=self.workspace
        )

    def boundaries_command(self, parameters: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """What to run to make the boundaries, again where `parameters` say how they were made."""
        known = parameters or {}
        shape: dict[str, Any] = {"grid": tuple(known["grid"])} if "grid" in known else {}
        if known.get("targets"):
            shape["targets"] = join_names(known["targets"])
        return advice.command(
            "boundaries",
            **{
                "dataset": self.dataset,
                "split": (self.split,),
                "crops": known.get("crops"),
                "workspace": self.workspace,
                **shape,
                **changes,
            },
        )

    @property
    def failures_command(self) -> str:
        """What to run for the files that failed, and why."""
        return advice.command("status", failures=True, dataset=self.dataset, workspace=self.workspace)

    def tensors_command(self, grid: Sequence[int], lam: float, crops: int | None = None) -> str:
        """What to run to solve for the tensors of a grid and a lambda; `crops` as for `tensors`."""
        return advice.command(
            "solve-tensors",
            lambda_=(lam,),
            grid=tuple(grid),
            crops=crops,
            dataset=self.dataset,
            split=(self.split,),
            workspace=self.workspace,
        )

    def stores(self) -> list[Path]:
        """Every store; the boundaries' comes first, be it there or not."""
        return [self.boundaries, *self.tensor_stores(), *self.sample_stores()]

    def sample(self, name: str, crops: int | None = None) -> Path:
        """Where the samples of one kind lie, or would lie; `crops` as for `tensors`."""
        return self.samples / f"{name}{_crops(crops)}.zarr"

    def sample_stores(self) -> list[Path]:
        """All sample stores, sorted by name."""
        return sorted(self.samples.glob("*.zarr"))

    @property
    def boundaries(self) -> Path:
        return self.path / "boundaries.zarr"

    def tensors(self, grid: Sequence[int], lam: float, crops: int | None = None) -> Path:
        """Where the tensors of a grid and a lambda lie; `crops` only where it is not the boundaries' own."""
        name = f"{grid[0]}x{grid[1]}-lambda{lambda_name(lam)}{_crops(crops)}.zarr"
        return self.path / "tensors" / name

    def tensor_stores(self) -> list[Path]:
        """All tensor stores, sorted by name."""
        return sorted((self.path / "tensors").glob("*.zarr"))

    @property
    def samples(self) -> Path:
        """The folder of sample stores."""
        return self.path / "samples"

    def failures(self, stage: str) -> Path:
        """Where a stage keeps which images failed, and why."""
        return self.path / f"failures-{stage}.json"

    def failure_lists(self) -> list[Path]:
        """Those that are there, sorted by name."""
        return sorted(self.path.glob("failures-*.json"))

    @staticmethod
    def stage_of(failures: Path) -> str:
        """Which stage a list of failures is of."""
        return failures.stem.removeprefix("failures-")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other adaprep from writing here meanwhile. Raises AdaprepError when one does already."""
        with disk.lock(self.path):
            listed = [self.failures(stage).name for stage in STAGES]
            disk.clear_partial(self.path, self.inputs.name, self.description.name, *listed)
            disk.clear_partial(self.spare, self.inputs.name, self.description.name, self.stamps.name)
            task_locks.clear(self.path)
            yield


def _crops(count: int | None) -> str:
    """End of the name of a store with another number of crops than the boundaries'."""
    return "" if count is None else f"-crops{count}"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one training run."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def settings_file(self) -> Path:
        """What the run was made with."""
        return self.path / "settings.json"

    @property
    def result_file(self) -> Path:
        """How it ended; there when it is over."""
        return self.path / "result.json"

    @property
    def history_file(self) -> Path:
        """One row an epoch."""
        return self.path / "history.csv"

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The weights of the best validation."""
        return self.path / "best.pt"

    def evaluation_file(self, split: str, region: Region = CENTRAL) -> Path:
        """Where the evaluation on a split is kept, by the region of the images that was measured."""
        start = "evaluation" if region == CENTRAL else "whole-image"
        return self.path / f"{start}-{check_component('name of the split', split)}.json"

    def is_over(self) -> bool:
        return self.result_file.exists()


@dataclass(frozen=True)
class Workspace:
    """The folder that holds everything, `--workspace`."""

    path: Path

    def dataset_folder(self, dataset: str) -> Path:
        """Where all of one data set lies. Raises AdaprepError where its name can be no folder's."""
        return self.path / check_component("name of the data set", dataset)

    def folder(self, dataset: str, split: str) -> SplitFolder:
        """Of a split. Raises AdaprepError where one of the names can be no folder's."""
        return SplitFolder(self.dataset_folder(dataset) / check_component("name of the split", split))

    def runs_folder(self, dataset: str) -> Path:
        """Where the runs of a data set lie."""
        return self.dataset_folder(dataset) / "runs"

    def runs(self, dataset: str) -> list[RunFolder]:
        """The folders where runs lie, be they whole or not, sorted by name."""
        return [RunFolder(path) for path in folders_in(self.runs_folder(dataset))]

    def run(self, dataset: str, name: str) -> RunFolder:
        """One run, there or not. Raises AdaprepError where one of the names can be no folder's."""
        return RunFolder(self.runs_folder(dataset) / check_component("name of the run", name, MAX_RUN_NAME))

    def upper_bound_file(self, dataset: str, split: str) -> Path:
        """Where the upper bound on a split is kept."""
        return (
            self.dataset_folder(dataset) / f"upper-bound-{check_component('name of the split', split)}.json"
        )

    def report_folder(self, dataset: str, split: str) -> Path:
        """Where the report on a split lies unless it is said otherwise."""
        name = "report" if split == "val" else f"report-{check_component('name of the split', split)}"
        return self.dataset_folder(dataset) / name

    @property
    def demo_picture(self) -> Path:
        return self.path / "demo.png"

    def described(self, dataset: str | None = None) -> list[SplitFolder]:
        """The splits that say which data set they are of, of one or of all, sorted by path."""
        place = self.path if dataset is None else self.dataset_folder(dataset)
        pattern = "*/*" if dataset is None else "*"
        return [SplitFolder(path) for path in holding(place, pattern, ["dataset.json"])]

    def datasets(self) -> list[str]:
        """Names of the data sets that a split is described of, sorted."""
        return sorted({folder.dataset for folder in self.described()})

    def failure_lists(self) -> list[tuple[SplitFolder, Path]]:
        """Every list of failures and its split, sorted by path."""
        return [(SplitFolder(path.parent), path) for path in sorted(self.path.glob("*/*/failures-*.json"))]

    def splits(self) -> list[SplitFolder]:
        """All splits that hold something, be it damaged, sorted by path."""
        return [SplitFolder(path) for path in holding(self.path, "*/*", MARKS)]

    def folders(self, dataset: str | None = None, splits: Sequence[str] = ()) -> list[SplitFolder]:
        """The splits that hold something, of one data set (when the workspace holds only one, of that).

        Raises
        ------
        AdaprepError
            Nothing there, several data sets and none named, or a split that is not there.
        """
        found = self.splits()
        if not found:
            start = advice.command("boundaries", dataset=dataset or "NAME", workspace=self.path)
            described = advice.command("init", folder="FOLDER")
            raise AdaprepError(
                f"the workspace {self.path} holds nothing yet. Start with: {start}   "
                f"({advice.command('datasets')} lists the names; {described} describes your own), "
                f"or name another with --workspace"
            )
        names = sorted({f.dataset for f in found})
        if dataset is None and len(names) > 1:
            raise AdaprepError(
                f"the workspace {self.path} holds several data sets ({', '.join(names)}): "
                f"say which one with --dataset NAME"
            )
        chosen = [f for f in found if dataset in (None, f.dataset)]
        if not chosen:
            raise AdaprepError(
                f"the workspace {self.path} holds nothing of {dataset} (it holds: {', '.join(names)}). "
                f"Run: {advice.command('boundaries', dataset=dataset, workspace=self.path)}"
            )
        if absent := [s for s in splits if s not in {f.split for f in chosen}]:
            raise AdaprepError(
                f"the workspace holds no split {', '.join(absent)} of {chosen[0].dataset} "
                f"(it holds: {', '.join(f.split for f in chosen)}). "
                f"Run: {self.folder(chosen[0].dataset, absent[0]).boundaries_command()}"
            )
        return [f for f in chosen if not splits or f.split in splits]
