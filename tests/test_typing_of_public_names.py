"""Who imports the package finds types: an example with every public name passes mypy --strict, and runs."""

import runpy
from pathlib import Path

import pytest

import sltrees

EXAMPLE = Path(__file__).parent / "typing_of_public_names.py"


@pytest.mark.typing
def test_the_example_passes_mypy_strict_and_a_mistake_does_not(run_mypy):
    text = EXAMPLE.read_text(encoding="utf-8")
    status, said = run_mypy(text)
    assert status == 0, said
    status, said = run_mypy(text + "\n\nCorrelationTrees(X, X).query('a', 1.0)\n")
    assert status == 1
    assert 'Argument 1 to "query" of "CorrelationQueries" has incompatible type "str"' in said


def test_the_example_runs_and_uses_every_public_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    text = EXAMPLE.read_text(encoding="utf-8")
    for name in sltrees.__all__:
        assert text.count(name) >= 2, name  # imported, and used
