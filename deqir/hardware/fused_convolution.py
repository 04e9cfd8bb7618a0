"""A convolution and its ReLU in one kernel, if there is such a kernel."""

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

    cuDNN takes half the time for both at once: a pass over the planes takes as long as a 3 x 3 convolution of 96 of
    them (docs/performance.md). Its kernel has no derivative and ignores autocast, so autocast's precision is set here.
    """
    if h.is_cuda and torch.version.cuda is not None and not torch.is_grad_enabled():
        dtype = autocast_dtype("cuda") or h.dtype
        if dtype in FUSED and convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str):
            weight, bias = convolution.weight.to(dtype), convolution.bias
            bias = None if bias is None else bias.to(dtype)
            geometry = convolution.stride, convolution.padding, convolution.dilation
            try:
                return torch.cudnn_convolution_relu(h.to(dtype), weight, bias, *geometry, convolution.groups)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:
                pass  # cuDNN has no such kernel for this device or these sizes
    positive: Tensor = functional.relu(convolution(h), inplace=True)
    return positive
