"""What training is measured by: dense methods, sketches, and first-order training, against NumPy."""

import os
import signal

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from problems import WeightsRecorder, bytes_named, peak_bytes, random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork, reference
from sltrees.callbacks import Callback, Checkpoint
from sltrees.execution.inline import InlineExecutor
from sltrees.execution.threads import ThreadExecutor
from sltrees.gram.sketched import SketchedGram
from sltrees.linalg.sketches import SparseSign, SubsampledHadamard, hadamard_transform
from sltrees.methods.dense import fired_pairs
from sltrees.reference import GradientDescent

SKETCHES = [SparseSign, SubsampledHadamard]
DENSE_METHODS = ["dense", "bpsw", "bpsw-srht"]


def network_of(width=2048, **options):
    return ShiftedReLUNetwork(width, **{"shift": 0.8, "dtype": "float64", "random_state": 0} | options)


def pattern(seed, n_neurons=300, n_samples=40, share=0.2):
    fires = np.random.default_rng(seed).random((n_neurons, n_samples)) < share
    return scipy.sparse.csr_array(fires, dtype=np.float32)


# ---------------------------------------------------------------------- dense methods


@pytest.mark.parametrize("options", [{}, {"init": "gaussian"}], ids=str)
@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize("method", DENSE_METHODS)
def test_every_iteration_equals_that_by_definition(method, alpha, options, monkeypatch):
    monkeypatch.setattr("sltrees.methods.dense._PAIRS_PER_SHARD", 10_000)  # several shards
    monkeypatch.setattr(SketchedGram.__init__, "__kwdefaults__", {"tol": 1e-13})  # as precise as the oracle
    X, y = random_problem(3, 40, 5)
    network, seen = network_of(1000, **options), WeightsRecorder()
    result = NewtonTrainer(network, method=method, alpha=alpha, tol=1e-9, max_iter=5, callbacks=[seen]).fit(X, y)
    initial, signs = seen.weights[0], network.dense_weights()[1]
    expected = reference.dense_gauss_newton(
        initial, signs, network.shift_, X, y, alpha=alpha, tol=1e-9, max_iter=result.n_iter
    )
    assert [record.accepted for record in result.history] == expected.accepted
    for W, by_definition in zip(seen.weights, expected.weights, strict=True):
        assert np.abs(W - by_definition).max() <= 1e-8 * np.abs(by_definition).max()


@pytest.mark.parametrize("method", DENSE_METHODS)
@pytest.mark.parametrize("sampling", ["dense", "rejection"])
def test_methods_agree_and_say_what_they_looked_at(method, sampling):
    X, y = random_problem(4, 50, 6)
    networks = [network_of(4000, sampling=sampling) for _ in range(2)]
    ours = NewtonTrainer(networks[0], tol=1e-8).fit(X, y)
    theirs = NewtonTrainer(networks[1], method=method, tol=1e-8).fit(X, y)
    assert theirs.status == ours.status == "converged"
    assert theirs.n_iter == ours.n_iter
    assert np.allclose(networks[0].displacement_, networks[1].displacement_, rtol=0, atol=1e-6)
    everyone = len(networks[1].dense_weights()[0])
    for record, one_of_ours in zip(theirs.history, ours.history, strict=True):
        assert record.visited_neurons == everyone
        assert record.candidates == everyone * len(X)
        assert record.fired_pairs == one_of_ours.fired_pairs
    assert np.sqrt(np.mean((networks[1].predict(X) - y) ** 2)) == pytest.approx(theirs.rmse, rel=1e-6)


def test_training_goes_on_with_another_method():
    X, y = random_problem(5, 40, 5)
    network, other = network_of(), network_of()
    for method in ("dense", "certified", "bpsw", "trees", "dense"):
        NewtonTrainer(network, method=method, tol=0.0, max_iter=1).fit(X, y)
    NewtonTrainer(other, method="trees", tol=0.0, max_iter=5).fit(X, y)
    assert np.allclose(network.displacement_, other.displacement_, rtol=0, atol=1e-6)


