"""The demonstration on the shipped digits, apart from how it is printed."""

from __future__ import annotations

import time

import numpy as np

from sltrees._memory import peak_rss_bytes
from sltrees.datasets.parity import digits_parity
from sltrees.training.trainer import NewtonTrainer


def run_demo(network, **options):
    """Train a network on the parity of digits and measure it.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    **options
        Of `NewtonTrainer`.

    Returns
    -------
    dict
        JSON-serialisable; seconds are wall-clock, of training without the loading of the data.
    """
    X, y, X_test, y_test = digits_parity()
    trainer = NewtonTrainer(network, **options)
    began = time.perf_counter()
    result = trainer.fit(X, y)
    seconds = time.perf_counter() - began
    drawn = network.shift_ is not None
    accuracy = None
    if drawn:  # not where set-up was interrupted
        guess = np.where(network.predict(X_test, n_threads=trainer.n_threads) >= 0, 1.0, -1.0)
        accuracy = float(np.mean(guess == y_test))
    fired = _mean([record.fired_pairs for record in result.history])
    return {
        "rmse": result.rmse if np.isfinite(result.rmse) else None,
        "n_iter": result.n_iter,
        "test_accuracy": accuracy,
        "seconds": seconds,
        "seconds_setup": result.seconds_setup,
        "peak_rss_bytes": peak_rss_bytes(),
        "width": network.width,
        "shift": network.shift_,
        "sampling": network.sampling_ if drawn else None,
        "status": str(result.status),
        "message": result.message,
        "method": trainer.method,
        "dtype": network.dtype.name,
        "n_samples": len(X),
        "n_test": len(X_test),
        "n_features": X.shape[1],
        "materialised": network.state.neurons.n_neurons if drawn else None,
        "fired_share": None if fired is None else fired / (network.width * len(X)),
        "fired_pairs_mean": fired,
        "visited_neurons_mean": _mean([record.visited_neurons for record in result.history]),
        "history": [_as_dict(record) for record in result.history],
    }


def _mean(numbers):
    return float(np.mean(numbers)) if numbers else None


def _as_dict(record):
    # JSON has no NaN
    return {key: None if isinstance(value, float) and value != value else value for key, value in vars(record).items()}
