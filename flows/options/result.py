"""The options that decide the pixels of the results, and what is written."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import typer

from .degradation import WHAT

Mode = Literal["auto", "throughput", "latency", "paper"]
Surrogate = Literal["eps", "data", "wiener", "secant"]
GuideBy = Literal["pixels", "colour", "lpips"]
Format = Literal["png", "jpeg", "webp"]

RESULT = (
    *("noise", "prior", "steps", "eta", "start_noise", "mode", "surrogate", "tolerance", "tile", "overlap", "seed"),
    *("optimise", "guide", "guide_by", "samples", "output_format", "quality"),
)
"""The options that become fields of the same name of `ResultConfig`."""
HOW = "How they are restored (decides the pixels)"
OUT = "What is written"

Noise: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--noise",
        metavar="NUMBER|auto",
        help="Noise in the images, as a standard deviation of images in [0, 1]; auto: estimated for each.",
        show_default="none; denoise: auto; deblur: that of 8-bit files",
        rich_help_panel=WHAT,
    ),
]
Prior: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--prior",
        help="A prior's name (deqir models list) or a prior's folder.",
        show_default="bundled",
        rich_help_panel=HOW,
    ),
]
Steps: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--steps",
        help="Sampling steps T; at most 3 are taken where the prior makes the start, unless a gap is wide or "
        "--start-noise is set.",
        show_default="20",
        rich_help_panel=HOW,
    ),
]
Eta: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--eta",
        help="Share of fresh noise in each step, 0 to 1.",
        show_default="0.95",
        rich_help_panel=HOW,
    ),
]
StartNoise: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--start-noise",
        help="Noise added to the start, as a standard deviation of images in [0, 1].",
        show_default="the task's; 0.024 where the prior makes the start, 0.063 with a guide",
        rich_help_panel=HOW,
    ),
]
ModeOption: TypeAlias = Annotated[
    Mode | None,
    typer.Option(
        "--mode",
        help="auto: as fast as the device allows. throughput: step by step, many images. latency: all steps at "
        "once. paper: as published, for comparison.",
        show_default="auto",
        rich_help_panel=HOW,
    ),
]
SurrogateOption: TypeAlias = Annotated[
    Surrogate | None,
    typer.Option(
        "--surrogate",
        help="How all steps at once are solved (latency).",
        show_default="secant",
        rich_help_panel=HOW,
    ),
]
Tolerance: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--tolerance",
        help="Relative residual at which an image's parallel solve stops.",
        show_default="0.005",
        rich_help_panel=HOW,
    ),
]
Tile: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--tile",
        help="Side of the tiles in which the network sees an image, in pixels.",
        show_default="the prior's, if any; else whole images as long as memory lasts",
        rich_help_panel=HOW,
    ),
]
Overlap: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--overlap",
        help="Pixels that neighbouring tiles share.",
        show_default="a quarter of a tile, at most 64",
        rich_help_panel=HOW,
    ),
]
Seed: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--seed",
        help="Seed of the noise, together with each image's content.",
        show_default="0",
        rich_help_panel=HOW,
    ),
]
Optimise: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--optimise",
        help="Steps in which each restoration's noise is optimised, for its guide or, without, for a noisy image.",
        show_default="0",
        rich_help_panel=HOW,
    ),
]
Guide: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--guide",
        metavar="DIR",
        help="Another program's results under SRC's keys, a folder or s3://bucket/prefix, or real-esrgan: restorations "
        "start from them, and with --optimise come nearer to them.",
        rich_help_panel=HOW,
    ),
]
GuideByOption: TypeAlias = Annotated[
    GuideBy | None,
    typer.Option(
        "--guide-by",
        help="In what: pixels, colour alone, or, with --optimise, as eyes see it (lpips).",
        show_default="pixels",
        rich_help_panel=HOW,
    ),
]
SamplesOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--samples",
        help="Restorations of each image; with their mean and spread in DST/.deqir/JOB/samples/.",
        show_default="1",
        rich_help_panel=OUT,
    ),
]
FormatOption: TypeAlias = Annotated[
    Format | None,
    typer.Option("--format", help="File format of the results.", show_default="png", rich_help_panel=OUT),
]
Quality: TypeAlias = Annotated[
    int | None,
    typer.Option("--quality", help="Quality of jpeg and webp, 1 to 100.", show_default="95", rich_help_panel=OUT),
]
Reference: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="DIR",
        help="Originals under SRC's keys, to measure against; never used to restore.",
        rich_help_panel=OUT,
    ),
]
