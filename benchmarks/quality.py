"""The quality of priors: python -m benchmarks.quality --prior ffdnet --prior .training/mine

PSNR, SSIM and LPIPS on the ten test photographs, whole images of --size pixels, default settings. With
--guide real-esrgan (and --esrgan for esrgan-thick) also the enlarging networks by themselves, and chains started
from their images. Results are kept in quality.json in --out: a second run measures only missing results.
quality.md has the tables of means.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from deqir import Restorer, load_prior
from deqir.metrics import psnr, ssim
from deqir.models import REAL_ESRGAN, fetch_model
from deqir.operators import KernelSuperResolution, SuperResolution
from deqir.pretrained.lpips import Lpips, load_lpips
from deqir.pretrained.real_esrgan import load_real_esrgan
from deqir.pretrained.rrdb import SCALE
from deqir.priors import FETCHABLE, Prior
from deqir.protocols import LinearOperator

from .command import RESULTS
from .environment import environment
from .esrgan import EsrganThick
from .tasks import TASKS, Task
from .test_set import middle_square, photograph_paths

PURE_NOISE: Final = 4.0
ESRGAN: Final = "esrgan-thick"

Enlarging = Callable[[Tensor, tuple[int, int]], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way of restoring.

    Attributes:
        name: "simple" (bicubic, Wiener deconvolution, diffused fill, grey), "start" (of the chain), an enlarging
            network's or a prior's name.
        digest: Of the prior's weights; empty for the others.
        start_noise: Noise of the start for images in [0, 1]; 0: the operator's.
        steps: Of the chain; 0: the default.
        guide: The enlarging network whose result is the start; empty: none.
    """

    name: str
    digest: str = ""
    start_noise: float = 0.0
    steps: int = 0
    guide: str = ""

    @property
    def label(self) -> str:
        if self.name == self.guide:
            return self.name
        name = f"{self.name} from {self.guide}" if self.guide else self.name
        noise = f", start noise {self.start_noise:g}" if self.start_noise else ""
        return f"{name}{noise}{f', T = {self.steps}' if self.steps else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The scores of a method on one photograph."""

    method: Method
    task: str
    photograph: str
    size: int
    psnr: float
    ssim: float
    lpips: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """The networks of all methods.

    Attributes:
        priors: Priors by digest.
        enlarging: Networks by name; each takes y and the height and width to make of it.
    """

    priors: Mapping[str, Prior]
    enlarging: Mapping[str, Enlarging]

    def restore(self, method: Method, y: Tensor, task: Task, A: LinearOperator) -> Tensor:
        """Return the restored image of a method."""
        if method.name == "simple":
            return task.rival(A, y)
        if method.name == "start":
            return A.start(y)
        _, height, width = A.image_shape(tuple(y.shape))
        start = self.enlarging[method.guide](y, (height, width)) if method.guide else None
        if start is not None and method.name == method.guide:
            return start
        restorer = Restorer(
            self.priors[method.digest], start_noise=method.start_noise or None, steps=method.steps or 20
        )
        return restorer(y, A, sigma_y=2 * task.told, start=start).images


def fits(method: Method, A: LinearOperator) -> bool:
    """Return True if a method suits this degradation; an enlarging network suits enlargement by 4 only."""
    if not method.guide:
        return True
    scale = A.scale if isinstance(A, SuperResolution | KernelSuperResolution) else None
    return scale == SCALE if method.guide == ESRGAN else scale is not None


def measure(method: Method, means: Means, name: str, photograph: str, x: Tensor, lpips: Lpips) -> Record:
    """Degrade, restore and score one photograph."""
    size, task = x.shape[-1], TASKS[name]
    A = task.operator(size)
    y = task.observe(A, x)
    began = time.perf_counter()
    image = means.restore(method, y, task, A)
    seconds = time.perf_counter() - began
    found = scores(task.shown(A, image), task.shown(A, x), lpips)
    return Record(method=method, task=name, photograph=photograph, size=size, seconds=seconds, **found)


def scores(image: Tensor, x: Tensor, lpips: Lpips) -> dict[str, float]:
    """Return PSNR in dB, SSIM and LPIPS to the original."""
    image = image.clamp(-1, 1)
    return {"psnr": float(psnr(image, x)), "ssim": float(ssim(image, x)), "lpips": float(lpips(image, x))}


