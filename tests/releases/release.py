"""Reads and writes a recorded release: the content of its store, and its answers."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.releases.bucket import Object, Row

READABLE: Final = ("jobs", "deployments")
"""Attributes with a file of their own."""


@dataclass(slots=True, kw_only=True)
class Release:
    """Holds a release as `tests.releases.record` wrote it.

    Attributes:
        version: Of deqir.
        bucket: Name of the bucket of its jobs.
        machine: Kind of processor it ran on.
        jobs: The status of each job, the command to go on with, and the answers; by the job's name.
        deployments: As Prefect's API returned them, and the logged events of their runs; by name.
        forms: The schemas of their parameters.
        objects: Everything in the bucket, by key.
        rows: Of the manifests in a destination after the second command, by the job's name and by job id.
        inbox: Of `deqir watch`.
    """

    version: str
    bucket: str
    machine: str
    jobs: dict[str, Any] = field(default_factory=dict)
    deployments: dict[str, Any] = field(default_factory=dict)
    forms: dict[str, Any] = field(default_factory=dict)
    objects: dict[str, Object] = field(default_factory=dict)
    rows: dict[str, dict[str, list[Row]]] = field(default_factory=dict)
    inbox: bytes = b""

    @classmethod
    def read(cls, folder: Path) -> Release:
        """Read the folder of a release."""
        with tarfile.open(folder / "store.tar.xz") as archive:
            members = {member.name: _content(archive, member) for member in archive.getmembers()}
        index = json.loads(members["index.json"])
        return cls(
            **index["release"],
            **{name: json.loads((folder / f"{name}.json").read_text()) for name in READABLE},
            forms=json.loads(members["forms.json"]),
            objects={each["key"]: (members[each["name"]], each["metadata"]) for each in index["objects"]},
            rows=json.loads(members["rows.json"]),
            inbox=members["inbox.sqlite3"],
        )

    def write(self, folder: Path) -> None:
        """Write the folder of a release."""
        folder.mkdir(parents=True)
        for name in READABLE:
            (folder / f"{name}.json").write_text(f"{json.dumps(getattr(self, name), indent=1, sort_keys=True)}\n")
        keys = sorted(self.objects, key=lambda key: (key.rpartition(".")[2], key))  # alike ones compress together
        names = {key: f"objects/{number:04d}" for number, key in enumerate(keys)}
        index = {
            "release": {"version": self.version, "bucket": self.bucket, "machine": self.machine},
            "objects": [{"key": key, "name": names[key], "metadata": self.objects[key][1]} for key in keys],
        }
        members = {f"{name}.json": json.dumps(value).encode() for name, value in self._hidden(index)}
        members |= {"inbox.sqlite3": self.inbox} | {names[key]: self.objects[key][0] for key in keys}
        with tarfile.open(folder / "store.tar.xz", "w:xz", preset=9) as archive:
            for name, data in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))

    def _hidden(self, index: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
        return ("index", index), ("rows", self.rows), ("forms", self.forms)

    def command(self, name: str) -> list[str]:
        """Return the command that goes on with a job, as today's command line says it.

        Images in colour need no option any more, and a guide needs a told task.
        """
        command = [word for word in self.jobs[name]["then"]["command"] if word != "--colour"]
        return [*command, "--task", "sr"] if "--guide" in command and "--task" not in command else command

    def state(self, name: str) -> dict[str, Object]:
        """Return the objects of a job."""
        return {key: found for key, found in self.objects.items() if key.startswith(f"{name}/")}


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


def releases() -> list[Release]:
    """Return all recorded releases."""
    return [Release.read(path.parent) for path in sorted(Path(__file__).parent.glob("*/store.tar.xz"))]
