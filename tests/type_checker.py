"""mypy as someone runs it who has installed the package: in an empty directory, with one configuration."""

import os
import subprocess
import sys
from pathlib import Path

import sltrees

CONFIGURATION = """
[mypy]
[mypy-scipy.*,threadpoolctl.*,sklearn.*]
ignore_missing_imports = True
"""


def run(directory, cache, module, *arguments):
    """Run a module of mypy, which finds the package under test and no other configuration.

    Returns
    -------
    status : int
    said : str
    """
    (directory / "mypy.ini").write_text(CONFIGURATION, encoding="utf-8")
    root = Path(sltrees.__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": str(root), "MYPY_CACHE_DIR": str(cache)}
    if (root / "pyproject.toml").exists():  # mypy finds by itself what was installed, and refuses to be told
        environment["MYPYPATH"] = str(root)
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr
