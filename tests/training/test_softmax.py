"""Networks of classes under the softmax of all: steps by definition, threads, a cluster, checkpoints, Ctrl-C."""

import weakref

import numpy as np
import pytest
import scipy.sparse
import scipy.special
from in_process_cluster import InProcessCluster
from interruptions import code_of, interrupted_everywhere
from problems import random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork, _memory, reference
from sltrees.callbacks import Callback, Checkpoint
from sltrees.losses import HalfMultinomialLoss, check_loss
from sltrees.losses.classes import OneOfClasses
from sltrees.losses.scaled import ScaledLoss
from sltrees.training import budget, run_of_classes
from sltrees.training.damping import LevenbergMarquardt
from sltrees.training.interruptible import Interruptible
from sltrees.training.run import Run
from sltrees.training.run_of_classes import RunOfClasses
from sltrees.training.softmax import SoftmaxTrainer, train_classes

N, SHIFT, WIDTH, C = 40, 1.0, 512, 3


def problem():
    X, y = random_problem(0, N, 5)
    return X, np.eye(C)[np.digitize(y + X[:, 0], [-0.5, 0.5])]


def networks_of(width=WIDTH, n=C):
    return [ShiftedReLUNetwork(width, shift=SHIFT, random_state=0, dtype="float64") for _ in range(n)]


def fit(callbacks=(), networks=None, fit_options=None, **options):
    X, Y = problem()
    options = {"alpha": 1e-2, "tol": 1e-9, "max_iter": 6} | options
    trainer = SoftmaxTrainer(networks or networks_of(), callbacks=callbacks, **options)
    return trainer, trainer.fit(X, Y, **(fit_options or {}))


def outcome(trainer, results):
    """What has to be the same bit for bit."""
    rows = [
        [(r.rmse, r.loss, r.damping, r.visited_neurons, repr(r.validation_loss)) for r in result.history]
        for result in results
    ]
    ends = [(result.status, result.loss, result.mean_loss) for result in results]
    return [network.digest() for network in trainer.networks], trainer.offsets_.tolist(), rows, ends


class Weights(Callback):
    """All weights of the network that took a step."""

    def __init__(self):
        self.seen = []

    def on_iteration(self, trainer, record):
        self.seen.append(trainer.network.dense_weights()[0])


def steps_by_definition(W, signs, X, Y, alpha, n_cycles):
    """Weights after each turn, and whether it was kept: generalised Gauss-Newton on one output after the other."""
    n = len(X)
    offsets = np.log(Y.mean(axis=0))
    offsets -= offsets.mean()
    W = [W.copy() for _ in range(C)]
    initial, rules = W[0].copy(), [LevenbergMarquardt(n) for _ in range(C)]
    J = reference.dense_jacobian(initial, signs, SHIFT, X)
    unit = np.trace(J @ J.T) / n
    ridge = alpha * unit

    def logits(W):
        return np.stack([reference.network_outputs(w, signs, SHIFT, X) for w in W], axis=1) + offsets

    def loss(W):
        f = logits(W)
        moved = sum(np.sum((w - initial) ** 2) for w in W)
        return np.sum(scipy.special.logsumexp(f, axis=1) - np.sum(Y * f, axis=1)) + 0.5 * ridge * moved

    found = []
    for turn in range(n_cycles * C):
        c, rule = turn % C, rules[turn % C]
        p = scipy.special.softmax(logits(W), axis=1)[:, c]
        slope = p - Y[:, c]
        h = np.maximum(p * (1 - p), np.abs(slope) / 4.0)
        J, D = reference.dense_jacobian(W[c], signs, SHIFT, X), (W[c] - initial).ravel()
        r = ridge + rule.damping * unit
        g = np.linalg.solve(J @ J.T + r * np.diag(1 / h), slope / h - ridge / r * (J @ D))
        step = -ridge / r * D - J.T @ g
        change = J @ step
        promised = -(slope @ change + 0.5 * h @ change**2 + ridge * (D @ step + 0.5 * step @ step))
        trial = [*W[:c], W[c] + step.reshape(W[c].shape), *W[c + 1 :]]
        fallen = loss(W) - loss(trial)
        if fallen > 0:
            W = trial
            rule.accept(fallen / promised)
        else:
            rule.refuse()
        found.append((W[c], fallen > 0))
    return found


