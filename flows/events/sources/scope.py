"""Which hints concern a job: those at objects below its source, and nothing that it wrote itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flows.events.inbox.records import Entry
from pipeline.errors import ConfigurationError
from pipeline.keys import INTERNAL

from .messages import Hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A bucket's prefix. A job's results never lie below its source, so events of its own are outside.

    The source may be another job's destination: that job's records, below .deqir/, are outside, too.

    Attributes:
        bucket: Its name.
        prefix: "", or what every key of the source starts with, up to and with its last "/".
    """

    bucket: str
    prefix: str

    @classmethod
    def of(cls, source: str, /) -> Scope:
        """Return the scope of a job's source.

        Raises:
            ConfigurationError: The source is a folder, whose changes nobody tells.
        """
        if not source.startswith("s3://"):
            raise ConfigurationError(
                f"the source {source} is a folder, which sends no events; use --poll SECONDS instead of --queue or "
                "--webhook"
            )
        bucket, _, prefix = source.removeprefix("s3://").partition("/")
        prefix = prefix.rstrip("/")
        return cls(bucket=bucket, prefix=f"{prefix}/" if prefix else "")

    def entries(self, hints: Iterable[Hint], /) -> list[Entry]:
        """Return the hints at objects of the source, by their keys below it."""
        return [
            Entry(key=hint.key.removeprefix(self.prefix), version=hint.version, at=hint.at)
            for hint in hints
            if hint.bucket == self.bucket and hint.key.startswith(self.prefix) and hint.key != self.prefix
            if not hint.key.startswith(INTERNAL, len(self.prefix))
        ]
