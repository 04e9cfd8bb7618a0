"""Published architectures once more, in plain torch and independent of deqir, with the names of their checkpoints.

ADM after Dhariwal and Nichol (2021), DDPM after Ho et al. (2020). They are slow and
simple: loops over heads, one line for each rule. All parameters are random, norms included, so no two can be
confused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Order = Literal["legacy", "new"]


def drawn(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with every parameter drawn at random, small enough for float32 to keep five digits."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        fan = max(1, parameter[0].numel()) if parameter.ndim > 1 else 25
        noise = torch.randn(parameter.shape, generator=generator) / math.sqrt(fan)
        parameter.data = noise + (1.0 if "norm" in name and name.endswith("weight") else 0.0)
    return network.eval().requires_grad_(False)


def sinusoids(t: Tensor, width: int, *, last: int) -> Tensor:
    """Angles t / 10000^(k / last) for k < width / 2, in float32, as all published networks have learned them."""
    k = torch.arange(width // 2, dtype=torch.float32)
    return t.float()[:, None] * torch.exp(-math.log(10000) * k / last)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention of one head over (N, D, H, W)."""
    scores = torch.einsum("ndp,ndq->npq", q.flatten(2), k.flatten(2)) / math.sqrt(q.shape[1])
    return torch.einsum("npq,ndq->ndp", scores.softmax(-1), v.flatten(2)).view_as(v)


def named(**modules: nn.Module) -> nn.ModuleDict:
    """Modules by name; names of numbers begin with an underscore: _0, _2."""
    return nn.ModuleDict({name.lstrip("_"): module for name, module in modules.items()})


class AdmBlock(nn.Module):
    """A residual block with the noise level as input, which may halve or double the image."""

    def __init__(self, inputs: int, outputs: int, told: int, *, scale_shift: bool, resize: str = "") -> None:
        super().__init__()
        self.in_layers = named(_0=nn.GroupNorm(32, inputs), _2=nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = named(_1=nn.Linear(told, outputs * (2 if scale_shift else 1)))
        self.out_layers = named(_0=nn.GroupNorm(32, outputs), _3=nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip_connection = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.scale_shift, self.resize = scale_shift, resize

    def resized(self, x: Tensor) -> Tensor:
        if self.resize == "half":
            return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
        return x.repeat_interleave(2, -1).repeat_interleave(2, -2) if self.resize == "double" else x

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        h = self.in_layers["2"](self.resized(functional.silu(self.in_layers["0"](x))))
        level = self.emb_layers["1"](functional.silu(told))[..., None, None]
        if self.scale_shift:
            scale, shift = level[:, : h.shape[1]], level[:, h.shape[1] :]
            h = self.out_layers["0"](h) * (1 + scale) + shift
        else:
            h = self.out_layers["0"](h + level)
        return self.skip_connection(self.resized(x)) + self.out_layers["3"](functional.silu(h))


class AdmAttention(nn.Module):
    """Self-attention with query, key and value from one convolution, in one of two orders."""

    def __init__(self, width: int, heads: int, order: Order) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, width)
        self.qkv, self.proj_out = nn.Conv1d(width, 3 * width, 1), nn.Conv1d(width, width, 1)
        self.heads, self.order = heads, order

    def forward(self, x: Tensor) -> Tensor:
        n, width = x.shape[:2]
        qkv, each = self.qkv(self.norm(x).flatten(2)), width // self.heads
        seen = []
        for head in range(self.heads):
            if self.order == "legacy":  # head by head: its query, its key, its value
                starts = [(3 * head + part) * each for part in range(3)]
            else:  # all queries, all keys, all values
                starts = [part * width + head * each for part in range(3)]
            seen.append(attend(*(qkv[:, start : start + each] for start in starts)))
        return x + self.proj_out(torch.cat(seen, 1)).view(n, width, *x.shape[2:])


class Convolved(nn.Module):
    """A named convolution which halves the image, or doubles it first."""

    def __init__(self, width: int, *, half: bool) -> None:
        super().__init__()
        if half:
            self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)
        else:
            self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.half = half

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x) if self.half else self.conv(functional.interpolate(x, scale_factor=2, mode="nearest"))


