"""The settings of the stack on this machine: folder, ports, secrets, and the environment of its processes."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
BUCKET: Final = "archive"
DEPLOYMENT: Final = "archive"
POOL: Final = "deqir"
LONGEST_RAY_FOLDER: Final = 40  # Ray's sockets lie deep below it, and a socket's path has at most 107 bytes
WEED_PORTS: Final = ("master", "volume", "filer", "admin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a stack.

    Attributes:
        folder: Folder for data, logs, secrets and the process's id.
        prefect, s3, ray, events, postgres: Ports. SeaweedFS also takes some ports above `s3`.
        cpus: CPUs for Ray's tasks; None: all CPUs.
        job: Options of `deqir deploy` for the stack's own deployment.
        secrets: Secrets by which its processes know each other.
    """

    folder: Path
    prefect: int
    s3: int
    ray: int
    events: int
    postgres: int
    cpus: int | None
    job: tuple[str, ...]
    secrets: Mapping[str, str]

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def prefect_api(self) -> str:
        return f"http://{HOST}:{self.prefect}/api"

    @property
    def ray_folder(self) -> Path:
        """Ray's folder, below the stack's folder unless its paths would be too long."""
        own = self.folder / "ray"
        return own if len(str(own)) <= LONGEST_RAY_FOLDER else Path(f"/tmp/deqir-stack-{self.ray}")

    @property
    def shown(self) -> dict[str, str]:
        """The variables of a shell that uses the stack, and of the stack's processes."""
        return {
            "PREFECT_API_URL": self.prefect_api,
            "AWS_ENDPOINT_URL": f"http://{HOST}:{self.s3}",
            "AWS_ACCESS_KEY_ID": self.secrets["s3_access_key"],
            "AWS_SECRET_ACCESS_KEY": self.secrets["s3_secret_key"],
            "AWS_REGION": "us-east-1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.secrets["ray_token"],
        }

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the stack's processes, without the user's settings of AWS, Prefect and Ray."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PREFECT_", "RAY_", "DEQIR_WEBHOOK"))}
        quiet = {
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "DO_NOT_TRACK": "1",
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_V2_ENABLED": "false",
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")])),
        }
        return kept | quiet | self.shown


def settings() -> Settings:
    """Return the settings from STACK_FOLDER, STACK_PREFECT_PORT and so on, with the folder's secrets."""
    folder = Path(os.environ.get("STACK_FOLDER", "build/stack")).absolute()
    cpus = os.environ.get("STACK_CPUS")
    return Settings(
        folder=folder,
        prefect=port("PREFECT", 4200),
        s3=port("S3", 8333),
        ray=port("RAY", 6379),
        events=port("EVENTS", 8900),
        postgres=port("POSTGRES", 5433),
        cpus=int(cpus) if cpus else None,
        job=tuple(shlex.split(os.environ.get("STACK_JOB", "--scale 2"))),
        secrets=read_secrets(folder / "secrets.json"),
    )


def port(name: str, default: int) -> int:
    return int(os.environ.get(f"STACK_{name}_PORT", default))


def read_secrets(path: Path) -> dict[str, str]:
    """Return the secrets in a file. A missing file is created with new secrets, readable only by its owner."""
    if not path.exists():
        names = ("s3_access_key", "s3_secret_key", "ray_token", "postgres_password", "webhook_token")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, json.dumps({name: secrets.token_hex(32) for name in names}))
    found: dict[str, str] = json.loads(path.read_text())
    return found


def write_private(path: Path, text: str) -> None:
    """Write a file readable only by its owner."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def program(name: str) -> str:
    """Return the path of a program of this Python's environment."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def deqir(*arguments: str) -> list[str]:
    """Return the command line of `deqir`, which works without an installation."""
    return [sys.executable, "-c", "from flows.cli import main; main()", *arguments]


def postgres_programs() -> Path | None:
    """Return the folder of Debian's newest PostgreSQL; None if PostgreSQL or setpriv is missing."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found and shutil.which("setpriv") else None
