"""Estimators where there are many samples: which solver, how they say how far they are, all-or-nothing, Ctrl-C."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import sltrees.estimators.base
import sltrees.estimators.kernel_ridge
from sltrees.estimators import NewtonClassifier, NewtonRegressor
from sltrees.estimators.kernel_solvers import blocks
from sltrees.estimators.kernel_solvers.nystrom import NystromSystem
from sltrees.estimators.progress import Progress
from sltrees.kernels.unit_rows import UnitRowsKernel


@pytest.fixture
def few_are_many(monkeypatch):
    """Limits so low that some hundred samples are many."""
    for module in (sltrees.estimators.base, sltrees.estimators.kernel_ridge):
        monkeypatch.setattr(module, "EIGEN_SAMPLES", 60)
    monkeypatch.setattr(sltrees.estimators.kernel_ridge, "CHOLESKY_SAMPLES", 120)
    monkeypatch.setattr(sltrees.estimators.base, "NETWORK_SAMPLES", 100)
    monkeypatch.setattr(blocks, "BLOCK", 64)


def wave(n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, (n, 3))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(n)


@pytest.mark.parametrize(("n", "solver"), [(60, "eigen"), (61, "cholesky"), (120, "cholesky"), (121, "nystrom")])
def test_solvers_by_the_number_of_samples(few_are_many, n, solver):
    X, y = wave(n)
    model = NewtonRegressor("kernel", random_state=0).fit(X, y)
    assert model.fitted_model_.solver_ == solver
    assert model.score(*wave(200, 1)) > 0.85
    assert model.validation_score_ > 0.8


def test_networks_are_not_tried_for_very_many(few_are_many):
    model = NewtonRegressor(random_state=0).fit(*wave(400))
    assert model.model_ == "kernel"
    assert model.fitted_model_.solver_ == "nystrom"
    assert any("not tried" in outcome for outcome in model.selection_["outcome"])


def test_classes_of_many_samples(few_are_many):
    X, y = wave(500)
    labels = np.array(["low", "middle", "high"])[np.digitize(y, [-0.7, 0.7])]
    model = NewtonClassifier("kernel", random_state=0).fit(X, labels)
    assert model.fitted_model_.solver_ == "nystrom"
    assert model.score(X, labels) > 0.85
    assert 0.1 < model.sharpness_ < 100  # learned at samples held out
    assert model.validation_score_ > 0.7
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1)


def test_repeated_rows_count_as_one_sample(few_are_many):
    X, y = wave(50)
    model = NewtonRegressor("kernel", random_state=0).fit(np.tile(X, (20, 1)), np.tile(y, 20))
    assert model.fitted_model_.solver_ == "eigen"


def test_further_samples_cost_what_they_are(few_are_many, monkeypatch):
    X, y = wave(600)
    model = NewtonRegressor("kernel", random_state=0).fit(X[:400], y[:400])
    added, add = [], NystromSystem.add
    monkeypatch.setattr(NystromSystem, "add", lambda self, X, *rest: (added.append(len(X)), add(self, X, *rest))[1])
    before = model.predict(X)
    model.partial_fit(X[400:], y[400:])
    assert added == [200]
    assert not np.array_equal(model.predict(X), before)
    assert model.score(*wave(200, 1)) > 0.95


@pytest.mark.parametrize("negligible", [3e-5, 1e-7])
def test_blocks_predict_in_single_precision_where_that_is_negligible(few_are_many, negligible, monkeypatch):
    monkeypatch.setattr(sltrees.estimators.kernel_ridge, "NEGLIGIBLE", negligible)
    X, y = wave(400)
    model = NewtonRegressor("kernel", random_state=0).fit(X, y).fitted_model_
    rows = np.concatenate([model.X_, np.roll(model.X_, 1, axis=1)])  # centres, where the kernel is steep, and others
    exact = UnitRowsKernel(model.shift).between(rows, model.X_) @ model.dual_ + model.constant_
    off = np.sqrt(np.mean((model.predict(rows) - exact) ** 2))
    assert off < negligible
    assert (off > 1e-10) == (negligible > 1e-6)  # else in double precision


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_an_error_while_further_samples_are_learned_leaves_all_as_it_was(few_are_many, monkeypatch, error):
    X, y = wave(400)
    model = NewtonRegressor("kernel", random_state=0).fit(X[:300], y[:300])
    expected = NewtonRegressor("kernel", random_state=0).fit(X[:300], y[:300]).partial_fit(X[300:], y[300:]).predict(X)
    before = model.predict(X)

    def fail(self, *arguments):
        raise error

    for name in ("add", "between_centres", "whitened", "take_away"):
        with monkeypatch.context() as patch:
            patch.setattr(NystromSystem, name, fail)
            with pytest.raises(error):
                model.partial_fit(X[300:], y[300:])
        assert np.array_equal(model.predict(X), before)
    assert np.array_equal(model.partial_fit(X[300:], y[300:]).predict(X), expected)


@pytest.mark.parametrize("n", [100, 300])
def test_threads_change_nothing(few_are_many, n):
    X, y = wave(n)
    one, two = (NewtonRegressor("kernel", random_state=0, n_jobs=k).fit(X, y).predict(X) for k in (1, 2))
    assert np.array_equal(one, two)


def test_solvers_that_are_asked_for(few_are_many, monkeypatch):
    X, y = wave(300)
    found = {}
    for solver in ("cholesky", "exact", "nystrom"):
        model = NewtonRegressor("kernel", solver=solver, alpha=0.01, feature_learning=False).fit(X, y)
        found[solver] = model.predict(X)
    assert np.allclose(found["cholesky"], found["exact"], atol=1e-8)
    assert np.corrcoef(found["cholesky"], found["nystrom"])[0, 1] > 0.98
    monkeypatch.setattr(sltrees.estimators.kernel_ridge, "EXACT_FACTOR_SAMPLES", 200)
    model = NewtonRegressor("kernel", solver="exact", alpha=0.01, feature_learning=False).fit(X, y)
    assert model.fitted_model_.solver_ == "conjugate gradients"
    assert np.allclose(model.predict(X), found["cholesky"], atol=1e-3)
    assert model.validation_score_ is None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"solver": "lu"}, "solver must be"), ({"max_centres": 0}, "max_centres"), ({"max_centres": 1.5}, "max_centres")],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises((TypeError, ValueError), match=message):
        NewtonRegressor("kernel", **parameters).fit(*wave(20))


def test_memory_is_looked_at_first(monkeypatch):
    monkeypatch.setattr(sltrees.estimators.kernel_ridge, "EIGEN_SAMPLES", 60)
    monkeypatch.setattr("sltrees._memory.available_memory", lambda: 1e5, raising=False)
    with pytest.raises(MemoryError, match=r"by cholesky needs .* bytes"):
        NewtonRegressor("kernel", solver="cholesky", evenness=1.0, alpha=0.1).fit(*wave(300))


def test_progress_is_told_at_most_once_a_second():
    lines, seconds = [], iter([0.0, 0.5, 1.5, 2.0, 2.6, 3.0, 5.0])
    progress = Progress(lines.append, lambda: next(seconds))
    for done in (0, 1, 2, 3, 4):
        progress("first", done, 4)
    progress("second", 0, 4)
    progress("second", 0.03, 4)  # too little to tell by
    assert lines[:3] == ["first: begun", "first: 50%, 2 s left", "first: 100%, 0 s left"]
    assert lines[3:] == ["second: begun", "second: 1%"]


def test_verbose_says_what_is_done(few_are_many, capsys):
    NewtonRegressor("kernel", random_state=0, verbose=1).fit(*wave(300))
    lines = capsys.readouterr().out.splitlines()
    stages = [line.removesuffix(": begun") for line in lines if line.endswith(": begun")]
    assert stages[:3] == ["scaling", "scales of features", "block 1 of centres"]
    assert stages[-1] == "last corrections"
    NewtonRegressor("kernel", random_state=0).fit(*wave(300))
    assert capsys.readouterr().out == ""


# ---------------------------------------------------------------------- what a second reader found


@pytest.mark.parametrize("n", [1, 2, 5, 19, 41])
def test_few_samples_by_nystrom(n):
    X, y = wave(n)
    model = NewtonRegressor("kernel", solver="nystrom").fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    assert model.fitted_model_.solver_ == ("eigen" if n <= 40 else "nystrom")


@pytest.mark.parametrize("shift", [37.6, 40.0, 1e200])
@pytest.mark.parametrize("solver", ["auto", "nystrom", "cholesky", "exact"])
def test_a_shift_at_which_nothing_fires(few_are_many, shift, solver):
    X, y = wave(150)
    model = NewtonRegressor("kernel", shift=shift, solver=solver).fit(X, y)
    assert np.allclose(model.predict(X), y.mean())


def test_weights_that_dwarf_those_of_before_are_refused(few_are_many):
    X, y = wave(150)
    model = NewtonRegressor("kernel", solver="nystrom").fit(X, y, sample_weight=np.full(150, 1e-300))
    before = model.predict(X)
    with pytest.raises(ValueError, match="sample_weight must not be larger than those of the first call"):
        model.partial_fit(X, y, sample_weight=np.full(150, 1e300))
    assert np.array_equal(model.predict(X), before)


def test_normal_equations_that_are_no_normal_equations_end_with_an_error(few_are_many):
    X, y = wave(150)
    model = NewtonRegressor("kernel", solver="nystrom").fit(X, y)
    model.fitted_model_.blocks_.system.products[:] = -1e308
    with pytest.raises(np.linalg.LinAlgError, match="no Cholesky factor"):
        model.partial_fit(X, y)


def test_a_ridge_below_rounding_is_raised_and_said(few_are_many):
    X, y = wave(30)
    model = NewtonRegressor("kernel", alpha=1e-30, solver="cholesky", feature_learning=False)
    model.fit(np.repeat(X, 3, axis=0) + 1e-12 * np.random.default_rng(0).standard_normal((90, 3)), np.repeat(y, 3))
    assert model.fitted_model_.solver_ == "cholesky"
    assert model.fitted_model_.alpha_ >= np.finfo(np.float64).eps


def test_iterations_that_end_too_early_are_said(few_are_many, monkeypatch):
    monkeypatch.setattr(sltrees.estimators.kernel_ridge, "EXACT_FACTOR_SAMPLES", 100)
    monkeypatch.setattr("sltrees.estimators.kernel_solvers.iterative.MAX_STEPS", 2)
    monkeypatch.setattr("sltrees.estimators.kernel_solvers.iterative.RANK", 5)
    with pytest.warns(ConvergenceWarning, match="ended after 2 steps at a relative residual"):
        NewtonRegressor("kernel", solver="exact", alpha=1e-6, feature_learning=False).fit(*wave(300))


def test_scores_of_many_samples_are_those_of_samples_that_nothing_has_seen(few_are_many):
    X, y = wave(400)
    model = NewtonRegressor("kernel", random_state=0, feature_learning=2).fit(X, y)
    held_out = ~np.isnan(model.fitted_model_.left_out_[:, 0])
    assert held_out.sum() == 20
    assert 0.9 < model.validation_score_ < 1
    assert model.selection_["outcome"][-1] == "asked for"
