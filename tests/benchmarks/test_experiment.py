"""The experiment: it runs to its end, and says what its files say."""

import csv
import dataclasses
import importlib
import importlib.util
import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from sltrees import NewtonTrainer, reference

ROOT = Path(__file__).resolve().parents[2]
FEW = ["certified", "kernel-ridge", "sklearn-lbfgs"]


@pytest.fixture
def experiment(monkeypatch):
    """The modules of the experiment."""
    monkeypatch.syspath_prepend(str(ROOT))
    names = ("cases", "contenders", "exponents", "machine", "measuring", "plots", "report", "summary")
    modules = {name: importlib.import_module(f"asv_benchmarks.experiment.{name}") for name in names}
    modules["command"] = importlib.import_module("asv_benchmarks.experiment.__main__")
    modules["pages"] = importlib.import_module("asv_benchmarks.compare.parts.pages")
    return types.SimpleNamespace(**modules)


@pytest.fixture
def sweep(experiment, monkeypatch):
    """Four widths, from the cheap to the dear."""
    monkeypatch.setattr(experiment.measuring.gc, "collect", lambda: 0)  # the slowest part of runs that do nothing
    cases = experiment.cases
    widths = tuple(cases.Case("digits", 40, 64, 2**k, "auto") for k in range(6, 10))
    return cases.Sweep("width", "Width", "width", widths, grows=True, contenders=None, target=1e-6)


def outcome(experiment, status="reached", rmse=1e-7, seconds=2.0):
    return experiment.contenders.Outcome(
        [(0.5, 0.1), (seconds, rmse)], 3, seconds, 0.5, status, lambda X: np.ones(len(X)), 1.5, {"solve": 0.125}
    )


def contender(experiment, name, run, **options):
    return experiment.contenders.Contender(name, options.pop("setting", ""), run, **options)


def run_sweep(experiment, sweep, contenders, path, warm=None, **options):
    warm = {each.name for each in contenders} if warm is None else warm  # as if they had been run
    options = {"repeats": 2, "limit": 5.0, "n_threads": 1, "pause": 0.0} | options
    experiment.measuring.run_sweep(sweep, contenders, path, warm=warm, **options)
    return experiment.measuring.read(path)


def row(experiment, **found):
    empty = {field.name: math.nan for field in dataclasses.fields(experiment.measuring.Row)}
    case = {"data": "digits", "n": 1000, "d": 64, "width": 2**12, "shift": "auto"}
    first = {"contender": "certified", "setting": "", "repeat": 0, "target": 1e-3, "limit": 10.0, "status": "reached"}
    return experiment.measuring.Row(**(empty | case | first | {"iterations": 5} | found))


def results_of(experiment, directory, **rows_of_sweeps):
    """What a directory with these rows gives."""
    for name, rows in rows_of_sweeps.items():
        experiment.measuring.begin(experiment.measuring.path_of(name.replace("_", "-"), directory), rows)
    return experiment.report.Results(directory)


# ---------------------------------------------------------------------- the whole of it


@pytest.mark.slow
def test_quick_run_its_report_and_its_resumption(experiment, tmp_path, capsys):
    command = ["--quick", "--threads", "1", "--out", str(tmp_path)]
    assert experiment.command.main([*command, "--contenders", *FEW]) == 0
    said = capsys.readouterr()
    names = list(experiment.cases.sweeps())
    paths = [experiment.measuring.path_of(name, tmp_path) for name in names]
    sweeps = experiment.cases.sweeps(quick=True)
    for name, path in zip(names, paths, strict=True):
        rows = experiment.measuring.read(path)
        taking_part = set(FEW) if sweeps[name].contenders is None else set(FEW) & set(sweeps[name].contenders)
        assert {row.contender for row in rows} == taking_part
        assert {row.case for row in rows if row.contender == "certified"} == set(sweeps[name].cases)
        assert {row.status for row in rows if row.contender in ("certified", "kernel-ridge")} == {"reached"}
        assert all(row.seconds > 0 and row.iterations > 0 and row.test_rmse > 0 for row in rows)
        assert f"== experiment {name}\n" in said.out
        assert (tmp_path / f"experiment_{name}.svg").stat().st_size > 1000
    with (tmp_path / "experiment_summary.csv").open(encoding="utf-8") as file:
        assert {line["quantity"] for line in csv.DictReader(file)} > {"to_loose", "iteration", "test_rmse"}

    assert max(len(line) for line in said.out.splitlines() if not line.startswith("Written")) <= 120  # as in pages

    before = [path.read_bytes() for path in paths]
    figures = [(tmp_path / f"experiment_{name}.svg").read_bytes() for name in names]
    assert experiment.command.main([*command, "--report"]) == 0
    again = capsys.readouterr()
    assert again.out == said.out
    assert again.err == ""
    assert [(tmp_path / f"experiment_{name}.svg").read_bytes() for name in names] == figures

    paths[0].write_bytes(before[0][:-3])  # the last row was cut off
    assert experiment.command.main([*command, "--contenders", *FEW, "--resume", "--only", names[0]]) == 0
    assert capsys.readouterr().err.count("round 1 of 1") == 1
    keys = [[row.key for row in experiment.measuring.read(path)] for path in paths]
    assert len(set(keys[0])) == len(keys[0]) == before[0].count(b"\n") - 1
    assert [path.read_bytes() for path in paths[1:]] == before[1:]


