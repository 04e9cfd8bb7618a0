"""Events by SQS, against moto: a bucket sends them to a queue as AWS does."""

from __future__ import annotations

import json
import time

import boto3
import pytest

from flows.events.inbox.inbox import Inbox
from flows.events.repeat import TryLaterError
from flows.events.sources.messages import Hint
from flows.events.sources.scope import Scope
from flows.events.sources.sqs import Queue, connect
from pipeline.errors import ConfigurationError
from tests.flows.events.conftest import Notified, drain, waiting_keys

ODD_KEY = "in/a b+c/ü%20#1 é.png"


@pytest.fixture
def queue(notified: Notified, inbox: Inbox) -> Queue:
    return Queue.open(notified.queue, inbox=inbox, scope=Scope.of(f"s3://{notified.bucket}/in"))


def test_uploads_below_the_source_are_hinted_at_once_and_nothing_else(notified, queue, inbox) -> None:
    notified.put("in/one.png")
    notified.put("in/one.png")
    notified.put(ODD_KEY)
    notified.put("out/one.png")
    notified.put("in-between/two.png")
    notified.s3.delete_object(Bucket=notified.bucket, Key="out/one.png")
    drain(queue, notified)
    assert waiting_keys(inbox) == sorted(["one.png", ODD_KEY.removeprefix("in/")])
    assert inbox.counts().dead_letters == 0  # the queue's first message was S3's test


def test_another_version_of_an_object_is_another_hint(notified, queue, inbox) -> None:
    notified.put("in/one.png", b"first")
    drain(queue, notified)
    assert waiting_keys(inbox) == ["one.png"]
    notified.put("in/one.png", b"second")
    notified.put("in/one.png", b"first")  # as before: no work
    drain(queue, notified)
    assert waiting_keys(inbox) == ["one.png"]


def test_both_events_of_a_multipart_upload_are_one_hint(notified, queue, inbox) -> None:
    upload = notified.s3.create_multipart_upload(Bucket=notified.bucket, Key="in/large.png")["UploadId"]
    at = {"Bucket": notified.bucket, "Key": "in/large.png", "UploadId": upload}
    part = notified.s3.upload_part(**at, PartNumber=1, Body=b"an image" * 1000)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    notified.s3.complete_multipart_upload(**at, MultipartUpload=parts)
    assert notified.left() >= 3  # S3's test message, and two events of one upload
    drain(queue, notified)
    assert waiting_keys(inbox) == ["large.png"]
    listed = notified.s3.list_objects_v2(Bucket=notified.bucket)["Contents"]
    assert len(listed) == 1


def test_a_notification_by_way_of_sns_is_read(notified, queue, inbox) -> None:
    sns = boto3.client("sns", endpoint_url=notified.server.endpoint, region_name="us-east-1")
    topic = sns.create_topic(Name=notified.bucket)["TopicArn"]
    arn = notified.sqs.get_queue_attributes(QueueUrl=notified.queue, AttributeNames=["QueueArn"])
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
    record = {
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": notified.bucket}, "object": {"key": "in/by+sns.png", "eTag": "1"}},
    }
    sns.publish(TopicArn=topic, Message=json.dumps({"Records": [record]}))
    drain(queue, notified)
    assert waiting_keys(inbox) == ["by sns.png"]


def test_messages_that_are_no_events_become_dead_letters_and_stop_nothing(notified, queue, inbox) -> None:
    for body in ("hello", "{}", '{"Records": [1]}', "hello"):
        notified.sqs.send_message(QueueUrl=notified.queue, MessageBody=body)
    notified.put("in/after.png")
    drain(queue, notified)
    assert waiting_keys(inbox) == ["after.png"]
    assert inbox.counts().dead_letters == 3


