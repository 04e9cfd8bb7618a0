"""The options that say what was done to the images."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import typer

Task = Literal["sr", "deblur", "inpaint", "colorize", "denoise", "old-photo"]
Kernel = Literal["average", "bicubic"]
Blur = Literal["gaussian", "uniform", "motion", "file"]

DEGRADATION = ("task", "scale", "kernel", "blur", "width", "angle", "kernel_file", "mask", "masks", "grey")
"""The options that become fields of the same name of a degradation."""
WHAT = "What was done to the images"

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