def tables(records: Sequence[Record]) -> str:
    """Return one table of means over photographs: tasks down, methods across."""
    methods = list(dict.fromkeys(record.method for record in records))
    tasks = [task for task in TASKS if any(record.task == task for record in records)]
    lines = ["PSNR in dB / SSIM / LPIPS to the original, means over as many photographs as every method was given.", ""]
    lines += [f"| task | {' | '.join(method.label for method in methods)} |", "|---" * (len(methods) + 1) + "|"]
    for task in tasks:
        here = [record for record in records if record.task == task]
        given = [{record.photograph for record in here if record.method == method} for method in methods]
        shared = set.intersection(*(names for names in given if names))
        common = [record for record in here if record.photograph in shared]
        cells = [_cell([record for record in common if record.method == method]) for method in methods]
        lines.append(f"| {task} ({len(shared)}) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(records: Sequence[Record]) -> str:
    if not records:
        return ""
    psnrs, ssims, distances = (
        sum(getattr(record, field) for record in records) / len(records) for field in ("psnr", "ssim", "lpips")
    )
    return f"{psnrs:.2f} / {ssims:.3f} / {distances:.3f}"


def main() -> None:
    """Measure missing results, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", action="append", default=[], help="a prior's name or folder (may be given again)")
    parser.add_argument("--task", action="append", choices=list(TASKS), help="this task alone (may be given again)")
    parser.add_argument(
        "--start-noise", type=float, action="append", help="of the start, instead of the operator's (again: each)"
    )
    parser.add_argument("--steps", type=int, default=0, help="of the chains; 0: the default")
    parser.add_argument("--pure-noise", action="store_true", help="also the chain of 100 steps from pure noise")
    parser.add_argument("--guide", action="append", default=[], choices=[REAL_ESRGAN], help="start from it, too")
    parser.add_argument("--esrgan", type=Path, help="models/x4 of @upscalerjs/esrgan-thick: start from it, too")
    parser.add_argument("--photographs", type=int, default=10, help="how many of the ten")
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in ("lpips", *options.guide, *(name for name in options.prior if name in FETCHABLE)):
        fetch_model(name)
    lpips, means = load_lpips(device="cpu"), means_of(options)
    methods = methods_of(options, means)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "quality.json"
    records = _read(path)
    known = {(record.method, record.task, record.photograph, record.size) for record in records}
    names = list(photograph_paths().items())[: options.photographs]
    for task in options.task or TASKS:
        for name, file in names:
            x = middle_square(file, options.size)
            for method in methods:
                if (method, task, name, options.size) not in known and fits(method, TASKS[task].operator(options.size)):
                    records.append(measure(method, means, task, name, x, lpips))
            _write(path, records)
        print(tables([record for record in records if record.task == task]), flush=True)
    (options.out / "quality.md").write_text(tables(records), encoding="utf-8")


def means_of(options: argparse.Namespace) -> Means:
    """Return the requested networks."""
    priors = [load_prior(name, device="cpu") for name in options.prior]
    enlarging = dict[str, Enlarging]()
    if REAL_ESRGAN in options.guide:
        enlarging[REAL_ESRGAN] = load_real_esrgan(device="cpu").enlarged
    if options.esrgan is not None:
        thick = EsrganThick(options.esrgan)
        enlarging[ESRGAN] = lambda y, size: thick(y).clamp(-1, 1)
    return Means(priors={prior.digest: prior for prior in priors}, enlarging=enlarging)


def methods_of(options: argparse.Namespace, means: Means) -> list[Method]:
    """Return the methods to compare, the simplest first."""
    methods = [
        Method(name="simple"),
        Method(name="start"),
        *(Method(name=name, guide=name) for name in means.enlarging),
    ]
    for prior in means.priors.values():
        plain = Method(name=prior.name, digest=prior.digest, steps=options.steps)
        for noise in options.start_noise or [0.0]:
            if noise <= prior.max_noise:
                started = replace(plain, start_noise=noise)
                methods += [started, *(replace(started, guide=name) for name in means.enlarging)]
        if options.pure_noise and prior.max_noise >= PURE_NOISE:
            methods.append(replace(plain, start_noise=PURE_NOISE, steps=100))
    return methods


def _read(path: Path) -> list[Record]:
    if not path.exists():
        return []
    rows = json.loads(path.read_text(encoding="utf-8"))["records"]
    return [Record(**(row | {"method": Method(**row["method"])})) for row in rows]


def _write(path: Path, records: Sequence[Record]) -> None:
    rows = [asdict(record) for record in records]
    for row in rows:
        for name in ("psnr", "ssim", "lpips", "seconds"):
            row[name] = round(row[name], 5)
    path.write_text(json.dumps({"environment": environment(), "records": rows}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
