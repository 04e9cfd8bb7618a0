"""Read storage events of all known senders, and return hints at created objects."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_plus

WRAPPINGS: Final = 2  # EventBridge through SNS is a single wrapping; nobody wraps more
REASONS: Final = 8  # most unreadable records of a message listed in its error
BUCKETS: Final = "/buckets/"  # the folder of SeaweedFS's filer that holds its buckets
VERSIONS: Final = ".versions"  # SeaweedFS adds it to a versioned object's key for the folder of its versions
LATEST: Final = "Seaweed-X-Amz-Latest-Version-ETag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """A notice that an object may be new. It may come twice, late, out of order, or be outdated.

    Attributes:
        bucket, key: The object's bucket, and its key as stored.
        version: Tag of the key's content: the ETag, else the sender's sequence, else the time.
        at: Time of the event by the sender; None if the sender gives no time.
    """

    bucket: str
    key: str
    version: str
    at: datetime | None


class UnknownMessageError(ValueError):
    """The body, or a record in it, is not a known storage event; it belongs to the dead letters.

    Attributes:
        hints: Hints of its other records, to be kept.
    """

    def __init__(self, reason: str, /, *, hints: tuple[Hint, ...] = ()) -> None:
        super().__init__(reason)
        self.hints = hints


def hints_of(body: bytes | str, /) -> tuple[Hint, ...]:
    """Return the hints in a body; () if its events are not about new objects.

    It reads S3's own records, plain or wrapped by SNS; S3's events by way of EventBridge; MinIO's records; the filer
    events of SeaweedFS; and S3's test message to a new queue.

    Raises:
        UnknownMessageError: The body or a record in it is something else.
    """
    message = _parsed(body)
    for _ in range(WRAPPINGS):
        match message:
            case {"Type": "Notification", "Message": str(inner)}:
                message = _parsed(inner)
            case _:
                break
    match message:
        case {"Records": [*records]}:
            return _of_records(records)
        case {"Event": "s3:TestEvent"}:
            return ()
        case {"source": "aws.s3", "detail-type": str(), "detail": dict()}:
            return _of_event_bridge(message)
        case {"event_type": str(), "key": str(), "message": dict()}:
            return _of_seaweedfs(message)
        case {"Type": "SubscriptionConfirmation", "TopicArn": str(topic)}:
            raise UnknownMessageError(
                f"SNS asks to confirm the subscription to {topic!r}; open the SubscribeURL in the message, once"
            )
        case dict():
            names = ", ".join(sorted(map(repr, message))[:8])
            raise UnknownMessageError(f"not a known storage event: a JSON object with {names or 'nothing'}")
        case _:
            raise UnknownMessageError(f"not a storage event: JSON, but a {type(message).__name__} and not an object")


def _parsed(body: bytes | str) -> Any:
    try:
        return json.loads(body)
    except UnicodeDecodeError as error:
        raise UnknownMessageError(f"not a storage event: the body is not text in UTF-8 ({error.reason})") from error
    except (ValueError, RecursionError) as error:
        raise UnknownMessageError(f"not a storage event: the body is not JSON ({error})") from error


def _of_records(records: list[Any]) -> tuple[Hint, ...]:
    hints, refused = list[Hint](), list[str]()
    for number, record in enumerate(records, 1):
        try:
            hint = _of_record(record)
        except UnknownMessageError as error:
            refused.append(f"record {number} of {len(records)}: {error}")
        else:
            hints += [] if hint is None else [hint]
    if refused:
        more = f"; and {len(refused) - REASONS} more" if len(refused) > REASONS else ""
        raise UnknownMessageError("; ".join(refused[:REASONS]) + more, hints=tuple(hints))
    return tuple(hints)


def _of_record(record: Any) -> Hint | None:
    """Return the hint in a record of S3 or MinIO. Its key is URL-encoded, a space as "+"."""
    match record:
        case {
            "eventName": str(name),
            "s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(encoded)} as item},
        } as happened:
            if not name.removeprefix("s3:").startswith("ObjectCreated:"):
                return None
            try:
                key = unquote_plus(encoded, errors="strict")
            except UnicodeDecodeError as error:
                raise UnknownMessageError(f"the key {encoded!r} is not URL-encoded UTF-8") from error
            at = _time(happened.get("eventTime"))
            return Hint(bucket=bucket, key=key, version=_version(item, at), at=at)
        case _:
            raise UnknownMessageError("a record without eventName, s3.bucket.name and s3.object.key")


def _of_event_bridge(message: dict[str, Any]) -> tuple[Hint, ...]:
    """Return the hint in an event of EventBridge, whose key is not encoded; () for tags and the like."""
    if message["detail-type"] != "Object Created":
        return ()
    match message["detail"]:
        case {"bucket": {"name": str(bucket)}, "object": {"key": str(key)} as item}:
            at = _time(message.get("time"))
            return (Hint(bucket=bucket, key=key, version=_version(item, at), at=at),)
        case _:
            raise UnknownMessageError("an EventBridge event without detail.bucket.name and detail.object.key")


def _of_seaweedfs(message: dict[str, Any]) -> tuple[Hint, ...]:
    """Return the hint in a filer event; () for folders, uploads under way and files outside of buckets.

    A rename's `key` is the old key, so the new parent and name are read. A versioned object is a folder, without an
    entry under its own key; the folder names the newest version.
    """
    if message["event_type"] == "delete":
        return ()
    match message["message"]:
        case {"new_parent_path": str(parent), "new_entry": {"name": str(name)} as entry}:
            bucket, _, key = f"{parent}/{name}".removeprefix(BUCKETS).partition("/")
        case _:
            raise UnknownMessageError("a SeaweedFS event without new_parent_path and new_entry.name")
    extended = found if isinstance(found := entry.get("extended"), dict) else {}
    if not parent.startswith(BUCKETS) or key.startswith(".uploads/"):
        return ()
    if entry.get("is_directory"):
        if not name.endswith(VERSIONS) or LATEST not in extended:
            return ()
        key, etag = key.removesuffix(VERSIONS), _decoded(extended[LATEST])
    elif parent.endswith(VERSIONS) and name.startswith("v_"):
        return ()
    else:
        etag = _seaweedfs_etag(entry, extended)
    at = _seaweedfs_time(entry)
    return (Hint(bucket=bucket, key=key, version=etag or f"at {at}", at=at),)


def _seaweedfs_etag(entry: dict[str, Any], extended: dict[str, Any]) -> str:
    """Return the ETag as a listing will show it: the ETag given to S3, else the filer's MD5."""
    match extended.get("Seaweed-X-Amz-ETag"), entry.get("attributes"):
        case str(etag), _:
            return _decoded(etag).strip('"')
        case _, {"md5": str(md5)}:
            return _bytes(md5).hex()
        case _:
            return ""


def _seaweedfs_time(entry: dict[str, Any]) -> datetime | None:
    match entry.get("attributes"):
        case {"mtime": int(seconds)} if 0 <= seconds < 2**35:
            return datetime.fromtimestamp(seconds, tz=UTC)
        case _:
            return None


def _version(item: dict[str, Any], at: datetime | None) -> str:
    """Return the tag of a key's content: ETag or sequencer, in any spelling of S3's names, else the time."""
    for name in ("eTag", "etag", "sequencer"):
        match item.get(name):
            case str(value) if value:
                return value.strip('"')
    return f"at {at}"


def _time(text: object) -> datetime | None:
    """Return the time of an event; None if it cannot be read."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)


def _decoded(text: object) -> str:
    return _bytes(text).decode("ascii", errors="backslashreplace")


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnknownMessageError(f"a SeaweedFS event with {text!r} where base64 belongs") from error
