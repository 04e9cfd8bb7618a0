"""The Prefect server that the settings name, and what is said when it does not answer."""

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
        ConfigurationError: None is set: one would be started that ends with this process.
    """
    url = get_current_settings().api.url
    if not url:
        raise ConfigurationError(
            "no Prefect server is set; set PREFECT_API_URL to the one that is to run the jobs, such as "
            "http://127.0.0.1:4200/api"
        )
    return url


@contextmanager
def server() -> Iterator[SyncPrefectClient]:
    """Give a client of the server, and turn its silence or its refusal into one line, without a password in its URL.

    Raises:
        ConfigurationError: No server is set, or nothing answers there.
        JobError: It answers with an error.
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
    """Make sure that the server answers, if one is set; without, a run starts one of its own.

    Raises:
        ConfigurationError: Nothing answers there.
        JobError: It answers with an error.
    """
    if get_current_settings().api.url:
        with server():
            pass


def page(path: str) -> str:
    """Return the address of a page of the server's user interface, without a password in it."""
    settings = get_current_settings()
    base = settings.ui_url or server_url().removesuffix("/api")
    return f"{without_password(base).rstrip('/')}/{path}"


def without_password(text: str) -> str:
    """Return a text whose URLs name nobody: "http://user:password@host/api" becomes "http://host/api"."""
    return re.sub(r"(?<=://)[^/?#\s]*@", "", text)
