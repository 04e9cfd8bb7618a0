"""The webhook's receiver at a real socket, over real connections."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from flows.events.inbox.inbox import Inbox
from flows.events.sources.scope import Scope
from flows.events.sources.webhook import LARGEST_BODY, Guard, Receiver, listen, serve
from pipeline.errors import ConfigurationError
from tests.flows.events.conftest import SECRET, TOKEN
from tests.flows.events.sources.test_messages import s3_event

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def event(key: str, version: str = "1") -> bytes:
    return json.dumps(s3_event(key, eTag=version)).encode()


def signature(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


@dataclass
class Endpoint:
    """A receiver's address and a client for it."""

    address: tuple[str, int]
    client: httpx.Client

    def post(self, body: bytes | Iterator[bytes], headers: Mapping[str, str | bytes] = BEARER) -> httpx.Response:
        return self.client.post("/events", content=body, headers=headers)

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get("/healthz").json()
        return found


@pytest.fixture
def endpoint(inbox: Inbox) -> Iterator[Endpoint]:
    """The receiver of s3://archive/in, at a real socket."""
    receiver = Receiver(
        inbox=inbox,
        scope=Scope.of("s3://archive/in"),
        guard=Guard(token=TOKEN, secret=SECRET),
        problems={},
        body_seconds=0.5,
    )
    stop, listener = threading.Event(), listen("127.0.0.1:0")
    host, port = listener.getsockname()
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=f"http://{host}:{port}", timeout=20) as client:
        serving = pool.submit(serve, receiver.app(), listener, stop)
        try:
            yield Endpoint(address=(host, port), client=client)
        finally:
            stop.set()
        serving.result()


def test_events_are_taken_from_known_senders_alone(endpoint) -> None:
    body = event("in/one.png")
    taken = endpoint.post(body)
    assert (taken.status_code, taken.json()) == (202, {"hints": 1, "in_source": 1, "new": 1})
    assert endpoint.post(body, signature(body)).json()["new"] == 0
    assert endpoint.post(event("out/one.png")).json()["in_source"] == 0
    others: list[Mapping[str, str | bytes]] = [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer é".encode()},
        {"X-Hub-Signature-256": "sha256="},
        signature(body, "another secret"),
        signature(b"another body"),
    ]
    for headers in others:
        refused = endpoint.post(body, headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
    assert endpoint.post(b"{}", {}).status_code == 401  # nothing of a stranger is kept
    counts = endpoint.health()
    assert (counts["waiting"], counts["dead_letters"], counts["problems"]) == (1, 0, {})


def test_what_is_no_event_is_refused_with_the_reason_and_kept_once(endpoint) -> None:
    for _ in range(2):
        refused = endpoint.post(b'{"hello": "world"}')
        assert refused.status_code == 400
        assert "'hello'" in refused.json()["error"]
    assert endpoint.health()["dead_letters"] == 1
    assert endpoint.post(b"").status_code == 400


def test_what_can_be_read_of_a_message_is_kept_beside_the_reason_for_the_rest(endpoint) -> None:
    records = s3_event("in/good.png", eTag="1")["Records"] + s3_event("in/%ff.png")["Records"]
    refused = endpoint.post(json.dumps({"Records": records}).encode())
    assert refused.status_code == 400
    assert "record 2 of 2: the key 'in/%ff.png'" in refused.json()["error"]
    counts = endpoint.health()
    assert (counts["waiting"], counts["dead_letters"]) == (1, 1)


def test_a_large_body_is_refused_before_it_is_read(endpoint) -> None:
    assert endpoint.post(b" " * (LARGEST_BODY + 1)).status_code == 413
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 65536
            yield b" " * 65536

    with contextlib.suppress(httpx.HTTPError):  # the connection may be closed while the body is still being sent
        assert endpoint.post(chunks()).status_code == 413
    assert sent < 500 * 65536
    assert endpoint.post(event("in/after.png")).status_code == 202


def test_a_sender_that_stalls_or_goes_away_holds_nobody_up(endpoint) -> None:
    head = f"POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection(endpoint.address) as stalling:
        stalling.sendall(head.encode() + b"{")
        with socket.create_connection(endpoint.address) as leaving:
            leaving.sendall(head.encode() + b"{")
        assert endpoint.post(event("in/one.png")).status_code == 202
        stalling.settimeout(20)
        assert stalling.recv(100).startswith(b"HTTP/1.1 408")
    assert endpoint.health()["dead_letters"] == 0


def test_other_requests_are_refused(endpoint) -> None:
    ask = endpoint.client.request
    found = [ask(*each).status_code for each in [("GET", "/events"), ("POST", "/healthz"), ("GET", "/docs")]]
    assert found == [405, 405, 404]
    assert ask("HEAD", "/healthz").status_code == 200


def test_many_senders_at_once_lose_nothing(endpoint) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(endpoint.post, [event(f"in/{n % 100}.png") for n in range(200)]))
    assert all(answer.status_code == 202 for answer in answers)
    assert sum(answer.json()["new"] for answer in answers) == 100
    assert endpoint.health()["waiting"] == 100


@pytest.mark.parametrize("secrets", [(None, None), ("short", None), (TOKEN, "short")])
def test_a_receiver_without_a_good_secret_is_refused(secrets) -> None:
    with pytest.raises(ConfigurationError, match="DEQIR_WEBHOOK_TOKEN"):
        Guard(token=secrets[0], secret=secrets[1])


def test_an_address_that_cannot_be_had_is_refused() -> None:
    for address in ("8000", ":8000", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000"):
        with pytest.raises(ConfigurationError, match="needs HOST:PORT"):
            listen(address)
    with listen("127.0.0.1:0") as taken, pytest.raises(ConfigurationError, match="cannot listen there"):
        listen(f"127.0.0.1:{taken.getsockname()[1]}")
    with listen("[::1]:0") as six:
        assert six.getsockname()[0] == "::1"
