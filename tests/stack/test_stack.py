"""`make stack` and `make stack-down`: a stack of real services comes up, stays up, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.flows.live import descendants, within
from tests.stack.conftest import IN_COMMAND, configuration, stack_command

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="stack-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def expected() -> set[str]:
    on_postgres = any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return set(IN_COMMAND) - (set() if on_postgres else {"postgres"})


def test_every_service_answers_and_only_ray_listens_beyond_this_machine(stack) -> None:
    for name in expected():
        assert stack.service(name).alive
    assert httpx.get(f"{stack.events}/healthz").json()["problems"] == {}
    assert stack.s3().list_objects_v2(Bucket="archive")["KeyCount"] >= 0
    assert stack.api.deployment("archive")["parameters"]["job"]["source"] == "s3://archive/in"
    if "postgres" in expected():
        assert not list((stack.folder / "prefect").glob("prefect.db*"))
    below = {each.pid: each.name for each in descendants(stack.holder)}
    wide = {below[pid] for pid, address in listeners() if pid in below and not address.startswith(LOOPBACK)}
    assert {name for name in wide if "ray" not in name.lower() and "dashboard" not in name} == set()


def test_secrets_are_readable_for_their_owner_alone_and_in_no_command_line(stack) -> None:
    for name in ("secrets.json", "environment.sh", "seaweedfs/identities.json", "seaweedfs/notification.toml"):
        assert (stack.folder / name).stat().st_mode & 0o077 == 0, name
    words = " ".join(each.name for each in descendants(stack.holder))
    for name in ("AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN"):
        assert stack.variables[name] not in words


@pytest.mark.parametrize("name", ["receiver", "worker"])
def test_a_service_that_dies_is_started_again(stack, name) -> None:
    killed = stack.kill(name)
    assert stack.service(name) != killed
    assert f"{name}: ended with status -9" in stack.log("stack")


def test_up_again_changes_nothing(stack) -> None:
    before = stack.service("prefect-server")
    run = stack_command("up", stack.variables)
    assert run.returncode == 0
    assert "is up already" in run.stdout
    assert stack.service("prefect-server") == before


def test_when_the_process_that_holds_it_is_killed_the_services_end_too(folder, tiny_prior) -> None:
    variables = configuration(folder, tiny_prior)
    assert stack_command("up", variables).returncode == 0
    holder = int((folder / "pid").read_text().split()[0])
    below = descendants(holder)
    assert len(below) > len(expected())
    os.kill(holder, signal.SIGKILL)
    within(60, lambda: not any(each.alive for each in below), "the services to end")
    assert stack_command("status", variables).returncode == 1
    assert stack_command("down", variables).returncode == 0


def test_a_port_that_is_taken_is_told_and_nothing_stays(folder, stack, tiny_prior) -> None:
    variables = configuration(folder, tiny_prior) | {"STACK_PREFECT_PORT": stack.variables["STACK_PREFECT_PORT"]}
    run = stack_command("up", variables)
    assert run.returncode == 1
    assert f"port {variables['STACK_PREFECT_PORT']} is taken by another program" in run.stderr
    assert stack_command("status", variables).returncode == 1


LOOPBACK = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")


def listeners() -> list[tuple[int, str]]:
    """Return process and address (in the kernel's form) of every listening TCP socket."""
    inodes = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                inodes[fields[9]] = fields[1]
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                links = [os.readlink(link) for link in (entry / "fd").iterdir()]
            except OSError:
                continue
            found += [(int(entry.name), inodes[link[8:-1]]) for link in links if link[8:-1] in inodes]
    return found
