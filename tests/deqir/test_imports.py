"""`deqir` stands alone: torch, numpy, pillow, safetensors and torch's own dependencies are enough."""

from __future__ import annotations

from tests.processes import python

ALONE = """
import importlib.metadata as metadata, re, sys

def name(text): return re.match(r"[A-Za-z0-9._-]+", text).group().lower().replace("_", "-")

allowed, todo = set(), ["torch", "numpy", "pillow", "safetensors"]
while todo:
    one = name(todo.pop())
    if one in allowed:
        continue
    try:
        needs = metadata.requires(one) or []
    except metadata.PackageNotFoundError:
        continue
    allowed.add(one)
    todo += [need for need in needs if "extra ==" not in need]
owners = metadata.packages_distributions()
blocked = {top for top, owner in owners.items() if not any(name(o) in allowed for o in owner)} - {"deqir"}

class Refuse:
    def find_spec(self, module, path=None, target=None):
        if module.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"blocked: {module}", name=module)

sys.meta_path.insert(0, Refuse())
assert {"jaxtyping", "diffusers", "boto3", "pydantic", "scipy"} <= blocked, sorted(blocked)

import torch, deqir
from deqir import models
from deqir.pretrained import lpips
prior = deqir.load_prior(sys.argv[1], device="cpu")
keep = torch.rand(8, 8, generator=torch.Generator().manual_seed(0)) > 0.5
operators = deqir.operators
for A in (operators.SuperResolution(scale=2), operators.Inpainting(keep=keep), operators.Colorization()):
    for mode in ("throughput", "latency", "paper"):
        y = A(torch.zeros(1, 3, 8, 8))
        assert deqir.Restorer(prior, steps=3, mode=mode)(y, A).images.shape == (1, 3, 8, 8)
print(*sorted(top for top in {m.partition(".")[0] for m in sys.modules} if top in blocked))
"""


def test_it_imports_and_restores_with_nothing_else_installed(tiny_prior) -> None:
    done = python("-W", "error", "-c", ALONE, tiny_prior)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_every_public_name_is_there_once_it_is_asked_for() -> None:
    import deqir

    assert set(deqir.__all__) <= set(dir(deqir))
    assert all(getattr(deqir, name) is not None for name in deqir.__all__)
    assert {*deqir._HOMES, "__version__", "metrics", "operators"} == set(deqir.__all__)