# ---------------------------------------------------------------------- what is measured


def test_contenders_take_turns_and_medians_are_of_their_runs(experiment, sweep, tmp_path):
    calls = []

    def run_of(name, seconds):
        def run(case, target, limit, n_threads):
            calls.append((name, case.width, target, limit, n_threads))
            return outcome(experiment, seconds=next(seconds))

        return run

    both = [
        contender(experiment, "certified", run_of("certified", iter([1.0, 5.0, 2.0] * 4)), goes_far=True),
        contender(experiment, "sgd", run_of("sgd", iter([3.0] * 12))),
    ]
    rows = run_sweep(experiment, sweep, both, tmp_path / "a.csv", repeats=3)
    assert [call[:2] for call in calls[:6]] == [("certified", 64), ("sgd", 64)] * 3
    assert [call[2:] for call in calls[:2]] == [(1e-6, 5.0, 1), (1e-3, 5.0, 1)]
    (first, *_) = experiment.summary.best(rows).values()
    assert (first.median("seconds"), first.median("to_loose"), first.median("to_tight")) == (2.0, 2.0, 2.0)
    assert first.median("iteration") == pytest.approx(0.5)
    assert first.median("solve") == 0.125
    assert math.isnan(first.median("gram"))
    assert first.values("seconds") == [1.0, 5.0, 2.0]


def test_who_hits_the_limit_is_neither_repeated_nor_run_on_dearer_cases(experiment, sweep, tmp_path):
    def run(case, target, limit, n_threads):
        return outcome(experiment, *(("limit", 0.01) if case.width >= 2**7 else ("reached", 1e-7)))

    rows = run_sweep(experiment, sweep, [contender(experiment, "sgd", run)], tmp_path / "a.csv")
    assert [(row.case.width, row.repeat, row.status) for row in rows] == [
        (2**6, 0, "reached"),
        (2**6, 1, "reached"),
        (2**7, 0, "limit"),
    ]
    assert math.isnan(rows[-1].to_loose)
    before = (tmp_path / "a.csv").read_bytes()
    run_sweep(experiment, sweep, [contender(experiment, "sgd", run)], tmp_path / "a.csv", resume=True)
    assert (tmp_path / "a.csv").read_bytes() == before
    level = dataclasses.replace(sweep, grows=False)
    rows = run_sweep(experiment, level, [contender(experiment, "sgd", run)], tmp_path / "b.csv")
    assert [row.case.width for row in rows if row.status == "limit"] == [2**7, 2**8, 2**9]
    cell = experiment.summary.Cell((rows[2],))
    assert experiment.report.time_to(cell, "to_loose", 1e-3) == ">= 5"
    assert experiment.report.time_to(cell, "to_tight", 1e-6) == "-"  # nobody asked it for that


def test_who_goes_beyond_the_limit_and_arrives_is_not_run_on_dearer_cases(experiment, sweep, tmp_path):
    def run(case, target, limit, n_threads):
        return outcome(experiment, seconds=limit + 1.0)

    rows = run_sweep(experiment, sweep, [contender(experiment, "dense", run)], tmp_path / "a.csv")
    assert [(row.status, row.to_loose) for row in rows] == [("reached", 6.0)]


