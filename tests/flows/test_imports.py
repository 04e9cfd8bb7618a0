"""What the command line imports before a command runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

HELP = """
import sys
from flows.cli import main
sys.argv = ["deqir", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    status = end.code
heavy = {"torch", "prefect", "ray", "pyarrow", "boto3", "diffusers", "PIL", "numpy"} & set(sys.modules)
sys.exit(f"imported {sorted(heavy)}" if heavy else status)
"""


def test_help_imports_nothing_heavy() -> None:
    for command in ([], ["restore"], ["degrade"], ["status"], ["models"], ["watch"], ["retry"], ["deploy"], ["doctor"]):
        run = subprocess.run([sys.executable, "-c", HELP, *command, "--help"], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert "Usage: deqir" in run.stdout
