"""Hints are read from the messages of stores and message services, recorded from real services where we have them."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.events.sources.messages import Hint, UnknownMessageError, hints_of

ODD_KEY = "in/a b+c/ü%20#1.png"
MD5 = "5d41402abc4b2a76b9719d911017c592"


def s3_event(key: str, *, name: str = "ObjectCreated:Put", **item: Any) -> dict[str, Any]:
    """An event of S3, shortened from Amazon's documentation of the message structure."""
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventTime": "2026-11-25T13:07:03.388Z",
        "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": "archive", "arn": "arn:aws:s3:::archive"},
            "object": {"key": key, "size": 5, **item},
        },
    }
    return {"Records": [record]}


def event_bridge(key: str, *, kind: str = "Object Created") -> dict[str, Any]:
    return {
        "version": "0",
        "detail-type": kind,
        "source": "aws.s3",
        "time": "2026-11-25T13:07:03Z",
        "detail": {
            "version": "0",
            "bucket": {"name": "archive"},
            "object": {"key": key, "size": 5, "etag": MD5, "sequencer": "00617F08299329D189"},
            "reason": "PutObject",
        },
    }


def sns(message: Any) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": json.dumps(message)}


MINIO = (
    '{"EventName":"s3:ObjectCreated:Put","Key":"archive/in/a b+c/ü%20#1.png","Records":[{"eventVersion":"2.0",'
    '"eventSource":"minio:s3","awsRegion":"","eventTime":"2026-11-25T13:06:29.081Z","eventName":'
    '"s3:ObjectCreated:Put","userIdentity":{"principalId":"testak"},"s3":{"s3SchemaVersion":"1.0",'
    '"configurationId":"Config","bucket":{"name":"archive","ownerIdentity":{"principalId":"testak"}},"object":'
    '{"key":"in%2Fa+b%2Bc%2F%C3%BC%2520%231.png","size":5,"eTag":"5d41402abc4b2a76b9719d911017c592",'
    '"sequencer":"18EB4B972B9C041C"}}}]}'
)


def seaweedfs(kind: str, parent: str, name: str, **entry: Any) -> dict[str, Any]:
    message = {"new_entry": {"name": name, **entry}, "delete_chunks": True, "new_parent_path": parent}
    return {"event_type": kind, "key": f"{parent}/{name}", "message": message}


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


STORED = {"attributes": {"file_size": 5, "mtime": 1795611743}, "extended": {"Seaweed-X-Amz-ETag": in_base64(MD5)}}


@pytest.mark.parametrize(
    "message",
    [
        s3_event(quote_plus(ODD_KEY), eTag=MD5, sequencer="0055AED6DCD90281E5"),
        s3_event(quote_plus(ODD_KEY), name="ObjectCreated:CompleteMultipartUpload", eTag=MD5),
        sns(s3_event(quote_plus(ODD_KEY), eTag=MD5)),
        event_bridge(ODD_KEY),
        sns(event_bridge(ODD_KEY)),
        json.loads(MINIO),
        seaweedfs("create", "/buckets/archive/in/a b+c", "ü%20#1.png", **STORED),
        seaweedfs("update", "/buckets/archive/in/a b+c", "ü%20#1.png", **STORED),
        seaweedfs(
            "update",
            "/buckets/archive/in/a b+c",
            "ü%20#1.png.versions",
            is_directory=True,
            attributes={"mtime": 1795611743},
            extended={"Seaweed-X-Amz-Latest-Version-ETag": in_base64(MD5)},
        ),
    ],
)
def test_every_sender_means_the_same_version_of_the_same_object(message) -> None:
    (hint,) = hints_of(json.dumps(message))
    assert (hint.bucket, hint.key, hint.version) == ("archive", ODD_KEY, MD5)
    assert hint.at is not None
    assert hint.at.tzinfo is not None


@pytest.mark.parametrize(
    "message",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "archive"},
        sns({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "archive"}),
        {"Records": []},
        s3_event("in/x.png", name="ObjectRemoved:Delete"),
        s3_event("in/x.png", name="ObjectTagging:Put"),
        s3_event("in/x.png", name="s3:ObjectAccessed:Get"),
        event_bridge("in/x.png", kind="Object Tags Added"),
        event_bridge("in/x.png", kind="Object Deleted"),
        seaweedfs("create", "/buckets", "archive", is_directory=True),
        seaweedfs("create", "/buckets/archive/in", "new", is_directory=True, attributes={"mtime": 1}),
        seaweedfs("create", "/buckets/archive/.uploads/f1d2_4b6f", "0001_d5b0.part", **STORED),
        seaweedfs("create", "/buckets/archive/in/v.png.versions", "v_6714b4668ff9252db60910cbd4a7748b", **STORED),
        seaweedfs("create", "/topics/.system", "log", **STORED),
        {"event_type": "delete", "key": "/buckets/archive/in/x.png", "message": {"old_entry": {"name": "x.png"}}},
    ],
)
def test_what_is_not_about_a_new_object_hints_at_nothing(message) -> None:
    assert hints_of(json.dumps(message)) == ()


def test_a_renamed_object_is_hinted_at_by_its_new_name() -> None:
    event = seaweedfs("rename", "/buckets/archive/in", "moved.png", **STORED)
    event["key"] = "/buckets/archive/in/copy.png"
    (hint,) = hints_of(json.dumps(event))
    assert hint.key == "in/moved.png"


