"""Whatever boto3 can raise ends as an error of ours that says what to do."""

from __future__ import annotations

import inspect

import botocore.exceptions
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from pipeline.errors import (
    ImageTooLargeError,
    ObjectAccessError,
    StoreAccessError,
    StoreUnavailableError,
    UnsafeKeyError,
)
from pipeline.store import s3_errors

DOING = "read 's3://bucket/key' at https://host"
BOTO3_CLASSES = [
    found for _, found in inspect.getmembers(botocore.exceptions, inspect.isclass) if issubclass(found, BotoCoreError)
]
TO_TRY_AGAIN = {
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ConnectionError",
    "EndpointConnectionError",
    "FlexibleChecksumError",
    "HTTPClientError",
    "IncompleteReadError",
    "ProxyConnectionError",
    "ReadTimeoutError",
    "ResponseStreamingError",
    "SSLError",
}


def answer(code: str, status: int, message: str = "as the server says") -> ClientError:
    """Return what boto3 raises for a server's answer."""
    error = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(error, "GetObject")


@pytest.mark.parametrize("found", BOTO3_CLASSES, ids=lambda found: found.__name__)
def test_every_exception_of_boto3_becomes_one_of_ours(found) -> None:
    """The network's can be tried again; all others are for the user to correct."""
    error = found.__new__(found)  # most want arguments that do not matter here
    ours = s3_errors.failure(error, DOING)
    again = found.__name__ in TO_TRY_AGAIN
    assert type(ours) is (StoreUnavailableError if again else StoreAccessError)
    assert s3_errors.is_transient(error) is again
    assert DOING in str(ours)
    assert found.__name__ in str(ours)
    assert "AWS_" in str(ours) or "AWS " in str(ours)


def test_the_networks_exceptions_are_all_known() -> None:
    assert {found.__name__ for found in BOTO3_CLASSES} >= TO_TRY_AGAIN


@pytest.mark.parametrize(
    ("code", "status", "ours", "text"),
    [
        ("NoSuchBucket", 404, StoreAccessError, "no such bucket; create it"),
        ("InvalidAccessKeyId", 403, StoreAccessError, "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", 403, StoreAccessError, "AWS_SECRET_ACCESS_KEY"),
        ("ExpiredToken", 400, StoreAccessError, "AWS_SESSION_TOKEN"),
        ("AccessDenied", 403, StoreAccessError, "s3:GetObject"),
        ("403", 403, StoreAccessError, "s3:GetObject"),
        ("PermanentRedirect", 301, StoreAccessError, "AWS_DEFAULT_REGION"),
        ("RequestTimeTooSkewed", 403, StoreAccessError, "clock"),
        ("InvalidObjectState", 403, ObjectAccessError, "archive tier"),
        ("NotImplemented", 501, StoreAccessError, "If-None-Match"),
        ("KeyTooLongError", 400, UnsafeKeyError, "rename"),
        ("EntityTooLarge", 400, ImageTooLargeError, "more bytes"),
        ("InternalError", 500, StoreUnavailableError, "run again"),
        ("SlowDown", 503, StoreUnavailableError, "run again"),
        ("503", 503, StoreUnavailableError, "run again"),
        ("TooManyRequests", 429, StoreUnavailableError, "run again"),
        ("RequestTimeout", 400, StoreUnavailableError, "run again"),
        ("BadDigest", 400, StoreUnavailableError, "run again"),
        ("NeverHeardOf", 400, StoreAccessError, "as the server says"),
        ("NeverHeardOf", 418, StoreAccessError, "as the server says"),
        ("NeverHeardOf", 599, StoreUnavailableError, "run again"),
        ("404", 404, StoreAccessError, "as the server says"),
        ("NoSuchKey", 404, FileNotFoundError, "no such object"),
    ],
)
def test_an_answer_becomes_an_error_that_says_what_to_do(code, status, ours, text) -> None:
    error = s3_errors.failure(answer(code, status), DOING)
    assert type(error) is ours
    assert text in str(error)
    assert DOING in str(error)
    assert s3_errors.is_transient(answer(code, status)) is (ours is StoreUnavailableError)


@pytest.mark.parametrize(
    ("codes", "ours"),
    [
        (s3_errors.REMEDIES, StoreAccessError),
        (s3_errors.KEY_AT_FAULT, UnsafeKeyError),
        (s3_errors.TRANSIENT, StoreUnavailableError),
    ],
)
@pytest.mark.parametrize("status", [400, 403, 409, 412])
def test_every_code_that_is_known_has_one_meaning(codes, ours, status) -> None:
    for code in codes:
        assert type(s3_errors.failure(answer(code, status), DOING)) is ours
        assert s3_errors.is_transient(answer(code, status)) is (ours is StoreUnavailableError)


def test_an_answer_that_is_no_s3_or_without_a_code_is_named_too() -> None:
    for error in (ResponseParserError("<html>"), s3_errors.NotS3Error()):
        assert "is an S3 server" in str(s3_errors.failure(error, DOING))
    bare = ClientError({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": 451}}, "GetObject")
    assert str(s3_errors.failure(bare, DOING)).endswith("(451)")


def test_a_long_answer_is_cut() -> None:
    assert len(str(s3_errors.failure(answer("NeverHeardOf", 400, "x" * 10_000), DOING))) < 400
