"""Restore degraded images with diffusion models, all sampling steps at once, without training."""

from __future__ import annotations

from . import metrics, operators
from .chain import Chain
from .engine import Engine
from .noise import image_seed
from .operators.checking import OperatorError, OperatorReport, check_operator
from .precision import in_half_precision
from .priors import GaussianPrior, Prior, PriorError, load_prior, prior_digest
from .protocols import Denoiser, LinearOperator, Outcome
from .replicas import ReplicatedDenoiser, replicate
from .requests import Failed, Request, Result, Tally
from .restore import ConvergenceStats, Restoration, Restorer
from .schedule import NoiseSchedule
from .settings import Settings
from .solvers import Anderson, Picard

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
