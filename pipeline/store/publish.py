"""A new file in an open folder, whole or not at all, never in place of another."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
from typing import Final

_TEMPORARY: Final = re.compile(r"\.deqir-tmp-[0-9a-f]{32}")
_NO_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_NO_FOLDER_SYNC: Final = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def is_temporary(name: str) -> bool:
    """True if a file name is a temporary name of `publish`, which a killed process may leave behind."""
    return _TEMPORARY.fullmatch(name) is not None


def publish(folder: int, name: str, data: bytes) -> bool:
    """Return True after storing `data` as the new file `name`, False if the name was taken.

    The bytes reach the disk under a hidden name in the same folder, so that both names are on one filesystem
    even where a folder of the archive is a disk of its own. A hard link then gives them their name, which
    fails if there is one. Filesystems without hard links (exFAT, some network shares) get a look and a rename
    under a lock on the folder, which the kernel drops with a killed process: still whole or not at all, and
    exclusive among writers that take this lock, but another program can slip in between, as can another
    machine where the share does not carry locks.

    Args:
        folder: Descriptor of the open folder.
        name: File name without slashes.
        data: The whole content.

    Raises:
        IsADirectoryError: The name is taken by something that is not a regular file.
        OSError: Whatever else the filesystem answers; nothing was stored, unless the last flush failed.
    """
    temporary, descriptor = _temporary(folder)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        ours = _name(folder, temporary, name)
    finally:
        with contextlib.suppress(FileNotFoundError):  # renamed
            os.unlink(temporary, dir_fd=folder)
    if ours:
        _sync(folder)
    return ours


def check_writable(folder: int) -> None:
    """Raise OSError if no file can be made in an open folder, which its permissions alone do not tell."""
    temporary, descriptor = _temporary(folder)
    os.close(descriptor)
    os.unlink(temporary, dir_fd=folder)


def _temporary(folder: int) -> tuple[str, int]:
    """Return the name and the descriptor of a new hidden file."""
    name = f".deqir-tmp-{secrets.token_hex(16)}"
    mode = 0o666  # less the umask: readable like any other file of this user
    return name, os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=folder)


def _name(folder: int, temporary: str, name: str) -> bool:
    """Give the temporary file its name; False if the name was taken."""
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return _is_same(folder, temporary, name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _rename(folder, temporary, name)
    return True


def _is_same(folder: int, temporary: str, name: str) -> bool:
    """True if a taken name is our own link, made by a request that NFS repeated silently."""
    ours = os.stat(temporary, dir_fd=folder)
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:  # taken a moment ago, and gone
        return False
    if not stat.S_ISREG(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "taken by something that is not a regular file", name)
    return os.path.samestat(ours, found)


def _rename(folder: int, temporary: str, name: str) -> bool:
    """Give the temporary file its name without hard links; False if the name was taken."""
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            return _is_same(folder, temporary, name)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        return True
    finally:
        fcntl.flock(folder, fcntl.LOCK_UN)


def _sync(folder: int) -> None:
    """Make a new name outlive a power cut, where the filesystem knows how."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
