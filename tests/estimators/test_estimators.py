"""Estimators: the conventions of scikit-learn, and what the models behind them promise."""

import copy
import inspect
import pickle
import signal
import threading
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_friedman1
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from sltrees import shifted_ntk
from sltrees.callbacks import Callback, PrintProgress
from sltrees.estimators import NewtonClassifier, NewtonRegressor, SearchWarning
from sltrees.estimators.model_comparison import Comparison
from sltrees.preprocessing import InputScaling
from sltrees.reference.row_invariants import check_rows

NETWORK = {"model": "network", "width": 512, "random_state": 0, "alpha": 0.1, "max_iter": 10}

# of a default, that is, where ridge, scales and model are chosen by samples left out: those of given ones pass
OBSERVATIONS = dict.fromkeys(
    ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"),
    "a sample of weight 2 is left out as one, two copies one by one",
)


def iris(n=None, seed=0):
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(X))[:n]
    return X[order], y[order]


def wave(n=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, (n, 3))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(n)


class Count(Callback):
    """How often it was called, and whether to stop."""

    def __init__(self, stop_after=None):
        self.starts = self.iterations = self.ends = 0
        self.stop_after = stop_after

    def on_start(self, trainer):
        self.starts += 1

    def on_iteration(self, trainer, record):
        self.iterations += 1
        return self.stop_after is not None and self.iterations >= self.stop_after

    def on_end(self, trainer, result):
        self.ends += 1


