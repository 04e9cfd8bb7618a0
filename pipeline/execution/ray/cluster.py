"""A Ray cluster to be connected to: the one at an address, or one of our own on this machine."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import ray
from ray.job_config import JobConfig

from pipeline.errors import ConfigurationError

KNOCKS: Final = (1.0, 2.0, 0.0)


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster, and afterwards leave the cluster, SIGTERM's handler and the disk as they were."""
    if ray.is_initialized():
        yield
        return
    main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    folder = Path(tempfile.mkdtemp(prefix="deqir-", dir="/tmp"))  # sockets in it: their paths may have 107 bytes
    try:
        with _deaf_to_sigterm() if address is None else nullcontext():
            if address is None:
                _start(folder)
            else:
                _join(address)
            if main_thread:
                _before_rays(handler)
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
        if main_thread and handler is not None:
            signal.signal(signal.SIGTERM, handler)


def _before_rays(handler: Any) -> None:
    """Put a handler of SIGTERM in front of Ray's in C++, which aborts where other threads are deaf to the signal.

    The caller's own, as Ray's would hide the signal from whoever turns it into a clean end, as a flow run does; without
    one Ray's in Python.
    """
    first = signal.getsignal(signal.SIGTERM) if handler in (signal.SIG_DFL, None) else handler
    if first is not None:
        signal.signal(signal.SIGTERM, first)


def _knock(address: str) -> None:
    """Raise ConfigurationError if nothing listens at host:port; Ray itself would try for five minutes and more."""
    place = re.fullmatch(r"(?:ray://)?(.+):([0-9]+)", address)
    if place is None:
        return
    for wait in KNOCKS:
        try:
            socket.create_connection((place[1].strip("[]"), int(place[2])), timeout=5).close()
            return
        except OSError as error:
            refused = error
            time.sleep(wait)
    raise ConfigurationError(f"no Ray cluster answers at {address}: {refused}; start it, or check ray_address")


def nodes() -> list[Mapping[str, float]]:
    """Return the resources of each living node of the connected cluster, as Ray names them: "CPU", "GPU"."""
    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call, unused-ignore]  # ray has no types
    return [node["Resources"] for node in found if node["Alive"]]


def _start(folder: Path) -> None:
    """Start a private cluster on this machine, which writes only to `folder`.

    Ray's ports are open to the network and whoever gets in may run code, so the cluster asks for a token. Ray
    would write one to the home directory; ours lives in this process and its children, one for all of a
    process's clusters because Ray reads it once.
    """
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # else it uploads the working directory
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,  # its one warning would be that the token is asked for
        object_store_memory=80 * 2**20,  # its smallest is 75 MiB; shards and reports are a few KB
        job_config=_same_modules(),
        _temp_dir=str(folder),
    )


def _same_modules() -> JobConfig:
    """Return the settings by which workers on this machine import each module from where this process does.

    Ray would put the current directory in front of their places, whether or not this process looks there, and with
    it another version of this program that happens to lie in it. It leaves that out for a client's job.
    """
    places = [os.path.abspath(place) for place in sys.path]
    return JobConfig(_client_job=True, _py_driver_sys_path=places[::-1])  # each is put in front of those before it


@contextmanager
def _deaf_to_sigterm() -> Iterator[None]:
    """Block SIGTERM for the processes started inside the block, which inherit this; this process gets it afterwards.

    Whoever cancels a run sends the signal to all processes of its group. Ray's would then go down at the same time as
    we ask them to kill our actors, and the actors would live for seconds more.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _join(address: str) -> None:
    """Connect to an existing cluster."""
    _knock(address)
    try:
        ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False)
    except ConnectionError as error:
        raise ConfigurationError(f"no Ray cluster answers at {address}: {error}; check ray_address") from error
