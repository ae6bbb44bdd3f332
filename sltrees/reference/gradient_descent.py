"""First-order training of a `ShiftedReLUNetwork`: full-batch gradient descent, and minibatches with momentum."""

from __future__ import annotations

import time
import typing

import numpy as np

from sltrees._core._jacobian import add_outputs, count_flips, shrink_and_step
from sltrees._memory import array_bytes
from sltrees._validation import as_choice, as_integer, as_max_memory, as_non_negative, as_targets
from sltrees.callbacks import Checkpoint, PrintProgress, as_callbacks
from sltrees.cluster.choose import LOCAL_EXECUTORS, make_executor
from sltrees.methods.all_neurons import AllNeurons
from sltrees.methods.dense import fired_pairs, gram_product
from sltrees.network.drawing import draw, shift_for
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.memory import bytes_needed, refuse_too_large
from sltrees.network.network import ShiftedReLUNetwork
from sltrees.network.random_streams import generator
from sltrees.network.samples import samples_for
from sltrees.network.use import claim, move_to
from sltrees.records import MESSAGES, IterationRecord, TrainingResult, TrainingStatus

_PAIRS_PER_BLOCK = 1 << 20  # products of a block: they stay in cache, and a task takes some 10 ms
_POWER_STEPS = 20  # products with G that estimate |G|

DIVERGED = "weights overflowed; the network is that of the iteration before: try a lower learning rate"


class GradientDescent:
    """Train a `ShiftedReLUNetwork` by first-order steps on |f - y|^2/2, looking at all m neurons in each.

    A measure for `NewtonTrainer`: the same network and loss, the same records, an iteration being one pass over the
    samples.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        Trained in place. One that was trained before goes on from where it is.
    learning_rate : float, default 1.0
        In units of 1/|G|, with G the Gram matrix when `fit` begins and |G| from 20 steps of the power method: well
        below 2, gradient descent descends while the network is linear in its weights. With minibatches
        |G| + (n / batch_size) max_i G_ii takes the place of |G|, a bound on what a batch may see.
    momentum : float, default 0.0
        In [0, 1): heavy ball.
    batch_size : int, optional
        Samples in a step; by default all.
    tol : float, default 1e-6
        Training stops when the training RMSE, at the end of an iteration, is at most `tol`.
    max_iter : int, default 1000
        Passes over the samples at most.
    random_state : int, optional
        Of the order of the samples; by default that of the network.
    n_threads, executor, max_memory, callbacks, verbose
        As of `NewtonTrainer`; no `Checkpoint` among the callbacks.

    Attributes
    ----------
    n_samples_ : int
        n, once `fit` was called.
    step_size_ : float
        The step on the gradient, likewise.

    Raises
    ------
    TypeError, ValueError
        If a parameter breaks its rule.

    Notes
    -----
    Cost: O(m n d) for an iteration, and with minibatches as much again to see where training stands. Memory: O(m d).

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964: the heavy ball.

    Examples
    --------
    >>> network = ShiftedReLUNetwork(2000, random_state=0)
    >>> result = GradientDescent(network, tol=1e-2).fit(np.eye(5), np.arange(5.0))
    >>> result.status
    'converged'
    """

    n_validation_samples_ = 0  # what callbacks may ask of a trainer

    def __init__(
        self,
        network,
        *,
        learning_rate=1.0,
        momentum=0.0,
        batch_size=None,
        tol=1e-6,
        max_iter=1000,
        random_state=None,
        n_threads=None,
        executor="threads",
        max_memory=None,
        callbacks=(),
        verbose=0,
    ):
        if not isinstance(network, ShiftedReLUNetwork):
            raise TypeError(f"network must be a ShiftedReLUNetwork, got {type(network).__name__}")
        self.network = network
        self.learning_rate = as_non_negative(learning_rate, "learning_rate")
        self.momentum = as_non_negative(momentum, "momentum")
        if not self.momentum < 1.0:
            raise ValueError(f"momentum must be below 1, got {momentum!r}")
        self.batch_size = None if batch_size is None else as_integer(batch_size, "batch_size", minimum=1)
        self.tol = as_non_negative(tol, "tol")
        self.max_iter = as_integer(max_iter, "max_iter", minimum=0)
        self.random_state = None if random_state is None else as_integer(random_state, "random_state", minimum=0)
        self.n_threads = None if n_threads is None else as_integer(n_threads, "n_threads", minimum=1)
        self.executor = as_choice(executor, "executor", LOCAL_EXECUTORS)
        self.max_memory = as_max_memory(max_memory)
        self.callbacks = as_callbacks(callbacks)
        if any(isinstance(callback, Checkpoint) for callback in self.callbacks):
            raise ValueError("callbacks must have no Checkpoint: only runs of NewtonTrainer can be resumed")
        self.verbose = as_integer(verbose, "verbose", minimum=0)

    def fit(self, X, y):
        """Train on samples X and targets y.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Finite.
        y : array_like of shape (n,)
            Finite.

        Returns
        -------
        TrainingResult
            Of its records `damping` is 0, and every iteration is accepted: the loss may rise. Training that overflows
            ends as "stalled", with the network of the iteration before.

        Raises
        ------
        TypeError, ValueError
            If X or y break their rule.
        MemoryError
            If more than `max_memory` bytes are expected to be needed. The network is as it was after any of these.
        RuntimeError
            If the network is being trained by somebody else.

        Notes
        -----
        Ctrl-C leaves the network as it was after the last iteration.
        """
        network = self.network
        samples = samples_for(network, X)
        y = as_targets(y, "y", len(samples))
        executor = make_executor(self.executor, self.n_threads)
        try:
            claim(network, executor)
            with executor:
                result = _Descent(self, samples, y, executor).fit()
        finally:
            if network.in_training is executor:
                network.in_training = False  # by no call, see `claim`
        for callback in self._all_callbacks():
            callback.on_end(self, result)
        return result

    def _all_callbacks(self):
        return self.callbacks + ((PrintProgress(),) if self.verbose else ())