# the second with less time to search: of many small fits most of it is that of networks
@pytest.mark.parametrize(
    "estimator", [NewtonRegressor(), NewtonClassifier(search_seconds=0.2)], ids=lambda e: type(e).__name__
)
@pytest.mark.filterwarnings("ignore")
def test_conventions_of_scikit_learn(estimator):
    results = check_estimator(estimator, on_fail=None, expected_failed_checks=OBSERVATIONS)
    assert len(results) > 50
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert not failed
    # it needs an environment variable, set before SciPy is imported
    others = {result["check_name"]: result["status"] for result in results if result["status"] != "passed"}
    assert others.pop("check_array_api_input", "skipped") == "skipped"
    assert others == dict.fromkeys(OBSERVATIONS, "xfail")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options", [NETWORK | {"width": 64, "max_iter": 5}, {"model": "kernel", "alpha": 0.1}], ids=str
)
def test_conventions_of_scikit_learn_where_the_model_is_given(options):
    results = check_estimator(NewtonRegressor(**options, evenness=1.0), on_fail=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert not failed


# ---------------------------------------------------------------------- the models


def test_kernel_is_kernel_ridge_with_a_constant_at_the_ridge_left_out_chooses():
    X, y = wave()
    model = NewtonRegressor("kernel").fit(X, y)
    rows = InputScaling().fit(X).transform(X)
    kernel = shifted_ntk(rows, shift=1.0)
    n, lam = len(X), model.fitted_model_.alpha_ * np.trace(kernel) / len(X)
    ones = np.ones((n, 1))
    matrix = np.block([[kernel + lam * np.eye(n), ones], [ones.T, np.zeros((1, 1))]])
    solution = np.linalg.solve(matrix, np.append(y, 0.0))
    assert np.allclose(model.predict(X), kernel @ solution[:n] + solution[n], atol=1e-8)


@pytest.mark.parametrize("kind", ["kernel", "network"])
def test_several_outputs_are_learned_as_each_alone(kind):
    X, y = wave()
    Y = np.column_stack([y, -2 * y + 3, np.cos(X[:, 2])])
    options = {**NETWORK, "model": kind, "tol": 0.0, "feature_learning": False}
    together = NewtonRegressor(**options).fit(X, Y).predict(X)
    assert together.shape == (60, 3)
    for k in range(3):
        alone = NewtonRegressor(**options).fit(X, Y[:, k]).predict(X)
        assert np.allclose(together[:, k], alone, atol=1e-9)


def test_networks_of_several_outputs_share_neurons_and_lists_alone():
    X, y = wave()
    model = NewtonRegressor(**NETWORK).fit(X, np.column_stack([y, y]))
    a, b = model.fitted_model_.networks_
    assert a.digest() == b.digest()
    assert a.state.neurons.shards[0].initial is b.state.neurons.shards[0].initial
    for network in (a, b):
        network.state.method._check(check_rows)


def test_result_does_not_depend_on_the_number_of_threads_nor_on_the_order_of_samples():
    X, y = iris()
    order = np.random.default_rng(1).permutation(len(X))
    for options in ({"search_seconds": 4.0}, NETWORK):
        options = {"random_state": 0, **options}
        first = NewtonClassifier(n_jobs=1, **options).fit(X, y)
        assert np.array_equal(NewtonClassifier(n_jobs=3, **options).fit(X, y).predict_proba(X), first.predict_proba(X))
        shuffled = NewtonClassifier(n_jobs=1, **options).fit(X[order], y[order])
        assert np.allclose(shuffled.predict_proba(X), first.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("model", ["kernel", "network", "auto"])
def test_whole_weights_are_learned_from_as_copies(model):
    X, y = iris(60)
    counts = np.arange(len(y)) % 3
    options = {**NETWORK, "model": model, "search_seconds": 0, "evenness": 1.0, "feature_learning": False}
    weighted = NewtonClassifier(**options).fit(X, y, sample_weight=counts)
    copied = NewtonClassifier(**options).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert weighted.model_ == copied.model_
    assert np.allclose(weighted.decision_function(X), copied.decision_function(X), atol=1e-6)
    # but a sample of weight 2 is left out as one, and two copies one after the other
    if model != "network":
        assert weighted.sharpness_ < copied.sharpness_


def test_class_weights_are_weights_of_samples():
    X, y = iris(90)
    a = NewtonClassifier("kernel", class_weight={0: 1.0, 1: 5.0}).fit(X, y)
    b = NewtonClassifier("kernel").fit(X, y, sample_weight=np.where(y == 1, 5.0, 1.0))
    assert np.allclose(a.decision_function(X), b.decision_function(X))
    balanced = NewtonClassifier("kernel", class_weight="balanced").fit(X, y)
    totals = np.array([np.sum(y == k) for k in range(3)])
    assert np.allclose(balanced._class_weights, len(y) / (3 * totals))


def test_noise_is_not_interpolated():
    X, y = load_diabetes(return_X_y=True)
    ours = cross_val_score(NewtonRegressor(random_state=0, search_seconds=0), X, y, cv=5).mean()
    assert ours >= cross_val_score(Ridge(), X, y, cv=5).mean() - 0.01


def test_search_finds_features_where_the_kernel_cannot():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 10))
    y = np.maximum(X[:, 0] + X[:, 1], 0) - np.maximum(X[:, 0] - 1, 0)  # of one direction or two
    model = NewtonRegressor(random_state=0, feature_learning=False).fit(X[:150], y[:150])
    kernel = NewtonRegressor("kernel", feature_learning=False).fit(X[:150], y[:150])
    assert model.model_ == "network"
    assert model.score(X[150:], y[150:]) > kernel.score(X[150:], y[150:]) + 0.02
    table = model.selection_
    assert len({len(column) for column in table.values()}) == 1
    assert table["model"][0] == "kernel"
    assert table["outcome"].count("chosen") == 1
    chosen = table["outcome"].index("chosen")
    on_all = [e for e, n in zip(table["error"], table["folds"], strict=True) if n == model.n_folds]
    assert table["error"][chosen] == min(on_all)


def test_search_is_bounded():
    X, y = wave(200)
    with pytest.warns(
        SearchWarning, match=r"too short to compare networks on 200 samples: .* not tried; search_seconds="
    ):
        table = NewtonRegressor(random_state=0, search_seconds=0.5).fit(X, y).selection_
    assert "not tried: no time left" in table["outcome"]
    table = NewtonRegressor(random_state=0, search_seconds=0, evenness=1.0, feature_learning=False).fit(X, y)
    table = table.selection_
    assert table["outcome"] == ["chosen: no time to compare"]


def test_more_samples_are_no_worse():
    """Where there is no time to try networks on all samples, they are tried on a part of them, and it is said."""
    X, y = make_friedman1(2400, n_features=10, noise=1.0, random_state=0)
    scores, models = [], []
    for n in (300, 700):
        model = NewtonRegressor(random_state=0, search_seconds=2.0, evenness=1.0, feature_learning=False)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X[:n], y[:n])
        models.append(model)
        scores.append(model.score(X[1000:], y[1000:]))
    assert [model.model_ for model in models] == ["network", "network"]
    assert scores[1] > scores[0] + 0.01
    (warning,) = caught
    assert warning.category is SearchWarning
    assert warning.filename == __file__
    assert "too short to compare networks on 700 samples: they were on " in str(warning.message)
    assert models[1].validation_score_ == pytest.approx(scores[1], abs=0.05)
    kernel = NewtonRegressor("kernel", evenness=1.0, feature_learning=False).fit(X[:700], y[:700])
    assert scores[1] > kernel.score(X[1000:], y[1000:]) + 0.01


