"""The parity of the digits: the problem of the demonstration, and of many tests and benchmarks."""

from __future__ import annotations

import numpy as np

from sltrees.datasets._digits import load_digits
from sltrees.preprocessing import InputScaling

N_TRAIN = 1000
_SPLIT_SEED = 0  # of the split only, so that runs with different networks see the same data


def digits_parity(bias=0.0):
    """The digits, split and scaled, with +1 for even and -1 for odd ones.

    Parameters
    ----------
    bias : float, default 0.0
        Of `InputScaling`.

    Returns
    -------
    X_train, y_train, X_test, y_test : ndarray
        Shapes (1000, 64), (1000,), (797, 64), (797,), with a bias 65 columns. They are standardised on the training
        part, rows have unit norm.

    Notes
    -----
    Cost: O(numbers).

    Examples
    --------
    >>> X_train, y_train, X_test, y_test = digits_parity()
    >>> X_train.shape, X_test.shape, y_train[:5]
    ((1000, 64), (797, 64), array([ 1.,  1.,  1.,  1., -1.]))
    """
    X, digit = load_digits()
    y = np.where(digit % 2 == 0, 1.0, -1.0)
    # shuffled: the file is in order of writers, and the last of them write differently
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(X))
    train, test = order[:N_TRAIN], order[N_TRAIN:]
    scaling = InputScaling(bias=bias).fit(X[train])
    return scaling.transform(X[train]), y[train], scaling.transform(X[test]), y[test]
