"""A folder as a store."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from pipeline.errors import ConfigurationError, ImageTooLargeError, StoreUnavailableError, UnsafeKeyError

from .folder_errors import NOT_THERE, failure, read_failure, root_failure
from .names import parts_of, parts_of_new
from .protocol import ObjectInfo, StoredObject
from .publish import check_writable, is_temporary, publish

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW

logger = logging.getLogger("deqir.store")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStore:
    """The regular files below a folder; a key is a file's path below it.

    Names that are not text keep their bytes as `os.fsdecode` maps them, and give the file back. Symbolic
    links below the root are never followed, neither listing, reading nor writing: one that leads outside is
    not part of the folder, one that leads inside names what is listed under its own name. How many a listing
    met is logged. The root itself may be a link.

    Attributes:
        root: Absolute path.
        device, inode: Identity of the root when it was opened: another disk's folder there is not this store.
    """

    root: Path
    device: int
    inode: int

    @classmethod
    def open(cls, path: str, /, *, writable: bool) -> FolderStore:
        """Return the store of a folder, which is made if it is to be written to and not there.

        Raises:
            ConfigurationError: Not a folder's path, or this user has no permission.
            StoreUnavailableError: The filesystem fails, or is full.
        """
        try:
            root = Path(path).expanduser().resolve()
            if writable:
                root.mkdir(parents=True, exist_ok=True)
            status = root.stat()
        except OSError as error:
            raise root_failure(error, "open", path) from error
        except (RuntimeError, ValueError) as error:  # ~nobody, a loop of links, NUL
            raise ConfigurationError(f"{path!r} is not a folder's path: {error}") from error
        store = cls(root=root, device=status.st_dev, inode=status.st_ino)
        try:
            with store._folder(()) as folder:
                os.stat(".", dir_fd=folder)  # may be listed, but not entered
                if writable:
                    check_writable(folder)
        except OSError as error:
            raise failure(error, "write to" if writable else "read", store.url) from error
        return store

    @property
    def url(self) -> str:
        """The absolute path."""
        return str(self.root)

    def list(self, prefix: str = "", *, depth: int | None = None) -> Iterator[ObjectInfo]:
        """Every file whose key starts with `prefix`, down to a depth, in no particular order."""
        waiting, links = [prefix.rpartition("/")[0]], 0
        while waiting:
            for key, status in self._entries(waiting.pop()):
                if stat.S_ISDIR(status.st_mode) and f"{key}/".startswith(prefix):
                    if depth is None or f"{key}/".count("/", len(prefix)) < depth:
                        waiting.append(key)
                elif stat.S_ISREG(status.st_mode) and key.startswith(prefix):
                    yield _info(key, status)
                elif stat.S_ISLNK(status.st_mode):
                    links += 1
        if links:
            logger.warning("symbolic links not followed folder=%s links=%d", self.url, links)

    def get(self, key: str, /, *, limit: int) -> StoredObject:
        """The whole file, with its info after the last byte was read: a change meanwhile shows in it.

        Raises:
            FileNotFoundError: No regular file has this key.
            ImageTooLargeError: More than `limit` bytes; no more than `limit` were read.
        """
        with (
            self._reading(key) as (folder, name),
            open(name, "rb", opener=partial(_open_regular, folder)) as file,
        ):
            size = os.fstat(file.fileno()).st_size
            data = file.read(size + 1) if size <= limit else b""
            info = _info(key, os.fstat(file.fileno()))
        if max(size, len(data)) > limit:
            raise ImageTooLargeError(f"{key!r} has more than {limit} bytes; raise max_bytes to read it")
        return StoredObject(info=info, data=data)

    def create(self, key: str, data: bytes, /) -> bool:
        """Store a new file, whole or not at all, and never overwrite; see `publish`.

        Raises:
            UnsafeKeyError: The key would leave the root, or cannot be a file's path here.
        """
        *above, name = _file_system_parts(key)
        try:
            with self._folder(above, make=True) as folder:
                return publish(folder, name, data)
        except OSError as error:
            raise failure(error, "write", f"{self.url}/{key}") from error

    def check_new(self, key: str, /) -> None:
        """Raise UnsafeKeyError for a key impossible for a new file, or with parts too long for this filesystem."""
        parts = _file_system_parts(key)
        with self._folder(()) as folder:
            longest = os.fpathconf(folder, "PC_NAME_MAX")
        if max(len(os.fsencode(part)) for part in parts) > longest:
            raise failure(OSError(errno.ENAMETOOLONG, ""), "write", f"{self.url}/{key}")

    def head(self, key: str, /) -> ObjectInfo | None:
        """The info of a file, as in a listing; None if it is missing."""
        try:
            with self._reading(key) as (folder, name):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return _info(key, status) if stat.S_ISREG(status.st_mode) else None

    def _entries(self, above: str) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the key and status of whatever is in one folder, except our own temporary files."""
        parts = parts_of(above) if above else ()
        if parts is None:
            return
        try:
            with self._folder(parts) as folder, os.scandir(folder) as entries:
                for entry in entries:
                    if is_temporary(entry.name):
                        continue
                    with suppress(FileNotFoundError):  # gone since it was listed
                        status = entry.stat(follow_symlinks=False)
                        yield f"{above}/{entry.name}" if above else entry.name, status
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise failure(error, "list", f"{self.url}/{above}") from error

    @contextmanager
    def _reading(self, key: str) -> Iterator[tuple[int, str]]:
        """Give a key's open folder and file name; every error of a missing file is FileNotFoundError."""
        parts = parts_of(key)
        if parts is None or is_temporary(parts[-1]) or not _is_path(key):
            raise FileNotFoundError(errno.ENOENT, f"no object can have the key {key!r} in {self.url}")
        try:
            with self._folder(parts[:-1]) as folder:
                yield folder, parts[-1]
        except OSError as error:
            if error.errno in NOT_THERE:
                raise FileNotFoundError(errno.ENOENT, f"no object {key!r} in {self.url}") from error
            raise read_failure(error, f"{self.url}/{key}") from error

    @contextmanager
    def _folder(self, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """Open a folder below the root, step by step so no link on the way can lead elsewhere."""
        descriptor = self._open_root()
        try:
            for part in parts:
                inner = _enter(descriptor, part, make=make)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_root(self) -> int:
        """Return the root's descriptor.

        Raises:
            StoreAccessError: It is gone.
            StoreUnavailableError: Another folder is there now: a disk went, or came, since it was opened.
        """
        try:
            descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise root_failure(error, "open", self.url) from error
        status = os.fstat(descriptor)
        if status.st_dev != self.device and status.st_ino != self.inode:  # one alone changes on a remount
            os.close(descriptor)
            raise StoreUnavailableError(
                f"{self.url} is another folder than when it was opened; is its disk still mounted?"
            )
        return descriptor


def _enter(folder: int, part: str, *, make: bool) -> int:
    """Return the descriptor of a folder in an open folder, made if it is to be and is not there."""
    try:
        return os.open(part, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):  # made by another writer
        os.mkdir(part, dir_fd=folder)
    return os.open(part, _FOLDER, dir_fd=folder)


def _open_regular(folder: int, name: str, flags: int) -> int:
    """Return the descriptor of a regular file in an open folder.

    Raises:
        FileNotFoundError: Something else has that name.
    """
    # O_NONBLOCK: a pipe without a writer would block for ever
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, "not a regular file", name)


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key=key, size=status.st_size, etag=f"{status.st_size}-{status.st_mtime_ns}")


def _is_path(key: str) -> bool:
    """True if a key can be the path of a file: half of a surrogate pair, which is no byte, cannot."""
    try:
        os.fsencode(key)
    except UnicodeEncodeError:
        return False
    return True


def _file_system_parts(key: str) -> tuple[str, ...]:
    """Return the parts of a key to be created.

    Raises:
        UnsafeKeyError: No file may have it.
    """
    parts = parts_of_new(key)
    if not _is_path(key) or is_temporary(parts[-1]):
        raise UnsafeKeyError(f"{key!r} cannot be the path of a file; rename the source object")
    return parts
