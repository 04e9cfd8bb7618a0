"""Do work ahead on other threads: in order, with a bound, and never longer than its user."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def threads(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads. At its end, even by an error, queued work is dropped and running work is awaited."""
    pool = ThreadPoolExecutor(count, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def map_ahead(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], *, ahead: int) -> Iterator[R]:
    """Yield function(item) in the order of `items`; up to `ahead` further calls run or are queued meanwhile."""
    begun: deque[Future[R]] = deque()
    for item in items:
        begun.append(pool.submit(function, item))
        if len(begun) > ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


def map_on_threads(count: int, name: str, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield function(item) in the order of `items`, computed ahead on a pool of its own."""
    with threads(count, name) as pool:
        yield from map_ahead(pool, function, items, ahead=count)
