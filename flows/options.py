"""The options of the command line: one line of `deqir restore` each, without their defaults' values.

An option that was not given is None and never reaches the configuration, which alone knows the defaults. The
defaults shown in the help are text here, because importing the configuration would import torch; a test compares
the two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

import typer

Task = Literal["sr", "deblur", "inpaint", "colorize", "denoise", "old-photo"]
Kernel = Literal["average", "bicubic"]
Blur = Literal["gaussian", "uniform", "motion", "file"]
Mode = Literal["auto", "throughput", "latency", "paper"]
Surrogate = Literal["eps", "data", "wiener", "secant"]
Format = Literal["png", "jpeg", "webp"]
Executor = Literal["ray", "local"]
GuideBy = Literal["pixels", "colour", "lpips"]

DEGRADATION = ("task", "scale", "kernel", "blur", "width", "angle", "kernel_file", "mask", "masks", "grey")
RESULT = (
    *("noise", "prior", "steps", "eta", "start_noise", "mode", "surrogate", "tolerance", "tile", "overlap", "seed"),
    *("optimise", "guide", "guide_by", "samples", "output_format", "quality"),
)
RUNTIME = ("executor", "actors", "ray_address", "shard_size", "batch_size", "device", "max_pixels", "max_minutes")
"""The options that become fields of the same name: of a degradation, of `ResultConfig` and of `RuntimeConfig`."""
FIELD = re.compile(f"`({'|'.join((*DEGRADATION, *RESULT, *RUNTIME))})`")


def option_name(path: Sequence[str]) -> str:
    """Return the option that sets a field of the configuration."""
    return "--" + {"output_format": "format"}.get(path[-1], path[-1]).replace("_", "-")


def in_options(text: str) -> str:
    """Return a message with the options of the command line for the fields that it names in backticks."""
    return FIELD.sub(lambda found: option_name([found[1]]), text)


def chosen(names: Sequence[str], context: typer.Context) -> dict[str, Any]:
    """Return some of the options that a command was called with."""
    return {name: context.params[name] for name in names}


WHAT = "What was done to the images"
HOW = "How they are restored (decides the pixels)"
OUT = "What is written"
RUN = "How the work is done (changes no pixel)"
SHOW = "What is shown"

Source: TypeAlias = Annotated[
    str, typer.Argument(metavar="SRC", help="Degraded images: a folder or s3://bucket/prefix. Never written to.")
]
Destination: TypeAlias = Annotated[
    str, typer.Argument(metavar="DST", help="Where results go: a folder or s3://bucket/prefix outside SRC.")
]
CleanSource: TypeAlias = Annotated[
    str, typer.Argument(metavar="SRC", help="Good images: a folder or s3://bucket/prefix. Never written to.")
]
RestoredArchive: TypeAlias = Annotated[
    str, typer.Argument(metavar="DST", help="Destination of earlier jobs: a folder or s3://bucket/prefix.")
]

TaskOption: TypeAlias = Annotated[
    Task | None,
    typer.Option(
        "--task",
        help="sr: enlarge. deblur: sharpen. inpaint: fill damaged pixels. colorize: find colour. denoise: remove "
        "noise. old-photo: grey, small, scratched, or several of these.",
        show_default="sr",
        rich_help_panel=WHAT,
    ),
]
Scale: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--scale",
        help="sr, old-photo: enlarge each side by this factor.",
        show_default="4, or 1 for old-photo",
        rich_help_panel=WHAT,
    ),
]
KernelOption: TypeAlias = Annotated[
    Kernel | None,
    typer.Option(
        "--kernel",
        help="sr: how the images were made smaller. average: box filter. bicubic: as most software does.",
        show_default="average",
        rich_help_panel=WHAT,
    ),
]
BlurOption: TypeAlias = Annotated[
    Blur | None,
    typer.Option(
        "--blur",
        help="deblur: gaussian, uniform (a square box), motion (a line), or file (as an image shows).",
        show_default="gaussian",
        rich_help_panel=WHAT,
    ),
]
Width: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--width",
        help="deblur: standard deviation, side or length of the blur, in pixels.",
        show_default="1.6",
        rich_help_panel=WHAT,
    ),
]
Angle: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--angle",
        help="deblur: direction of the motion in degrees, counterclockwise from rightwards.",
        show_default="0",
        rich_help_panel=WHAT,
    ),
]
KernelFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--kernel-file",
        metavar="FILE",
        help="deblur: an image of what became of a white point on black; a path or s3:// URL.",
        rich_help_panel=WHAT,
    ),
]
Mask: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--mask",
        metavar="FILE",
        help="inpaint, old-photo: an image of the images' size, white where pixels are damaged; a path or s3:// URL.",
        rich_help_panel=WHAT,
    ),
]
Masks: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--masks",
        metavar="DIR",
        help="inpaint, old-photo: masks for each image, under the image's own key; a folder or s3://bucket/prefix.",
        rich_help_panel=WHAT,
    ),
]
Grey: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--grey/--colour",
        help="old-photo: whether colour is lost, too.",
        show_default="grey",
        rich_help_panel=WHAT,
    ),
]
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
AddedNoise: TypeAlias = Annotated[
    float,
    typer.Option(
        "--noise",
        min=0.0,
        max=1.0,
        help="Add noise of this standard deviation, images in [0, 1].",
        rich_help_panel=WHAT,
    ),
]

Prior: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--prior",
        help="A fetched prior's name (deqir models list) or a prior's folder.",
        show_default="ffdnet",
        rich_help_panel=HOW,
    ),
]
Steps: TypeAlias = Annotated[
    int | None, typer.Option("--steps", help="Sampling steps T.", show_default="20", rich_help_panel=HOW)
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
        show_default="the task's, 0.063 with a guide",
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
        "start from them, with --optimise are brought near to them.",
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

ExecutorOption: TypeAlias = Annotated[
    Executor | None,
    typer.Option(
        "--executor",
        help="ray: one actor a GPU, or several on the CPU. local: in this process.",
        show_default="ray",
        rich_help_panel=RUN,
    ),
]
Actors: TypeAlias = Annotated[
    int | None,
    typer.Option("--actors", help="Ray actors.", show_default="one a GPU, or one", rich_help_panel=RUN),
]
RayAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help='An existing cluster: host:port or "auto".',
        show_default="a local one for this job",
        rich_help_panel=RUN,
    ),
]
ShardSize: TypeAlias = Annotated[
    int | None,
    typer.Option("--shard-size", help="Images in a shard, the unit of commit.", show_default="64", rich_help_panel=RUN),
]
BatchSize: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        help="Images of one size solved together.",
        show_default="1 on a CPU, 8 on a GPU",
        rich_help_panel=RUN,
    ),
]
Device: TypeAlias = Annotated[
    str | None,
    typer.Option("--device", help="auto, cpu, cuda or cuda:N.", show_default="auto", rich_help_panel=RUN),
]

MaxPixels: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        help="Largest restored image; larger ones fail.",
        show_default="64000000",
        rich_help_panel=RUN,
    ),
]
MaxMinutes: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--max-minutes",
        help="Longest that a run may take; the next one goes on.",
        show_default="no limit",
        rich_help_panel=RUN,
    ),
]

MasksTo: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--masks",
        metavar="DEST",
        help="Write mask proposals there (white: may be damaged): a folder or s3://bucket/prefix outside SRC.",
        rich_help_panel=OUT,
    ),
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the summary as JSON on standard output.", rich_help_panel=SHOW)
]
Verbose: TypeAlias = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show Prefect's log lines.", rich_help_panel=SHOW)
]
JobToRetry: TypeAlias = Annotated[
    str | None, typer.Option("--job", metavar="ID", help="Of several jobs, this one.", show_default="the only one")
]
JobOption: TypeAlias = Annotated[
    str | None, typer.Option("--job", metavar="ID", help="This job alone, with its failures.")
]
