"""What a network between us and the server can do: lose answers, cut bodies, repeat itself."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import boto3
import pytest
from botocore.config import Config

from pipeline.errors import (
    CommitStateUnknownError,
    ImageTooLargeError,
    StoreAccessError,
    StoreUnavailableError,
)
from pipeline.store.s3 import S3Store
from tests.pipeline.store.places import S3Place
from tests.pipeline.store.proxy import Fault, Proxy, proxy
from tests.servers import S3Server

pytestmark = pytest.mark.s3


def store_on(server: S3Server, bucket: str, prefix: str, *, attempts: int = 4) -> S3Store:
    """Return a store as `open` makes it, but impatient."""
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=Config(read_timeout=1, retries={"mode": "standard", "total_max_attempts": 1}),
    )
    return S3Store(client=client, bucket=bucket, prefix=prefix, attempts=attempts, longest_wait=0.01)


@pytest.fixture
def place(s3_server: S3Server, s3_url: str) -> S3Place:
    """An empty place, seen without the proxy."""
    bucket, _, prefix = s3_url.removeprefix("s3://").partition("/")
    return S3Place(s3_server.client(), bucket, f"{prefix}/")


@pytest.fixture
def faulty(s3_server: S3Server) -> Iterator[Proxy]:
    with proxy(s3_server) as running:
        yield running


@pytest.fixture
def store(place: S3Place, faulty: Proxy) -> S3Store:
    """The same place, seen through the proxy."""
    return store_on(faulty.server, place.bucket, place.prefix)


LOST = [
    Fault(method="PUT", answer="nothing"),
    Fault(method="PUT", answer="reset"),
    Fault(method="PUT", answer=500),
    Fault(method="PUT", answer=503),
    Fault(method="PUT", answer=409),
    Fault(method="PUT", delay=1.5),  # beyond the client's patience
]
NOT_STORED = [
    Fault(method="PUT", asked=False, answer="nothing"),
    Fault(method="PUT", asked=False, answer="reset"),
    Fault(method="PUT", asked=False, answer=500),
    Fault(method="PUT", asked=False, answer=503),
    Fault(method="PUT", asked=False, answer=409),
    Fault(method="PUT", asked=False, answer=412),
]


@pytest.mark.parametrize("fault", [*LOST, *NOT_STORED], ids=str)
@pytest.mark.parametrize("times", [1, 2])
def test_a_write_whose_answer_is_lost_is_ours(place, faulty, store, fault, times) -> None:
    faulty.faults.extend([fault] * times)
    assert store.create("a.png", b"ours")
    assert place.read_all() == {"a.png": b"ours"}
    assert not faulty.faults


@pytest.mark.parametrize("fault", [*LOST, *NOT_STORED], ids=str)
def test_an_earlier_object_of_somebody_else_stays_theirs_whatever_is_lost(place, faulty, store, fault) -> None:
    place.put("a.png", b"theirs")
    faulty.faults.append(fault)
    assert not store.create("a.png", b"ours")
    assert place.read_all() == {"a.png": b"theirs"}


def test_a_write_is_ours_even_if_every_answer_to_it_is_lost(place, faulty, store) -> None:
    faulty.faults.extend([Fault(method="PUT", answer="nothing")] * store.attempts)
    assert store.create("a.png", b"ours")
    assert place.read_all() == {"a.png": b"ours"}


def test_a_look_that_fails_once_is_repeated(place, faulty, store) -> None:
    faulty.faults.extend([Fault(method="PUT", answer="nothing"), Fault(method="HEAD", answer=500)])
    assert store.create("a.png", b"ours")
    assert place.read_all() == {"a.png": b"ours"}


@pytest.mark.parametrize("stored", [True, False])
def test_when_nobody_can_say_whether_it_is_stored_that_is_said(place, faulty, store, stored) -> None:
    faulty.faults.extend([Fault(method="PUT", asked=stored, answer="nothing")] * store.attempts)
    faulty.faults.extend([Fault(method="HEAD", answer="nothing")] * store.attempts)
    with pytest.raises(CommitStateUnknownError, match="run again"):
        store.create("a.png", b"ours")
    assert store.create("a.png", b"ours") is not stored
    assert place.read_all() == {"a.png": b"ours"}


def test_a_server_that_says_taken_for_ever_with_nobody_there_is_not_believed(place, faulty, store) -> None:
    faulty.faults.extend([Fault(method="PUT", asked=False, answer=412)] * store.attempts)
    with pytest.raises(CommitStateUnknownError):
        store.create("a.png", b"ours")
    assert place.read_all() == {}


def test_a_store_that_takes_no_write_is_unavailable_and_nothing_is_in_doubt(place, faulty, store) -> None:
    faulty.faults.extend([Fault(method="PUT", asked=False, answer=503)] * store.attempts)
    with pytest.raises(StoreUnavailableError, match="503"):
        store.create("a.png", b"ours")
    with proxy(S3Server(endpoint="http://unused")) as gone:
        nowhere = store_on(gone.server, place.bucket, place.prefix)
    with pytest.raises(StoreUnavailableError, match="EndpointConnectionError"):
        nowhere.create("a.png", b"ours")
    assert place.read_all() == {}


@pytest.mark.parametrize("cut", [0, 1, 70_000, 199_999])
def test_a_body_that_breaks_off_is_read_again(place, faulty, store, cut) -> None:
    data = bytes(range(250)) * 800
    place.put("a.png", data)
    faulty.faults.extend([Fault(method="GET", cut=cut)] * 2)
    assert store.get("a.png", limit=len(data)) == data
    assert faulty.requests == ["GET"] * 3


def test_a_body_that_always_breaks_off_ends_as_an_unavailable_store(place, faulty, store) -> None:
    place.put("a.png", b"x" * 1000)
    faulty.faults.extend([Fault(method="GET", cut=999)] * store.attempts)
    with pytest.raises(StoreUnavailableError, match=r"a\.png"):
        store.get("a.png", limit=1000)
    assert faulty.requests == ["GET"] * store.attempts


@pytest.mark.parametrize("answer", ["nothing", "reset", 500, 503])
def test_reading_goes_on_after_a_failure(place, faulty, store, answer) -> None:
    place.put("a.png", b"x")
    faulty.faults.extend(Fault(method=method, answer=answer) for method in ("GET", "HEAD", "GET"))
    (info,) = store.list()
    assert store.head("a.png") == info
    assert store.get("a.png", limit=1) == b"x"
    assert not faulty.faults


class Endless(BaseHTTPRequestHandler):
    """A server that is no S3 server, and whose objects never end."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        if "list-type" in self.path:
            self.send_header("Content-Length", "26")
            self.end_headers()
            self.wfile.write(b"<html>Welcome, dear!</html")
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"1000\r\n" + bytes(4096) + b"\r\n")
        except OSError:  # the reader has had enough
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def endless() -> Iterator[S3Store]:
    with HTTPServer(("127.0.0.1", 0), Endless) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        store = store_on(S3Server(endpoint=f"http://127.0.0.1:{server.server_port}"), "bucket", "")
        yield store
        store.client.close()
        server.shutdown()
        thread.join()


def test_a_body_of_no_declared_length_is_read_to_the_limit_only(endless) -> None:
    with pytest.raises(ImageTooLargeError, match="100000 bytes"):
        endless.get("a.png", limit=100_000)


def test_a_server_that_does_not_speak_s3_is_named(endless) -> None:
    with pytest.raises(StoreAccessError, match="AWS_ENDPOINT_URL is an S3 server"):
        list(endless.list())
