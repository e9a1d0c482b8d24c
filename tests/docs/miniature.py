"""What the docs' commands meet when they are run as tests: tiny data sets, and training of one epoch.

Options and paths are parsed and every stage runs; of recipes only networks for large images are left out.
`python -m tests.docs.miniature` is `adaprep` under the same limits.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.datasets import replicas
from tests.datasets.encode import write_png

REPOSITORY = Path(__file__).resolve().parents[2]
SCENES, SCENE_SIZE = (6, 2), (96, 120)
CAMVID = {
    "train": ("0001TP_006690", "0001TP_006720", "0006R0_f03030"),
    "val": ("0016E5_07959", "0016E5_08159"),
    "test": ("Seq05VD_f00000",),
}
"""Frames that the docs name."""

MOST = 64
"""Side of the largest images that networks of a recipe are trained on."""

WITH_NETWORKS = {"demo", "evaluate", "export", "networks", "predict", "report", "run", "train", "upper-bound"}
"""Commands that make networks or read them."""

FACTORY = """\
import torch


def factory(classes):
    return torch.nn.Conv2d(3, classes, 3, padding=1)
"""


def limit(set_attribute: Callable[[Any, str, Any], None], networks: bool = True) -> None:
    """One epoch of narrow networks, a handful of small scenes, few points of Appendix A.

    Of recipes, no networks for large images. Where no networks are used, PyTorch is not needed.
    """
    from pipeline.datasets import demo
    from pipeline.evaluation import boundary_error
    from pipeline.recipes import trainings
    from pipeline.train import settings

    schedule, generate = settings.Request.schedule, demo.generate
    by_resolution = trainings._by_resolution

    def one_epoch(self: settings.Request, *args: Any, **options: Any) -> settings.Schedule:
        made = schedule(self, *args, **options)
        return replace(made, epochs=1, validate_every=1)

    def few(root: Path, train: int = 24, val: int = 8, **options: Any) -> None:
        generate(root, min(train, SCENES[0]), min(val, SCENES[1]), size=SCENE_SIZE, **options)

    def affordable(*args: Any) -> list[list[settings.Request]]:
        parts = by_resolution(*args)
        return [part for part in parts if part[0].base.resolution <= MOST] or parts[:1]

    if networks:
        narrow(set_attribute)
    set_attribute(settings.Request, "schedule", one_epoch)
    set_attribute(trainings, "_by_resolution", affordable)
    set_attribute(demo, "generate", few)
    set_attribute(boundary_error, "SEGMENTS", (4, 8))
    set_attribute(boundary_error, "RESOLUTIONS", (12, 24))
    set_attribute(boundary_error, "SHIFTS", boundary_error.SHIFTS[:1])


def narrow(set_attribute: Callable[[Any, str, Any], None]) -> None:
    """Networks of adaprep's own with a sixteenth of their features."""
    from pipeline.networks.auxiliary import FEATURES, FIRST_FEATURES, AuxiliaryNetwork
    from pipeline.networks.unet import UNet

    unet, auxiliary = UNet.__init__, AuxiliaryNetwork.__init__

    def narrow_unet(self: UNet, classes: int, **options: Any) -> None:
        unet(self, classes, **{"widths": (4, 8, 16, 32), **options})

    def narrow_auxiliary(
        self: AuxiliaryNetwork,
        *of: Any,
        features: int = FEATURES,
        first: int = FIRST_FEATURES,
        **options: Any,
    ) -> None:
        auxiliary(self, *of, features=-(-features // 16), first=-(-first // 16), **options)

    set_attribute(UNet, "__init__", narrow_unet)
    set_attribute(AuxiliaryNetwork, "__init__", narrow_auxiliary)


def camvid(root: Path) -> None:
    """Frames of 72 x 96 in CamVid's layout: bands of all classes, and a disc of each target."""
    rng = np.random.default_rng(0)
    for split, names in CAMVID.items():
        for name in names:
            labels = street(rng)
            picture = (labels[..., None] * 20 + rng.integers(0, 20, (*labels.shape, 3))).astype(np.uint8)
            for kind in ("images", "labels"):
                (root / kind / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(root / "images" / split / f"{name}.jpg")
            write_png(root / "labels" / split / f"{name}.png", labels)


def street(rng: np.random.Generator, size: tuple[int, int] = (72, 96)) -> NDArray[np.uint8]:
    """(H, W) ids 0 to 11: bands of the classes that are no targets, and discs of 8, 9 and 10."""
    rows, cols = np.mgrid[: size[0], : size[1]]
    bands = np.array([0, 1, 2, 3, 4, 5, 6, 7, 11], np.uint8)
    labels = bands[rows * len(bands) // size[0]]
    for target, column in zip((8, 9, 10), (26, 48, 70), strict=True):
        row, radius = rng.integers(24, 48), rng.integers(6, 9) if target != 9 else 18
        labels[(rows - row) ** 2 + (cols - column) ** 2 <= radius**2] = target
    return labels


def write_data(root: Path) -> None:
    """Every data set of docs/datasets.md, each in a folder of its name."""
    from pipeline.datasets.apolloscape import ApolloScape
    from pipeline.datasets.cityscapes import Cityscapes
    from pipeline.datasets.synthia import SynthiaSeqs

    camvid(root / "camvid")
    replicas.cityscapes(root / "cityscapes", Cityscapes.table)
    for path in sorted((root / "cityscapes").rglob("aachen_000001*")):
        shutil.copy(path, path.with_name(path.name.replace("000001", "000003")))
    replicas.synthia_sequence(root / "synthia-seqs" / "SYNTHIA-SEQS-05-SPRING", SynthiaSeqs.table, count=10)
    lines = replicas.apolloscape(
        root / "apolloscape", ApolloScape.table, ("road01_ins", "road02_ins", "road03_ins", "road04_ins")
    )
    for road, rows in lines.items():
        replicas.write_list(root / "apolloscape" / f"{road}_train.lst", rows[:1])
        replicas.write_list(root / "apolloscape" / f"{road}_val.lst", rows[1:])
    (root / "apolloscape-masks").mkdir()
    mask = np.where(street(np.random.default_rng(1)) == 9, 65535, 0).astype(np.uint16)
    write_png(root / "apolloscape-masks" / "171206_034559609_Camera_5.png", mask)


def own_yaml(root: str) -> str:
    """The data set that docs/your-own-data.md describes, with its folder."""
    page = (REPOSITORY / "docs" / "your-own-data.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(name: .*?)```", page, re.DOTALL)
    assert block is not None
    return re.sub(r"(?m)^root: \S+", f"root: {root}", block[1])


def furnish(folder: Path, data: Path) -> None:
    """What the docs take to lie in the reader's folder, but for a workspace and checkpoints."""
    (folder / "workflows").symlink_to(REPOSITORY / "workflows")
    shutil.copytree(data / "camvid", folder / "camvid")
    (folder / "camvid-mine.yaml").write_text(own_yaml("camvid"), encoding="utf-8")
    (folder / "my-data.yaml").write_text(own_yaml("camvid"), encoding="utf-8")
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "package" / "module.py").write_text(FACTORY, encoding="utf-8")
    for name in ("street.jpg", "photos/one.jpg", "photos/two.jpg", "video1/1.jpg", "video2/1.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(data / "camvid" / "images" / "val" / "0016E5_07959.jpg", folder / name)
    describable(folder, data / "camvid")


def describable(folder: Path, source: Path) -> None:
    """Folders that `adaprep init` is shown with: photos with label maps, a tree of VOC, a zip file."""
    labels = source / "labels" / "val" / "0016E5_07959.png"
    (folder / "photos" / "labels").mkdir()
    for name in ("one", "two"):
        shutil.copy(labels, folder / "photos" / "labels" / f"{name}.png")
    voc = folder / "VOCdevkit" / "VOC2012"
    lists = voc / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for kind, new, ending in (("images", "JPEGImages", "jpg"), ("labels", "SegmentationClass", "png")):
        (voc / new).mkdir()
        for split in ("train", "val"):
            for name in CAMVID[split]:
                shutil.copy(source / kind / split / f"{name}.{ending}", voc / new)
            (lists / f"{split}.txt").write_text("\n".join(CAMVID[split]) + "\n", encoding="utf-8")
    shutil.make_archive(str(folder / "export"), "zip", source)


if __name__ == "__main__":
    from cli import main

    limit(setattr, networks=bool(WITH_NETWORKS.intersection(sys.argv[1:2])))
    main(prog_name="adaprep")
