"""Options of the command line against the configuration that they describe."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flows.cli import app
from flows.options import degradation as what
from flows.options import result as how
from flows.options import runtime as run
from flows.options.options import option_name
from flows.options.request import degradation_of, restore_job
from pipeline.config import RestoreJob, ResultConfig, RuntimeConfig
from pipeline.degradation import Deblurring, Inpainting, OldPhotograph, SuperResolution
from pipeline.errors import ConfigurationError


def job(**changes: Any) -> RestoreJob:
    groups = {"degradation": {"task": None, "scale": None, "mask": None}, "result": {}, "runtime": {}}
    for group, values in groups.items():
        values.update(changes.get(group, {}))
    places = {"source": "in", "destination": "s3://bucket/out", "reference": None}
    return restore_job(**{name: changes.get(name, place) for name, place in places.items()}, **groups)


def test_no_option_means_the_configurations_own_defaults() -> None:
    assert job() == RestoreJob(source=str(Path("in").absolute()), destination="s3://bucket/out")


def test_options_reach_the_configuration() -> None:
    result = {"steps": 7, "output_format": "webp", "quality": 80, "prior": None}
    asked = job(degradation={"task": "inpaint", "mask": "m.png"}, result=result, runtime={"executor": "local"})
    assert asked.result.degradation == Inpainting(mask=str(Path("m.png").absolute()))
    assert (asked.result.steps, asked.result.output_format, asked.result.quality) == (7, "webp", 80)
    assert asked.runtime.executor == "local"


@pytest.mark.parametrize(("said", "meant"), [(None, None), ("auto", "auto"), ("0.04", 0.04)])
def test_noise_is_a_number_or_estimated_or_the_tasks_own(said: str | None, meant: str | float | None) -> None:
    assert job(result={"noise": said}).result.noise == meant


def test_every_place_becomes_one_that_holds_in_every_process() -> None:
    wanted = {"task": "old-photo", "masks": "m", "grey": False}
    assert degradation_of(wanted) == OldPhotograph(masks=str(Path("m").absolute()), grey=False)
    guided = job(result={"optimise": 3, "guide": "g"}).result
    assert guided.guide == str(Path("g").absolute())
    for prior in ("./mine", "networks/mine", ".."):
        assert job(result={"prior": prior}).result.prior == str(Path(prior).absolute())
    assert job(result={"prior": "ffdnet"}).result.prior == "ffdnet"
    wanted = {"task": "deblur", "blur": "file", "kernel_file": "s3://bucket/k.png"}
    assert degradation_of(wanted) == Deblurring(blur="file", kernel_file="s3://bucket/k.png")


def test_degrading_and_restoring_name_the_same_degradation() -> None:
    for wanted in ({"task": None, "scale": None, "mask": None}, {"task": None, "scale": 2, "mask": None}):
        assert degradation_of(wanted) == job(degradation=wanted).result.degradation
    assert degradation_of({"task": "sr", "scale": 3, "mask": None}) == SuperResolution(scale=3)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"result": {"steps": 0}}, "--steps 0: must be at least 1"),
        ({"result": {"eta": 1.5}}, "--eta 1.5: must be at most 1"),
        ({"result": {"seed": 2**63}}, "--seed 9223372036854775808: must be below 9223372036854775808"),
        ({"result": {"start_noise": 0.0}}, "--start-noise 0: must be above 0"),
        (
            {"result": {"start_noise": 0.02}},
            "--start-noise 0.02 must be above the noise of the last step, 0.02353: say 0.",
        ),
        ({"source": ""}, "SRC is empty: name a place; the current folder is ."),
        ({"destination": " "}, "DST is empty"),
        ({"reference": ""}, "--reference is empty"),
        ({"result": {"guide": ""}}, "--guide is empty"),
        ({"degradation": {"task": "inpaint", "mask": ""}}, "--mask is empty"),
        ({"degradation": {"task": "inpaint", "masks": ""}}, "--masks is empty"),
        ({"degradation": {"task": "deblur", "blur": "file", "kernel_file": ""}}, "--kernel-file is empty"),
        ({"result": {"eta": float("nan")}}, "--eta nan: "),
        ({"runtime": {"shard_size": 0}}, "--shard-size 0: "),
        ({"result": {"tile": 8}}, "--tile 8: must be at least 16"),
        ({"result": {"tile": 64, "overlap": 40}}, "--overlap 40: overlap must be 0 to 32, half of a tile"),
        ({"degradation": {"scale": 1}}, "--scale 1: must be at least 2"),
        ({"result": {"output_format": "jpeg", "quality": 101}}, "--quality 101: "),
        ({"degradation": {"task": "colorize", "scale": 4}}, "--scale needs --task sr"),
        ({"degradation": {"mask": "m.png"}}, "--mask needs --task inpaint"),
        ({"degradation": {"task": "inpaint"}}, "--task inpaint needs --mask FILE"),
        ({"degradation": {"width": 2.0}}, "--width needs --task deblur"),
        ({"degradation": {"task": "deblur", "angle": 30.0}}, "--angle needs --blur motion"),
        ({"degradation": {"task": "deblur", "blur": "file"}}, "--blur file and --kernel-file FILE need each other"),
        ({"degradation": {"task": "deblur", "kernel_file": "k.png"}}, "--blur file and --kernel-file FILE need"),
        ({"degradation": {"task": "deblur", "grey": True}}, "--grey needs --task old-photo"),
        ({"result": {"noise": "some"}}, "--noise some: give a standard deviation"),
        ({"result": {"noise": "2"}}, "--noise 2: give a standard deviation"),
        ({"result": {"quality": 90}}, "--quality needs --format jpeg or webp"),
        (
            {"degradation": {"task": "inpaint", "mask": "a", "masks": "b"}},
            "inpaint needs --mask, one for all images, or --m",
        ),
        ({"degradation": {"task": "old-photo", "mask": "a", "masks": "b"}}, "old-photo takes --mask, one for all"),
        ({"degradation": {"task": "old-photo", "grey": False}}, "an old photograph that is neither grey nor small nor"),
        (
            {"degradation": {"task": "denoise"}, "result": {"noise": "0"}},
            "denoise needs noise in the images: leave --n",
        ),
        ({"result": {"optimise": 3}}, "--optimise needs a --guide, or --noise in the images"),
        ({"runtime": {"device": "tpu"}}, "--device tpu: must be auto, cpu, cuda or cuda:N"),
        ({"runtime": {"device": "cuda:1"}}, "--device cuda:1 needs --executor local, as Ray gives"),
        ({"runtime": {"executor": "local", "actors": 2}}, "--actors needs --executor ray"),
        ({"runtime": {"executor": "local", "ray_address": "auto"}}, "--ray-address needs --executor ray"),
    ],
)
def test_a_wrong_option_is_named_as_the_user_wrote_it(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        job(**changes)
    assert str(caught.value).startswith(text)
    assert not re.search(r"\n|`|pydantic|Input should|Value error", str(caught.value))


@pytest.mark.parametrize("command", ["restore", "deploy"])
@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--scale", "abc", "must be a whole number"),
        ("--eta", "much", "must be a number"),
        ("--task", "nosuch", "'nosuch' is not one of 'sr', 'deblur'"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_plain_words(command: str, option: str, value: str, text: str) -> None:
    name = ["nightly"] if command == "deploy" else []
    done = CliRunner().invoke(app, [command, *name, "in", "out", option, value], env={"TERMINAL_WIDTH": "200"})
    assert done.exit_code == 2
    assert f"Invalid value for '{option}': {text}" in done.stderr
    assert not re.search("pydantic|Input should|Value error|parse", done.stderr)


def test_several_wrong_options_are_all_named_in_one_line() -> None:
    with pytest.raises(ConfigurationError, match=r"^--steps 0: .*; --eta 2: [^\n]*$"):
        job(result={"steps": 0, "eta": 2.0})


def fields() -> dict[str, Any]:
    """Every field that an option sets, by the option's name."""
    models = (OldPhotograph, Deblurring, SuperResolution, Inpainting, ResultConfig, RuntimeConfig)
    found = {option_name((name,)): field for model in models for name, field in model.model_fields.items()}
    return found | {"--task": SuperResolution.model_fields["task"]}


