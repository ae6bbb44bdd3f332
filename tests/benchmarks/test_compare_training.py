"""The script that measures training: its dense methods are right, and it runs to its end."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from problems import random_problem

from sltrees import ShiftedReLUNetwork, TrainingResult, reference
from sltrees.execution.threads import ThreadExecutor

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "asv_benchmarks" / "compare" / "training.py"


@pytest.fixture
def dense(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from asv_benchmarks.compare.parts import dense_methods

    return dense_methods


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from asv_benchmarks.compare.parts import training_report

    return training_report


def drawn(seed, init):
    """A network in float64, what it is made of, and a problem; blocks of 64 do not divide its width."""
    X, y = random_problem(seed, 20, 5)
    network = ShiftedReLUNetwork(1000, shift=1.0, init=init, dtype="float64", random_state=seed).initialize(X)
    W, signs = network.dense_weights()
    return W, signs, network.shift_, X, y


def test_forward_pass(dense, seed):
    W, signs, shift, X, _ = drawn(seed, "gaussian")
    forward = dense.ForwardPass(W, signs, shift, X, block=64)
    expected = reference.network_outputs(W, signs, shift, X)
    np.testing.assert_allclose(forward(), expected, rtol=1e-12, atol=1e-13)
    with ThreadExecutor(3) as executor:
        np.testing.assert_allclose(forward.by_blocks(executor), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", ["NumpyNetwork", pytest.param("TorchNetwork", marks=pytest.mark.torch)])
def test_dense_gauss_newton(dense, seed, kind):
    if kind == "TorchNetwork":
        pytest.importorskip("torch")
    W, signs, shift, X, y = drawn(seed, "paired")
    expected = reference.dense_gauss_newton(W, signs, shift, X, y, max_iter=4)
    assert all(expected.accepted)
    network = getattr(dense, kind)(W, signs, shift, X, block=64, n_threads=1)
    _, each, rmse = dense.gauss_newton(network, X, y, [0.0] * 4)
    assert len(each) == 4
    np.testing.assert_allclose(rmse, expected.rmse, rtol=1e-6, atol=1e-13)
    np.testing.assert_allclose(np.asarray(network.W), expected.weights[-1], rtol=1e-9, atol=1e-11)
    assert np.any(W != expected.weights[-1])  # W itself is left alone


def test_exponent_and_its_error(report):
    widths = 2 ** np.arange(10, 17)
    slope, error = report.fit_exponent(widths, 3e-6 * widths**0.7)
    assert slope == pytest.approx(0.7)
    assert error == pytest.approx(0.0, abs=1e-12)
    rng = np.random.default_rng(0)
    slopes, errors = zip(
        *(report.fit_exponent(widths, widths**0.7 * np.exp(0.1 * rng.standard_normal(7))) for _ in range(2000)),
        strict=True,
    )
    assert np.mean(slopes) == pytest.approx(0.7, abs=0.005)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(slopes), rel=0.1)
    assert np.isnan(report.fit_exponent(widths[:2], widths[:2])[1])


def test_a_bar_is_met_missed_or_not_judged(report):
    table = report.Report()
    table.judge("a", 2.0, 1.0)
    table.judge("b", 2.0, 3.0)
    table.judge("c", 2.0, 3.0, least=True)
    table.judge("d", 2.0, 1.0, unjudged="measured at 2^10")
    table.judge("e", 2.0, 1.0, fails="stalled")
    with table.guard("f"):
        raise report.NothingToMeasureError("no iteration")
    assert table.complete
    with table.guard("g"):
        report.field(table, "absent")
    assert not table.complete
    verdicts = [verdict for *_, verdict in table.bars]
    assert verdicts[:3] == ["met", "MISSED", "met"]
    assert verdicts[3:] == [
        "not judged: measured at 2^10",
        "MISSED: stalled",
        "nothing to measure: no iteration",
        "NOT MEASURED: Report has no 'absent'",
    ]


@pytest.mark.slow
def test_quick_run(tmp_path):
    command = [sys.executable, str(SCRIPT), "--quick", "--no-torch"]
    command += ["--widths", "2^10", "2^11", "--repeats", "1", "--threads", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "Written to" in done.stdout, done.stderr
    if hasattr(TrainingResult, "cost_table"):  # without it, not all can be measured
        assert done.returncode == 0, done.stdout
        assert "NOT MEASURED" not in done.stdout
    with (tmp_path / "training.csv").open(encoding="utf-8") as file:
        sections = {row["section"] for row in csv.DictReader(file)}
    assert sections == {"runs", "visit", "late", "gauss-newton", "memory", "trajectories"}
    with (tmp_path / "training_bars.csv").open(encoding="utf-8") as file:
        bars = {row["what"]: row for row in csv.DictReader(file)}
    assert bars["whole run / D (digits, paper)"]["verdict"] == "not judged: measured at 2^11"
    # digits at "auto" come back towards where they were: pairs flip twice, the second time nearer to the list's centre
    apart = {name: row for name, row in bars.items() if name.startswith("displacements beside trees")}
    assert len(apart) == 4
    assert all(row["verdict"] == "met" for row in apart.values()), apart


def test_a_method_that_is_not_there():
    command = [sys.executable, str(SCRIPT), "--method", "magic"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "has no method 'magic'" in done.stderr
