"""Requests and processor time per file of reading from a bucket: obstore, which adaprep uses, and s3fs.

A real S3 server runs beside it (tests/object_server.py; moto). Needs s3fs, which adaprep does not:

pip install '.[objects]' 'moto[server]' s3fs
python -m benchmarks.object_stores
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

SERVER = Path(__file__).parents[1] / "tests" / "object_server.py"
FILES, BYTES = 200, 20_000


def asked(endpoint: str, path: str, method: str = "GET") -> bytes:
    """The server's answer."""
    with urllib.request.urlopen(urllib.request.Request(endpoint + path, method=method)) as answer:
        return bytes(answer.read())


def measure(endpoint: str, title: str, read: Callable[[str], bytes]) -> None:
    """Print what reading every file costs."""
    asked(endpoint, "/counts")
    start = time.process_time()
    for i in range(FILES):
        assert len(read(f"data/{i:04}.png")) == BYTES
    spent = time.process_time() - start
    counts = json.loads(asked(endpoint, "/counts"))
    requests = sum(counts.get(name, 0) for name in ("GET", "HEAD", "LIST"))
    print(
        f"{title:8} {requests / FILES:.2f} requests, {1000 * spent / FILES:.2f} ms of processor time per file"
    )


def main() -> None:
    """Measure both."""
    process = subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}"
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": endpoint}
    os.environ.update(keys)
    try:
        asked(endpoint, "/bucket", "PUT")
        import s3fs

        from pipeline.storage import as_path, objects

        store = objects.bucket("s3", "bucket").store
        for i in range(FILES):
            store.put(f"data/{i:04}.png", bytes(BYTES))
        bucket, other = as_path("s3://bucket"), s3fs.S3FileSystem()
        measure(endpoint, "obstore", lambda name: (bucket / name).read_bytes())
        measure(endpoint, "s3fs", lambda name: bytes(other.open(f"bucket/{name}", "rb").read()))
        measure(endpoint, "s3fs cat", lambda name: bytes(other.cat_file(f"bucket/{name}")))
    finally:
        process.kill()


if __name__ == "__main__":
    main()