@pytest.mark.parametrize("error", [MemoryError, np.linalg.LinAlgError])
def test_what_cannot_be_done_is_a_row(experiment, sweep, tmp_path, error):
    def run(case, target, limit, n_threads):
        raise error

    rows = run_sweep(experiment, sweep, [contender(experiment, "dense", run)], tmp_path / "a.csv", repeats=1)
    if error is MemoryError:
        assert [row.status for row in rows] == ["memory"]  # what is dearer needs more
    else:
        assert [row.status for row in rows] == ["singular"] * 4
    assert rows[0].iterations == 0
    assert math.isnan(rows[0].seconds)
    cells = experiment.report.grids({("dense", 64): experiment.summary.Cell((rows[0],))}, "m", lambda c: c.status)
    assert rows[0].status in cells[0]


def test_control_c_leaves_a_file_that_goes_on(experiment, sweep, tmp_path):
    calls = []

    def run(case, target, limit, n_threads):
        calls.append(case)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return outcome(experiment)

    path = tmp_path / "a.csv"
    with pytest.raises(KeyboardInterrupt):
        run_sweep(experiment, sweep, [contender(experiment, "dense", run)], path)
    assert len(experiment.measuring.read(path)) == 2
    rows = run_sweep(experiment, sweep, [contender(experiment, "dense", run)], path, resume=True)
    assert len({row.key for row in rows}) == len(rows) == 8
    assert len(calls) == 9
    assert len(run_sweep(experiment, sweep, [contender(experiment, "dense", run)], path)) == 8  # begun anew


def test_control_c_ends_the_command(experiment, tmp_path, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment.measuring, "run_sweep", interrupted)
    assert experiment.command.main(["--quick", "--out", str(tmp_path), "--contenders", "certified"]) == 130
    assert "--resume" in capsys.readouterr().err


def test_trainers_that_return_on_control_c_end_everything(experiment):
    class Interrupted:
        def fit(self, X, y):
            return types.SimpleNamespace(status="interrupted")

    case = experiment.cases.Case("digits", 20, 64, 64, "auto")
    with pytest.raises(KeyboardInterrupt):
        experiment.contenders._run_ours(lambda network: Interrupted(), case, 1e-3, 1)


def test_the_first_run_is_not_measured(experiment, sweep, tmp_path):
    calls, warm = [], set()

    def run(case, target, limit, n_threads):
        calls.append(case)
        return outcome(experiment)

    rows = run_sweep(experiment, sweep, [contender(experiment, "dense", run)], tmp_path / "a.csv", warm=warm)
    assert calls == [experiment.measuring.WARM_UP, *(row.case for row in rows)]
    assert warm == {"dense"}


def test_files_of_something_else(experiment, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="the first line must be contender,setting,data"):
        experiment.measuring.read(path)
    experiment.measuring.begin(path, [row(experiment)])
    path.write_text(path.read_text() + "certified,1\n")
    with pytest.raises(ValueError, match=r"a.csv, line 3: "):
        experiment.measuring.read(path)
    assert experiment.measuring.read(tmp_path / "none.csv") == []


def test_data(experiment):
    Case = experiment.cases.Case
    small, large = (Case("gaussian", n, 16, 64, "auto").problem() for n in (30, 60))
    np.testing.assert_array_equal(small.X, large.X[:30])
    np.testing.assert_array_equal(small.X_test, large.X_test)
    assert not small.is_classification
    alike, apart = (Case(name, 30, d, 64, "auto").problem() for name, d in (("digits+4", 65), ("digits+0", 64)))
    assert apart.is_classification
    np.testing.assert_array_equal(apart.X, Case("digits", 30, 64, 64, "auto").problem().X)
    assert np.min(alike.X @ alike.X.T) > 0.5 > np.min(apart.X @ apart.X.T)
    np.testing.assert_allclose(np.linalg.norm(alike.X, axis=1), 1.0, rtol=1e-6)
    with pytest.raises(ValueError, match="must have 30 samples of 7 features"):
        Case("digits", 30, 7, 64, "auto").problem()
    assert Case("digits", 30, 64, 64, "1.5").network().shift == 1.5


# ---------------------------------------------------------------------- who is measured


