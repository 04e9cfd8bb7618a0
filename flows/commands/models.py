"""`deqir models`: list, show, fetch and import networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from flows.display.text_table import columns
from pipeline.errors import ConfigurationError, JobError

if TYPE_CHECKING:
    from deqir.priors import Imported

models = typer.Typer(help="List, show, fetch or import the networks.", no_args_is_help=True)

Name: TypeAlias = Annotated[
    str, typer.Argument(metavar="NAME", help="A name from `deqir models list`; show also takes a prior's folder.")
]
HARDLY_A_DENOISER: Final = 0.7


@contextmanager
def model_errors() -> Iterator[None]:
    """Turn errors of deqir about a network or a download into errors of the pipeline.

    Raises:
        ConfigurationError: No such network, or it is not whole.
        JobError: It could not be downloaded.
    """
    from deqir.pretrained.download import DownloadError, ModelError

    try:
        yield
    except ModelError as error:
        raise ConfigurationError(str(error)) from error
    except DownloadError as error:
        raise JobError(str(error)) from error


@models.command("list")
@model_errors()
def list_models() -> None:
    """List the known networks and the networks in the cache."""
    from deqir.models import available_models

    table = Table("name", "use", "here", "licence", "source")
    for model in available_models():
        here, source = ("yes", model.source) if model.here else ("no", f"run: deqir models fetch {model.name}")
        table.add_row(model.name, model.use, here, model.licence, source)
    Console().print(table)


@models.command("show")
@model_errors()
def show_model(name: Name) -> None:
    """Check the weights of a network, and show its facts."""
    from deqir.models import describe_model

    facts = [(field, str(value)) for field, value in describe_model(name).items()]
    for line in columns(facts, left=(0, 1)):
        Console().print(line, soft_wrap=True)  # to be copied, such as the digest: nothing is cut


@models.command("fetch")
@model_errors()
def fetch_model(name: Name) -> None:
    """Download a network into the cache, unless it is there, and check it."""
    from deqir import models as known

    Console().print(f"{name} is in {known.fetch_model(name)}", markup=False, highlight=False, soft_wrap=True)


@models.command("import")
@model_errors()
def import_model(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A checkpoint, or the directory of a UNet2DModel or its pipeline.")
    ],
    name: Annotated[str, typer.Option(help="Name for `--prior`; with a slash, the folder to write instead.")],
    kind: Annotated[
        Literal["adm", "ddpm", "diffusers", "ffdnet", "drunet"] | None,
        typer.Option(help="Kind of the checkpoint; by default its keys show it."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Terms of the weights, in words.")] = "not stated",
    num_heads: Annotated[int | None, typer.Option(help="Heads of the attention (adm).")] = None,
    num_head_channels: Annotated[
        int | None, typer.Option(help="Channels of a head of the attention (adm); usually 64.")
    ] = None,
    use_new_attention_order: Annotated[
        bool | None,
        typer.Option("--use-new-attention-order/--use-old-attention-order", help="Order of the attention (adm)."),
    ] = None,
    noise_schedule: Annotated[
        Literal["linear", "scaled_linear", "cosine"] | None,
        typer.Option(help="Noise schedule of the training (not for denoisers)."),
    ] = None,
    diffusion_steps: Annotated[
        int | None, typer.Option(help="Diffusion steps of the training (not for denoisers); usually 1000.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the training images in pixels (not for denoisers).")
    ] = None,
    max_noise: Annotated[
        float | None, typer.Option(help="Strongest noise of the training, of 1 (ffdnet, drunet).")
    ] = None,
) -> None:
    """Make a prior of a checkpoint: guided-diffusion (adm), DDPM, diffusers, FFDNet or DRUNet.

    No code in the file is run. A fact that the file does not hold gets its usual value, which is printed; an option
    sets another value.
    """
    from deqir.priors import Facts, import_prior

    facts = Facts(
        num_heads=num_heads,
        num_head_channels=num_head_channels,
        use_new_attention_order=use_new_attention_order,
        noise_schedule=noise_schedule,
        diffusion_steps=diffusion_steps,
        image_size=image_size,
        max_noise=max_noise,
    )
    show_imported(import_prior(file, name=name, kind=kind, licence=licence, facts=facts))


def show_imported(imported: Imported) -> None:
    """Print the name and place of an imported prior, and a warning if it hardly removes noise."""
    assumed, left = ", ".join(imported.assumed), imported.remaining_noise
    lines = [f"{imported.card.name} ({imported.kind}) is in {imported.directory}"]
    if assumed:
        lines.append(f"assumed, as the file does not hold it: {assumed}")
    lines.append(f"it leaves {left:.0%} of a noise of 0.1 on a drawn test picture")
    if not left < HARDLY_A_DENOISER:
        why = "are the assumed values true?" if assumed else "is it the right file?"
        lines.append(f"warning: it hardly removes noise; {why}")
    for line in lines:
        Console().print(line, markup=False, highlight=False, soft_wrap=True)
