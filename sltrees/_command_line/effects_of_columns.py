"""What the columns of a table do to the predictions of a model."""

from __future__ import annotations

import numpy as np

MOST_VALUES = 20  # of a column, for which mean predictions are computed
_ENDS = (0.02, 0.98)  # shares of the rows between which values of a column of numbers are


def outputs_of(estimator):
    """Predictions of numbers, or what decides between classes: a function of features."""
    return getattr(estimator, "decision_function", estimator.predict)


def owners_of(encoder):
    """Names of the columns that features are of, and for each feature the place of its column among them."""
    names = [column.name for column in encoder.columns_ if column.feature_names]
    counts = [len(column.feature_names) for column in encoder.columns_ if column.feature_names]
    return names, np.repeat(np.arange(len(names)), counts)


def effects_of(encoder, estimator, X):
    """The share of the variance of outputs that goes with each column: dict of str to float."""
    from sltrees.estimators.effects import total_effects

    names, owners = owners_of(encoder)
    return dict(zip(names, total_effects(outputs_of(estimator), X, owners).tolist(), strict=True))


def dependence_of(encoder, estimator, X, name, cells, lines, source):
    """Mean predictions for values of a column, while all others are as they are.

    Returns
    -------
    values : list
        Numbers (of dates: days since 1970), or words.
    means : ndarray of shape (values,) or (values, classes)
        Mean predictions, or mean probabilities of classes.
    """
    from sltrees.estimators.effects import mean_outputs

    names, owners = owners_of(encoder)
    column = next(column for column in encoder.columns_ if column.name == name)
    values = _values(column, column.read(cells, lines, source)[0])
    own = np.flatnonzero(owners == names.index(name))
    predict = getattr(estimator, "predict_proba", estimator.predict)
    return values.tolist(), mean_outputs(predict, X, own, column.encode(values)[0])


def _values(column, values):
    """Values of a column between the rarest, or its most frequent words."""
    if hasattr(column, "categories"):
        words, counts = np.unique([value for value in values if value is not None], return_counts=True)
        known = np.isin(words, column.categories)
        frequent = words[known][np.argsort(-counts[known], kind="stable")][:MOST_VALUES]
        return np.array(sorted(frequent.tolist()), dtype=object)
    present = values[~np.isnan(values)]
    if not present.size:
        return np.array([column.median])
    different = np.unique(present)
    return different if len(different) <= MOST_VALUES else np.linspace(*np.quantile(present, _ENDS), MOST_VALUES)
