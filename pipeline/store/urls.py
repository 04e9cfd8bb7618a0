"""Rules for names of places, checked without a connection; errors never repeat credentials in a name."""

from __future__ import annotations

import re
from typing import Final

from pipeline.errors import ConfigurationError

_BUCKET: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}"
_SCHEME: Final = r"[A-Za-z][A-Za-z0-9+.-]*:/"
PLACE: Final = f"^(s3://{_BUCKET}(/|$)|(?!{_SCHEME}))"
"""Regular expression of the names accepted by `check_place`, for the schema of a form."""


def check_place(url: str, /) -> None:
    """Check that a name is s3://bucket/prefix or a path, which begins like no URL.

    Raises:
        ConfigurationError: It is another URL, which may hold credentials: the error repeats its scheme alone.
    """
    if url.startswith("s3://"):
        bucket_and_prefix(url)
    elif scheme := re.match(_SCHEME, url):
        raise ConfigurationError(f"{scheme[0]}/... is not supported; give a folder's path or s3://bucket/prefix")


def bucket_and_prefix(url: str, /) -> tuple[str, str]:
    """Return both parts of s3://bucket/prefix.

    Raises:
        ConfigurationError: The first one is no bucket's name.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if re.fullmatch(_BUCKET, bucket) is None:
        raise ConfigurationError(
            "an S3 place is s3://bucket or s3://bucket/prefix with nothing else in the bucket's part: "
            "credentials and endpoint come from the environment or the profile"
        )
    return bucket, prefix
