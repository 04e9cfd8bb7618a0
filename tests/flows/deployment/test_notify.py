"""People are told how runs ended: examples/notify.py as it is, against a real Prefect server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.deployments import register
from tests.flows.live import within
from tests.processes import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*")


@pytest.fixture
def told(prefect_environment: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """What the example prints, once it waits."""
    output = tmp_path / "output"
    with output.open("wb") as file:
        example = subprocess.Popen(
            [sys.executable, "examples/notify.py", tmp_path / "in", tmp_path / "out"],
            env=prefect_environment,
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        within(60, lambda: "waiting for runs" in output.read_text(), f"the example: {output.read_text()}")
        yield output
    finally:
        example.terminate()
        example.wait(10)


def test_the_example_prints_how_runs_of_its_deployment_end_and_of_no_other(told, api) -> None:
    register("not-told")
    for deployment in ("not-told", "notified"):
        for kind, text in (("COMPLETED", None), ("FAILED", 'no "such" folder\nin line 2')):
            run = api.start(deployment)
            state = {"type": kind, "name": kind.title(), "message": text}
            api.call("POST", f"/flow_runs/{run}/set_state", {"state": state, "force": True})
    within(30, lambda: told.read_text().count("flow-run/") == 2, "two messages")
    lines = told.read_text().partition("waiting for runs to end\n")[2]
    assert "Completed: " in lines
    assert "Failed: " in lines
    assert 'no "such" folder\nin line 2' in lines
