"""Options of single commands besides the fields of a job."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import typer

from pipeline.config import WRITTEN, RestoreJob, RuntimeConfig
from pipeline.degradation import DEGRADED

from .signature import parameter_info, setting_of

SHOWN: Final = "Output"

Source: TypeAlias = Annotated[str, parameter_info(setting_of(RestoreJob, "source"))]
CleanSource: TypeAlias = Annotated[
    str, typer.Argument(metavar="SRC", help="Good images: a folder or s3://bucket/prefix. Never written to.")
]
TestArchive: TypeAlias = Annotated[
    str, typer.Argument(metavar="DST", help="Degraded images: a folder or s3://bucket/prefix outside SRC.")
]
RestoredArchive: TypeAlias = Annotated[
    str, typer.Argument(metavar="DST", help="Destination of earlier jobs: a folder or s3://bucket/prefix.")
]
MaxPixels: TypeAlias = Annotated[int | None, parameter_info(setting_of(RuntimeConfig, "max_pixels"), least=1)]
AddedNoise: TypeAlias = Annotated[
    float,
    typer.Option(
        "--noise",
        min=0.0,
        max=1.0,
        help="Add noise of this standard deviation, for images in [0, 1].",
        rich_help_panel=DEGRADED,
    ),
]
MasksTo: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--masks",
        metavar="DEST",
        help="Write mask proposals there (white: may be damaged): a folder or s3://bucket/prefix outside SRC.",
        rich_help_panel=WRITTEN,
    ),
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the summary as JSON on standard output.", rich_help_panel=SHOWN)
]
DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Show a preview of the run, and write nothing.", rich_help_panel=SHOWN)
]
Verbose: TypeAlias = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show Prefect's log lines.", rich_help_panel=SHOWN)
]
JobToRetry: TypeAlias = Annotated[
    str | None,
    typer.Option("--job", metavar="ID", help="The job to retry, where there are several.", show_default="the only one"),
]
JobOption: TypeAlias = Annotated[
    str | None, typer.Option("--job", metavar="ID", help="Show this job alone, with its failures.")
]
