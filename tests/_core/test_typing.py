"""The stubs of the compiled modules: an example passes mypy --strict and runs, and stubs and modules agree."""

import runpy
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
    "_pair_bits",
    "_pools",
    "_primitives",
    "_products",
    "_pruned_bank",
    "_row_store",
    "_simd",
    "_slot_table",
    "_sum_tree",
    "_threshold_tree",
    "_tree_bank",
    "_tree_queries",
    "_tree_writes",
    "_vector_panels",
    "_wide_tree",
)

pytestmark = pytest.mark.typing


def test_every_compiled_module_has_a_stub():
    core = Path(sltrees.__file__).parent / "_core"
    assert sorted(path.stem for path in core.glob("*.pyi")) == sorted(STUBS)


def test_example_passes_mypy_strict(run_mypy):
    status, said = run_mypy((HERE / "typing_example.py").read_text(encoding="utf-8"))
    assert status == 0, said


def test_mypy_finds_a_mistake(run_mypy):
    status, said = run_mypy("from sltrees import ThresholdTree\nThresholdTree([1.0]).query('a')\n")
    assert status == 1, said
    assert 'No overload variant of "query"' in said


def test_example_runs():
    runpy.run_path(str(HERE / "typing_example.py"), run_name="__main__")


def test_example_uses_every_method():
    text = (HERE / "typing_example.py").read_text(encoding="utf-8")
    for name in [*vars(sltrees.ThresholdTree), *vars(sltrees.SumTree)]:
        assert name.startswith("_") or f".{name}" in text, name


def test_stubs_agree_with_the_modules(run_mypy):
    arguments = (
        *("--mypy-config-file", "mypy.ini"),
        *("--allowlist", str(HERE / "stubtest_allowlist.txt"), "--ignore-unused-allowlist"),
        *(f"sltrees._core.{name}" for name in STUBS),
    )
    status, said = run_mypy(module="mypy.stubtest", arguments=arguments)
    assert status == 0, said
