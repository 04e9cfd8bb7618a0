"""Run a watcher again and again, and kill it at another line of its code each time; run by test_watch.py.

    python crash_walk.py DEPLOYMENT FOLDER

Each life is a process. It finds the inbox as the life before has left it, receives another key (again and again
until the key is on disk, as from a queue), and starts all due batches. The first life is killed by SIGKILL at the
first line of the watcher's code, the second life at the second line, and so on, through all lines of a whole life;
the last life is not killed. Prints the number of killed lives and the received keys.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

from flows.events.inbox import inbox as inbox_module
from flows.events.inbox import reappeared, schema
from flows.events.inbox.batch_rule import BatchRule
from flows.events.inbox.inbox import Inbox
from flows.events.inbox.records import Entry
from flows.events.runs import starter
from flows.events.runs.runs import Runs, open_runs
from flows.events.runs.starter import Starter
from pipeline.planning import key_list
from pipeline.store import open_store

WATCHED = {module.__file__ for module in (inbox_module, reappeared, schema, starter, key_list)}
Line = tuple[str, int]


def life(runs: Runs, folder: Path, key: str) -> None:
    """Do the work of a watcher for a single message."""
    inbox = Inbox.open(folder / "inbox.sqlite3", source="s3://archive/in", deployment=runs.name)
    with closing(inbox):
        for batch in inbox.running():  # runs started by earlier lives are done by now
            inbox.ended(batch, "completed")
        inbox.add([Entry(key=key, version="1")])
        start = Starter(
            inbox=inbox,
            runs=runs,
            destination=open_store(str(folder / "out"), writable=True),
            rule=BatchRule(size=1, seconds=0),
            most_runs=10_000,
        )
        start()


def tracing(at_line: Callable[[Line], None]) -> Callable[[FrameType, str, Any], Any]:
    """Return a trace function, which reports every line of the watcher's code."""

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if name not in WATCHED:
            return None
        if event == "line":
            at_line((name, frame.f_lineno))
        return trace

    return trace


def in_a_process(work: Callable[[], None]) -> bool:
    """Do some work in a forked process; True if the process finished, False if it was killed."""
    if (child := os.fork()) == 0:
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def lines_of_a_life(work: Callable[[], None], record: Path) -> list[Line]:
    """Return the lines of a whole life, each once, in the order of their first execution."""

    def recorded() -> None:
        lines: dict[Line, None] = {}
        sys.settrace(tracing(lambda line: lines.setdefault(line)))
        work()
        sys.settrace(None)
        record.write_text(json.dumps(list(lines)))

    assert in_a_process(recorded)
    return [(name, number) for name, number in json.loads(record.read_text())]


def killed_at(mine: Line, work: Callable[[], None]) -> Callable[[], None]:
    """Return the same work with a kill of its process at a line."""

    def at_line(line: Line) -> None:
        if line == mine:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced() -> None:
        sys.settrace(tracing(at_line))
        work()

    return traced


def main(runs: Runs, folder: Path) -> None:
    told = ["first.png"]
    lines = lines_of_a_life(lambda: life(runs, folder, told[0]), folder / "lines.json")
    killed = 0
    for line in [*lines, None]:
        key = told[-1] if untold(folder, told[-1]) else f"{len(told):03d}.png"
        told += [key] if key != told[-1] else []

        def work(key: str = key) -> None:
            life(runs, folder, key)

        killed += not in_a_process(work if line is None else killed_at(line, work))
    sys.stdout.write(json.dumps([killed, told]))


def untold(folder: Path, key: str) -> bool:
    """True if a key is not in the inbox yet."""
    inbox_file = folder / "inbox.sqlite3"
    with closing(sqlite3.connect(inbox_file)) as reader:
        found = reader.execute("SELECT 1 FROM hints WHERE key = ?", (json.dumps(key),)).fetchone()
    return found is None


if __name__ == "__main__":
    with open_runs(sys.argv[1]) as of_deployment:  # each life makes a connection of its own
        main(of_deployment, Path(sys.argv[2]))
