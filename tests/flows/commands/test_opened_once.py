"""A command checks its job once: the operating system's files tell how often the weights are read."""

from __future__ import annotations

import pytest

from tests.pipeline.archive import put, restore_job, write_archive
from tests.processes import python

COUNTED = """
import sys
from pathlib import Path

read = []
sys.addaudithook(lambda event, args: read.append(str(args[0])) if event == "open" else None)
try:
    {command}
except SystemExit:
    pass
print("weights:", sum(Path(name).suffix == ".safetensors" for name in read))
"""
RESTORE = """
    from flows.commands.restore import run_restore
    from pipeline.config import RestoreJob
    run_restore(RestoreJob.model_validate_json(sys.argv[1]), dry_run=False, as_json=True, verbose=False)
"""
RETRY = """
    from flows.cli import app
    app(["retry", sys.argv[2], "--json"])
"""
DEPLOYED = """
    from flows.flow.restore_archive import restore_archive
    from pipeline.config import RestoreJob
    restore_archive(RestoreJob.model_validate_json(sys.argv[1]))
"""


@pytest.mark.parametrize("command", [RESTORE, DEPLOYED], ids=["deqir restore", "a deployed run"])
def test_weights_are_read_once_to_check_the_job_and_once_to_restore(
    command, tmp_path, tiny_prior, prefect_environment
) -> None:
    write_archive(tmp_path / "in", 1)
    put(tmp_path / "in", "cut.png", b"no image")
    job = restore_job(tmp_path / "in", tmp_path / "out", tiny_prior).model_dump_json()

    def counted(command: str) -> str:
        run = python("-c", COUNTED.format(command=command.strip()), job, tmp_path / "out", env=prefect_environment)
        assert run.returncode == 0, run.stderr
        return run.stdout.splitlines()[-1]

    assert counted(command) == "weights: 2"
    if command == RESTORE:
        assert counted(RETRY) == "weights: 2"
