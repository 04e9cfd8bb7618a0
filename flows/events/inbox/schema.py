"""Create the tables of the inbox, and check the source and deployment of an existing file."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from pipeline.errors import ConfigurationError

SCHEMA_VERSION: Final = 1

# Keys and versions are kept as JSON strings: a key may hold half of a surrogate pair, which no SQLite text can.
_SCHEMA: Final = f"""
CREATE TABLE inbox (source TEXT NOT NULL, deployment TEXT NOT NULL);
CREATE TABLE batches (
    id TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    closed_at REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('batched', 'started', 'ended')),
    attempt INTEGER NOT NULL,
    not_before REAL NOT NULL,
    run TEXT,
    outcome TEXT
);
CREATE TABLE hints (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    version TEXT NOT NULL,
    happened_at REAL,
    received_at REAL NOT NULL,
    batch TEXT REFERENCES batches (id),
    UNIQUE (key, version)
);
CREATE INDEX waiting ON hints (id) WHERE batch IS NULL;
CREATE INDEX batched ON hints (batch) WHERE batch IS NOT NULL;
CREATE INDEX unfinished ON batches (state) WHERE state != 'ended';
CREATE TABLE dead_letters (
    digest BLOB PRIMARY KEY,
    origin TEXT NOT NULL,
    reason TEXT NOT NULL,
    body BLOB NOT NULL,
    first_at REAL NOT NULL,
    last_at REAL NOT NULL,
    times INTEGER NOT NULL
);
PRAGMA user_version = {SCHEMA_VERSION};
"""


def prepare(db: sqlite3.Connection, path: Path, *, source: str, deployment: str) -> None:
    """Create the tables in an open transaction, or check that the file belongs to this source and deployment.

    Raises:
        ConfigurationError: The file is the inbox of another source or deployment, or of another version of deqir.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in filter(str.strip, _SCHEMA.split(";")):
            db.execute(statement)
        db.execute("INSERT INTO inbox VALUES (?, ?)", (source, deployment))
    elif version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{path} is an inbox of version {version}, but this program reads version {SCHEMA_VERSION}; "
            "give --inbox another file"
        )
    of = db.execute("SELECT source, deployment FROM inbox").fetchone()
    if of != (source, deployment):
        raise ConfigurationError(
            f"{path} is the inbox of {of[1]} on {of[0]}, not of {deployment} on {source}; give --inbox another file"
        )
