"""The flow on a real Prefect server of the tests: its states, its task runs and what its pages show."""

from __future__ import annotations

import base64
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from flows.display.progress import Standing, watching
from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError, StoreUnavailableError, TimeLimitError
from tests.pipeline.archive import image_bytes, put, restore_job, write_archive
from tests.servers import S3Server, weed

pytestmark = [pytest.mark.prefect, pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*")]


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    from flows.environment import prepare_prefect

    prepare_prefect()
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def job(tmp_path: Path, tiny_prior: str) -> RestoreJob:
    write_archive(tmp_path / "in", 5)
    put(tmp_path / "in", "letter|<b>.jpg", b"Dear Sir or Madam")
    return restore_job(tmp_path / "in", tmp_path / "out", tiny_prior)


def run(job: RestoreJob) -> Any:
    """Run the flow; returns its state."""
    from flows.flow.restore_archive import restore_archive

    return restore_archive(job, return_state=True)


def artifacts(prefix: str) -> list[Any]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/latest/filter", json={}).json()
    return [each for each in found if each["key"].startswith(prefix)]


def task_runs(state: Any) -> list[str]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        body = {"flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}}}
        return sorted(each["name"] for each in client.request("POST", "/task_runs/filter", json=body).json())


def test_a_run_restores_the_archive_and_shows_counts_and_failures(job) -> None:
    seen = list[Standing]()
    with watching(seen.append):
        state = run(job)
    assert state.is_completed()
    summary = state.result()
    assert (summary.counts.restored, summary.counts.failed) == (5, 1)
    assert (seen[0].total, seen[0].done, seen[-1].done, seen[-1].run.counts.failed) == (6, 0, 6, 1)
    (progress,) = artifacts(f"progress-{summary.job_id}")
    assert progress["description"].startswith("6 of 6 images, 1 failed")
    (shards,) = artifacts(f"shards-{summary.job_id}")
    assert shards["description"] == "2 of 2 shards, 1 worker"
    all, worker = json.loads(shards["data"])
    assert (all["worker"], all["shards"], all["images"], all["not restored"]) == ("all", 2, 6, "1 DecodeError")
    assert worker["images"] == 6
    assert worker["NFE/image"] == 3
    (page,) = artifacts(f"summary-{summary.job_id}")
    assert page["description"] == "5 restored, 1 failed, 0 skipped, 0 in conflict"
    assert "| restored | 5 |" in page["data"]
    assert "letter\\|\\<b\\>.jpg" in page["data"]
    assert f"deqir retry {job.destination} --job {summary.job_id}" in page["data"]
    (failed,) = artifacts(f"failures-{summary.job_id}")
    assert [each["error"] for each in json.loads(failed["data"])] == ["DecodeError"]


def test_the_summary_shows_images_before_and_after_and_how_they_converged(job) -> None:
    latency = job.model_copy(update={"result": job.result.model_copy(update={"mode": "latency", "steps": 6})})
    summary = run(latency).result()
    (page,) = artifacts(f"summary-{summary.job_id}")
    pictures = re.findall(r"!\[(\w+)[^]]*\]\(data:image/(jpeg|svg\+xml);base64,([^)]+)\)", page["data"])
    assert Counter(name for name, _, _ in pictures) == {"before": 4, "after": 4, "residual": 1}
    for name, kind, data in pictures:
        if kind == "jpeg":
            with Image.open(io.BytesIO(base64.b64decode(data))) as image:
                assert image.size == (32, 32), name
        else:
            ElementTree.fromstring(base64.b64decode(data))


def test_a_run_has_few_task_runs_and_names_a_person_recognises(job) -> None:
    state = run(job)
    summary = state.result()
    assert task_runs(state) == [
        f"finalize {summary.job_id}",
        f"plan {job.source}",
        "restore shard 1 of 2",
        "restore shard 2 of 2",
    ]


def test_a_second_run_restores_nothing_and_starts_no_task_for_it(job) -> None:
    run(job)
    state = run(job)
    assert state.is_completed()
    assert [name.split()[0] for name in task_runs(state)] == ["finalize", "plan"]


def flow_run(state: Any) -> Any:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.read_flow_run(state.state_details.flow_run_id)


def test_a_store_that_does_not_answer_is_tried_again_and_a_wrong_setting_is_not(job, monkeypatch) -> None:
    from flows.flow.restore_archive import restore_archive

    retried = restore_archive.with_options(retry_delay_seconds=0)
    for name, value in S3Server(endpoint="http://127.0.0.1:9").environment.items():
        monkeypatch.setenv(name, value)
    state = retried(job.model_copy(update={"source": "s3://archive/in"}), return_state=True)
    assert isinstance(state.result(raise_on_failure=False), StoreUnavailableError)
    assert flow_run(state).run_count == 3
    state = retried(job.model_copy(update={"source": f"{job.source}/nowhere"}), return_state=True)
    assert isinstance(state.result(raise_on_failure=False), ConfigurationError)
    assert flow_run(state).run_count == 1


def test_a_run_that_takes_too_long_fails_once_and_the_next_one_goes_on(job) -> None:
    def limited(minutes: float | None) -> RestoreJob:
        return job.model_copy(update={"runtime": job.runtime.model_copy(update={"max_minutes": minutes})})

    state = run(limited(1e-6))
    assert isinstance(state.result(raise_on_failure=False), TimeLimitError)
    assert "the next run goes on from there" in state.message
    assert flow_run(state).run_count == 1
    assert run(limited(None)).result().counts.restored == 5


def test_credentials_come_out_of_a_block_that_the_environment_names(job, monkeypatch, tmp_path) -> None:
    from prefect.blocks.system import Secret

    Secret(value={"AWS_ACCESS_KEY_ID": "testak", "AWS_SECRET_ACCESS_KEY": "testsecret123"}).save(
        "archive", overwrite=True
    )
    with weed(tmp_path) as server:
        server.client().create_bucket(Bucket="archive")
        server.client().put_object(Bucket="archive", Key="in/one.png", Body=image_bytes(1))
        for name, value in server.environment.items():
            if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                monkeypatch.setenv(name, value)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "replaced by the block")
        monkeypatch.setenv("DEQIR_CREDENTIALS_BLOCK", "archive")
        assert run(job.model_copy(update={"source": "s3://archive/in"})).result().counts.restored == 1
    monkeypatch.setenv("DEQIR_CREDENTIALS_BLOCK", "no-such")
    assert "has no Secret block of this name" in str(run(job).message)


def test_a_job_that_cannot_run_fails_with_the_reason(job, tmp_path) -> None:
    state = run(job.model_copy(update={"source": str(tmp_path / "nowhere")}))
    assert state.is_failed()
    assert "nowhere" in str(state.message)
    with pytest.raises(ConfigurationError, match="nowhere"):
        state.result()
