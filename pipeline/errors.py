"""Our exceptions:

* PipelineError
  x ImageError             one image is at fault: becomes a manifest row, never stops a shard
    + UnsafeKeyError       its key cannot be mirrored safely to another store
    + EmptyFileError       zero bytes
    + DecodeError          the bytes are not an image we read
    + UnsupportedImageError  an image, but of a kind that would lose something
    + ImageTooLargeError   more bytes or pixels than the job allows
    + UnreadableError      the store keeps this one object from us
    + SourceChangedError   the object is not the one that was planned
    + OperatorMismatchError  the job's degradation does not fit this image
    + MaskError            it has no mask of its own that can be used
    + GuideError           it has no guide of its own that can be used
    + NonFiniteError       the restoration produced nan or inf
    + OutOfMemoryError     the image alone does not fit in memory
    + ProcessDiedError     the process died each time that it was restored
    + ConflictError        its output key holds an object of another job or image, which is left alone
  x JobError               the job is at fault: stops the run
    + ConfigurationError   a setting, a folder, a bucket or credentials to be corrected by the user
      - StoreAccessError   the store refuses us: credentials, permission, missing bucket or folder
        . ObjectAccessError  it refuses one object: a file's permission, an archive tier
    + StoreUnavailableError  the store did not answer after all retries; run again later
    + CommitStateUnknownError  a write was sent and nobody can say whether it was stored
    + ShardsAbandonedError a shard kept failing; the rest is done, run again to retry it
    + TimeLimitError       the run took longer than it may; the rest is done, run again to go on
"""

from __future__ import annotations

import re


class PipelineError(Exception):
    """Base of everything this package raises on purpose."""


class ImageError(PipelineError):
    """One image is at fault; recorded in its manifest row."""


class UnsafeKeyError(ImageError):
    """The key cannot be mirrored safely to another store."""


class EmptyFileError(ImageError):
    """The object holds zero bytes."""


class DecodeError(ImageError):
    """The bytes are not an image we read."""


class UnsupportedImageError(ImageError):
    """An image, but of a kind whose restoration would lose something without a word."""


class ImageTooLargeError(ImageError):
    """More bytes or pixels than the job allows."""


class UnreadableError(ImageError):
    """The store keeps this one object from us."""


class SourceChangedError(ImageError):
    """The object is gone, or is not the one that was planned."""


class OperatorMismatchError(ImageError):
    """The job's degradation does not fit this image."""


class MaskError(ImageError):
    """The image has no mask of its own, or one that cannot be used."""


class GuideError(ImageError):
    """The image has no guide of its own, or one that cannot be used."""


class NonFiniteError(ImageError):
    """The restoration produced nan or inf."""


class OutOfMemoryError(ImageError):
    """The image alone does not fit in memory."""


class ProcessDiedError(ImageError):
    """The process died each time that the image was restored."""


class ConflictError(ImageError):
    """The output key holds an object that this job did not make from this image."""


class JobError(PipelineError):
    """The job is at fault; stops the run."""


class ConfigurationError(JobError):
    """Something the user has to correct before the job can run."""


class StoreAccessError(ConfigurationError):
    """The store refuses us: credentials, permission, a missing bucket or folder."""


class ObjectAccessError(StoreAccessError):
    """The store refuses one object, not us: a file's permission, an archive tier."""


class StoreUnavailableError(JobError):
    """The store did not answer after all retries; run the job again later."""


class CommitStateUnknownError(JobError):
    """A write was sent and nobody can say whether it was stored."""


class ShardsAbandonedError(JobError):
    """A shard kept failing; everything else is done, and running again retries it."""


class TimeLimitError(JobError):
    """The run took longer than it may; everything committed stays, and running again goes on."""


UNREADABLE = (FileNotFoundError, ImageError, ObjectAccessError)
"""What getting and decoding one object raises where that object alone is at fault."""


def uncoloured(text: str) -> str:
    """Return an error's text without the colours that Ray puts into it for a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
