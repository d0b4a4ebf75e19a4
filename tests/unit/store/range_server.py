"""A web server on loopback that hands out one file, and misbehaves where a test says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server has and does.

    Attributes:
        content: the file behind every path but those that end in `absent`.
        ranges: whether it answers requests for a part.
        cut_after: bytes after which the connection ends, for each of the next answers.
        busy: how many of the next requests are answered by 503.
        asked: the Range header of each request, empty where it has none.
    """

    content: bytes
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    busy: int = 0
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """`site` on a free port of 127.0.0.1 for the length of a block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, site)

        def log_message(self, *parts: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_address[1]}/models/tiny%20net.pt?download=1"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


def _answer(request: BaseHTTPRequestHandler, site: Site) -> None:
    asked = request.headers.get("Range", "")
    site.asked.append(asked)
    if request.path.endswith("absent"):
        request.send_error(404)
        return
    if site.busy:
        site.busy -= 1
        request.send_error(503)
        return
    first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and site.ranges else 0
    size = len(site.content)
    if first >= size:
        request.send_response(416)
        request.send_header("Content-Range", f"bytes */{size}")
        request.end_headers()
        return
    request.send_response(206 if first else 200)
    if first:
        request.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
    request.send_header("Content-Length", str(size - first))
    request.end_headers()
    last = first + site.cut_after.pop(0) if site.cut_after else size
    request.wfile.write(site.content[first:last])