def test_search_takes_the_kernel_where_there_is_nothing_but_noise():
    rng = np.random.default_rng(0)
    model = NewtonRegressor(random_state=0, search_seconds=3.0).fit(
        rng.standard_normal((80, 4)), rng.standard_normal(80)
    )
    assert model.selection_["outcome"][0] in ("chosen", "the yardstick")
    assert abs(model.predict(rng.standard_normal((50, 4)))).max() < 1.0


# ---------------------------------------------------------------------- probabilities


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", ["kernel", "network"])
def test_probabilities_agree_with_predictions_and_are_calibrated(n_classes, kind):
    rng = np.random.default_rng(0)
    centres = 1.2 * np.eye(4)[:n_classes]
    y = rng.integers(0, n_classes, 900)
    X = centres[y] + rng.standard_normal((900, 4)) * 0.8
    model = NewtonClassifier(**{**NETWORK, "model": kind, "alpha": 1.0}).fit(X[:300], y[:300])
    proba = model.predict_proba(X[300:])
    assert np.allclose(proba.sum(axis=1), 1.0)
    assert np.array_equal(model.classes_[proba.argmax(axis=1)], model.predict(X[300:]))
    sure = proba.max(axis=1)
    right = proba.argmax(axis=1) == y[300:]
    assert abs(sure.mean() - right.mean()) < 0.06
    assert right[sure > 0.9].mean() > right[sure < 0.7].mean() + 0.1
    loss = -np.log(proba[np.arange(600), y[300:]]).mean()
    assert loss < np.log(n_classes)


def test_a_single_class_is_predicted_for_sure():
    model = NewtonClassifier().fit(np.eye(4), ["a"] * 4)
    assert model.predict(np.eye(4)).tolist() == ["a"] * 4
    assert model.predict_proba(np.eye(4)).tolist() == [[1.0]] * 4


# ---------------------------------------------------------------------- going on


@pytest.mark.parametrize("options", [{"model": "kernel"}, NETWORK], ids=["kernel", "network"])
def test_partial_fit_learns_from_all_samples(options):
    X, y = wave(90)
    model = NewtonRegressor(**{**options, "alpha": 0.1, "tol": 1e-9, "max_iter": 100}).partial_fit(X[:50], y[:50])
    model.partial_fit(X[50:], y[50:])
    whole = NewtonRegressor(**{**options, "alpha": 0.1, "tol": 1e-9, "max_iter": 100})
    whole.scaling_ = None
    whole.fit(X, y)
    # scaling and centre are those of the first samples
    assert np.corrcoef(model.predict(X), whole.predict(X))[0, 1] > 0.99
    assert model.score(X[50:], y[50:]) > 0.8
    if options["model"] == "kernel":
        rows = model.scaling_.transform(X)
        assert np.array_equal(model.fitted_model_.X_[-40:], rows[50:])


def test_partial_fit_knows_its_classes():
    X, y = iris(120)
    model = NewtonClassifier("kernel").partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    assert set(model.predict(X[y < 2])) == {0, 1}
    model.partial_fit(X[y == 2], y[y == 2])
    assert model.score(X, y) > 0.9
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="not among the classes"):
        model.partial_fit(X[:1], [7])


def test_warm_start_goes_on_with_the_networks():
    X, y = wave()
    model = NewtonRegressor(**{**NETWORK, "max_iter": 2, "alpha": 0.01, "tol": 1e-6}, warm_start=True).fit(X, y)
    networks = model.fitted_model_.networks_
    before = model.fitted_model_.results_[0].rmse
    model.set_params(max_iter=20).fit(X, y)
    assert model.fitted_model_.networks_ is networks
    assert model.fitted_model_.results_[0].rmse < before
    cold = NewtonRegressor(**{**NETWORK, "max_iter": 2}).fit(X, y)
    networks = cold.fitted_model_.networks_
    assert cold.fit(X, y).fitted_model_.networks_ is not networks


# ---------------------------------------------------------------------- following


def test_callbacks_follow_every_output_and_can_stop():
    X, y = iris(60)
    count = Count()
    model = NewtonClassifier(**NETWORK, callbacks=[count]).fit(X, y)
    assert count.starts == count.ends == 3
    assert count.iterations == sum(len(history) for history in model.history_)
    stopping = Count(stop_after=1)
    stopped = NewtonClassifier(**NETWORK, callbacks=[stopping]).fit(X, y)
    assert [len(history) for history in stopped.history_] == [1, 1, 1]


