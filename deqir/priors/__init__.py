"""Priors, the networks for restoring images: catalog, files, loading and import."""

from __future__ import annotations

from deqir.defaults import BUNDLED, BUNDLED_LARGE, SHIPPED
from deqir.networks.ffdnet import DenoiserPrior, FFDNet

from .catalog import (
    FETCHABLE,
    available_priors,
    fetch_prior,
    load_prior,
    prior_digest,
    prior_directory,
)
from .checkpoints import Facts, Imported, import_prior
from .directory import PriorCard, read_card, write_card, write_prior
from .gaussian import GaussianPrior
from .prior import Prior, PriorError
from .unet import UNetPrior

__all__ = [
    "BUNDLED",
    "BUNDLED_LARGE",
    "FETCHABLE",
    "SHIPPED",
    "DenoiserPrior",
    "FFDNet",
    "Facts",
    "GaussianPrior",
    "Imported",
    "Prior",
    "PriorCard",
    "PriorError",
    "UNetPrior",
    "available_priors",
    "fetch_prior",
    "import_prior",
    "load_prior",
    "prior_digest",
    "prior_directory",
    "read_card",
    "write_card",
    "write_prior",
]
