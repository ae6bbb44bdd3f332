"""Who imports the package finds types: an example with every public name passes mypy --strict and pyright, and runs."""

import importlib.util
import runpy
import sys
from pathlib import Path

import pytest

import sltrees

EXAMPLE = Path(__file__).parent / "typing_of_public_names.py"
# how each is asked, and what it says of a mistake; pyright is not among what tests need, as it brings node.js with it
CHECKERS = {"mypy": ({}, 'Argument 1 to "query" of "CorrelationQueries" has incompatible type "str"')}
if importlib.util.find_spec("pyright") is not None:
    how = {"module": "pyright", "arguments": ("--pythonpath", sys.executable, "program.py")}
    CHECKERS["pyright"] = how, 'cannot be assigned to parameter "row" of type "int"'


@pytest.mark.typing
@pytest.mark.parametrize("checker", CHECKERS)
def test_the_example_passes_and_a_mistake_does_not(run_mypy, checker):
    text, (how, of_mistakes) = EXAMPLE.read_text(encoding="utf-8"), CHECKERS[checker]
    status, said = run_mypy(text, **how)
    assert status == 0, said
    status, said = run_mypy(text + "\n\nCorrelationTrees(X, X).query('a', 1.0)\n", **how)
    assert status == 1
    assert of_mistakes in said


def test_the_example_runs_and_uses_every_public_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    text = EXAMPLE.read_text(encoding="utf-8")
    for name in sltrees.__all__:
        assert text.count(name) >= 2, name  # imported, and used
