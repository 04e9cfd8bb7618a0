"""Fixtures that every area shares; shapes in `deqir`'s annotations are checked at run time here."""

from __future__ import annotations

from pathlib import Path

import jaxtyping
import pytest

import tests.checking

jaxtyping.install_import_hook("deqir", f"{tests.checking.__name__}.beartype")

import torch  # noqa: E402

from deqir.priors import FFDNet, PriorCard, write_prior  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_prior(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a prior's directory: a small, seeded denoiser that answers in a millisecond."""
    torch.manual_seed(0)
    architecture = {"channels": 3, "width": 8, "depth": 3}
    network = FFDNet(**architecture)
    card = PriorCard(name="tiny", kind="denoiser", sha256="", max_noise=75 / 255, architecture=architecture)
    directory: Path = tmp_path_factory.mktemp("priors") / "tiny"
    write_prior(directory, card, network.state_dict())
    return str(directory)
