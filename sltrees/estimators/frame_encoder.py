"""Frames with missing values, categories and dates as numbers: a transformer, which the estimators use, too."""

from __future__ import annotations

import datetime
import numbers

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data

from sltrees.estimators.coded_by_targets import CodedByTargets
from sltrees.estimators.frame_names import with_names
from sltrees.estimators.targets import as_targets, is_gap
from sltrees.tables._columns import CategoricalColumn, DateColumn, LeftOutColumn, NumericColumn, encode_in_training
from sltrees.tables._deciding import MOST_CODES, is_flagged, median
from sltrees.tables._state import columns_of, state_of

_DAY = np.timedelta64(1, "D")


class FrameEncoder(TransformerMixin, BaseEstimator):
    """Turn frames of numbers, categories and dates, with or without missing values, into finite numbers.

    What `sltrees.tables.TableEncoder` does with text, for columns that have types:

    - Numbers and booleans stay one column. Missing ones become the median, and where they are at least five and a
      twentieth of the rows, another column says which.
    - Categories and strings become a column of zeros and ones for each that was seen, and one for missing values if
      there were any. Where there are more than `max_categories`, and `fit_transform` is given targets, each becomes the
      mean of the targets with it, drawn to that of all targets, the more, the fewer rows there are and the less
      categories differ; the rows of `fit_transform` have means of others. Strings of which none occurs twice are left
      out.
    - Dates become days since 1970, and sines and cosines of where in the year, the week and the day they are.

    Parameters
    ----------
    categorical_features : "from_dtype" or array_like, default "from_dtype"
        The columns to take as categories: their names or positions, or a mask. "from_dtype": those whose type is
        category, string or object in a frame.
    max_categories : int, default 20
        Of which there is a column for each.

    Attributes
    ----------
    columns_ : list
        What each column was found to be.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        If there were names.

    Notes
    -----
    At other frames, categories that were not seen are zeros, or the mean of all targets. Blank strings are missing.

    Memory of the result: 8 bytes x rows x columns made.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"size": [1.0, None, 3.0], "colour": ["red", "blue", "red"]})
    >>> encoder = FrameEncoder().fit(frame)
    >>> encoder.transform(frame)
    array([[1., 0., 1.],
           [2., 1., 0.],
           [3., 0., 1.]])
    >>> encoder.get_feature_names_out()
    array(['size', 'colour=blue', 'colour=red'], dtype=object)
    """

    def __init__(self, categorical_features="from_dtype", max_categories=MOST_CODES):
        self.categorical_features = categorical_features
        self.max_categories = max_categories

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def fit(self, X, y=None):
        """Decide what each column is.

        Parameters
        ----------
        X : frame or array_like of shape (n, d)
            A DataFrame of pandas or polars, or an array of numbers or objects.
        y : array_like of shape (n,) or (n, C), optional
            Targets, by which columns of many categories are encoded: labels, or numbers. Of one column, words are
            labels, and so are whole numbers of at most 20 different values, whatever their type.

        Returns
        -------
        FrameEncoder
            The object itself.

        Raises
        ------
        ValueError
            If there is nothing to learn from, a column that `categorical_features` names is not there, or y has missing
            values or another length.

        Notes
        -----
        Cost: O(cells).

        Examples
        --------
        >>> FrameEncoder().fit([[1.0, 2.0], [3.0, np.nan]]).columns_[1].median
        2.0
        """
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X, y=None):
        """Decide what each column is, and turn the frame into numbers.

        Parameters
        ----------
        X, y
            As for `fit`.

        Returns
        -------
        ndarray of shape (n, features), dtype=float64
            As `transform` would return, but for columns that are encoded by targets.

        Raises
        ------
        ValueError
            As `fit`.

        Notes
        -----
        Cost: O(cells + rows x features).

        Examples
        --------
        >>> FrameEncoder().fit_transform([[1.0, 2.0], [3.0, np.nan]])
        array([[1., 2.],
               [3., 2.]])
        """
        if y is not None:
            check_consistent_length(X, y)
        return self._learn(X, None if y is None else as_targets(y), None)[0]

    def _learn(self, X, targets, weights):
        """As `fit_transform`, by targets that are numbers, shape (n, C), of rows that have weights.

        Also says which features are coded by targets, or None.
        """
        X = _checked(X)
        validate_data(self, with_names(X), reset=True, skip_check_array=True)
        wanted, typed = _positions(self.categorical_features, X), _of_categories(self.categorical_features, X)
        places = enumerate(_columns_of(X))
        found = [_decide(name, values, place in wanted, place in typed) for place, (name, values) in places]
        columns, values = ([*parts] for parts in zip(*found, strict=True))
        if not any(column.feature_names for column in columns):
            raise ValueError("X has no column to learn from: all are empty, or hold words of which none occurs twice")
        many = {place for place, column in enumerate(columns) if column.kind == "categorical"}
        many = {place for place in many if len(columns[place].categories) > self.max_categories}
        rated = set() if targets is None else many
        self.columns_, features, coded = encode_in_training(columns, values, rated, targets, weights)
        if coded is None:
            return features, None
        weights = np.ones(len(features)) if weights is None else weights
        return features, CodedByTargets(*coded, targets, weights)

    def transform(self, X):
        """Turn a frame into numbers.

        Parameters
        ----------
        X : frame or array_like of shape (n, d)
            With the columns of that of `fit`.

        Returns
        -------
        ndarray of shape (n, features), dtype=float64

        Raises
        ------
        ValueError
            If there are other columns, or a number was expected where there is none.

        Notes
        -----
        Cost: O(cells + rows x features).

        Examples
        --------
        >>> FrameEncoder().fit([[1.0, 2.0], [3.0, np.nan]]).transform([[np.nan, 5.0]])
        array([[2., 5.]])
        """
        check_is_fitted(self, "columns_")
        X = _checked(X)
        validate_data(self, with_names(X), reset=False, skip_check_array=True)
        features = []
        for column, (name, values) in zip(self.columns_, _columns_of(X), strict=True):
            if column.feature_names:
                is_words = hasattr(column, "categories")
                features.append(column.encode(_as_words(values) if is_words else _as_numbers(name, values))[0])
        return np.hstack(features)

    def get_feature_names_out(self, input_features=None):
        """Names of the columns made.

        Parameters
        ----------
        input_features : array_like of str, optional
            Names of the columns of X; by default those of `fit`.

        Returns
        -------
        ndarray of str

        Raises
        ------
        ValueError
            If they are others than in `fit`.

        Notes
        -----
        Cost: O(features).

        Examples
        --------
        >>> FrameEncoder().fit([[1.0, 2.0]]).get_feature_names_out()
        array(['x0', 'x1'], dtype=object)
        """
        check_is_fitted(self, "columns_")
        known = [column.name for column in self.columns_]
        if input_features is not None and list(input_features) != known and hasattr(self, "feature_names_in_"):
            raise ValueError(f"input_features is not equal to feature_names_in_, {known}")
        if input_features is not None and len(input_features) != len(known):
            raise ValueError(f"input_features should have length equal to number of features ({len(known)})")
        renamed = dict(zip(known, known if input_features is None else input_features, strict=True))
        names = [
            f"{renamed[column.name]}{name.removeprefix(column.name)}"
            for column in self.columns_
            for name in column.feature_names
        ]
        return np.array(names, dtype=object)

    def sums_over_columns(self, values):
        """What features have in common, such as importances, summed for each column of X.

        Parameters
        ----------
        values : array_like of shape (features,)

        Returns
        -------
        ndarray of shape (d,)

        Notes
        -----
        Cost: O(features).

        Examples
        --------
        >>> FrameEncoder().fit(np.array([["x", 1], ["y", 2], ["x", 3]], dtype=object)).sums_over_columns([1, 2, 5])
        array([3., 5.])
        """
        check_is_fitted(self, "columns_")
        owners = [place for place, column in enumerate(self.columns_) for _ in column.feature_names]
        return np.bincount(owners, np.asarray(values, dtype=np.float64), minlength=len(self.columns_))

    def to_dict(self):
        """What was decided, as JSON can hold it.

        Returns
        -------
        dict

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` was not called.

        Notes
        -----
        Cost: O(columns + categories).

        Examples
        --------
        >>> FrameEncoder().fit([[1.0, 2.0]]).to_dict()["columns"][1]["median"]
        2.0
        """
        check_is_fitted(self, "columns_")
        names = getattr(self, "feature_names_in_", None)
        return state_of(self.columns_, names is not None)

    @classmethod
    def from_dict(cls, state):
        """Make an encoder from what `to_dict` returned.

        Parameters
        ----------
        state : dict
            Not trusted: anything that `to_dict` cannot have returned is refused.

        Returns
        -------
        FrameEncoder

        Raises
        ------
        ValueError
            If it is not the state of an encoder.

        Notes
        -----
        Cost: O(columns + categories).

        Examples
        --------
        >>> FrameEncoder.from_dict(FrameEncoder().fit([[1.0, 2.0]]).to_dict()).transform([[3.0, 4.0]])
        array([[3., 4.]])
        """
        encoder = cls()
        encoder.columns_, is_named = columns_of(state)
        encoder.n_features_in_ = len(encoder.columns_)
        if is_named:
            encoder.feature_names_in_ = np.array([column.name for column in encoder.columns_], dtype=object)
        return encoder


