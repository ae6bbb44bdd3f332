"""Networks under losses: steps by definition, methods, solvers, threads, clusters, checkpoints, losses of one's own."""

import warnings

import numpy as np
import pytest
from in_process_cluster import InProcessCluster
from problems import WeightsRecorder, losses, random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork, reference
from sltrees.callbacks import Callback, Checkpoint
from sltrees.files.archive import ArchiveError
from sltrees.losses import (
    HalfGammaLoss,
    HalfMultinomialLoss,
    HalfPoissonLoss,
    HalfSquaredLoss,
    HuberLoss,
    LogisticLoss,
    SmoothPinballLoss,
)
from sltrees.methods.choose import METHODS
from sltrees.training.objective import LossOfOutputs, SquaredError

N, SHIFT, WIDTH = 40, 1.0, 1024


@pytest.fixture(autouse=True)
def _quick_and_quiet(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="shift lowered", category=UserWarning)
        yield


def problem():
    """Samples, and targets for each loss."""
    X, y = random_problem(0, N, 5)
    rng = np.random.default_rng(1)
    return X, {
        "squared": y,
        "logistic": (y > 0).astype(float),
        "huber": y + 20.0 * (rng.random(N) < 0.1),
        "quantile": y,
        "poisson": rng.poisson(np.exp(y)).astype(float),
        "gamma": np.exp(y) * rng.gamma(4.0, 0.25, N),
    }


LOSSES = {
    "squared": HalfSquaredLoss(),
    "logistic": LogisticLoss(),
    "huber": HuberLoss(0.5),
    "quantile": SmoothPinballLoss(0.8, 0.1),
    "poisson": HalfPoissonLoss(),
    "gamma": HalfGammaLoss(),
}
HALF = N // 2


def network_of(width=WIDTH, **parameters):
    return ShiftedReLUNetwork(width, **{"shift": SHIFT, "random_state": 0, "dtype": "float64"} | parameters)


def fit(name, callbacks=(), network=None, **options):
    """A trainer that was trained under a loss, and the result."""
    X, targets = problem()
    options = {"alpha": 1e-2, "tol": 1e-9, "max_iter": 8, "loss": LOSSES[name]} | options
    trainer = NewtonTrainer(network_of() if network is None else network, callbacks=callbacks, **options)
    return trainer, trainer.fit(X, targets[name])


def outcome(trainer, result):
    """What has to be the same bit for bit."""
    rows = [(r.rmse, r.loss, r.mean_loss, r.damping, r.visited_neurons, r.flips) for r in result.history]
    return trainer.network.digest(), trainer.offset_, result.status, result.loss, rows


# ---------------------------------------------------------------------- steps


def assert_steps_are_those_of_the_reference(name, seen, trainer, result, accuracy):
    X, targets = problem()
    W, (_, signs) = seen.weights, trainer.network.dense_weights()
    expected = reference.dense_gauss_newton(
        W[0],
        signs,
        SHIFT,
        X,
        targets[name],
        alpha=trainer.alpha,
        max_iter=result.n_iter,
        loss=LOSSES[name],
        offset=trainer.offset_,
    )
    assert result.n_iter >= 6
    assert len(expected.weights) == len(W)
    assert [record.accepted for record in result.history] == expected.accepted
    assert True in expected.accepted
    for found, wanted, rmse in zip(W, expected.weights, expected.rmse, strict=True):
        assert np.linalg.norm(found - wanted) <= accuracy * max(np.linalg.norm(wanted - W[0]), 1e-3)
        assert rmse == pytest.approx(rmse)
    assert [r.rmse for r in result.history] == pytest.approx(expected.rmse[:-1], rel=max(accuracy, 1e-8))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", LOSSES)
def test_every_step_is_that_of_the_definition(name, method):
    seen = WeightsRecorder()
    trainer, result = fit(name, [seen], method=method)
    accuracy = 1e-5 if method.startswith("bpsw") else 1e-8  # whose systems are solved to 1e-8
    assert_steps_are_those_of_the_reference(name, seen, trainer, result, accuracy)