@pytest.mark.parametrize("method", ["certified", "dense"])
def test_every_turn_is_that_of_the_definition(method):
    X, Y = problem()
    seen = Weights()
    trainer, results = fit([seen], method=method)
    W, signs = networks_of()[0].initialize(X).dense_weights()
    expected = steps_by_definition(W, signs, X, Y, 1e-2, 6)
    assert len(seen.seen) == len(expected) == 6 * C
    kept = [record.accepted for turn in zip(*(result.history for result in results), strict=True) for record in turn]
    assert kept == [was_kept for _, was_kept in expected]
    for found, (wanted, _) in zip(seen.seen, expected, strict=True):
        assert np.linalg.norm(found - wanted) <= 1e-8 * np.linalg.norm(wanted - W)
    p = trainer.predict(X)
    assert [result.mean_loss for result in results] == pytest.approx([-np.mean(np.log(p[Y > 0]))] * C)
    assert results[0].rmse == pytest.approx(np.sqrt(np.mean((p[:, 0] - Y[:, 0]) ** 2)))


def test_two_classes_end_where_a_logistic_network_does():
    X, Y = problem()
    Y = np.stack([Y[:, 0], 1 - Y[:, 0]], axis=1)
    trainer = SoftmaxTrainer(networks_of(2**13, 2), alpha=3.0, tol=1e-6, max_iter=100)
    results = trainer.fit(X, Y)
    one = NewtonTrainer(networks_of(2**13, 1)[0], alpha=1.5, loss="log_loss", tol=1e-6, max_iter=100)
    one.fit(X, Y[:, 0])  # f_0 - f_1 moves for half of the ridge, where the width makes the problem convex
    assert [result.status for result in results] == ["converged", "converged"]
    p = one.loss_.predictions(one.network.predict(X) + one.offset_)
    assert np.allclose(trainer.predict(X)[:, 0], p, atol=3e-3)


@pytest.mark.parametrize("loss", [OneOfClasses().against(np.array([[0.3, -2.0, 9.0]]), np.array([[0.0, 1.0, 0.0]]), 2)])
def test_the_loss_of_one_class_is_what_its_derivatives_say(loss):
    loss.constant = lambda y, weights: np.zeros(1)
    check_loss(loss, np.array([[0.0], [1.0]]))
    f = np.array([[0.3, -2.0, 1.7]])
    value = HalfMultinomialLoss().value(np.array([[0.0, 1.0, 0.0]]), f)
    assert loss.value(np.zeros((1, 1)), f[:, 2:]) == pytest.approx(value)


def test_nothing_depends_on_threads_or_a_cluster():
    expected = outcome(*fit(executor="inline"))
    assert outcome(*fit(n_threads=2)) == expected
    with InProcessCluster(2) as cluster:
        assert outcome(*fit(executor=cluster)) == expected


class PowerCut(Callback):
    """As the power goes, after so many turns of all networks."""

    error = SystemExit

    def __init__(self, at):
        self.at = at

    def on_iteration(self, trainer, record):
        self.at -= 1
        if self.at < 0:
            raise self.error


