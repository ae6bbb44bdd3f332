"""A folder of sources that nothing was built in says so."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import sltrees


def test_sources_without_compiled_modules_say_what_to_do(tmp_path):
    """They hide what is installed from a Python that is started beside them, as after ``pip install .`` in a clone."""
    shutil.copytree(
        Path(sltrees.__file__).parent,
        tmp_path / "sltrees",
        ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"),
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", "from sltrees import ThresholdTree"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("Error: ") == 1
    (said,) = [line for line in done.stderr.splitlines() if "Error: " in line]
    assert said.startswith(f"ImportError: {tmp_path / 'sltrees' / '_core'} has no modules compiled for this Python: ")
    assert "pip install -e ." in said