@pytest.mark.parametrize("solver", [{"max_gram": 0}, {"max_gram": 0, "forcing": 0.0}])
@pytest.mark.parametrize("name", ["logistic", "quantile", "poisson"])
def test_systems_without_an_array_give_the_same_steps(name, solver):
    seen = WeightsRecorder()
    trainer, result = fit(name, [seen], **solver)
    assert sum(record.cg_steps for record in result.history) > 0
    assert_steps_are_those_of_the_reference(name, seen, trainer, result, 1e-8)


def test_the_squared_error_as_a_loss_is_the_squared_error():
    X, y = random_problem(0, N, 5)
    plain, as_loss = (
        NewtonTrainer(network_of(4096), tol=1e-8, max_iter=20, **loss).fit(X, y)
        for loss in ({}, {"loss": HalfSquaredLoss(), "offset": 0.0})
    )
    assert plain.status == as_loss.status == "converged"
    assert [r.rmse for r in as_loss.history] == pytest.approx([r.rmse for r in plain.history], rel=1e-6)
    assert [r.mean_loss for r in plain.history] == pytest.approx([0.5 * r.rmse**2 for r in plain.history])


@pytest.mark.parametrize("name", LOSSES)
def test_training_converges_and_leaves_neurons_out(name):
    trainer, result = fit(name, network=network_of(2**14), alpha=3.0, tol=1e-4, max_iter=60)
    assert result.status == "converged"
    assert (np.diff(losses(result)) <= 0).all()
    # certificates do not care where a step came from
    assert min(record.visited_neurons for record in result.history) < 0.5 * result.history[0].reported_neurons
    again = trainer.fit(problem()[0], problem()[1][name])
    assert again.status == "converged"
    assert again.n_iter <= 10  # three flat steps end it
    assert again.loss <= result.loss


def test_a_weight_of_two_is_a_sample_that_is_there_twice():
    X, targets = problem()
    y, twice = targets["poisson"], np.arange(N) < 20
    ends = []
    for rows, weights in ((np.arange(N), 1.0 + twice), (np.concatenate([np.arange(N), np.flatnonzero(twice)]), None)):
        trainer = NewtonTrainer(network_of(), alpha=1e-2, max_iter=4, tol=1e-9, loss="poisson")
        result = trainer.fit(X[rows], y[rows], sample_weight=weights)
        ends.append((trainer.offset_, result.mean_loss, result.rmse))
    assert ends[0] == pytest.approx(ends[1], rel=1e-6)


# ---------------------------------------------------------------------- where it runs


@pytest.mark.parametrize("name", ["logistic", "quantile"])
def test_nothing_depends_on_threads_or_a_cluster(name):
    expected = outcome(*fit(name, executor="inline"))
    assert outcome(*fit(name, n_threads=1)) == expected
    assert outcome(*fit(name, n_threads=3)) == expected
    with InProcessCluster(2) as cluster:
        assert outcome(*fit(name, executor=cluster)) == expected


class PowerCut(Callback):
    def __init__(self, at):
        self.at = at

    def on_iteration(self, trainer, record):
        if record.iteration == self.at:
            raise SystemExit


@pytest.mark.parametrize(
    ("name", "solver"),
    [(name, {}) for name in LOSSES]
    + [("logistic", {"max_gram": 0}), ("poisson", {"max_gram": 0, "forcing": 1e-3}), ("quantile", {"method": "bpsw"})],
)
def test_a_run_that_is_cut_off_ends_as_if_it_had_not_been(tmp_path, name, solver):
    expected = outcome(*fit(name, [Checkpoint(tmp_path / "uncut.npz")], **solver))
    path = tmp_path / "cut.npz"
    with pytest.raises(SystemExit):
        fit(name, [Checkpoint(path), PowerCut(3)], **solver)
    resumed = NewtonTrainer.from_checkpoint(path)
    assert vars(resumed.loss_) == vars(LOSSES[name])
    X, targets = problem()
    assert outcome(resumed, resumed.fit(X, targets[name])) == expected


