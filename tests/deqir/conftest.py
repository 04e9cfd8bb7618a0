"""Runs a test for each operator."""

from __future__ import annotations

import pytest

from deqir.protocols import LinearOperator
from tests.deqir.problems import OPERATORS


@pytest.fixture(params=OPERATORS)
def A(request: pytest.FixtureRequest) -> LinearOperator:
    return OPERATORS[request.param]
