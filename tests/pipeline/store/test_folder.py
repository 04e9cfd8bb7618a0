"""What only a folder can do to a store: odd names, links, pipes, deep trees, and disks that go away."""

from __future__ import annotations

import io
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import (
    ImageError,
    ImageTooLargeError,
    ObjectAccessError,
    StoreAccessError,
    StoreUnavailableError,
    UnsafeKeyError,
)
from pipeline.store import open_store
from tests.pipeline.privileges import without_privileges
from tests.pipeline.store.places import FolderPlace

names = st.binary(min_size=1, max_size=80).filter(lambda name: not set(name) & {0, 47} and name not in (b".", b".."))
trees = st.dictionaries(st.lists(names, min_size=1, max_size=4).map(b"/".join), st.binary(max_size=20), max_size=6)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder


@settings(max_examples=40, deadline=None)
@given(tree=trees)
def test_whatever_bytes_a_name_has_its_file_comes_through(tree) -> None:
    """Files written by their bytes are listed, read and written again under keys that are text."""
    files = {
        path: data
        for path, data in tree.items()
        if not any(other.startswith(path + b"/") for other in tree)  # is a folder
    }
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as destination:
        for path, data in files.items():
            FolderPlace(Path(source)).put(os.fsdecode(path), data)
        inputs, outputs = open_store(source, writable=False), open_store(destination, writable=True)
        for info in inputs.list():
            assert inputs.head(info.key) == info
            assert outputs.create(info.key, inputs.get(info.key, limit=info.size).data)
        found = {
            os.path.join(folder, name)[len(destination) + 1 :]: Path(
                os.fsdecode(os.path.join(folder, name))
            ).read_bytes()
            for folder, _, names in os.walk(os.fsencode(destination))
            for name in names
        }
    assert found == files


def test_a_tree_deeper_than_any_path_may_be_long_is_read_and_written(root) -> None:
    store = open_store(str(root), writable=True)
    key = "/".join(["n" * 200] * 40)  # twice the length of the longest path
    assert store.create(key, b"deep")
    assert not store.create(key, b"deep")
    assert [info.key for info in store.list()] == [key]
    assert store.get(key, limit=10).data == b"deep"


def test_links_are_not_followed_wherever_they_lead(root, tmp_path, caplog) -> None:
    outside = tmp_path / "outside"
    FolderPlace(outside).put("secret.png", b"secret")
    FolderPlace(root).put("folder/inside.png", b"x")
    (root / "out").symlink_to(outside)
    (root / "out.png").symlink_to(outside / "secret.png")
    (root / "in").symlink_to("folder")
    (root / "in.png").symlink_to("folder/inside.png")
    (root / "loop").symlink_to(".")
    (root / "nowhere.png").symlink_to("nothing")
    store = open_store(str(root), writable=True)
    assert [info.key for info in store.list()] == ["folder/inside.png"]
    assert "links=6" in caplog.text
    for key in ("out/secret.png", "out.png", "in/inside.png", "in.png", "loop/in.png", "nowhere.png"):
        assert store.head(key) is None
        with pytest.raises(FileNotFoundError):
            store.get(key, limit=100)
    for key in ("out/new.png", "in/new.png", "out.png", "nowhere.png"):
        with pytest.raises(UnsafeKeyError):
            store.create(key, b"new")
    assert FolderPlace(outside).read_all() == {"secret.png": b"secret"}
    assert os.listdir(root / "folder") == ["inside.png"]


def test_a_root_that_is_a_link_is_followed(root, tmp_path) -> None:
    FolderPlace(root).put("a.png", b"x")
    (tmp_path / "link").symlink_to(root)
    store = open_store(str(tmp_path / "link"), writable=False)
    assert [info.key for info in store.list()] == ["a.png"]
    assert store.url == str(root)


