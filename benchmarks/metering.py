"""A flow run in this process, measured from outside: its requests, and its time in the pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(slots=True)
class Meter:
    """The requests of a flow in this process to the server, and its time in the pipeline.

    Attributes:
        calls: HTTP requests.
        inside: Seconds in the pipeline.
    """

    calls: int = 0
    inside: float = 0.0


@contextmanager
def metered(meter: Meter, restore: Any) -> Iterator[None]:
    """Count the requests of this process, and the flow's time in the pipeline."""
    send, asend = httpx.Client.send, httpx.AsyncClient.send
    kept = {name: getattr(restore, name) for name in ("open_job", "plan_job", "run_shards", "survey", "exhibits")}

    def counted(self: httpx.Client, *arguments: Any, **options: Any) -> httpx.Response:
        meter.calls += 1
        return send(self, *arguments, **options)

    async def acounted(self: httpx.AsyncClient, *arguments: Any, **options: Any) -> httpx.Response:
        meter.calls += 1
        return await asend(self, *arguments, **options)

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            began = time.monotonic()
            try:
                return function(*arguments, **options)
            finally:
                meter.inside += time.monotonic() - began

        return run

    def shards(*arguments: Any, on_progress: Callable[[Any], None]) -> Generator[Any, None, None]:
        def told(progress: Any) -> None:
            began = time.monotonic()
            on_progress(progress)
            meter.inside -= time.monotonic() - began  # the displays are the flow's

        reports = kept["run_shards"](*arguments, on_progress=told)
        advance = timed(lambda: next(reports, None))
        while (report := advance()) is not None:
            yield report
        reports.close()

    httpx.Client.send, httpx.AsyncClient.send = counted, acounted  # type: ignore[method-assign]
    try:
        for name, function in kept.items():
            setattr(restore, name, timed(function) if name != "run_shards" else shards)
        yield
    finally:
        httpx.Client.send, httpx.AsyncClient.send = send, asend  # type: ignore[method-assign]
        for name, function in kept.items():
            setattr(restore, name, function)
