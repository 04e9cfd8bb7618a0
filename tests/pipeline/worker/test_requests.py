"""Requests that an image costs in S3, counted between the client and the server."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.job.job import open_job, plan_job
from tests.pipeline.archive import image_bytes, restore_job
from tests.pipeline.shard_runs import run, worker_of
from tests.pipeline.store.places import S3Place
from tests.pipeline.store.proxy import proxy
from tests.servers import moto


@pytest.mark.s3
def test_an_image_costs_one_request_to_read_and_two_to_write(tiny_prior, monkeypatch) -> None:
    with moto() as server, proxy(server) as through:
        for name, value in through.server.environment.items():
            monkeypatch.setenv(name, value)
        bucket, asked = server.make_bucket(), list[Counter[str]]()
        for count in (2, 5):
            place = S3Place(server.client(), bucket, f"{count}/in/")
            for number in range(count):
                place.put(f"{number}.png", image_bytes(number))
            folder = f"s3://{bucket}/{count}"
            job = open_job(restore_job(f"{folder}/in", f"{folder}/out", tiny_prior, runtime={"shard_size": 9}))  # type: ignore[arg-type]
            worker, (shard,) = worker_of(job), plan_job(job).shards
            through.requests.clear()
            assert [row.status for row in run(worker, shard)] == ["restored"] * count
            asked.append(Counter(through.requests))
    few, many = asked
    assert many - few == {"GET": 2 * 3, "PUT": 3}
