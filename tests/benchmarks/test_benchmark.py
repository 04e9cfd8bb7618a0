"""The benchmark behind docs/convergence.md runs as documented and writes what it measured."""

from __future__ import annotations

import json

import pytest

from tests.processes import python
from tests.weights import needs_lpips


@pytest.mark.smoke
@needs_lpips
def test_a_smoke_run_writes_every_figure_with_its_environment(tiny_prior, tmp_path) -> None:
    done = python("-m", "benchmarks.convergence", "--quick", "--prior", tiny_prior, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "convergence.json").read_text())
    assert facts["environment"]["threads"] == 1
    assert facts["environment"]["processor"]
    assert facts["prior"]["name"] == "tiny"
    for record in facts["records"]:
        T, k = record["steps"], record["rounds"]
        wanted = T if record["surrogate"] is None else sum(range(T, T - k, -1))
        assert record["nfe"] == (0 if record["start_noise"] == 0 else wanted)
    tables = (tmp_path / "convergence.md").read_text()
    assert tables.count("### ") == 11
    assert done.stdout.endswith(tables + "\n")