@pytest.mark.parametrize(("at", "options"), [(0, {}), (7, {}), (11, {"max_gram": 0}), (16, {"patience": 3})])
def test_a_run_that_is_cut_off_ends_as_if_it_had_not_been(tmp_path, at, options):
    X, Y = problem()
    held_out = {"eval_set": (X[::3] * 0.9, Y[::3])} if "patience" in options else {}
    expected = outcome(*fit([Checkpoint(tmp_path / "uncut.npz")], fit_options=held_out, **options))
    path = tmp_path / "cut.npz"
    with pytest.raises(SystemExit):
        fit([Checkpoint(path), PowerCut(at)], fit_options=held_out, **options)
    resumed = SoftmaxTrainer.from_checkpoint(path)
    assert outcome(resumed, resumed.fit(X, Y, **held_out)) == expected


class Digests(Callback):
    """Of a network, before training and after each of its turns."""

    def __init__(self):
        self.seen = set()

    def on_start(self, trainer):
        self.seen.add(trainer.network.digest())

    def on_iteration(self, trainer, record):
        self.seen.add(trainer.network.digest())


def assert_validation_is_of_networks_as_they_are(trainer, results, held_out):
    loss = -np.mean(np.log(trainer.predict(held_out[0])[held_out[1] > 0]))
    assert [result.validation_loss for result in results] == pytest.approx([loss] * C)


@pytest.mark.parametrize("at", range(5))
def test_ctrl_c_leaves_the_validation_loss_of_the_networks_as_they_are(at):
    X, Y = problem()
    held_out, cut = (X[:20] * 0.9, Y[:20]), PowerCut(at)
    cut.error = KeyboardInterrupt
    trainer, results = fit([cut], fit_options={"eval_set": held_out})
    assert results[0].status == "interrupted"
    assert_validation_is_of_networks_as_they_are(trainer, results, held_out)


def test_the_best_networks_are_announced_and_go_before_others_come(monkeypatch):
    X, Y = problem()
    needed = []
    for restore_best in (True, False):
        with pytest.raises(MemoryError) as caught:
            fit(max_memory=1.0, max_gram=N, restore_best=restore_best, fit_options={"eval_set": (X, Y)})
        needed.append(float(str(caught.value).split(" needs ")[1].split(" ")[0].replace(",", "")))
    assert needed[0] - needed[1] >= C * networks_of(n=1)[0].initialize(X).state.neurons.n_neurons * X.shape[1] * 8
    copies, frozen = [], run_of_classes.frozen

    def watched(network, executor):
        if len(copies) % C == 0:
            assert not any(copy() for copy in copies)
        neurons = frozen(network, executor)
        copies.append(weakref.ref(neurons))
        return neurons

    monkeypatch.setattr(run_of_classes, "frozen", watched)
    fit(fit_options={"eval_set": (X, Y)})
    assert len(copies) > 2 * C


def test_ctrl_c_leaves_networks_of_steps_that_were_taken_or_not():
    X, Y = problem()
    whole, networks, held_out = Digests(), [], (X[:10], Y[:10, [1, 2, 0]])  # the first iteration is worse than none
    fit([whole], networks_of(128), max_iter=2)

    def run():
        networks[:] = networks_of(128)
        return fit(networks=networks, max_iter=2, fit_options={"eval_set": held_out})

    def check(outcome):
        assert all(not network.in_training for network in networks)
        for network in networks:
            assert network.shift_ is None or not network.state.is_drawn or network.digest() in whole.seen
        if not isinstance(outcome, KeyboardInterrupt):
            trainer, results = outcome
            assert len({result.status for result in results}) == 1
            if np.isfinite([result.mean_loss for result in results]).all():  # else the set-up was cut off
                assert_validation_is_of_networks_as_they_are(trainer, results, held_out)
        again = SoftmaxTrainer(networks, alpha=1e-2, max_iter=1)
        assert again.fit(X, Y)[0].status == "max_iter"

    interrupted_everywhere(run, code_of(RunOfClasses, Interruptible), check)


