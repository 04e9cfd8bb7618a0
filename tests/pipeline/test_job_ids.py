"""Jobs outlive releases: their ids and their records, against those that version 0.1 made."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AliasChoices, Field, ValidationError, create_model

from deqir.defaults import METHOD_VERSION
from pipeline.config import RestoreJob, ResultConfig
from pipeline.degradation import Degradation
from pipeline.fault_text import in_words
from pipeline.fields import Before
from pipeline.job.former import of_first_method
from tests.processes import python

IDS: list[tuple[str, dict[str, Any]]] = [
    ("0f8b4f58ae3071d9", {}),
    ("0f8b4f58ae3071d9", {"degradation": {"task": "sr"}}),
    ("da992618724ecf50", {"degradation": {"task": "sr", "scale": 2}}),
    ("0f8b4f58ae3071d9", {"degradation": {"task": "sr", "scale": 4, "kernel": "average"}}),
    ("42c021936cb80154", {"degradation": {"task": "sr", "scale": 16, "kernel": "bicubic"}}),
    ("8e3b84ce888e9337", {"degradation": {"task": "deblur", "width": 1.6}}),
    ("028d2c3db64c997a", {"degradation": {"task": "deblur", "blur": "uniform", "width": 9}}),
    ("e3b27fbdb7f6dc65", {"degradation": {"task": "deblur", "width": 2.5}}),
    ("762eef525e07290b", {"degradation": {"task": "deblur", "blur": "motion", "width": 12, "angle": -30}}),
    ("d82f61cd8b44a1ad", {"degradation": {"task": "deblur", "width": 1.6, "angle": 45.5}}),
    ("48bfdb37478d0713", {"degradation": {"task": "deblur", "blur": "file", "kernel_file": "s3://bucket2/k.png"}}),
    (
        "c5261d99a72a4934",
        {"degradation": {"task": "deblur", "blur": "file", "kernel_file": "/k/spot.png", "width": 3}, "noise": 0.02},
    ),
    ("01a38dd03541626c", {"degradation": {"task": "inpaint", "mask": "/m/dust.png"}}),
    ("69ccf80e2f897938", {"degradation": {"task": "inpaint", "masks": "s3://bucket2/masks"}}),
    ("fd69e454ce912525", {"degradation": {"task": "colorize"}}),
    ("84da39d99eeaaa66", {"degradation": {"task": "denoise"}}),
    ("6a2f966fb13ecd92", {"degradation": {"task": "denoise"}, "noise": 0.1}),
    ("54f57e0c8eabf61e", {"degradation": {"task": "old-photo", "grey": True}}),
    ("7a490046aafbe368", {"degradation": {"task": "old-photo", "scale": 4, "grey": True}}),
    ("54f57e0c8eabf61e", {"degradation": {"task": "old-photo", "scale": 1, "grey": True}}),
    ("97128903cee2b1dc", {"degradation": {"task": "old-photo", "grey": False, "scale": 2}}),
    ("8d46ca5dd871a337", {"degradation": {"task": "old-photo", "grey": False, "mask": "/m/dust.png"}}),
    (
        "1a0a3843d543f2f2",
        {"degradation": {"task": "old-photo", "grey": False, "scale": 3, "masks": "s3://bucket2/masks"}},
    ),
    ("d685399ef336c472", {"noise": 0}),
    ("087adb0a0de5d1c8", {"noise": 0.04}),
    ("35842745dc93fe27", {"noise": "auto"}),
    ("53c02d4d45b249f8", {"prior": "ffdnet"}),
    ("73255de1bea6f59c", {"prior": "/priors/own"}),
    ("0d2b907b2fddcab1", {"steps": 1}),
    ("2af32508c5d27c5f", {"steps": 50}),
    ("58c4ad8cef82b2dd", {"eta": 0}),
    ("896b294cb278d6e9", {"eta": 1}),
    ("3fad6eb233b8752a", {"start_noise": 0.29}),
    ("77f124b4924a9d46", {"start_noise": 2, "end_noise": 0.25}),
    ("003b7878991124e2", {"end_noise": 0.00392156862745098}),
    ("ff07fa3135553d59", {"mode": "throughput"}),
    ("fed4f68ba057142b", {"mode": "latency", "surrogate": "eps"}),
    ("f03412fc77597270", {"mode": "paper"}),
    ("9ebcec111ffb6024", {"surrogate": "wiener"}),
    ("8e659b9b02ca9075", {"tolerance": 0}),
    ("afb2bc35da3d71b1", {"tolerance": 0.1, "max_rounds": 7}),
    ("172e5ba6d35b8570", {"tile": 256}),
    ("9f9b7d160a029163", {"tile": 64, "overlap": 16}),
    ("d1c0dd5265cc40db", {"overlap": 0}),
    ("f9047eb421bbe8a7", {"seed": 7}),
    ("8ea9935ac3dc3877", {"seed": 9223372036854775807}),
    ("acb436dab00c3b6e", {"optimise": 10, "noise": "auto"}),
    ("e710621080fe59c3", {"guide": "/g"}),
    ("a88e0da724015a18", {"guide": "real-esrgan"}),
    ("6f738e34952235f9", {"guide": "real-esrgan", "optimise": 3, "guide_by": "lpips"}),
    ("78fe9ac42fe9abee", {"guide": "s3://bucket2/g", "guide_by": "colour", "degradation": {"task": "colorize"}}),
    ("c09864f2f8eb6698", {"samples": 8}),
    ("c93b824634c01dbe", {"output_format": "jpeg"}),
    ("ab7258e71328752b", {"output_format": "webp", "quality": 80}),
    ("1621b38ef3d7fd2f", {"quality": 1}),
    (
        "6085eeed57e2f5f5",
        {
            "degradation": {"task": "old-photo", "scale": 2, "masks": "/m", "grey": True},
            "noise": "auto",
            "prior": "bundled-large",
            "steps": 3,
            "eta": 0.5,
            "start_noise": 0.5,
            "end_noise": 0.1,
            "mode": "latency",
            "surrogate": "data",
            "tolerance": 0.01,
            "max_rounds": 3,
            "tile": 128,
            "overlap": 32,
            "seed": 1,
            "optimise": 2,
            "guide": "/g",
            "guide_by": "lpips",
            "samples": 2,
            "output_format": "jpeg",
            "quality": 90,
        },
    ),
]
"""Ids that version 0.1 gave to settings of a result, made by its own code."""

RECORD: dict[str, Any] = {
    "source": "/in",
    "destination": "s3://bucket/out",
    "reference": None,
    "retry": False,
    "result": {
        "degradation": {"mask": "/m/dust.png", "masks": None, "task": "old-photo", "grey": False, "scale": 1},
        "noise": None,
        "prior": "bundled",
        "steps": 20,
        "eta": 0.95,
        "start_noise": None,
        "end_noise": 0.023529411764705882,
        "mode": "auto",
        "surrogate": "secant",
        "tolerance": 0.005,
        "max_rounds": None,
        "tile": None,
        "overlap": None,
        "seed": 0,
        "optimise": 0,
        "guide": None,
        "guide_by": "pixels",
        "samples": 1,
        "output_format": "png",
        "quality": 95,
    },
    "runtime": {
        "executor": "ray",
        "actors": None,
        "gpus_per_actor": 1.0,
        "cpus_per_actor": None,
        "ray_address": None,
        "shard_size": 64,
        "batch_size": None,
        "prefetch": 4,
        "attempts": 3,
        "device": "auto",
        "max_minutes": None,
        "max_bytes": 268435456,
        "max_pixels": 64000000,
    },
}
"""A job as version 0.1 recorded it."""


def job_of(result: dict[str, Any], model: type[RestoreJob] = RestoreJob, *, method: int = 1) -> RestoreJob:
    """Return a job of before; where nothing was said of its task, the record has sr, which was the default."""
    degradation = {"task": "sr"} | result.get("degradation", {})
    places = {"source": "/in", "destination": "s3://bucket/out"}
    return model.model_validate({**places, "result": {**result, "degradation": degradation}, "method": method})


def id_of(job: RestoreJob) -> str:
    degradation = job.result.degradation
    file = "f" * 64 if degradation.mask or degradation.kernel_file else None
    return job.job_id(prior_digest="d" * 64, file_digest=file)


def later(base: type[ResultConfig] = ResultConfig, **fields: Any) -> type[RestoreJob]:
    """A job of a later version, whose results have other fields."""
    result = create_model("Later", __base__=base, **fields)
    return create_model("LaterJob", __base__=RestoreJob, result=(result, Field(default_factory=result)))


@pytest.mark.parametrize(("known", "result"), IDS)
def test_a_job_keeps_the_id_that_it_had(known, result) -> None:
    job = job_of(result)
    assert id_of(job) == known
    assert id_of(RestoreJob.model_validate(job.model_dump(mode="json") | {"method": 1})) == known


def test_the_ids_are_of_different_jobs_but_for_defaults_that_are_written_out() -> None:
    jobs = {known: job_of(result) for known, result in IDS}
    assert all(job_of(result) == jobs[known] for known, result in IDS)
    assert len(jobs) > 45


def test_a_record_of_before_is_read_and_written_again_as_it_was() -> None:
    job = RestoreJob.model_validate(RECORD)
    assert job.result.degradation == Degradation(task="old-photo", grey=False, mask="/m/dust.png")
    again = job.model_dump(mode="json", exclude={"key_list"})
    assert again.pop("runtime") == RECORD["runtime"] | {"writers": None, "on_doubt": "aside"}
    assert again["result"]["degradation"].pop("colour") == "keep"
    assert again == {name: value for name, value in RECORD.items() if name != "runtime"}


def test_a_new_field_changes_no_id_while_it_has_the_value_that_jobs_meant_before() -> None:
    known, result = IDS[-1]
    model = later(sharpness=(Annotated[float, Before(0.0)], Field(0.5)))
    assert id_of(job_of({**result, "sharpness": 0.0}, model)) == known
    assert id_of(job_of(result, model)) != known
    assert len({id_of(job_of({**result, "sharpness": value}, model)) for value in (0.0, 0.5, 1.0)}) == 3


def test_a_renamed_field_is_read_under_both_names_and_keeps_the_id() -> None:
    class Renamed(ResultConfig):
        fresh: float | None = Field(
            None, validation_alias=AliasChoices("fresh", "novelty"), serialization_alias="novelty"
        )

    former = later(novelty=(float | None, None))
    model = later(Renamed)
    ids = {id_of(job_of({name: 0.5}, model)) for name in ("fresh", "novelty")}
    assert ids == {id_of(job_of({"novelty": 0.5}, former))}


def test_another_method_makes_other_jobs() -> None:
    assert id_of(job_of({}, method=2)) != id_of(job_of({}))
    assert RestoreJob(source="/in", destination="/out").method == METHOD_VERSION


def test_a_job_of_the_first_method_has_the_values_of_before() -> None:
    model = later(sharpness=(Annotated[float, Before(0.0)], Field(0.5)))
    known, result = IDS[-1]
    (former,) = of_first_method(job_of(result, model, method=2))
    assert id_of(former) == known
    assert not of_first_method(job_of({**result, "sharpness": 1.0}, model, method=2))


@pytest.mark.parametrize(
    ("degradation", "known"),
    [
        ({}, ["54f57e0c8eabf61e"]),
        ({"scale": 4}, ["7a490046aafbe368", None]),
        ({"scale": 2}, [None, "97128903cee2b1dc"]),
        ({"colour": "yes"}, []),
    ],
)
def test_settings_of_old_photographs_may_belong_to_a_job_for_grey_ones_or_for_coloured_ones(degradation, known) -> None:
    """Version 0.1 had an option for it; the jobs of today with these settings are others."""
    job = job_of({"degradation": {"task": "old-photo", **degradation}}, method=2)
    formers = of_first_method(job)
    assert [each.result.degradation.grey for each in formers] == [True, False][: len(known)]
    assert all(id_of(former) == id for former, id in zip(formers, known, strict=True) if id)
    assert len({id_of(each) for each in (*formers, job)}) == len(known) + 1


def test_a_field_that_does_not_exist_is_refused_by_its_name() -> None:
    with pytest.raises(ValidationError) as caught:
        job_of({"stepz": 3, "degradation": {"scael": 2}})
    told = in_words(caught.value)
    assert told == "result.degradation.scael 2: there is no such setting; result.stepz 3: there is no such setting"


@pytest.mark.parametrize(
    ("degradation", "text"),
    [
        (
            {"task": "colorize", "scale": 4},
            "scale 4: is for task auto, sr or old-photo, not colorize: leave it out",
        ),
        ({"mask": "m.png"}, "result.degradation.mask m.png: is for task inpaint or old-photo, not sr: leave it out"),
        ({"scale": "1"}, "result.degradation.scale 1: must be at least 2"),
        ({"scale": -2}, "result.degradation.scale -2: must be at least 2"),
        ({"task": "old-photo", "scale": 0}, "result.degradation.scale 0: must be at least 1"),
        ({"task": "rotate"}, "result.degradation.task rotate: must be 'auto', 'sr', 'deblur'"),
    ],
)
def test_a_setting_of_another_task_is_refused(degradation, text) -> None:
    with pytest.raises(ValidationError) as caught:
        job_of({"degradation": degradation})
    assert text in in_words(caught.value)


def test_an_empty_field_of_a_form_means_the_tasks_default() -> None:
    empty = dict.fromkeys(Degradation.model_fields)
    assert Degradation.model_validate(empty) == Degradation()
    assert Degradation.model_validate({**empty, "task": "old-photo"}) == Degradation(
        task="old-photo", scale=1, colour="keep"
    )


def test_settings_are_read_without_torch() -> None:
    code = "import sys, pipeline.config; pipeline.config.RestoreJob(source='a', destination='b'); print(*sys.modules)"
    run = python("-c", code)
    assert not {"torch", "numpy", "PIL", "boto3"} & set(run.stdout.split())
    assert "pipeline.config" in run.stdout.split()
