"""The columns of X as an estimator is given them, and the features that it learns from."""

from __future__ import annotations

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    check_array,
    check_consistent_length,
    check_is_fitted,
    check_X_y,
    validate_data,
)

from sltrees.estimators.coded_by_targets import CodedByTargets
from sltrees.estimators.frame_encoder import FrameEncoder, is_frame, needs_encoding
from sltrees.estimators.frame_names import with_names
from sltrees.estimators.targets import refuse_missing


class ColumnsOfSamples:
    """What estimators do with X before they learn: numbers are taken as they are, all else is encoded.

    Attributes
    ----------
    encoder_ : FrameEncoder or None
        None where X is finite numbers alone.
    feature_ranges_ : ndarray of shape (2, features)
        The least and the largest values that were learned from.
    """

    # of estimators in pickles that were made before there were these
    categorical_features, encoder_, feature_ranges_ = "from_dtype", None, None
    _rated = None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _features_and_targets(self, X, y, sample_weight, reset, **rules):
        """Features, finite, targets and weights of the samples of weight above 0: of others nothing is learned.

        `rules` are those of targets, as `sklearn.utils.check_X_y` knows them; a subclass says by `_as_numbers(y)` what
        columns of many categories are encoded by. Sets with `reset`: encoder_,
        feature_ranges_, what scikit-learn does, and until the end of the fit _rated, the samples' `CodedByTargets`.
        """
        if reset:
            self.encoder_ = FrameEncoder(self.categorical_features) if self._asks_for_encoding(X) else None
        if self.encoder_ is None:
            coded = getattr(X, "coded", None) if reset else None
            refuse_missing(y)
            X, y = validate_data(self, with_names(X), y, reset=reset, **_NUMBERS, **rules)
            X, y, weights = _weighted(as_dense(X), y, sample_weight)
            if isinstance(coded, CodedByTargets):
                self._rated = coded.of(_present(sample_weight, len(coded.codes)))
            if np.isnan(X).any():
                X = self._with_gaps_filled(X, reset)
        else:
            validate_data(self, with_names(X), y, reset=reset, skip_check_array=True)
            check_consistent_length(X, y)
            if reset:
                X, y, weights = _weighted(X, y, sample_weight)
                refuse_missing(y)
                y = _check_y(y, estimator=self, **rules)
                X, self._rated = self.encoder_._learn(X, self._as_numbers(y), weights)
            else:
                refuse_missing(y)
                X = self.encoder_.transform(X)
            X, y = check_X_y(X, y, dtype=np.float64, estimator=self, **rules)
            if not reset:  # of further samples there may be none that counts
                X, y, weights = _weighted(X, y, sample_weight)
        if reset:
            self.feature_ranges_ = np.stack([X.min(axis=0), X.max(axis=0)])
            self._widen_ranges_of_rates()
        return X, y, weights

    def _widen_ranges_of_rates(self):
        """Take the rates of all categories into the ranges: samples that are learned from have those of others."""
        if self._rated is None or self.encoder_ is None:
            return
        rated = [column for column in self.encoder_.columns_ if column.kind == "target encoded"]
        for places, column in zip(self._rated.places, rated, strict=True):
            rates = np.array([*column.rates, column.mean])
            least, largest = self.feature_ranges_[:, places]
            self.feature_ranges_[:, places] = (
                np.minimum(least, rates.min(axis=0)),
                np.maximum(largest, rates.max(axis=0)),
            )

    def _asks_for_encoding(self, X):
        by_dtype = isinstance(self.categorical_features, str) and self.categorical_features == "from_dtype"
        named = not by_dtype and self.categorical_features is not None and np.size(self.categorical_features) > 0
        is_of_dates = getattr(getattr(X, "dtype", None), "kind", "") == "M"
        return named or (by_dtype and (is_of_dates or needs_encoding(X)))

    def _with_gaps_filled(self, X, reset):
        """Numbers without NaN: those of a first fit by an encoder, which is kept; else by means."""
        if reset:
            self.encoder_ = FrameEncoder([])
            names = getattr(self, "feature_names_in_", None)
            X = self.encoder_.fit_transform(X)
            if names is not None:
                self.encoder_.feature_names_in_ = names
            return X
        return self._filled(X) if hasattr(self, "scaling_") else X  # those of an evaluation set are filled later

    def _filled(self, X):
        """Numbers with the mean of training in place of NaN."""
        return np.where(np.isnan(X), self.scaling_.middle_, X)

    def _features(self, X):
        """The features of samples to predict for."""
        if self.encoder_ is None:
            X = as_dense(validate_data(self, with_names(X), reset=False, **_NUMBERS))
            return self._filled(X) if np.isnan(X).any() else X
        validate_data(self, with_names(X), reset=False, skip_check_array=True)
        if not is_frame(X):
            X = as_dense(X)
        return check_array(self.encoder_.transform(X), dtype=np.float64, estimator=self)

    def _of_columns(self, values):
        """Sums over the features of each column of X."""
        return values if self.encoder_ is None else self.encoder_.sums_over_columns(values)

    def outside_range(self, X):
        """How far rows are outside the range of the samples that were learned from.

        There outputs level off: the function of a row depends on its direction alone, so that far away it tends to a
        constant.

        Parameters
        ----------
        X : array_like or frame of shape (n, d)

        Returns
        -------
        ndarray of shape (n,)
            0 within the range; else how far the worst feature is below its least or above its largest value, in units
            of the distance between these; infinite where a feature had one value only, and has another one now.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` was not called.
        AttributeError
            If the estimator was saved before ranges were.

        Notes
        -----
        Cost: O(n d).

        Examples
        --------
        >>> from sltrees.estimators import NewtonRegressor
        >>> model = NewtonRegressor("kernel").fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
        >>> model.outside_range([[1.5], [3.0], [-4.0]])
        array([0. , 0.5, 2. ])
        """
        check_is_fitted(self, "fitted_model_")
        if self.feature_ranges_ is None:
            raise AttributeError("the ranges of features are not known: the estimator was saved by an older version")
        X = self._features(X)
        least, largest = self.feature_ranges_
        outside = np.maximum(np.maximum(least - X, X - largest), 0.0)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            relative = outside / (largest - least)
        return np.where(outside > 0, relative, 0.0).max(axis=1)


_NUMBERS = {"dtype": np.float64, "accept_sparse": "csr", "ensure_all_finite": "allow-nan"}


def _weighted(X, y, sample_weight):
    """Samples of weight above 0, and their weights."""
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not np.isfinite(total):
        raise ValueError(f"the sum of sample_weight must be finite in float64, got weights up to {weights.max():g}")
    present = np.flatnonzero(weights)
    if len(present) == len(weights):
        return X, y, weights
    if not len(present):  # newer versions of scikit-learn have said so
        raise ValueError("sample_weight must not be zero for all samples")
    return _safe_indexing(X, present), np.asarray(y)[present], weights[present]


def _present(sample_weight, n):
    """Which of n samples have a weight above 0."""
    return np.ones(n, dtype=bool) if sample_weight is None else np.asarray(sample_weight) > 0


def as_dense(X):
    """The same samples as an array."""
    return X.toarray() if hasattr(X, "toarray") else X