def test_the_best_networks_on_the_validation_set_are_kept():
    X, Y = problem()
    held_out = X[:20], Y[np.arange(20) + 2 * (np.arange(20) % 4 == 0)]
    trainer, results = fit(fit_options={"eval_set": held_out}, patience=2, alpha=1e-3, max_iter=30)
    assert {result.status for result in results} == {"early_stopped"}
    assert 0 < results[0].best_iteration < results[0].n_iter
    loss = -np.mean(np.log(trainer.predict(held_out[0])[held_out[1] > 0]))
    assert [result.validation_loss for result in results] == pytest.approx([loss] * C)
    assert loss <= min(record.validation_loss for record in results[0].history)  # between whole turns
    assert results[0].mean_loss == pytest.approx(-np.mean(np.log(trainer.predict(X)[Y > 0])))


def test_samples_that_join_change_no_offset(tmp_path):
    X, Y = problem()
    ends = []
    for cut in (False, True):
        trainer = SoftmaxTrainer(networks_of(), alpha=0.1, tol=1e-6, max_iter=4)
        trainer.fit(X[:25], Y[:25])
        offsets = trainer.offsets_.tolist()
        callbacks = (Checkpoint(tmp_path / f"{cut}.npz"), *([PowerCut(5)] if cut else []))
        for one in trainer.trainers_:
            one.callbacks = callbacks
        if cut:
            with pytest.raises(SystemExit):
                trainer.extend(X[25:], Y[25:])
            trainer = SoftmaxTrainer.from_checkpoint(tmp_path / "True.npz")
            results = trainer.fit(X, Y)
        else:
            results = trainer.extend(X[25:], Y[25:])
        assert trainer.offsets_.tolist() == offsets
        ends.append(outcome(trainer, results))
    assert ends[0] == ends[1]


def test_what_is_refused():
    X, Y = problem()
    one, other = networks_of(n=2)
    for networks, error, message in [
        ([one], ValueError, "networks must be at least 2, one for each class, got 1"),
        ([one, one], ValueError, "networks must be distinct"),
        (one, TypeError, "networks must be a list of ShiftedReLUNetwork, got ShiftedReLUNetwork"),
        (5, TypeError, "networks must be a list of ShiftedReLUNetwork, got int"),
        ([one, 5], TypeError, "networks must be a list of ShiftedReLUNetwork, got int among them"),
    ]:
        with pytest.raises(error, match=message):
            SoftmaxTrainer(networks)
    for max_memory in ("1GB", True):
        with pytest.raises(TypeError, match="max_memory must be a real number"):
            SoftmaxTrainer([one, other], max_memory=max_memory)
    with pytest.raises(TypeError, match="loss must not be given"):
        SoftmaxTrainer(networks_of(), loss="poisson")
    with pytest.raises(ValueError, match="alpha='loo' is for the loss 'squared'"):
        SoftmaxTrainer(networks_of(), alpha="loo")
    trainer = SoftmaxTrainer(networks_of())
    with pytest.raises(ValueError, match="rows of y must be at least 0 and sum to 1"):
        trainer.fit(X, 2 * Y)
    with pytest.raises(RuntimeError, match="call fit"):
        trainer.extend(X, Y)
    assert trainer.networks[0].shift_ is None
    with pytest.raises(AttributeError, match=r"no offsets_ yet: call fit\(X, Y\) first"):
        _ = trainer.offsets_


def test_networks_that_do_not_go_together_are_refused():
    X, Y = problem()
    networks = networks_of()
    odd = ShiftedReLUNetwork(WIDTH, shift=SHIFT, random_state=0, dtype="float32")
    with pytest.raises(ValueError, match="networks must have the same dtype, got float64, float32"):
        SoftmaxTrainer([networks[0], odd])
    trainer = SoftmaxTrainer(networks)
    trainer.trainers_[1].network = odd  # as one that was loaded
    with pytest.raises(ValueError, match="networks must have the same dtype, got float64, float32, float64"):
        trainer.fit(X, Y)
    trainer.trainers_[1].network = networks[1].initialize(np.eye(4))
    with pytest.raises(ValueError, match="X must have 4 columns, got 5"):
        trainer.fit(X, Y)
    networks[2].initialize(np.eye(6))
    with pytest.raises(ValueError, match=r"the same number of features, got \[None, 4, 6\]"):
        trainer.fit(X, Y)
    assert not networks[0].state.is_drawn


