"""A test for each operator, and imported checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from deqir.priors import Imported, import_prior
from deqir.protocols import LinearOperator
from deqir.restore import SURROGATES
from tests.deqir.problems import OPERATORS

Importer = Callable[..., Imported]


@pytest.fixture(params=OPERATORS)
def A(request: pytest.FixtureRequest) -> LinearOperator:
    return OPERATORS[request.param]


@pytest.fixture(params=SURROGATES)
def surrogate(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def imported(tmp_path: Path) -> Importer:
    """Saves a checkpoint and imports it: imported(network or content, facts=..., kind=...)."""

    def run(content: Any, **options: Any) -> Imported:
        path = tmp_path / "checkpoint.pt"
        torch.save(content.state_dict() if isinstance(content, nn.Module) else content, path)
        return import_prior(path, name=str(tmp_path / "mine"), **options)

    return run