# ---------------------------------------------------------------------- frames


def is_frame(X):
    """Whether X has columns of their own types. Cost: O(1)."""
    return hasattr(X, "columns") and (hasattr(X, "iloc") or hasattr(X, "get_column"))


def needs_encoding(X):
    """Whether a frame has columns of anything but numbers. Cost: O(columns)."""
    return is_frame(X) and not all(_is_of_numbers(_column(X, name).dtype) for name in X.columns)


def _checked(X):
    """Frames as they are, all else as an array of numbers or objects with rows and columns."""
    if is_frame(X):
        return X
    return check_array(X, dtype=None, ensure_all_finite=False, input_name="X")


def _column(X, name):
    return X.get_column(name) if hasattr(X, "get_column") else X[name]


def _columns_of(X):
    """Names and values, as arrays, of the columns of X."""
    if not is_frame(X):
        return [(f"x{place}", column) for place, column in enumerate(X.T)]
    return [(str(name), _as_array(_column(X, name))) for name in X.columns]


def _is_of_numbers(dtype):
    """Of a column of pandas, which has kinds, or of polars."""
    return getattr(dtype, "kind", "") in tuple("biuf") or (hasattr(dtype, "is_numeric") and dtype.is_numeric())


def _is_of_categories(dtype):
    """Of a column of pandas; categories of polars are strings."""
    return getattr(dtype, "name", None) == "category"