def test_an_event_without_an_etag_is_known_by_its_sequence_and_else_by_its_time() -> None:
    (copied,) = hints_of(json.dumps(s3_event("x.png", sequencer="18EB4B97320A6F7A")))
    assert copied.version == "18EB4B97320A6F7A"
    (bare,) = hints_of(json.dumps(s3_event("x.png")))
    assert "2026-11-25" in bare.version
    filer = {"attributes": {"mtime": 1795611949, "md5": base64.b64encode(bytes.fromhex(MD5)).decode()}}
    (uploaded,) = hints_of(json.dumps(seaweedfs("create", "/buckets/archive/in", "x.png", **filer)))
    assert uploaded.version == MD5


def test_several_records_of_one_message_are_all_read() -> None:
    several = s3_event("a.png")["Records"] + s3_event("b.png", name="ObjectRemoved:Delete")["Records"]
    several += s3_event("c.png")["Records"]
    assert [hint.key for hint in hints_of(json.dumps({"Records": several}))] == ["a.png", "c.png"]


def test_a_record_that_cannot_be_read_takes_no_other_with_it() -> None:
    several = s3_event("a.png")["Records"] + s3_event("in/%ff.png")["Records"] + [3] + s3_event("c.png")["Records"]
    with pytest.raises(UnknownMessageError) as refused:
        hints_of(json.dumps({"Records": several}))
    assert [hint.key for hint in refused.value.hints] == ["a.png", "c.png"]
    assert "record 2 of 4: the key 'in/%ff.png'" in str(refused.value)
    assert "record 3 of 4: a record without" in str(refused.value)


def test_a_thousand_records_that_cannot_be_read_are_told_of_in_a_few_words() -> None:
    with pytest.raises(UnknownMessageError, match=r"record 8 of 1000: .*; and 992 more$") as refused:
        hints_of(json.dumps({"Records": [3] * 1000}))
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00", "9999-12-31T23:59:59-23:59", "2026-11-25", "", "soon", 3, None]
)
def test_a_strange_time_is_no_reason_to_lose_an_event(time) -> None:
    event = s3_event("x.png", eTag=MD5)
    event["Records"][0]["eventTime"] = time
    (hint,) = hints_of(json.dumps(event))
    assert hint.key == "x.png"
    assert hint.at is None or isinstance(hint.at.timestamp(), float)


S3_KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@settings(deadline=None)
@given(S3_KEYS)
def test_any_key_comes_back_from_s3s_encoding(key) -> None:
    for encoded in (quote_plus(key, safe="/"), quote_plus(key), quote(key)):
        (hint,) = hints_of(json.dumps(s3_event(encoded)))
        assert hint.key == key


@settings(deadline=None)
@given(S3_KEYS)
def test_a_key_from_event_bridge_is_taken_as_it_is(key) -> None:
    (hint,) = hints_of(json.dumps(event_bridge(key)))
    assert hint.key == key


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"\x80abc", "UTF-8"),
        (b"null", "NoneType"),
        (b"[1, 2]", "list"),
        (b'"Records"', "str"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", "nothing"),
        (b'{"hello": 1, "Records": 3}', "'Records', 'hello'"),
        (b'{"Records": [{"eventName": "ObjectCreated:Put"}]}', "s3.bucket.name"),
        (b'{"Records": [3]}', "s3.bucket.name"),
        (json.dumps(s3_event("in/%FF.png")).encode(), "URL-encoded"),
        (b'{"source": "aws.s3", "detail-type": "Object Created", "detail": {}}', "detail.bucket.name"),
        (b'{"event_type": "create", "key": "/buckets/x", "message": {}}', "new_parent_path"),
        (b'{"Type": "SubscriptionConfirmation", "TopicArn": "arn:t", "SubscribeURL": "u"}', "SubscribeURL"),
        (b'{"Type": "Notification", "Message": "hello"}', "not JSON"),
        (json.dumps(sns(sns(sns(s3_event("x"))))).encode(), "'Message'"),
    ],
)
def test_a_body_that_is_no_event_is_refused_with_the_reason(body, why) -> None:
    with pytest.raises(UnknownMessageError, match=why):
        hints_of(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, inner in items for place in paths(inner, (*path, name)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


WHOLE = [s3_event("x.png", eTag=MD5), event_bridge("x.png"), json.loads(MINIO), sns(event_bridge("x.png"))]
WHOLE += [seaweedfs("create", "/buckets/archive/in", "x.png", **STORED)]


@settings(deadline=None)
@given(st.data(), st.sampled_from(WHOLE), JSON)
def test_an_event_with_anything_in_any_place_is_read_or_refused(data, event, value) -> None:
    broken = replaced(event, data.draw(st.sampled_from(paths(event))), value)
    try:
        hints = hints_of(json.dumps(broken))
    except UnknownMessageError:
        return
    assert all(isinstance(hint, Hint) and hint.version for hint in hints)
    assert all(hint.at is None or hint.at.timestamp() is not None for hint in hints)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_body_is_read_or_refused(body) -> None:
    with contextlib.suppress(UnknownMessageError):
        assert hints_of(body) == ()
