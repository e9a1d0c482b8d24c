"""Locks of folders of an object store: one object that only one writer can make, by conditional writes.

Who holds a lock writes it again every minute. A lock that was not written for half an hour, or whose process
has ended on this machine, is taken over; who finds that another has it, as after a laptop's sleep, writes no
more to the folder. Stores that ignore `If-None-Match` give no protection.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

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
    about = f"{HOLDER}{os.getpid()} on {socket.gethostname()}, since {started}"
    held = HeldObject(bucket, key, f"{about}\n{uuid.uuid4().hex}".encode())
    if not held.take():
        holding = holder(folder) or "another process"
        raise BusyError(
            f"another adaprep run is writing to {folder} ({holding})",
            f"Wait for it, or choose another --workspace. If it was killed: {folder / '.lock'} is taken over "
            f"{STALE / 60:.0f} minutes after its end.",
        )
    ended = threading.Event()
    thread = threading.Thread(target=held.renew, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        held.release()


@dataclass
class HeldObject:
    """A lock: its object, and what this process writes into it, which nobody else does."""

    bucket: Bucket
    key: str
    text: bytes
    tag: str | None = None  # of the version that is ours

    @property
    def folder(self) -> str:
        return self.key.removesuffix(".lock")

    def take(self) -> bool:
        """Make the object, or take it over from one that has gone; whether it is ours now."""
        self.tag = self.bucket.put(self.key, self.text, only_new=True)
        if self.tag is None:
            self.tag = self._found()
        return self.tag is not None

    def _found(self) -> str | None:
        """The version that is ours of an object that is there, or that was; None where another has it."""
        try:
            info, found = self.bucket.fetch(self.key, 0, 1000, None)
        except FileNotFoundError:  # released meanwhile
            return self.bucket.put(self.key, self.text, only_new=True)
        if found == self.text:  # the answer to our own writing was lost
            return info.tag
        said = found.decode("utf-8", "replace")
        if said and not said.startswith(HOLDER):
            raise AdaprepError(
                f"{self.bucket.title}/{self.key} is not a lock of adaprep, as it should be: it is left as it "
                f"is. Move it away, or choose another --workspace."
            )
        if not _is_stale(self.bucket, self.key, said):
            return None
        return self.bucket.put(self.key, self.text, only_over=info.tag)

    def renew(self, ended: threading.Event) -> None:
        """Write the object again and again, as long as it is ours; then nothing is written to the folder."""
        while not ended.wait(RENEWED):
            with suppress(AdaprepError, OSError):
                tag = self.bucket.put(self.key, self.text, only_over=self.tag or "")
                self.tag = self._found() if tag is None else tag
                if self.tag is None:
                    self.bucket.closed[self.folder] = self._lost()
                    return

    def _lost(self) -> str:
        return (
            f"{self.bucket.title}/{self.folder} is written by another adaprep now: this one was not heard of "
            f"for {STALE / 60:.0f} minutes. What it had finished is kept: run the same command again once "
            f"the other has ended."
        )

    def release(self) -> None:
        """Delete the object, if it is still ours."""
        self.bucket.closed.pop(self.folder, None)
        with suppress(AdaprepError, OSError):
            if self.bucket.fetch(self.key, 0, 1000, None)[1] == self.text:
                self.bucket.remove([self.key])


def holder(folder: StoredPath) -> str | None:
    """Who is writing to a folder now: process, host, since when. None where nobody is."""
    bucket, key = folder.bucket(".lock")
    try:
        text = bucket.read(key, 1000).decode("utf-8", "replace")
        held = text.startswith(HOLDER) and not _is_stale(bucket, key, text)
        return text.partition("\n")[0] if held else None
    except OSError:
        return None


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