def _as_array(column):
    kind = getattr(column.dtype, "kind", None)
    if _is_of_categories(column.dtype):
        return column.astype(object).to_numpy()  # whole numbers stay whole beside missing values
    if kind in tuple("biuf"):  # of pandas, where there may be missing values in columns of integers
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if kind == "M":
        return column.to_numpy(dtype="datetime64[ns]")  # of time zones in UTC
    return column.to_numpy()


def _of_categories(wanted, X):
    """The columns whose type says that they are categories, of numbers, booleans or anything else, if types decide."""
    if not (isinstance(wanted, str) and wanted == "from_dtype" and is_frame(X)):
        return set()
    return {place for place, name in enumerate(X.columns) if _is_of_categories(_column(X, name).dtype)}


def _positions(wanted, X):
    """The columns that were said to be categorical."""
    if isinstance(wanted, str) and wanted == "from_dtype":
        return set()
    if wanted is None:
        return set()
    wanted, d = np.asarray(wanted), X.shape[1]
    if wanted.dtype.kind == "b":
        if wanted.shape != (d,):
            raise ValueError(f"categorical_features must have an entry for each of the {d} columns, got {wanted.shape}")
        return set(np.flatnonzero(wanted).tolist())
    if wanted.dtype.kind in "iu" or not wanted.size:
        if wanted.size and not (0 <= wanted.min() and wanted.max() < d):
            raise ValueError(f"categorical_features must be positions from 0 to {d - 1}, got {wanted.tolist()}")
        return set(wanted.tolist())
    names = [str(name) for name in X.columns] if is_frame(X) else []
    unknown = [name for name in wanted.tolist() if name not in names]
    if unknown:
        raise ValueError(f"categorical_features must be 'from_dtype', columns of X or a mask, got {unknown}")
    return {names.index(name) for name in wanted.tolist()}


