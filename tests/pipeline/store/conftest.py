"""Fixtures of the stores' tests."""

from __future__ import annotations

import pytest

from pipeline.store import Store, open_store
from tests.pipeline.store.places import FolderPlace, Place, S3Place
from tests.servers import S3Server


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3)])
def place(request: pytest.FixtureRequest) -> Place:
    """An empty place of each kind."""
    if request.param == "folder":
        root = request.getfixturevalue("tmp_path") / "archive"
        root.mkdir()
        return FolderPlace(root)
    found: S3Place = request.getfixturevalue("s3_place")
    return found


@pytest.fixture
def s3_place(s3_server: S3Server, s3_url: str) -> S3Place:
    """An empty place on the S3 server."""
    bucket, _, prefix = s3_url.removeprefix("s3://").partition("/")
    return S3Place(s3_server.client(), bucket, f"{prefix}/")


@pytest.fixture
def store(place: Place) -> Store:
    """The store of that place."""
    return open_store(place.url, writable=True)