class InterruptAt(Callback):
    def __init__(self, iteration):
        self.iteration = iteration

    def on_iteration(self, trainer, record):
        if record.iteration == self.iteration:
            signal.raise_signal(signal.SIGINT)


def test_interruption_leaves_a_model_that_predicts():
    X, y = wave()
    model = NewtonRegressor(**NETWORK, callbacks=[InterruptAt(1)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.predict(X).shape == y.shape
    assert len(model.history_[0]) == 2


def test_interrupted_search_ends_soon_and_leaves_nothing_running(monkeypatch):
    X, y = wave(1000)
    before, measure, timers = threading.enumerate(), Comparison.measure, []

    def soon_interrupted(self, *arguments):
        timers.append(threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]))
        timers[-1].start()
        return measure(self, *arguments)

    monkeypatch.setattr(Comparison, "measure", soon_interrupted)
    model = NewtonRegressor(random_state=0, search_seconds=1e3, n_jobs=2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    (timer,) = timers
    timer.join()
    new = [thread for thread in threading.enumerate() if thread not in before]
    for thread in new:
        thread.join(20)
    assert [thread.name for thread in new if thread.is_alive()] == []


# ---------------------------------------------------------------------- errors, and what they leave


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({"eval_set": (np.ones((3, 3)), np.ones(3), 1)}, {}),
        ({"eval_set": (np.ones((3, 2)), np.ones(3))}, {}),
        ({"sample_weight": -np.ones(60)}, {}),
        ({"sample_weight": np.zeros(60)}, {}),
        ({"sample_weight": np.full(60, 1e308)}, {}),
        ({}, {"random_state": -1}),
        ({}, {"width": 3}),
        ({}, {"callbacks": None}),
        ({}, {"standardise": "no"}),
        ({}, {"warm_start": "maybe"}),
    ],
)
def test_an_error_leaves_the_estimator_as_it_was(arguments, parameters):
    X, y = wave()
    model = NewtonRegressor(**NETWORK).fit(X, y)
    before = model.predict(X), dict(vars(model))
    with pytest.raises((TypeError, ValueError)):
        model.set_params(**parameters).fit(100 * X + 5, np.column_stack([y, y]) * 100, **arguments)
    model.set_params(**NETWORK, callbacks=(), standardise=True, warm_start=False)
    assert np.array_equal(model.predict(X), before[0])
    assert vars(model).keys() == before[1].keys()


@pytest.mark.parametrize("fitted", [False, True])
def test_interruption_before_there_is_a_model_changes_nothing(fitted, monkeypatch):
    X, y = wave()
    model = NewtonRegressor(**NETWORK)
    if fitted:
        model.fit(X, y)
        before = model.predict(X)

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("sltrees.estimators.networks.draw_alike", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X * 9, y * 9)
    if fitted:
        assert np.array_equal(model.predict(X), before)
    else:
        with pytest.raises(NotFittedError):
            model.predict(X)


def test_interrupted_search_leaves_the_kernel(monkeypatch):
    X, y = iris(90)

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("sltrees.estimators.base.search_models", interrupt)
    model = NewtonClassifier(random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    kernel = NewtonClassifier("kernel").fit(X, y)
    assert np.array_equal(model.predict_proba(X), kernel.predict_proba(X))
    assert "interrupted" in model.selection_["outcome"][0]


@pytest.mark.parametrize("cls", [NewtonRegressor, NewtonClassifier])
def test_what_both_document_is_filled_in(cls):
    docstrings = [cls.__doc__, *(member.__doc__ for member in vars(cls).values() if callable(member))]
    assert len(docstrings) > 5
    assert not any("%(" in docstring for docstring in docstrings if docstring)
    assert "\nrandom_state : int, RandomState or None, default None\n    The source" in inspect.getdoc(cls)
    assert "\nsample_weight : array_like of shape (n,), optional\n    At least 0." in inspect.getdoc(cls.fit)


def test_only_ratios_of_weights_count():
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:100], y[:100]
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 100)
    for options in ({"model": "kernel"}, NETWORK, NETWORK | {"alpha": "loo"}):
        one = NewtonRegressor(**options).fit(X, y, sample_weight=weights)
        for factor in (1e-8, 1e6):
            other = NewtonRegressor(**options).fit(X, y, sample_weight=factor * weights)
            assert np.allclose(other.predict(X), one.predict(X), rtol=1e-6)