@pytest.mark.parametrize("name", [*FEW, "sklearn-adam", "trees", "dense", "bpsw", "gradient-descent", "sgd"])
def test_time_limits(experiment, name):
    one = experiment.contenders.variants(name)[0]
    found = one.run(experiment.cases.Case("digits", 100, 64, 256, "auto"), 1e-12, 0.0, 1)
    assert found.iterations == 1
    assert found.status == ("stalled" if name == "kernel-ridge" else "limit")


def test_ours_tells_when_it_reached_an_error(experiment):
    (one,) = experiment.contenders.variants("certified")
    case = experiment.cases.Case("digits", 100, 64, 2**10, "auto")
    found = one.run(case, 1e-6, 60.0, 1)
    network = case.network()
    result = NewtonTrainer(network, tol=1e-6, n_threads=1).fit(case.problem().X, case.problem().y)
    assert found.status == "reached"
    assert [rmse for _, rmse in found.points] == [record.rmse for record in result.history] + [result.rmse]
    assert [seconds for seconds, _ in found.points] == sorted(seconds for seconds, _ in found.points)
    assert 0 < found.setup < found.points[-1][0] <= found.seconds
    assert set(found.phases) >= set(experiment.measuring.PHASES)
    np.testing.assert_array_equal(found.predict(case.problem().X_test), network.predict(case.problem().X_test))


@pytest.mark.parametrize("name", ["sklearn-lbfgs", "sklearn-adam"])
def test_scikit_learn_ends_with_the_weights_that_reached(experiment, name):
    case = experiment.cases.Case("digits", 50, 64, 2**8, "auto")
    (one,) = experiment.contenders.variants(name)
    found = one.run(case, 1e-2, 60.0, 1)
    assert found.status == "reached"
    assert found.points[-1][1] <= 1e-2 < found.points[-2][1]
    residual = found.predict(case.problem().X) - case.problem().y
    assert np.sqrt(np.mean(residual**2)) == pytest.approx(found.points[-1][1], rel=1e-2)


def test_a_solver_that_cannot_be_watched(experiment, monkeypatch):
    (one,) = experiment.contenders.variants("sklearn-lbfgs")
    watched = importlib.import_module("asv_benchmarks.experiment.contenders_sklearn").WatchedRegressor
    monkeypatch.setattr(watched, "fit", lambda self, X, y: self)
    with pytest.raises(RuntimeError, match="evaluates the loss of L-BFGS elsewhere"):
        one.run(experiment.cases.Case("digits", 50, 64, 2**8, "auto"), 1e-2, 60.0, 1)


def test_an_iteration_beyond_the_limit_that_reaches_the_target_counts(experiment):
    (one,) = experiment.contenders.variants("dense")
    found = one.run(experiment.cases.Case("digits", 20, 64, 2**10, "auto"), 0.5, 0.0, 1)
    assert (found.status, found.iterations) == ("reached", 1)
    assert found.points[-1][1] <= 0.5 < found.points[0][1]


def test_gradient_descent_is_given_what_it_is_run_with(experiment, monkeypatch):
    given, descent = [], reference.GradientDescent

    def recorded(network, **options):
        given.append(options)
        return descent(network, **options)

    monkeypatch.setattr(reference, "GradientDescent", recorded)
    case = experiment.cases.Case("digits", 20, 64, 2**9, "auto")
    for one in experiment.contenders.variants("gradient-descent") + experiment.contenders.variants("sgd"):
        assert one.run(case, 1e-2, 60.0, 1).status == "reached"
    names = ("learning_rate", "batch_size", "momentum")
    found = [tuple(options[name] for name in names) for options in given]
    assert found == [(1.8, None, 0.0), (0.1, 20, 0.9), (0.3, 20, 0.9)]
    assert all(options["tol"] == 1e-2 and options["n_threads"] == 1 for options in given)


def test_kernel_ridge_interpolates(experiment):
    (one,) = experiment.contenders.variants("kernel-ridge")
    problem = (case := experiment.cases.Case("gaussian", 50, 16, 2**10, "auto")).problem()
    found = one.run(case, 1e-6, 60.0, 1)
    assert found.status == "reached"
    np.testing.assert_allclose(found.predict(problem.X), problem.y, atol=1e-6)


