"""A proxy between an S3 client and a server that fails on request, as networks do."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import unquote, urlsplit

from tests.servers import S3Server

HOP_BY_HOP = {"connection", "expect", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one request.

    Attributes:
        method: The first waiting request of this method has it.
        asked: Whether the server gets the request.
        answer: What the client gets: the server's answer, an HTTP status, nothing (the connection ends), or a
            connection that is reset.
        cut: Bytes of the body after which the connection ends.
        delay: Seconds until the client gets it.
    """

    method: str
    asked: bool = True
    answer: Literal["server", "nothing", "reset", 409, 412, 500, 503] = "server"
    cut: int | None = None
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A running proxy.

    Attributes:
        server: The server seen through it.
        faults: Those still to come; each is used once.
        requests: Methods of the requests so far, in order.
        refused: Ends of keys; every GET and HEAD of an object with one of them gets this status and code.
    """

    server: S3Server
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[str] = field(default_factory=list)
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)

    def next_fault(self, method: str) -> Fault:
        """Return what is to happen to a request."""
        self.requests.append(method)
        if self.faults and self.faults[0].method == method:
            return self.faults.popleft()
        return Fault(method=method)

    def refusal(self, method: str, path: str) -> tuple[int, str] | None:
        """Return status and code with which a request is refused, if it is; listings never are."""
        key, _, query = path.partition("?")
        if method not in ("GET", "HEAD") or "list-type" in query:
            return None
        return next((found for end, found in self.refused.items() if unquote(key).endswith(end)), None)


@contextlib.contextmanager
def proxy(server: S3Server) -> Iterator[Proxy]:
    """Run a proxy in front of a server."""
    upstream = urlsplit(server.endpoint).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            fault = running.next_fault(self.command)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if (refusal := running.refusal(self.command, self.path)) is not None:
                self.refuse(*refusal)
                return
            status, headers, data = self.ask(body) if fault.asked else (503, [], b"")
            time.sleep(fault.delay)
            if fault.answer in ("nothing", "reset"):
                self.drop(reset=fault.answer == "reset")
                return
            if fault.answer != "server":
                status, headers, data = int(fault.answer), [("Content-Length", "0")], b""
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[: fault.cut])
            if fault.cut is not None:
                self.drop(reset=False)

        def ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = http.client.HTTPConnection(upstream)
            with contextlib.closing(connection):
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                found = [item for item in answer.getheaders() if item[0].lower() not in HOP_BY_HOP]
                return answer.status, found, answer.read()

        def refuse(self, status: int, code: str) -> None:
            text = f"<Error><Code>{code}</Code><Message>as the server says</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(text)

        def drop(self, *, reset: bool) -> None:
            if reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            self.close_connection = True

        do_GET = do_HEAD = do_PUT = handle_any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = Proxy(server=replace(server, endpoint=f"http://127.0.0.1:{listener.server_port}"))
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield running
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
