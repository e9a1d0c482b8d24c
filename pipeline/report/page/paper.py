"""The figures of the paper's Tables 2 to 5 as data, to stand beside those of the user's own runs."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from pipeline.samplers.base import Sampler
from pipeline.samplers.predicted import Predicted
from pipeline.samplers.uniform import Uniform

SOURCE = "Marin et al., Efficient Segmentation: Learning Downsampling Near Semantic Boundaries, ICCV 2019"

TARGETS = {
    "apolloscape": ("car", "motorbicycle", "bicycle", "person", "rider", "truck", "bus", "tricycle"),
    "supervisely": ("person",),
}
"""Target classes, where the paper prints IoU by class."""

DECIMALS = 2
"""Digits behind the point that the paper prints, of mIoU and IoU."""


@dataclass(frozen=True)
class PaperEntry:
    """One row of a table of the paper."""

    network: str
    adaptive: bool  # else uniform
    resolution: int  # of the sampled image, pixels a side
    gmacs: float  # "flops, 10^9" in the paper
    miou: float  # all classes
    target_miou: float | None = None
    iou: tuple[float, ...] = ()  # by class, in the table's order

    @property
    def sampler(self) -> type[Sampler]:
        """What sampled for it."""
        return Predicted if self.adaptive else Uniform


@dataclass(frozen=True)
class PaperTable:
    """One table of the paper."""

    dataset: str  # beginning of the data set's name here
    number: int
    title: str
    entries: tuple[PaperEntry, ...]
    classes: tuple[str, ...] = ()
    note: str = ""


CLASSES_2 = (
    "road",
    "sidewalk",
    "traffic cone",
    "road pile",
    "fence",
    "traffic light",
    "pole",
    "traffic sign",
    "wall",
    "dustbin",
    "billboard",
    "building",
    "vegetation",
    "sky",
    *TARGETS["apolloscape"],
)
"""Classes of Table 2 from left to right; the target classes come last."""

_TABLE_2 = """
o  32  0.38 .92 .38 .17 .00 .49 .11 .08 .44 .28 .03 .00 .74 .86 .84 .66 .07 .27 .02 .03 .34 .52 .01 .24 .24
b  32  0.31 .92 .29 .13 .00 .43 .14 .11 .53 .18 .00 .00 .74 .87 .89 .59 .04 .26 .01 .02 .20 .44 .00 .19 .19
o  64  1.31 .94 .39 .31 .02 .56 .25 .17 .61 .41 .08 .00 .78 .89 .87 .76 .10 .33 .04 .03 .44 .53 .04 .28 .28
b  64  1.24 .94 .40 .30 .01 .52 .30 .22 .64 .29 .04 .00 .79 .90 .91 .70 .06 .31 .02 .03 .32 .52 .03 .25 .25
o 128  5.05 .95 .51 .43 .07 .61 .44 .29 .71 .47 .13 .01 .82 .91 .88 .83 .16 .41 .08 .05 .57 .76 .06 .36 .36
b 128  4.98 .96 .39 .43 .05 .59 .45 .36 .73 .37 .11 .00 .83 .92 .93 .80 .10 .38 .06 .03 .44 .70 .06 .32 .32
o 256 19.99 .96 .44 .51 .13 .66 .58 .42 .78 .58 .27 .00 .84 .92 .89 .88 .21 .47 .18 .04 .65 .80 .24 .44 .44
b 256 19.92 .97 .48 .49 .13 .64 .58 .46 .79 .48 .24 .00 .85 .94 .94 .86 .17 .42 .15 .04 .60 .83 .10 .40 .40
o 512 79.76 .97 .44 .54 .21 .68 .63 .49 .80 .67 .36 .00 .85 .93 .90 .91 .24 .52 .30 .06 .75 .81 .19 .47 .47
b 512 79.68 .97 .47 .55 .20 .68 .67 .54 .83 .59 .36 .00 .87 .94 .94 .90 .21 .49 .26 .03 .68 .84 .13 .44 .44
"""
"""o: adaptive ("ours" in the paper), b: uniform ("baseline"); resolution, GMACs, 22 classes, "all classes",
"target classes", as printed."""


def _table_2() -> tuple[PaperEntry, ...]:
    entries = []
    for line in _TABLE_2.split("\n")[1:-1]:
        who, resolution, gmacs, *values = line.split()
        *iou, _, target = map(float, values)
        entries.append(
            PaperEntry("unet", who == "o", int(resolution), float(gmacs), fmean(iou), target, tuple(iou))
        )
    return tuple(entries)


def _pairs(network: str, rows: tuple[tuple[float, ...], ...]) -> tuple[PaperEntry, ...]:
    """Rows of (resolution, GMACs and mIoU of adaptive sampling, GMACs and mIoU of uniform)."""
    return tuple(
        PaperEntry(network, adaptive, int(row[0]), gmacs, miou)
        for row in rows
        for adaptive, (gmacs, miou) in ((True, row[1:3]), (False, row[3:5]))
    )


TABLES = (
    PaperTable(
        "apolloscape",
        2,
        "ApolloScape, 22 classes",
        _table_2(),
        CLASSES_2,
        "Table 2 prints the same figures under 'all classes' as under 'target classes'. The mIoU over all "
        "classes shown here is the mean of the 22 printed class IoUs, to about 0.005.",
    ),
    PaperTable(
        "cityscapes",
        3,
        "Cityscapes, 19 classes",
        (
            *_pairs(
                "pspnet",
                (
                    (64, 4.37, 0.32, 4.20, 0.29),
                    (128, 11.25, 0.43, 11.08, 0.40),
                    (256, 44.22, 0.54, 44.05, 0.54),
                ),
            ),
            *_pairs(
                "deeplabv3plus",
                (
                    (160, 17.54, 0.58, 17.23, 0.54),
                    (192, 25.12, 0.62, 24.81, 0.61),
                    (224, 34.08, 0.65, 33.77, 0.62),
                ),
            ),
        ),
    ),
    PaperTable(
        "synthia",
        4,
        "Synthia",
        (
            PaperEntry("unet", True, 32, 0.38, 0.67, 0.61),
            PaperEntry("unet", False, 32, 0.31, 0.65, 0.58),
            PaperEntry("unet", True, 64, 1.40, 0.77, 0.73),
            PaperEntry("unet", False, 64, 1.23, 0.76, 0.71),
            PaperEntry("unet", True, 128, 5.49, 0.86, 0.83),
            PaperEntry("unet", False, 128, 4.93, 0.84, 0.81),
            PaperEntry("unet", True, 256, 21.85, 0.92, 0.91),
            PaperEntry("unet", False, 256, 19.74, 0.91, 0.89),
        ),
    ),
    PaperTable(
        "supervisely",
        5,
        "Supervisely Person, 2 classes",
        (
            PaperEntry("unet", True, 16, 0.15, 0.73, 0.62, (0.84, 0.62)),
            PaperEntry("unet", False, 16, 0.07, 0.69, 0.56, (0.81, 0.56)),
            PaperEntry("unet", True, 32, 0.35, 0.76, 0.67, (0.86, 0.67)),
            PaperEntry("unet", False, 32, 0.30, 0.76, 0.66, (0.85, 0.66)),
            PaperEntry("unet", True, 64, 1.39, 0.83, 0.76, (0.90, 0.76)),
            PaperEntry("unet", False, 64, 1.22, 0.80, 0.71, (0.88, 0.71)),
            PaperEntry("unet", True, 128, 5.42, 0.87, 0.82, (0.93, 0.82)),
            PaperEntry("unet", False, 128, 4.90, 0.85, 0.79, (0.91, 0.79)),
            PaperEntry("unet", True, 256, 20.11, 0.90, 0.86, (0.94, 0.86)),
            PaperEntry("unet", False, 256, 19.59, 0.89, 0.84, (0.93, 0.84)),
        ),
        ("background", "person"),
    ),
)


def table_for(dataset: str) -> PaperTable | None:
    """The paper's table on a data set of this name, if it is one of the paper's four."""
    return next((table for table in TABLES if dataset.startswith(table.dataset)), None)
