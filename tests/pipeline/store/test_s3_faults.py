"""What a network between us and the server can do: lose answers, cut bodies, repeat itself."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
import pytest
from botocore.config import Config

from pipeline.errors import CommitStateUnknownError, ImageTooLargeError, JobError, StoreUnavailableError
from pipeline.store.s3 import S3Store
from tests.pipeline.store.places import S3Place
from tests.pipeline.store.proxy import Fault, Proxy, proxy
from tests.servers import S3Server

pytestmark = pytest.mark.s3


def client_of(server: S3Server) -> Any:
    """Return a client as the store needs it, but impatient."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=Config(read_timeout=1, retries={"mode": "standard", "total_max_attempts": 1}),
    )


def store_on(client: Any, bucket: str, prefix: str) -> S3Store:
    return S3Store(client=client, bucket=bucket, prefix=prefix, attempts=4, longest_wait=0.01)


@pytest.fixture(scope="module")
def running(s3_server: S3Server) -> Iterator[tuple[Proxy, Any]]:
    """A proxy before the server, and a client that goes through it."""
    with proxy(s3_server) as through:
        yield through, client_of(through.server)


@pytest.fixture
def faulty(running: tuple[Proxy, Any]) -> Proxy:
    """That proxy, with no fault to come and no request so far."""
    through, _ = running
    through.faults.clear()
    through.requests.clear()
    return through


@pytest.fixture
def place(s3_place: S3Place) -> S3Place:
    """That on the server, seen without the proxy."""
    return s3_place


@pytest.fixture
def store(place: S3Place, running: tuple[Proxy, Any]) -> S3Store:
    """The same place, seen through the proxy."""
    _, client = running
    return store_on(client, place.bucket, place.prefix)


LOST = {
    "stored, no answer": Fault(method="PUT", answer="nothing"),
    "stored, reset": Fault(method="PUT", answer="reset"),
    "stored, 500": Fault(method="PUT", answer=500),
    "stored, 503": Fault(method="PUT", answer=503),
    "stored, 409": Fault(method="PUT", answer=409),
    "stored, too late": Fault(method="PUT", delay=1.3),  # the client waits for a second
    "not stored, no answer": Fault(method="PUT", asked=False, answer="nothing"),
    "not stored, reset": Fault(method="PUT", asked=False, answer="reset"),
    "not stored, 500": Fault(method="PUT", asked=False, answer=500),
    "not stored, 503": Fault(method="PUT", asked=False, answer=503),
    "not stored, 409": Fault(method="PUT", asked=False, answer=409),
    "not stored, 412": Fault(method="PUT", asked=False, answer=412),
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
@pytest.mark.parametrize("times", [1, 2])
def test_a_write_whose_answer_is_lost_is_ours(place, faulty, store, fault, times) -> None:
    faulty.faults.extend([fault] * times)
    assert store.create("a.png", b"ours")
    assert place.read_all() == {"a.png": b"ours"}
    assert len(faulty.faults) < times


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
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
    with proxy(faulty.server) as gone:
        nowhere = store_on(client_of(gone.server), place.bucket, place.prefix)
    with pytest.raises(StoreUnavailableError, match="EndpointConnectionError"):
        nowhere.create("a.png", b"ours")
    assert place.read_all() == {}


@pytest.mark.parametrize("cut", [0, 1, 70_000, 199_999])
def test_a_body_that_breaks_off_is_read_again(place, faulty, store, cut) -> None:
    data = bytes(range(250)) * 800
    place.put("a.png", data)
    faulty.faults.extend([Fault(method="GET", cut=cut)] * 2)
    assert store.get("a.png", limit=len(data)).data == data
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
    assert store.get("a.png", limit=1).data == b"x"
    assert not faulty.faults


class Endless(BaseHTTPRequestHandler):
    """A server that is no S3 server, and whose objects never end."""

    protocol_version = "HTTP/1.1"
    page = b""

    def do_GET(self) -> None:
        self.send_response(200)
        if "list-type" in self.path:
            self.send_header("Content-Length", str(len(self.page)))
            self.end_headers()
            self.wfile.write(self.page)
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
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        client = client_of(S3Server(endpoint=f"http://127.0.0.1:{server.server_port}"))
        yield store_on(client, "bucket", "")
        server.shutdown()
        thread.join()


def test_a_body_of_no_declared_length_is_read_to_the_limit_only(endless) -> None:
    with pytest.raises(ImageTooLargeError, match="100000 bytes"):
        endless.get("a.png", limit=100_000)


@pytest.mark.parametrize(
    "page", [b"<html>Welcome</html>", b"<br>Welcome", b"", b'{"welcome": true}'], ids=["xml", "html", "nothing", "json"]
)
def test_a_server_that_does_not_speak_s3_is_not_taken_for_an_empty_bucket(endless, monkeypatch, page) -> None:
    monkeypatch.setattr(Endless, "page", page)
    for verb in (endless.check, lambda: list(endless.list())):
        with pytest.raises(JobError, match=r"check .*AWS_ENDPOINT_URL"):
            verb()