def test_scale_of_samples_and_targets_does_not_matter():
    X, y = wave()
    for options in ({"model": "kernel"}, NETWORK):
        one = NewtonRegressor(**options).fit(X, y).predict(X)
        for factor in (1e-250, 1e-20, 1e150):
            other = NewtonRegressor(**options).fit(X * factor, y * factor).predict(X * factor)
            assert np.allclose(other / factor, one, rtol=1e-6)
        column = X * [1.0, 1e200, 1.0]
        assert np.allclose(
            NewtonRegressor(**options, evenness=1.0).fit(column, y).predict(column), one, rtol=0.5, atol=0.5
        )


def test_partial_fit_after_early_stopping_and_with_other_parameters():
    X, y = wave()
    model = NewtonRegressor(**NETWORK, patience=2).fit(X[:30], y[:30], eval_set=(X[30:40], y[30:40]))
    count = Count()
    model.set_params(callbacks=[count], max_iter=1).partial_fit(X[40:], y[40:])
    assert count.iterations == 1
    assert len(model.fitted_model_.samples_[0]) == 50
    assert model.fitted_model_.trainers_[0].n_samples_ == 50


def test_interrupted_partial_fit_is_made_up_for_by_the_next():
    X, y = iris(90)
    model = NewtonClassifier(**NETWORK).fit(X[:40], y[:40])
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=[InterruptAt(0)]).partial_fit(X[40:60], y[40:60])
    assert [trainer.n_samples_ for trainer in model.fitted_model_.trainers_] == [60, 40, 40]
    model.predict(X)
    model.set_params(callbacks=()).partial_fit(X[60:], y[60:])
    assert [trainer.n_samples_ for trainer in model.fitted_model_.trainers_] == [90, 90, 90]
    assert model.score(X, y) > 0.9


def test_warm_start_begins_anew_where_the_model_is_another():
    X, y = wave()
    model = NewtonRegressor(**NETWORK, warm_start=True).fit(X, y)
    for parameters in ({"width": 256}, {"target_scale": 2.0}, {"bias": 0.5}):
        networks = model.fitted_model_.networks_
        assert model.set_params(**parameters).fit(X, y).fitted_model_.networks_ is not networks
    with pytest.raises(ValueError, match="features"):
        model.fit(X[:, :2], y)
    model.predict(X)
    assert model.set_params(model="kernel").fit(X, y).model_ == "kernel"


def test_an_exception_in_a_callback_leaves_a_model_or_the_old_one():
    class Raise(Callback):
        def on_iteration(self, trainer, record):
            raise RuntimeError("mine")

    X, y = wave()
    model = NewtonRegressor(**NETWORK, callbacks=[Raise()])
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, y)
    assert not hasattr(model, "fitted_model_")


def test_progress_can_be_cloned_and_searched_with(capsys):
    X, y = iris(60)
    model = clone(NewtonClassifier(**NETWORK | {"max_iter": 1}, callbacks=[PrintProgress()]))
    GridSearchCV(model, {"alpha": [0.1, 1.0]}, cv=2).fit(X, y)
    assert "rmse" in capsys.readouterr().out
    pickle.dumps(model)


# ---------------------------------------------------------------------- with others


def test_pipelines_grids_and_workers():
    X, y = iris(90)
    pipeline = make_pipeline(StandardScaler(), NewtonClassifier("kernel", random_state=0))
    grid = GridSearchCV(pipeline, {"newtonclassifier__alpha": [1e-3, 1.0]}, cv=3, n_jobs=2).fit(X, y)
    assert grid.best_score_ > 0.9
    estimator = NewtonClassifier(**NETWORK)
    alone, workers = (cross_val_score(estimator, X, y, cv=3, n_jobs=jobs) for jobs in (1, 2))
    assert np.array_equal(alone, workers)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library):
    frames = pytest.importorskip(library)
    X, y = iris(60)
    names = ["a", "b", "c", "d"]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    labels = frames.Series(np.array(["x", "y", "z"], dtype=object)[y].tolist())
    model = NewtonClassifier("kernel").fit(frame, labels)
    assert model.feature_names_in_.tolist() == names
    assert model.score(frame, labels) > 0.9
    wrong = frames.DataFrame(dict(zip(["a", "b", "d", "c"], X.T, strict=True)))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(wrong)
    pipeline = make_pipeline(StandardScaler().set_output(transform=library), NewtonClassifier("kernel"))
    assert pipeline.fit(frame, labels).score(frame, labels) > 0.9


