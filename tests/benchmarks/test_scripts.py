"""Every script of the benchmarks starts, from whatever folder, with the package that is tested."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sltrees

FOLDER = Path(__file__).resolve().parents[2] / "asv_benchmarks"
SCRIPTS = sorted(path for folder in ("compare", "cluster") for path in (FOLDER / folder).glob("[!_]*.py"))
NEEDS = {"executors.py": "distributed", "traffic.py": "distributed"}  # beyond the extra "test"


@pytest.mark.parametrize(
    "script", [path for path in SCRIPTS if "ArgumentParser" in path.read_text()], ids=lambda path: path.stem
)
def test_help_is_printed(script, tmp_path):
    pytest.importorskip(NEEDS.get(script.name, "numpy"))
    environment = os.environ | {"PYTHONPATH": str(Path(sltrees.__file__).parent.parent)}
    command = [sys.executable, str(script), "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {script.name}")
    assert list(tmp_path.iterdir()) == []


def test_scripts_are_found():
    assert len(SCRIPTS) >= 8
