"""Samples: what tells them apart is found once, and which of them are new."""

import hashlib

import numpy as np
import pytest
from problems import random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Checkpoint
from sltrees.network import samples as module
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.samples import Samples, as_samples, fingerprint_of, samples_for

X, Y = random_problem(0, 40, 5)


def test_fingerprints_tell_numbers_shapes_and_weights_apart():
    A, w = np.arange(6.0).reshape(2, 3), np.ones(2)
    samples = Samples(A)
    others = [fingerprint_of(B) for B in (A + 1, A.reshape(3, 2), A.ravel(), A[:1], A.astype(np.float32))]
    others += [samples.fingerprint_with(w), samples.fingerprint_with(2 * w)]
    assert samples.fingerprint == samples.fingerprint_with(None) == fingerprint_of(A.copy()) == fingerprint_of(samples)
    assert len({samples.fingerprint, *others}) == 8
    # as files have them
    assert samples.fingerprint == ((2, 3), hashlib.sha256(A.tobytes()).hexdigest())
    assert samples.fingerprint_with(w) == ((2, 3), hashlib.sha256(A.tobytes() + w.tobytes()).hexdigest())
    assert samples.first(2) is samples
    assert samples.first(1).fingerprint == fingerprint_of(A[:1])


def test_unseen_rows_come_behind_those_that_were_seen():
    A, B = np.arange(6.0).reshape(3, 2), np.array([[4.0, 5.0], [7.0, 7.0], [0.0, 1.0]])
    assert Samples(A).behind(A[:2]) is A  # they begin with what was seen
    assert np.array_equal(Samples(A).behind(A), A)
    assert np.array_equal(Samples(B).behind(A), [*A, [7.0, 7.0]])
    assert np.array_equal(Samples(A[::-1].copy()).behind(A), A)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_samples_are_a_copy_in_the_dtype_of_the_network(dtype):
    A = np.array([[-0.0, 1.0], [2.0, -3.0]], dtype=dtype)
    network = ShiftedReLUNetwork(10, dtype=dtype)
    found = samples_for(network, A).X
    assert found.dtype == dtype
    assert not np.shares_memory(found, A)
    assert np.array_equal(found, A)
    assert not np.signbit(found[0, 0])
    with pytest.raises(ValueError, match=r"Z must have 3 columns"):
        samples_for(network, A, "Z", 3)
    network.initialize(A)
    with pytest.raises(ValueError, match="X must have 2 columns"):
        samples_for(network, np.ones((2, 3)), n_columns=3)


def test_squared_norms_must_be_finite():
    with pytest.raises(ValueError, match=r"squared norms of the rows of X must be finite in float32, got inf in row 1"):
        as_samples([[1.0, 1.0], [3e20, 0.0]], "X", np.dtype("float32"))
    assert as_samples([[1.0, 1.0], [3e20, 0.0]], "X", np.dtype("float64"))[1, 0] == 3e20


@pytest.mark.parametrize("method", ["certified", "trees", "dense"])
def test_a_run_hashes_its_samples_once(method, tmp_path, monkeypatch):
    hashed = []

    class Hashlib:
        @staticmethod
        def sha256(data):
            hashed.append(bytes(data))
            return hashlib.sha256(data)

    monkeypatch.setattr(module, "hashlib", Hashlib)
    network = ShiftedReLUNetwork(2000, shift=1.0, dtype="float64", random_state=0)
    trainer = NewtonTrainer(network, method=method, max_iter=2, callbacks=[Checkpoint(tmp_path / "run.npz")])
    for _ in range(2):
        trainer.fit(X, Y)
        assert hashed.count(X.tobytes()) == 1
        hashed.clear()


def test_hyperplanes_have_the_samples_that_they_were_made_of():
    samples = Samples(X)
    planes = Hyperplanes(samples, 1.0)
    assert planes.samples is samples
    assert planes.X is X
    assert Hyperplanes(X, 1.0).samples.fingerprint == samples.fingerprint
