"""boto3's client as the S3 store needs it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from pipeline.errors import ConfigurationError


def connect() -> Any:
    """Return a client with the endpoint, region and credentials of boto3's own chain.

    Raises:
        ConfigurationError: The environment or the profile is faulty.
    """
    settings = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 1},  # S3Store retries, and counts what was sent
        max_pool_connections=64,
    )
    try:
        client = boto3.session.Session().client("s3", config=settings)
    except BotoCoreError as error:
        raise ConfigurationError(f"the AWS configuration cannot be used: {error}") from error
    except ValueError:  # its text repeats the endpoint, which may hold a password
        raise ConfigurationError("AWS_ENDPOINT_URL must be a URL such as https://host:9000") from None
    if "@" in urlsplit(client.meta.endpoint_url).netloc:
        raise ConfigurationError("AWS_ENDPOINT_URL must hold no user name or password; boto3 ignores them")
    return client
