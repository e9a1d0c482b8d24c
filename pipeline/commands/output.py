"""How commands end and print."""

from __future__ import annotations

import json
import sys
from typing import Any

import click


def finish(ok: bool) -> None:
    """Exit status 1 unless all went well."""
    if not ok:
        sys.exit(1)


def print_json(data: Any) -> None:
    """Print plain data for another program."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2))
