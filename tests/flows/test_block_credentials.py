"""Credentials that only a block of a real Prefect server holds: commands take them as a worker's run does."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from pipeline.config import RestoreJob
from tests.flows.conftest import quick
from tests.flows.deployments import register
from tests.flows.live import Api
from tests.pipeline.archive import image_bytes

pytestmark = [pytest.mark.s3, pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*")]
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def block(held: object) -> str:
    """The name of a new Secret block."""
    from prefect.blocks.system import Secret

    name = f"archive-{uuid4().hex[:6]}"
    Secret(value=held).save(name)
    return name


@pytest.fixture
def place(api: Api, s3_server, s3_url) -> str:
    """A prefix of a bucket with a good image and one that is too large for some."""
    bucket, _, prefix = s3_url.removeprefix("s3://").partition("/")
    for key, size in (("small.png", (8, 8)), ("large.png", (40, 40))):
        s3_server.client().put_object(Bucket=bucket, Key=f"{prefix}/in/{key}", Body=image_bytes(1, size=size))
    return str(s3_url)


@pytest.fixture
def around(s3_server) -> dict[str, str]:
    """An environment that knows where the server is, and a block with its credentials, but none itself."""
    known = s3_server.environment
    name = block({each: known[each] for each in KEYS})
    return known | dict.fromkeys(KEYS, "") | {"DEQIR_CREDENTIALS_BLOCK": name}


def test_restore_and_retry_open_their_stores_with_them(place, around, tiny_prior, deqir) -> None:
    options = (*quick(tiny_prior), "--max-pixels", "500", "--json")
    first = deqir("restore", f"{place}/in", f"{place}/out", *options, **around)
    assert first.returncode == 3, first.stderr
    again = deqir("retry", f"{place}/out", "--max-pixels", "10000", "--json", **around)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["restored"] == 1


def test_what_only_looks_at_images_takes_them_too(place, around, tiny_prior, deqir) -> None:
    told = deqir("estimate", f"{place}/in", "--json", **around)
    assert told.returncode == 0, told.stderr
    assert [image["key"] for image in json.loads(told.stdout)] == ["large.png", "small.png"]
    made = deqir("degrade", f"{place}/in", f"{place}/small", "--task", "sr", "--scale", "2", **around)
    assert made.returncode == 0, made.stderr
    assert f"2 images degraded into {place}/small" in made.stdout
    assert deqir("restore", f"{place}/small", f"{place}/out", *quick(tiny_prior), **around).returncode == 0
    stands = deqir("status", f"{place}/out", "--json", **around)
    assert stands.returncode == 0, stands.stderr
    assert [job["restored"] for job in json.loads(stands.stdout)] == [2]


def test_what_is_on_this_machine_needs_no_server(tmp_path, deqir) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/one.png").write_bytes(image_bytes(1, size=(24, 24)))
    silent = {"DEQIR_CREDENTIALS_BLOCK": "archive", "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    assert deqir("estimate", tmp_path / "in", **silent).returncode == 0


def test_a_block_that_is_not_there_and_a_silent_server_are_one_line(api, deqir) -> None:
    watched = ("watch", "--deployment", "restore-archive/none", "--poll", "9")
    for command in (("retry", "s3://archive/out"), ("status", "s3://archive/out"), watched):
        run = deqir(*command, DEQIR_CREDENTIALS_BLOCK="no-such")
        assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
        assert "DEQIR_CREDENTIALS_BLOCK=no-such: the Prefect server has no Secret block of this name" in run.stderr
    silent = {"DEQIR_CREDENTIALS_BLOCK": "archive", "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    run = deqir("restore", "s3://archive/in", "s3://archive/out", **silent)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
    assert "no Prefect server answers at http://127.0.0.1:9/api" in run.stderr


@pytest.fixture
def deployed(place) -> str:
    """A deployment of that place with a pool of its own."""
    job = RestoreJob.model_validate(
        {"source": f"{place}/in", "destination": f"{place}/out", "runtime": {"executor": "local"}}
    )
    name = f"block-{uuid4().hex[:6]}"
    register(name, job, pool=name)
    return f"restore-archive/{name}"


def test_the_doctor_looks_at_places_with_them(deployed, place, around, deqir) -> None:
    said = deqir("doctor", "--deployment", deployed, **around).stdout
    assert f"ok    credentials block {around['DEQIR_CREDENTIALS_BLOCK']}: is there" in said
    assert f"ok    source {place}/in: can be read, 2 objects" in said
    assert f"ok    destination {place}/out: can be written to" in said


@pytest.mark.parametrize("held", [None, "a password"])
def test_the_doctor_says_where_a_run_would_find_none(deployed, s3_server, held, deqir) -> None:
    name = block(held) if held else "no-such"
    done = deqir("doctor", "--deployment", deployed, **s3_server.environment, DEQIR_CREDENTIALS_BLOCK=name)
    assert done.returncode == 2
    reason = "the block must hold a JSON object" if held else "the Prefect server has no Secret block"
    assert f"wrong credentials block {name}: DEQIR_CREDENTIALS_BLOCK={name}: {reason}" in done.stdout
    assert "      do: correct the block or DEQIR_CREDENTIALS_BLOCK" in done.stdout
    assert "a password" not in done.stdout
