"""Annotation files in JSON, read for what `init` asks of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.datasets.limits import read_limited
from pipeline.errors import AdaprepError

MAX_BYTES = 1024 * 2**20
"""Of one annotation file: COCO's largest has 470 MB."""


def read_object(path: Path) -> dict[str, Any] | None:
    """A file that is one JSON object; None for all others, and for what cannot be read."""
    try:
        found = json.loads(read_limited(path, MAX_BYTES))
    except (AdaprepError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The objects of a JSON list; none of anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
