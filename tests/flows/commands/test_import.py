"""`deqir models import` as its users meet it: a file that somebody published, a prior, a restored image."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import nn

from deqir.models import fetch_model
from deqir.pretrained.download import ModelError
from deqir.priors import import_prior, read_card
from tests.deqir.reference_denoisers import ffdnet
from tests.deqir.reference_networks import Adm, drawn
from tests.flows.conftest import command, one_line
from tests.pipeline.archive import pixels, put, write_archive
from tests.processes import ROOT


def saved(network: nn.Module, path: Path) -> Path:
    torch.save({"state_dict": drawn(network).state_dict(), "epoch": 3}, path)
    return path


def test_an_imported_prior_is_listed_and_restores_an_image(tmp_path, deqir) -> None:
    here = {"DEQIR_CACHE": str(tmp_path / "cache")}
    file = saved(Adm(), tmp_path / "faces.pt")
    arguments = ("models", "import", file, "--name", "faces", "--licence", "MIT", "--num-head-channels", "16")
    run = deqir(*arguments, "--image-size", "16", **here)
    assert run.returncode == 0, run.stderr
    told = run.stdout.splitlines()
    assert told[0] == f"faces (adm) is in {tmp_path / 'cache/priors/faces'}"
    assert told[1].endswith(": use_new_attention_order no, noise_schedule linear, diffusion_steps 1000")
    assert re.match(r"it leaves \d+% of a noise of 0.1 on a drawn test picture", told[2])
    assert told[3].startswith("warning: it hardly removes noise")  # as its weights are drawn
    assert read_card(tmp_path / "cache/priors/faces").licence == "MIT"
    listed = deqir("models", "list", COLUMNS="200", **here).stdout
    assert any(line.split()[1:2] == ["faces"] and "yes" in line and "MIT" in line for line in listed.splitlines())

    (key,) = write_archive(tmp_path / "in", 1)
    options = ("--prior", "faces", "--task", "sr", "--scale", "2", "--steps", "2", "--executor", "local", "--json")
    restored = deqir("restore", tmp_path / "in", tmp_path / "out", *options, **here)
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["restored"] == 1
    height, width = pixels(tmp_path / "in" / key).shape[:2]
    assert pixels((tmp_path / "out" / key).with_suffix(".png")).shape == (2 * height, 2 * width, 3)


def test_a_grey_denoiser_is_imported_into_a_folder_of_the_users_choice(tmp_path, deqir) -> None:
    file = saved(ffdnet(channels=1, width=8, depth=3), tmp_path / "grey.pth")
    run = deqir("models", "import", file, "--name", tmp_path / "grey", "--max-noise", "0.2", "--kind", "ffdnet")
    assert run.returncode == 0, run.stderr
    assert "assumed" not in run.stdout
    shown = deqir("models", "show", tmp_path / "grey").stdout
    assert "grey.pth, SHA-256" in shown
    assert "0.2" in shown


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return os.abort, ()


@pytest.mark.parametrize(
    ("content", "options", "text"),
    [
        ({"a": Trap()}, (), "posix.abort"),
        ({"a.weight": torch.zeros(1)}, ("--kind", "drunet"), "it lacks m_head.weight"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_leaves_nothing(tmp_path, deqir, content, options, text) -> None:
    torch.save(content, tmp_path / "file.pt")
    run = deqir("models", "import", tmp_path / "file.pt", "--name", "mine", *options, DEQIR_CACHE=str(tmp_path / "c"))
    assert text in one_line(run)
    assert not (tmp_path / "c").exists()


@pytest.fixture
def killed(tmp_path: Path, prefect_environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """An import into the cache that waits for its file, a pipe without a writer, after making its folder."""
    (tmp_path / "cache/priors").mkdir(parents=True)
    os.mkfifo(tmp_path / "never.pth")
    process = subprocess.Popen(
        command("models", "import", tmp_path / "never.pth", "--name", "never"),
        env=prefect_environment | {"DEQIR_CACHE": str(tmp_path / "cache")},
        cwd=ROOT,
    )
    while not left_in(tmp_path):
        assert process.poll() is None
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


def left_in(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache/priors").glob(".importing-*"))


def aged(folder: Path, *, seconds: float) -> None:
    os.utime(folder, (time.time() - seconds,) * 2)


@pytest.mark.parametrize("fetch", [False, True])
def test_what_a_killed_import_left_is_taken_away_by_the_next_command_and_a_living_ones_is_not(
    tmp_path, monkeypatch, killed, fetch
) -> None:
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path / "cache"))
    numbers = count()

    def next_command() -> None:
        if fetch:
            with pytest.raises(ModelError, match="no model named"):
                fetch_model("nothing")
        else:
            file = saved(ffdnet(channels=1, width=8, depth=3), tmp_path / "grey.pth")
            import_prior(file, name=f"grey{next(numbers)}")

    (folder,) = left_in(tmp_path)
    aged(folder, seconds=7200)
    next_command()
    assert left_in(tmp_path) == [folder]
    killed.kill()
    killed.wait()
    aged(folder, seconds=1)
    next_command()
    assert left_in(tmp_path) == [folder]  # it might be one that is not held yet
    put(folder, "never/model.safetensors", b"half of it")
    aged(folder, seconds=120)
    next_command()
    assert left_in(tmp_path) == []
