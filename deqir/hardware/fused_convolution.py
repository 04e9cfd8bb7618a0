"""A convolution and what follows it, in one kernel where there is one."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.shapes import Float

from .devices import autocast_dtype

FUSED: Final = (torch.float32, torch.float16, torch.bfloat16)


def rectified(convolution: nn.Conv2d, h: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D _ _"]:
    """Return the ReLU of a convolution.

    cuDNN takes half the time where it does both at once, which has no derivative: a pass over the planes takes as long
    as a 3 x 3 convolution of 96 of them (docs/performance.md). It knows no autocast; the precision is that which
    autocast asks for.
    """
    if h.is_cuda and torch.version.cuda is not None and not torch.is_grad_enabled():
        dtype = autocast_dtype("cuda") or h.dtype
        if dtype in FUSED and convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str):
            weight, bias = convolution.weight.to(dtype), convolution.bias
            bias = None if bias is None else bias.to(dtype)
            how = convolution.stride, convolution.padding, convolution.dilation
            try:
                return torch.cudnn_convolution_relu(h.to(dtype), weight, bias, *how, convolution.groups)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:
                pass  # it has no such kernel for this device or these sizes
    made: Tensor = functional.relu(convolution(h), inplace=True)
    return made
