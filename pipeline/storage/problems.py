"""What an object store answers when something is wrong, as errors that files have, or as sentences."""

from __future__ import annotations

import errno
import os
import re

from pipeline.names import printable
from pipeline.storage.errors import StorageError

REFUSED = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "AccountProblem",
    "AuthorizationHeaderMalformed",
    "RequestTimeTooSkewed",
)
"""Answers of S3 that no other file will change."""

NO_CREDENTIALS = ("169.254.169.254", "security-credentials", "metadata.google.internal", "credential")

RETRIES = 3
"""Times that a request is sent again."""


class ConditionError(Exception):
    """The condition of a write does not hold."""


class BeyondEndError(Exception):
    """A range that begins behind the end of its file."""


def problem(title: str, endpoint: str | None, key: str, error: Exception) -> Exception:
    """What went wrong with a key of a bucket: an OSError of one file, or StorageError.

    Parameters
    ----------
    title
        How the bucket is written.
    endpoint
        Where the store is, if it is not that of its own company.
    """
    text, where = str(error), f"{title}/{key}" if key else title
    at = f" at {endpoint}" if endpoint else ""
    if "NoSuchBucket" in text or "ContainerNotFound" in text:
        return no_bucket(title, at)
    if "InvalidRange" in text or "416 " in text:
        return BeyondEndError()
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), where)
    if type(error).__name__ in ("AlreadyExistsError", "PreconditionError") and "PUT" in text:
        return ConditionError()
    if type(error).__name__ == "PreconditionError":
        return OSError(errno.EIO, "was replaced while it was read", where)
    code = (re.search(r"<Code>(\w+)</Code>", text) or ("", ""))[1]
    if not code and any(mark in _without_names(text, title, key) for mark in NO_CREDENTIALS):
        return StorageError(
            f"{title}: there are no credentials. {_how_to_sign(title)} Files of ~/.aws are not read."
        )
    if code in REFUSED or "401 Unauthorized" in text:
        return StorageError(
            f"{title}: the store{at} does not take these credentials ({code or '401'}). {_how_to_sign(title)}"
        )
    if ("403 Forbidden" in text or code == "AccessDenied") and "list request" in text:
        return StorageError(
            f"{where}: permission denied{at}: these credentials may not list it ({code or '403'}). "
            f"Ask for the right to list and read the bucket, or name another."
        )
    if "403 Forbidden" in text or code == "AccessDenied":
        return PermissionError(errno.EACCES, f"permission denied by the store ({code or '403'})", where)
    if "error sending request" in text or "timed out" in text or "HTTP error" in text:
        return StorageError(
            f"{title}: the object store{at or ''} does not answer ({RETRIES} tries again). Check "
            f"AWS_ENDPOINT_URL and the network, and run the same command again: what is done is kept."
        )
    if isinstance(error, (ValueError, UnicodeError)):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), where)
    return OSError(errno.EIO, f"the store answers: {code or first_line(error)}", where)


def _without_names(text: str, title: str, key: str) -> str:
    """What a store answers, without the names that it repeats."""
    name = re.escape(title.partition("://")[2])
    return re.sub(rf"https?://\S*{name}\S*", "", text).replace(key or title, "")


def no_bucket(title: str, at: str = "") -> StorageError:
    """That there is no bucket of that name."""
    return StorageError(f"{title}: there is no such bucket{at}. Make it, or name another.")


def _how_to_sign(title: str) -> str:
    if title.startswith("s3:"):
        return (
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true where anybody may "
            "read."
        )
    return "Set those of the store in the environment."


def first_line(error: Exception) -> str:
    """The beginning of what an error says."""
    return printable(str(error).split("\n", 1)[0])[:300]
