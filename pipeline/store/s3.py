"""A bucket's prefix as a store, on any S3 server."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from botocore.exceptions import ClientError

from pipeline.errors import (
    CommitStateUnknownError,
    ImageTooLargeError,
    PipelineError,
    StoreAccessError,
    StoreUnavailableError,
    UnsafeKeyError,
)

from .names import parts_of_new
from .protocol import ObjectInfo, StoredObject
from .s3_client import connect
from .s3_errors import FAILURES, NobodyThereError, is_taken, may_be_of_one_object, may_be_stored, object_refused
from .s3_requests import LONGEST_KEY, S3Requests
from .urls import bucket_and_prefix

_TOKEN: Final = "deqir-token"
_CHUNK: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Store(S3Requests):
    """The objects below a bucket's prefix, under exactly the bucket's keys.

    Built where it is used, by `open`; from then on any number of threads may share it. The zero-byte object
    that marks the prefix itself ("photos/") is not below it.
    """

    @classmethod
    def open(cls, url: str, /) -> S3Store:
        """Return the store of s3://bucket/prefix, with endpoint, region and credentials of boto3's own chain.

        Raises:
            ConfigurationError: No such URL or set-up, or the store refuses us.
            StoreUnavailableError: It does not answer.
        """
        bucket, prefix = bucket_and_prefix(url)
        prefix = prefix.rstrip("/")
        store = cls(client=connect(), bucket=bucket, prefix=f"{prefix}/" if prefix else "")
        store.check()
        return store

    def list(self, prefix: str = "", *, depth: int | None = None) -> Iterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, down to a depth, in no particular order."""
        waiting = [self.prefix + prefix]
        while waiting:
            arguments: dict[str, Any] = {"Prefix": waiting.pop()}
            inner = depth is not None and arguments["Prefix"].count("/", len(self.prefix + prefix)) + 1 < depth
            arguments |= {} if depth is None else {"Delimiter": "/"}
            for page in self._pages(arguments):
                for found in page.get("Contents", ()):
                    if key := found["Key"].removeprefix(self.prefix):
                        yield ObjectInfo(key=key, size=found["Size"], etag=_etag(found))
                waiting += [found["Prefix"] for found in page.get("CommonPrefixes", ()) if inner]

    def get(self, key: str, /, *, limit: int) -> StoredObject:
        """The whole object, read again from its start where the body breaks off.

        Raises:
            FileNotFoundError: No such object.
            ImageTooLargeError: More than `limit` bytes; no more than `limit` were read.
            ObjectAccessError: The server refuses this object, and gives another.
        """
        if not self._is_possible(key):
            raise FileNotFoundError(f"no object can have the key {key!r} in {self.url}")

        def fetch() -> StoredObject:
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)
            except ClientError as error:
                if may_be_of_one_object(error) and self._reads_another(key):
                    raise object_refused(error, self._doing("read", key)) from error
                raise
            with closing(answer["Body"]) as body:
                data = _read(body, limit) if answer.get("ContentLength", 0) <= limit else None
            if data is None:
                raise ImageTooLargeError(f"{key!r} has more than {limit} bytes; raise max_bytes to read it")
            return StoredObject(info=ObjectInfo(key=key, size=len(data), etag=_etag(answer)), data=data)

        found = self._call("read", key, fetch)
        self._readable[:] = [key]
        return found

    def create(self, key: str, data: bytes, /) -> bool:
        """Store a new object and never overwrite; our own write whose answer was lost counts as ours.

        A conditional PUT decides who wins, but "exists" may be said of our own object, and a failure may
        follow a success. Each object therefore carries its writer's token, which is read back where in doubt.

        Raises:
            UnsafeKeyError: The key would leave the prefix, or no server takes it.
            CommitStateUnknownError: The write was sent, and neither it nor a look at the key was answered.
        """
        self.check_new(key)
        token, sent = secrets.token_hex(16), False

        def put() -> bool:
            nonlocal sent
            try:
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=self.prefix + key,
                    Body=data,
                    IfNoneMatch="*",
                    Metadata={_TOKEN: token},
                )
            except FAILURES as error:
                sent = sent or may_be_stored(error)
                if not is_taken(error):
                    raise
                return self._is_ours(key, token)
            return True

        try:
            return self._call("write", key, put)
        except StoreUnavailableError as error:
            if not sent:
                raise
            return self._settle(key, token, error)

    def check_new(self, key: str, /) -> None:
        """Raise UnsafeKeyError for a key that leaves the prefix, or that no server takes with the prefix."""
        parts_of_new(key)
        if not self._is_possible(key):
            raise UnsafeKeyError(
                f"{self.prefix + key!r} is not a key of at most {LONGEST_KEY} bytes of UTF-8; rename the source "
                "object, or choose a destination with a shorter prefix"
            )

    def head(self, key: str, /) -> ObjectInfo | None:
        """The info of an object, as in a listing; None if it is missing."""
        if not self._is_possible(key):
            return None
        try:
            found = self._call("read", key, partial(self._peek, key))
        except StoreAccessError:
            if (listed := self._listed(key)) is None:
                raise
            return listed
        if found is None:
            self.check()
            return None
        return ObjectInfo(key=key, size=found["ContentLength"], etag=_etag(found))

    def _listed(self, key: str) -> ObjectInfo | None:
        """Return an object's info from a listing, which needs another permission than HEAD."""
        page = self._page({"Prefix": self.prefix + key, "MaxKeys": 1}, attempts=self.attempts)
        found = next(iter(page.get("Contents", ())), None)
        if found is None or found["Key"] != self.prefix + key:
            return None
        return ObjectInfo(key=key, size=found["Size"], etag=_etag(found))

    def _is_ours(self, key: str, token: str) -> bool:
        """True if a taken key holds the object with our token.

        Raises:
            NobodyThereError: The key is free.
        """
        found = self._peek(key)
        if found is None:
            raise NobodyThereError
        return bool(found["Metadata"].get(_TOKEN) == token)

    def _settle(self, key: str, token: str, cause: StoreUnavailableError) -> bool:
        """True if the object is ours, after PUT failed for good; raise CommitStateUnknownError without an answer."""
        try:
            return self._call("read", key, partial(self._is_ours, key, token))
        except PipelineError:
            raise CommitStateUnknownError(
                f"{self.url}/{key} was sent, but the store does not say whether it is stored; run again when "
                "it answers: a stored object will be recognised"
            ) from cause


def _read(body: Any, limit: int) -> bytes | None:
    """Return a body to its end, at which boto3 compares length and checksum; None if it exceeds `limit`."""
    chunks, size = [], 0
    while chunk := body.read(min(_CHUNK, limit - size + 1)):
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            return None
    return b"".join(chunks)


def _etag(answer: Any) -> str:
    return str(answer["ETag"]).strip('"')  # quoted by some requests of some servers only
