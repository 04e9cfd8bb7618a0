"""Find new objects by listing the source: for stores without events, and for missed events."""

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
    """Lists a source and adds hints at new objects to the inbox. A call does a single listing.

    The inbox forgets an object of an ended batch if a complete listing does not show it: it may come back.

    Attributes:
        source: Store to list.
        inbox: Inbox for the hints.
        seconds: Seconds from the end of a listing to the next.
        settle: Add a hint only when two listings in a row show the same version. For folders, where a listing can
            show a file while it is written.
    """

    source: Store
    inbox: Inbox
    seconds: float
    settle: bool
    _unsettled: set[Entry] = field(default_factory=set, init=False)

    def __call__(self) -> float:
        """List the source, and return the seconds until the next listing.

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
