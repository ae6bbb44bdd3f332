"""The ridge towards the initial weights: its unit, and its choice by errors of samples left out."""

from __future__ import annotations

import numpy as np

from sltrees.linalg.leave_one_out import ALPHAS, RidgeProblem
from sltrees.network.neurons import initial_trace


def has_ridge(alpha):
    """Whether there may be a ridge: alpha is "loo" or above 0.

    Examples
    --------
    >>> has_ridge("loo"), has_ridge(0.0)
    (True, False)
    """
    return alpha == "loo" or alpha > 0


def unit_of_ridge(network, samples, objective, trace, executor, n_samples_before=0):
    """The unit of alpha and damping: trace(G)/n when the network was first trained on the samples.

    It is kept with the network, so that training on the same samples goes on with the same loss. Where samples joined,
    G is that of W(0) for them, as it would have been had all been there from the start.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        Drawn for the samples.
    samples : Samples
    objective : SquaredError or LossOfOutputs
    trace : float
        Of G, scaled by the weights of the samples, where training begins.
    executor : ThreadExecutor
    n_samples_before : int, default 0
        So many samples, the first ones, were trained on before others joined; 0: none did.

    Returns
    -------
    float
        Above 0.

    Notes
    -----
    Cost: O(n d), and where samples joined O(k q d) for q of them.
    """
    scales, n = network.state.scales, n_samples_before

    def fingerprint_of(n):
        return samples.first(n).fingerprint_with(objective.first_weights(n))

    fingerprint, before = fingerprint_of(len(samples)), scales.get(fingerprint_of(n)) if n else None
    if fingerprint not in scales:
        if before is not None:
            weights = np.broadcast_to(objective.weights, len(samples))
            joined = initial_trace(network, samples.X[n:], weights[n:], executor)
            trace = before * weights[:n].sum() + joined
        scales = scales | {fingerprint: float(trace / objective.total_weight)}
        network.state = network.state.changed(scales=scales)
    return scales[fingerprint] or 1.0  # G = 0: nothing fires, and any unit will do


def alpha_left_out(kernel, targets, executor, weights=None, observations=None):
    """The ridge of `ALPHAS` with the smallest leave-one-out error of a network linearised where it stands.

    Parameters
    ----------
    kernel : ndarray of shape (n, n)
        G there.
    targets : ndarray of shape (n, C)
        What the linear model is to learn from displacements of 0: y - f + J D.
    executor : ThreadExecutor
    weights : ndarray of shape (n,), optional
        Of the samples.
    observations : sltrees.linalg.leave_one_out.Observations, optional
        Of which the samples are merged, with targets likewise.

    Returns
    -------
    float
        In units of trace(G)/n.

    Notes
    -----
    Cost: O(n^3), on one thread.

    Examples
    --------
    >>> from sltrees.execution.inline import InlineExecutor
    >>> with InlineExecutor() as executor:
    ...     alpha_left_out(np.eye(4), np.ones((4, 1)), executor) in ALPHAS
    True
    """
    return executor.run(
        lambda: RidgeProblem(kernel, targets, weights=weights, observations=observations).choose(ALPHAS)
    )
