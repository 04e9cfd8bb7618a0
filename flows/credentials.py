"""Credentials out of a block of the server's, for workers whose environment is not to hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigurationError

from .environment import CREDENTIALS_BLOCK, prepare_prefect, secret, use_credentials


def take_credentials() -> None:
    """Take credentials out of the block of the server's that the environment names, if it names one.

    Raises:
        ConfigurationError: The block is not there or does not hold any, or no server answers.
    """
    if secret(CREDENTIALS_BLOCK) is None:
        return
    prepare_prefect()
    from .server import check_server  # imports Prefect

    check_server()
    credentials_from_block()


def take_credentials_for(*places: str | None) -> None:
    """Take them where a place is one that needs some.

    Raises:
        ConfigurationError: As for `take_credentials`.
    """
    if any(place is not None and place.startswith("s3://") for place in places):
        take_credentials()


def credentials_from_block() -> None:
    """Put what the block named by DEQIR_CREDENTIALS_BLOCK holds into this process's environment, if one is named.

    Ray actors on this machine inherit it; those of a cluster that exists already have the environment of their nodes.

    Raises:
        ConfigurationError: There is no such block, or it does not hold AWS_... variables.
    """
    name = secret(CREDENTIALS_BLOCK)
    if name is not None:
        use_credentials(variables_of(name, load(name)))


def load(name: str) -> object:
    """Return what a Secret block holds."""
    from prefect.blocks.system import Secret  # imports Prefect

    try:
        block: Any = Secret.load(name)
    except ValueError as error:
        raise ConfigurationError(
            f"{CREDENTIALS_BLOCK}={name}: the Prefect server has no Secret block of that name; make it on its page "
            "Blocks"
        ) from error
    held: object = block.get()
    return held


def variables_of(name: str, held: object) -> Mapping[str, str]:
    """Return environment variables out of what a block holds: a JSON object of them, or its text."""
    try:
        found = json.loads(held) if isinstance(held, str) else held
    except ValueError:
        found = None
    match found:
        case dict() if found and all(
            isinstance(each, str) and each.startswith("AWS_") and isinstance(found[each], str) for each in found
        ):
            return found
    raise ConfigurationError(
        f"{CREDENTIALS_BLOCK}={name}: the block has to hold a JSON object of AWS_... variables, such as "
        '{"AWS_ACCESS_KEY_ID": "...", "AWS_SECRET_ACCESS_KEY": "..."}'
    )