def test_memory_of_all_networks_is_refused_before_any_is_drawn():
    X, Y = problem()
    small, large = (ShiftedReLUNetwork(width, shift=SHIFT, random_state=0) for width in (64, 2**20))
    with pytest.raises(MemoryError, match=r"2 networks, of width 1048576 at most, on 40 samples .* allows 10,000,000"):
        SoftmaxTrainer([small, large], max_memory=1e7).fit(X, Y[:, :2] + Y[:, 2:] / 2)
    assert small.shift_ is large.shift_ is None


@pytest.mark.parametrize("where", ["here", "cluster"])
def test_networks_share_what_there_is_of_memory(monkeypatch, where):
    with InProcessCluster(2) as cluster:
        options = {"executor": cluster if where == "cluster" else "inline", "max_gram": N}
        with pytest.raises(MemoryError) as caught:
            fit(max_memory=1.0, **options)
        needed = float(str(caught.value).split(" needs ")[1].split(" ")[0].replace(",", ""))
        for room in (1.01 * needed, 0.99 * needed):
            networks = networks_of()
            for module in (budget, _memory):
                monkeypatch.setattr(module, "available_memory", lambda room=room: room)
            if where == "cluster":
                monkeypatch.setattr(type(cluster), "memory", room)
            if room > needed:
                assert fit(networks=networks, **options)[1][0].status == "max_iter"
            else:
                with pytest.raises(MemoryError, match=f"3 networks, of width {WIDTH}"):
                    fit(networks=networks, **options)
                assert not any(network.state.is_drawn for network in networks)


class RaisesInSetUp(Callback):
    """An exception in the set-up of the network of one class."""

    error, trainer = None, None

    def on_setup(self, trainer, done, total):
        if self.error is not None and trainer is self.trainer:
            raise self.error


