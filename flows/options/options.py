"""Options of several commands besides the fields of a job."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from pipeline.config import RestoreJob, RuntimeConfig

from .signature import parameter_info, setting_of

SHOWN = "Output"

Source: TypeAlias = Annotated[str, parameter_info(setting_of(RestoreJob, "source"))]
RestoredArchive: TypeAlias = Annotated[
    str, typer.Argument(metavar="DST", help="Destination of earlier jobs: a folder or s3://bucket/prefix.")
]
MaxPixels: TypeAlias = Annotated[int | None, parameter_info(setting_of(RuntimeConfig, "max_pixels"), least=1)]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the summary as JSON on standard output.", rich_help_panel=SHOWN)
]
Verbose: TypeAlias = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show Prefect's log lines.", rich_help_panel=SHOWN)
]