# ---------------------------------------------------------------------- columns


def _decide(name, values, is_said_categorical, is_of_categories):
    """What a column is, and its values as that wants them."""
    kind = "words" if is_said_categorical or is_of_categories else _kind_of(values)
    if kind == "words":
        words = _as_words(values)
        present = [word for word in words if word is not None]
        if not present:
            return LeftOutColumn(name, "all values are missing"), words
        categories = tuple(sorted(set(present)))
        if len(categories) == len(present) and values.dtype.kind == "O" and not is_said_categorical:
            return LeftOutColumn(name, "no value occurs twice"), words
        return CategoricalColumn(name, categories, len(present) < len(words)), words
    found = _as_numbers(name, values)
    present = found[~np.isnan(found)]
    if not present.size:
        return LeftOutColumn(name, "all values are missing"), found
    middle, flagged = median(present.tolist()), is_flagged(len(found) - present.size, found)
    if kind == "numbers":
        return NumericColumn(name, middle, flags_missing=flagged), found
    return DateColumn(name, middle, "iso", bool((present % 1.0).any()), flags_missing=flagged), found


def _kind_of(values):
    """ "numbers", "dates" or "words"."""
    if values.dtype.kind in "biufm":
        return "numbers"
    if values.dtype.kind == "M":
        return "dates"
    present = [value for value in values if not _is_missing(value)]
    if values.dtype.kind == "O" and all(isinstance(value, (numbers.Real, np.bool_)) for value in present):
        return "numbers"
    return "dates" if present and all(isinstance(value, datetime.date) for value in present) else "words"


def _is_missing(value):
    """None, NaN, NaT, the missing value of pandas, or a blank string."""
    return not value.strip() if isinstance(value, str) else is_gap(value)


def _as_words(values):
    """Words, None for what is missing; whole numbers without a point."""
    words = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        whole = isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral) and value % 1 == 0
        words[row] = None if _is_missing(value) else str(int(value) if whole else value)
    return words


def _as_numbers(name, values):
    """Numbers, NaN for what is missing; dates as days since 1970."""
    if values.dtype.kind == "M":
        return np.where(np.isnat(values), np.nan, (values - np.datetime64(0, "D")) / _DAY)
    if values.dtype.kind == "m":
        return np.where(np.isnat(values), np.nan, values / _DAY)
    if values.dtype.kind in "biuf":
        return values.astype(np.float64)
    present = [value for value in values if not _is_missing(value)]
    if present and all(isinstance(value, datetime.date) for value in present):
        days = [None if _is_missing(value) else np.datetime64(value.isoformat()[:26]) for value in values]
        return _as_numbers(name, np.array(days, dtype="datetime64[us]"))
    try:
        return np.array([np.nan if _is_missing(value) else float(value) for value in values])
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} must hold numbers, as in training: {error}") from None
