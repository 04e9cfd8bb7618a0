"""A bucket's prefix as a store, on any server that speaks S3."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from botocore.exceptions import ClientError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from pipeline.errors import (
    CommitStateUnknownError,
    ConfigurationError,
    ImageTooLargeError,
    PipelineError,
    StoreAccessError,
    StoreUnavailableError,
    UnsafeKeyError,
)

from .names import parts_of_new
from .protocol import ObjectInfo
from .s3_client import connect
from .s3_errors import FAILURES, NobodyThereError, NotS3Error, failure, is_taken, is_transient, may_be_stored, status_of

R = TypeVar("R")

_TOKEN: Final = "deqir-token"
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_LONGEST_KEY: Final = 1024
_CHUNK: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Store:
    """The objects below a bucket's prefix, under exactly the keys that the bucket has.

    Built where it is used, by `open`; from then on any number of threads may share it. The zero-byte object
    that marks the prefix itself ("photos/") is not below it.

    Attributes:
        client: boto3's, which must not retry by itself: only one attempt at a time tells what may be stored.
        bucket: Its name.
        prefix: "", or what every key starts with, up to and with its last "/".
        attempts: Times that a request is tried while the store does not answer.
        longest_wait: Most seconds between two attempts.
    """

    client: Any
    bucket: str
    prefix: str
    attempts: int = 6
    longest_wait: float = 10.0

    @classmethod
    def open(cls, url: str, /) -> S3Store:
        """Return the store of s3://bucket/prefix, with endpoint, region and credentials of boto3's own chain.

        Raises:
            ConfigurationError: No such URL or set-up, or the store refuses us.
            StoreUnavailableError: It does not answer.
        """
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if _BUCKET.fullmatch(bucket) is None:
            raise ConfigurationError(
                "an S3 place is s3://bucket or s3://bucket/prefix with nothing else in the bucket's part: "
                "credentials and endpoint come from the environment or the profile"
            )
        prefix = prefix.rstrip("/")
        store = cls(client=connect(), bucket=bucket, prefix=f"{prefix}/" if prefix else "")
        store.check()
        return store

    @property
    def url(self) -> str:
        """s3://bucket/prefix."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def check(self) -> None:
        """Raise what a first request for the listing raises: an answer to HEAD holds no reason."""
        self._page({"Prefix": self.prefix, "MaxKeys": 1}, attempts=min(3, self.attempts))

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

    def _pages(self, arguments: dict[str, Any]) -> Iterator[Any]:
        """Yield every page of a listing."""
        while True:
            page = self._page(arguments, attempts=self.attempts)
            yield page
            if not page["IsTruncated"]:
                return
            arguments = arguments | {"ContinuationToken": page["NextContinuationToken"]}

    def get(self, key: str, /, *, limit: int) -> bytes:
        """The whole object, read again from its start where the body breaks off.

        Raises:
            FileNotFoundError: No such object.
            ImageTooLargeError: More than `limit` bytes; nothing more than that was read.
        """
        if not self._is_possible(key):
            raise FileNotFoundError(f"no object can have the key {key!r} in {self.url}")

        def fetch() -> bytes:
            answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)
            with closing(answer["Body"]) as body:
                data = _read(body, limit) if answer.get("ContentLength", 0) <= limit else None
            if data is None:
                raise ImageTooLargeError(f"{key!r} has more than {limit} bytes; raise max_bytes to read it")
            return data

        return self._call("read", key, fetch)

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
        """Raise UnsafeKeyError for a key that leaves the prefix, or that with the prefix is none that servers take."""
        parts_of_new(key)
        if not self._is_possible(key):
            raise UnsafeKeyError(
                f"{self.prefix + key!r} is not a key of at most {_LONGEST_KEY} bytes of UTF-8; rename the source "
                "object, or choose a destination with a shorter prefix"
            )

    def head(self, key: str, /) -> ObjectInfo | None:
        """What `list` would say of one object; None if there is none."""
        if not self._is_possible(key):
            return None
        try:
            found = self._call("read", key, partial(self._peek, key))
        except StoreAccessError:
            self.check()
            raise
        if found is None:
            self.check()
            return None
        return ObjectInfo(key=key, size=found["ContentLength"], etag=_etag(found))

    def _page(self, arguments: dict[str, Any], *, attempts: int) -> Any:
        """Return one page of a listing."""

        def ask() -> Any:
            page = self.client.list_objects_v2(Bucket=self.bucket, **arguments)
            if "IsTruncated" not in page:  # boto3 takes any XML for the listing of an empty bucket
                raise NotS3Error
            return page

        return self._call("list", "", ask, attempts=attempts)

    def _peek(self, key: str) -> Any:
        """Return the answer to HEAD; None if it is no, which it also is where the whole bucket is missing."""
        try:
            return self.client.head_object(Bucket=self.bucket, Key=self.prefix + key)
        except ClientError as error:
            if status_of(error) in (400, 404):  # 400: no object can have this key
                return None
            raise

    def _is_ours(self, key: str, token: str) -> bool:
        """Return whether a key that is said to be taken holds the object of our token.

        Raises:
            NobodyThereError: The key is free.
        """
        found = self._peek(key)
        if found is None:
            raise NobodyThereError
        return bool(found["Metadata"].get(_TOKEN) == token)

    def _settle(self, key: str, token: str, cause: StoreUnavailableError) -> bool:
        """Return whether the object is ours, or raise CommitStateUnknownError, after PUT failed for good."""
        try:
            return self._call("read", key, partial(self._is_ours, key, token))
        except PipelineError:
            raise CommitStateUnknownError(
                f"{self.url}/{key} was sent, but the store does not say whether it is stored; run again when "
                "it answers: what is stored will be found"
            ) from cause

    def _is_possible(self, key: str) -> bool:
        """Return whether any object can have this key."""
        try:
            return len(key) > 0 and len((self.prefix + key).encode()) <= _LONGEST_KEY
        except UnicodeEncodeError:  # the name of a file that is no UTF-8
            return False

    def _call(self, doing: str, key: str, action: Callable[[], R], *, attempts: int | None = None) -> R:
        """Return what `action` returns, repeating it while the store does not answer.

        Raises:
            FileNotFoundError: There is no such object.
            PipelineError: Whatever else boto3 raises, in our words.
        """
        retrying = Retrying(
            stop=stop_after_attempt(attempts or self.attempts),
            wait=wait_random_exponential(multiplier=0.5, max=self.longest_wait),
            retry=retry_if_exception(is_transient),
            reraise=True,
        )
        try:
            return retrying(action)
        except FAILURES as error:
            where = f"{self.url}/{key}" if key else self.url
            raise failure(error, f"{doing} {where!r} at {self.client.meta.endpoint_url}") from error


def _read(body: Any, limit: int) -> bytes | None:
    """Return a body to its end, where boto3 compares length and checksum; None if that is beyond `limit`."""
    chunks, size = [], 0
    while chunk := body.read(min(_CHUNK, limit - size + 1)):
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            return None
    return b"".join(chunks)


def _etag(answer: Any) -> str:
    return str(answer["ETag"]).strip('"')  # quoted by some requests of some servers only
