"""One request after another to a bucket: tried again while the server does not answer, its failures in our words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from botocore.exceptions import ClientError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from pipeline.errors import ImageError, StoreAccessError

from .s3_errors import FAILURES, NotS3Error, failure, is_transient, status_of

R = TypeVar("R")

LONGEST_KEY: Final = 1024
_OTHERS: Final = 8
"""Objects of a listing to try, at most, before the store itself is said to refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Requests:
    """Requests for the objects below a bucket's prefix.

    Attributes:
        client: boto3's, without retries of its own: only single attempts show if an object may be stored.
        bucket: Its name.
        prefix: "", or the common beginning of all keys, with its last "/".
        attempts: Times a request is tried while the store does not answer.
        longest_wait: Most seconds between two attempts.
    """

    client: Any
    bucket: str
    prefix: str
    attempts: int = 6
    longest_wait: float = 10.0
    _readable: list[str] = field(default_factory=list, init=False, repr=False, compare=False)  # the last key, if any

    @property
    def url(self) -> str:
        """s3://bucket/prefix."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def check(self) -> None:
        """Raise the error of a first listing, if any; a refused HEAD would give no reason."""
        self._page({"Prefix": self.prefix, "MaxKeys": 1}, attempts=min(3, self.attempts))

    def _pages(self, arguments: dict[str, Any]) -> Iterator[Any]:
        """Yield every page of a listing."""
        while True:
            page = self._page(arguments, attempts=self.attempts)
            yield page
            if not page["IsTruncated"]:
                return
            arguments = arguments | {"ContinuationToken": page["NextContinuationToken"]}

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

    def _reads_another(self, key: str) -> bool:
        """True if another object can be read now: the last one read, or some of the listing."""
        if any(self._opens(other) for other in tuple(self._readable) if other != key):
            return True
        page = self._page({"Prefix": self.prefix}, attempts=self.attempts)
        listed = (found["Key"].removeprefix(self.prefix) for found in page.get("Contents", ()))
        others = [other for other in listed if other not in ("", key)]
        return any(self._opens(other) for other in others[:: len(others) // _OTHERS + 1])

    def _opens(self, key: str) -> bool:
        """True if an object can be read; its body is left unread. HEAD would not show a refused KMS key."""
        ask = partial(self.client.get_object, Bucket=self.bucket, Key=self.prefix + key)
        try:
            self._call("read", key, ask)["Body"].close()
        except (FileNotFoundError, ImageError, StoreAccessError):
            return False
        self._readable[:] = [key]
        return True

    def _is_possible(self, key: str) -> bool:
        """True if any object can have this key."""
        try:
            return len(key) > 0 and len((self.prefix + key).encode()) <= LONGEST_KEY
        except UnicodeEncodeError:  # the name of a file that is no UTF-8
            return False

    def _call(self, doing: str, key: str, action: Callable[[], R], *, attempts: int | None = None) -> R:
        """Return the result of `action`, repeated while the store does not answer.

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
            raise failure(error, self._doing(doing, key)) from error

    def _doing(self, doing: str, key: str) -> str:
        """Return the action, its object and the server, for an error."""
        where = f"{self.url}/{key}" if key else self.url
        return f"{doing} {where!r} at {self.client.meta.endpoint_url}"
