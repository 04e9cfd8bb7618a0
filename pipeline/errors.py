"""The exceptions of this package, each as narrow as its remedy:

* PipelineError
  + ImageError: becomes a manifest row, never stops a shard
    - UnsafeKeyError, UnreadableError, SourceChangedError, ConflictError: the object or its output
    - EmptyFileError, DecodeError, UnsupportedImageError, ImageTooLargeError: its content
    - OperatorMismatchError, MaskError, GuideError: it does not fit the job
    - InColourError, UncertainError: nothing to restore was found in it
    - NonFiniteError, OutOfMemoryError, ProcessDiedError: its restoration failed
    - DoubtError: its restoration is not trusted
  + JobError: stops the run
    - ConfigurationError > StoreAccessError > ObjectAccessError
    - StoreUnavailableError, CommitStateUnknownError, ShardsAbandonedError, TimeLimitError
"""

from __future__ import annotations

import re


class PipelineError(Exception):
    """Base class of all exceptions of this package."""


class ImageError(PipelineError):
    """An image is at fault; recorded in its manifest row."""


class UnsafeKeyError(ImageError):
    """The key cannot be mirrored safely to another store."""


class EmptyFileError(ImageError):
    """The object holds zero bytes."""


class DecodeError(ImageError):
    """The bytes are not a JPEG, PNG or WebP, or are damaged."""


class UnsupportedImageError(ImageError):
    """A restoration would silently lose a part of the image, such as transparency."""


class ImageTooLargeError(ImageError):
    """The image has more bytes or pixels than the job allows."""


class UnreadableError(ImageError):
    """The store does not let us read this object."""


class SourceChangedError(ImageError):
    """The object is gone or has changed since it was planned."""


class OperatorMismatchError(ImageError):
    """The job's degradation does not fit this image."""


class MaskError(ImageError):
    """The image has no mask of its own, or an unusable mask."""


class GuideError(ImageError):
    """The image has no guide of its own, or an unusable guide."""


class NothingToRestoreError(ImageError):
    """The image does not show the damage that a told task undoes: it is delivered as it is."""


class InColourError(NothingToRestoreError):
    """The image would be given colour, but has it already."""


class UncertainError(NothingToRestoreError):
    """The degradation of the image was to be estimated, and cannot be told."""


class NonFiniteError(ImageError):
    """The restoration produced nan or inf."""


class OutOfMemoryError(ImageError):
    """The image alone does not fit in memory."""


class ProcessDiedError(ImageError):
    """The process died in every attempt to restore the image."""


class DoubtError(ImageError):
    """The restoration is not trusted, and the job says to fail such images."""


class ConflictError(ImageError):
    """The output key holds an object that this job did not make from this image."""


class JobError(PipelineError):
    """The job is at fault; stops the run."""


class ConfigurationError(JobError):
    """The user has to correct a setting, a folder, a bucket or credentials before the job can run."""


class StoreAccessError(ConfigurationError):
    """The store refuses us: credentials, permission, a missing bucket or folder."""


class ObjectAccessError(StoreAccessError):
    """The store refuses a single object: a file's permission, an archive tier."""


class StoreUnavailableError(JobError):
    """The store did not answer after all retries; run the job again later."""


class CommitStateUnknownError(JobError):
    """A write was sent, and it is unknown whether it was stored."""


class ShardsAbandonedError(JobError):
    """A shard kept failing; the rest is done, and another run retries it."""


class TimeLimitError(JobError):
    """The run reached its time limit; committed shards stay, and another run goes on."""


UNREADABLE = (FileNotFoundError, ImageError, ObjectAccessError)
"""Exceptions of reading and decoding an object for which this object alone is at fault."""


def uncoloured(text: str) -> str:
    """Return an error's text without the terminal colours that Ray adds."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
