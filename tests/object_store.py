"""A real S3 server, started once for the tests that ask for it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.storage import as_path

SERVER = Path(__file__).with_name("object_server.py")


@dataclass(frozen=True)
class Server:
    """Where the server listens."""

    endpoint: str

    def ask(self, path: str, data: bytes | None = None, method: str = "GET") -> bytes:
        """Its answer to a request that is not signed."""
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(self.endpoint + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())

    def counts(self) -> dict[str, int]:
        """Requests by method and bytes since the last time."""
        return {"GET": 0, "HEAD": 0, "LIST": 0, "PUT": 0, **json.loads(self.ask("/counts"))}

    def bucket(self, name: str) -> Path:
        """A new bucket."""
        self.ask(f"/{name}", method="PUT")
        return as_path(f"s3://{name}")

    def reader(self) -> dict[str, str]:
        """The environment of somebody who may only read, once `refuse` has been called."""
        import boto3

        known = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        users = boto3.client("iam", endpoint_url=self.endpoint, **known)
        name = f"reader-{uuid.uuid4().hex}"
        users.create_user(UserName=name)
        may = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
        users.put_user_policy(UserName=name, PolicyName="read", PolicyDocument=policy)
        key = users.create_access_key(UserName=name)["AccessKey"]
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def refuse(self, from_now: float = 0) -> None:
        """Check every request's credentials from now on: the server knows those of `reader`. inf: no more."""
        self.ask("/moto-api/reset-auth", str(from_now).encode(), "POST")


@pytest.fixture(scope="session")
def running_server() -> Iterator[Server]:
    pytest.importorskip("moto")
    process = subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def server(running_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server, named by the environment as a person would."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", running_server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    running_server.counts()
    yield running_server
    running_server.refuse(float("inf"))


def upload(folder: Path, target: Path) -> None:
    """Put every file of a folder below an address."""
    from pipeline.storage import objects

    store = objects.bucket("s3", target.parts[1]).store
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put("/".join([*target.parts[2:], path.relative_to(folder).as_posix()]), path.read_bytes())