def test_sparse_matrices_are_read_as_dense_ones():
    X, y = wave()
    X = np.where(np.abs(X) < 1, 0.0, X)
    dense = NewtonRegressor("kernel").fit(X, y).predict(X)
    for sparse in (scipy.sparse.csr_array(X), scipy.sparse.csc_matrix(X)):
        assert np.array_equal(NewtonRegressor("kernel").fit(sparse, y).predict(sparse), dense)


def test_copies_and_pickles():
    X, y = wave()
    model = NewtonRegressor(**NETWORK).fit(X, y)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert np.array_equal(other.predict(X), model.predict(X))
        other.partial_fit(X[:3] + 0.5, y[:3])
    fresh = clone(model)
    assert fresh.get_params() == model.get_params()
    assert not hasattr(fresh, "fitted_model_")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"model": "deep"}, "model must be one of 'auto', 'kernel', 'network', got 'deep'"),
        ({"alpha": 0.0}, "alpha must be 'loo' or finite and above 0, got 0.0"),
        ({"alpha": "cv"}, "alpha must be 'loo'"),
        ({"alpha": True}, "alpha must be 'loo'"),
        ({"target_scale": 0}, "target_scale must be finite and above 0, got 0"),
        ({"n_folds": 1}, "n_folds must be an integer, at least 2, got 1"),
        ({"search_seconds": -1}, "search_seconds must be at least 0, got -1"),
        ({"shift": "paper"}, "shift must be a number, at least 0, for model='auto', got 'paper'"),
        ({"model": "network", "shift": -1.0}, "shift must be"),
        ({"model": "network", "width": 3}, "width must be even"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"bias": -1.0}, "bias must be finite and at least 0"),
        ({"evenness": 1.5}, "evenness must be from 0 to 1, got 1.5"),
        ({"evenness": "even"}, "evenness must be 'auto' or from 0 to 1, got 'even'"),
        ({"tol": -1.0}, "tol must be finite and at least 0, got -1.0"),
        ({"max_iter": -1}, "max_iter must be at least 0, got -1"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"dtype": "int8"}, "dtype must be float32 or float64, got 'int8'"),
        ({"executor": "slurm"}, "executor must be one of 'threads', 'inline', 'dask', got 'slurm'"),
        ({"verbose": -1}, "verbose must be at least 0, got -1"),
        ({"n_jobs": 0}, "n_jobs must be None or an integer other than 0, got 0"),
        ({"random_state": -1}, "random_state must be from 0 to 2\\^128 - 1, got -1"),
    ],
)
def test_bad_parameters_are_refused(parameters, said):
    X, y = wave(20)
    model = NewtonRegressor(**parameters)
    with pytest.raises(ValueError, match=said):
        model.fit(X, y)
    assert not hasattr(model, "fitted_model_")


def test_bad_class_weights_callbacks_and_evaluation_sets_are_refused():
    X, y = iris(60)
    for weights, said in (
        ("heavy", "class_weight must be None, 'balanced' or a dict, got 'heavy'"),
        ({5: 1.0}, r"class_weight must name classes that are there, \[0, 1, 2\], got \[5\]"),
        ({1: 0.0}, "class_weight must be finite and above 0"),
    ):
        with pytest.raises(ValueError, match=said):
            NewtonClassifier(class_weight=weights).fit(X, y)
    with pytest.raises(TypeError, match="callbacks must be instances"):
        NewtonClassifier(callbacks=[print]).fit(X, y)
    with pytest.raises(ValueError, match="eval_set must be a pair"):
        NewtonClassifier(**NETWORK).fit(X, y, eval_set=X)
    with pytest.raises(ValueError, match="at least one"):
        NewtonClassifier().fit(X, y, sample_weight=np.zeros(60))


def test_a_sample_far_beyond_training_samples_of_tiny_scale_has_a_prediction():
    """Found once: its scaled numbers overflowed, and the kernel got NaN."""
    X = np.random.default_rng(0).standard_normal((60, 2))
    y = np.sin(2 * X[:, 0])
    plain = NewtonRegressor("kernel", random_state=0).fit(X, y)
    tiny = NewtonRegressor("kernel", random_state=0).fit(X * 2.0**-660, y)
    expected = plain.predict([[1e300, 1.0]])
    assert np.isfinite(expected).all()
    assert np.allclose(tiny.predict([[1e150, 1.0]]), expected, rtol=1e-6)
