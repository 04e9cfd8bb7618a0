"""URLs that may hold credentials: no command takes them for a place, and no message repeats what they hold."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from flows.cli import app
from pipeline.errors import ConfigurationError, JobError
from tests.flows.deployments import JOB, register

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*")
SECRET = "hidden"
PLACE = f"s3://key:{SECRET}@bucket/photos"


@pytest.mark.parametrize("command", [["restore"], ["deploy", "nightly"]], ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([PLACE, "out"], "SRC: "),
        (["in", PLACE], "DST: "),
        (["in", "out", "--reference", PLACE], "--reference: "),
        (["in", "out", "--guide", PLACE], "--guide: "),
        (["in", "out", "--task", "inpaint", "--masks", PLACE], "--masks: "),
    ],
)
def test_a_url_with_credentials_is_refused_at_the_command_line(command, arguments, name) -> None:
    done = CliRunner().invoke(app, [*command, *arguments])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {name}an S3 place is s3://bucket or s3://bucket/prefix")
    assert len(done.stderr.splitlines()) == 1
    assert SECRET not in done.output


def test_the_form_takes_none_either(api) -> None:
    register("form-of-places")
    with pytest.raises(httpx.HTTPStatusError, match=r"409|422"):
        api.start("form-of-places", source=PLACE)
    with pytest.raises(httpx.HTTPStatusError, match=r"409|422"):
        api.start("form-of-places", reference=PLACE)
    assert api.runs("form-of-places") == []
    assert api.start("form-of-places", reference="s3://archive/originals")


def test_watching_a_deployment_that_has_one_is_refused(api) -> None:
    """One that an older version registered, whose form knew no better."""
    from flows.events.runs.runs import open_runs

    register("with-credentials")
    parameters: dict[str, Any] = {"job": JOB.model_dump(mode="json") | {"source": PLACE}}
    body = {"parameters": parameters, "enforce_parameter_schema": False}
    api.call("PATCH", f"/deployments/{api.deployment('with-credentials')['id']}", body)
    with (
        open_runs("restore-archive/with-credentials") as runs,
        pytest.raises(ConfigurationError, match="an S3 place is") as caught,
    ):
        runs.deployment()
    assert SECRET not in str(caught.value)


def with_password(url: str) -> str:
    """The same server's URL as somebody has it who sits behind a proxy that asks for a password."""
    return url.replace("://", f"://keeper:{SECRET}@")


@pytest.mark.parametrize("command", [["doctor"], ["deploy", "nightly", "in", "out"]], ids=lambda command: command[0])
def test_a_server_that_does_not_answer_is_named_without_its_password(command, deqir) -> None:
    done = deqir(*command, PREFECT_API_URL=with_password("http://127.0.0.1:9/api"))
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert "no Prefect server answers at http://127.0.0.1:9/api" in said
    assert SECRET not in said


def test_a_server_that_answers_is_named_without_its_password_too(api) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.doctor.check_server import check_api
    from flows.server import page, server

    plain = api.url
    with temporary_settings({PREFECT_API_URL: with_password(plain)}), server() as client:
        assert check_api(client).subject == f"server {plain}/"
        assert page("runs") == f"{plain.removesuffix('/api')}/runs"


def test_what_a_server_refuses_is_told_without_its_password(api) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.server import server

    with (
        temporary_settings({PREFECT_API_URL: with_password(f"{api.url}/nowhere")}),
        pytest.raises(JobError, match=r"refused: .*404") as caught,
        server(),
    ):
        pass
    assert SECRET not in str(caught.value)
