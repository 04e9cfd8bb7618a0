"""The errors of boto3 and the codes of S3 servers in the pipeline's words, with remedies for the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from pipeline.errors import (
    ImageTooLargeError,
    ObjectAccessError,
    StoreAccessError,
    StoreUnavailableError,
    UnsafeKeyError,
)

_CREDENTIALS: Final = (
    "the credentials were not accepted; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
    "AWS_SESSION_TOKEN, or the profile in AWS_PROFILE"
)
_UNREACHABLE: Final = (
    "no answer after all retries; check the network and AWS_ENDPOINT_URL, or run again when the store answers"
)
_TLS: Final = "no secure connection; if the server's certificate is of your own authority, give that in AWS_CA_BUNDLE"
_BUCKET: Final = "there is no such bucket; create it or correct its name"
_PERMISSION: Final = "no permission; the credentials need s3:ListBucket, s3:GetObject and, to write, s3:PutObject there"
_ONE_OBJECT: Final = (
    "this object is refused, while others can be read; look at its ACL and at the policies that name it, at the KMS "
    "key or the SSE-C key that it is encrypted with, and at its archive tier"
)
_REGION: Final = "the bucket is in another region; set AWS_DEFAULT_REGION to it"
_UNCONDITIONAL: Final = "the server does not know this request; it has to support If-None-Match on PUT"

REMEDIES: Final[Mapping[str, str]] = {
    "NoSuchBucket": _BUCKET,
    "InvalidBucketName": _BUCKET,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "AccessDenied": _PERMISSION,
    "AllAccessDisabled": _PERMISSION,
    "403": _PERMISSION,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "301": _REGION,
    "RequestTimeTooSkewed": "the clock of this machine is wrong; set it",
    "NotImplemented": _UNCONDITIONAL,
    "MethodNotAllowed": _UNCONDITIONAL,
}
"""The fault and its remedy, for each code of a refusal."""

KEY_AT_FAULT: Final = frozenset(
    {
        "KeyTooLongError",
        "ExistingObjectIsFile",  # SeaweedFS
        "ExistingObjectIsDirectory",
        "XMinioInvalidObjectName",
        "XMinioParentIsObject",
        "XMinioObjectExistsAsDirectory",
    }
)
"""Codes of servers with objects as files, for keys they cannot hold."""

ARCHIVED: Final = "InvalidObjectState"
"""Code for an object in an archive tier, which cannot be read at once."""

TRANSIENT: Final = frozenset(
    {
        "RequestTimeout",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "RequestLimitExceeded",
        "BadDigest",  # and the following: the body was damaged on its way
        "IncompleteBody",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    }
)
"""Codes worth another attempt whatever the HTTP status."""


class NobodyThereError(Exception):
    """A key was reported as taken and is free: the other write came to nothing."""


class NotS3Error(Exception):
    """The answer is not one of an S3 server."""


FAILURES: Final = (BotoCoreError, ClientError, ResponseParserError, NobodyThereError, NotS3Error)
"""Whatever a request may raise."""

_BROKEN: Final = (ConnectionError, HTTPClientError, IncompleteReadError, FlexibleChecksumError)
_NEVER_SENT: Final = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
_NO_CREDENTIALS: Final = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
    SSOError,
)


def status_of(error: ClientError) -> int:
    """Return the HTTP status of an answer."""
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def _code_of(error: ClientError) -> str:
    return str(error.response["Error"].get("Code", status_of(error)))


def is_transient(error: BaseException) -> bool:
    """True if the same request may succeed a little later."""
    if not isinstance(error, ClientError):
        return isinstance(error, (*_BROKEN, NobodyThereError))
    code, status = _code_of(error), status_of(error)
    return code in TRANSIENT or status == 429 or (status >= 500 and code not in REMEDIES)


def is_taken(error: Exception) -> bool:
    """True if the answer to a conditional PUT says: the key exists, or is being written to."""
    return isinstance(error, ClientError) and status_of(error) in (409, 412) and _code_of(error) not in KEY_AT_FAULT


def may_be_stored(error: Exception) -> bool:
    """True if an object may be stored although its PUT failed; 503 excludes it."""
    if isinstance(error, ClientError):
        return is_taken(error) or (status_of(error) >= 500 and status_of(error) != 503)
    return not isinstance(error, _NEVER_SENT)


def failure(error: Exception, doing: str) -> Exception:
    """Return the pipeline's error for an error of `FAILURES`, whose own text may hold secrets.

    Args:
        error: The error of boto3.
        doing: The action, its object and the server: "read 's3://bucket/key' at https://...".
    """
    if isinstance(error, ClientError):
        return _answered(error, doing)
    name = type(error).__name__
    if isinstance(error, SSLError):
        return StoreUnavailableError(f"cannot {doing}: {_TLS} ({name})")
    if is_transient(error):
        return StoreUnavailableError(f"cannot {doing}: {_UNREACHABLE} ({name})")
    if isinstance(error, _NO_CREDENTIALS):
        return StoreAccessError(f"cannot {doing}: {_CREDENTIALS} ({name})")
    return StoreAccessError(
        f"cannot {doing}: check the AWS configuration, and that AWS_ENDPOINT_URL is an S3 server ({name})"
    )


def may_be_of_one_object(error: ClientError) -> bool:
    """True if an answer to GET may refuse this object alone; to be sure, another object must be readable."""
    permission = REMEDIES.get(_code_of(error), _PERMISSION) == _PERMISSION
    return permission and type(_answered(error, "read")) is StoreAccessError


def object_refused(error: ClientError, doing: str) -> ObjectAccessError:
    """Return the error for a refused object; the arguments are `failure`'s."""
    said = f"the server says {_message_of(error)!r} ({_code_of(error)})"
    return ObjectAccessError(f"cannot {doing}: {_ONE_OBJECT}; {said}")


def _answered(error: ClientError, doing: str) -> Exception:
    """Return the pipeline's error for a server's answer."""
    code = _code_of(error)
    if code == "NoSuchKey":
        return FileNotFoundError(f"cannot {doing}: no such object")
    if code in REMEDIES:
        return StoreAccessError(f"cannot {doing}: {REMEDIES[code]} ({code})")
    if code == ARCHIVED:
        return ObjectAccessError(f"cannot {doing}: it is in an archive tier; bring it back from there first ({code})")
    if code in KEY_AT_FAULT:
        return UnsafeKeyError(f"cannot {doing}: the server takes no such key; rename the object ({code})")
    if code == "EntityTooLarge":
        return ImageTooLargeError(f"cannot {doing}: more bytes than the server takes ({code})")
    if is_transient(error):
        return StoreUnavailableError(f"cannot {doing}: {_UNREACHABLE} ({code})")
    return StoreAccessError(f"cannot {doing}: the server refuses, saying {_message_of(error)!r} ({code})")


def _message_of(error: ClientError) -> str:
    return str(error.response["Error"].get("Message", ""))[:200]
