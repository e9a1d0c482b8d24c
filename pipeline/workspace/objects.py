"""Zarr groups in an object store: through Zarr's own `ObjectStore`, with errors as sentences."""

from __future__ import annotations

import errno
import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import AdaprepError
from pipeline.storage import StoredPath, is_address
from pipeline.storage.objects import Bucket


def zarr_place(path: Path) -> Any:
    """What Zarr opens a group at: the path itself, or an object store below it."""
    if not isinstance(path, StoredPath) or not is_address(path):
        return path
    bucket, key = path.bucket()
    return _kind()(bucket.below(key), bucket, key)


@functools.cache
def _kind() -> Any:
    """The class, made when it is first needed: Zarr is a heavy import."""
    from zarr.storage import ObjectStore

    class SayingStore(ObjectStore[Any]):
        """An `ObjectStore` whose errors are those of `Bucket`."""

        def __init__(self, store: Any, bucket: Bucket, key: str, *, read_only: bool = False) -> None:
            super().__init__(store, read_only=read_only)
            self.bucket, self.key = bucket, key

        def with_read_only(self, read_only: bool = False) -> SayingStore:
            return type(self)(self.store, self.bucket, self.key, read_only=read_only)

        def _problem(self, key: str, error: Exception) -> Exception:
            return self.bucket.problem(f"{self.key}/{key}", error)

        async def get(self, key: str, *arguments: Any, **options: Any) -> Any:
            try:
                return await super().get(key, *arguments, **options)
            except Exception as error:
                raise self._problem(key, error) from error

        async def get_partial_values(self, *arguments: Any, **options: Any) -> Any:
            try:
                return await super().get_partial_values(*arguments, **options)
            except Exception as error:
                raise self._problem("", error) from error

        async def set(self, key: str, value: Any) -> None:
            try:
                await super().set(key, value)
            except FileNotFoundError as error:  # of a put: the bucket has gone
                raise self._problem(key, RuntimeError("NoSuchBucket")) from error
            except Exception as error:
                raise self._problem(key, error) from error

        async def exists(self, key: str) -> bool:
            try:
                return await super().exists(key)
            except Exception as error:
                raise self._problem(key, error) from error

    return SayingStore


@contextmanager
def replacing(path: StoredPath) -> Iterator[Path]:
    """Yield a temporary file to write to, which becomes the object when the block ends well.

    Raises
    ------
    AdaprepError
        The disk of the temporary file is full.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder, path.name)
            path.write_file(Path(folder, path.name))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise AdaprepError(
            f"the disk of {tempfile.gettempdir()} is full, where {path} is put together: make room there, or "
            f"set TMPDIR to another folder, and run the same command again."
        ) from error


def delete_below(path: StoredPath) -> None:
    """Delete an object, or all below it: `zarr.json` at the top first, without which there is no store."""
    bucket, key = path.bucket()
    names = sorted(path.below(), key=lambda name: (name.count("/"), name)) if path.is_dir() else []
    bucket.remove([f"{key}/{name}" for name in names] or [key])
