"""A web server that answers as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from cmirnet_cli.storage import reading

PICTURE = b"the picture"


@dataclass
class Web:
    """A server; `answers` are statuses to answer with, one after the other, then 200; "hang" never answers, "break" breaks off."""

    url: str
    answers: list[int | str] = field(default_factory=list)
    requests: int = 0
    content: bytes = PICTURE


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(reading, "FIRST_WAIT", 0.01)
    ended = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.requests += 1
            answer = server.answers.pop(0) if server.answers else 200
            if answer == "hang":
                ended.wait()
            elif answer == "break":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"half")
            elif answer == 200 and self.headers.get("Range") and not server.content:
                self.send_error(416)
            elif answer == 200:
                self.send_response(200)
                self.send_header("Content-Length", str(len(server.content)))
                self.end_headers()
                self.wfile.write(server.content)
            else:
                self.send_error(answer, "SECRET")

        def log_message(self, *words: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        server = Web(f"http://127.0.0.1:{listening.server_port}/a.jpg?signature=SECRET")
        Thread(target=listening.serve_forever, daemon=True).start()
        yield server
        ended.set()
        listening.shutdown()
