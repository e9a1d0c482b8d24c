"""A folder of a workspace for a library that writes files by itself, and knows no object stores."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pipeline.storage import StoredPath, is_address


class Mirror:
    """The folder itself; or, of one in an object store, a temporary folder whose files are put there.

    Attributes
    ----------
    path : Path
        The folder of this machine to write to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._temporary = tempfile.TemporaryDirectory() if is_address(folder) else None
        self.path = Path(self._temporary.name) if self._temporary else folder
        self._sizes: dict[str, int] = {}

    def put(self) -> None:
        """Write what has grown since the last time. Raises OSError, AdaprepError."""
        if self._temporary is None:
            return
        for file in sorted(self.path.iterdir()):
            target, size = self.folder / file.name, file.stat().st_size
            if self._sizes.get(file.name) != size and isinstance(target, StoredPath):
                target.write_file(file)
                self._sizes[file.name] = size

    def close(self) -> None:
        """Write the rest, and delete the temporary folder."""
        try:
            self.put()
        finally:
            if self._temporary:
                self._temporary.cleanup()
