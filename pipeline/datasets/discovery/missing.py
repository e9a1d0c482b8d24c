"""What to say of a folder in which nothing was recognised: what was seen, and what is missing."""

from __future__ import annotations

from pipeline.datasets.discovery import coco, shapes
from pipeline.datasets.discovery.roles import part_of
from pipeline.datasets.discovery.tree import MAPS, Tree, is_other_picture, is_picture
from pipeline.errors import AdaprepError
from pipeline.names import printable


class NothingFound(AdaprepError):
    """No data set was recognised."""


def nothing(tree: Tree, wanted: str | None = None) -> NothingFound:
    """The error for a folder of which no data set can be made."""
    asked = f" with --labels-are {wanted}" if wanted else ""
    return NothingFound(
        printable(
            f"{tree.root}: no images with labels were recognised{asked}.\nSeen:\n{tree.description()}\n"
            f"Missing: {_missing(tree)}"
        )
    )


def _missing(tree: Tree) -> str:
    """The likeliest reason."""
    pictures = [file for file in tree.files if is_picture(file)]
    if not pictures:
        others = [file for file in tree.files if is_other_picture(file)]
        kinds = f" ({others[0]} is of a kind that is not read)" if others else ""
        return f"images, such as PNG or JPEG{kinds}."
    if said := coco.boxes_alone(tree) or shapes.yolo_boxes(tree):
        return said
    folders = sorted({file.rpartition("/")[0] for file in tree.files})
    labels = [folder for folder in folders if part_of(folder.rpartition("/")[2]).role == "label"]
    inside = [file for folder in labels for file in tree.files if file.startswith(folder + "/")]
    if xml := tree.ending_in(".xml"):
        return (
            f"labels of pixels. {xml[0]} is XML, which mostly holds bounding boxes: export the labels "
            f"as masks, COCO, Labelme, YOLO outlines or Supervisely."
        )
    if inside and all(file.lower().endswith((".jpg", ".jpeg")) for file in inside):
        return (
            f"label maps. {inside[0]} is a JPEG file, whose lossy compression changes class ids: export the "
            f"labels as PNG."
        )
    if inside and all(is_other_picture(file) for file in inside):
        return f"label maps. {inside[0]} is of a kind that is not read: export the labels as PNG."
    maps = [file for file in inside if file.lower().endswith(MAPS)]
    if maps:
        image = next((file for file in pictures if file not in maps), "")
        facing = f", such as {image} for {maps[0]}" if image else f" beside {maps[0]}"
        return f"images and label maps of one name{facing}: rename them, or list the pairs in a file."
    return "labels: label maps as PNG, or annotations of COCO, Labelme, YOLO (outlines) or Supervisely."
