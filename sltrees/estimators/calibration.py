"""Probabilities of classes from the outputs of a model: a softmax whose temperature is learned."""

from __future__ import annotations

import numpy as np
import scipy.optimize
import scipy.special

_SHARPNESS = (1e-3, 1e3)  # between these the inverse temperature is sought


def probabilities(outputs, sharpness):
    """Softmax of outputs times a sharpness.

    Parameters
    ----------
    outputs : ndarray of shape (n, C)
        With one column, of the second of two classes: the first has the opposite output.
    sharpness : float
        The inverse of the temperature. Above 0, so that the likeliest class is that with the largest output.

    Returns
    -------
    ndarray of shape (n, max(C, 2))

    Notes
    -----
    Cost: O(n C).

    Examples
    --------
    >>> probabilities(np.array([[0.0], [10.0]]), 1.0).round(3)
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    return np.exp(log_probabilities(outputs, sharpness))


def learn_sharpness(outputs, labels, weights):
    """The sharpness that makes the labels likeliest.

    Parameters
    ----------
    outputs : ndarray of shape (n, C)
        Of a model that has not seen the samples.
    labels : ndarray of shape (n,), dtype=int
    weights : ndarray of shape (n,)

    Returns
    -------
    float

    Notes
    -----
    As if one more sample of each class had been seen with all outputs equal, in weight 1, and the others' labels were
    wrong with the probability that this suggests: so that few samples, or ones that are told apart perfectly, do not
    make the model certain. Cost: O(n C), some fifty times.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017: one temperature. Platt,
    "Probabilistic outputs for support vector machines" (1999): targets other than 0 and 1.

    Examples
    --------
    >>> outputs = np.array([[-1.0], [1.0], [1.0], [1.0]])
    >>> sure = learn_sharpness(outputs, np.array([0, 1, 1, 1]), np.ones(4))
    >>> sure > learn_sharpness(outputs, np.array([0, 1, 1, 0]), np.ones(4))
    True
    """
    n_classes = max(outputs.shape[1], 2)
    wrong = n_classes / (weights.sum() + n_classes)
    targets = np.full((len(labels), n_classes), wrong / n_classes)
    targets[np.arange(len(labels)), labels] += 1.0 - wrong
    targets *= weights[:, None]

    def loss(logarithm):
        return -float(np.sum(targets * log_probabilities(outputs, np.exp(logarithm))))

    return float(np.exp(scipy.optimize.minimize_scalar(loss, bounds=np.log(_SHARPNESS), method="bounded").x))


def log_probabilities(outputs, sharpness):
    """Logarithms of `probabilities`, finite also where these vanish. Cost: O(n C)."""
    scores = sharpness * (np.column_stack([-outputs, outputs]) if outputs.shape[1] == 1 else outputs)
    return scipy.special.log_softmax(scores, axis=1)
