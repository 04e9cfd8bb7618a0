"""The options that say how the work is done."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import typer

Executor = Literal["ray", "local"]

RUNTIME = ("executor", "actors", "ray_address", "shard_size", "batch_size", "device", "max_pixels", "max_minutes")
"""The options that become fields of the same name of `RuntimeConfig`."""
RUN = "How the work is done (changes no pixel)"

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
        show_default="1 on a CPU, measured on a GPU",
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
        min=1,
        help="Largest image that is read or made; larger ones fail.",
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
