"""deepinv's physics as operators, if deepinv is installed."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import pytest
import torch

from deqir import check_operator
from deqir.operators import from_deepinv
from tests.deqir.problems import rand

MISSING = importlib.util.find_spec("deepinv") is None
needs_deepinv = pytest.mark.skipif(MISSING, reason="deepinv is not installed (the extra deqir[deepinv])")


@pytest.fixture(scope="module")
def physics() -> Any:
    """The module deepinv.physics; warnings on its import are ignored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("deepinv.physics")


@needs_deepinv
@pytest.mark.parametrize("name", ["blur", "inpainting", "downsampling", "compressed-sensing"])
def test_a_linear_physics_becomes_an_operator_that_keeps_its_identities(name, physics) -> None:
    shape = (1, 8, 8)
    kernel = torch.tensor([[0.0, 0.1, 0.0], [0.2, 0.5, 0.1], [0.0, 0.1, 0.0]])[None, None]
    made = {
        "blur": lambda: physics.Blur(filter=kernel, padding="circular"),
        "inpainting": lambda: physics.Inpainting(img_size=shape, mask=0.6),
        "downsampling": lambda: physics.Downsampling(img_size=shape, factor=2, filter="bilinear"),
        "compressed-sensing": lambda: physics.CompressedSensing(m=20, img_size=shape),
    }[name]()
    A = from_deepinv(made, shape)
    check_operator(A, shape, dtype=torch.float32, tolerance=1e-3)
    x, matrix = rand(2, *shape).float(), A(torch.eye(64).view(64, *shape)).flatten(1).mT
    y = A(x)
    assert y.ndim == 4
    seen = torch.linalg.pinv(matrix) @ matrix
    torch.testing.assert_close(A.pinv(y).flatten(1), x.flatten(1) @ seen.mT, atol=2e-3, rtol=0)


@needs_deepinv
def test_a_physics_that_is_not_linear_is_refused(physics) -> None:
    linear = physics.CompressedSensing(m=10, img_size=(1, 4, 4))
    with pytest.raises(ValueError, match=r"PhaseRetrieval is not a deepinv\.physics.LinearPhysics"):
        from_deepinv(physics.PhaseRetrieval(B=linear), (1, 4, 4))


@needs_deepinv
def test_complex_measurements_are_refused(physics) -> None:
    class Complex(physics.LinearPhysics):  # type: ignore[misc]
        def A(self, x: torch.Tensor, **_: object) -> torch.Tensor:
            return torch.view_as_complex(torch.stack([x, x], -1))

    with pytest.raises(ValueError, match=r"torch\.complex64; give one real tensor"):
        from_deepinv(Complex(), (1, 4, 4))


@pytest.mark.skipif(not MISSING, reason="deepinv is installed")
def test_without_deepinv_the_error_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"pip install 'deqir\[deepinv\]'"):
        from_deepinv(object(), (1, 4, 4))
