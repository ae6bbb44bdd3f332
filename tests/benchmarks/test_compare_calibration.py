"""The script that compares probabilities: losses of folds, and the tables."""

import math
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from asv_benchmarks.compare import calibration

    return calibration


def test_losses_of_ours_and_of_calibration(script):
    found = script.losses("iris", "kernel", folds=2, seeds=1, methods=("sigmoid", "none"))
    assert list(found) == ["ours", "sigmoid", "none"]
    assert 0 < found["ours"] < 0.3
    assert 0 < found["sigmoid"] < 0.4
    assert math.isnan(found["none"])  # no method of that name


def test_tables_of_losses(script):
    rows = {
        "iris": {"ours": 0.1, "sigmoid": 0.2, "temperature": math.nan},
        "wine": {"ours": 0.25, "sigmoid": 0.05, "temperature": math.nan},
    }
    text = script.report(rows)
    assert "| iris | 150 | 0.100 |   0.200 |" in text
    assert "| mean |     | 0.175 |   0.125 |" in text
    assert "| sigmoid   | +0.0500 |         0.1500 |         1 of 2 |" in text
    assert "temperature" not in text


def test_sets_are_the_classifications(script):
    assert len(script.names_of_sets()) == 12
