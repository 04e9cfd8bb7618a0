"""Records jobs and deployments of a release, for later versions to go on with: python -m tests.releases.record.

To be run once for each release, from the root of its checkout, with the tools of `make test`; it takes two minutes and
makes the folder tests/releases/VERSION with

    jobs.json         commands and their answers
    deployments.json  deployments as Prefect's API returns them, and the events their runs log
    store.tar.xz      every object of the bucket with its metadata, the rows of all manifests, the forms of the
                      deployments and the inbox of `deqir watch`

Everything goes through the command line, `deqir` and `prefect`, so that this script records later versions as it is.
Jobs lie in a bucket of a fixed name, as their ids are digests of their places. Each is recorded in some state, such as
interrupted, and so is its end after one more command; the end is the same as without interruption.

`python -m tests.releases.record NAME PRIOR` records one ended job alone, with the prior in a folder, and
`python -m tests.releases.record NAME` adds how this version tells of it. So schema-3 and schema-4 were made, whose
manifests have fewer columns: recorded by commits of long before 0.1.0, the ones before bdef423 and 2531220, and told of
by 0.1.0.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tests.flows.live import Api, free_port, started, within, worker
from tests.releases.bucket import RECORDS, Bucket, timeless
from tests.releases.commands import ROOT, SAME_ARITHMETIC, CommandLine, Done, command_line
from tests.releases.release import Release
from tests.releases.scenes import LOCAL, QUICK, SCENES, SHARD, TWO, Scene
from tests.servers import S3Server, weed

POOL: Final = "deqir"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Holds a store, a Prefect server, the command line, and a folder for files of this machine."""

    bucket: Bucket
    environment: Mapping[str, str]
    folder: Path
    deqir: CommandLine

    @property
    def api(self) -> Api:
        """The Prefect server."""
        return Api(self.environment["PREFECT_API_URL"])

    def run(self, *arguments: str) -> Done:
        """Run a command to its end."""
        began = time.monotonic()
        done = self.deqir(*arguments)
        assert done.exit_status in (0, 3), done.stdout + done.stderr
        say(f"{time.monotonic() - began:4.1f} s: deqir {' '.join(arguments)}")
        return done

    def kill(self, *arguments: str, when: Callable[[], bool]) -> None:
        """Run a command and kill all of its processes, as a power cut does, as soon as something is true."""
        running = subprocess.Popen(
            [*called("deqir"), *arguments],
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not when():
            assert running.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        say(f"killed: deqir {' '.join(arguments)}")


def say(text: str) -> None:
    """Tell of progress."""
    print(text, flush=True)  # noqa: T201


def called(program: str) -> list[str]:
    """Return the call of a console script of this Python, whatever is on the path."""
    return [sys.executable, *(("-c", "from flows.cli import main; main()") if program == "deqir" else ("-m", program))]


def record_scene(machine: Machine, scene: Scene, found: Release) -> None:
    """Bring a job into its state, keep that, go on with it and keep the answers."""
    bucket, at, out = machine.bucket, machine.bucket.place(scene.name), f"{scene.name}/out/"
    for key, data in scene.objects.items():
        bucket.put(f"{scene.name}/{key}", data)
    undisturbed = None
    if scene.state != "ended":
        machine.run(*scene.restore(at))
        if scene.retried is not None:
            machine.run(*scene.retry(at))
        undisturbed = bucket.outputs(out), bucket.rows(out)
        bucket.delete(bucket.keys(out))
    reach(machine, scene)
    keys = bucket.keys(out)
    made = [key for key in keys if RECORDS not in key or "/manifest/" in key or "/samples/" in key]
    deleted = made if scene.remade else [f"{scene.name}/{key}" for key in scene.deleted]
    go_on(machine, scene.name, scene.then(at), deleted, found)
    if undisturbed is not None:
        assert undisturbed == (found.jobs[scene.name]["then"]["outputs"], found.rows[scene.name])


def reach(machine: Machine, scene: Scene) -> None:
    """Bring a job into its state."""
    bucket, at, out = machine.bucket, machine.bucket.place(scene.name), f"{scene.name}/out/"
    if scene.state == "killed":
        machine.kill(*scene.restore(at), when=lambda: is_torn(bucket.keys(out), out))
        return
    machine.run(*scene.restore(at))
    before = set(bucket.keys(out))
    if scene.state == "retried":
        machine.run(*scene.retry(at))
    if scene.state == "retry killed":
        machine.kill(*scene.retry(at), when=lambda: is_torn(set(bucket.keys(out)) - before, out))


def is_torn(keys: Sequence[str] | set[str], destination: str) -> bool:
    """Find out if a run has made a part of the manifest, and an output beyond it."""
    parts = sum("/manifest/" in key for key in keys)
    outputs = sum(not key.startswith(f"{destination}{RECORDS}") for key in keys)
    return parts > 0 and outputs > parts * SHARD


def go_on(machine: Machine, name: str, command: Sequence[str], deleted: Sequence[str], found: Release) -> None:
    """Keep a job and its status, go on with it and keep the answers."""
    bucket, out = machine.bucket, f"{name}/out/"
    found.objects.update(bucket.objects(f"{name}/"))
    told = machine.run("status", bucket.place(out), "--json")
    preview = machine.run(*command, "--dry-run", "--json").answer if command[0] == "restore" else None
    job = {"outputs": bucket.outputs(out), "status": timeless(told.answer), "preview": preview}
    bucket.delete(deleted)
    done = machine.run(*command, "--json")
    then = {
        "deleted": list(deleted),
        "command": list(command),
        "exit_status": done.exit_status,
        "summary": timeless(done.answer),
        "outputs": bucket.outputs(out),
    }
    found.jobs[name] = job | {"then": then}
    found.rows[name] = bucket.rows(out)


def record_deployments(machine: Machine, found: Release) -> None:
    """Register deployments, have a worker run them, and keep them with their jobs."""
    with worker(machine.environment, POOL, machine.folder):
        record_nightly(machine, found)
        record_form(machine, found)
        record_events(machine, found)
    for name, deployment in found.deployments.items():
        registered = machine.api.deployment(name)
        found.forms[name] = registered.pop("parameter_openapi_schema")
        deployment["registered"] = registered


def record_nightly(machine: Machine, found: Release) -> None:
    """Record a deployment with a schedule, its sources, and the end of its first run."""
    bucket, at = machine.bucket, put_two(machine, "nightly")
    when = ("--cron", "0 3 * * *", "--timezone", "Europe/Vienna", "--tag", "museum")
    machine.run("deploy", "nightly", f"{at}/in", f"{at}/out", *QUICK, *when)
    found.objects.update(bucket.objects("nightly/"))
    run = start_run(machine, "nightly")
    found.deployments["nightly"] = {"logs": logged(machine.api, run), "outputs": bucket.outputs("nightly/out/")}
    found.rows["nightly"] = bucket.rows("nightly/out/")


def record_form(machine: Machine, found: Release) -> None:
    """Record a deployment without a schedule, and a job with settings of its form, for which no option is."""
    at = put_two(machine, "form")
    options = ("--task", "deblur", "--blur", "uniform", "--width", "3", "--seed", "5", "--samples", "2", *LOCAL)
    machine.run("deploy", "form", f"{at}/in", f"{at}/out", *options, "--paused", "--limit", "2")
    job = machine.api.deployment("form")["parameters"]["job"]
    job["result"] |= {"end_noise": 0.03, "max_rounds": 3, "mode": "latency", "steps": 6}
    job["runtime"] |= {"actors": 2, "gpus_per_actor": 0.5, "cpus_per_actor": 1.0, "ray_address": "auto"}
    job["runtime"] |= {"prefetch": 2, "attempts": 2, "max_bytes": 10**6, "max_pixels": 10**6}
    run = start_run(machine, "form", "--params", json.dumps({"job": job}))
    found.deployments["form"] = {"logs": logged(machine.api, run), "changed": job}
    go_on(machine, "form", ["retry", f"{at}/out"], ["form/out/a.png"], found)


def record_events(machine: Machine, found: Release) -> None:
    """Record a deployment after `deqir watch` started a run of it for two objects, before a third object came."""
    at, inbox = put_two(machine, "events"), machine.folder / "inbox.sqlite3"
    machine.run("deploy", "events", f"{at}/in", f"{at}/out", *QUICK)
    watch = ("watch", "--deployment", "restore-archive/events", "--poll", "1", "--batch-seconds", "1")
    command = [*called("deqir"), *watch, "--inbox", str(inbox)]
    with started(command, machine.environment, machine.folder / "watch.log"):
        within(90, lambda: "ended" in batches(inbox), "the watcher to start a run and to see its end")
    (run,) = machine.api.runs("events")
    found.deployments["events"] = {"logs": logged(machine.api, run["id"])}
    found.inbox = inbox.read_bytes()
    machine.bucket.put("events/in/c.png", TWO["in/a.png"])
    go_on(machine, "events", ["restore", f"{at}/in", f"{at}/out", *QUICK], [], found)


def put_two(machine: Machine, name: str) -> str:
    """Put two pictures into the source of a deployment and return the URL of its prefix."""
    for key, data in TWO.items():
        machine.bucket.put(f"{name}/{key}", data)
    return machine.bucket.place(name)


def batches(inbox: Path) -> list[str]:
    """Return the states of the batches in an inbox."""
    if not inbox.exists():
        return []
    with closing(sqlite3.connect(inbox)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'batches'").fetchall()
        return [state for (state,) in connection.execute("SELECT state FROM batches")] if tables else []


def start_run(machine: Machine, name: str, *options: str) -> str:
    """Return the id of a run of a deployment, started by hand, after its good end."""
    known = {run["id"] for run in machine.api.runs(name)}
    command = [*called("prefect"), "deployment", "run", f"restore-archive/{name}", *options]
    subprocess.run(command, env=machine.environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    runs = [run for run in machine.api.runs(name) if run["id"] not in known and not run["auto_scheduled"]]
    end = machine.api.ended(runs[0]["id"], seconds=120)
    assert end["state_type"] == "COMPLETED", end["state"]
    return str(runs[0]["id"])


def logged(api: Api, run: str) -> list[str]:
    """Return the events in a run's log on the server: "plan written", "shard committed"."""
    wanted = "shard committed"
    within(30, lambda: any(line["message"].startswith(wanted) for line in api.logs(run)), f"the log to say: {wanted}")
    found = (line["message"].partition(" job=") for line in api.logs(run))
    return sorted({event for event, job, _ in found if job})


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """Run a Prefect server and give the URL of its API, where it will answer in a while."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    command = [*called("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    with started(command, environment, folder / "server.log"):
        yield url


def wait_for(api: str) -> None:
    """Wait until a Prefect server answers."""
    within(120, lambda: answers(api), "Prefect to answer")


def answers(api: str) -> bool:
    """Find out if a server is there."""
    try:
        return httpx.get(f"{api}/health", timeout=5).is_success
    except httpx.HTTPError:
        return False


def environment_of(server: S3Server, folder: Path, api: str) -> dict[str, str]:
    """Return the variables of commands."""
    return {
        **os.environ,
        **server.environment,
        **SAME_ARITHMETIC,
        "PYTHONPATH": str(ROOT),
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": api,
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "1",
    }


@contextmanager
def machine_of(bucket: str) -> Iterator[Machine]:
    """Start a store with a bucket and a Prefect server."""
    folder = Path(tempfile.mkdtemp(prefix="record-"))
    (folder / "weed").mkdir()
    try:
        with weed(folder / "weed") as server, prefect_server(folder) as api:
            server.client().create_bucket(Bucket=bucket)
            environment = environment_of(server, folder, api)
            with command_line(environment) as deqir:
                wait_for(api)
                made = Bucket(client=server.client(), name=bucket)
                yield Machine(bucket=made, environment=environment, folder=folder, deqir=deqir)
    finally:
        shutil.rmtree(folder)


def record(version: str) -> None:
    """Record a release."""
    name = f"archive-of-{version.rpartition('.')[0].replace('.', '-')}"
    found = Release(version=version, bucket=name, machine=platform.machine())
    with machine_of(name) as machine:
        for scene in SCENES:
            record_scene(machine, scene, found)
        record_deployments(machine, found)
    found.write(Path(__file__).parent / version)


def record_one(name: str, prior: str) -> None:
    """Record one ended job with the prior in a folder, and no answer."""
    found = Release(version=name, bucket=f"archive-of-{name}", machine=platform.machine())
    scene = next(each for each in SCENES if each.name == "failed")
    with machine_of(found.bucket) as machine:
        for key, data in scene.objects.items():
            machine.bucket.put(f"failed/{key}", data)
        machine.run(*scene.restore(machine.bucket.place("failed")), "--prior", prior, "--steps", "3")
        found.objects.update(machine.bucket.objects("failed/"))
        found.rows["failed"] = machine.bucket.rows("failed/out/")
    found.write(Path(__file__).parent / name)


def tell(name: str) -> None:
    """Add the status of an earlier version's job, as this version tells it."""
    folder = Path(__file__).parent / name
    found = Release.read(folder)
    with machine_of(found.bucket) as machine:
        machine.bucket.put_back("", found.objects)
        told = machine.run("status", machine.bucket.place("failed/out"), "--json")
        found.jobs["failed"] = {"status": timeless(told.answer), "outputs": machine.bucket.outputs("failed/out/")}
    shutil.rmtree(folder)
    found.write(folder)


if __name__ == "__main__":
    if sys.argv[2:]:
        record_one(*sys.argv[1:])
    elif sys.argv[1:]:
        tell(sys.argv[1])
    else:
        record(subprocess.check_output([*called("deqir"), "--version"], cwd=ROOT, text=True).split()[-1])
