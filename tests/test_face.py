"""The face of the package: its names and modules are imported when they are asked for, and no sooner."""

import ast
import importlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import sltrees

FACE = Path(sltrees.__file__)


def said_by(code, *options, cwd=None):
    """What a fresh process prints."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(FACE.parent.parent), *sys.path])}
    done = subprocess.run(
        [sys.executable, *options, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


LOADED = (
    "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules} & {'numpy', 'scipy', 'threadpoolctl'}))"
)


@pytest.mark.parametrize(
    ("statement", "loaded"),
    [
        ("import sltrees", []),
        ("import sltrees; dir(sltrees)", []),
        ("from sltrees import TrainingStatus", []),
        ("from sltrees import ThresholdTree", ["numpy"]),
        ("from sltrees import load_digits", ["numpy"]),
        ("from sltrees import NewtonTrainer", ["numpy", "scipy", "threadpoolctl"]),
    ],
)
def test_what_is_not_asked_for_is_not_imported(statement, loaded):
    assert said_by(f"{statement}; {LOADED}") == loaded


def test_importing_the_package_imports_none_of_its_modules():
    names = said_by("import sltrees, sys; print(*[name for name in sys.modules if name.startswith('sltrees')])")
    assert sorted(names) == ["sltrees", "sltrees._moved"]  # the latter finds names in pickles


@pytest.mark.parametrize("name", sltrees.__all__)
def test_names_are_what_their_modules_define(name):
    thing = getattr(sltrees, name)
    assert thing is getattr(sltrees, name)
    assert thing is getattr(importlib.import_module(sltrees._HOMES[name]), name)
    assert thing.__module__.startswith("sltrees.")
    assert pickle.loads(pickle.dumps(thing)) is thing
    assert said_by(f"from sltrees import {name} as thing; print(thing.__name__)") == [name]


def test_all_names_are_imported_by_a_star():
    assert said_by("from sltrees import *; import sltrees; print(set(sltrees.__all__) <= set(vars()))") == ["True"]


def test_modules_are_there_without_another_import():
    code = "import sltrees; print(*[getattr(sltrees, name).__name__ for name in sltrees._MODULES])"
    assert said_by(code) == [f"sltrees.{name}" for name in sltrees._MODULES]


def test_modules_need_no_extra():
    extras = ("sklearn", "matplotlib", "torch", "onnx", "distributed", "dask", "tqdm", "pandas")
    block = f"import sys; sys.modules.update(dict.fromkeys({extras}))"
    assert said_by(f"{block}; import inspect, sltrees; print(len(inspect.getmembers(sltrees)) > 20)") == ["True"]


def test_dir_lists_what_can_be_had():
    listed = dir(sltrees)
    assert listed == sorted(listed)
    assert {*sltrees.__all__, *sltrees._MODULES, "__version__"} <= set(listed)
    assert all(hasattr(sltrees, name) for name in listed)


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="module 'sltrees' has no attribute 'RandomForest'"):
        sltrees.RandomForest  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'RandomForest' from 'sltrees'"):
        from sltrees import RandomForest  # noqa: F401


def test_type_checkers_are_told_the_same():
    branch = next(node for node in ast.parse(FACE.read_text()).body if isinstance(node, ast.If))
    imports = [node for node in branch.body if isinstance(node, ast.ImportFrom)]
    assert {alias.name: node.module for node in imports for alias in node.names} == sltrees._HOMES
    assert sorted(sltrees._HOMES) == sltrees.__all__


TYPED = """
from typing import assert_type

import sltrees
from sltrees import CorrelationTrees, NewtonTrainer, ShiftedReLUNetwork, ThresholdTree, TrainingStatus

tree = ThresholdTree([1.0, 2.0])
assert_type(tree, ThresholdTree)
assert_type(tree.count(1.5), int)
assert_type(sltrees.ThresholdTree([1.0]).max(), float)
assert_type(TrainingStatus("converged"), TrainingStatus)
assert_type(sltrees.__version__, str)
"""


@pytest.mark.typing
@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "complaint"), [("", None), ("sltrees.RandomForest", 'Module has no attribute "RandomForest"')]
)
def test_type_checkers_see_what_is_there_and_what_is_not(run_mypy, more, complaint):
    status, said = run_mypy(f"{TYPED}{more}\n")
    assert (status == 0) is (complaint is None), said
    assert complaint is None or complaint in said
