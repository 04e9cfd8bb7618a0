"""Networks that a prior takes from another prior instead of holding them a second time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Part of a prior's card: another prior and the networks taken from it.

    Attributes:
        prior: Name of the other prior, or the path of its directory.
        sha256: Digest of the other prior's weights file.
        networks: The networks taken, as `network_of` names them.
        own_sha256: Digest of the file that holds the remaining networks.
    """

    prior: str
    sha256: str
    networks: Sequence[str]
    own_sha256: str = ""

    def has(self, weight: str) -> bool:
        """Return True if a weight of this name is taken from the other prior."""
        return network_of(weight) in self.networks

    def taken(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the part of the other prior's weights that is taken."""
        return {name: weight for name, weight in weights.items() if self.has(name)}


def network_of(weight: str) -> str:
    """Return the network that a weight belongs to, e.g. "filler" or "enlargers.networks.2"."""
    parts = weight.split(".")
    return ".".join(parts[:3] if parts[0] == "enlargers" else parts[:1])


def networks_of(weights: Iterable[str]) -> tuple[str, ...]:
    """Return the networks that weights of these names belong to, sorted."""
    return tuple(sorted({network_of(name) for name in weights}))


def base_from(values: object) -> Base | None:
    """Return the base that a card's JSON describes; TypeError if it describes none."""
    if values is None:
        return None
    if not isinstance(values, dict):
        raise TypeError(f"base must be a JSON object, got {values!r}")
    base = Base(**values)
    texts = [base.prior, base.sha256, base.own_sha256]
    if not isinstance(base.networks, list) or not all(isinstance(text, str) for text in [*texts, *base.networks]):
        raise TypeError(f"base needs prior, sha256 and own_sha256 as texts, networks a list of texts, got {values!r}")
    return base
