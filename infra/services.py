"""Define the services of the stack, in the order of their start."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from infra.settings import BUCKET, DEPLOYMENT, HOST, POOL, WEED_PORTS, Settings, deqir, postgres_programs, program

if TYPE_CHECKING:
    from botocore.config import Config


class SetupError(Exception):
    """A part of the stack could not be set up."""


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A process of the stack.

    Attributes:
        name: Name of the service and of its log.
        command, environment: Command and environment of the process.
        port: Port it listens at; None: it does not listen.
        healthy: Returns True if it answers.
        prepare: Called before each start, to create its files.
        set_up: Called after each start, once it answers, to make objects in it.
        clean_up: Called after the end of the stack, to remove files outside of the stack's folder.
        folder: Its working directory; None: the stack's.
        stop: Signal for an orderly end.
        user: User of the process; None: our user.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str]
    port: int | None
    healthy: Callable[[], bool]
    prepare: Callable[[], None] = nothing
    set_up: Callable[[], None] = nothing
    clean_up: Callable[[], None] = nothing
    folder: Path | None = None
    stop: signal.Signals = signal.SIGTERM
    user: str | None = None


def services(stack: Settings) -> list[Service]:
    """Return all services, in the order of their start."""
    database = postgres(stack)
    return [
        *([database] if database is not None else []),
        prefect_server(stack, on_postgres=database is not None),
        seaweedfs(stack),
        ray_head(stack),
        worker(stack),
        receiver(stack),
    ]


def postgres(stack: Settings) -> Service | None:
    """Return Prefect's database; None, for SQLite instead, if Debian's package is missing or cannot work here."""
    programs, data = postgres_programs(), stack.folder / "postgres"
    root = os.geteuid() == 0  # PostgreSQL refuses to run as root
    if programs is None or (root and not may_enter("postgres", stack.folder)):
        return None
    environment = stack.environment | {"PGPASSWORD": stack.secrets["postgres_password"]}
    user = "postgres" if root else None

    def prepare() -> None:
        if (data / "PG_VERSION").exists():
            return
        data.mkdir(mode=0o700, exist_ok=True)
        password = stack.folder / "postgres-password"
        password.write_text(stack.secrets["postgres_password"])
        password.chmod(0o600)
        if user is not None:
            for path in (data, password):
                shutil.chown(path, user)
        options = ["-A", "scram-sha-256", "-U", "deqir", f"--pwfile={password}", "-E", "UTF8", "--no-sync"]
        run([str(programs / "initdb"), "-D", str(data), *options], environment, user=user)
        password.unlink()

    def set_up() -> None:
        connect = ["-h", HOST, "-p", str(stack.postgres), "-U", "deqir"]
        known = "SELECT 1 FROM pg_database WHERE datname='prefect'"
        if not run([str(programs / "psql"), *connect, "-d", "postgres", "-Atc", known], environment).strip():
            run([str(programs / "createdb"), *connect, "prefect"], environment)

    listen = ["-h", HOST, "-p", str(stack.postgres), "-k", str(data)]
    ready = [str(programs / "pg_isready"), "-q", "-h", HOST, "-p", str(stack.postgres)]
    return Service(
        name="postgres",
        command=[str(programs / "postgres"), "-D", str(data), *listen],
        environment=environment,
        port=stack.postgres,
        healthy=lambda: subprocess.run(ready, check=False).returncode == 0,
        prepare=prepare,
        set_up=set_up,
        stop=signal.SIGINT,  # SIGTERM would wait for every client
        user=user,
    )


def prefect_server(stack: Settings, *, on_postgres: bool) -> Service:
    environment = dict(stack.environment)
    if on_postgres:
        environment["PREFECT_API_DATABASE_CONNECTION_URL"] = (
            f"postgresql+asyncpg://deqir:{stack.secrets['postgres_password']}@{HOST}:{stack.postgres}/prefect"
        )
    command = ["-m", "prefect", "server", "start", "--host", HOST, "--port", str(stack.prefect)]
    return Service(
        name="prefect-server",
        command=[sys.executable, *command],
        environment=environment,
        port=stack.prefect,
        healthy=lambda: answers(f"{stack.prefect_api}/health"),
    )


def seaweedfs(stack: Settings) -> Service:
    """Return the object store, which posts its events to the receiver."""
    data = stack.folder / "seaweedfs"
    ports = {name: stack.s3 + 1 + place for place, name in enumerate(WEED_PORTS)}
    options = [
        *(f"-{name}.port={number}" for name, number in ports.items()),
        *(f"-{name}.port.grpc={number + 20}" for name, number in (*ports.items(), ("s3", stack.s3))),
    ]

    def prepare() -> None:
        data.mkdir(parents=True, exist_ok=True)
        credentials = {"accessKey": stack.secrets["s3_access_key"], "secretKey": stack.secrets["s3_secret_key"]}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "admin", "credentials": [credentials], "actions": actions}
        (data / "identities.json").write_text(json.dumps({"identities": [identity]}))
        (data / "identities.json").chmod(0o600)
        (data / "notification.toml").write_text(
            "[notification.webhook]\nenabled = true\n"
            f'endpoint = "http://{HOST}:{stack.events}/events"\n'
            f'bearer_token = "{stack.secrets["webhook_token"]}"\n'
            f'event_types = ["create", "update", "rename"]\npath_prefixes = ["/buckets/{BUCKET}/in"]\n'
        )
        (data / "notification.toml").chmod(0o600)

    def clean_up() -> None:
        for number in (stack.s3, *ports.values()):
            for path in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                path.unlink(missing_ok=True)

    return Service(
        name="seaweedfs",
        command=[
            *(program("weed"), f"-logdir={data}", "mini", f"-dir={data}", f"-s3.config={data / 'identities.json'}"),
            *(f"-ip={HOST}", f"-ip.bind={HOST}", f"-s3.port={stack.s3}", "-webdav=false", "-admin.ui=false"),
            *("-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.preStopSeconds=0"),
            *options,
        ],
        environment=stack.environment,
        port=stack.s3,
        healthy=lambda: bucket_is_there(stack),
        prepare=prepare,
        clean_up=clean_up,
        folder=data,  # SeaweedFS reads notification.toml in its working directory
    )


def bucket_is_there(stack: Settings) -> bool:
    """Create the bucket of the archive unless it exists; True if the store answers and takes an object."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = s3_client(stack, Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}))
    try:
        if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key="ready", Body=b"")  # SeaweedFS listens before it can store
    except (BotoCoreError, ClientError):
        return False
    return True


