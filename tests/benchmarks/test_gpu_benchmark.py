"""The benchmark of GPUs runs, also where there is none, and one table that fails takes no other with it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from pathlib import Path

import pytest
import torch

from benchmarks import networks
from benchmarks.gpu import CUT, Part, Table
from benchmarks.gpu import measure as measure_table
from benchmarks.kernels import kind_of
from benchmarks.latencies import deepened
from benchmarks.trials import Row
from deqir import load_prior
from tests.processes import python

WITHOUT_DIFFUSERS = """
import sys
sys.modules["diffusers"] = None
"""


def measure(out: Path, prior: str, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    quick = ("--quick", "--device", "cpu", "--prior", prior, "--out", out)
    return python("-m", "benchmarks.gpu", *quick, *words, env=os.environ | {"PYTHONPATH": path})


@pytest.mark.smoke
def test_a_smoke_run_writes_every_table_with_its_environment(tiny_prior, tmp_path) -> None:
    done = measure(tmp_path, tiny_prior, "--limit", "3600")
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads((tmp_path / "gpu.json").read_text())
    assert facts["environment"]["processor"]
    tables = facts["tables"]
    assert len(tables) == 13
    assert all(tables.values())
    assert {row["network"] for row in tables["ffdnet"] + tables["drunet"] + tables["unet"]} == {
        "ffdnet",
        "drunet",
        "unet",
    }
    by_mode = {(row["pixels"], row["mode"]): row for row in tables["one image"]}
    assert by_mode[16, "throughput"]["NFE"] == by_mode[16, "throughput"]["rounds"] == 4
    assert by_mode[16, "latency"]["window"] == 4
    assert max(row["grey levels off"] for row in by_mode.values()) < 0.5
    assert max(row["grey levels from the loop"] for row in tables["bulk"]) < 0.01
    assert (tmp_path / "gpu.md").read_text().count("### ") == 13


@pytest.mark.smoke
def test_a_table_that_fails_is_told_and_the_others_are_measured(tiny_prior, tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_DIFFUSERS)
    words = ("--table", "unet", "--table", "noise")
    done = measure(tmp_path, tiny_prior, *words, path=str(tmp_path))
    assert done.returncode == 1
    assert "unet" in done.stdout
    facts = json.loads((tmp_path / "gpu.json").read_text())
    assert list(facts["failed"]) == ["unet"]
    assert "diffusers" in facts["failed"]["unet"]
    assert len(facts["tables"]["noise"]) == 3


@pytest.mark.smoke
def test_a_table_that_the_time_does_not_do_for_says_so(tiny_prior, tmp_path) -> None:
    done = measure(tmp_path, tiny_prior, "--limit", "0.000001")
    assert done.returncode == 0, done.stderr
    assert list(json.loads((tmp_path / "gpu.json").read_text())["tables"].values()) == [[{"": CUT}]] * 13


def test_a_table_keeps_the_rows_that_the_time_did_for() -> None:
    def first() -> list[Row]:
        return [{"a": 1.0, "b": 2.0}]

    def second() -> list[Row]:
        return [{"a": 3.0, "b": 4.0}]

    def second_until_the_end() -> list[Row]:
        while time.monotonic() <= end:
            time.sleep(0.1)
        return second()

    def rows_of(parts: list[Part], *, seconds: float, until: float = math.inf) -> list[Row]:
        rows = list[Row]()
        measure_table(Table(parts, seconds), rows, until)
        return rows

    whole = [*first(), *second()]
    assert rows_of([first, second], seconds=-1.0) == [{"": CUT}]
    assert rows_of([first, second], seconds=99.0) == whole
    end = time.monotonic() + 1
    assert rows_of([first, second_until_the_end, first], seconds=99.0, until=end) == [*whole, {"a": CUT, "b": ""}]


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        (
            "void at::native::elementwise_kernel<128, 2, at::native::gpu_kernel_impl_nocast<"
            "at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda()#3}>(int)",
            "elementwise: direct_copy_kernel_cuda",
        ),
        (
            "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float> >(int)",
            "elementwise: CUDAFunctor_add",
        ),
        ("Memcpy HtoD (Pinned -> Device)", "Memcpy HtoD (Pinned -> Device)"),
        ("void at::native::(anonymous namespace)::CatArrayBatchedCopy<int>(int)", "CatArrayBatchedCopy<int>(int)"),
    ],
)
def test_kernels_are_told_apart_by_what_they_do(kernel, kind) -> None:
    assert kind_of(kernel) == kind


@pytest.mark.parametrize("deep", [networks.drunet, networks.unet])
def test_a_network_that_takes_the_time_of_another_answers_as_itself(deep, tiny_prior) -> None:
    assert callable(deep)
    trained = load_prior(tiny_prior, device="cpu")
    both = deepened(trained, deep(torch.device("cpu"), small=True))
    asked = networks.question(torch.device("cpu"), 2, 24)
    torch.testing.assert_close(both(*asked), trained(*asked), rtol=0, atol=0)
