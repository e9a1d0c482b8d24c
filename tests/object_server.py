"""A real S3 server (moto) in a process of its own, which counts what is asked of it.

``python tests/object_server.py`` prints its port. `GET /counts` gives requests by method and bytes sent and
received since the last time, as JSON.
"""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

Environment = dict[str, Any]


class Counting:
    """Any WSGI application, with its requests and bytes counted."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self.application = application
        self.counts: Counter[str] = Counter()

    def __call__(self, environment: Environment, start: Callable[..., Any]) -> Iterable[bytes]:
        if environment["PATH_INFO"] == "/counts":
            answer = json.dumps(self.counts).encode()
            self.counts.clear()
            start("200 OK", [("Content-Length", str(len(answer)))])
            return [answer]
        method = environment["REQUEST_METHOD"]
        listed = method == "GET" and "list-type" in environment["QUERY_STRING"]
        self.counts["LIST" if listed else method] += 1
        self.counts["received"] += int(environment.get("CONTENT_LENGTH") or 0)
        return self._sent(self.application(environment, start))

    def _sent(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.counts["sent"] += len(piece)
            yield piece


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any, **__: Any) -> None:
        """Nothing is printed but the port."""


def main() -> None:
    """Serve until killed."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = make_server(
        "127.0.0.1",
        0,
        Counting(DomainDispatcherApplication(create_backend_app)),
        threaded=True,
        request_handler=_Quiet,
        fd=listening.fileno(),
    )
    print(listening.getsockname()[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
