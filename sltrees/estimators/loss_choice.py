"""Whether classes are learned by squared errors or by their log-loss: by the log-loss of samples left out."""

from __future__ import annotations

import numpy as np
import sklearn.base

from sltrees.estimators.coded_by_targets import features_within
from sltrees.estimators.distinct_samples import choose_part, deal_into_folds, joined_pairs, order_of

SAMPLES_TO_CHOOSE = 1000
FOLDS, FEWEST_IN_A_FOLD = 4, 5
LOSSES = ("squared", "log_loss")


def choose_loss(estimator, X, y, weights, seed, coded=None):
    """The loss, "squared" unless the kernel gives clearly better probabilities under "log_loss".

    Parameters
    ----------
    estimator : NewtonClassifier
        With its classes.
    X, y, weights : ndarray
        Samples of weight above 0, those of classes included.
    seed : int
    coded : CodedByTargets, optional
        Of the samples.

    Returns
    -------
    str

    Notes
    -----
    By four folds of at most 1,000 samples, with columns scaled alike, and without learned scales; "squared" for fewer
    than 20. Clearly better is a log-loss that is smaller by a standard error of the difference: where both are alike
    squared errors are cheaper, and tell a few more classes right. Cost: that of learning the kernel from 750 samples,
    eight times.
    """
    labels, rng = np.searchsorted(estimator.classes_, y), np.random.default_rng(seed)
    if coded is None:  # whose means are those of samples as they came
        chosen, weights = joined_pairs(X, labels[:, None], weights)
        X, y, labels = X[chosen], y[chosen], labels[chosen]
    if len(y) < FOLDS * FEWEST_IN_A_FOLD:
        return "squared"
    some = order_of(X, labels[:, None], weights)
    if len(y) > SAMPLES_TO_CHOOSE:
        some = some[choose_part(labels[some], SAMPLES_TO_CHOOSE, rng)]
    X, y, labels, weights = X[some], y[some], labels[some], weights[some]
    coded, folds = None if coded is None else coded.of(some), deal_into_folds(labels, FOLDS, rng)
    squared, logarithmic = (_errors(estimator, loss, X, y, labels, weights, folds, seed, coded) for loss in LOSSES)
    gain = squared - logarithmic
    mean = np.average(gain, weights=weights)
    spread = np.sqrt(np.sum((weights * (gain - mean)) ** 2)) / weights.sum()
    return LOSSES[int(mean > spread)]


def _errors(estimator, loss, X, y, labels, weights, folds, seed, coded):
    """The log-loss of each sample, of the model that was learned without it."""
    parameters = {"model": "kernel", "shift": estimator._kernel_shift(), "feature_learning": False, "verbose": 0}
    parameters |= {"class_weight": None, "warm_start": False, "random_state": seed % 2**31, "callbacks": ()}
    parameters |= {"categorical_features": "from_dtype"}  # columns are features by now
    errors = np.empty(len(y))
    for fold in range(FOLDS):
        seen = folds != fold
        features = features_within(X, coded, seen)
        model = sklearn.base.clone(estimator).set_params(loss=loss, **parameters)
        model.partial_fit(features[seen], y[seen], classes=estimator.classes_, sample_weight=weights[seen])
        probabilities = model.predict_log_proba(features[~seen])
        errors[~seen] = -probabilities[np.arange(len(probabilities)), labels[~seen]]
    return errors