def s3_client(stack: Settings, config: Config | None = None) -> Any:
    """Return boto3's client of the stack's object store."""
    import boto3

    shown = stack.shown
    return boto3.session.Session().client(
        "s3",
        endpoint_url=shown["AWS_ENDPOINT_URL"],
        region_name=shown["AWS_REGION"],
        aws_access_key_id=shown["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=shown["AWS_SECRET_ACCESS_KEY"],
        config=config,
    )


def ray_head(stack: Settings) -> Service:
    """Return the Ray cluster. Its ports are open to the network, so it requires the token."""
    command = [
        *(program("ray"), "start", "--head", "--block", "--disable-usage-stats", "--include-dashboard", "false"),
        *("--node-ip-address", HOST, "--port", str(stack.ray), "--temp-dir", str(stack.ray_folder)),
        *("--object-store-memory", str(80 * 2**20)),
        *(["--num-cpus", str(stack.cpus)] if stack.cpus is not None else []),
    ]

    def prepare() -> None:
        shutil.rmtree(stack.ray_folder, ignore_errors=True)
        stack.ray_folder.mkdir(parents=True)

    return Service(
        name="ray",
        command=command,
        environment=stack.environment,
        port=stack.ray,
        healthy=lambda: listens(stack.ray),
        prepare=prepare,
        clean_up=lambda: shutil.rmtree(stack.ray_folder, ignore_errors=True),
    )


def worker(stack: Settings) -> Service:
    """Return the worker. Before its start the deployment is registered, which creates the worker's pool."""
    deploy = [
        *("deploy", DEPLOYMENT, f"s3://{BUCKET}/in", f"s3://{BUCKET}/out", "--work-pool", POOL),
        *("--ray-address", f"{HOST}:{stack.ray}", "--interval", "1h", *stack.job),
    ]
    command = ["-m", "prefect", "worker", "start", "--pool", POOL, "--name", "stack"]
    return Service(
        name="worker",
        command=[sys.executable, *command],
        environment=stack.environment | {"PREFECT_WORKER_QUERY_SECONDS": "2"},
        port=None,
        healthy=lambda: worker_is_online(stack),
        prepare=lambda: print(run(deqir(*deploy), stack.environment), end="", flush=True),
    )


def receiver(stack: Settings) -> Service:
    """Return the receiver, which starts runs for new objects. It also lists, as SeaweedFS drops undelivered events."""
    watch = [
        *("watch", "--deployment", f"restore-archive/{DEPLOYMENT}", "--webhook", f"{HOST}:{stack.events}"),
        *("--poll", "30", "--batch-seconds", "3", "--inbox", str(stack.folder / "inbox.sqlite3")),
    ]
    return Service(
        name="receiver",
        command=deqir(*watch),
        environment=stack.environment | {"DEQIR_WEBHOOK_TOKEN": stack.secrets["webhook_token"]},
        port=stack.events,
        healthy=lambda: answers(f"http://{HOST}:{stack.events}/healthz"),
    )


def worker_is_online(stack: Settings) -> bool:
    """True if the server knows the worker to be online."""
    try:
        answer = httpx.post(f"{stack.prefect_api}/work_pools/{POOL}/workers/filter", json={}, timeout=5)
        return any(each["status"] == "ONLINE" for each in answer.raise_for_status().json())
    except (httpx.HTTPError, ValueError):
        return False


def answers(url: str) -> bool:
    """True if a GET is answered with status 200."""
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def listens(port: int) -> bool:
    """True if a process accepts connections at a port of this machine."""
    try:
        socket.create_connection((HOST, port), timeout=2).close()
    except OSError:
        return False
    return True


def may_enter(user: str, folder: Path) -> bool:
    """True if another user can enter a folder; False if the user does not exist."""
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return subprocess.run(["test", "-x", str(folder)], user=user, check=False).returncode == 0


def run(command: list[str], environment: Mapping[str, str], *, user: str | None = None) -> str:
    """Run a program and return its output.

    Raises:
        SetupError: The program ended with another status than 0.
    """
    done = subprocess.run(
        command, env=environment, user=user, cwd="/" if user else None, capture_output=True, text=True
    )
    if done.returncode:
        raise SetupError(f"{Path(command[0]).name} ended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout
