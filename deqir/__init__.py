"""Restore degraded images with diffusion models, all sampling steps at once, without training.

A public name is imported at its first use: `import deqir` alone, and modules of settings below it, need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import metrics, operators
    from .engine.engine import Engine
    from .engine.requests import Failed, Request, Result, Tally
    from .fixed_point.solvers import Anderson, Picard
    from .operators.checking import OperatorError, OperatorReport, check_operator
    from .priors import GaussianPrior, Prior, PriorError, load_prior, prior_digest
    from .priors.half_precision import in_half_precision
    from .priors.replicas import ReplicatedDenoiser, replicate
    from .protocols import Denoiser, LinearOperator, Outcome
    from .restore import ConvergenceStats, Restoration, Restorer
    from .sampling.chain import Chain
    from .sampling.noise import image_seed
    from .sampling.schedule import NoiseSchedule
    from .settings import Settings

__version__ = "0.1.0"

__all__ = [
    "Anderson",
    "Chain",
    "ConvergenceStats",
    "Denoiser",
    "Engine",
    "Failed",
    "GaussianPrior",
    "LinearOperator",
    "NoiseSchedule",
    "OperatorError",
    "OperatorReport",
    "Outcome",
    "Picard",
    "Prior",
    "PriorError",
    "ReplicatedDenoiser",
    "Request",
    "Restoration",
    "Restorer",
    "Result",
    "Settings",
    "Tally",
    "__version__",
    "check_operator",
    "image_seed",
    "in_half_precision",
    "load_prior",
    "metrics",
    "operators",
    "prior_digest",
    "replicate",
]

_NAMES = {
    "engine.engine": "Engine",
    "engine.requests": "Failed Request Result Tally",
    "fixed_point.solvers": "Anderson Picard",
    "operators.checking": "OperatorError OperatorReport check_operator",
    "priors": "GaussianPrior Prior PriorError load_prior prior_digest",
    "priors.half_precision": "in_half_precision",
    "priors.replicas": "ReplicatedDenoiser replicate",
    "protocols": "Denoiser LinearOperator Outcome",
    "restore": "ConvergenceStats Restoration Restorer",
    "sampling.chain": "Chain",
    "sampling.noise": "image_seed",
    "sampling.schedule": "NoiseSchedule",
    "settings": "Settings",
}
"""The modules that have the public names, for Python; type checkers read the imports above."""
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import a public name, or a module below this one, at its first use (PEP 562)."""
    if name in _HOMES:
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif name in ("metrics", "operators", "priors"):
        found = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
