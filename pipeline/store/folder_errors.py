"""The operating system's errors in the pipeline's words."""

from __future__ import annotations

import errno
from typing import Final

from pipeline.errors import (
    ImageTooLargeError,
    ObjectAccessError,
    PipelineError,
    StoreAccessError,
    StoreUnavailableError,
    UnsafeKeyError,
)

KEY_AT_FAULT: Final = {
    errno.ENOTDIR: "a file or a symbolic link stands where a folder is needed",
    errno.ELOOP: "a symbolic link stands where a folder is needed",
    errno.EISDIR: "something that is not a file stands there",
    errno.ENAMETOOLONG: "the name is too long for this filesystem",
    errno.EINVAL: "this filesystem does not take such a name",
    errno.EILSEQ: "this filesystem does not take such a name",
}
NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENXIO, *KEY_AT_FAULT})  # cannot exist, so it does not
_NO_FOLDER: Final = frozenset({errno.ENOENT, errno.EEXIST, *KEY_AT_FAULT})
_FORBIDDEN: Final = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


def root_failure(error: OSError, doing: str, path: str) -> PipelineError:
    """Return the error for a store whose root cannot be opened; the arguments are `failure`'s."""
    if error.errno not in _NO_FOLDER:
        return failure(error, doing, path)
    wrong = "there is no such folder" if error.errno == errno.ENOENT else "this is not a folder"
    return StoreAccessError(f"{path}: {wrong}; give the path of a folder, and see that its disk is mounted")


def read_failure(error: OSError, path: str) -> PipelineError:
    """Return the error for an unreadable file."""
    if error.errno in _FORBIDDEN:
        return ObjectAccessError(f"cannot read {path!r}: {error.strerror}; give this user the permission")
    return failure(error, "read", path)


def failure(error: OSError, doing: str, path: str) -> PipelineError:
    """Return the pipeline's error for an error of the operating system.

    A fault of this key alone is an `ImageError`: only this image fails. A full disk is
    `StoreUnavailableError`, as everything goes on once there is room.

    Args:
        error: The system's error.
        doing: "read", "write", ...
        path: Of the file or folder.
    """
    if error.errno in KEY_AT_FAULT:
        reason = KEY_AT_FAULT[error.errno]
        return UnsafeKeyError(f"cannot {doing} {path!r}: {reason}; rename the source object")
    if error.errno == errno.EFBIG:
        return ImageTooLargeError(f"cannot {doing} {path!r}: larger than this filesystem or user may write")
    reason = error.strerror or type(error).__name__
    if error.errno in _FORBIDDEN:
        return StoreAccessError(f"cannot {doing} {path!r}: {reason}; give this user the permission")
    if error.errno in _FULL:
        return StoreUnavailableError(f"cannot {doing} {path!r}: {reason}; make room and run again")
    return StoreUnavailableError(f"cannot {doing} {path!r}: {reason}; run again when the disk answers")