def test_old_factors_are_gone_on_with_after_a_checkpoint(tmp_path):
    X, y = random_problem(0, 300, 6)  # from 256 samples on
    y = (y > 0).astype(float)
    ends = []
    for cut in (False, True):
        path = tmp_path / f"{cut}.npz"
        callbacks = [Checkpoint(path), *([PowerCut(12)] if cut else [])]
        options = {"alpha": 3.0, "tol": 1e-9, "max_iter": 16, "loss": "log_loss"}
        trainer = NewtonTrainer(network_of(2**12), callbacks=callbacks, **options)
        if cut:
            with pytest.raises(SystemExit):
                trainer.fit(X, y)
            trainer = NewtonTrainer.from_checkpoint(path)
        result = trainer.fit(X, y)
        ends.append(outcome(trainer, result))
    assert ends[0] == ends[1]
    assert 0 < sum(record.refactorings for record in result.history) < result.n_iter


def test_samples_that_join_change_neither_loss_nor_offset(tmp_path):
    X, targets = problem()
    y, ends = targets["poisson"], []
    for cut in (False, True):
        trainer = NewtonTrainer(network_of(), alpha=0.1, tol=1e-7, max_iter=5, loss="poisson")
        trainer.fit(X[:HALF], y[:HALF])
        offset = trainer.offset_
        assert offset == pytest.approx(np.log(y[:HALF].mean()))
        trainer.callbacks = (Checkpoint(tmp_path / f"{cut}.npz"), *([PowerCut(2)] if cut else []))
        if cut:
            with pytest.raises(SystemExit):
                trainer.extend(X[HALF:], y[HALF:])
            trainer = NewtonTrainer.from_checkpoint(tmp_path / "True.npz")
            result = trainer.fit(X, y)
        else:
            result = trainer.extend(X[HALF:], y[HALF:])
        assert trainer.offset_ == offset
        ends.append(outcome(trainer, result))
        trainer.callbacks = ()
        assert {type(record.loss) for record in result.history} == {float}  # as in files
        ends[-1] += outcome(trainer, trainer.extend(X[:5], y[:5] + 1.0))
        trainer.fit(X, y)
        assert trainer.offset_ != offset  # it was that of the first samples, and no parameter
    assert ends[0] == ends[1]


# ---------------------------------------------------------------------- what is told


def test_the_best_weights_are_those_of_the_lowest_loss():
    X, targets = problem()
    y = targets["quantile"]
    trainer = NewtonTrainer(network_of(), alpha=1e-4, max_iter=10, tol=1e-9, loss=SmoothPinballLoss(0.9), offset=-3.0)
    result = trainer.fit(X[:HALF], y[:HALF], eval_set=(X[HALF:], y[HALF:]))
    seen = [record.validation_loss for record in result.history]
    assert result.best_iteration == int(np.argmin([*seen, np.inf]))
    assert 0 < result.best_iteration < result.n_iter
    f = trainer.network.predict(X[HALF:]) + trainer.offset_
    at_end = SmoothPinballLoss(0.9).value(y[HALF:], f).mean()
    assert result.validation_loss == pytest.approx(at_end, rel=1e-9)
    assert result.validation_loss == min(seen)
    assert result.validation_rmse == pytest.approx(np.sqrt(np.mean((f - y[HALF:]) ** 2)), rel=1e-9)


