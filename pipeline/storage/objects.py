"""Files in the buckets of object stores, through obstore: s3, gs, az.

A folder is what keys have in common up to a slash. Credentials, endpoint and region come from the
environment, by the names that the stores' own tools use (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...).
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from pipeline.names import printable
from pipeline.storage import archives
from pipeline.storage.errors import StorageError
from pipeline.storage.problems import RETRIES, BeyondEndError, ConditionError, first_line, no_bucket, problem
from pipeline.storage.tree import FOLDER, FileTree, Info, StoredFile, is_reading

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
"""Of addresses."""

ENVIRONMENT = ("AWS_", "GOOGLE_", "AZURE_")
"""How variables begin that say how a store is reached."""

AHEAD = 512 * 2**10
"""Bytes of a file that is asked about because it will be read whole: most label maps have fewer."""

WITHIN = 30.0
"""Seconds in which a request is tried again where the store is busy or the line breaks."""

PIECE = 32 * 2**20
"""Bytes of one request: a larger file is read, and written, in several, so that none takes long."""

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
}
"""What browsers are told of objects, by suffix."""

RECENT = 10.0
"""Seconds for which an archive in a bucket is taken for unchanged, and a listing for what is there."""

LISTINGS = 8
"""Listings of a bucket that are kept that long."""

T = TypeVar("T")


def place(scheme: str, parts: Sequence[str]) -> tuple[FileTree, str] | None:
    """The tree that an address leads into, and the key there: of a bucket, or of an archive in one."""
    found = bucket(scheme, parts[0])
    for i, part in enumerate(parts[1:], 2):
        if archives.is_archive(part) and (inside := found.archive("/".join(parts[1:i]))) is not None:
            return inside, "/".join(parts[i:])
    return found, "/".join(parts[1:])


def bucket(scheme: str, name: str) -> Bucket:
    """A bucket as the environment says now that it is reached. Raises StorageError."""
    said = tuple(sorted(item for item in os.environ.items() if item[0].startswith(ENVIRONMENT)))
    return _bucket(scheme, name, said, os.getpid())


@functools.lru_cache(64)
def _bucket(scheme: str, name: str, environment: tuple[tuple[str, str], ...], process: int) -> Bucket:
    return Bucket(scheme, name, dict(environment))


def _opened(url: str, environment: Mapping[str, str], endpoint: str | None) -> ObjectStore:
    from datetime import timedelta

    try:
        from obstore.store import from_url
    except ImportError as error:
        raise StorageError(
            f"{url}: object stores need the package obstore. Install it with: pip install 'adaprep[objects]'"
        ) from error
    more: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    try:
        return from_url(
            url,
            client_options={
                "allow_http": bool(endpoint and endpoint.startswith("http://")),
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(seconds=60),
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=WITHIN)},
            **more,
        )
    except Exception as error:
        raise StorageError(printable(f"{url}: cannot be reached: {first_line(error)}")) from error


class Bucket(FileTree):
    """The files of one bucket.

    Parameters
    ----------
    environment
        The variables that say how it is reached.
    """

    def __init__(self, scheme: str, name: str, environment: Mapping[str, str]) -> None:
        names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT") if scheme == "s3" else ()
        self.title = f"{scheme}://{name}"
        self.endpoint = next((environment[n] for n in names if environment.get(n)), None)
        if self.endpoint and not re.fullmatch(r"https?://[\w.:\[\]-]+(/.*)?", self.endpoint):
            raise StorageError(
                f"{self.title}: the endpoint {printable(self.endpoint)!r} is no address such as "
                f"https://HOST:PORT. Set AWS_ENDPOINT_URL."
            )
        self.environment = environment
        self.store = _opened(self.title, environment, self.endpoint)
        self.closed: dict[str, str] = {}  # folders that this process writes to no more, and why
        self._listings: list[tuple[str, float, set[str]]] = []
        self._archives: dict[str, tuple[float, archives.Archive | None]] = {}
        self._lock = threading.Lock()

    def info(self, key: str) -> Info | None:
        if key:
            try:
                if is_reading():  # what is asked about there will be read
                    return self.head(key).info
                return _info(self._ask(key, lambda: self.store.head(key)))
            except (FileNotFoundError, PermissionError):  # of a folder; what is refused is told below
                pass
        return FOLDER if self.is_folder(key) else None

    def is_file(self, key: str) -> bool:
        try:
            if is_reading():
                return bool(key) and bool(self.head(key))
            return bool(key) and bool(self._ask(key, lambda: self.store.head(key)))
        except FileNotFoundError:
            return False
        except PermissionError:  # as some stores answer where there is nothing
            return super().is_file(key)

    def is_folder(self, key: str) -> bool:
        first = self._ask(key, lambda: next(iter(self.store.list(key or None, chunk_size=1)), None))
        return bool(first) or not key

    def version(self, key: str) -> tuple[int, ...]:
        try:
            if is_reading():
                return self.head(key, AHEAD).info.version
            return _info(self._ask(key, lambda: self.store.head(key))).version
        except FileNotFoundError:
            return ()

    def entries(self, key: str) -> dict[str, Info]:
        found = self._ask(key, lambda: self.store.list_with_delimiter(key or None))
        folders = [str(path) for path in found["common_prefixes"]]
        listed = {path.rpartition("/")[2]: FOLDER for path in folders}
        listed |= {meta["path"].rpartition("/")[2]: _info(meta) for meta in found["objects"]}
        return dict(sorted(listed.items()))

    def walk(self, key: str) -> Iterator[tuple[str, Info]]:
        first = len(key) + 1 if key else 0
        batches = iter(self._ask(key, lambda: self.store.list(key or None)))
        names = set[str]()
        while (batch := self._ask(key, lambda: next(batches, None))) is not None:
            for meta in batch:
                names.add(meta["path"])
                yield meta["path"][first:], _info(meta)
        with self._lock:
            self._listings = [(key, time.monotonic(), names), *self._listings[: LISTINGS - 1]]

    def listed_lately(self, key: str) -> bool | None:
        for folder, when, names in self._listings:
            if time.monotonic() - when < RECENT and (not folder or key.startswith(f"{folder}/")):
                return key in names
        return None

    def fetch(self, key: str, start: int, stop: int | None, info: Info | None) -> tuple[Info, bytes]:
        pieces, at = list[bytes](), start
        while True:
            until = at + PIECE if stop is None else min(stop, at + PIECE)
            info, piece = self._piece(key, at, until, info)
            pieces.append(piece)
            at += len(piece)
            if not piece or at < until or at >= (info.size if stop is None else min(stop, info.size)):
                return info, pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _piece(self, key: str, start: int, stop: int, info: Info | None) -> tuple[Info, bytes]:
        """As `fetch`, in one request."""
        options: dict[str, Any] = {"range": (start, stop)}
        if info is not None and info.tag:
            options["if_match"] = info.tag
        try:
            found, data = self._ask(key, lambda: self._got(key, options))
        except BeyondEndError:
            about = _info(self._ask(key, lambda: self.store.head(key)))
            return about, b""
        return _info(found), data

    def _got(self, key: str, options: dict[str, Any]) -> tuple[Any, bytes]:
        answer = self.store.get(key, options=options)  # type: ignore[arg-type]
        return answer.meta, bytes(answer.bytes())

    def put(self, key: str, data: bytes, only_new: bool = False, only_over: str = "") -> str | None:
        """Write an object in one request, and give the tag of its version.

        Parameters
        ----------
        only_new
            Only where there is none of that key.
        only_over
            Only where the object is of the version with this tag.

        Returns
        -------
        None where that condition does not hold; nothing is written.
        """
        if not only_new and not only_over:
            self._check_open(key)
        options: dict[str, Any] = {"use_multipart": False, **_attributes(key)}
        if only_new:
            options = {"mode": "create"}
        elif only_over:
            options = {"mode": {"e_tag": only_over}}
        try:
            answer = self._ask(key, lambda: self.store.put(key, data, **options))
        except ConditionError:
            return None
        except FileNotFoundError as error:
            if only_over:
                return None
            raise no_bucket(self.title) from error
        return answer["e_tag"] or ""

    def put_file(self, key: str, file: Path) -> None:
        """Write a file of this machine as an object, which is there once all of it is."""
        if file.stat().st_size <= PIECE:
            self.put(key, file.read_bytes())
            return
        self._check_open(key)
        options: dict[str, Any] = {"use_multipart": True, "chunk_size": PIECE, "max_concurrency": 4}
        try:
            self._ask(key, lambda: self.store.put(key, file, **options, **_attributes(key)))
        except FileNotFoundError as error:
            raise no_bucket(self.title) from error

    def _check_open(self, key: str) -> None:
        for folder, why in list(self.closed.items()):
            if key.startswith(folder):
                raise StorageError(why)

    def remove(self, keys: Sequence[str]) -> None:
        """Delete objects, in order where there are few; those that are not there are passed over."""
        for key in keys:
            self._check_open(key)
            with suppress(FileNotFoundError):
                self._ask(key, lambda key=key: self.store.delete(key))  # type: ignore[misc]

    def below(self, key: str) -> ObjectStore:
        """A store of obstore whose keys begin below a key."""
        return _opened(f"{self.title}/{quote(key)}", self.environment, self.endpoint)

    def archive(self, key: str) -> archives.Archive | None:
        """The archive that an object is; None where there is no such object. Raises StorageError."""
        with self._lock:
            checked, found = self._archives.get(key, (-RECENT, None))
            if time.monotonic() - checked < RECENT:
                return found
            about = self.info(key)
            found = None if about is None or about.is_folder else self._index(key, about)
            self._archives[key] = (time.monotonic(), found)
            return found

    def _index(self, key: str, about: Info) -> archives.Archive:
        title = f"{self.title}/{key}"
        if not title.lower().endswith(archives.ZIP):
            raise StorageError(
                f"{title}: only zip archives are read from object stores, since others have no list of their "
                f"files. Pack the files as .zip, or store them unpacked."
            )

        def read_at(start: int, count: int) -> bytes:
            return self.fetch(key, start, start + count, about)[1]

        identity = (self.title, self.endpoint, key, *about.version)
        file = cast("IO[bytes]", StoredFile(self, key))
        return archives.kept(identity, lambda: archives.make(title, file, read_at, about.version))

    def _ask(self, key: str, request: Callable[[], T]) -> T:
        """The answer to a request; what goes wrong as an OSError of one file, or StorageError."""
        try:
            return request()
        except StorageError:
            raise
        except Exception as error:
            raise self.problem(key, error) from error

    def problem(self, key: str, error: Exception) -> Exception:
        """What went wrong with a key, as `_ask` raises it."""
        return problem(self.title, self.endpoint, key, error)


def _attributes(key: str) -> dict[str, Any]:
    """What is put with an object: its type, where browsers need that."""
    kind = CONTENT_TYPES.get(os.path.splitext(key)[1])
    return {"attributes": {"Content-Type": kind}} if kind else {}


def _info(meta: Any) -> Info:
    """Of what the store says of an object: its version by ETag and size, by time where there is no ETag."""
    tag = meta["e_tag"] or ""
    modified = meta["last_modified"].timestamp()
    said = f"{tag or modified} {meta['size']}".encode()
    version = struct.unpack("<3Q", hashlib.blake2b(said, digest_size=24).digest())
    return Info(int(meta["size"]), version, modified, tag=tag)
