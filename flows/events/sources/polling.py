"""New objects by listing: for stores that tell nobody, and for what events have missed."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Final

from flows.events.inbox.inbox import Inbox
from flows.events.inbox.records import Entry
from pipeline.keys import INTERNAL
from pipeline.store import Store

AT_ONCE: Final = 1000


@dataclass(slots=True, kw_only=True)
class Poller:
    """Lists a source and hints at what the inbox does not know. Calling it does that once.

    What a whole listing no longer shows, and a batch has been through, the inbox forgets: it may come back.

    Attributes:
        source: What is listed.
        inbox: Where hints go.
        seconds: From the end of one listing to the next.
        settle: Hint at an object only when two listings in a row saw the same version of it. For folders,
            where a file can be seen while it is written.
    """

    source: Store
    inbox: Inbox
    seconds: float
    settle: bool
    _unsettled: set[Entry] = field(default_factory=set, init=False)

    def __call__(self) -> float:
        """List once; return the seconds until the next time.

        Raises:
            JobError: The source cannot be listed.
        """
        listing = (
            Entry(key=info.key, version=info.etag.strip('"') or f"{info.size} bytes")
            for info in self.source.list()
            if not info.key.startswith(INTERNAL)
        )
        unsettled, began = set[Entry](), time.time()
        self.inbox.begin_listing()
        while some := list(itertools.islice(listing, AT_ONCE)):
            new = self.inbox.unseen(some)
            if self.settle:
                unsettled.update(entry for entry in new if entry not in self._unsettled)
                new = [entry for entry in new if entry in self._unsettled]
            self.inbox.add(new)
        self.inbox.end_listing(began=began)
        self._unsettled = unsettled
        return self.seconds
