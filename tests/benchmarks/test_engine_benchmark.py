"""The benchmark behind docs/performance.md runs as documented, and its rivals are what they are called."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks.rivals import Problem, loop_by_hand, paradigms
from deqir import Restorer
from tests.deqir.problems import OPERATORS, make_sampler, rand, toy_denoiser
from tests.processes import python


def test_the_loop_by_hand_is_the_sequential_chain() -> None:
    A = OPERATORS["sr2"]
    y = A(rand(3, 3, 8, 12).clamp(-1, 1))
    sampler = make_sampler(A)
    restorer = Restorer(toy_denoiser, steps=6, eta=0.85, start_noise=0.3, mode="throughput", within_range=False)
    found = loop_by_hand(toy_denoiser, Problem(y=y, A=A, seeds=(4, 5, 6)), sampler.chain)
    torch.testing.assert_close(found, restorer(y, A, seeds=[4, 5, 6]).images)


@pytest.mark.parametrize("window", [1, 3, 6, 20])
def test_paradigms_ends_as_the_sequential_chain_when_its_tolerance_is_0(window) -> None:
    sampler = make_sampler(OPERATORS["inpaint"], images=1)
    end, rounds = paradigms(sampler, window=window, tolerance=0.0)
    torch.testing.assert_close(end, sampler.end(sampler.initial()))
    assert rounds <= sampler.chain.steps


@pytest.mark.smoke
def test_a_smoke_run_writes_one_table_with_its_environment(tiny_prior, tmp_path) -> None:
    done = python("-m", "benchmarks.engine", "--quick", "--prior", tiny_prior, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "engine.json").read_text())
    assert facts["environment"]["processor"]
    tables = facts["tables"]
    lines = {line[""]: line for line in tables["ways"]}
    assert lines["engine, auto"]["NFE an image"] == lines["loop by hand, T = 20"]["NFE an image"] == 20
    assert lines["engine, auto"]["grey levels off"] < 0.01
    assert lines["published algorithm"]["rounds"] == 15
    assert tables["shard"][0]["largest difference to alone, grey levels"] < 0.01
    assert [row["rounds"] for row in tables["tail"]] == [20, 25, 30, 40]
    text = (tmp_path / "engine.md").read_text()
    assert text.count("| engine, ") == 7  # six ways, and a column
    assert text.count("### ") == len(tables) == 12
