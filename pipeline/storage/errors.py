"""What goes wrong with a store as a whole."""

from __future__ import annotations

from pipeline.errors import AdaprepError


class StorageError(AdaprepError):
    """An object store or an archive cannot be used at all: no bucket, no permission, damaged."""
