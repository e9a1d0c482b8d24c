"""The rows of a YAML file's class table, and what it calls void: what each may hold by itself."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pipeline.datasets.base import VOID
from pipeline.datasets.limits import short
from pipeline.datasets.yaml_models import ITEMS, Text, YamlModel, read_with, whole
from pipeline.datasets.yaml_nodes import YamlNode

HEX = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")
MOST_ID = 65535

NAMED = ("labelme", "supervisely", "masks")
"""Formats whose labels are the names of the classes."""

COUNTED = ("colors", *NAMED)
"""Formats that hold no ids, so that the table may leave them out."""

COVERING = ("masks", "coco", "labelme", "yolo", "supervisely")
"""Formats of shapes, which need not cover every pixel."""

Color = tuple[int, int, int]

NEUTRAL: Color = (128, 128, 128)
"""Of a background class for which the file gives no colour."""


def _channels(node: YamlNode) -> Any:
    """Red, green and blue, as numbers or as nodes of such."""
    value = node.value()
    if isinstance(value, str) and (match := HEX.fullmatch(value)):
        return tuple(int(part, 16) for part in match.groups())
    if isinstance(value, list) and len(value) == 3:
        return node.items()
    node.fail(f'must be [red, green, blue] or "#rrggbb", found {short(value)}')


def void_item(node: YamlNode) -> int | Color | str:
    """An id, a colour, or the name of a label."""
    if not node.is_scalar() or (isinstance(value := node.value(), str) and HEX.fullmatch(value)):
        red, green, blue = _channels(node)
        channels = (c.integer(0, 255) if isinstance(c, YamlNode) else c for c in (red, green, blue))
        first, second, third = channels
        return first, second, third
    return node.text() if isinstance(value, str) else node.integer(0, MOST_ID)


Channel = Annotated[int, whole(0, 255)]
Id = Annotated[int, whole(0, MOST_ID)]
VoidItem = Annotated[Any, read_with(void_item)]
Void = Annotated[list[VoidItem] | None, ITEMS]


class ClassRow(YamlModel):
    """A class, or one of several ids of a class."""

    id: Id | None = None
    name: Text
    train_id: Annotated[int | None, whole(0, VOID)] = None
    color: Annotated[tuple[Channel, Channel, Channel] | None, read_with(_channels)] = None
