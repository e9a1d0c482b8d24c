"""`adaprep upper-bound`: what sampling and interpolation alone cost, were every sample classified right.

The label map is sampled, interpolated back, and compared with itself: an upper bound for any network at that
resolution, grid and lambda, known before anything is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import UNKNOWN, Dataset, Frame
from pipeline.errors import AdaprepError, FileError
from pipeline.evaluation import scoring
from pipeline.evaluation.scoring import FRAMES_PER_TASK, MEASURED_AT, OwnMetrics, Score, score_labels, total
from pipeline.geometry.crops import CENTRAL, Region, central_crop
from pipeline.samplers.uniform import Uniform
from pipeline.stages import engine, fitness
from pipeline.stages.engine import BlockResult, Failure
from pipeline.stages.frame import read_instances, read_label_map
from pipeline.stages.frame_list import FrameList
from pipeline.workspace.stores import lambda_name

if TYPE_CHECKING:
    from pipeline.samplers.base import Sampler
    from pipeline.samplers.predicted import Predictor


@dataclass(frozen=True, order=True)
class BoundSetting:
    """One way to sample."""

    resolution: int
    grid: tuple[int, int] | None = None  # None: uniform
    lam: float | None = None
    auxiliary: str | None = None  # name of the network, or of the sampler, that predicts the tensors
    fixed: str | None = None  # name of a tensor that is the same for every image

    @property
    def sampler(self) -> str:
        """As in tables: "uniform", the name of a network or of a fixed warp, or grid and lambda."""
        if named := self.auxiliary or self.fixed:
            return named
        if self.grid is None or self.lam is None:
            return Uniform.word
        return f"{self.grid[0]}x{self.grid[1]}, lambda {lambda_name(self.lam)}"


@dataclass(frozen=True)
class Beside:
    """What samples beside uniform tensors and proposals, by the names that settings use."""

    predictors: Mapping[str, Predictor] = field(default_factory=dict)  # auxiliary networks
    samplers: Mapping[str, Sampler] = field(default_factory=dict)  # others that look at the image
    fixed: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)  # tensors (2, h, w)

    @property
    def looking(self) -> tuple[str, ...]:
        """What looks at the image."""
        return (*self.predictors, *self.samplers)


def settings(
    resolutions: Sequence[int],
    grids: Sequence[tuple[int, int]],
    lambdas: Sequence[float],
    beside: Beside | None = None,
) -> list[BoundSetting]:
    """Every resolution: uniform, every grid with every lambda, fixed warps, auxiliary networks.

    Raises
    ------
    AdaprepError
        A resolution below 2.
    """
    if small := [r for r in resolutions if r < 2]:
        raise AdaprepError(f"resolution {small[0]} is too small: the least is 2")
    return [
        setting
        for r in resolutions
        for setting in (
            BoundSetting(r),
            *(BoundSetting(r, grid, lam) for grid in grids for lam in lambdas),
            *(BoundSetting(r, fixed=name) for name in (beside.fixed if beside else ())),
            *(BoundSetting(r, auxiliary=name) for name in (beside.looking if beside else ())),
        )
    ]


Scores = dict[BoundSetting, Score]


@dataclass
class BoundReport:
    """All settings over a split."""

    dataset: Dataset
    split: str
    scores: Scores
    images: int
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.failures

    def rows(self) -> list[dict[str, Any]]:
        """One row a setting, plain data; None where there is nothing to measure."""
        return [self._row(setting, score) for setting, score in self.scores.items()]

    def _row(self, setting: BoundSetting, score: Score) -> dict[str, Any]:
        figures = scoring.figures(score, self.dataset.classes)
        return {
            "resolution": setting.resolution,
            "sampler": setting.sampler,
            "grid": list(setting.grid) if setting.grid else None,
            "lambda": setting.lam,
            "auxiliary": setting.auxiliary,
            "fixed": setting.fixed,
            **figures,
            "object_recall_by_size": [_as_before(part) for part in figures["recall_by_size"]],
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain data for --json. Figures are at the full resolution of the central square crop."""
        return {
            "dataset": self.dataset.name,
            "split": self.split,
            "images": self.images,
            "region": CENTRAL,
            "measured_at": MEASURED_AT[CENTRAL],
            **scoring.facts(self.scores.values(), self.dataset.classes),
            "settings": self.rows(),
            "failures": [{"name": f.name, "reason": f.reason} for f in self.failures],
        }