def test_what_can_be_read_of_a_message_is_kept_beside_the_reason_for_the_rest(notified, queue, inbox) -> None:
    records = [
        {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": notified.bucket}, "object": {"key": key}}}
        for key in ("in/%ff.png", "in/good.png")
    ]
    notified.sqs.send_message(QueueUrl=notified.queue, MessageBody=json.dumps({"Records": records}))
    drain(queue, notified)
    assert waiting_keys(inbox) == ["good.png"]
    assert inbox.counts().dead_letters == 1


def test_credentials_in_a_queues_url_are_refused_and_told_to_nobody(notified, inbox) -> None:
    scope = Scope.of(f"s3://{notified.bucket}/in")
    with_password = notified.queue.replace("://", "://someone:hunter2@")
    for url in (with_password, "https://someone:hunter2@sqs", "someone:hunter2@sqs/1/q", "http://hunter2@[x/1/q"):
        with pytest.raises(ConfigurationError, match="user name or password") as refused:
            Queue.open(url, inbox=inbox, scope=scope)
        assert "hunter2" not in str(refused.value)
        assert "someone" not in str(refused.value)


def test_a_message_comes_again_until_it_is_in_the_inbox(notified, queue, inbox) -> None:
    notified.put("in/one.png")
    seen = notified.sqs.receive_message(QueueUrl=notified.queue, MaxNumberOfMessages=10)["Messages"]
    assert len(seen) == 2  # somebody took S3's test message and the event, and died
    time.sleep(2.1)  # the queue's visibility time-out
    drain(queue, notified)
    assert waiting_keys(inbox) == ["one.png"]


def test_a_queue_that_cannot_be_used_is_named(notified, inbox) -> None:
    scope = Scope.of(f"s3://{notified.bucket}/in")
    for url in (
        "a-queue",
        "https://sqs.eu-west-1.amazonaws.com",
        "s3://bucket/queue",
        "arn:aws:sqs:eu-west-1:1:q",
        "http://[x/q",
    ):
        with pytest.raises(ConfigurationError, match="is not a queue's URL"):
            Queue.open(url, inbox=inbox, scope=scope)
    with pytest.raises(ConfigurationError, match=r"-no-such cannot be used: .*does not exist"):
        Queue.open(f"{notified.queue}-no-such", inbox=inbox, scope=scope)
    with pytest.raises(ConfigurationError, match=r"http://127\.0\.0\.1:9/1/q cannot be used"):
        Queue.open("http://127.0.0.1:9/1/q", inbox=inbox, scope=scope)


def test_a_queue_that_is_gone_is_tried_later(notified, queue) -> None:
    notified.sqs.delete_queue(QueueUrl=notified.queue)
    with pytest.raises(TryLaterError, match="does not exist"):
        queue()


def test_the_region_is_the_one_in_the_queues_url(notified, inbox) -> None:
    for url, region in (
        ("https://sqs.eu-central-1.amazonaws.com/1/q", "eu-central-1"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/1/q", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", "cn-north-1"),
        (notified.queue, "us-east-1"),
    ):
        client = connect(url)
        assert client.meta.region_name == region
        assert url.startswith(client.meta.endpoint_url)


def test_a_folder_has_no_events() -> None:
    with pytest.raises(ConfigurationError, match="--poll SECONDS"):
        Scope.of("/data/archive")


def test_a_prefix_ends_where_a_part_of_the_key_does() -> None:
    def keys(source: str) -> list[str]:
        hints = (Hint(bucket=bucket, key=key, version="1", at=None) for bucket, key in told)
        return [entry.key for entry in Scope.of(source).entries(hints)]

    told = [("b", "in/x"), ("b", "in"), ("b", "in/"), ("b", "in2/x"), ("b", "/in/x"), ("c", "in/x"), ("b", "in//x")]
    assert keys("s3://b/in") == keys("s3://b/in/") == ["x", "/x"]
    assert keys("s3://b") == ["in/x", "in", "in/", "in2/x", "/in/x", "in//x"]


def test_the_records_of_a_job_that_writes_to_the_source_are_no_new_objects() -> None:
    told = [".deqir/0123/plan/000000.parquet", "in/.deqir/events/4567.jsonl", "in/.deqir.png", "in/a/.deqir/b.png"]
    hints = [Hint(bucket="b", key=key, version="1", at=None) for key in told]
    assert [entry.key for entry in Scope.of("s3://b/in").entries(hints)] == [".deqir.png", "a/.deqir/b.png"]
    assert [entry.key for entry in Scope.of("s3://b").entries(hints)] == told[1:]
