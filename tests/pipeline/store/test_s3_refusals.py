"""An object that the server refuses, told apart from a server that refuses us."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.errors import ObjectAccessError, StoreAccessError, StoreUnavailableError
from pipeline.job.job import open_job, plan_job
from pipeline.store import open_store
from pipeline.store.s3 import S3Store
from tests.pipeline.archive import image_bytes, restore_job
from tests.pipeline.shard_runs import run, worker_of
from tests.pipeline.store.places import S3Place
from tests.pipeline.store.proxy import Fault, Proxy, proxy
from tests.servers import S3Server

pytestmark = pytest.mark.s3

REFUSALS = [
    (403, "AccessDenied", "ACL"),
    (400, "InvalidRequest", "SSE-C"),
    (400, "KMS.DisabledException", "KMS key"),
    (403, "InvalidObjectState", "archive tier"),
]
ALONE = {"first": ["refused.png", "z.png"], "last": ["a.png", "refused.png"]}


@pytest.fixture(scope="module")
def running(s3_server: S3Server) -> Iterator[Proxy]:
    with proxy(s3_server) as through:
        yield through


@pytest.fixture
def refusing(running: Proxy, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """A proxy before the server, which refuses nothing yet and which boto3 finds by the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", running.server.endpoint)
    running.refused.clear()
    running.faults.clear()
    running.requests.clear()
    return running


@pytest.fixture
def place(s3_place: S3Place) -> S3Place:
    """That on the server, seen without the proxy."""
    return s3_place


@pytest.fixture
def store(refusing: Proxy, place: S3Place) -> S3Store:
    """The same place, seen through the proxy."""
    opened = open_store(place.url, writable=False)
    assert isinstance(opened, S3Store)
    refusing.requests.clear()
    return opened


def fill(place: S3Place, keys: list[str]) -> None:
    for key in keys:
        place.put(key, key.encode())


@pytest.mark.parametrize(("status", "code", "remedy"), REFUSALS)
@pytest.mark.parametrize("keys", ALONE.values(), ids=ALONE)
def test_an_object_that_is_refused_among_others_is_named_with_what_to_look_at(
    place, refusing, store, keys, status, code, remedy
) -> None:
    fill(place, keys)
    refusing.refused["refused.png"] = (status, code)
    for key in keys:
        if key != "refused.png":
            assert store.get(key, limit=100).data == key.encode()
            continue
        with pytest.raises(ObjectAccessError, match=rf"refused\.png.*{remedy}.*{code}"):
            store.get(key, limit=100)


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (400, "InvalidRequest")])
def test_a_store_that_lets_nothing_be_read_refuses_us(place, refusing, store, status, code) -> None:
    """Whatever the listing shows: without s3:GetObject no object is worth a row of its own."""
    fill(place, [f"{index:02}.png" for index in range(30)])
    refusing.refused[".png"] = (status, code)
    with pytest.raises(StoreAccessError) as caught:
        store.get("07.png", limit=100)
    assert type(caught.value) is StoreAccessError
    assert len(refusing.requests) < 12


def test_the_only_object_being_refused_may_be_the_stores_doing(place, refusing, store) -> None:
    fill(place, ["refused.png"])
    refusing.refused["refused.png"] = (403, "AccessDenied")
    with pytest.raises(StoreAccessError, match="s3:GetObject") as caught:
        store.get("refused.png", limit=100)
    assert type(caught.value) is StoreAccessError


def test_a_permission_that_is_taken_back_in_between_is_no_fault_of_the_next_object(place, refusing, store) -> None:
    fill(place, ["a.png", "b.png"])
    assert store.get("a.png", limit=100).data == b"a.png"
    refusing.refused[".png"] = (403, "AccessDenied")
    with pytest.raises(StoreAccessError) as caught:
        store.get("b.png", limit=100)
    assert type(caught.value) is StoreAccessError


@pytest.mark.parametrize("code", ["ExpiredToken", "NoSuchBucket", "RequestTimeTooSkewed"])
def test_what_can_be_no_fault_of_an_object_is_none_however_many_others_can_be_read(
    place, refusing, store, code
) -> None:
    fill(place, ["a.png", "refused.png"])
    assert store.get("a.png", limit=100).data == b"a.png"
    refusing.refused["refused.png"] = (403, code)
    with pytest.raises(StoreAccessError) as caught:
        store.get("refused.png", limit=100)
    assert type(caught.value) is StoreAccessError


def test_each_further_refusal_costs_one_request_more(place, refusing, store) -> None:
    refused = [f"refused{index:02}.png" for index in range(20)]
    fill(place, [*refused, "z.png"])
    assert store.get("z.png", limit=100).data == b"z.png"
    refusing.refused.update(dict.fromkeys(refused, (403, "AccessDenied")))
    refusing.requests.clear()
    for key in refused:
        with pytest.raises(ObjectAccessError):
            store.get(key, limit=100)
    assert refusing.requests == ["GET"] * 2 * len(refused)


def test_one_that_could_be_read_and_is_gone_is_replaced_by_another(place, refusing, store) -> None:
    fill(place, ["a.png", "refused.png", "z.png"])
    refusing.refused["refused.png"] = (403, "AccessDenied")
    assert store.get("a.png", limit=100).data == b"a.png"
    place.client.delete_object(Bucket=place.bucket, Key=f"{place.prefix}a.png")
    with pytest.raises(ObjectAccessError):
        store.get("refused.png", limit=100)


def test_a_silent_store_is_not_taken_for_one_that_refuses(place, refusing, store) -> None:
    fill(place, ["a.png", "refused.png"])
    assert store.get("a.png", limit=100).data == b"a.png"
    refusing.refused["refused.png"] = (403, "AccessDenied")
    refusing.faults.extend(Fault(method="GET", answer=503) for _ in range(store.attempts + 1))
    object.__setattr__(store, "longest_wait", 0.01)
    with pytest.raises(StoreUnavailableError):
        store.get("refused.png", limit=100)


def test_one_whose_head_is_refused_is_known_from_the_listing(place, refusing, store) -> None:
    """A list of keys, as deqir watch writes one, is asked for key by key."""
    fill(place, ["refused.png", "refused.png.txt"])
    (info,) = (info for info in store.list() if info.key == "refused.png")
    refusing.refused[".png"] = (403, "AccessDenied")
    assert store.head("refused.png") == info
    with pytest.raises(StoreAccessError):
        store.head("absent.png")


def test_a_job_whose_very_first_object_is_refused_gives_every_other_its_row(
    place, refusing, s3_url, tiny_prior, tmp_path
) -> None:
    keys = ["0-refused.png", *(f"{index}.png" for index in range(1, 4))]
    for index, key in enumerate(keys):
        place.put(key, image_bytes(index))
    refusing.refused["0-refused.png"] = (403, "AccessDenied")
    job = open_job(restore_job(s3_url, tmp_path / "out", tiny_prior))  # type: ignore[arg-type]
    (shard,) = plan_job(job).shards
    rows = {row.source_key: row for row in run(worker_of(job), shard)}
    assert {key: row.status for key, row in rows.items()} == {
        key: "failed" if key == "0-refused.png" else "restored" for key in keys
    }
    row = rows["0-refused.png"]
    assert row.error_type == "UnreadableError"
    assert "0-refused.png" in str(row.error)
    assert "ACL" in str(row.error)
