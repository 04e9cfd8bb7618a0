"""S3 servers on loopback for tests: SeaweedFS, a real one, and moto; each gone when its block ends."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from moto.server import ThreadedMotoServer

from tests.processes import free_ports

START_SECONDS = 30
STOP_SECONDS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """Where a server listens and whom it lets do everything.

    Attributes:
        endpoint: http://127.0.0.1:port.
        access_key, secret_key: The credentials.
    """

    endpoint: str
    access_key: str = "testak"
    secret_key: str = "testsecret123"

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which boto3 finds this server, and nothing else that the machine may have set up."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """Return boto3's client of this server, whatever the environment says."""
        return _client(self)

    def make_bucket(self) -> str:
        """Return the name of a new, empty bucket."""
        name = f"test-{secrets.token_hex(6)}"
        self.client().create_bucket(Bucket=name)
        return name


@functools.cache
def _client(server: S3Server) -> Any:
    return boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )


@contextlib.contextmanager
def weed(folder: Path) -> Iterator[S3Server]:
    """Run SeaweedFS with its data in `folder`: it checks signatures and conditions of writes."""
    names = ("s3", "master", "volume", "filer", "admin")
    ports = free_ports(2 * len(names))
    options = [
        option
        for name, port, grpc_port in zip(names, ports[::2], ports[1::2], strict=True)
        for option in (f"-{name}.port={port}", f"-{name}.port.grpc={grpc_port}")
    ]
    server = S3Server(endpoint=f"http://127.0.0.1:{ports[0]}")
    command = [
        str(Path(sysconfig.get_path("scripts")) / "weed"),
        *(f"-logdir={folder}", "mini", f"-dir={folder}", f"-s3.config={_write_identities(folder, server)}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false", "-master.telemetry=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.preStopSeconds=0", *options),
    ]
    with (
        (folder / "output").open("wb") as output,
        subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            _wait_until_it_answers(server, process)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            for port in ports:  # sockets that it leaves behind
                for socket_file in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    socket_file.unlink(missing_ok=True)


@contextlib.contextmanager
def moto() -> Iterator[S3Server]:
    """Run moto, which knows missing buckets and any key, but checks no signature."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3Server(endpoint=f"http://{host}:{port}")
    finally:
        server.stop()


def _write_identities(folder: Path, server: S3Server) -> Path:
    """Write down whom SeaweedFS knows: one administrator."""
    identity = {
        "name": "admin",
        "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    path = folder / "identities.json"
    path.write_text(json.dumps({"identities": [identity]}))
    return path


def _wait_until_it_answers(server: S3Server, process: subprocess.Popen[bytes]) -> None:
    """Return once the server has stored a first object, which takes it longer than to listen."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None:
        try:
            bucket = server.make_bucket()
            server.client().put_object(Bucket=bucket, Key="first", Body=b"")
        except (BotoCoreError, ClientError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"SeaweedFS ended with status {process.returncode}; see its output beside its data")
