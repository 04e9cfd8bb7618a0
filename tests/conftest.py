"""Fixtures that every area shares; shapes in `deqir`'s annotations are checked at run time here."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jaxtyping
import pytest

import tests.checking

jaxtyping.install_import_hook("deqir", f"{tests.checking.__name__}.beartype")

import torch  # noqa: E402

from deqir.priors import FFDNet, PriorCard, write_prior  # noqa: E402
from tests.other_device import register  # noqa: E402

torch.set_num_threads(1)
if not torch.cuda.is_available():
    register()  # torch counts its devices at the first gradient of a process, and serves no later one

if TYPE_CHECKING:
    from tests.servers import S3Server


SERVICES: Final = {"ray_cluster": "ray", "s3_server": "s3", "prefect_environment": "prefect"}
"""The marker of every test that uses a fixture."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the services that their fixtures start, and put these tests first: quick ones fill up the end."""
    for item in items:
        for fixture in SERVICES.keys() & getattr(item, "fixturenames", ()):
            item.add_marker(SERVICES[fixture])
    items.sort(key=lambda item: not any(item.get_closest_marker(service) for service in SERVICES.values()))


@pytest.fixture(scope="session")
def tiny_prior(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a prior's directory: a small, seeded denoiser that answers in a millisecond."""
    torch.manual_seed(0)
    architecture = {"channels": 3, "width": 8, "depth": 3}
    network = FFDNet(**architecture)
    card = PriorCard(name="tiny", kind="denoiser", sha256="", max_noise=75 / 255, architecture=architecture)
    directory: Path = tmp_path_factory.mktemp("priors") / "tiny"
    write_prior(directory, card, network.state_dict())
    return str(directory)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server on loopback; mark the tests that use it `s3`."""
    from tests.servers import weed

    with weed(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="session")
def s3_bucket(s3_server: S3Server) -> str:
    """The name of a bucket on that server that all tests share."""
    return s3_server.make_bucket()


@pytest.fixture
def s3_url(s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place on that server, s3://bucket/prefix; boto3 finds it by the environment, here and in child
    processes."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{s3_bucket}/{secrets.token_hex(6)}"
