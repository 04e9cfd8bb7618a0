"""Receive events from an SQS queue: a message is deleted only when its hints are on disk here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from flows.events.inbox.inbox import Inbox
from flows.events.repeat import TryLaterError
from pipeline.errors import ConfigurationError

from .messages import UnknownMessageError, hints_of
from .scope import Scope

AT_ONCE: Final = 10  # SQS gives no more
WAIT_SECONDS: Final = 5  # length of a long poll, and so the longest delay of a stop
REGION: Final = re.compile(r"(?:^|\.)sqs(?:-fips)?[.-]([a-z0-9-]+)\.amazonaws\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """An SQS queue. A call moves up to ten messages from the queue into an inbox.

    A message may be received twice, if its deletion failed or took longer than the queue's visibility time-out. The
    inbox knows it by then.

    Attributes:
        client: Client of boto3.
        url: URL of the queue.
        inbox, scope: The inbox for hints, and the filter of hints.
    """

    client: Any
    url: str
    inbox: Inbox
    scope: Scope

    @classmethod
    def open(cls, url: str, /, *, inbox: Inbox, scope: Scope) -> Self:
        """Return a queue after a first request to it, at the server in its URL.

        Raises:
            ConfigurationError: The queue does not exist or refuses us, or the URL holds credentials, which would be
                shown wherever the queue is named.
        """
        if "@" in url:
            raise ConfigurationError(
                "the queue's URL holds a user name or password before an @; leave them out, and give credentials to "
                "boto3 in its own way, for example by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if not _names_a_queue(url):
            raise ConfigurationError(
                f"{url!r} is not a queue's URL; it should be like https://sqs.eu-west-1.amazonaws.com/123456789012/name"
            )
        try:
            queue = cls(client=connect(url), url=url, inbox=inbox, scope=scope)
            queue.client.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
        except (BotoCoreError, ClientError) as error:
            raise ConfigurationError(
                f"the queue {url} cannot be used: {error}; check the URL and the credentials, which need "
                "sqs:GetQueueAttributes, sqs:ReceiveMessage and sqs:DeleteMessage"
            ) from error
        return queue

    def __call__(self) -> float:
        """Move messages into the inbox, waiting for them for up to 5 s; return 0, the seconds to the next call.

        Raises:
            TryLaterError: The queue does not answer, or refuses us.
        """
        try:
            answer = self.client.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=AT_ONCE, WaitTimeSeconds=WAIT_SECONDS
            )
            messages = answer.get("Messages", [])
            for message in messages:
                self._take(message["Body"])
            self._delete(messages)
        except (BotoCoreError, ClientError) as error:
            raise TryLaterError(f"the queue {self.url}: {error}") from error
        return 0.0

    def _take(self, body: str) -> None:
        try:
            hints = hints_of(body)
        except UnknownMessageError as error:
            hints = error.hints
            self.inbox.bury(body.encode(errors="backslashreplace"), origin=self.url, reason=str(error))
        self.inbox.add(self.scope.entries(hints))

    def _delete(self, messages: list[dict[str, Any]]) -> None:
        entries = [
            {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]} for index, message in enumerate(messages)
        ]
        if entries:  # SQS delivers a message again if its deletion fails
            self.client.delete_message_batch(QueueUrl=self.url, Entries=entries)


def connect(url: str) -> Any:
    """Return a client for the server in a queue's URL, with the credentials found by boto3."""
    parts = urlsplit(url)
    session = boto3.session.Session()
    in_url = REGION.search(parts.hostname or "")
    return session.client(
        "sqs",
        endpoint_url=f"{parts.scheme}://{parts.netloc}",
        region_name=in_url[1] if in_url else session.region_name or "us-east-1",
        config=Config(
            connect_timeout=5, read_timeout=WAIT_SECONDS + 15, retries={"mode": "standard", "total_max_attempts": 3}
        ),
    )


def _names_a_queue(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and bool(parts.path.strip("/"))
    except ValueError:  # invalid brackets or port
        return False
