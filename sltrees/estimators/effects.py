"""What columns do to the outputs of a model: how much of their variance goes with each, and which way."""

from __future__ import annotations

import numpy as np

# Pairs of a sample and a column for which outputs are computed: some seconds for some thousand samples learned from.
_MOST_ROWS, _MOST_OUTPUTS = 500, 20_000


def total_effects(outputs, X, owners, *, random_state=0):
    """The share of the variance of outputs that goes with each column, alone or together with others.

    Parameters
    ----------
    outputs : callable
        outputs(X) of shape (n,) or (n, C).
    X : ndarray of shape (n, d)
        Features of samples, from which values are taken.
    owners : ndarray of shape (d,), dtype=int64
        The column that each feature is of, from 0: features of one column are exchanged together.
    random_state : int, default 0
        Of the rows that are looked at, at most 500, and of what each is given in exchange.

    Returns
    -------
    ndarray of shape (columns,)
        From 0 to 1. They sum to more than 1 where columns work together.

    Notes
    -----
    Half the mean square of how outputs change when a column is exchanged with that of another row, divided by the
    variance: Sobol's total effect, if columns are independent. It says what the model does, not what is true: where
    two columns tell the same, the model may use either. Cost: that of outputs of 500 rows for each column.

    References
    ----------
    Saltelli et al., "Variance based sensitivity analysis of model output", Computer Physics Communications 181 (2010).

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((500, 3))
    >>> total_effects(lambda X: 3 * X[:, 0] + X[:, 2], X, np.arange(3)).round(1)
    array([0.9, 0. , 0.1])
    """
    rng, n_columns = np.random.default_rng(random_state), int(owners.max()) + 1
    size = min(len(X), _MOST_ROWS, max(50, _MOST_OUTPUTS // n_columns))
    rows = X[np.sort(rng.choice(len(X), size, replace=False))]
    before = outputs(rows).reshape(size, -1)
    variance = before.var(axis=0).sum()
    effects = np.zeros(n_columns)
    if not variance > 0:
        return effects
    for column in range(n_columns):
        own = owners == column
        if own.any():
            changed = rows.copy()
            # no row keeps its own, but where the other one has the same
            changed[:, own] = rows[np.ix_((np.arange(size) + rng.integers(1, max(size, 2))) % size, own)]
            change = outputs(changed).reshape(size, -1) - before
            effects[column] = min(0.5 * np.mean(np.sum(change**2, axis=1)) / variance, 1.0)  # more is chance
    return effects


def mean_outputs(outputs, X, own, values):
    """Mean outputs with the features of one column set to given values (partial dependence).

    Parameters
    ----------
    outputs : callable
        outputs(X) of shape (n,) or (n, C).
    X : ndarray of shape (n, d)
        Features of samples; at most 500 of them are looked at, the same for all values.
    own : ndarray of shape (k,), dtype=int64
        Features of the column.
    values : ndarray of shape (v, k)

    Returns
    -------
    ndarray of shape (v,) or (v, C)

    Notes
    -----
    Cost: that of outputs of 500 rows for each value.

    References
    ----------
    Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics 29 (2001).

    Examples
    --------
    >>> X = np.array([[0.0, 1.0], [0.0, 3.0]])
    >>> mean_outputs(lambda X: X[:, 0] + X[:, 1], X, np.array([0]), np.array([[5.0], [6.0]]))
    array([7., 8.])
    """
    step = -(-len(X) // _MOST_ROWS)
    rows = X[::step].copy()
    means = []
    for value in values:
        rows[:, own] = value
        means.append(outputs(rows).mean(axis=0))
    return np.array(means)
