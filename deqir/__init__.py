"""Restore degraded images with diffusion models, all sampling steps at once, without training."""

from __future__ import annotations

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
