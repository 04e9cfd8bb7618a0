"""Restore one image: python examples/restore_one_image.py small.png large.png"""

from __future__ import annotations

import sys

import numpy as np
import torch
from PIL import Image

import deqir

source, destination = sys.argv[1:]
pixels = torch.from_numpy(np.array(Image.open(source).convert("RGB")))
y = pixels.permute(2, 0, 1)[None] / 127.5 - 1  # the degraded image: [1, 3, h, w] in [-1, 1]

restorer = deqir.Restorer(deqir.load_prior("bundled"))
result = restorer(y, deqir.operators.SuperResolution(scale=4), seeds=[7])

x = ((result.images[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0)
Image.fromarray(x.numpy()).save(destination)
stats = result.stats[0]
print(f"{destination}: {stats.outcome}, {stats.rounds} rounds, {stats.nfe} network evaluations")