def test_what_is_not_a_file_is_no_object(root) -> None:
    os.mkfifo(root / "pipe.png")  # a careless reader would wait for ever
    (root / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket.png"))
        store = open_store(str(root), writable=True)
        assert list(store.list()) == []
        for key in ("pipe.png", "folder.png", "socket.png"):
            assert store.head(key) is None
            with pytest.raises(FileNotFoundError):
                store.get(key, limit=100)
            with pytest.raises(UnsafeKeyError, match="not a file"):
                store.create(key, b"x")


def test_a_file_beyond_the_limit_is_refused_unread(root) -> None:
    (root / "huge.png").touch()
    os.truncate(root / "huge.png", 2**40)  # more than any memory; takes no room
    with pytest.raises(ImageTooLargeError, match="1000 bytes"):
        open_store(str(root), writable=False).get("huge.png", limit=1000)


class Overwritten(io.FileIO):
    """A file that another program overwrites in place right after it was read."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        time.sleep(0.02)  # a file system's clock ticks every few milliseconds
        with open(self.fileno(), "rb+", buffering=0, closefd=False) as other:
            other.write(b"after!")
        return data


def test_a_file_overwritten_while_it_is_read_does_not_have_the_info_of_before(root, monkeypatch) -> None:
    (root / "a.png").write_bytes(b"before")
    store = open_store(str(root), writable=False)
    planned = store.head("a.png")
    assert store.get("a.png", limit=100).info == planned

    def overwritten(name: str, mode: str, *, opener: Any) -> io.FileIO:
        return Overwritten(name, mode, opener=lambda name, flags: opener(name, os.O_RDWR))

    monkeypatch.setattr("pipeline.store.folder.open", overwritten, raising=False)
    found = store.get("a.png", limit=100)
    assert found.data == b"before"
    assert found.info != planned


def test_a_file_where_a_folder_is_needed_is_the_fault_of_one_key(root) -> None:
    FolderPlace(root).put("a", b"theirs")
    store = open_store(str(root), writable=True)
    with pytest.raises(ImageError, match="a file or a symbolic link stands where a folder is needed"):
        store.create("a/b.png", b"x")
    assert store.create("b/b.png", b"x")
    assert FolderPlace(root).read_all() == {"a": b"theirs", "b/b.png": b"x"}


def test_a_folder_to_write_to_is_made_and_one_to_read_is_not(tmp_path) -> None:
    with pytest.raises(StoreAccessError, match="no such folder"):
        open_store(str(tmp_path / "a" / "b"), writable=False)
    assert not (tmp_path / "a").exists()
    store = open_store(str(tmp_path / "a" / "b"), writable=True)
    assert store.url == str(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("writable", [False, True])
def test_a_root_that_is_no_folder_is_named(root, writable) -> None:
    FolderPlace(root).put("file", b"")
    for path in (root / "file", root / "file" / "below", root / ("n" * 300)):
        with pytest.raises(StoreAccessError, match="give the path of a folder") as caught:
            open_store(str(path), writable=writable)
        assert str(path) in str(caught.value)


def test_relative_and_home_paths_become_absolute(root, monkeypatch) -> None:
    monkeypatch.chdir(root.parent)
    monkeypatch.setenv("HOME", str(root.parent))
    for path in ("archive", "./archive/", "~/archive", "archive/../archive"):
        assert open_store(path, writable=False).url == str(root)


def test_a_root_that_is_gone_is_not_taken_for_missing_objects(root, tmp_path) -> None:
    FolderPlace(root).put("a.png", b"x")
    store = open_store(str(root), writable=True)
    root.rename(tmp_path / "elsewhere")
    for verb in (
        lambda: list(store.list()),
        lambda: store.get("a.png", limit=1),
        lambda: store.head("a.png"),
        lambda: store.create("b.png", b"x"),
    ):
        with pytest.raises(StoreAccessError, match="no such folder"):
            verb()
    assert not root.exists()


def test_another_disks_folder_in_the_roots_place_is_not_taken_for_it(root, tmp_path) -> None:
    """As where a disk is unmounted and its empty mount point remains."""
    FolderPlace(root).put("a.png", b"x")
    store = open_store(str(root), writable=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        if os.stat(other).st_dev == os.stat(root).st_dev:
            pytest.skip("needs a second filesystem at /dev/shm")
        root.rename(tmp_path / "elsewhere")
        root.symlink_to(other)
        with pytest.raises(StoreUnavailableError, match="still mounted"):
            store.head("a.png")
        with pytest.raises(StoreUnavailableError, match="still mounted"):
            store.create("b.png", b"x")
        assert os.listdir(other) == []


def test_permissions_that_are_missing_are_named_early() -> None:
    with without_privileges() as folder:
        for mode in (0o000, 0o300, 0o400):
            folder.chmod(mode)
            with pytest.raises(StoreAccessError, match="permission"):
                open_store(str(folder), writable=False)
        folder.chmod(0o500)
        assert list(open_store(str(folder), writable=False).list()) == []
        for path in (folder, folder / "new"):
            with pytest.raises(StoreAccessError, match="permission"):
                open_store(str(path), writable=True)


def test_permissions_that_are_missing_below_the_root_are_named() -> None:
    with without_privileges() as folder:
        FolderPlace(folder).put("a.png", b"x")
        FolderPlace(folder).put("locked/b.png", b"x")
        (folder / "a.png").chmod(0)
        (folder / "locked").chmod(0o100)
        store = open_store(str(folder), writable=True)
        with pytest.raises(ObjectAccessError, match=r"a\.png"):
            store.get("a.png", limit=1)
        with pytest.raises(StoreAccessError, match="locked"):
            list(store.list())
        with pytest.raises(StoreAccessError, match="locked"):
            store.create("locked/c.png", b"x")
