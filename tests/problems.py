"""Small training problems, callbacks that watch a run, and memory that it takes."""

import re
import tracemalloc

import numpy as np
import pytest

from sltrees.callbacks import Callback


def unit_rows(rng, n, d):
    """n points on the unit sphere of R^d."""
    X = rng.standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def random_problem(seed, n, d):
    """Points on the sphere with targets that a network has to memorise."""
    rng = np.random.default_rng(seed)
    return unit_rows(rng, n, d), rng.standard_normal(n)


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


def bytes_named(call):
    """The bytes that the MemoryError of a call says are needed."""
    with pytest.raises(MemoryError, match=r"needs [\d,]+ bytes, max_memory allows") as caught:
        call()
    return int(re.search(r"needs ([\d,]+) bytes", str(caught.value))[1].replace(",", ""))


def peak_bytes(call):
    """The most memory that is allocated in a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
