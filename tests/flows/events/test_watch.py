"""`deqir watch` as its users run it: a process, a real Prefect server, real queues and stores, and signals."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import httpx
import pytest

from tests.flows.conftest import one_line
from tests.flows.events.conftest import SECRET, TOKEN, Watcher
from tests.flows.events.prefect_api import keys_of
from tests.flows.events.sources.test_webhook import BEARER, event
from tests.processes import python
from tests.servers import weed


def post(watcher: Watcher, body: bytes, headers: dict[str, str] = BEARER) -> int:
    return httpx.post(f"http://{watcher.address}/events", content=body, headers=headers, timeout=20).status_code


def test_posted_events_become_runs_and_sigterm_ends_it_cleanly_and_no_secret_is_left(watch, api, tmp_path) -> None:
    name, deployment = api.deploy("s3://archive/in", str(tmp_path / "out"))
    watcher = watch(name, "--batch-size", "2", "--batch-seconds", "3600", webhook=True)
    for key in ("in/b.png", "in/a.png", "in/b.png", "elsewhere/c.png", "in/d.png"):
        assert post(watcher, event(key)) == 202
    assert post(watcher, b"no event") == 400
    assert post(watcher, event("in/e.png"), {"Authorization": f"Bearer {TOKEN}!"}) == 401
    watcher.until(lambda: watcher.health()["started"] == 2)
    (run,) = api.runs_of(deployment)
    assert keys_of([run]) == ["a.png", "b.png"]
    assert watcher.stop() == 0
    # the third key of the source may come before the batch is started, or after
    assert len(watcher.lines("batch started")) == 1
    assert watcher.lines(rf"batch started .* keys=2 attempt=1 run={run['id']} waiting=[01] ")
    assert watcher.lines("stopped waiting=1")
    assert not watcher.lines("Traceback|ERROR")
    (warning,) = watcher.lines("WARNING")
    assert "give --poll, too" in warning
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    written.append(json.dumps(api.runs_of(deployment)).encode())
    for secret in (TOKEN, SECRET):
        assert not any(secret.encode() in each for each in written)


def test_files_in_a_folder_become_runs(watch, api, tmp_path) -> None:
    (tmp_path / "in/sub").mkdir(parents=True)
    name, deployment = api.deploy(str(tmp_path / "in"), str(tmp_path / "out"))
    (tmp_path / "in/there before.png").write_bytes(b"x")
    watcher = watch(name, "--poll", "1", "--batch-seconds", "0")
    (tmp_path / "in/sub/new.png").write_bytes(b"x")
    watcher.until(lambda: len(keys_of(api.runs_of(deployment))) == 2)
    assert keys_of(api.runs_of(deployment)) == ["sub/new.png", "there before.png"]
    assert watcher.stop() == 0


@pytest.mark.s3
def test_what_a_real_seaweedfs_posts_becomes_runs(watch, api, tmp_path) -> None:
    folder = tmp_path / "weed"
    folder.mkdir()
    name, deployment = api.deploy("s3://archive/in", str(tmp_path / "out"))
    watcher = watch(name, "--batch-seconds", "1", webhook=True)
    (folder / "notification.toml").write_text(
        f"""
        [notification.webhook]
        enabled = true
        endpoint = "http://{watcher.address}/events"
        bearer_token = "{TOKEN}"
        """
    )
    with weed(folder) as server:
        s3 = server.client()
        s3.create_bucket(Bucket="archive")
        put = {"in/one.png": b"1", "in/a b+c/ü%20#2.png": b"2", "in/sub/large.png": b"3" * 5_000_000, "out/x.png": b"4"}
        for key, data in put.items():
            s3.put_object(Bucket="archive", Key=key, Body=data)
        s3.put_object(Bucket="archive", Key="in/one.png", Body=b"1")
        at = {"Bucket": "archive", "Key": "in/parts.png"}
        upload = s3.create_multipart_upload(**at)["UploadId"]
        tags = [
            {"PartNumber": n, "ETag": s3.upload_part(**at, UploadId=upload, PartNumber=n, Body=b"5" * size)["ETag"]}
            for n, size in ((1, 5 * 2**20), (2, 7))
        ]
        s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload={"Parts": tags})
        s3.put_object_tagging(**at, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
        s3.delete_object(Bucket="archive", Key="out/x.png")
        expected = sorted(key.removeprefix("in/") for key in [*put, "in/parts.png"] if key.startswith("in/"))
        watcher.until(lambda: keys_of(api.runs_of(deployment)) == expected)
        time.sleep(1.5)  # time for any further event
        listed = s3.list_objects_v2(Bucket="archive", Prefix="in/")["Contents"]
    assert sorted(item["Key"].removeprefix("in/") for item in listed) == expected
    assert keys_of(api.runs_of(deployment)) == expected
    assert watcher.health()["dead_letters"] == 0


def test_killed_at_any_moment_it_loses_nothing_and_starts_nothing_twice(watch, api, notified, tmp_path) -> None:
    chance = random.Random(17)
    name, deployment = api.deploy(f"s3://{notified.bucket}/in", str(tmp_path / "out"))
    options = ("--queue", notified.queue, "--batch-size", "5", "--batch-seconds", "0.5", "--max-runs", "100")
    uploaded = [f"in/{number:02d}.png" for number in range(30)]
    for life in range(3):
        for key in uploaded[10 * life : 10 * life + 10]:
            notified.put(key)
            notified.put(key)
        notified.sqs.send_message(QueueUrl=notified.queue, MessageBody=f"no event {life}")
        watcher = watch(name, *options)
        time.sleep(chance.uniform(0.0, 1.2))
        watcher.kill()
    watcher = watch(name, *options)
    expected = sorted(key.removeprefix("in/") for key in uploaded)
    watcher.until(lambda: not notified.left() and len(keys_of(api.runs_of(deployment))) >= len(expected))
    time.sleep(1.5)
    assert watcher.stop() == 0
    assert keys_of(api.runs_of(deployment)) == expected


def test_killed_between_any_two_lines_every_key_is_in_one_run(prefect_environment, api, tmp_path) -> None:
    name, deployment = api.deploy("s3://archive/in", str(tmp_path / "out"))
    script = Path(__file__).with_name("crash_walk.py")
    walk = python(script, name, tmp_path, env=prefect_environment)
    assert walk.returncode == 0, walk.stderr
    killed, told = json.loads(walk.stdout)
    assert killed > 80
    assert keys_of(api.runs_of(deployment)) == sorted(told)


def test_the_watcher_leaves_torch_and_ray_alone() -> None:
    """The watcher must fit into a small container."""
    look = "import sys, flows.events.watch, flows.events.sources.sqs, flows.events.sources.webhook; print(*sys.modules)"
    modules = python("-c", look)
    assert "flows.events.watch" in modules.stdout.split(), modules.stderr
    assert not {"torch", "ray", "pyarrow", "PIL", "diffusers"} & set(modules.stdout.split())


def test_wrong_usage_is_one_line_and_exit_status_2(deqir, api, tmp_path) -> None:
    name, _ = api.deploy(str(tmp_path / "in"), str(tmp_path / "out"))
    refusals = [
        (("--deployment", "restore-archive/none", "--poll", "5"), "no deployment 'restore-archive/none'"),
        (("--deployment", name, "--webhook", "127.0.0.1:0"), "use --poll SECONDS"),
    ]
    for arguments, text in refusals:
        assert text in one_line(deqir("watch", *arguments, "--inbox", tmp_path / "inbox"))
