"""Which folders and files a workspace has, and where each thing lies in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import AdaprepError
from pipeline.names import check_component, lambda_name
from pipeline.workspace import disk

MARKS = ("dataset.json", "inputs.tsv", "boundaries.zarr")
"""A folder that holds one of these is a split's."""

STAGES = ("boundaries", "solve-tensors", "sample")
"""Those that keep a list of failures."""


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
    def inputs(self) -> Path:
        return self.path / "inputs.tsv"

    @property
    def description(self) -> Path:
        return self.path / "dataset.json"

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
        return (
            f"adaprep verify --repair --workspace {self.path.parent.parent} "
            f"--dataset {self.dataset} --split {self.split}"
        )

    def sample_stores(self) -> list[Path]:
        """All sample stores, sorted by name."""
        return sorted(self.samples.glob("*.zarr"))

    @property
    def boundaries(self) -> Path:
        return self.path / "boundaries.zarr"

    def tensors(self, grid: Sequence[int], lam: float, crops: int | None = None) -> Path:
        """Where the tensors of a grid and a lambda lie; `crops` only where it is not the boundaries' own."""
        suffix = "" if crops is None else f"-crops{crops}"
        return self.path / "tensors" / f"{grid[0]}x{grid[1]}-lambda{lambda_name(lam)}{suffix}.zarr"

    def tensor_stores(self) -> list[Path]:
        """All tensor stores, sorted by name."""
        return sorted((self.path / "tensors").glob("*.zarr"))

    @property
    def samples(self) -> Path:
        """The folder of sample stores."""
        return self.path / "samples"

    def failures(self, stage: str) -> Path:
        return self.path / f"failures-{stage}.json"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other adaprep from writing here meanwhile. Raises AdaprepError when one does already."""
        with disk.lock(self.path):
            listed = [self.failures(stage).name for stage in STAGES]
            disk.clear_partial(self.path, self.inputs.name, self.description.name, *listed)
            disk.clear_partial(self.spare, self.inputs.name, self.description.name, self.stamps.name)
            yield


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

    def splits(self) -> list[SplitFolder]:
        """All splits that hold something, be it damaged, sorted by path."""
        marked = {path.parent for mark in MARKS for path in self.path.glob(f"*/*/{mark}")}
        return [SplitFolder(path) for path in sorted(marked)]

    def folders(self, dataset: str | None = None, splits: Sequence[str] = ()) -> list[SplitFolder]:
        """The splits that hold something, of one data set (when the workspace holds only one, of that).

        Raises
        ------
        AdaprepError
            Nothing there, several data sets and none named, or a split that is not there.
        """
        found = self.splits()
        if not found:
            raise AdaprepError(
                f"the workspace {self.path} holds nothing yet. Start with: "
                f"adaprep boundaries --dataset NAME   (adaprep datasets lists the names)"
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
                f"Run: adaprep boundaries --dataset {dataset}"
            )
        if absent := [s for s in splits if s not in {f.split for f in chosen}]:
            raise AdaprepError(
                f"the workspace holds no split {', '.join(absent)} of {chosen[0].dataset} "
                f"(it holds: {', '.join(f.split for f in chosen)}). "
                f"Run: adaprep boundaries --dataset {chosen[0].dataset} --split {absent[0]}"
            )
        return [f for f in chosen if not splits or f.split in splits]
