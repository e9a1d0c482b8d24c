"""How commands end and print."""

from __future__ import annotations

import sys
from typing import Literal

State = Literal["to do", "begun", "done"]
"""What is there of what a command makes."""


def of_plan(images: int, action: str) -> State:
    """State of a store by its plan: images that are left, and what would be done to it."""
    if not images:
        return "done"
    return "to do" if action == "create" else "begun"


def together(states: set[State]) -> State:
    """State of several things."""
    return states.pop() if len(states) == 1 else "begun"


def finish(ok: bool) -> None:
    """Exit status 1 unless all went well."""
    if not ok:
        sys.exit(1)
