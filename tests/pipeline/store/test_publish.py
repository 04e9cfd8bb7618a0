"""A new file is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import errno
import os
import signal
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import ImageTooLargeError, StoreAccessError, StoreUnavailableError, UnsafeKeyError
from pipeline.store import open_store
from tests.pipeline.store.places import FolderPlace
from tests.processes import python

KILLED_BEFORE_THE_NAME = """
import os, signal, sys
from pipeline.store import open_store
os.link = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
open_store(sys.argv[1], writable=True).create("album/a.png", b"new")
"""


def failing(number: int) -> Callable[..., None]:
    """Return a system call that fails with an error number."""

    def call(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


def test_a_file_has_no_name_before_its_bytes_are_on_the_disk(tmp_path, monkeypatch) -> None:
    store = open_store(str(tmp_path), writable=True)
    synced: list[tuple[int, bool]] = []

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_size, store.head("album/a.png") is not None))

    monkeypatch.setattr(os, "fsync", fsync)
    assert store.create("album/a.png", b"x" * 100_000)
    assert synced[0] == (100_000, False)
    assert [there for _, there in synced[1:]] == [True]  # the folder, for the name to last as well


def test_what_a_killed_process_leaves_is_no_object_and_in_nobodys_way(tmp_path) -> None:
    child = python("-c", KILLED_BEFORE_THE_NAME, tmp_path)
    assert child.returncode == -signal.SIGKILL
    (leftover,) = (tmp_path / "album").iterdir()
    assert leftover.read_bytes() == b"new"
    store = open_store(str(tmp_path), writable=True)
    assert list(store.list()) == []
    key = str(leftover.relative_to(tmp_path))
    assert store.head(key) is None
    with pytest.raises(FileNotFoundError):
        store.get(key, limit=10)
    with pytest.raises(UnsafeKeyError):
        store.create(key, b"x")
    assert store.create("album/a.png", b"again")
    assert [info.key for info in store.list()] == ["album/a.png"]


def test_a_file_is_as_readable_as_any_other_of_its_user(tmp_path) -> None:
    store = open_store(str(tmp_path), writable=True)
    (tmp_path / "usual").write_bytes(b"")
    store.create("a.png", b"x")
    assert stat.S_IMODE(os.stat(tmp_path / "a.png").st_mode) == stat.S_IMODE(os.stat(tmp_path / "usual").st_mode)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_without_hard_links_creation_is_still_exclusive(tmp_path, monkeypatch, number) -> None:
    monkeypatch.setattr(os, "link", failing(number))
    store = open_store(str(tmp_path), writable=True)
    FolderPlace(tmp_path).put("album/theirs.png", b"theirs")
    (tmp_path / "album" / "folder.png").mkdir()
    assert not store.create("album/theirs.png", b"ours")
    with pytest.raises(UnsafeKeyError):
        store.create("album/folder.png", b"ours")
    names = [f"writer {index}" for index in range(16)]
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda name: store.create("album/a.png", name.encode()), names))
    assert won.count(True) == 1
    winner = names[won.index(True)].encode()
    assert FolderPlace(tmp_path).read_all() == {"album/theirs.png": b"theirs", "album/a.png": winner}


def test_a_link_that_a_network_share_made_twice_is_ours(tmp_path, monkeypatch) -> None:
    """NFS repeats a request whose answer was lost and reports what the repetition met: our own link."""
    link = os.link

    def repeated(*args: str, **kwargs: bool | int) -> None:
        link(*args, **kwargs)  # type: ignore[arg-type]
        link(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", repeated)
    store = open_store(str(tmp_path), writable=True)
    assert store.create("a.png", b"ours")
    assert not store.create("a.png", b"ours")
    assert FolderPlace(tmp_path).read_all() == {"a.png": b"ours"}


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, StoreUnavailableError),
        (errno.EDQUOT, StoreUnavailableError),
        (errno.EIO, StoreUnavailableError),
        (errno.ESTALE, StoreUnavailableError),
        (errno.EROFS, StoreAccessError),
        (errno.EACCES, StoreAccessError),
        (errno.EFBIG, ImageTooLargeError),
        (errno.EILSEQ, UnsafeKeyError),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_write_that_fails_stores_nothing_and_says_why(tmp_path, monkeypatch, call, number, error) -> None:
    store = open_store(str(tmp_path), writable=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(number))
        with pytest.raises(error) as caught:
            store.create("album/a.png", b"x")
    assert type(caught.value) is error
    assert "album/a.png" in str(caught.value)
    assert FolderPlace(tmp_path).read_all() == {}
    assert store.create("album/a.png", b"x")


def test_a_file_larger_than_the_user_may_write_is_the_fault_of_one_image(tmp_path) -> None:
    script = """
import resource, sys
from pipeline.errors import ImageTooLargeError
from pipeline.store import open_store
store = open_store(sys.argv[1], writable=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    store.create("large.png", b"x" * 1001)
except ImageTooLargeError:
    assert store.create("small.png", b"x" * 1000)
    print("refused")
"""
    child = python("-c", script, tmp_path)
    assert child.stdout == "refused\n", child.stderr
    assert FolderPlace(tmp_path).read_all() == {"small.png": b"x" * 1000}
