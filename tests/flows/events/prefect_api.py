"""A Prefect server's deployments and runs over its plain HTTP API, to check the watcher against."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx


@dataclass(frozen=True)
class PrefectApi:
    """A connection to the server."""

    client: httpx.Client

    def deploy(self, source: str, destination: str, **settings: Any) -> tuple[str, str]:
        """Register a deployment without a worker; return its full name and its id."""
        flow = self.post("/flows/", {"name": "restore-archive"})["id"]
        name = f"test-{uuid.uuid4().hex[:12]}"
        job = {"source": source, "destination": destination, "result": {"steps": 3}}
        made = self.post("/deployments/", {"name": name, "flow_id": flow, "parameters": {"job": job}, **settings})
        return f"restore-archive/{name}", made["id"]

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        """Return all runs of a deployment except the runs made by its schedule."""
        wanted = {"deployments": {"id": {"any_": [deployment]}}, "limit": 200}
        found: list[dict[str, Any]] = []
        while page := self.post("/flow_runs/filter", wanted | {"offset": len(found), "sort": "ID_DESC"}):
            found += page
        return [run for run in found if not run["auto_scheduled"]]

    def set_state(self, run: str, kind: str, **state: Any) -> None:
        """Put a run into a state, whatever the rules say."""
        self.post(f"/flow_runs/{run}/set_state", {"state": {"type": kind, **state}, "force": True})

    def delete(self, path: str) -> None:
        """Delete the object at a path of the API."""
        self.ask("DELETE", path, None)

    def post(self, path: str, body: Any) -> Any:
        """Return the answer to a POST."""
        return self.ask("POST", path, body)

    def ask(self, method: str, path: str, body: Any) -> Any:
        """Return the answer to a request, which is repeated after a 503: SQLite was busy."""
        while (answer := self.client.request(method, path, json=body)).status_code == 503:
            time.sleep(0.2)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


def keys_in(run: dict[str, Any]) -> list[str]:
    """Return the keys for a run to restore, from the list in its parameters."""
    lines = Path(run["parameters"]["job"]["key_list"]).read_text().splitlines()
    return [json.loads(line) for line in lines]


def keys_of(runs: Iterable[dict[str, Any]]) -> list[str]:
    """Return the keys of several runs, sorted, with repetitions."""
    return sorted(key for run in runs for key in keys_in(run))
