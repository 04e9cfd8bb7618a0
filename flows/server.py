"""Connect to the Prefect server in the settings, and turn its errors into messages for users."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings

from pipeline.errors import ConfigurationError, JobError


def server_url() -> str:
    """Return the URL of the server's API.

    Raises:
        ConfigurationError: No server is set; Prefect would start a temporary server.
    """
    url = get_current_settings().api.url
    if not url:
        raise ConfigurationError(
            "no Prefect server is set; set PREFECT_API_URL to the server for your jobs, like http://127.0.0.1:4200/api"
        )
    return url


@contextmanager
def server() -> Iterator[SyncPrefectClient]:
    """Give a client of the server. Its errors become a single line each, without the password in a URL.

    Raises:
        ConfigurationError: No server is set, or nothing answers there.
        JobError: The server answers with an error.
    """
    url = without_password(server_url())
    try:
        with get_client(sync_client=True) as client:
            client.hello()
            yield client
    except PrefectHTTPStatusError as error:
        raise JobError(f"the Prefect server at {url} refused: {without_password(str(error))}") from error
    except httpx.HTTPError as error:
        reason = without_password(str(error)) or type(error).__name__
        raise ConfigurationError(
            f"no Prefect server answers at {url} ({reason}); start it, or correct PREFECT_API_URL"
        ) from error


def check_server() -> None:
    """Raise an error if a server is set but does not answer. If no server is set, a run starts its own.

    Raises:
        ConfigurationError: Nothing answers there.
        JobError: The server answers with an error.
    """
    if get_current_settings().api.url:
        with server():
            pass


def page(path: str) -> str:
    """Return the address of a page of the server's user interface, without a password."""
    settings = get_current_settings()
    base = settings.ui_url or server_url().removesuffix("/api")
    return f"{without_password(base).rstrip('/')}/{path}"


def without_password(text: str) -> str:
    """Return a text without users in its URLs: "http://user:password@host/api" becomes "http://host/api"."""
    return re.sub(r"(?<=://)[^/?#\s]*@", "", text)
