"""Prediction intervals from errors at samples left out (conformal prediction)."""

from __future__ import annotations

import numpy as np


def residual_quantiles(residuals, weights, coverage):
    """How far below and above an output a new target is with a given probability.

    Parameters
    ----------
    residuals : ndarray of shape (k, C)
        Targets less outputs of a model that had not seen them.
    weights : ndarray of shape (k,)
        Of mean 1, about.
    coverage : float
        From 0 to 1, both excluded.

    Returns
    -------
    ndarray of shape (2, C)
        What to add to outputs; infinite where there are too few residuals to tell.

    Notes
    -----
    If a new residual is as likely as any of the old ones to have any rank among them all (they are exchangeable), it is
    beyond either quantile with a probability of at most (1 - coverage) / 2, whatever the model is and however errors
    are distributed: the new one counts among them with weight 1, at the worst place. Cost: O(k log k) for each output.

    References
    ----------
    Vovk, Gammerman, Shafer, "Algorithmic learning in a random world" (2005). Barber, Candes, Ramdas, Tibshirani,
    "Predictive inference with the jackknife+", Annals of Statistics 49 (2021): what leaving out one changes.

    Examples
    --------
    >>> residual_quantiles(np.arange(-9.0, 10.0)[:, None], np.ones(19), 0.9).ravel()
    array([-9.,  9.])
    >>> residual_quantiles(np.arange(-9.0, 9.0)[:, None], np.ones(18), 0.9).ravel()
    array([-inf,  inf])
    """
    needed = 0.5 * (1.0 + coverage) * (weights.sum() + 1.0)
    quantiles = np.empty((2, residuals.shape[1]))
    for output, column in enumerate(residuals.T):
        for side, sign in enumerate((-1.0, 1.0)):
            order = np.argsort(sign * column, kind="stable")
            place = np.searchsorted(np.cumsum(weights[order]), needed * (1.0 - 1e-12))
            quantiles[side, output] = column[order[place]] if place < len(order) else sign * np.inf
    return quantiles
