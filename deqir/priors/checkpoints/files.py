"""Read the tensors of a checkpoint, and nothing else: no code in a file ever runs."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from deqir.priors.prior import PriorError

Tensors = dict[str, Tensor]

AVERAGED: Final = ("ema", "ema_state_dict", "model_ema", "ema_model", "params_ema")
"""Names under which training code saves the moving average of the weights: the weights to use."""
PLAIN: Final = ("state_dict", "model_state_dict", "model", "params", "net", "network")
PARALLEL: Final = "module."


def read_tensors(path: Path) -> Tensors:
    """Return the named tensors of a checkpoint without their wrapping; the moving average if there is one.

    Reads safetensors, and torch's files of plain data: a table of tensors, a table below a name like "state_dict" or
    "ema", or the list written by DDIM's training. "module." before every name is dropped.

    Raises:
        PriorError: The file cannot be read, holds objects which would run code when read, or no table of tensors.
    """
    try:
        loaded = _load(path)
    except OSError as error:
        raise PriorError(f"{path} cannot be read: {error.strerror or error}") from error
    tensors = _table(loaded)
    if tensors is None:
        content = ", ".join(map(str, list(loaded)[:5])) if isinstance(loaded, Mapping) else type(loaded).__name__
        raise PriorError(
            f"{path} holds no table of named tensors (it holds: {content or 'nothing'}); save the state_dict alone"
        )
    while all(name.startswith(PARALLEL) for name in tensors):
        tensors = {name.removeprefix(PARALLEL): tensor for name, tensor in tensors.items()}
    return tensors


def _load(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise PriorError(f"{path} is no whole safetensors file: {error}") from error
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        foreign = re.search(r"GLOBAL ([\w.]+)", str(error))
        if foreign is None:
            raise PriorError(f"{path} is no checkpoint of torch") from error
        raise PriorError(
            f"{path} holds Python objects ({foreign[1]}) beside tensors, and reading them can run code of a stranger, "
            "so it is not read; if you trust the file, load it in torch yourself and save its state_dict alone, or as "
            "safetensors"
        ) from error
    except (RuntimeError, EOFError, KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        raise PriorError(f"{path} is no whole checkpoint of torch; was it downloaded completely?") from error


def _table(loaded: Any) -> Tensors | None:
    """Return the table of tensors in the content of a file, if there is one."""
    if isinstance(loaded, list | tuple):
        tables = [table for entry in loaded if (table := _plain_table(entry)) is not None]
        return tables[-1] if tables else None  # network, optimizer, epoch, step, moving average
    if isinstance(loaded, Mapping):
        wrapped = [loaded[name] for name in (*AVERAGED, *PLAIN) if name in loaded]
        inside = (_table(entry) for entry in wrapped if isinstance(entry, Mapping))
        return _plain_table(loaded) or next((table for table in inside if table is not None), None)
    return None


def _plain_table(entry: Any) -> Tensors | None:
    if not isinstance(entry, Mapping) or not entry:
        return None
    named = all(isinstance(name, str) and isinstance(value, Tensor) for name, value in entry.items())
    return dict(entry) if named else None
