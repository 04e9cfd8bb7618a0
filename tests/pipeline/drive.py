"""A process that runs a job, for tests that kill it: python -m tests.pipeline.drive JOB.json [options]."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import torch

from pipeline.config import RestoreJob
from pipeline.job.job import executor_of, open_job, plan_job
from tests.pipeline.faults import faulty_worker
from tests.pipeline.jobs import worker_builder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("job", type=Path)
    parser.add_argument("--hang", type=Path, help="folder in which the process that hangs leaves its name")
    parser.add_argument("--handle-sigterm", action="store_true", help="end by an exception, as a flow run does")
    options = parser.parse_args()
    if options.handle_sigterm:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    torch.set_num_threads(1)
    job = open_job(RestoreJob.model_validate_json(options.job.read_bytes()))
    build = worker_builder(job)
    if options.hang:
        build = partial(faulty_worker, build, "hang", 1, options.hang)
    shards = plan_job(job).pending
    with closing(executor_of(job.config.runtime).run(shards, build, lambda progress: None)) as reports:
        for report in reports:
            sys.stdout.write(f"{report.shard_id}\n")


if __name__ == "__main__":
    main()