@pytest.mark.parametrize("c", [0, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_samples_do_not_join_where_the_set_up_was_cut_off(c, error):
    X, Y = problem()
    ends = []
    for cut in (True, False):
        callback = RaisesInSetUp()
        trainer = SoftmaxTrainer(networks_of(), alpha=0.1, tol=1e-6, max_iter=3, callbacks=[callback])
        trainer.fit(X[:25], Y[:25])
        if cut:
            callback.error, callback.trainer = error, trainer.trainers_[c]
            if error is KeyboardInterrupt:
                assert trainer.extend(X[25:], Y[25:])[0].status == "interrupted"
            else:
                with pytest.raises(error):
                    trainer.extend(X[25:], Y[25:])
            assert [one.n_samples_ for one in trainer.trainers_] == [25] * C
            callback.error = None
        ends.append(trainer.extend(X[25:], Y[25:])[0].loss)
        assert [one.n_samples_ for one in trainer.trainers_] == [N] * C
    assert ends[0] == pytest.approx(ends[1])  # networks that were drawn add up in another order


def test_a_first_fit_that_was_cut_off_in_the_set_up_leaves_nothing_to_extend():
    X, Y = problem()
    callback = RaisesInSetUp()
    trainer = SoftmaxTrainer(networks_of(), max_iter=3, callbacks=[callback])
    callback.error, callback.trainer = KeyboardInterrupt, trainer.trainers_[0]
    assert trainer.fit(X, Y)[0].status == "interrupted"
    assert [one.offset for one in trainer.trainers_] == [0.0] * C
    with pytest.raises(RuntimeError, match="call fit"):
        trainer.extend(X, Y)


def test_ctrl_c_in_extend_adds_samples_once():
    X, Y = problem()
    trainer = None

    def run():
        nonlocal trainer
        trainer = SoftmaxTrainer(networks_of(128), alpha=0.1, max_iter=1, executor="inline")
        trainer.fit(X[:25], Y[:25])
        return trainer.extend(X[25:], Y[25:])

    def check(outcome):
        if trainer._samples is None:  # the first call was cut off
            assert not any(hasattr(one, "n_samples_") for one in trainer.trainers_)
            trainer.fit(X[:25], Y[:25])
        assert [one.n_samples_ for one in trainer.trainers_] == [len(trainer._samples[0])] * C
        assert all(one._samples[0] is trainer._samples[0] for one in trainer.trainers_)
        if isinstance(outcome, KeyboardInterrupt):
            assert len(trainer._samples[0]) == 25
        if len(trainer._samples[0]) == 25:
            trainer.extend(X[25:], Y[25:])
        assert np.array_equal(trainer._samples[0], X)
        assert [one.n_samples_ for one in trainer.trainers_] == [N] * C

    codes = code_of(SoftmaxTrainer._train, SoftmaxTrainer._give_back, SoftmaxTrainer.extend, train_classes)
    interrupted_everywhere(run, codes, check)


def test_an_exception_in_extend_adds_no_sample_and_one_in_fit_leaves_those_it_trained_on():
    X, Y = problem()
    cut = PowerCut(0)
    trainer = SoftmaxTrainer(networks_of(), alpha=0.1, max_iter=2, callbacks=[cut])
    for train, first, n in [(trainer.fit, 0, 25), (trainer.extend, 25, 25)]:
        with pytest.raises(SystemExit):
            train(X[first : first + 25], Y[first : first + 25])
        assert [one.n_samples_ for one in trainer.trainers_] == [n] * C
    cut.at = 100
    trainer.extend(X[25:], Y[25:])
    assert [one.n_samples_ for one in trainer.trainers_] == [N] * C


@pytest.fixture
def path_of_cut_run(tmp_path):
    path = tmp_path / "cut.npz"
    with pytest.raises(SystemExit):
        fit([Checkpoint(path), PowerCut(7)])
    return path


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1, got 0"),
        ({"executor": "gpu"}, ValueError, "executor must be one of"),
        ({"verbose": "x"}, TypeError, "verbose must be an integer"),
        ({"max_memory": "1GB"}, TypeError, "max_memory must be a real number"),
        ({"callbacks": [5]}, TypeError, "callbacks must be instances"),
    ],
)
def test_options_of_a_checkpoint_are_not_the_fault_of_the_file(path_of_cut_run, options, error, message):
    with pytest.raises(error, match=message) as caught:
        SoftmaxTrainer.from_checkpoint(path_of_cut_run, **options)
    assert type(caught.value) is error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_replay_that_is_cut_off_is_begun_anew_from_the_file(path_of_cut_run, error):
    X, Y = problem()
    trainer = SoftmaxTrainer.from_checkpoint(path_of_cut_run, callbacks=[PowerCut(2)], max_memory=3e9)
    assert [one.max_memory for one in trainer.trainers_] == [1e9] * C
    trainer.trainers_[0].callbacks[0].error = error
    if error is KeyboardInterrupt:
        assert trainer.fit(X, Y)[0].status == "interrupted"
    else:
        with pytest.raises(error):
            trainer.fit(X, Y)
    for go_on in (trainer.fit, trainer.extend):
        with pytest.raises(RuntimeError, match=r"was cut off: call SoftmaxTrainer\.from_checkpoint again"):
            go_on(X, Y)


def test_a_run_that_is_cut_off_behind_its_replay_goes_on(path_of_cut_run):
    X, Y = problem()
    trainer = SoftmaxTrainer.from_checkpoint(path_of_cut_run, callbacks=[PowerCut(11)])
    with pytest.raises(SystemExit):
        trainer.fit(X, Y)
    trainer.trainers_[0].callbacks[0].at = 100
    assert trainer.fit(X, Y)[0].status == "max_iter"


