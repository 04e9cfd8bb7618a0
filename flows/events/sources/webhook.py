"""Receive events by HTTP: POST /events takes a message, GET /healthz returns counts and problems."""

from __future__ import annotations

import asyncio
import hmac
import socket
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from threading import Event
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from flows.events.inbox.inbox import Inbox
from flows.events.repeat import Problems
from pipeline.errors import ConfigurationError

from .messages import UnknownMessageError, hints_of
from .scope import Scope

LARGEST_BODY: Final = 2**20
MOST_CONNECTIONS: Final = 100
SHORTEST_SECRET: Final = 16
SIGNATURE: Final = "x-hub-signature-256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Accepts a sender if it shows the token, or signs the body with the secret.

    Attributes:
        token: For "Authorization: Bearer TOKEN"; None: no token is accepted.
        secret: Key of "X-Hub-Signature-256: sha256=HEX", the body's HMAC; None: no signature is accepted.
    """

    token: str | None
    secret: str | None

    def __post_init__(self) -> None:
        """Require a token or a secret, each too long to be guessed.

        Raises:
            ConfigurationError: Neither is set, or a value is too short.
        """
        given = [each for each in (self.token, self.secret) if each is not None]
        if not given or min(map(len, given)) < SHORTEST_SECRET:
            raise ConfigurationError(
                "--webhook needs DEQIR_WEBHOOK_TOKEN (a bearer token) or DEQIR_WEBHOOK_SECRET (for HMAC "
                f"signatures) in the environment, of {SHORTEST_SECRET} characters or more"
            )

    def knows(self, headers: Mapping[str, str]) -> bool:
        """True if a request shows the token."""
        shown = headers.get("authorization", "").removeprefix("Bearer ")
        return self.token is not None and same(shown, self.token)

    def signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """True if a body has a valid signature."""
        if self.secret is None:
            return False
        expected = hmac.new(self.secret.encode(), body, "sha256").hexdigest()
        return same(headers.get(SIGNATURE, ""), f"sha256={expected}")


def same(one: str, other: str) -> bool:
    """True if two texts are equal. The time does not depend on the place of a difference."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """The endpoints /events and /healthz.

    Attributes:
        inbox, scope: The inbox for hints, and the filter of hints.
        guard: Check of the senders.
        problems: Errors at the moment, for /healthz.
        body_seconds: Longest time for a sender to send a body.
    """

    inbox: Inbox
    scope: Scope
    guard: Guard
    problems: Problems
    body_seconds: float = 10.0

    def app(self) -> Starlette:
        """Return the ASGI application of both endpoints."""
        return Starlette(
            routes=[
                Route("/events", self.events, methods=["POST"]),
                Route("/healthz", self.healthz, methods=["GET"]),
            ],
        )

    async def events(self, request: Request) -> JSONResponse:
        """Keep the hints of a message, and answer 202 when they are on disk.

        400: the message, or a part of it, is not a storage event; it is kept among the dead letters. 401: neither
        token nor signature. 408, 413: too slow, too large. 503: it cannot be kept now; send it again.
        """
        known = self.guard.knows(request.headers)
        if not known and SIGNATURE not in request.headers:
            raise unknown_sender()
        try:
            async with asyncio.timeout(self.body_seconds):
                body = await bounded_body(request)
        except TimeoutError:
            raise refusal(408, f"the body took more than {self.body_seconds:g} s") from None
        if not known and not self.guard.signed(request.headers, body):
            raise unknown_sender()
        try:
            return await run_in_threadpool(self._take, body)
        except sqlite3.OperationalError as error:
            raise refusal(503, f"the inbox cannot take it now: {error}") from error

    async def healthz(self, request: Request) -> JSONResponse:
        """Answer with the number of hints in each state and the problems at the moment.

        503 if the inbox cannot be read: only then may a restart help.
        """
        try:
            counts = await run_in_threadpool(self.inbox.counts)
        except sqlite3.Error as error:
            raise refusal(503, f"the inbox cannot be read: {error}") from error
        return JSONResponse(asdict(counts) | {"problems": dict(self.problems)})

    def _take(self, body: bytes) -> JSONResponse:
        try:
            hints = hints_of(body)
        except UnknownMessageError as error:
            self.inbox.add(self.scope.entries(error.hints))
            self.inbox.bury(body, origin="webhook", reason=str(error))
            return JSONResponse({"error": str(error)}, status_code=400)
        entries = self.scope.entries(hints)
        new = self.inbox.add(entries)
        return JSONResponse({"hints": len(hints), "in_source": len(entries), "new": new}, status_code=202)


async def bounded_body(request: Request) -> bytes:
    """Return a request's body.

    Raises:
        HTTPException: The body is too large (413), or its sender went away (400).
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BODY:
                raise refusal(413, f"the body is larger than {LARGEST_BODY} bytes")
    except ClientDisconnect as error:
        raise refusal(400, "the body is not whole") from error
    return bytes(body)


def unknown_sender() -> HTTPException:
    return refusal(401, "show the bearer token, or sign the body")


def refusal(status: int, why: str) -> HTTPException:
    """Return an answer that ends the connection, so that nobody waits for the rest of a body."""
    headers = {"Connection": "close"} | ({"WWW-Authenticate": "Bearer"} if status == 401 else {})
    return HTTPException(status, why, headers=headers)


def listen(address: str) -> socket.socket:
    """Return a socket listening at HOST:PORT, or [HOST]:PORT.

    Raises:
        ConfigurationError: The address is invalid or taken.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        if not host or not 0 <= int(port) < 2**16:
            raise ValueError(address)
        return socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except ValueError as error:
        raise ConfigurationError(f"--webhook needs HOST:PORT, got {address!r}") from error
    except OSError as error:
        raise ConfigurationError(f"--webhook {address}: cannot listen there: {error.strerror}") from error


def serve(app: Starlette, listener: socket.socket, stop: Event) -> None:
    """Serve an application at a socket until `stop` is set, then finish the requests under way."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=3,
    )

    async def until_stopped() -> None:
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not stop.is_set() and not serving.done():
            await asyncio.sleep(0.2)
        server.should_exit = True
        await serving

    asyncio.run(until_stopped())
