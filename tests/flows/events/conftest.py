"""Fixtures for tests of events: the Prefect server's API, real queues, and `deqir watch` as a process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.events.inbox.inbox import Inbox
from flows.events.inbox.records import Batch, Entry
from flows.events.sources.sqs import Queue
from tests.flows.conftest import command
from tests.flows.events.prefect_api import PrefectApi
from tests.processes import ROOT, free_port
from tests.servers import S3Server, moto

TOKEN = "a token of some length"
SECRET = "a secret of some length"


@pytest.fixture(scope="module")
def api(prefect_environment: dict[str, str]) -> Iterator[PrefectApi]:
    """The server of the tests, which Prefect in this process talks to, too."""
    url = prefect_environment["PREFECT_API_URL"]
    with temporary_settings({PREFECT_API_URL: url}):
        yield PrefectApi(url)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    """A new inbox."""
    with contextlib.closing(open_inbox(tmp_path)) as opened:
        yield opened


def open_inbox(folder: Path) -> Inbox:
    return Inbox.open(folder / "inbox.sqlite3", source="s3://archive/in", deployment="restore-archive/test")


def closed(inbox: Inbox, size: int = 100) -> Batch:
    """Close a batch of waiting hints, and return it."""
    batch = inbox.close_batch(size)
    assert batch is not None
    return batch


def entries(*keys: str, version: str = "1") -> list[Entry]:
    return [Entry(key=key, version=version) for key in keys]


def waiting_keys(inbox: Inbox) -> list[str]:
    """Put all waiting hints into batches, and return their sorted keys."""
    keys: list[str] = []
    while inbox.waiting()[0]:
        keys += inbox.keys_of(closed(inbox))
    return sorted(keys)


@pytest.fixture(scope="session")
def aws() -> Iterator[S3Server]:
    """Moto's S3, which sends its events to SQS."""
    with moto() as server:
        yield server


@dataclass
class Notified:
    """A bucket with a queue for the events below its prefix in/."""

    server: S3Server
    bucket: str
    queue: str
    sqs: Any

    @property
    def s3(self) -> Any:
        return self.server.client()

    def put(self, key: str, data: bytes = b"an image") -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)

    def left(self) -> int:
        """Return the number of messages in the queue, received or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


@pytest.fixture
def notified(aws: S3Server, monkeypatch: pytest.MonkeyPatch) -> Notified:
    """A new bucket and its queue; the credentials of their server are in the environment."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    sqs = boto3.client("sqs", endpoint_url=aws.endpoint, region_name="us-east-1")
    bucket = aws.make_bucket()
    queue = sqs.create_queue(QueueName=bucket, Attributes={"VisibilityTimeout": "2"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
    aws.client().put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [rule]}
    )
    return Notified(server=aws, bucket=bucket, queue=queue, sqs=sqs)


def drain(queue: Queue, notified: Notified) -> None:
    """Receive until no message is left."""
    while notified.left():
        queue()


@dataclass
class Watcher:
    """A running `deqir watch`, in a process of its own."""

    process: subprocess.Popen[str]
    log: Path
    address: str | None = None

    def lines(self, pattern: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if re.search(pattern, line)]

    def until(self, true: Callable[[], Any], seconds: float = 30) -> Any:
        """Call `true` until its result is true, and return the result; fail if the process ends or at a time-out."""
        deadline = time.monotonic() + seconds
        while not (value := true()):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return value

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"http://{self.address}/healthz", timeout=10).json()
        return found

    def stop(self) -> int:
        """Send SIGTERM, and return the exit status."""
        self.process.terminate()
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


@dataclass
class Watchers:
    """Starts watchers, which all end with the test."""

    environment: dict[str, str]
    folder: Path
    started: list[Watcher] = field(default_factory=list)

    def __call__(self, deployment: str, *options: str, webhook: bool = False) -> Watcher:
        """Start a watcher with its inbox in the test's folder; return when it watches."""
        address = None
        if webhook:
            address = f"127.0.0.1:{free_port()}"
            options = (*options, "--webhook", address)
        log = self.folder / f"watch-{len(self.started)}.log"
        given = ("watch", "--deployment", deployment, "--inbox", self.folder / "inbox.sqlite3", *options)
        aws_settings = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(*given), env=self.environment | aws_settings, cwd=ROOT, stdout=output, stderr=output, text=True
            )
        watcher = Watcher(process=process, log=log, address=address)
        self.started.append(watcher)
        watcher.until(lambda: watcher.lines("watching source="))
        return watcher


@pytest.fixture
def watch(prefect_environment: dict[str, str], tmp_path: Path) -> Iterator[Watchers]:
    """Starts `deqir watch` as a process: watch(deployment, "--poll", "1")."""
    secrets = {"DEQIR_WEBHOOK_TOKEN": TOKEN, "DEQIR_WEBHOOK_SECRET": SECRET}
    watchers = Watchers(environment=prefect_environment | secrets, folder=tmp_path)
    yield watchers
    for watcher in watchers.started:
        if watcher.process.poll() is None:
            watcher.process.send_signal(signal.SIGKILL)
            watcher.process.wait()
