"""What every store promises, on a folder and on a real S3 server."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import ImageTooLargeError, UnsafeKeyError
from pipeline.store import ObjectInfo, StoredObject, open_store
from tests.pipeline.store.places import race

ODD_KEYS = [
    "a-b.png",
    "a/b.png",
    "a/b/c.png",
    "with space.png",
    " leading and trailing ",
    "photo#12.jpg",
    "a+b&c=d?e.png",
    "p%41q %",
    "é (composed).png",
    "e\u0301 (decomposed).png",
    "日本/写真.jpg",
    "emoji 😀.png",
    "tab\there\nnew line.png",
    "*'()!~$,:;@[]{}|^`\"<>",
    ".hidden/.file",
    "... dots ..",
    "no extension",
    "-rf",
    "n" * 200,
]
UNSAFE_KEYS = ["", "/", "/a.png", "a//b.png", "a/", "..", "../a.png", "a/../b.png", "a/./b.png", ".", "a\0b"]


def test_an_empty_place_holds_nothing(store) -> None:
    assert list(store.list()) == []
    assert store.head("a.png") is None


def test_objects_are_listed_and_read_under_exactly_their_keys(place, store) -> None:
    contents = {key: f"{index}".encode() * index for index, key in enumerate(ODD_KEYS)}
    for key, data in contents.items():
        place.put(key, data)
    listed = list(store.list())
    assert {info.key: info.size for info in listed} == {key: len(data) for key, data in contents.items()}
    assert len(listed) == len(contents)
    for info in listed:
        assert store.head(info.key) == info
        assert store.get(info.key, limit=10_000) == StoredObject(info=info, data=contents[info.key])


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", {"photo.png", "photos/a.png", "photos/b/c.png", "photos2/a.png", "other/photos/a.png"}),
        ("photos/", {"photos/a.png", "photos/b/c.png"}),
        ("photos", {"photos/a.png", "photos/b/c.png", "photos2/a.png"}),
        ("photos/a", {"photos/a.png"}),
        ("photos/b/", {"photos/b/c.png"}),
        ("photos/a.png/", set()),
        ("nowhere/", set()),
        ("/photos/", set()),
        ("../", set()),
    ],
)
def test_a_prefix_selects_the_keys_that_start_with_it(place, store, prefix, found) -> None:
    for key in ("photo.png", "photos/a.png", "photos/b/c.png", "photos2/a.png", "other/photos/a.png"):
        place.put(key, b"x")
    assert {info.key for info in store.list(prefix)} == found


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/", "nowhere/"])
def test_a_listing_of_some_depth_has_what_lies_no_deeper_below_the_prefix(place, store, prefix) -> None:
    keys = ["a.png", "a b/é#1.png", *("/".join(["a", *"bcd"[:n], f"{n}.png"]) for n in range(4)), "b/c/a.png"]
    for key in keys:
        place.put(key, b"x")
    below = [key for key in keys if key.startswith(prefix)]
    assert {info.key for info in store.list(prefix)} == set(below)
    for depth in range(1, 6):
        found = [info.key for info in store.list(prefix, depth=depth)]
        assert sorted(found) == sorted(key for key in below if key[len(prefix) :].count("/") < depth), depth


def test_a_place_below_a_prefix_knows_its_own_objects_only(place) -> None:
    for key in ("photos/a.png", "photos2/a.png", "photos.png", "photos/photos/a.png"):
        place.put(key, key.encode())
    for url in (f"{place.url}/photos", f"{place.url}/photos/"):
        store = open_store(url, writable=False)
        assert store.url == f"{place.url}/photos"
        assert {info.key for info in store.list()} == {"a.png", "photos/a.png"}
        assert store.get("a.png", limit=100).data == b"photos/a.png"


def test_what_is_not_there_is_said_not_to_be_there(place, store) -> None:
    place.put("a.png", b"x")
    place.put("folder/a.png", b"x")
    for key in ("nope", "a.png/nope", "folder", "a.png/", "", "n" * 2000, "half a pair \ud800"):
        assert store.head(key) is None, key
        with pytest.raises(FileNotFoundError):
            store.get(key, limit=100)


def test_no_more_than_the_limit_is_read(place, store) -> None:
    place.put("a.png", b"12345")
    place.put("empty.png", b"")
    assert store.get("a.png", limit=5).data == b"12345"
    assert store.get("empty.png", limit=0).data == b""
    with pytest.raises(ImageTooLargeError, match="4 bytes"):
        store.get("a.png", limit=4)


def test_the_etag_changes_with_the_content(place, store) -> None:
    place.put("a.png", b"12345")
    before = store.head("a.png")
    time.sleep(0.02)  # a file system's clock ticks every few milliseconds
    place.put("a.png", b"54321")
    after = store.head("a.png")
    assert before.etag != after.etag
    assert list(store.list()) == [ObjectInfo(key="a.png", size=5, etag=after.etag)]


def test_a_created_object_is_there_as_it_was_given(place, store) -> None:
    contents = {key: key.encode() * 3 for key in ODD_KEYS} | {"empty": b"", "large": bytes(range(256)) * 40_000}
    assert all(store.create(key, data) for key, data in contents.items())
    assert place.read_all() == contents
    assert {info.key for info in store.list()} == set(contents)


def test_an_object_that_is_there_is_never_overwritten(place, store) -> None:
    place.put("theirs/a.png", b"theirs")
    assert not store.create("theirs/a.png", b"ours")
    assert not store.create("theirs/a.png", b"theirs")
    assert store.create("ours.png", b"ours")
    assert not store.create("ours.png", b"ours")
    assert place.read_all() == {"theirs/a.png": b"theirs", "ours.png": b"ours"}


def test_a_key_that_is_no_safe_place_is_refused_for_this_image_alone(place, store) -> None:
    for key in (*UNSAFE_KEYS, "half a pair \ud800", "n" * 2000):
        with pytest.raises(UnsafeKeyError, match="rename"):
            store.create(key, b"x")
        with pytest.raises(UnsafeKeyError, match="rename"):
            store.check_new(key)
    assert place.read_all() == {}
    for key in ODD_KEYS:
        store.check_new(key)


def test_of_many_threads_exactly_one_creates_an_object(place) -> None:
    names = [f"writer {index}" for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        winners = [won for result in pool.map(lambda name: race(place.url, "a.png", [name]), names) for won in result]
    assert len(winners) == 1
    assert place.read_all() == {"a.png": winners[0].encode()}


def test_of_many_processes_exactly_one_creates_an_object(place) -> None:
    attempts = [[f"writer {process}.{index}" for index in range(4)] for process in range(3)]
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        results = pool.starmap(race, [(place.url, "a/b.png", names) for names in attempts])
    winners = [name for names in results for name in names]
    assert len(winners) == 1
    assert place.read_all() == {"a/b.png": winners[0].encode()}


def test_threads_may_share_a_store(place, store) -> None:
    contents = {f"{index % 5}/{index}.png": f"{index}".encode() * 1000 for index in range(40)}

    def there_and_back(key: str) -> bytes:
        assert store.create(key, contents[key])
        return store.get(key, limit=10_000).data

    with ThreadPoolExecutor(8) as pool:
        assert dict(zip(contents, pool.map(there_and_back, contents), strict=True)) == contents
    assert {info.key for info in store.list()} == set(contents)
