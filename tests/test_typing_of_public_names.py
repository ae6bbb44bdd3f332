"""Who imports the package finds types: an example with every public name passes mypy --strict, and runs."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import sltrees

EXAMPLE = Path(__file__).parent / "typing_of_public_names.py"
CONFIGURATION = """
[mypy]
[mypy-scipy.*,threadpoolctl.*,sklearn.*]
ignore_missing_imports = True
"""


def checked(directory, text):
    """What mypy --strict says of a program, in a directory where it finds the package under test alone."""
    (directory / "mypy.ini").write_text(CONFIGURATION, encoding="utf-8")
    (directory / "program.py").write_text(text, encoding="utf-8")
    root = Path(sltrees.__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": str(root)}
    if (root / "pyproject.toml").exists():  # mypy finds by itself what was installed, and refuses to be told
        environment["MYPYPATH"] = str(root)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "mypy.ini", "program.py"]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.typing
def test_the_example_passes_mypy_strict_and_a_mistake_does_not(tmp_path):
    text = EXAMPLE.read_text(encoding="utf-8")
    status, said = checked(tmp_path, text)
    assert status == 0, said
    status, said = checked(tmp_path, text + "\n\nCorrelationTrees(X, X).query('a', 1.0)\n")
    assert status == 1
    assert 'Argument 1 to "query" of "CorrelationQueries" has incompatible type "str"' in said


def test_the_example_runs_and_uses_every_public_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    text = EXAMPLE.read_text(encoding="utf-8")
    for name in sltrees.__all__:
        assert text.count(name) >= 2, name  # imported, and used
