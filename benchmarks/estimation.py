"""Estimators and the misfit check on photographs with known degradations: python -m benchmarks.estimation.

The photographs are the ten of benchmarks.test_set and nine more of scikit-image's; the constants of deqir.estimation
were chosen on other photographs, the training photographs of priors.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
import skimage
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from deqir.estimation import (
    Misfit,
    check_fit,
    estimate_blur,
    estimate_jpeg,
    estimate_noise,
    estimate_upscaling,
    propose_damage,
)
from deqir.operators import Denoising, KernelSuperResolution, SeparableDeblurring, SuperResolution, kernels
from deqir.protocols import LinearOperator

from .diagnosing import compressed_table, kind_table
from .test_set import photograph_paths

MORE: Final = (
    "ihc.png", "retina.jpg", "hubble_deep_field.jpg", "camera.png", "coins.png", "brick.png", "grass.png",
    "gravel.png", "moon.png",
)  # fmt: skip
SIDE: Final = 384
CROPS: Final = 2
TEN: Final = 10 * CROPS
FIRST, OTHERS = slice(TEN), slice(TEN, None)
RIGHT: Final = ("none", "sr2", "sr4", "bicubic4", "blur1", "blur2", "blur4", "blur8")
WRONG: Final = (
    ("blur told as downsampling by 4", "sr4", ("blur0.7", "blur1", "blur1.5", "blur2", "blur4", "blur8")),
    ("downsampling by 4 told as blur", "sr4", ("told blur1", "told blur2", "told blur4", "told blur8")),
    ("blur half as wide as told", "", ("blur1 told blur2", "blur2 told blur4", "blur4 told blur8")),
    ("blur twice as wide as told", "", ("blur2 told blur1", "blur4 told blur2", "blur8 told blur4")),
    ("wrong scale", "", ("sr2 told sr4", "sr4 told sr2", "up2 told sr4", "up4 told sr4")),
    (
        "noise told as none",
        "",
        tuple(f"{made}+noise{sigma} told {made}" for made in ("sr4", "blur2", "none") for sigma in (2, 5, 10)),
    ),
)


def crops() -> list[Tensor]:
    """Return parts of every photograph in 8-bit levels, shape (3, H, W), sides divisible by 8."""
    paths = list(photograph_paths().values())
    paths += [Path(skimage.__file__).parent / "data" / name for name in MORE]
    draw, found = np.random.default_rng(0), list[Tensor]()
    for path in paths:
        image = Image.open(path).convert("RGB")
        side = min(SIDE, min(image.size) // 8 * 8)
        for _ in range(CROPS):
            left, top = (int(draw.integers(length - side + 1)) for length in image.size)
            part = image.crop((left, top, left + side, top + side))
            found.append(torch.from_numpy(np.array(part)).permute(2, 0, 1).float())
    return found


def operator(name: str) -> LinearOperator:
    """Return the degradation of a name: none, sr4, bicubic4, blur1.5."""
    if name == "none":
        return Denoising()
    if name.startswith("bicubic"):
        return KernelSuperResolution(scale=int(name[7:]))
    if name.startswith("sr"):
        return SuperResolution(scale=int(name[2:]))
    return SeparableDeblurring(kernel=kernels.gaussian(float(name[4:])))


def degraded(levels: Tensor, how: str) -> Tensor:
    """Return y in [-1, 1], in 8 bits: "blur2+noise5" blurs by 2 pixels and adds noise of 5 levels, "up4" enlarges."""
    name, _, noise = how.partition("+noise")
    if name.startswith("up"):
        small = functional.avg_pool2d(levels[None], int(name[2:]))
        y = functional.interpolate(small, levels.shape[-2:], mode="bicubic", align_corners=False)[0]
    else:
        y = (operator(name)(levels[None] / 127.5 - 1)[0] + 1) * 127.5
    if noise:
        y = y + float(noise) * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    return y.round().clamp(0, 255) / 127.5 - 1


def judged(images: Sequence[Tensor], made: str, told: str, *, noise: float = 0.0) -> list[Misfit]:
    """Return the misfit of y of each image and an operator; images too small to judge are not suspected."""
    A, unknown = operator(told), Misfit(softer=0.0, sharper=0.0, unlike=0.0, noisier=0.0)
    return [check_fit(degraded(image, made), A, sigma_y=noise / 127.5) or unknown for image in images]


def of(misfits: Sequence[Misfit]) -> str:
    return f"{sum(misfit.suspect for misfit in misfits)} of {len(misfits)}"


def share(misfits: Sequence[Misfit], threshold: float = 1.0) -> float:
    return sum(misfit.score > threshold for misfit in misfits) / len(misfits)


def area(right: Sequence[Misfit], wrong: Sequence[Misfit]) -> float:
    """Return the area under the ROC, the share of pairs with a wrong image above a right image; ties count half."""
    pairs = [(bad.score > good.score) + (bad.score == good.score) / 2 for good in right for bad in wrong]
    return sum(pairs) / len(pairs)


def misfit_tables(images: Sequence[Tensor]) -> Iterable[str]:
    """Yield the tables of right and of wrong operators."""
    right = dict[str, list[Misfit]]()
    for name in RIGHT:
        right[name] = judged(images, name, name)
    for name, sigma in (("sr4", 10), ("blur2", 5), ("none", 25)):
        right[f"{name}+noise{sigma}, told"] = judged(images, f"{name}+noise{sigma}", name, noise=sigma)
    everything = [misfit for some in right.values() for misfit in some]
    yield "| right operator | parts of the ten photographs suspected | of the nine other pictures |\n|---|---|---|"
    for name, some in right.items():
        yield f"| {name} | {of(some[FIRST])} | {of(some[OTHERS])} |"
    firsts, others = ([misfit for some in right.values() for misfit in some[part]] for part in (FIRST, OTHERS))
    yield f"| **all** | **{of(firsts)}** | **{of(others)}** |"
    yield "\n| wrong assumption | case | suspected | at 5 % false alarms | area under the ROC |\n|---|---|---|---|---|"
    limit = sorted(misfit.score for misfit in everything)[int(0.95 * len(everything))]
    for title, default, cases in WRONG:
        for case in cases:
            made, _, told = case.rpartition("told ") if "told " in case else (case, "", default)
            some = judged(images, made.strip() or default, told)
            yield f"| {title} | {case} | {share(some):.0%} | {share(some, limit):.0%} | {area(everything, some):.3f} |"


def noise_table(images: Sequence[Tensor]) -> Iterable[str]:
    """Yield the estimates of noise on photographs of half their size, which have little noise of their own."""
    yield "| noise, levels | median | 5 % | 95 % | in the interval |\n|---|---|---|---|---|"
    for sigma in (0.0, 2.0, 5.0, 10.0, 25.0):
        some = [estimate_noise(degraded(image, f"sr2+noise{sigma}" if sigma else "sr2")) for image in images]
        yield row(
            sigma, [(each.sigma.value * 255, each.sigma.low * 255, each.sigma.high * 255) for each in some if each]
        )


def blur_table(images: Sequence[Tensor]) -> Iterable[str]:
    """Yield the estimates of blur on the original photographs."""
    yield "| blur, pixels | median | 5 % | 95 % | in the interval | no estimate |\n|---|---|---|---|---|---|"
    for sigma in (0.0, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0):
        some = [estimate_blur(degraded(image, f"blur{sigma}" if sigma else "none")) for image in images]
        known = [(each.value, each.low, each.high) for each in some if each]
        yield f"{row(sigma, known)} {len(some) - len(known)} of {len(some)} |"


def row(truth: float, found: Sequence[tuple[float, float, float]]) -> str:
    values = sorted(value for value, _, _ in found)
    low, high = (values[int(place * (len(values) - 1))] for place in (0.05, 0.95))
    inside = sum(least <= truth <= most for _, least, most in found) / len(found)
    return f"| {truth:g} | {median(values):.2f} | {low:.2f} | {high:.2f} | {inside:.0%} |"


def jpeg_table(images: Sequence[Tensor]) -> Iterable[str]:
    """Yield the share of JPEGs with their quality found, on photographs of half their size."""
    yield "| JPEG quality | found exactly | found otherwise | not found |\n|---|---|---|---|"
    small = [degraded(image, "sr2") for image in images]
    never = [estimate_jpeg(image) for image in small]
    yield f"| never a JPEG | | {sum(found is not None for found in never)} | {sum(found is None for found in never)} |"
    for quality in (30, 50, 75, 90, 95, 97):
        some = [estimate_jpeg(compressed(image, quality)) for image in small]
        exact = sum(found is not None and found.quality == quality for found in some)
        none = sum(found is None for found in some)
        yield f"| {quality} | {exact} | {len(some) - exact - none} | {none} |"


def compressed(image: Tensor, quality: int) -> Tensor:
    """Return an image in [-1, 1] after JPEG compression."""
    buffer = io.BytesIO()
    values = ((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(values).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1) / 127.5 - 1


def upscaling_table(images: Sequence[Tensor]) -> Iterable[str]:
    """Yield the share of enlargements with their scale found."""
    yield "| enlarged | by | found | a multiple or another | not found |\n|---|---|---|---|---|"
    plain = [estimate_upscaling(degraded(image, "sr2")) for image in images]
    yield f"| not at all | 1 | | {sum(map(bool, plain))} | {sum(each is None for each in plain)} |"
    for method in (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
        for scale in (2, 2.5, 3, 4, 6):
            some = [estimate_upscaling(enlarged(image, scale, method)) for image in images]
            right = sum(each is not None and abs(each.scale / scale - 1) < 0.05 for each in some)
            none = sum(each is None for each in some)
            yield f"| {method.name.lower()} | {scale:g} | {right} | {len(some) - right - none} | {none} |"


def damage_table(images: Sequence[Tensor]) -> Iterable[str]:
    """Yield the accuracy of marks on drawn scratches of a contrast of 40 levels or more to the hidden pixels."""
    yield "| | median | 5 % | 95 % |\n|---|---|---|---|"
    shares: dict[str, list[float]] = {
        "scratched pixels marked": [],
        "marks within 2 pixels of one": [],
        "no scratch: marked": [],
    }
    none = 0
    for index, image in enumerate(images):
        lines = scratches(image.shape[-2:], seed=index)
        hurt = torch.where(lines, 245.0, image)
        clean, found = propose_damage(degraded(image, "none")), propose_damage(degraded(hurt, "none"))
        none += (clean is None) + (found is None)
        if clean is not None:
            shares["no scratch: marked"].append(clean.share)
        if found is not None:
            seen = lines & ((hurt - image).abs().mean(0) >= 40)
            near = functional.max_pool2d(lines[None].float(), 5, 1, 2)[0] > 0
            shares["scratched pixels marked"].append(float((found.mask & seen).sum() / seen.sum().clamp(min=1)))
            shares["marks within 2 pixels of one"].append(float((found.mask & near).sum() / found.mask.sum()))
    for name, some in shares.items():
        low, middle, high = torch.tensor(some).quantile(torch.tensor([0.05, 0.5, 0.95])).tolist()
        yield f"| {name} | {middle:.1%} | {low:.1%} | {high:.1%} |"
    yield f"\nNo proposal: {none} of {2 * len(images)}."


def scratches(shape: tuple[int, int] | torch.Size, *, seed: int) -> Tensor:
    """Return six straight scratches, one to three pixels wide, as a mask of shape (H, W)."""
    draw, plane = np.random.default_rng(seed), Image.new("L", (shape[1], shape[0]))
    for _ in range(6):
        start = draw.integers(0, shape[::-1])
        end = start + draw.integers(-150, 150, 2)
        ImageDraw.Draw(plane).line([*start.tolist(), *end.tolist()], fill=255, width=int(draw.integers(1, 4)))
    return torch.from_numpy(np.array(plane)) > 0


def enlarged(levels: Tensor, scale: float, method: Image.Resampling) -> Tensor:
    """Return half a photograph, of half its size, enlarged."""
    small = functional.avg_pool2d(levels[None], 2)[0, :, :144, :144].round().byte().permute(1, 2, 0).numpy()
    size = (round(scale * small.shape[1]), round(scale * small.shape[0]))
    return torch.from_numpy(np.array(Image.fromarray(small).resize(size, method))).permute(2, 0, 1) / 127.5 - 1


TABLES: Final[dict[str, Callable[[Sequence[Tensor]], Iterable[str]]]] = {
    "misfit": misfit_tables,
    "noise": noise_table,
    "blur": blur_table,
    "jpeg": jpeg_table,
    "upscaling": upscaling_table,
    "damage": damage_table,
    "compressed": compressed_table,
    "kinds": kind_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimation", description=__doc__)
    parser.add_argument("tables", nargs="*", default=list(TABLES), help=f"of {', '.join(TABLES)}; default: all")
    images = crops()
    print(f"{len(images)} parts of {len(images) // CROPS} photographs, at most {SIDE} pixels a side")
    for name in parser.parse_args().tables:
        print(f"\n## {name}\n", flush=True)
        for line in TABLES[name](images):
            print(line, flush=True)


if __name__ == "__main__":
    main()