class _Look(typing.NamedTuple):
    """What a forward pass over some samples found."""

    outputs: np.ndarray  # (n,) f
    patterns: list  # CSR pairs, one for each block


class _Descent:
    """One call of `fit`."""

    def __init__(self, trainer, samples, y, executor):
        self.trainer, self.samples, self.X, self.y, self.executor = trainer, samples, samples.X, y, executor
        self.history, self.started, self.seconds_setup = [], time.perf_counter(), 0.0
        self.rmse = float("nan")

    def fit(self):
        status, message = TrainingStatus.INTERRUPTED, None
        try:
            self.set_up()
            status, message = self.iterate()
        except KeyboardInterrupt:  # every iteration is given to the network in one statement
            pass
        rmse = self.rmse
        return TrainingResult(
            status=status,
            message=MESSAGES[status] if message is None else message,
            n_iter=len(self.history),
            rmse=rmse,
            loss=0.5 * len(self.y) * rmse**2,
            validation_rmse=float("nan"),
            best_iteration=None,
            history=self.history,
            seconds_setup=self.seconds_setup,
            seconds=time.perf_counter() - self.started,
        )

    def set_up(self):
        """Draw the network, and choose the step. Sets: all that iterations need."""
        trainer, network, (n, d) = self.trainer, self.trainer.network, self.X.shape
        move_to(network, self.executor)
        planes = Hyperplanes(self.samples, shift_for(network, self.X))
        pairs = 2 * (4 + network.dtype.itemsize) * network.width * float(planes.firing.sum())
        weights = array_bytes(6, network.width, d, dtype=network.dtype)
        needed = bytes_needed(network, planes, trainer.n_threads) + weights + pairs + 64 * _PAIRS_PER_BLOCK
        refuse_too_large(network, needed, self.X, trainer.max_memory)

        def progress(done, total):
            for callback in trainer._all_callbacks():
                callback.on_setup(trainer, done, total)

        network.state = draw(network, planes, None, self.executor, progress).state
        self.all = AllNeurons(network)
        self.shift, self.scale = network.shift_, 1.0 / np.sqrt(network.width)
        self.displacement, self.velocity = self.all.displacement, np.zeros_like(self.all.displacement)
        self.batch = n if trainer.batch_size is None else min(trainer.batch_size, n)
        self.blocks, self.batch_blocks = (self.all.blocks(_PAIRS_PER_BLOCK // count) for count in (n, self.batch))
        seed = trainer.random_state
        self.order = generator(network.streams.of_sketch() if seed is None else np.random.SeedSequence(seed))
        self.look = self.forward(self.displacement, self.X, self.blocks)
        trainer.step_size_ = trainer.learning_rate / (self.curvature() or 1.0)  # G = 0: nothing will move
        trainer.n_samples_ = n
        self.rmse = self.rmse_of(self.look)
        self.seconds_setup = time.perf_counter() - self.started
        for callback in trainer._all_callbacks():
            callback.on_start(trainer)

    def curvature(self):
        """|G|, or a bound on what minibatches see of it, from the pairs that fire now. Cost: O(fired pairs d)."""
        X, n = self.X.astype(np.float64), len(self.X)
        v = np.ones(n)
        norm = 0.0
        for _ in range(_POWER_STEPS):
            length = float(np.sqrt(v @ v))
            if not 0 < length < np.inf:
                break
            v = v / length
            product = self.gram_product(X, v)
            norm, v = max(norm, float(v @ product)), product
        if self.batch == n:
            return norm
        fired = sum(np.bincount(samples, minlength=n) for _, samples in self.look.patterns)
        return norm + n / self.batch * float(np.max(fired * np.einsum("ij,ij->i", X, X))) * self.scale**2

    def gram_product(self, X, v):
        """G v with the patterns of `look`."""

        def product(part):
            draws, pattern = part
            return gram_product(pattern, self.all.signs[self.all.neurons_of(draws)], X, v, self.scale)

        parts = zip(self.blocks, self.look.patterns, strict=True)
        return sum(self.executor.map(product, parts), np.zeros(len(X))) * self.scale

    def forward(self, displacement, X, blocks):
        """All neurons, in blocks, on some samples. Cost: O(m len(X) d)."""
        everyone = self.all

        def look(draws):
            neurons = everyone.neurons_of(draws)
            weights = np.repeat(everyone.initial[draws], everyone.copies, axis=0)
            weights += displacement[neurons]
            with _quiet():
                pattern, z = fired_pairs(weights @ X.T, self.shift)
            out = np.zeros(len(X))
            add_outputs(*pattern, z, everyone.signs[neurons], self.shift, out)
            return out, pattern

        found = self.executor.map(look, blocks)
        outputs = sum((out for out, _ in found), np.zeros(len(X))) * self.scale
        return _Look(outputs, [pattern for _, pattern in found])

    def backward(self, look, blocks, X, residual, displacement, velocity):
        """velocity <- momentum velocity - step J^T residual; displacement <- displacement + velocity. In place."""
        everyone, trainer = self.all, self.trainer
        g = trainer.step_size_ * (len(self.X) / len(X)) * residual

        def move(part):
            draws, pattern = part
            neurons = everyone.neurons_of(draws)
            fire = np.diff(pattern[0]) > 0
            rows = np.arange(len(fire)) if trainer.momentum else np.flatnonzero(fire)
            signs, steps = everyone.signs[neurons], velocity[neurons]
            shrink_and_step(*pattern, signs, g, X, trainer.momentum, self.scale, rows, steps)
            with _quiet():
                displacement[neurons][rows] += steps[rows]

        self.executor.map(move, zip(blocks, look.patterns, strict=True))

    def iterate(self):
        """Passes over the samples; returns status and message."""
        trainer, n = self.trainer, len(self.X)
        for iteration in range(trainer.max_iter):
            if self.rmse <= trainer.tol:
                return TrainingStatus.CONVERGED, None
            began = time.perf_counter()
            # copies, so that Ctrl-C finds the network of the last iteration
            displacement, velocity = self.displacement.copy(), self.velocity.copy()
            if self.batch == n:
                self.backward(self.look, self.blocks, self.X, self.look.outputs - self.y, displacement, velocity)
            else:
                self.minibatches(displacement, velocity)
            moved = time.perf_counter()
            look = self.forward(displacement, self.X, self.blocks)
            rmse = self.rmse_of(look)
            with _quiet():  # a neuron at infinity fires on nothing: outputs do not tell
                finite = np.isfinite(rmse) and np.isfinite(displacement.sum(dtype=np.float64))
            if not finite:
                return TrainingStatus.STALLED, DIVERGED
            self.record(iteration, look, moved - began, time.perf_counter() - moved)
            self.all.give_back(displacement)
            self.displacement, self.velocity, self.look, self.rmse = displacement, velocity, look, rmse
            asked = [callback.on_iteration(trainer, self.history[-1]) for callback in trainer._all_callbacks()]
            if any(asked):
                return TrainingStatus.STOPPED, None
        return TrainingStatus.CONVERGED if self.rmse <= trainer.tol else TrainingStatus.MAX_ITER, None

    def minibatches(self, displacement, velocity):
        """One pass over the samples in a random order, batch by batch."""
        order = self.order.permutation(len(self.X))
        for start in range(0, len(order), self.batch):
            samples = order[start : start + self.batch]
            X = np.ascontiguousarray(self.X[samples])
            look = self.forward(displacement, X, self.batch_blocks)
            self.backward(look, self.batch_blocks, X, look.outputs - self.y[samples], displacement, velocity)

    def rmse_of(self, look):
        with _quiet():
            return float(np.sqrt(np.mean((look.outputs - self.y) ** 2)))

    def record(self, iteration, look, step_seconds, outputs_seconds):
        """The iteration that led from `self.look` to `look` is over. Sets: history."""
        width = len(self.all.signs)
        pairs = zip(self.look.patterns, look.patterns, strict=True)
        self.history.append(
            IterationRecord(
                iteration=iteration,
                rmse=self.rmse,
                loss=0.5 * len(self.y) * self.rmse**2,
                validation_rmse=float("nan"),
                damping=0.0,
                accepted=True,
                gain_ratio=float("nan"),
                fired_pairs=sum(samples.size for _, samples in self.look.patterns),
                reported_neurons=width,
                cleared_neurons=0,
                visited_neurons=width,
                candidates=width * len(self.X),
                flips=sum(count_flips(*before, *after) for before, after in pairs),
                rebuilt_lists=0,
                cg_steps=0,
                refactorings=0,
                bytes_resident=self.all.initial.nbytes + 4 * self.displacement.nbytes,
                seconds={"gram": 0.0, "solve": 0.0, "step": step_seconds, "outputs": outputs_seconds},
                seconds_elapsed=time.perf_counter() - self.started,
            )
        )


def _quiet():
    """Where training diverges, and its caller looks at the result. Threads do not inherit it."""
    return np.errstate(over="ignore", invalid="ignore")
