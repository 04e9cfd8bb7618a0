"""Take the pictures of docs/screenshots: python -m infra.screenshots [--out FOLDER] (make screenshots).

Starts a whole stack (infra/stack.py) in a temporary folder and deploys a job for a small archive with some broken
files. Starts the job from its form in Debian's Chromium, and opens its pages during and after the run. Ends with
status 1 if a page does not show its expected content. Takes about three minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from infra import stack
from infra.services import s3_client
from infra.settings import BUCKET, HOST, Settings, deqir, settings

PICTURES: Final = Path(__file__).parents[1] / "docs" / "screenshots"
SAMPLES: Final = Path(__file__).parents[1] / "samples"
PORTS: Final = {"PREFECT": 26200, "S3": 26210, "RAY": 26250, "EVENTS": 26260, "POSTGRES": 26270}
WHOLE: Final = (
    *("animals/cat.png", "nature/flower.png", "people/astronaut.png"),
    *("places/temple.png", "things/coffee.png", "things/shuttle.png"),
)
NAME: Final = "nightly"
SOURCE: Final = f"s3://{BUCKET}/scans"
DESTINATION: Final = f"s3://{BUCKET}/restored"
JOB: Final = (
    *("--task", "sr", "--scale", "4", "--steps", "10", "--start-noise", "0.19"),
    *("--mode", "latency", "--shard-size", "1", "--actors", "1"),
    *("--reference", f"s3://{BUCKET}/originals", "--cron", "0 3 * * *", "--timezone", "Europe/Vienna"),
)


def main() -> int:
    """Take all pictures; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=PICTURES)
    out: Path = parser.parse_args().out
    executable = shutil.which("chromium")
    if executable is None:
        return fail("Chromium is not installed; run: apt-get install chromium")
    if importlib.util.find_spec("playwright") is None:
        return fail("the Python package playwright is not installed; run make screenshots, which installs it")
    from infra.browser import NotShownError, browser
    from infra.views import look

    out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="deqir-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)  # PostgreSQL's user has to enter it
        os.environ |= {f"STACK_{key}_PORT": str(port) for key, port in PORTS.items()}
        os.environ["STACK_FOLDER"] = f"{name}/stack"
        running = settings()
        if stack.up(running):
            return 1
        try:
            broken = fill(running)
            deploy(running)
            with browser(executable, f"http://{HOST}:{running.prefect}") as sight:
                look(sight, running.prefect_api, out, deployment=NAME, whole=WHOLE, broken=broken)
        except NotShownError as error:
            return fail(str(error))
        finally:
            stack.down(running)
    for path in sorted(out.glob("*.webp")):
        print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


def fill(running: Settings) -> tuple[str, ...]:
    """Put the archive, its originals and some broken files into the store; return the keys of the broken files."""
    client = s3_client(running)
    for key in WHOLE:
        client.put_object(Bucket=BUCKET, Key=f"scans/{key}", Body=(SAMPLES / "archive" / key).read_bytes())
        client.put_object(Bucket=BUCKET, Key=f"originals/{key}", Body=(SAMPLES / "originals" / key).read_bytes())
    broken = {
        "animals/dog.png": b"",
        "nature/forest.png": (SAMPLES / "archive" / WHOLE[0]).read_bytes()[:5000],
        "people/portrait.jpg": b"<html><title>404 Not Found</title></html>",
    }
    for key, body in broken.items():
        client.put_object(Bucket=BUCKET, Key=f"scans/{key}", Body=body)
    return tuple(broken)


def deploy(running: Settings) -> None:
    """Register the deployment by `deqir deploy`, as a user does."""
    command = deqir("deploy", NAME, SOURCE, DESTINATION, *JOB, "--ray-address", f"{HOST}:{running.ray}")
    subprocess.run(command, env=running.environment, check=True)


def fail(reason: str) -> int:
    """Print the reason for missing pictures; return the exit status."""
    print(f"error: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