def test_samples_weights_and_validation_sets_are_served():
    X, y = random_problem(6, 60, 5)
    found = []
    for method in ("certified", *DENSE_METHODS):
        network = network_of()
        trainer = NewtonTrainer(network, method=method, alpha=1e-2, tol=1e-8)
        result = trainer.fit(X[:40], y[:40], sample_weight=np.arange(1.0, 41.0), eval_set=(X[50:], y[50:]))
        trainer.extend(X[40:50], y[40:50])
        found.append([result.validation_rmse, *network.predict(X)])
    assert np.allclose(found[1:], found[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", ["bpsw", "bpsw-srht"])
def test_a_method_without_gram_matrix_says_so(method):
    X, y = random_problem(6, 20, 4)
    network = network_of()
    with pytest.raises(ValueError, match=f"alpha='loo' needs the Gram matrix .* {method!r} never forms"):
        NewtonTrainer(network, method=method, alpha="loo").fit(X, y)
    assert network.shift_ is None


def test_leave_one_out_with_dense_gauss_newton():
    X, y = random_problem(6, 30, 4)
    chosen = []
    for method in ("certified", "dense"):
        trainer = NewtonTrainer(network_of(), method=method, alpha="loo", max_iter=2)
        trainer.fit(X, y)
        chosen.append(trainer.alpha_)
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("method", DENSE_METHODS)
def test_too_little_memory_is_refused_beforehand(method):
    X, y = random_problem(6, 20, 4)
    network = ShiftedReLUNetwork(10**9, random_state=0)
    with pytest.raises(MemoryError, match="needs"):
        NewtonTrainer(network, method=method, max_memory=1e9).fit(X, y)
    assert network.shift_ is None


def contradicting(seed=0):
    """One sample twice, with different targets: G is singular, and no weights fit."""
    X, _ = random_problem(seed, 150, 5)
    y = np.sin(3 * X[:, 0])
    return np.vstack([X, X[:1]]), np.append(y, y[0] + 0.5)


SINGULAR = {
    "contradicting": (contradicting, {"width": 4096, "shift": "auto"}),
    "threefold": (lambda: (np.repeat(np.eye(4), 3, axis=0), np.arange(12.0)), {"width": 4096, "shift": "auto"}),
    "narrow": (lambda: (random_problem(1, 300, 3)[0], np.sin(np.arange(300))), {"width": 64, "shift": 0.0}),
}


@pytest.mark.filterwarnings("ignore:shift lowered")
@pytest.mark.parametrize("method", ["bpsw", "bpsw-srht"])
@pytest.mark.parametrize("name", SINGULAR)
def test_singular_systems_are_damped_as_with_dense_gauss_newton(name, method):
    """Found once: what a singular system leaves went unseen, and training ended before it began."""
    make, options = SINGULAR[name]
    X, y = make()
    results = [NewtonTrainer(network_of(**options), method=which, max_iter=20).fit(X, y) for which in ("dense", method)]
    assert results[1].n_iter >= 5
    assert results[1].rmse == pytest.approx(results[0].rmse, rel=0.02)


@pytest.mark.parametrize("n_threads", [1, 6])
@pytest.mark.parametrize("method", DENSE_METHODS)
def test_memory_stays_below_the_estimate(method, n_threads):
    X, y = random_problem(13, 700, 5)

    def fit(max_memory):
        network = network_of(2**12, dtype="float32", shift="auto")
        NewtonTrainer(network, method=method, n_threads=n_threads, max_iter=2, max_memory=max_memory).fit(X, y)

    limit = bytes_named(lambda: fit(1)) + 1
    assert peak_bytes(lambda: fit(limit)) <= limit


@pytest.mark.parametrize("batch_size", [None, 1, 50])
def test_memory_of_gradient_descent_stays_below_the_estimate(batch_size):
    X, y = random_problem(13, 1000, 5)

    def fit(max_memory):
        network = network_of(2**13, dtype="float32", shift="auto")
        max_iter = 2 if batch_size is None else 0
        GradientDescent(network, batch_size=batch_size, n_threads=2, max_iter=max_iter, max_memory=max_memory).fit(X, y)

    limit = bytes_named(lambda: fit(1)) + 1
    assert peak_bytes(lambda: fit(limit)) <= limit


def test_the_hadamard_sketch_depends_on_no_threads():
    X, y = random_problem(7, 60, 6)
    seen = set()
    for executor, n_threads in (("inline", None), ("threads", 1), ("threads", 3)):
        network = network_of(3000)
        trainer = NewtonTrainer(network, method="bpsw-srht", max_iter=3, executor=executor, n_threads=n_threads)
        result = trainer.fit(X, y)
        seen.add((network.digest(), result.rmse, str([record.cg_steps for record in result.history])))
    assert len(seen) == 1


@pytest.mark.parametrize("method", ["dense", "bpsw"])
def test_a_run_that_was_cut_off_ends_as_it_would_have(method, tmp_path):
    X, y = random_problem(8, 60, 4)
    options = {"method": method, "alpha": 1e-3, "tol": 0.0}
    whole = network_of(700)
    result = NewtonTrainer(whole, max_iter=7, **options).fit(X, y)
    for stop in (2, 4, 5):

        class Stop(Callback):
            def on_iteration(self, trainer, record, stop=stop):
                return record.iteration + 1 == stop

        path = tmp_path / f"{stop}.npz"
        NewtonTrainer(network_of(700), max_iter=7, callbacks=[Checkpoint(path), Stop()], **options).fit(X, y)
        trainer = NewtonTrainer.from_checkpoint(path)
        resumed = trainer.fit(X, y)
        assert trainer.network.digest() == whole.digest()
        assert [record.rmse for record in resumed.history] == [record.rmse for record in result.history]


@given(st.integers(0, 5), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_fired_pairs(k, n, seed, dtype):
    products = np.random.default_rng(seed).integers(-2, 3, (k, n)).astype(dtype)  # with ties
    (indptr, samples), z = fired_pairs(products, 1.0)
    rows = np.repeat(np.arange(k), np.diff(indptr))
    assert np.array_equal(np.argwhere(products > 1.0), np.column_stack([rows, samples]))
    assert np.array_equal(z, products[products > 1.0])
    assert (indptr.dtype, samples.dtype, z.dtype) == (np.int64, np.int32, dtype)


# ---------------------------------------------------------------------- sketches


@pytest.mark.parametrize("length", [1, 2, 32, 64, 128, 4096])
def test_hadamard_transform(length):
    rows = np.random.default_rng(0).integers(-5, 6, (3, length)).astype(np.float32)
    assert np.array_equal(hadamard_transform(rows), rows @ scipy.linalg.hadamard(length, dtype=np.float32))


@pytest.mark.parametrize("n_neurons", [1, 2, 3, 255, 256, 257])
@pytest.mark.parametrize("sketch_class", SKETCHES)
def test_projecting_is_linear_and_the_same_each_time(sketch_class, n_neurons):
    """Of single neurons the columns have unit length in the mean; of patterns they are the sums."""
    sketch = sketch_class(n_neurons, 64, np.random.default_rng(0))
    with ThreadExecutor(2) as executor:
        of_one = sketch.project(scipy.sparse.eye_array(n_neurons, format="csr", dtype=np.float32), executor)
        fires = pattern(1, n_neurons)
        C = sketch.project(fires, executor)
        assert np.array_equal(C, sketch.project(fires, executor))
    assert C.shape == (40, sketch.size)
    assert np.allclose(C, fires.T @ of_one, rtol=0, atol=1e-5)
    assert np.allclose(np.sum(of_one**2, axis=1), 1.0)


@pytest.mark.parametrize("sketch_class", SKETCHES)
def test_sketches_are_unbiased_and_as_close_as_theory_says(sketch_class):
    """The mean of C C^T is H; entries depart by sqrt(2/size) of the diagonal at most, in root mean square."""
    fires, size = pattern(2), 50
    H = (fires.T @ fires).toarray()
    errors = []
    for seed in range(400):
        C = sketch_class(300, size, np.random.default_rng(seed)).project(fires, InlineExecutor())
        errors.append(C @ C.T - H)
    spread = np.std(errors, axis=0)
    assert spread.max() <= 1.2 * np.sqrt(2 / size) * H.diagonal().max()
    assert np.abs(np.mean(errors, axis=0)).max() <= 5.0 * spread.max() / np.sqrt(400)


@pytest.mark.parametrize("sketch_class", SKETCHES)
def test_a_sketch_preconditions(sketch_class):
    """Eigenvalues of the preconditioned matrix lie in a band that does not grow with the condition number."""
    rng = np.random.default_rng(0)
    fires = pattern(3, 4000, 100, 0.1)
    X = rng.standard_normal((100, 5))
    X[1] = X[0] + 1e-4 * rng.standard_normal(5)  # a condition number of 10^6 and more, but for what fires
    products = X @ X.T
    C = sketch_class(4000, 200, np.random.default_rng(1)).project(fires, InlineExecutor())
    G, sketched = products * (fires.T @ fires).toarray(), products * (C @ C.T)
    values = scipy.linalg.eigh(G, sketched, eigvals_only=True)
    assert values.min() > 0.2
    assert values.max() < 5.0


# ---------------------------------------------------------------------- solving with a sketch


def sketched_gram(G, sketch, **options):
    return SketchedGram(lambda v: G @ v, lambda: np.diag(G).copy(), len(G), lambda executor: sketch, **options)


def spd(seed, n=30):
    A = np.random.default_rng(seed).standard_normal((n, 3 * n))
    return A @ A.T


@pytest.mark.parametrize("c", [0.0, 1e-3, 10.0])
def test_solutions_are_those_of_the_system_however_poor_the_sketch(seed, c):
    G, right = spd(seed), np.random.default_rng(seed + 1).standard_normal(30)
    expected, steps = np.linalg.solve(G + c * np.eye(30), right), []
    with ThreadExecutor(1) as executor:
        for sketch in (G, 1.3 * G, np.eye(30)):
            gram = sketched_gram(G, np.ascontiguousarray(sketch), tol=1e-13)
            gram.refresh(executor)
            assert np.allclose(gram.solve(c, right, executor), expected, rtol=1e-8, atol=1e-10)
            assert gram.n_factorisations == 1
            steps.append(gram.n_cg_steps)
            gram.solve(c, 2 * right, executor)
            assert gram.n_factorisations == 1  # nothing has changed
            gram.solve(c + 1.0, right, executor)
            assert gram.n_factorisations == 2
            gram.refresh(executor)
            gram.solve(c + 1.0, right, executor)
            assert gram.n_factorisations == 3
    assert steps[0] <= 3
    assert steps[0] <= steps[1] < steps[2]


def test_singular_systems_have_no_solution():
    with ThreadExecutor(1) as executor:
        for G in (np.zeros((3, 3)), np.diag([1.0, 0.0, 1.0])):
            gram = sketched_gram(G, G)
            gram.refresh(executor)
            assert gram.solve(0.0, np.ones(3), executor) is None
            assert gram.is_singular(executor)
        gram = sketched_gram(np.eye(3), -np.eye(3))  # a sketch that has no factor
        gram.refresh(executor)
        assert gram.solve(0.0, np.ones(3), executor) is None


# ---------------------------------------------------------------------- gradient descent


def descend(W, signs, shift, X, y, step, momentum, batches):
    """Heavy ball by definition, with float64 throughout: the weights after each step."""
    velocity, weights = np.zeros_like(W), []
    for batch in batches:
        J = reference.dense_jacobian(W, signs, shift, X[batch])
        residual = reference.network_outputs(W, signs, shift, X[batch]) - y[batch]
        velocity = momentum * velocity - step * len(X) / len(batch) * (J.T @ residual).reshape(W.shape)
        W = W + velocity
        weights.append(W)
    return weights


@pytest.mark.parametrize("options", [{}, {"init": "gaussian"}], ids=str)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_on_all_samples_are_those_by_definition(options, momentum, monkeypatch):
    monkeypatch.setattr("sltrees.reference.gradient_descent._PAIRS_PER_BLOCK", 5000)
    X, y = random_problem(9, 30, 4)
    network, seen = network_of(500, **options), WeightsRecorder()
    trainer = GradientDescent(network, momentum=momentum, tol=0.0, max_iter=5, callbacks=[seen])
    result = trainer.fit(X, y)
    W, signs = seen.weights[0], network.dense_weights()[1]
    J = reference.dense_jacobian(W, signs, network.shift_, X)
    assert 1.0 / np.linalg.norm(J @ J.T, 2) <= trainer.step_size_ <= 1.02 / np.linalg.norm(J @ J.T, 2)
    expected = descend(W, signs, network.shift_, X, y, trainer.step_size_, momentum, [np.arange(30)] * 5)
    assert np.allclose(seen.weights[1:], expected, rtol=0, atol=1e-12)
    assert result.rmse == pytest.approx(np.sqrt(np.mean((network.predict(X) - y) ** 2)), rel=1e-10)
    rmse = [record.rmse for record in result.history] + [result.rmse]
    assert rmse[0] == pytest.approx(np.sqrt(np.mean((reference.network_outputs(W, signs, network.shift_, X) - y) ** 2)))
    assert all(record.loss == pytest.approx(15 * record.rmse**2) for record in result.history)
    if not momentum:
        assert rmse == sorted(rmse, reverse=True)


@pytest.mark.parametrize("batch_size", [1, 7, 29, 30, 31])
def test_a_pass_in_batches_takes_every_sample_once(batch_size):
    X, y = random_problem(9, 30, 4)
    network, seen = network_of(400), WeightsRecorder()
    trainer = GradientDescent(
        network, momentum=0.5, batch_size=batch_size, tol=0.0, max_iter=2, random_state=5, callbacks=[seen]
    )
    result = trainer.fit(X, y)
    W, signs = seen.weights[0], network.dense_weights()[1]
    batches = [np.arange(30)] * 2
    if batch_size < 30:
        stream = np.random.Generator(np.random.SFC64(np.random.SeedSequence(5)))
        orders = [stream.permutation(30) for _ in range(2)]
        batches = [order[start : start + batch_size] for order in orders for start in range(0, 30, batch_size)]
    expected = descend(W, signs, network.shift_, X, y, trainer.step_size_, 0.5, batches)
    assert np.allclose(seen.weights[-1], expected[-1], rtol=0, atol=1e-12)
    assert result.n_iter == 2
    assert {record.visited_neurons for record in result.history} == {400}


def test_the_same_seed_gives_the_same_weights_whatever_the_threads():
    X, y = random_problem(10, 64, 5)
    seen = set()
    for executor, n_threads in (("inline", None), ("threads", 1), ("threads", 3)):
        network = network_of(4000, dtype="float32")
        GradientDescent(network, batch_size=10, momentum=0.9, max_iter=3, executor=executor, n_threads=n_threads).fit(
            X, y
        )
        seen.add(network.digest())
    assert len(seen) == 1
    other = network_of(4000, dtype="float32")
    GradientDescent(other, batch_size=10, momentum=0.9, max_iter=3, random_state=1).fit(X, y)
    assert other.digest() not in seen


def test_it_converges_stops_and_goes_on():
    X, y = random_problem(11, 30, 6)
    network = network_of(4000)
    assert GradientDescent(network, tol=1e-2).fit(X, y).status == "converged"
    digest = network.digest()
    again = GradientDescent(network, tol=1e-2).fit(X, y)
    assert (again.status, again.n_iter) == ("converged", 0)
    assert network.digest() == digest
    assert GradientDescent(network, tol=0.0, max_iter=3).fit(X, y).status == "max_iter"

    class Stop(Callback):
        def on_iteration(self, trainer, record):
            return record.iteration == 1

    assert GradientDescent(network, tol=0.0, callbacks=[Stop()]).fit(X, y).n_iter == 2


def test_what_diverges_leaves_a_finite_network():
    X, y = random_problem(11, 30, 6)
    network = network_of(200, shift=0.0, dtype="float32")
    GradientDescent(network, max_iter=2).fit(X, y)
    before = network.digest()
    result = GradientDescent(network, learning_rate=1e39).fit(X, 1e3 * y)
    assert (result.status, result.n_iter) == ("stalled", 0)
    assert "lower learning rate" in result.message
    assert network.digest() == before
    assert np.sqrt(np.mean((network.predict(X) - 1e3 * y) ** 2)) == pytest.approx(result.rmse, rel=1e-4)


@pytest.mark.parametrize("where", ["on_setup", "on_iteration"])
def test_ctrl_c_leaves_the_last_iteration(where):
    X, y = random_problem(12, 30, 5)
    network = network_of(2**15)

    class Press(Callback):
        def on_setup(self, trainer, done, total):
            if where == "on_setup":
                os.kill(os.getpid(), signal.SIGINT)

        def on_iteration(self, trainer, record):
            if where == "on_iteration" and record.iteration == 2:
                os.kill(os.getpid(), signal.SIGINT)

    result = GradientDescent(network, tol=0.0, callbacks=[Press()]).fit(X, y)
    assert result.status == "interrupted"
    assert (network.shift_ is None) == (where == "on_setup")
    if where == "on_iteration":
        expected = network_of(2**15)
        GradientDescent(expected, tol=0.0, max_iter=3).fit(X, y)
        assert network.digest() == expected.digest()
        assert result.rmse == pytest.approx(np.sqrt(np.mean((network.predict(X) - y) ** 2)), rel=1e-8)
    assert GradientDescent(network, tol=0.0, max_iter=1).fit(X, y).n_iter == 1


def test_samples_that_fire_nothing_leave_everything_as_it_is():
    network = network_of(100, shift=50.0)
    with pytest.warns(UserWarning, match="shift lowered"):
        result = GradientDescent(network, max_iter=2).fit(np.zeros((3, 2)), np.ones(3))
    assert (result.status, result.rmse) == ("max_iter", 1.0)
    assert not network.displacement_.any()


BAD = [
    ({"network": "a network"}, TypeError, "network must be a ShiftedReLUNetwork, got str"),
    ({"learning_rate": -1.0}, ValueError, "learning_rate"),
    ({"learning_rate": np.nan}, ValueError, "learning_rate"),
    ({"momentum": 1.0}, ValueError, "momentum must be below 1, got 1.0"),
    ({"batch_size": 0}, ValueError, "batch_size"),
    ({"tol": -1}, ValueError, "tol"),
    ({"max_iter": 1.5}, (TypeError, ValueError), "max_iter"),
    ({"executor": "cloud"}, ValueError, "executor"),
    ({"callbacks": [Checkpoint("run.npz")]}, ValueError, "must have no Checkpoint"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD, ids=[case[2] for case in BAD])
def test_bad_parameters_are_named(options, error, message):
    with pytest.raises(error, match=message):
        GradientDescent(**{"network": network_of()} | options)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.full((3, 2), np.nan), np.zeros(3), "X"),
        (np.zeros((3, 2)), np.zeros(4), "y"),
        (np.zeros((3, 2)), np.array([0.0, np.inf, 0.0]), "y"),
        (np.zeros(3), np.zeros(3), "X"),
        (np.zeros((3, 2)), np.full(3, 1e200), r"sum of y\*\*2 must be finite"),
    ],
)
def test_bad_data_change_nothing(X, y, message):
    network = network_of()
    with pytest.raises(ValueError, match=message):
        GradientDescent(network).fit(X, y)
    assert network.shift_ is None


def test_too_little_memory_is_refused():
    network = network_of(10**8)
    with pytest.raises(MemoryError, match="needs"):
        GradientDescent(network, max_memory=1e9).fit(np.eye(3), np.ones(3))
    assert network.shift_ is None
