"""Take credentials from a block of the Prefect server, for workers whose environment must not hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigurationError

from .environment import CREDENTIALS_BLOCK, prepare_prefect, secret, use_credentials


def take_credentials() -> None:
    """Take credentials from the block named in the environment, if any, after a check of the server.

    Raises:
        ConfigurationError: The block does not exist or holds no credentials, or no server answers.
    """
    if secret(CREDENTIALS_BLOCK) is None:
        return
    prepare_prefect()
    from .server import check_server  # imports Prefect

    check_server()
    credentials_from_block()


def take_credentials_for(*places: str | None) -> None:
    """Take credentials if a place is in S3.

    Raises:
        ConfigurationError: As for `take_credentials`.
    """
    if any(place is not None and place.startswith("s3://") for place in places):
        take_credentials()


def credentials_from_block() -> None:
    """Put the variables in the block named by DEQIR_CREDENTIALS_BLOCK, if any, into this process's environment.

    Ray actors on this machine inherit it. Actors of an existing cluster have the environment of their nodes.

    Raises:
        ConfigurationError: The block does not exist, or does not hold AWS_... variables.
    """
    name = secret(CREDENTIALS_BLOCK)
    if name is not None:
        use_credentials(variables_of(name, load(name)))


def load(name: str) -> object:
    """Return the content of a Secret block."""
    from prefect.blocks.system import Secret  # imports Prefect

    try:
        block: Any = Secret.load(name)
    except ValueError as error:
        raise ConfigurationError(
            f"{CREDENTIALS_BLOCK}={name}: the Prefect server has no Secret block of this name; create it on its page "
            "Blocks"
        ) from error
    held: object = block.get()
    return held


def variables_of(name: str, held: object) -> Mapping[str, str]:
    """Return the environment variables in a block's content: a JSON object, or its text."""
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
        f"{CREDENTIALS_BLOCK}={name}: the block must hold a JSON object of AWS_... variables, like "
        '{"AWS_ACCESS_KEY_ID": "...", "AWS_SECRET_ACCESS_KEY": "..."}'
    )