CONFIGURED = (what.WHAT, how.HOW, how.OUT, run.RUN)
SHOWN: dict[str, Any] = {
    parameter.opts[0]: parameter.show_default
    for parameter in typer.main.get_command(app).commands["restore"].params  # type: ignore[attr-defined]
    if getattr(parameter, "rich_help_panel", None) in CONFIGURED
}


def test_there_are_options_to_compare() -> None:
    assert {"--steps", "--eta", "--tolerance", "--shard-size", "--format"} <= SHOWN.keys()


@pytest.mark.parametrize("command", ["restore", "deploy"])
def test_every_option_of_a_job_reaches_its_configuration(command: str) -> None:
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    shown = {each.name for each in parameters if getattr(each, "rich_help_panel", None) in CONFIGURED}
    assert shown - {"reference"} == {*what.DEGRADATION, *how.RESULT, *run.RUNTIME}


IN_WORDS = {
    "--actors",
    "--batch-size",
    "--grey",
    "--guide",
    "--kernel-file",
    "--mask",
    "--masks",
    "--noise",
    "--max-minutes",
    "--overlap",
    "--ray-address",
    "--reference",
    "--scale",
    "--start-noise",
    "--tile",
}


@pytest.mark.parametrize("name", sorted(SHOWN.keys() - IN_WORDS))
def test_the_default_that_the_help_shows_is_the_real_one(name: str) -> None:
    default = fields()[name].get_default()
    shown = SHOWN[name]
    assert shown == str(getattr(default, "value", default)) or float(shown) == default


@pytest.mark.parametrize(
    ("choices", "real"),
    [
        (how.Mode, ResultConfig.model_fields["mode"].annotation),
        (how.Surrogate, ResultConfig.model_fields["surrogate"].annotation),
        (run.Executor, RuntimeConfig.model_fields["executor"].annotation),
    ],
)
def test_the_choices_that_the_help_shows_are_the_real_ones(choices: Any, real: Any) -> None:
    assert typing.get_args(choices) == typing.get_args(real)


def test_the_tasks_and_formats_that_the_help_shows_are_the_real_ones() -> None:
    from pipeline.config import OutputFormat
    from pipeline.degradation import Degradation

    tasks = typing.get_args(typing.get_args(Degradation)[0])
    assert set(typing.get_args(what.Task)) == {model.model_fields["task"].default for model in tasks}
    assert set(typing.get_args(how.Format)) == {each.value for each in OutputFormat}
