"""The options of the command line: one line of `deqir restore` each, without their defaults' values.

An option that was not given is None and never reaches the configuration, which alone knows the defaults. The
defaults shown in the help are text here, because importing the configuration would import torch; a test compares
the two.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import typer

Task = Literal["sr", "inpaint", "colorize"]
Mode = Literal["auto", "throughput", "latency", "paper"]
Surrogate = Literal["eps", "data", "wiener", "secant"]
Format = Literal["png", "jpeg", "webp"]
Executor = Literal["ray", "local"]

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
        help="sr: enlarge. inpaint: fill damaged pixels. colorize: find colour.",
        show_default="sr",
        rich_help_panel=WHAT,
    ),
]
Scale: TypeAlias = Annotated[
    int | None,
    typer.Option("--scale", help="sr: enlarge each side by this factor.", show_default="4", rich_help_panel=WHAT),
]
Mask: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--mask",
        metavar="FILE",
        help="inpaint: an image of the images' size, white where pixels are damaged; a path or s3:// URL.",
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
        show_default="the task's",
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
Seed: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--seed",
        help="Seed of the noise, together with each image's content.",
        show_default="0",
        rich_help_panel=HOW,
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
        help='An existing cluster: "auto" or ray://host:port.',
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
