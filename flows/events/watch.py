"""`deqir watch`: run the sources of hints, the inbox and the starter of runs in a process until a signal stops it."""

from __future__ import annotations

import logging
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Final

from flows.environment import secret, state_folder
from flows.options.watch import WatchSettings
from pipeline.errors import ConfigurationError
from pipeline.store import open_store
from pipeline.threads import threads

from .inbox.batch_rule import BatchRule
from .inbox.inbox import Inbox
from .repeat import Problems, TryLaterError, repeat
from .runs.runs import Deployment, Runs, open_runs
from .runs.starter import Starter
from .sources.polling import Poller
from .sources.scope import Scope

Loop = Callable[[], None]

LOOK_SECONDS: Final = 0.2

logger = logging.getLogger("deqir.events")


def watch(settings: WatchSettings) -> None:
    """Start runs for new objects until SIGTERM or SIGINT comes; then finish the current steps and return.

    Raises:
        ConfigurationError: The user has to correct a setting, the deployment or the inbox.
        StoreUnavailableError: A store does not answer at the start.
    """
    if (settings.queue, settings.webhook, settings.poll) == (None, None, None):
        raise ConfigurationError("nothing to watch; give --queue URL, --webhook HOST:PORT or --poll SECONDS")
    stop, problems = Event(), Problems()
    with stop_signals() as signals, open_runs(settings.deployment) as runs, ExitStack() as stack:
        deployment = found(runs)
        file = settings.inbox or default_inbox(settings.deployment)
        inbox = Inbox.open(file, source=deployment.source, deployment=settings.deployment)
        stack.enter_context(closing(inbox))
        loops = list(sources(settings, deployment, inbox, stop, problems))
        starter = Starter(
            inbox=inbox,
            runs=runs,
            destination=open_store(deployment.destination, writable=True),
            rule=BatchRule(size=settings.batch_size, seconds=settings.batch_seconds),
            most_runs=settings.max_runs,
        )
        logger.info("watching source=%s deployment=%s inbox=%s", deployment.source, settings.deployment, file)
        if settings.webhook is not None and settings.poll is None:
            logger.warning("events posted while this process is down may be lost; give --poll, too, to find them")
        run_all([*loops, partial(repeat, "starting runs", starter, stop, problems)], stop, signals)
        logger.info("stopped waiting=%d", inbox.waiting()[0])


def default_inbox(deployment: str) -> Path:
    """Return the default file of a deployment's inbox."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", deployment.rpartition("/")[2])
    return state_folder() / f"inbox-{name}.sqlite3"


def sources(
    settings: WatchSettings, deployment: Deployment, inbox: Inbox, stop: Event, problems: Problems
) -> Iterator[Loop]:
    """Yield a loop for each source of hints, after a check of the source.

    Raises:
        ConfigurationError: A source cannot be used.
    """
    if settings.queue is not None:
        from .sources.sqs import Queue

        queue = Queue.open(settings.queue, inbox=inbox, scope=Scope.of(deployment.source))
        yield partial(repeat, "receiving from the queue", queue, stop, problems)
    if settings.webhook is not None:
        from .sources.webhook import Guard, Receiver, listen, serve

        scope = Scope.of(deployment.source)
        guard = Guard(token=secret("DEQIR_WEBHOOK_TOKEN"), secret=secret("DEQIR_WEBHOOK_SECRET"))
        receiver = Receiver(inbox=inbox, scope=scope, guard=guard, problems=problems)
        yield partial(serve, receiver.app(), listen(settings.webhook), stop)
    if settings.poll is not None:
        poller = Poller(
            source=open_store(deployment.source, writable=False),
            inbox=inbox,
            seconds=settings.poll,
            settle=not deployment.source.startswith("s3://"),
        )
        yield partial(repeat, "listing the source", poller, stop, problems)


def run_all(loops: list[Loop], stop: Event, signals: list[int]) -> None:
    """Run loops in threads until a signal comes or a loop ends; then stop all, and raise the error of the loop."""
    with threads(len(loops), "watch") as pool:
        running = [pool.submit(loop) for loop in loops]
        try:
            while not signals and not any(future.done() for future in running):
                time.sleep(LOOK_SECONDS)
        finally:
            stop.set()
    for future in running:
        future.result()


def found(runs: Runs) -> Deployment:
    """Return the deployment.

    Raises:
        ConfigurationError: The deployment does not exist, or the server does not answer.
    """
    try:
        return runs.deployment()
    except TryLaterError as error:
        raise ConfigurationError(f"{error}; is PREFECT_API_URL right, and the server up?") from error


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Give a list to which each SIGTERM and SIGINT is added. The handler does no more: it must not take a lock."""
    signals: list[int] = []

    def handle(signal_number: int, frame: FrameType | None) -> None:
        signals.append(signal_number)

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield signals
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
