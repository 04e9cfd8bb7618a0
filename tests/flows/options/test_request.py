"""Options of the command line against the configuration that they describe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from flows.cli import app
from flows.options.fields import NOT_OPTIONS
from flows.options.request import checked, option_errors
from flows.options.signature import Given, takes
from flows.options.table import table
from pipeline.config import RestoreJob, RuntimeConfig
from pipeline.degradation import Degradation
from pipeline.errors import ConfigurationError
from pipeline.fields import Option


def job(**given: Any) -> RestoreJob:
    return checked(RestoreJob, {"source": "in", "destination": "s3://bucket/out", **given})


def test_no_option_means_the_configurations_own_defaults() -> None:
    assert job() == RestoreJob(source=str(Path("in").absolute()), destination="s3://bucket/out")


def test_options_reach_the_configuration() -> None:
    asked = job(
        task="inpaint", mask="m.png", steps=7, output_format="webp", quality=80, prior=None, executor="local", writers=3
    )
    assert asked.result.degradation == Degradation(task="inpaint", mask=str(Path("m.png").absolute()))
    assert (asked.result.steps, asked.result.output_format, asked.result.quality) == (7, "webp", 80)
    assert (asked.runtime.executor, asked.runtime.writers) == ("local", 3)


@pytest.mark.parametrize(("said", "meant"), [(None, None), ("auto", "auto"), ("0.04", 0.04)])
def test_noise_is_a_number_or_estimated_or_the_tasks_own(said, meant) -> None:
    assert job(noise=said).result.noise == meant


def test_every_place_becomes_one_that_holds_in_every_process() -> None:
    wanted = {"task": "old-photo", "masks": "m", "colour": "yes"}
    assert checked(Degradation, wanted) == Degradation(task="old-photo", masks=str(Path("m").absolute()), colour="yes")
    guided = job(task="sr", optimise=3, guide="g", reference="r")
    assert (guided.result.guide, guided.reference) == (str(Path("g").absolute()), str(Path("r").absolute()))
    assert job(task="sr", guide="real-esrgan").result.guide == "real-esrgan"
    for prior in ("./mine", "networks/mine", ".."):
        assert job(prior=prior).result.prior == str(Path(prior).absolute())
    assert job(prior="ffdnet").result.prior == "ffdnet"
    wanted = {"task": "deblur", "blur": "file", "kernel_file": "s3://bucket/k.png"}
    assert checked(Degradation, wanted) == Degradation(task="deblur", blur="file", kernel_file="s3://bucket/k.png")


def test_degrading_and_restoring_name_the_same_degradation() -> None:
    for wanted in ({"task": None, "scale": None, "mask": None}, {"task": None, "scale": 2, "mask": None}):
        assert checked(Degradation, wanted) == job(**wanted).result.degradation
    assert checked(Degradation, {"task": "sr", "scale": 3, "mask": None}) == Degradation(task="sr", scale=3)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"steps": 0}, "--steps 0: must be at least 1"),
        ({"eta": 1.5}, "--eta 1.5: must be at most 1"),
        ({"seed": 2**63}, "--seed 9223372036854775808: must be below 9223372036854775808"),
        ({"start_noise": 0.0}, "--start-noise 0: must be above 0"),
        ({"start_noise": 0.02}, "--start-noise 0.02 must be above the noise of the last step, 0.02353: say 0."),
        ({"source": ""}, "SRC is empty: name a place; the current folder is ."),
        ({"destination": " "}, "DST is empty"),
        ({"reference": ""}, "--reference is empty"),
        ({"guide": ""}, "--guide is empty"),
        ({"task": "inpaint", "mask": ""}, "--mask is empty"),
        ({"task": "inpaint", "masks": ""}, "--masks is empty"),
        ({"task": "deblur", "blur": "file", "kernel_file": ""}, "--kernel-file is empty"),
        ({"eta": float("nan")}, "--eta nan: "),
        ({"shard_size": 0}, "--shard-size 0: "),
        ({"tile": 8}, "--tile 8: must be at least 16"),
        ({"tile": 64, "overlap": 40}, "--overlap 40: overlap must be 0 to 32, half of a tile"),
        ({"task": "sr", "scale": 1}, "--scale 1: must be at least 2"),
        ({"scale": 0}, "--scale 0: must be at least 1"),
        ({"output_format": "jpeg", "quality": 101}, "--quality 101: "),
        (
            {"task": "colorize", "scale": 4},
            "--scale needs --task auto or sr or old-photo; leave --scale out or say --task",
        ),
        ({"mask": "m.png"}, "--mask needs --task inpaint"),
        ({"task": "inpaint"}, "--task inpaint needs --mask, an image with damaged pixels white"),
        ({"width": 2.0}, "--width needs --task deblur"),
        ({"task": "deblur"}, "--task deblur needs --width: say how wide the blur is in pixels, such as 1.6, or auto"),
        ({"task": "deblur", "width": "wide"}, "--width wide: must be a number or must be 'auto'"),
        ({"task": "deblur", "width": "100"}, "--width 100: must be at most 64 or must be 'auto'"),
        ({"task": "deblur", "width": "auto", "blur": "uniform"}, "--width auto is for --blur gaussian"),
        ({"task": "deblur", "angle": 30.0}, "--angle needs --blur motion"),
        ({"task": "deblur", "blur": "file"}, "--blur file and --kernel-file need each other"),
        ({"task": "deblur", "width": 2.0, "kernel_file": "k.png"}, "--blur file and --kernel-file need"),
        ({"task": "deblur", "colour": "yes"}, "--colour needs --task old-photo"),
        ({"noise": "some"}, "--noise some: must be a number or must be 'auto'"),
        ({"noise": "2"}, "--noise 2: must be below 1 or must be 'auto'"),
        ({"guide_by": "colour"}, "--guide-by needs --guide DIR; leave --guide-by out or say --guide DIR"),
        ({"attempts": 0}, "--attempts 0: must be at least 1"),
        ({"gpus_per_actor": 0.5, "executor": "local"}, "--gpus-per-actor needs --executor ray"),
        ({"quality": 90}, "--quality needs --format jpeg or webp"),
        ({"task": "inpaint", "mask": "a", "masks": "b"}, "give --mask, one for all images, or --masks"),
        ({"task": "old-photo", "mask": "a", "masks": "b"}, "give --mask, one for all images, or --masks"),
        ({"task": "denoise", "noise": "0"}, "denoise needs noise in the images: leave --n"),
        ({"guide": "g"}, "--guide needs a told task: say which, such as --task sr"),
        ({"optimise": 3}, "--optimise needs a told task: say which"),
        ({"task": "sr", "optimise": 3}, "--optimise needs a --guide, or --noise in the images"),
        ({"device": "tpu"}, "--device tpu: must be auto, cpu, cuda or cuda:N"),
        ({"device": "cuda:1"}, "--device cuda:1 needs --executor local, as Ray gives"),
        ({"executor": "local", "actors": 2}, "--actors needs --executor ray"),
        ({"executor": "local", "ray_address": "auto"}, "--ray-address needs --executor ray"),
    ],
)
def test_a_wrong_option_is_named_as_the_user_wrote_it(given, text) -> None:
    with pytest.raises(ConfigurationError) as caught:
        job(**given)
    assert str(caught.value).startswith(text)
    assert not re.search(r"\n|`|pydantic|Input should|Value error", str(caught.value))


@pytest.mark.parametrize("command", ["restore", "deploy"])
@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--scale", "abc", "must be a whole number"),
        ("--eta", "much", "must be a number"),
        ("--task", "nosuch", "'nosuch' is not one of 'auto', 'sr', 'deblur'"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_plain_words(command, option, value, text) -> None:
    name = ["nightly"] if command == "deploy" else []
    done = CliRunner().invoke(app, [command, *name, "in", "out", option, value], env={"TERMINAL_WIDTH": "200"})
    assert done.exit_code == 2
    assert f"Invalid value for '{option}': {text}" in done.stderr
    assert not re.search("pydantic|Input should|Value error|parse", done.stderr)


def test_several_wrong_options_are_all_named_in_one_line() -> None:
    with pytest.raises(ConfigurationError, match=r"^--steps 0: .*; --eta 2: [^\n]*$"):
        job(steps=0, eta=2.0)


def options_of(command: str) -> dict[str, Any]:
    """The parameters of a command, by the names of their fields."""
    return {each.name: each for each in typer.main.get_command(app).commands[command].params}  # type: ignore[attr-defined]


def leaves(model: type[BaseModel]) -> set[str]:
    """The names of all fields that hold a value, within other models, too."""
    kinds = {name: field.annotation for name, field in model.model_fields.items()}
    inner = {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}
    return set(kinds.keys() - inner.keys()).union(*map(leaves, inner.values()))


@pytest.mark.parametrize("command", ["restore", "deploy"])
def test_whatever_is_in_the_configuration_is_an_option_but_for_those_that_another_command_sets(command) -> None:
    hidden = leaves(RestoreJob) - options_of(command).keys()
    assert hidden == {"retry", "method", "grey", "key_list"} == NOT_OPTIONS.keys()
    assert leaves(RuntimeConfig) <= options_of("retry").keys()
    assert leaves(Degradation) - {"grey"} <= options_of("degrade").keys()


def test_options_have_names_of_their_own_and_defaults_in_words() -> None:
    shown = {name: (each.opts[0], each.show_default) for name, each in options_of("restore").items()}
    assert shown["output_format"] == ("--format", "png")
    assert shown["scale"] == ("--scale", "1; 4 for sr")
    assert shown["actors"] == ("--actors", "one for each GPU, or one without GPUs")
    assert shown["max_pixels"] == ("--max-pixels", "64000000")
    assert shown["eta"] == ("--eta", "0.95")
    assert shown["mask"] == ("--mask", False)


@pytest.mark.parametrize("command", ["restore", "deploy", "retry", "degrade"])
def test_every_option_says_what_it_means_and_advanced_ones_come_last(command) -> None:
    panels = [each.rich_help_panel for each in options_of(command).values() if hasattr(each, "rich_help_panel")]
    assert all(each.help for each in options_of(command).values())
    advanced = [str(panel).startswith("Advanced") for panel in panels]
    assert advanced == sorted(advanced)


class LaterRuntime(RuntimeConfig):
    """A configuration with one more field, declared once."""

    patience: Annotated[int, Option(metavar="SECONDS", advanced=True)] = Field(5, ge=1, le=60)
    """Longest wait for a store.

    Then the shard is left for the next run."""


def test_a_field_that_is_declared_is_an_option_a_setting_of_the_form_and_a_range_in_words() -> None:
    command = typer.Typer()

    @command.command()
    @takes(LaterRuntime)
    def wait(given: Given) -> None:
        with option_errors():
            typer.echo(checked(LaterRuntime, given).patience)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(command, arguments, env={"TERMINAL_WIDTH": "150"})

    assert re.search(r"--patience +SECONDS +Longest wait for a store. \[default: \(5\)\]", run("--help").stdout)
    assert (run("--patience", "9").stdout, run().stdout) == ("9\n", "5\n")
    assert str(run("--patience", "0").exception) == "--patience 0: must be at least 1"
    shown = LaterRuntime.model_json_schema()["properties"]["patience"]
    assert (shown["minimum"], shown["maximum"], shown["default"]) == (1, 60, 5)
    assert shown["description"] == "Longest wait for a store.\n\nThen the shard is left for the next run."
    assert shown["position"] == len(RuntimeConfig.model_fields)
    assert "| `--patience` | Longest wait for a store. Then the shard is left for the next run. | 5 | 1 to 60 |" in (
        table(LaterRuntime)
    )
