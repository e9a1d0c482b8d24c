"""How label maps of a data set of the user's own are stored, one module per format."""

from __future__ import annotations

import importlib

from pipeline.datasets.formats.base import Ids, LabelFormat, Meaning

__all__ = ["KNOWN", "Ids", "LabelFormat", "Meaning", "make"]

KNOWN = {
    "ids": "pipeline.datasets.formats.base:Ids",
    "colors": "pipeline.datasets.formats.colors:Colors",
    "masks": "pipeline.datasets.formats.masks:Masks",
    "coco": "pipeline.datasets.formats.coco:Coco",
    "labelme": "pipeline.datasets.formats.labelme:Labelme",
    "yolo": "pipeline.datasets.formats.yolo:Yolo",
    "supervisely": "pipeline.datasets.formats.projects:Project",
}
"""Formats by what `labels_are` calls them."""


def make(name: str, meaning: Meaning, stored: bool = False) -> LabelFormat:
    """The format of this name; `stored`: images are never turned by an orientation tag."""
    module, attribute = KNOWN[name].split(":")
    kind: type[LabelFormat] = getattr(importlib.import_module(module), attribute)
    return kind(meaning, stored)