LABELS = np.argmax(problem()[1], axis=1)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (problem()[1][:, :2], ValueError, r"must have shape \(40, 3\), got \(40, 2\)"),
        (LABELS, ValueError, r"must have shape \(40, 3\), got \(40,\): .* np.eye\(3\)\[labels\]"),
        (LABELS.astype(str), TypeError, r"must hold real numbers, got dtype <U\d+: .* np.eye\(3\)\[labels\]"),
        (problem()[1] + 0j, TypeError, "must hold real numbers, got dtype complex128"),
        (problem()[1].astype(str), TypeError, "must hold real numbers"),
        (scipy.sparse.csr_array(problem()[1]), TypeError, "must be a dense array"),
        (np.ma.array(problem()[1], mask=np.eye(N, C)), ValueError, "must not be masked, got 3 masked entries"),
        (problem()[1] * np.nan, ValueError, r"must be finite in float64, got nan at index \(0, 0\)"),
        (2 * problem()[1], ValueError, "rows of y must be at least 0 and sum to 1"),
    ],
)
def test_targets_that_are_none_are_refused(bad, error, message):
    X, Y = problem()
    trainer = SoftmaxTrainer(networks_of(), max_iter=0)
    prefix = "" if message.startswith("rows") else "Y "
    with pytest.raises(error, match=prefix + message):
        trainer.fit(X, bad)
    with pytest.raises(error, match=prefix.replace(" ", "_val ") + message):
        trainer.fit(X, Y, eval_set=(X, bad))
    assert trainer.networks[0].shift_ is None


@pytest.mark.parametrize("bad", [5, "ab", np.eye(3), (problem()[0],), (*problem(), problem()[1])])
def test_an_eval_set_that_is_no_pair_is_refused(bad):
    with pytest.raises(TypeError, match=r"eval_set must be a tuple \(X_val, y_val\), got"):
        fit(fit_options={"eval_set": bad})
    with pytest.raises(ValueError, match="patience=2 needs an eval_set"):
        fit(patience=2)


def test_networks_that_begin_alike_count_g_once(monkeypatch, tmp_path):
    counted, counted_gram = [], Run.counted_gram
    monkeypatch.setattr(Run, "counted_gram", lambda run, *held_as: counted.append(run) or counted_gram(run, *held_as))

    def count(*arguments, **options):
        counted.clear()
        return outcome(*fit(*arguments, **options)), len(counted)

    shared, n_shared = count()
    alone, n_alone = count([Checkpoint(tmp_path / "run.npz")])  # whose record says of all factors when they were made
    assert (n_shared, n_alone) == (1, C)
    assert shared == alone
    X, _ = problem()
    for unlike in (
        networks_of()[:2] + [ShiftedReLUNetwork(WIDTH, shift=SHIFT, random_state=1, dtype="float64")],
        [network.initialize(X) for network in networks_of()],
    ):
        assert count(networks=unlike)[1] == C
    assert count(method="dense")[1] == C


def test_networks_of_a_scale_predict_what_they_were_trained_for(tmp_path):
    X, Y = problem()
    trainer = SoftmaxTrainer(networks_of(), alpha=0.1, max_iter=3, callbacks=[Checkpoint(tmp_path / "run.npz")])
    for one in trainer.trainers_:
        one.loss_ = ScaledLoss(OneOfClasses(), 4.0)  # as estimators have them
    results = trainer.fit(X, Y)
    resumed = SoftmaxTrainer.from_checkpoint(tmp_path / "run.npz")
    assert outcome(resumed, resumed.fit(X, Y)) == outcome(trainer, results)
    assert results[0].mean_loss == pytest.approx(-16.0 * np.mean(np.log(resumed.predict(X)[Y > 0])))
    assert resumed.offsets_ == pytest.approx(4.0 * HalfMultinomialLoss().constant(Y, np.ones(N)))
