"""Damaged, incomplete and dangerous checkpoints, and networks other than priors: refused, with fault and remedy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from deqir import PriorError
from deqir.priors import Facts, import_prior
from tests.deqir.reference_denoisers import Drunet, ffdnet
from tests.deqir.reference_networks import Adm, Ddpm, drawn

SIXTEEN = Facts(num_head_channels=16)


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.proof),)


def test_code_in_a_file_is_refused_and_not_run(imported, tmp_path) -> None:
    with pytest.raises(PriorError, match=r"holds Python objects \(posix\.mkdir\).*run code.*state_dict"):
        imported({"state_dict": drawn(Drunet(width=4, blocks=1)).state_dict(), "trap": Trap(tmp_path / "proof")})
    assert not (tmp_path / "proof").exists()
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.pt", b"", "no whole checkpoint"),
        ("a.pt", b"\x89PNG\r\n\x1a\n" + bytes(100), "no checkpoint of torch"),
        ("a.pt", b"hello world, I am a file", "no whole checkpoint of torch"),
        ("a.pt", b"PK\x03\x04" + bytes(100), "no whole checkpoint of torch; was it downloaded completely"),
        ("a.safetensors", b"hello world, I am a file", "no whole safetensors file"),
    ],
)
def test_files_that_are_no_checkpoints_are_refused(tmp_path, name, data, says) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PriorError, match=says):
        import_prior(tmp_path / name, name=f"{tmp_path}/mine")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"epoch": 3, "lr": 0.1}, r"no table of named tensors \(it holds: epoch, lr\)"),
        (torch.zeros(3), "no table of named tensors"),
        ({"a.weight": torch.zeros(3), "b.weight": torch.zeros(3)}, r"no checkpoint of a known kind .*a\.weight, b\.w"),
        ({"down_blocks.0.resnets.0.conv1.weight": torch.zeros(3)}, "give the directory, with its config.json"),
        (ffdnet(channels=2, width=8, depth=3), "this network 9 channels into 8"),
        (nn.ModuleDict({"model": nn.ModuleDict({"0": nn.Conv2d(3, 8, 3), "2": nn.Conv2d(8, 3, 3)})}), "DnCNN"),
        (Adm(classes=10), "which of 10 classes an image shows"),
        (Adm(channels=6, outputs=6), "upsamplers"),
        (Adm(factors=(0.5, 1), base=64), "networks for 512 pixels"),
    ],
)
def test_what_cannot_be_a_prior_is_refused_with_the_reason(imported, content, says) -> None:
    with pytest.raises(PriorError, match=says):
        imported(content, facts=SIXTEEN if isinstance(content, Adm) else None)


@pytest.mark.parametrize(
    ("network", "key", "facts"),
    [
        (Adm(), "middle_block.1.qkv.weight", SIXTEEN),
        (Adm(), "input_blocks.0.0.weight", SIXTEEN),
        (Adm(), "output_blocks.1.1.norm.bias", SIXTEEN),
        (Ddpm(), "up.0.block.1.temb_proj.bias", None),
        (Ddpm(), "conv_in.weight", None),
        (Drunet(width=4, blocks=1), "m_up2.0.weight", None),
        (ffdnet(channels=3, width=8, depth=4), "model.2.bias", None),
    ],
)
def test_a_key_that_is_missing_misshapen_left_over_or_not_finite_is_named(imported, network, key, facts) -> None:
    whole = network.state_dict()
    without = {name: tensor for name, tensor in whole.items() if name != key}
    with pytest.raises(PriorError, match=f"it lacks {key}"):
        imported(without, facts=facts)
    with pytest.raises(PriorError, match=f"no place is known for {key}.extra"):
        imported(whole | {f"{key}.extra": torch.zeros(1)}, facts=facts)
    with pytest.raises(PriorError, match=f"not finite are {key}"):
        imported(whole | {key: torch.full_like(whole[key], torch.nan)}, facts=facts)
    if not key.endswith("0.weight") and key != "conv_in.weight":  # needed for the architecture
        with pytest.raises(PriorError, match=f"of another shape are {key} .*instead of"):
            imported(whole | {key: torch.zeros(5, 5)}, facts=facts)


def test_of_many_wrong_keys_a_few_are_named(imported) -> None:
    state = Ddpm().state_dict()
    without = {key: tensor for key, tensor in state.items() if not key.startswith("up.0")}
    with pytest.raises(PriorError, match=r"it lacks up\.0\.\S+, up\.0\.\S+, up\.0\.\S+ and \d+ more$"):
        imported(without)


@pytest.mark.parametrize(
    ("network", "options", "says"),
    [
        (Adm(), {"facts": Facts(num_heads=3)}, r"64 channels of attention .*cannot be divided by num_heads 3"),
        (Adm(), {"facts": Facts(max_noise=0.2)}, "max_noise mean nothing for a network of kind adm"),
        (Drunet(), {"facts": Facts(num_heads=3)}, "num_heads mean nothing"),
        (Ddpm(), {"kind": "adm"}, r"not a whole adm network: it lacks input_blocks\.0\.0\.weight"),
        (Ddpm(), {"kind": "diffusers"}, "is a file; give the directory"),
    ],
)
def test_options_that_do_not_fit_are_refused(imported, network, options, says) -> None:
    with pytest.raises(PriorError, match=says):
        imported(network, **options)


def test_facts_out_of_range_or_in_contradiction_are_refused() -> None:
    with pytest.raises(PriorError, match="say the same thing"):
        Facts(num_heads=4, num_head_channels=64)
    with pytest.raises(PriorError, match="diffusion_steps must be above 0, got 0"):
        Facts(diffusion_steps=0)


def test_a_prior_that_is_here_is_not_overwritten(imported, tmp_path, monkeypatch) -> None:
    network = drawn(Drunet(width=4, blocks=1))
    imported(network)
    with pytest.raises(PriorError, match=r"'.*mine' is here already; delete .* or choose another name"):
        imported(network)
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path))
    for name, says in (("ffdnet", "models fetch ffdnet"), (" ", "no name for a prior")):
        with pytest.raises(PriorError, match=says):
            import_prior(tmp_path / "checkpoint.pt", name=name)
    with pytest.raises(PriorError, match="nowhere is not there"):
        import_prior(tmp_path / "nowhere", name="other")