def test_history_tells_the_loss_and_the_error_of_predictions():
    trainer, result = fit("poisson")
    X, targets = problem()
    y, f = targets["poisson"], trainer.network.predict(X) + trainer.offset_
    assert result.rmse == pytest.approx(np.sqrt(np.mean((np.exp(f) - y) ** 2)), rel=1e-9)
    assert result.mean_loss == pytest.approx(np.mean(np.exp(f) - y * f), rel=1e-9)
    assert result.history[0].mean_loss == pytest.approx(np.mean(y.mean() - y * np.log(y.mean())), rel=1e-9)
    assert result.loss > N * result.mean_loss  # by the ridge


@pytest.mark.parametrize("offset", [-500.0, 500.0])
@pytest.mark.parametrize("name", LOSSES)
def test_outputs_that_are_far_off_overflow_nothing(name, offset):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        _, result = fit(name, offset=offset, max_iter=5)
    values = losses(result)
    assert np.isfinite(values).all()
    assert values[-1] < values[0] or name in ("poisson", "gamma")  # exp(-500) has no slope to go by


def test_parabolas_reach_no_farther_than_the_loss_says():
    y, f = np.array([0.0, 1.0, 100.0]), np.array([40.0, 40.0, -3.0])
    for loss, targets in ((LogisticLoss(), y > 1), (HalfPoissonLoss(), y), (HalfGammaLoss(), y + 1e-3)):
        fit = LossOfOutputs(loss, targets.astype(float), offset=0.0).at(f)
        assert np.abs(fit.residual).max() <= loss.reach * (1 + 1e-12)
        assert (fit.curvature >= loss.curvature(targets[:, None], f[:, None])[:, 0]).all()


def test_rounding_of_outputs_is_weighed_by_slopes():
    y = np.array([1.0, 2.0])
    plain, huber = SquaredError(y), LossOfOutputs(HuberLoss(0.1), y, offset=0.0)
    far = np.array([1e6, -1e6])
    assert huber.loss_error(1e-3, huber.at(far), huber.at(far)) < 1e-3
    assert plain.loss_error(1e-3, plain.at(far), plain.at(far)) > 1e3


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"loss": "hinge"}, ValueError, "loss must be 'squared', 'log_loss', .* got 'hinge'"),
        ({"loss": 3}, TypeError, "lacks couples, is_newton"),
        ({"loss": HalfPoissonLoss}, TypeError, "is a class"),
        ({"loss": HalfMultinomialLoss()}, ValueError, "single output, got HalfMultinomialLoss"),
        ({"loss": "poisson", "alpha": "loo"}, ValueError, "alpha='loo' is for the loss 'squared'"),
        ({"offset": 1.0}, ValueError, "offset must be 'auto' or 0 for the loss 'squared', got 1.0"),
        ({"loss": "poisson", "offset": np.nan}, ValueError, "offset must be finite"),
        ({"loss": "poisson", "offset": "mean"}, TypeError, "offset must be a real number"),
    ],
)
def test_parameters_that_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        NewtonTrainer(network_of(), **options)


def test_targets_that_are_refused_change_nothing():
    X, _ = problem()
    network = network_of()
    trainer = NewtonTrainer(network, loss="poisson")
    with pytest.raises(ValueError, match=r"at least 0.*got from -1"):
        trainer.fit(X, -np.ones(N))
    with pytest.raises(ValueError, match=r"at least 0.*got from -1"):
        trainer.fit(X, np.ones(N), eval_set=(X, -np.ones(N)))
    assert network.shift_ is None
    assert not hasattr(trainer, "offset_")


# ---------------------------------------------------------------------- losses of one's own


class LogCosh(HalfSquaredLoss):
    """log(cosh(f - y)): the squared error near 0, and the absolute error far away."""

    is_newton = False

    def value(self, y, f):
        r = np.abs(f - y)
        return r + np.log1p(np.exp(-2.0 * r)) - np.log(2.0)

    def gradient(self, y, f):
        return np.tanh(f - y)

    def curvature(self, y, f):
        r = np.maximum(np.abs(f - y), 1e-6)
        return np.tanh(r) / r  # of the parabola above it


class WrongGradient(LogCosh):
    def gradient(self, y, f):
        return -np.tanh(f - y)


