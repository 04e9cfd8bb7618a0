"""Select the hints that concern a job: at objects below its source, without files written by deqir."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flows.events.inbox.records import Entry
from pipeline.errors import ConfigurationError
from pipeline.keys import INTERNAL

from .messages import Hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A bucket's prefix. A job's results never lie below its source, so events about them are outside.

    The source may be another job's destination; the other job's records, below .deqir/, are outside, too.

    Attributes:
        bucket: Name of the bucket.
        prefix: "", or the common start of all keys of the source, up to and with its last "/".
    """

    bucket: str
    prefix: str

    @classmethod
    def of(cls, source: str, /) -> Scope:
        """Return the scope of a job's source.

        Raises:
            ConfigurationError: The source is a folder, which sends no events.
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
        """Return an entry for each hint at an object of the source, with its key below the source."""
        return [
            Entry(key=hint.key.removeprefix(self.prefix), version=hint.version, at=hint.at)
            for hint in hints
            if hint.bucket == self.bucket and hint.key.startswith(self.prefix) and hint.key != self.prefix
            if not hint.key.startswith(INTERNAL, len(self.prefix))
        ]
