"""An empty bucket of a real server; folders as archives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.object_store import Server, running_server, server, upload

__all__ = ["Server", "running_server", "server", "upload"]


@pytest.fixture
def bucket(server: Server, request: pytest.FixtureRequest) -> Path:
    """An empty bucket of the test's own."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-")[:60].strip("-")
    return server.bucket(name)


def zipped(folder: Path, target: Path, compress: bool = True) -> Path:
    """A folder as a zip file."""
    import zipfile

    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, "w", method) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return target


def tarred(folder: Path, target: Path) -> Path:
    """A folder as a tar file, as `tar -cf FILE -C FOLDER .` makes it."""
    import tarfile

    with tarfile.open(target, "w") as archive:
        archive.add(folder, ".")
    return target
