"""The run-time type checker of the tests: an int is a float, as PEP 484 has it."""

from __future__ import annotations

from beartype import BeartypeConf
from beartype import beartype as _beartype

beartype = _beartype(conf=BeartypeConf(is_pep484_tower=True))
