"""Locks of folders of an object store: one object that only one writer can make, by conditional writes.

Who holds a lock writes it again every minute. A lock that was not written for half an hour, or whose process
has ended on this machine, is taken over. Stores that ignore `If-None-Match` give no protection.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pipeline.errors import AdaprepError, BusyError
from pipeline.storage import StoredPath
from pipeline.storage.objects import Bucket

HOLDER = "process "
"""Begins what a lock holds."""

RENEWED, STALE = 60.0, 1800.0
"""Seconds after which a lock is written again, and after which it counts as left behind: more than clocks may
differ by for a store to take their requests."""


@contextmanager
def lock(folder: StoredPath) -> Iterator[None]:
    """Keep every other adaprep from writing to a folder meanwhile.

    Raises
    ------
    BusyError
        Somebody does already.
    AdaprepError
        The store refuses, or another object has the lock's name.
    """
    bucket, key = folder.bucket(".lock")
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    text = f"{HOLDER}{os.getpid()} on {socket.gethostname()}, since {started}".encode()
    tag = _taken(bucket, key, text)
    if tag is None:
        held = holder(folder) or "another process"
        raise BusyError(
            f"another adaprep run is writing to {folder} ({held})",
            f"Wait for it, or choose another --workspace. If it was killed: {folder / '.lock'} is taken over "
            f"{STALE / 60:.0f} minutes after its end.",
        )
    tags, ended = [tag], threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWED):
            with suppress(AdaprepError, OSError):
                if (new := bucket.put(key, text, only_over=tags[0])) is None:
                    return
                tags[0] = new

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(AdaprepError, OSError):
            about = bucket.info(key)
            if about is not None and about.tag == tags[0]:
                bucket.remove([key])


def holder(folder: StoredPath) -> str | None:
    """Who is writing to a folder now: process, host, since when. None where nobody is."""
    bucket, key = folder.bucket(".lock")
    try:
        text = bucket.read(key, 1000).decode("utf-8", "replace")
        return text if text.startswith(HOLDER) and not _is_stale(bucket, key, text) else None
    except OSError:
        return None


def _taken(bucket: Bucket, key: str, text: bytes) -> str | None:
    """The version of the lock that is now ours; None where somebody holds it."""
    if (tag := bucket.put(key, text, only_new=True)) is not None:
        return tag
    try:
        info, found = bucket.fetch(key, 0, 1000, None)
    except FileNotFoundError:  # released meanwhile
        return bucket.put(key, text, only_new=True)
    said = found.decode("utf-8", "replace")
    if said and not said.startswith(HOLDER):
        raise AdaprepError(
            f"{bucket.title}/{key} is not a lock of adaprep, as it should be: it is left as it is. Move it "
            f"away, or choose another --workspace."
        )
    return bucket.put(key, text, only_over=info.tag) if _is_stale(bucket, key, said) else None


def _is_stale(bucket: Bucket, key: str, text: str) -> bool:
    match = re.match(rf"{HOLDER}(\d+) on (.*), since ", text)
    if match and match[2] == socket.gethostname() and not _is_alive(int(match[1])):
        return True
    about = bucket.info(key)
    return about is not None and time.time() - about.modified > STALE


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