class Adm(nn.Module):
    """The UNet of guided-diffusion; `attention` holds the scales with attention, 0 the finest."""

    def __init__(
        self,
        *,
        channels: int = 3,
        outputs: int = 6,
        base: int = 32,
        factors: Sequence[float] = (1, 2),
        blocks: int = 1,
        attention: Sequence[int] = (1,),
        heads: int | None = None,
        head_channels: int | None = 16,
        order: Order = "legacy",
        updown: bool = True,
        scale_shift: bool = True,
        classes: int = 0,
    ) -> None:
        super().__init__()
        widths, told = [int(base * factor) for factor in factors], 4 * base
        last = len(widths) - 1

        def block(inputs: int, width: int, resize: str = "") -> AdmBlock:
            return AdmBlock(inputs, width, told, scale_shift=scale_shift, resize=resize)

        def attend_at(width: int) -> AdmAttention:
            return AdmAttention(width, heads or width // (head_channels or width), order)

        def stage(*modules: nn.Module) -> nn.ModuleList:
            return nn.ModuleList(modules)

        self.base = base
        self.time_embed = named(_0=nn.Linear(base, told), _2=nn.Linear(told, told))
        if classes:
            self.label_emb = nn.Embedding(classes, told)
        stages, skips, width = [stage(nn.Conv2d(channels, widths[0], 3, padding=1))], [widths[0]], widths[0]
        for scale, wanted in enumerate(widths):
            for _ in range(blocks):
                stages.append(stage(block(width, wanted), *([attend_at(wanted)] if scale in attention else [])))
                width = wanted
                skips.append(width)
            if scale < last:
                stages.append(stage(block(width, width, "half") if updown else Convolved(width, half=True)))
                skips.append(width)
        self.input_blocks = nn.ModuleList(stages)
        self.middle_block = stage(block(width, width), attend_at(width), block(width, width))
        stages = []
        for scale in reversed(range(last + 1)):
            for number in range(blocks + 1):
                parts: list[nn.Module] = [block(width + skips.pop(), widths[scale])]
                width = widths[scale]
                if scale in attention:
                    parts.append(attend_at(width))
                if scale and number == blocks:
                    parts.append(block(width, width, "double") if updown else Convolved(width, half=False))
                stages.append(stage(*parts))
        self.output_blocks = nn.ModuleList(stages)
        self.out = named(_0=nn.GroupNorm(32, width), _2=nn.Conv2d(width, outputs, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        angles = sinusoids(t, self.base, last=self.base // 2)
        waves = torch.cat([angles.cos(), angles.sin()], 1).to(x)
        told = self.time_embed["2"](functional.silu(self.time_embed["0"](waves)))

        def through(stage: nn.ModuleList, h: Tensor) -> Tensor:
            for module in stage:
                h = module(h, told) if isinstance(module, AdmBlock) else module(h)
            return h

        h, passed = x, []
        for stage in self.input_blocks:
            h = through(stage, h)
            passed.append(h)
        h = through(self.middle_block, h)
        for stage in self.output_blocks:
            h = through(stage, torch.cat([h, passed.pop()], 1))
        return self.out["2"](functional.silu(self.out["0"](h)))


class DdpmBlock(nn.Module):
    """A residual block to which the noise level is added."""

    def __init__(self, inputs: int, outputs: int, told: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(32, inputs, eps=1e-6), nn.GroupNorm(32, outputs, eps=1e-6)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.temb_proj = nn.Linear(told, outputs)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)
        self.changes = inputs != outputs

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        h = self.conv1(functional.silu(self.norm1(x))) + self.temb_proj(functional.silu(told))[..., None, None]
        h = self.conv2(functional.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if self.changes else x)


class DdpmAttention(nn.Module):
    """Self-attention of one head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        return x + self.proj_out(attend(self.q(h), self.k(h), self.v(h)))


class Ddpm(nn.Module):
    """The UNet of DDPM; `attention` holds the scales with attention, 0 the finest."""

    def __init__(
        self, *, base: int = 32, factors: Sequence[int] = (1, 2), blocks: int = 1, attention: Sequence[int] = (1,)
    ) -> None:
        super().__init__()
        widths, told, last = [base * factor for factor in factors], 4 * base, len(factors) - 1
        self.base, self.blocks = base, blocks
        self.temb = named(dense=nn.ModuleList([nn.Linear(base, told), nn.Linear(told, told)]))
        self.conv_in = nn.Conv2d(3, base, 3, padding=1)
        self.down, self.up, skips, width = nn.ModuleList(), nn.ModuleList(), [base], base
        for scale, wanted in enumerate(widths):
            part = named(block=nn.ModuleList(), attn=nn.ModuleList())
            for _ in range(blocks):
                part["block"].append(DdpmBlock(width, wanted, told))
                width = wanted
                skips.append(width)
                if scale in attention:
                    part["attn"].append(DdpmAttention(width))
            if scale < last:
                part["downsample"] = named(conv=nn.Conv2d(width, width, 3, stride=2))
                skips.append(width)
            self.down.append(part)
        middle = {"block_1": DdpmBlock(width, width, told), "attn_1": DdpmAttention(width)}
        self.mid = nn.ModuleDict(middle | {"block_2": DdpmBlock(width, width, told)})
        for scale in reversed(range(last + 1)):
            part = named(block=nn.ModuleList(), attn=nn.ModuleList())
            for _ in range(blocks + 1):
                part["block"].append(DdpmBlock(width + skips.pop(), widths[scale], told))
                width = widths[scale]
                if scale in attention:
                    part["attn"].append(DdpmAttention(width))
            if scale:
                part["upsample"] = named(conv=nn.Conv2d(width, width, 3, padding=1))
            self.up.insert(0, part)
        self.norm_out, self.conv_out = nn.GroupNorm(32, width, eps=1e-6), nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        angles = sinusoids(t, self.base, last=self.base // 2 - 1)
        waves = torch.cat([angles.sin(), angles.cos()], 1).to(x)
        told = self.temb["dense"][1](functional.silu(self.temb["dense"][0](waves)))
        passed = [self.conv_in(x)]
        for part in self.down:
            for number in range(self.blocks):
                h = part["block"][number](passed[-1], told)
                passed.append(part["attn"][number](h) if len(part["attn"]) else h)
            if "downsample" in part:  # one row and column of zeros, below and on the right only
                passed.append(part["downsample"]["conv"](functional.pad(passed[-1], (0, 1, 0, 1))))
        h = self.mid["block_2"](self.mid["attn_1"](self.mid["block_1"](passed[-1], told)), told)
        for part in reversed(self.up):
            for number in range(self.blocks + 1):
                h = part["block"][number](torch.cat([h, passed.pop()], 1), told)
                h = part["attn"][number](h) if len(part["attn"]) else h
            if "upsample" in part:
                h = part["upsample"]["conv"](h.repeat_interleave(2, -1).repeat_interleave(2, -2))
        return self.conv_out(functional.silu(self.norm_out(h)))
