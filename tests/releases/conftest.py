"""Fixtures for going on with jobs and deployments of earlier releases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.flows.live import Api
from tests.releases.bucket import Bucket, Object
from tests.releases.commands import CommandLine, Done, command_line
from tests.releases.record import environment_of, prefect_server, wait_for
from tests.releases.release import Release
from tests.servers import S3Server


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Holds the end of a command and the job it went on with.

    Attributes:
        done: The command.
        before, after: All objects of the job.
    """

    done: Done
    before: dict[str, Object]
    after: dict[str, Object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Holds the store and the command line; recorded jobs go on there, once each."""

    client: Any
    deqir: CommandLine
    _buckets: dict[str, Bucket] = field(default_factory=dict)
    _ends: dict[tuple[str, str], End] = field(default_factory=dict)

    def bucket(self, release: Release) -> Bucket:
        """Return the bucket of a release."""
        if release.bucket not in self._buckets:
            self.client.create_bucket(Bucket=release.bucket)
            self._buckets[release.bucket] = Bucket(client=self.client, name=release.bucket)
        return self._buckets[release.bucket]

    def put_back(self, release: Release, name: str) -> Bucket:
        """Return the bucket of a release, after bringing a job into its recorded state."""
        bucket = self.bucket(release)
        bucket.put_back(f"{name}/", release.state(name))
        return bucket

    def end(self, release: Release, name: str) -> End:
        """Return the end of the command which goes on with a job."""
        if (release.version, name) not in self._ends:
            bucket, then = self.put_back(release, name), release.jobs[name]["then"]
            bucket.delete(then["deleted"])
            before = bucket.objects(f"{name}/")
            done = self.deqir(*release.command(name), "--json")
            self._ends[release.version, name] = End(done=done, before=before, after=bucket.objects(f"{name}/"))
        return self._ends[release.version, name]


@pytest.fixture(scope="session")
def environment(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables of commands: a store, a Prefect server, and the arithmetic of the recordings."""
    folder: Path = tmp_path_factory.mktemp("prefect-of-releases")
    with prefect_server(folder) as api:
        yield environment_of(s3_server, folder, api)


@pytest.fixture(scope="session")
def api(environment: dict[str, str]) -> Api:
    """The Prefect server."""
    wait_for(environment["PREFECT_API_URL"])
    return Api(environment["PREFECT_API_URL"])


@pytest.fixture(scope="session")
def stage(s3_server: S3Server, environment: dict[str, str]) -> Iterator[Stage]:
    """The store and the command line."""
    with command_line(environment) as deqir:
        wait_for(environment["PREFECT_API_URL"])
        yield Stage(client=s3_server.client(), deqir=deqir)
