"""Files of rows are read by whoever asks for them, and by nobody who lives longer than that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.manifest.schema import encode_part
from tests.pipeline.rows import row

TASKS = Path("/proc/self/task")
READ_AND_COUNT_THREADS = f"""
import sys
from pathlib import Path
import pyarrow
from pipeline.manifest.schema import PARTS
pyarrow.set_cpu_count(4)
tasks = Path({str(TASKS)!r})
data = Path(sys.argv[1]).read_bytes()
PARTS.count(data)
before = set(tasks.iterdir())
assert len(PARTS.decode(data)) == len(PARTS.decode_columns(data, ("source_key", "status"))) == PARTS.count(data) == 100
new = set(tasks.iterdir()) - before
names = [(each / "comm").read_text() for each in new]
assert not [name for name in names if not name.startswith("jemalloc")], names
"""


@pytest.mark.skipif(not TASKS.exists(), reason="the kernel here does not list a process's threads")
def test_no_thread_of_arrow_is_left_that_holds_the_bytes_when_python_ends(tmp_path) -> None:
    """Such a thread aborted one process in three: it let go of them while the interpreter was going down."""
    path = tmp_path / "part"
    path.write_bytes(encode_part([row(source_key=f"{number}.png", rounds=number) for number in range(100)]))
    subprocess.run([sys.executable, "-c", READ_AND_COUNT_THREADS, str(path)], check=True)
