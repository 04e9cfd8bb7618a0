"""Refuse a source without any image: at the command line a mistake, reported before the job writes anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from flows.display.summary import endings_in_words
from pipeline.errors import ConfigurationError, StoreAccessError

if TYPE_CHECKING:
    from pipeline.job.job import CheckedJob


def refuse_empty(job: CheckedJob) -> None:
    """Refuse a job whose source holds no file with an image's name, unless an earlier run has begun the job.

    Raises:
        ConfigurationError: The source holds no such file.
        StoreUnavailableError: A store does not answer.
    """
    from pipeline.keys import INTERNAL, Layout, has_image_name
    from pipeline.reporting.file_endings import ending_of, most_frequent
    from pipeline.store import open_store

    source, endings = open_store(job.config.source, writable=False), Counter[str]()
    for info in source.list():
        if info.key.startswith(INTERNAL):
            continue
        if has_image_name(info.key):
            return
        endings[ending_of(info.key)] += 1
    with suppress(StoreAccessError):  # as where the destination is not there yet
        record = Layout(job.job_id).job()
        if open_store(job.config.destination, writable=False).head(record) is not None:
            return
    raise no_image_in(source.url, most_frequent(endings)) if endings else nothing_in(source.url)


def nothing_in(source: str) -> ConfigurationError:
    """Return the error for an empty source."""
    return ConfigurationError(
        f"the source {source} holds no object: there is nothing to restore; correct its name, or put the images there"
    )


def no_image_in(source: str, endings: Mapping[str, int]) -> ConfigurationError:
    """Return the error for a source in which no file has an image's name.

    Args:
        source: The source.
        endings: The most frequent endings of its names, with their counts.
    """
    return ConfigurationError(
        f"the source {source} holds no image, no name that ends in .jpg, .jpeg, .jpe, .jfif, .png or .webp, but "
        f"{endings_in_words(endings)}; convert these files, or correct the source"
    )