@pytest.mark.torch
def test_torch_trains_the_same_network(experiment):
    torch = pytest.importorskip("torch")
    from asv_benchmarks.experiment import contenders_torch

    case = experiment.cases.Case("digits", 50, 64, 5000, "auto")  # no multiple of the block
    problem = case.problem()
    network = contenders_torch.Network(case, 0.0, 60.0, 1)
    W, signs = case.network().initialize(problem.X).dense_weights()
    W = W + 0.1 * np.random.default_rng(0).standard_normal(W.shape, dtype=np.float32)
    network.W.copy_(torch.from_numpy(W))
    loss = float(network.loss())
    residual = reference.network_outputs(W, signs, network.shift, problem.X) - problem.y
    assert loss == pytest.approx(0.5 * residual @ residual, rel=1e-4)
    jacobian = reference.dense_jacobian(W, signs, network.shift, problem.X)
    expected = (residual @ jacobian.reshape(len(residual), -1)).reshape(W.shape)
    np.testing.assert_allclose(network.W.grad.numpy(), expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(network.predict(problem.X), residual + problem.y, atol=1e-4)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["torch-lbfgs", "torch-adam"])
def test_torch_reaches_and_stops(experiment, name):
    pytest.importorskip("torch")
    case = experiment.cases.Case("digits", 50, 64, 2**9, "auto")
    variants = experiment.contenders.variants(name)
    assert len({one.setting for one in variants}) == (4 if name == "torch-adam" else 1)
    found = variants[0].run(case, 1e-3, 60.0, 1)
    assert found.status == "reached"
    assert found.points[-1][1] <= 1e-3 < found.points[-2][1]
    stopped = variants[0].run(case, 1e-3, 0.0, 1)
    assert (stopped.status, stopped.iterations) == ("limit", 0)


