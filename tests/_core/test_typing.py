"""The stubs of the compiled modules: an example passes mypy --strict and runs, and stubs and modules agree."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import sltrees

HERE = Path(__file__).parent
STUBS = (
    "_boundary",
    "_fired_pairs",
    "_gram",
    "_hits",
    "_integer_keys",
    "_jacobian",
    "_keyed_tree",
    "_lapack",
    "_lazy_findings",
    "_lazy_rows",
    "_near_lists",
    "_normals",
    "_orthants",
    "_pools",
    "_primitives",
    "_products",
    "_row_store",
    "_simd",
    "_sum_tree",
    "_threshold_tree",
    "_tree_bank",
    "_tree_queries",
    "_tree_writes",
    "_vector_panels",
    "_wide_tree",
)
CONFIGURATION = """
[mypy]
[mypy-scipy.*,threadpoolctl.*]
ignore_missing_imports = True
"""

pytestmark = pytest.mark.typing


def run_module(directory, *arguments):
    """Run a module in an empty directory, so that it finds the package under test and no other configuration."""
    (directory / "mypy.ini").write_text(CONFIGURATION, encoding="utf-8")
    root = Path(sltrees.__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": str(root)}
    if (root / "pyproject.toml").exists():  # mypy finds by itself what was installed, and refuses to be told
        environment["MYPYPATH"] = str(root)
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=directory, env=environment, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


def test_every_compiled_module_has_a_stub():
    core = Path(sltrees.__file__).parent / "_core"
    assert sorted(path.stem for path in core.glob("*.pyi")) == sorted(STUBS)


def test_example_passes_mypy_strict(tmp_path):
    status, said = run_module(
        tmp_path, "mypy", "--strict", "--config-file", "mypy.ini", str(HERE / "typing_example.py")
    )
    assert status == 0, said


def test_mypy_finds_a_mistake(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from sltrees import ThresholdTree\nThresholdTree([1.0]).query('a')\n", encoding="utf-8")
    status, said = run_module(tmp_path, "mypy", "--strict", "--config-file", "mypy.ini", str(wrong))
    assert status == 1, said
    assert 'No overload variant of "query"' in said


def test_example_runs():
    runpy.run_path(str(HERE / "typing_example.py"), run_name="__main__")


def test_example_uses_every_method():
    text = (HERE / "typing_example.py").read_text(encoding="utf-8")
    for name in [*vars(sltrees.ThresholdTree), *vars(sltrees.SumTree)]:
        assert name.startswith("_") or f".{name}" in text, name


def test_stubs_agree_with_the_modules(tmp_path):
    status, said = run_module(
        tmp_path,
        "mypy.stubtest",
        *("--mypy-config-file", "mypy.ini"),
        *("--allowlist", str(HERE / "stubtest_allowlist.txt"), "--ignore-unused-allowlist"),
        *(f"sltrees._core.{name}" for name in STUBS),
    )
    assert status == 0, said
