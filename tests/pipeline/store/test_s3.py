"""What only S3 can do to a store: buckets, credentials and endpoints that are wrong, keys that no folder has."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from pipeline.errors import ConfigurationError, StoreAccessError, StoreUnavailableError
from pipeline.store import open_store
from pipeline.store.s3 import S3Store
from tests.pipeline.store.places import S3Place
from tests.servers import S3Server, moto

pytestmark = pytest.mark.s3

KEYS_OF_NO_FOLDER = ["a//b.png", "//a.png", "/a.png", "../a.png", "a/../b.png", "./a.png", "..", "a/", "a\\b", "\x01"]


@pytest.fixture(scope="module")
def moto_server() -> Iterator[S3Server]:
    with moto() as server:
        yield server


@pytest.fixture
def moto_bucket(moto_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket on moto, which boto3 finds by the environment."""
    for name, value in moto_server.environment.items():
        monkeypatch.setenv(name, value)
    return moto_server.make_bucket()


@pytest.mark.parametrize("prefix", ["", "some/where/"])
def test_keys_that_no_folder_can_have_come_through_as_they_are(moto_server, moto_bucket, prefix) -> None:
    place = S3Place(moto_server.client(), moto_bucket, prefix)
    for key in KEYS_OF_NO_FOLDER:
        place.put(key, key.encode())
    store = open_store(place.url, writable=False)
    listed = list(store.list())
    assert {info.key for info in listed} == set(KEYS_OF_NO_FOLDER)
    for info in listed:
        assert store.get(info.key, limit=100).data == info.key.encode()
        assert store.head(info.key) == info


def test_the_marker_of_the_prefix_itself_is_not_below_it(moto_server, moto_bucket) -> None:
    client = moto_server.client()
    for key in ("photos/", "photos/a.png", "photos/b/", "photos"):
        client.put_object(Bucket=moto_bucket, Key=key, Body=b"")
    store = open_store(f"s3://{moto_bucket}/photos", writable=False)
    assert {info.key for info in store.list()} == {"a.png", "b/"}


def test_a_listing_goes_on_after_its_first_page(moto_server, moto_bucket, monkeypatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")  # of a page
    place = S3Place(moto_server.client(), moto_bucket, "")
    keys = {f"{index:04}.png" for index in range(31)}
    for key in keys:
        place.put(key, b"")
    assert len(place.client.list_objects_v2(Bucket=moto_bucket)["Contents"]) == 10
    listed = [info.key for info in open_store(place.url, writable=False).list()]
    assert len(listed) == 31
    assert set(listed) == keys


def test_a_missing_bucket_is_named_at_once_with_the_remedy(moto_bucket) -> None:
    with pytest.raises(StoreAccessError, match=r"'s3://no-such-bucket/photos'.* no such bucket; create it") as caught:
        open_store("s3://no-such-bucket/photos", writable=True)
    assert "\n" not in str(caught.value)


def test_a_bucket_that_is_gone_is_not_taken_for_missing_objects(moto_server, moto_bucket) -> None:
    store = open_store(f"s3://{moto_bucket}", writable=True)
    moto_server.client().delete_bucket(Bucket=moto_bucket)
    for verb in (
        lambda: list(store.list()),
        lambda: store.get("a.png", limit=1),
        lambda: store.head("a.png"),
        lambda: store.create("a.png", b"x"),
    ):
        with pytest.raises(StoreAccessError, match="no such bucket"):
            verb()


@pytest.mark.parametrize(
    "wrong",
    [
        {"AWS_SECRET_ACCESS_KEY": "a-wrong-secret"},
        {"AWS_ACCESS_KEY_ID": "nobody"},
        {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
        {"AWS_SECRET_ACCESS_KEY": None},
    ],
)
def test_credentials_that_are_wrong_are_named_at_once_with_the_remedy(s3_url, monkeypatch, wrong) -> None:
    for name, value in wrong.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=r"AWS_SECRET_ACCESS_KEY|aws_secret_access_key") as caught:
        open_store(s3_url, writable=False)
    assert "\n" not in str(caught.value)
    assert "a-wrong-secret" not in str(caught.value)
    assert "testsecret123" not in str(caught.value)


def test_credentials_that_go_bad_are_named_by_every_verb(s3_server, s3_url) -> None:
    """Also by HEAD, whose answer holds no reason."""
    client = S3Server(endpoint=s3_server.endpoint, secret_key="a-wrong-secret").client()
    store = S3Store(client=client, bucket=s3_url.split("/")[2], prefix="")
    for verb in (
        lambda: list(store.list()),
        lambda: store.get("a.png", limit=1),
        lambda: store.head("a.png"),
        lambda: store.create("a.png", b"x"),
    ):
        with pytest.raises(StoreAccessError, match="credentials were not accepted") as caught:
            verb()
        assert "a-wrong-secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_named(s3_url, monkeypatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(StoreUnavailableError, match=f"{endpoint}: no answer .*AWS_ENDPOINT_URL"):
            open_store(s3_url, writable=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", "http://someone:hidden@127.0.0.1:9"),
        ("AWS_ENDPOINT_URL", "someone:hidden@127.0.0.1:9"),
        ("AWS_PROFILE", "no-such-profile"),
        ("AWS_DEFAULT_REGION", "not a region"),
    ],
)
def test_a_configuration_that_boto3_cannot_use_is_named_without_its_secrets(s3_url, monkeypatch, name, value) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        open_store(s3_url, writable=False)
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///photos", "s3://key:hidden@bucket/photos", "s3://bucket?x=hidden", "s3://b c/photos"]
)
def test_an_url_without_a_bucket_says_what_one_is(url) -> None:
    with pytest.raises(ConfigurationError, match="s3://bucket/prefix") as caught:
        open_store(url, writable=False)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("url", ["gs://bucket/photos", "https://host/photos", "file:///photos", "s3:/photos", ""])
def test_what_is_not_supported_says_what_is(url, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="a folder's path or s3://bucket/prefix"):
        open_store(url, writable=True)
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_somebody_else_stored_keeps_its_metadata_and_ours_tells_its_writer(s3_server, s3_url) -> None:
    bucket, _, prefix = s3_url.removeprefix("s3://").partition("/")
    client = s3_server.client()
    client.put_object(Bucket=bucket, Key=f"{prefix}/theirs", Body=b"theirs", Metadata={"deqir-token": "theirs"})
    store = open_store(s3_url, writable=True)
    assert not store.create("theirs", b"ours")
    assert client.head_object(Bucket=bucket, Key=f"{prefix}/theirs")["Metadata"] == {"deqir-token": "theirs"}
    tokens = set()
    for key in ("a", "b"):
        assert store.create(key, b"ours")
        tokens.add(client.head_object(Bucket=bucket, Key=f"{prefix}/{key}")["Metadata"]["deqir-token"])
    assert len(tokens) == 2
