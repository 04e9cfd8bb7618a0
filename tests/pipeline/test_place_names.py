"""Names of places: which are refused wherever a job is described, and that nothing hidden in them is repeated."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError
from pipeline.fault_text import in_words
from pipeline.store import PLACE, check_place

SECRET = "hidden"
NO_PLACES = [
    f"s3://key:{SECRET}@bucket/photos",
    f"s3://bucket?versionId={SECRET}",
    f"S3://key:{SECRET}@bucket/photos",
    f"https://key:{SECRET}@minio.example/bucket",
    f"gs://{SECRET}/photos",
    f"s3:///{SECRET}",
]
PLACES = ["s3://bucket", "s3://my.bucket-1/a b/ü@c:d", "/data/in", "in", ".", "~/x://y", "a:b", "/s3:/b"]


@pytest.mark.parametrize("place", NO_PLACES)
@pytest.mark.parametrize(
    "settings",
    [
        {"source": "{}"},
        {"destination": "{}"},
        {"reference": "{}"},
        {"key_list": "{}"},
        {"result": {"guide": "{}"}},
        {"result": {"degradation": {"task": "inpaint", "mask": "{}"}}},
        {"result": {"degradation": {"task": "deblur", "blur": "file", "kernel_file": "{}"}}},
    ],
    ids=str,
)
def test_a_url_that_is_no_place_is_refused_in_every_setting_and_not_repeated(settings, place) -> None:
    with pytest.raises(ValidationError) as caught:
        RestoreJob.model_validate({"source": "in", "destination": "out"} | filled(settings, place))
    for text in (in_words(caught.value), str(caught.value)):
        assert "s3://bucket/prefix" in text
        assert SECRET not in text


def filled(settings: Any, place: str) -> Any:
    """Settings with the place where it belongs."""
    if isinstance(settings, dict):
        return {name: filled(value, place) for name, value in settings.items()}
    return settings.format(place)


@pytest.mark.parametrize("place", PLACES)
def test_every_other_text_is_a_bucket_or_a_path(place) -> None:
    assert RestoreJob(source=place, destination="out").source == place


@given(st.from_regex(r"(s3|S3|gs|/a)?:?//?[a-zA-Z0-9@:._?/ -]{0,20}", fullmatch=True))
@example("s3:/ab")
@example("s3://ab")
@example("s3://a")
@example("s3://-ab/c")
def test_the_form_lets_pass_what_the_configuration_lets_pass(place) -> None:
    try:
        check_place(place)
    except ConfigurationError:
        assert re.search(PLACE, place) is None
    else:
        assert re.search(PLACE, place) is not None


def test_the_schema_of_the_form_has_the_names_in_it() -> None:
    schema = RestoreJob.model_json_schema()
    fields = schema["properties"] | schema["$defs"]["Degradation"]["properties"]
    for name in ("source", "destination", "reference", "key_list", "mask", "masks"):
        kinds = fields[name].get("anyOf", [fields[name]])
        assert kinds[0]["pattern"] == PLACE, name
