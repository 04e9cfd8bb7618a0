"""A Prefect server's deployments and runs over its plain HTTP API, to check the watcher against."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.flows.live import Api


@dataclass(frozen=True, slots=True)
class PrefectApi(Api):
    """The server, with deployments that have no worker."""

    def deploy(self, source: str, destination: str, **settings: Any) -> tuple[str, str]:
        """Register a deployment without a worker; return its full name and its id."""
        flow = self.call("POST", "/flows/", {"name": "restore-archive"})["id"]
        name = f"test-{uuid.uuid4().hex[:12]}"
        job = {"source": source, "destination": destination, "result": {"steps": 3}}
        deployment = {"name": name, "flow_id": flow, "parameters": {"job": job}, **settings}
        made = self.call("POST", "/deployments/", deployment)
        return f"restore-archive/{name}", made["id"]

    def runs_of(self, deployment: str) -> list[dict[str, Any]]:
        """Return all runs of a deployment, by its id, except the runs made by its schedule."""
        wanted = {"deployments": {"id": {"any_": [deployment]}}, "limit": 200}
        found: list[dict[str, Any]] = []
        while page := self.call("POST", "/flow_runs/filter", wanted | {"offset": len(found), "sort": "ID_DESC"}):
            found += page
        return [run for run in found if not run["auto_scheduled"]]

    def set_state(self, run: str, kind: str, **state: Any) -> None:
        """Put a run into a state, whatever the rules say."""
        self.call("POST", f"/flow_runs/{run}/set_state", {"state": {"type": kind, **state}, "force": True})


def keys_in(run: dict[str, Any]) -> list[str]:
    """Return the keys for a run to restore, from the list in its parameters."""
    lines = Path(run["parameters"]["job"]["key_list"]).read_text().splitlines()
    return [json.loads(line) for line in lines]


def keys_of(runs: Iterable[dict[str, Any]]) -> list[str]:
    """Return the keys of several runs, sorted, with repetitions."""
    return sorted(key for run in runs for key in keys_in(run))