def test_missing_packages_are_named(experiment, tmp_path, monkeypatch, capsys):
    find_spec = importlib.util.find_spec
    missing = ("torch", "sklearn")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find_spec(name))
    for name, package in (("torch-adam", "torch"), ("sklearn-lbfgs", "sklearn")):
        with pytest.raises(SystemExit, match="2"):
            experiment.command.main(["--quick", "--out", str(tmp_path), "--contenders", "certified", name])
        assert f'{name} needs {package}: pip install -e ".[{package}]"' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_missing_methods_are_named(experiment, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment.contenders, "METHODS", {"certified": None})
    with pytest.raises(SystemExit, match="2"):
        experiment.command.main(["--quick", "--out", str(tmp_path), "--contenders", "certified", "bpsw"])
    assert "has no 'bpsw', only certified" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--quick"], "--quick needs --out"),
        (["--repeats", "0"], "must be at least 1, got 0"),
        (["--limit", "-1"], "must be above 0, got -1"),
        (["--only", "depth"], "invalid choice: 'depth'"),
        (["--contenders", "magic"], "invalid choice: 'magic'"),
    ],
)
def test_bad_options(experiment, arguments, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        experiment.command.main(arguments)
    assert said in capsys.readouterr().err


def test_what_spoils_comparisons_is_warned_of(experiment, monkeypatch):
    for name in experiment.machine.BLAS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(experiment.machine.os, "getloadavg", lambda: (0.1, 9.0, 9.0))
    assert experiment.machine.warnings() == []
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setattr(experiment.machine.os, "getloadavg", lambda: (1.5, 0.0, 0.0))
    busy, other = experiment.machine.warnings()
    assert "load of this machine is 1.5" in busy
    assert "OPENBLAS_CORETYPE=Haswell" in other


# ---------------------------------------------------------------------- what is made of it


def scaling_rows(experiment, exponent, contender="certified", shift="auto", solve=0.0, widths=range(12, 21), **found):
    """Rows of runs whose iterations take 10 ms at 2^12."""
    return [
        row(
            experiment,
            contender=contender,
            shift=shift,
            width=2**k,
            iteration=solve + 1e-2 * 2.0 ** (exponent * (k - 12)),
            solve=solve,
            to_loose=1.0,
            **found,
        )
        for k in widths
    ]


def test_exponents(experiment):
    rows = scaling_rows(experiment, 0.5) + scaling_rows(experiment, 0.8, shift="paper")
    rows += scaling_rows(experiment, 1.0, "dense", solve=1.0) + scaling_rows(experiment, 1.0, "sgd")
    rows = [dataclasses.replace(one, setup=2 * one.iteration) for one in rows]
    fits = {(fit.contender, fit.shift, fit.what, fit.large): fit for fit in experiment.exponents.fits(rows)}
    # of SGD nobody asked; whole runs of these rows take a second each; large widths alone, and all
    assert len(fits) == 3 * 4 * 2
    for key, expected in {("certified", "auto"): 0.5, ("certified", "paper"): 0.8, ("dense", "auto"): 1.0}.items():
        for large in (True, False):
            fit = fits[*key, "iteration less solving", large]
            assert (fit.exponent, fit.low, fit.high) == pytest.approx([expected] * 3, abs=1e-6)
            assert fit.widths[0] == (2**17 if large else 2**12)
            assert fits[*key, "whole run", large].exponent == pytest.approx(0.0, abs=1e-6)
    assert fits["certified", "auto", "set-up", True].exponent == pytest.approx(0.5, abs=1e-6)
    assert fits["dense", "auto", "iteration", False].exponent < 0.7
    assert fits["dense", "auto", "iteration", False].exponent < fits["dense", "auto", "iteration", True].exponent
    verdicts = {key[:2]: fit.verdict for key, fit in fits.items() if key[2:] == ("iteration", True)}
    assert verdicts == {
        ("certified", "auto"): "0.55: met",
        ("certified", "paper"): "0.76: missed",
        ("dense", "auto"): "",
    }


def test_fits_of_large_widths_stand_beside_those_of_all(experiment):
    rows = scaling_rows(experiment, 0.5) + scaling_rows(experiment, 1.0, "dense", widths=range(12, 19))
    pairs = experiment.exponents.pairs(experiment.exponents.fits(rows))
    assert [large is None for large, whole in pairs if whole.contender == "dense"] == [True] * 3  # two widths are few
    assert all(large.large and not whole.large for large, whole in pairs if whole.contender == "certified")


def test_a_whole_run_ends_at_what_was_asked(experiment):
    rows = scaling_rows(experiment, 0.5, to_tight=3.0, target=1e-6) + scaling_rows(
        experiment, 0.5, "dense", target=1e-3
    )
    whole = {fit.contender: fit.seconds for fit in experiment.exponents.fits(rows) if fit.what == "whole run"}
    assert set(whole["certified"]) == {3.0}
    assert set(whole["dense"]) == {1.0}


def test_what_an_exponent_is_fitted_to(experiment):
    rows = scaling_rows(experiment, 1.0, widths=range(9, 16))  # below 2^11 an iteration takes less than 5 ms
    rows[-1] = dataclasses.replace(rows[-1], to_loose=math.nan, status="limit")
    fits = {fit.what: fit for fit in experiment.exponents.fits(rows)}
    assert fits["iteration"].widths == (2**11, 2**12, 2**13, 2**14)
    assert experiment.exponents.fits(rows[:4]) == []


def test_a_bar_that_the_interval_crosses(experiment):
    noisy = [
        dataclasses.replace(one, iteration=one.iteration * (1.3 if place % 2 else 1.0))
        for place, one in enumerate(scaling_rows(experiment, 0.53))
    ]
    fit = next(fit for fit in experiment.exponents.fits(noisy) if fit.what == "iteration" and not fit.large)
    assert fit.low < fit.exponent <= 0.55 < fit.high
    assert fit.verdict == "0.55: met, interval not"


def test_the_best_variant_is_the_first_to_arrive_or_the_nearest(experiment):
    adam = {"contender": "torch-adam"}
    rows = [
        row(experiment, **adam, setting="rate 0.1", to_loose=3.0, rmse=9e-4),
        row(experiment, **adam, setting="rate 0.2", to_loose=2.0, rmse=9e-4),
        row(experiment, **adam, setting="rate 0.3", status="limit", rmse=1e-2),
    ]
    assert [cell.setting for cell in experiment.summary.best(rows).values()] == ["rate 0.2"]
    late = [dataclasses.replace(one, to_loose=math.nan, status="limit") for one in rows]
    late[1] = dataclasses.replace(late[1], rmse=1e-3)
    assert [cell.setting for cell in experiment.summary.best(late).values()] == ["rate 0.1"]


def test_table_at_one_width(experiment, tmp_path):
    rows = [row(experiment, repeat=k, to_loose=t, rmse=1e-4) for k, t in enumerate((1.0, 2.0, 4.0))]
    rows += [
        row(experiment, contender="dense", repeat=k, to_loose=t, rmse=1e-4) for k, t in enumerate((10.0, 2.0, 12.0))
    ]
    rows.append(row(experiment, contender="sgd", limit=60.0, status="limit", rmse=0.02))
    text = experiment.report.table_block(results_of(experiment, tmp_path, table=rows))
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert [line[0] for line in lines[2:]] == ["certified", "dense", "SGD"]
    assert lines[3][1:4] == ["10", "2 to 12", "3"]  # ratios within rounds are 10, 1 and 3
    assert lines[4][1:6] == [">= 60", "", ">= 30", "5", "limit"]
    assert max(map(len, text.splitlines())) <= 120


def test_where_others_are_faster(experiment, tmp_path):
    times = {"certified": (2.0, 2.0, 2.0, math.nan), "dense": (1.0, 0.5, 3.0, 9.0), "sgd": (5.0, 5.0, 5.0, math.nan)}
    rows = [
        row(experiment, contender=name, width=2 ** (12 + k), to_loose=time, rmse=1e-2)
        for name, all_times in times.items()
        for k, time in enumerate(all_times)
    ]
    text = experiment.report.losses_block(results_of(experiment, tmp_path, width=rows))
    assert text == "- Width: dense at m = 2^12 to 2^13, 2^15 (3 of 4 cases), 2 to 4 times as fast."


def test_findings(experiment, tmp_path):
    rows = scaling_rows(experiment, 0.5)
    rows += [dataclasses.replace(one, contender="dense", to_loose=2.0 ** (k - 2)) for k, one in enumerate(rows)]
    rows += [dataclasses.replace(one, contender="trees", to_loose=0.5) for one in rows[:3]]
    rows += [dataclasses.replace(one, contender="sgd", to_loose=9.0) for one in rows[:3]]
    text = experiment.report.findings_block(results_of(experiment, tmp_path, width=rows, table=rows[:10:9]))
    first, second, third, *lines = text.replace("\n  ", " ").splitlines()
    growth = "of certified grows with the width m as m^{0} with shift auto; over all widths as m^{0} with shift auto."
    assert first == f"- From 2^17 neurons on a whole run {growth.format('0.00')}"
    assert second == f"- From 2^17 neurons on an iteration {growth.format('0.50')}"
    assert third.startswith("- Over all their widths, with shift auto, iterations of others grow as follows: ")
    assert third.endswith(": trees m^0.50, dense m^0.50.")
    assert lines == [
        "",
        "Where certified is at the target sooner than",
        "",
        "|       |            shift auto | shift paper |",
        "| ----- | --------------------: | ----------: |",
        "| trees |   never, 2^12 to 2^14 |             |",
        "| dense | from 2^14 on, to 2^20 |             |",
        "| SGD   |  always, 2^12 to 2^14 |             |",
    ]


def test_report_of_nothing(experiment, tmp_path):
    results = results_of(experiment, tmp_path)
    texts = experiment.report.blocks(results)
    commanded = [text for name, text in texts.items() if name != "experiment rule"]
    assert all("No measurements of" in text and "asv_benchmarks.experiment`" in text for text in commanded)
    assert experiment.plots.draw_all(results, tmp_path) == []


def test_pages_are_filled(experiment, tmp_path, capsys):
    page = tmp_path / "page.md"
    begin, end = experiment.pages.markers("experiment table")
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    experiment.measuring.begin(experiment.measuring.path_of("table", tmp_path), [row(experiment, to_loose=1.25)])
    experiment.report.make(tmp_path, [page], sys.stdout)
    assert "== experiment table" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    assert "1.2" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")


def test_plots_need_matplotlib(experiment, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[plot\]"'):
        experiment.plots.draw_all(results_of(experiment, tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("docs/background/experiment.md", 5),
        ("docs/background/experiment_tables.md", 6),
        ("docs/guide/when_not_to_use_this.md", 3),
        ("README.md", 1),
    ],
)
def test_pages_say_what_the_files_say(experiment, name, least):
    page = ROOT / name
    assert page in experiment.command.PAGES
    texts = experiment.report.blocks(experiment.report.Results(ROOT / "docs" / "figures"))
    content = page.read_text(encoding="utf-8")
    shown = experiment.report.shown(page, texts)
    assert len(shown) == content.count("<!-- experiment ") // 2 >= least
    for block in shown:
        begin, end = experiment.pages.markers(block)
        assert f"{begin}\n\n{texts[block]}\n\n{end}" in content
