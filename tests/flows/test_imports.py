"""What the command line imports before a command runs."""

from __future__ import annotations

from tests.processes import python

HELP = """
import sys
from flows.cli import main
for command in ("", *sys.argv[1:]):
    sys.argv = ["deqir", *command.split(), "--help"]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, (command, end.code)
    heavy = {"torch", "prefect", "ray", "pyarrow", "boto3", "diffusers", "PIL", "numpy"} & set(sys.modules)
    assert not heavy, (command, heavy)
"""
COMMANDS = ("restore", "degrade", "status", "models", "watch", "retry", "deploy", "doctor")


def test_help_imports_nothing_heavy() -> None:
    run = python("-c", HELP, *COMMANDS)
    assert run.returncode == 0, run.stderr
    for command in ("", *(f" {name}" for name in COMMANDS)):
        assert f"Usage: deqir{command} " in run.stdout