class NotAbove(LogCosh):
    def curvature(self, y, f):
        return 0.5 / np.cosh(np.clip(f - y, -50, 50)) ** 2 + 1e-3


class NotNewton(LogCosh):
    is_newton = True


class Negative(LogCosh):
    def curvature(self, y, f):
        return -super().curvature(y, f)


class Overflows(LogCosh):
    def value(self, y, f):
        with np.errstate(over="ignore"):
            return np.log(np.cosh(f - y))


class OfAnotherShape(LogCosh):
    def gradient(self, y, f):
        return super().gradient(y, f)[:, 0]


class NoConstant(LogCosh):
    def constant(self, y, weights):
        return np.nan * np.ones(y.shape[1])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (WrongGradient, "gradient of WrongGradient must be the derivative of value: at y="),
        (NotAbove, "curvature of NotAbove must be that of a parabola above value"),
        (NotNewton, "curvature of NotNewton must be the derivative of gradient"),
        (Negative, "curvature of Negative must be above 0"),
        (Overflows, "value of Overflows must be finite"),
        (OfAnotherShape, "gradient of OfAnotherShape must have shape"),
        (NoConstant, "constant of NoConstant must be finite"),
    ],
)
def test_a_loss_that_is_not_what_its_derivatives_say_is_refused(kind, message):
    X, targets = problem()
    network = network_of()
    with pytest.raises(ValueError, match=message):
        NewtonTrainer(network, loss=kind()).fit(X, targets["huber"])
    assert network.shift_ is None


def test_a_loss_of_ones_own_is_learned_under_and_resumed(tmp_path):
    X, targets = problem()
    y, options = targets["huber"], {"alpha": 1e-2, "tol": 1e-7, "max_iter": 6, "loss": LogCosh()}
    expected = NewtonTrainer(network_of(), callbacks=[Checkpoint(tmp_path / "uncut.npz")], **options)
    result = expected.fit(X, y)
    assert result.mean_loss < 0.8 * result.history[0].mean_loss
    path = tmp_path / "cut.npz"
    with pytest.raises(SystemExit):
        NewtonTrainer(network_of(), callbacks=[Checkpoint(path), PowerCut(2)], **options).fit(X, y)
    with pytest.raises(ArchiveError, match="the loss is the user's own, a LogCosh: give it as loss, got None"):
        NewtonTrainer.from_checkpoint(path)
    resumed = NewtonTrainer.from_checkpoint(path, loss=LogCosh())
    assert outcome(resumed, resumed.fit(X, y)) == outcome(expected, result)
    with pytest.raises(SystemExit):
        fit("poisson", [Checkpoint(path), PowerCut(2)])
    with pytest.raises(ArchiveError, match="loss must be None where it is no loss of the user's own"):
        NewtonTrainer.from_checkpoint(path, loss=LogCosh())


def test_the_unit_of_targets_and_the_way_of_counting_samples_change_nothing(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((40, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y, labels, weights = rng.gamma(2.0, 0.5, 40), (X[:, 1] > 0.3).astype(float), rng.integers(1, 4, 40)

    def trained(loss, X, y, **given):
        trainer = NewtonTrainer(ShiftedReLUNetwork(512, random_state=0), loss=loss, alpha=1.0, max_iter=8)
        return trainer, trainer.fit(X, y, **given)

    _, expected = trained("gamma", X, y)
    _, small = trained("gamma", X, 1e-8 * y)
    assert small.n_iter == expected.n_iter
    assert small.mean_loss - np.log(1e-8) == pytest.approx(expected.mean_loss, rel=1e-6)
    one, _ = trained("log_loss", X, labels, sample_weight=weights.astype(float))
    other, _ = trained("log_loss", np.repeat(X, weights, axis=0), np.repeat(labels, weights))
    assert one.offset_ == pytest.approx(other.offset_, rel=1e-12)
