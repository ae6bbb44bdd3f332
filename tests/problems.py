"""Small training problems, and callbacks that watch a run."""

import numpy as np

from sltrees import load_digits
from sltrees.callbacks import Callback
from sltrees.preprocessing import InputScaling


def unit_rows(rng, n, d):
    """n points on the unit sphere of R^d."""
    X = rng.standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def random_problem(seed, n, d):
    """Points on the sphere with targets that a network has to memorise."""
    rng = np.random.default_rng(seed)
    return unit_rows(rng, n, d), rng.standard_normal(n)


def digits_parity():
    """1,000 digits to train on and 797 to test with, unit rows without a bias, targets -1 for odd and +1 for even.

    Shuffled: the file is in order of writers, and the last of them write differently.
    """
    X, digit = load_digits()
    order = np.random.default_rng(0).permutation(len(X))
    X, digit = X[order], digit[order]
    X = InputScaling(bias=0.0).fit(X[:1000]).transform(X)
    y = np.where(digit % 2 == 0, 1.0, -1.0)
    return X[:1000], y[:1000], X[1000:], y[1000:]


class WeightsRecorder(Callback):
    """All weights and displacements, before the first iteration and after each one."""

    def __init__(self):
        self.weights = []
        self.displacements = []

    def on_start(self, trainer):
        self._take(trainer)

    def on_iteration(self, trainer, record):
        self._take(trainer)

    def _take(self, trainer):
        self.weights.append(trainer.network.dense_weights()[0])
        self.displacements.append(trainer.network.displacement_.copy())


def losses(result):
    """The loss before each step, and at the end."""
    return np.array([record.loss for record in result.history] + [result.loss])
