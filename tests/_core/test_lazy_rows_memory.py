"""The bytes that docs/background/how_it_stays_sublinear.md states are those held."""

import copy

import numpy as np
import pytest
from problems import random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback
from sltrees.execution.threads import ThreadExecutor
from sltrees.methods.certified.method import CertifiedMethod
from sltrees.network.hyperplanes import Hyperplanes

N, D = 50, 6
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


class RowsWatcher(Callback):
    """For each step kept: lists rebuilt in it, bytes of active lists if no step before rebuilt any, pairs that fire."""

    def __init__(self, resumed=False):
        self.resumed = resumed
        self.seen = []

    def on_iteration(self, trainer, record):
        (shard,) = trainer.network.state.method.group.shards
        if record.accepted:
            left = active_bytes(shard.rows, record.rebuilt_lists, self.resumed)
            self.seen.append((record.rebuilt_lists, left, shard.rows.n_fired))


def fired_of_each(rows):
    return np.diff(rows.pattern[0])


def tree_bytes(k):
    """Leaves, and the levels above them, each in whole blocks of 8 until one fits into a block."""
    blocks = max(1, -(-k // 8))
    return 64 * blocks + (tree_bytes(blocks) if blocks > 1 else 0)


def active_bytes(rows, n_rebuilt, resumed):
    """What `nbytes` leaves for active lists when all other lines of the table are subtracted."""
    k, z = len(rows.failure_times), rows.dtype.itemsize
    stride = 64 // z * -(-D * z // 64)
    others = 64 * k + rows.failure_times.nbytes + (4 + z) * rows.n_near + z * stride * (n_rebuilt + resumed * k)
    return rows.nbytes - others


@DTYPES
@pytest.mark.parametrize("init", ["paired", "gaussian"])
def test_bytes_at_first_are_those_of_the_table(dtype, init):
    X, _ = random_problem(0, N, D)
    network = ShiftedReLUNetwork(2**11, shift=1.5, dtype=dtype, init=init, random_state=0)
    planes = Hyperplanes(X.astype(dtype), 1.5)
    with ThreadExecutor(1) as executor:
        method = CertifiedMethod.set_up(network, planes, np.ones(N), executor, lambda stage: None, ridge=False)
        z, held = np.dtype(dtype).itemsize, 0
        for shard in method.group.shards:
            n_fired = fired_of_each(shard.rows)
            assert active_bytes(shard.rows, 0, False) == (4 + z) * (n_fired + n_fired // 2 + 2).sum()
            # where the tree keeps its levels is its own affair: a line each at most
            assert abs(shard.rows.failure_times.nbytes - tree_bytes(n_fired.size)) <= 64 * 6
            held += shard.rows.nbytes
        initial = network.neurons_.size // network.copies * D * z
        numbers = network.neurons_.size // network.copies * 8
        assert method.bytes_resident == held + initial + numbers


@DTYPES
def test_bytes_of_a_trained_network_are_those_of_the_table(dtype):
    X, y = random_problem(1, N, D)
    network = ShiftedReLUNetwork(2**11, shift=1.5, dtype=dtype, random_state=0)
    z = np.dtype(dtype).itemsize
    for resumed in (False, True):
        watcher = RowsWatcher(resumed)
        # targets so small that no list is rebuilt, and other ones the second time
        NewtonTrainer(network, tol=0.0, max_iter=3, callbacks=[watcher]).fit(X, (1e-3 if resumed else 2e-3) * y)
        network = copy.copy(network)  # what is copied is written down: training begins anew from there
        assert watcher.seen
        for n_rebuilt, left, n_fired in watcher.seen:
            assert n_rebuilt == 0
            entries, rest = divmod(left, 4 + z)
            # half as much room again, and two a row; a list that outgrows its room leaves a hole
            assert rest == 0
            assert n_fired <= entries <= 2 * n_fired + 4 * network.neurons_.size


@DTYPES
def test_rebuilt_lists_hold_a_centre_each(dtype):
    X, y = random_problem(2, N, D)
    network = ShiftedReLUNetwork(2**11, shift=1.5, dtype=dtype, random_state=0)
    watcher = RowsWatcher()
    NewtonTrainer(network, max_iter=10, callbacks=[watcher]).fit(X, 1e3 * y)
    n_rebuilt, left, n_fired = watcher.seen[0]
    assert n_rebuilt > 0.9 * network.neurons_.size
    entries, rest = divmod(left, 4 + np.dtype(dtype).itemsize)
    assert rest == 0
    assert entries >= n_fired