def _as_before(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part of `recall_by_size` as files of earlier versions have it in `object_recall_by_size`."""
    smallest, largest = part["pixels"]
    return {
        "count": part["objects"],
        "smallest": smallest,
        "largest": largest,
        "recall": part["recall"],
    }


def load_truth(dataset: Dataset, frame: Frame, region: Region = CENTRAL) -> NDArray[np.uint8]:
    """Train ids of the central crop (S, S), or of the whole image (H, W). Raises FileError."""
    return truth_of(dataset, frame, read_label_map(dataset, frame).ids, region)


def truth_of(
    dataset: Dataset, frame: Frame, labels: NDArray[Any], region: Region = CENTRAL
) -> NDArray[np.uint8]:
    """`load_truth` of a label map (H, W) of raw ids that has been read."""
    raw = central_crop(labels) if region == CENTRAL else labels
    train = dataset.classes.lut[raw]
    if (train == UNKNOWN).any():
        unknown = ", ".join(str(i) for i in np.unique(raw[train == UNKNOWN]))
        raise FileError(f"{frame.label}: id {unknown} is not in the class table of {dataset.name}")
    return np.asarray(train)


def tensors_of(
    boundary: NDArray[np.bool_], wanted: Sequence[BoundSetting]
) -> dict[tuple[tuple[int, int] | None, float | None], NDArray[np.float64]]:
    """The sampling tensor (2, h, w) of every grid and lambda for one crop; uniform is 2 x 2."""
    from pipeline.geometry.nearest import nearest_boundary
    from pipeline.geometry.proposal import of_nearest
    from pipeline.geometry.tensors import uniform

    found: dict[tuple[tuple[int, int] | None, float | None], NDArray[np.float64]] = {
        (None, None): uniform(2, 2)
    }
    for grid in {s.grid for s in wanted if s.grid}:
        b = nearest_boundary(boundary, grid)
        for lam in {s.lam for s in wanted if s.lam is not None}:
            found[grid, lam] = of_nearest(b, grid, lam)
    return found


def predicted(dataset: Dataset, frame: Frame, beside: Beside) -> dict[str, NDArray[np.float32]]:
    """The tensor (2, h, w) of the central crop from all that looks at the image. Raises FileError."""
    from pipeline.samplers.predicted import predict

    if not beside.looking:
        return {}
    crop = central_crop(dataset.read_image(frame))
    found = {name: predict(predictor, [crop])[0] for name, predictor in beside.predictors.items()}
    return found | {name: sampler.tensors(OneCrop(crop))[0] for name, sampler in beside.samplers.items()}


@dataclass(frozen=True)
class OneCrop:
    """The central crop (S, S, 3) of an image, for samplers that look at it."""

    crop: NDArray[np.uint8]

    def images(self) -> list[NDArray[np.uint8]]:
        return [self.crop]

    def proposals(self, grid: tuple[int, int], lam: float) -> NDArray[np.float32]:
        """Raises ValueError: the ground truth is not shown."""
        raise ValueError("these samplers look at the image alone")


def score_frame(
    dataset: Dataset,
    frame: Frame,
    wanted: Sequence[BoundSetting],
    beside: Beside,
    own: OwnMetrics | None = None,
) -> Scores:
    """All settings on one frame. Raises FileError."""
    from pipeline.geometry.boundaries import target_boundaries
    from pipeline.geometry.interpolation import interpolate_label_map
    from pipeline.geometry.sampling import sample
    from pipeline.geometry.tensors import folded_cells, resize

    labels = read_label_map(dataset, frame).ids
    truth = truth_of(dataset, frame, labels)
    instances = read_instances(dataset, frame, labels.shape)
    inside = None if instances is None else central_crop(instances)
    tensors = tensors_of(target_boundaries(truth, dataset.classes.targets), wanted)
    named = {**beside.fixed, **predicted(dataset, frame, beside)}
    scores = {}
    for setting in wanted:
        name = setting.auxiliary or setting.fixed
        phi = named[name].astype(np.float64) if name else tensors[setting.grid, setting.lam]
        fine = resize(phi, (setting.resolution, setting.resolution))
        back = interpolate_label_map(sample(truth, fine), fine, truth.shape)
        folded = int(folded_cells(phi).sum())
        scores[setting] = score_labels(truth, back, inside, dataset.classes, folded, own)
    return scores


def score_frames(
    dataset: Dataset,
    start: int,
    frames: Sequence[Frame],
    wanted: Sequence[BoundSetting],
    beside: Beside,
    own: OwnMetrics | None = None,
) -> BlockResult:
    """One task."""
    scores, failures = [], []
    for index, frame in enumerate(frames, start):
        engine.check_stop()
        try:
            one = partial(score_frame, dataset, frame, wanted, beside, own)
            scores.append(engine.try_image(frame.label, one))
        except FileError as error:
            failures.append(engine.failed(index, frame.name, error))
    return BlockResult(start, start + len(frames), tuple(failures), total(scores))


def run(
    dataset: Dataset,
    split: str,
    frames: Sequence[Frame],
    wanted: Sequence[BoundSetting],
    scheduler: engine.Scheduler | None = None,
    listener: engine.Listener | None = None,
    beside: Beside | None = None,
    own: OwnMetrics | None = None,
) -> BoundReport:
    """Score every setting over the given frames of a split.

    `own` are metrics of the user's, beside adaprep's.
    """
    if isinstance(frames, FrameList):
        frames = frames.carried()  # workers need not see the workspace
    tasks = [
        engine.Block(
            partial(
                score_frames, dataset, i, frames[i : i + FRAMES_PER_TASK], wanted, beside or Beside(), own
            ),
            engine.listed([frame.name for frame in frames[i : i + FRAMES_PER_TASK]]),
        )
        for i in range(0, len(frames), FRAMES_PER_TASK)
    ]
    title = f"upper bound of {dataset.name}/{split}"
    site = fitness.Site(files=fitness.some_of([frame.label for frame in fitness.ends(frames)]))
    where = scheduler or engine.Scheduler()
    engine.check(where, site)
    summary = engine.run(tasks, where, title, listener, len(frames), site=site)
    used = summary.images - len(summary.failures)
    return BoundReport(dataset, split, total(summary.values), used, summary.failures, summary.seconds)
