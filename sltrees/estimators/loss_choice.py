"""Whether classes are learned by squared errors or by their log-loss: by the log-loss of samples left out."""

from __future__ import annotations

import numpy as np
import sklearn.base

from sltrees.estimators.distinct_samples import choose_part, deal_into_folds, joined_pairs, order_of

SAMPLES_TO_CHOOSE = 1000
FOLDS, FEWEST_IN_A_FOLD = 4, 5


def choose_loss(estimator, X, y, weights, seed):
    """The loss, "squared" or "log_loss", under which the kernel gives the better probabilities.

    Parameters
    ----------
    estimator : NewtonClassifier
        With its classes.
    X, y, weights : ndarray
        Samples of weight above 0, those of classes included.
    seed : int

    Returns
    -------
    str

    Notes
    -----
    By four folds of at most 1,000 samples, with columns scaled alike, and without learned scales; "squared" for fewer
    than 20. Cost: that of learning the kernel from 750 samples, eight times.
    """
    labels, rng = np.searchsorted(estimator.classes_, y), np.random.default_rng(seed)
    chosen, weights = joined_pairs(X, labels[:, None], weights)
    X, y, labels = X[chosen], y[chosen], labels[chosen]
    if len(y) < FOLDS * FEWEST_IN_A_FOLD:
        return "squared"
    some = order_of(X, labels[:, None], weights)
    if len(y) > SAMPLES_TO_CHOOSE:
        some = some[choose_part(labels[some], SAMPLES_TO_CHOOSE, rng)]
    X, y, labels, weights = X[some], y[some], labels[some], weights[some]
    folds = deal_into_folds(labels, FOLDS, rng)
    return min(("squared", "log_loss"), key=lambda loss: _error(estimator, loss, X, y, labels, weights, folds, seed))


def _error(estimator, loss, X, y, labels, weights, folds, seed):
    """The log-loss at samples left out."""
    parameters = {"model": "kernel", "shift": estimator._kernel_shift(), "feature_learning": False, "verbose": 0}
    parameters |= {"class_weight": None, "warm_start": False, "random_state": seed % 2**31, "callbacks": ()}
    parameters |= {"categorical_features": "from_dtype"}  # columns are features by now
    total = 0.0
    for fold in range(FOLDS):
        seen = folds != fold
        model = sklearn.base.clone(estimator).set_params(loss=loss, **parameters)
        model.partial_fit(X[seen], y[seen], classes=estimator.classes_, sample_weight=weights[seen])
        probabilities = model.predict_log_proba(X[~seen])
        total -= float(weights[~seen] @ probabilities[np.arange(len(probabilities)), labels[~seen]])
    return total
