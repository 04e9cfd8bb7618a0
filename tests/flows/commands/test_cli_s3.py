"""The command line on a real S3 server: from bucket to bucket, and what goes wrong with buckets in one line."""

from __future__ import annotations

import io
import secrets

import numpy as np
import pytest
from PIL import Image

from tests.flows.commands.test_cli import rows_in
from tests.flows.conftest import one_line
from tests.pipeline.archive import image_bytes
from tests.servers import S3Server, moto

pytestmark = pytest.mark.s3


def put_pictures(server: S3Server, url: str) -> list[str]:
    """Upload pictures, one of them damaged, below an s3:// URL; returns their keys."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    pictures = {f"album/bild {index} ü+#.png": image_bytes(index) for index in range(4)}
    pictures["torn.png"] = image_bytes(9)[:80]
    for key, data in pictures.items():
        server.client().put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=data)
    return list(pictures)


@pytest.mark.ray
def test_an_archive_in_a_bucket_is_restored_into_a_bucket_by_ray_actors(s3_server, s3_url, tiny_prior, deqir) -> None:
    keys = put_pictures(s3_server, f"{s3_url}/in")
    task = ("--task", "sr", "--scale", "2")
    options = ("--prior", tiny_prior, *task, "--steps", "3", "--shard-size", "2", "--actors", "2")
    run = deqir("restore", f"{s3_url}/in", f"{s3_url}/out", *options, **s3_server.environment)
    assert run.returncode == 3, run.stderr
    rows = {row.source_key: row for row in rows_in(f"{s3_url}/out")}
    assert {key: row.status for key, row in rows.items()} == {**dict.fromkeys(keys, "restored"), "torn.png": "failed"}
    bucket, _, prefix = s3_url.removeprefix("s3://").partition("/")
    for row in rows.values():
        if row.status == "restored":
            stored = s3_server.client().get_object(Bucket=bucket, Key=f"{prefix}/out/{row.output_key}")["Body"].read()
            assert np.asarray(Image.open(io.BytesIO(stored))).shape == (32, 32, 3)
    again = deqir("restore", f"{s3_url}/in", f"{s3_url}/out", *options, **s3_server.environment)
    assert "nothing was left to restore" in again.stdout


def test_wrong_credentials_are_one_clear_line_without_the_secret(s3_server, s3_url, tmp_path, deqir) -> None:
    secret = secrets.token_hex(16)
    wrong = s3_server.environment | {"AWS_SECRET_ACCESS_KEY": secret}
    line = one_line(deqir("restore", f"{s3_url}/in", tmp_path / "out", **wrong))
    assert "s3://" in line
    assert "credentials" in line
    assert secret not in line


def test_no_credentials_at_all_are_one_clear_line(s3_server, s3_url, tmp_path, deqir) -> None:
    none = s3_server.environment | {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    assert "credentials" in one_line(deqir("restore", f"{s3_url}/in", tmp_path / "out", **none))


def test_a_missing_bucket_is_one_clear_line(tmp_path, deqir) -> None:
    with moto() as server:
        line = one_line(deqir("restore", "s3://no-such-bucket/in", tmp_path / "out", **server.environment))
    assert "no-such-bucket" in line
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_not_there_is_one_line_and_exit_status_1(tmp_path, deqir) -> None:
    nobody = S3Server(endpoint="http://127.0.0.1:9").environment
    run = deqir("restore", "s3://bucket/in", tmp_path / "out", **nobody)
    assert run.returncode == 1
    (line,) = run.stderr.strip().splitlines()
    assert "127.0.0.1:9" in line
