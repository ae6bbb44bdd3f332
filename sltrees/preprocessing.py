"""What the network expects of its inputs: rows of unit norm."""

from __future__ import annotations

import numpy as np

from sltrees._validation import as_non_negative, as_real_matrix, as_sample_weight, as_share

FEWEST_VALUES, LEAST_SKEWNESS = 10, 2.0  # of columns with long tails


class InputScaling:
    """Standardise columns, append a constant column, scale rows to unit norm.

    Parameters
    ----------
    bias : float, default 1.0
        The constant column is bias * sqrt(d); 0 appends none. A bias makes samples more alike, so that the function
        learned need not be even in them, and the Gram matrix worse conditioned.
    standardise : bool, default True
        Subtract the mean of each column and divide by a scale. Constant columns become zero.
    evenness : float, default 1.0
        From 0 to 1: the scale of a column is s^evenness g^(1 - evenness), with s its standard deviation and g the root
        mean square of those of all columns. 1 gives all columns the same weight. 0 keeps their proportions, as is right
        where they are measured in the same unit, such as the pixels of an image.
    bends : bool, default False
        Whether columns with long tails go through arcsinh((x - median) / spread) before: logarithms far out, both ways,
        and straight in the middle. They are those of 10 different values or more whose skewness is above 2 or below -2;
        the spread is the median distance from the median.

    Attributes
    ----------
    mean_, deviation_ : ndarray of shape (d,)
        Of columns as they are when they are bent.
    bent_ : ndarray of shape (3, k) or None
        Of the k columns with long tails: where they are, medians and spreads; None if there are none.
    mixing_ : ndarray of shape (d, d) or None
        What standardised columns are multiplied by, as rows from the left; None if by nothing. `fit` leaves it None:
        the estimators learn one with metric="full".

    Raises
    ------
    TypeError, ValueError
        If `bias` is not a finite number >= 0, or `evenness` is not from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> scaling = InputScaling(bias=0.0).fit([[0.0, 1.0], [2.0, 3.0]])
    >>> np.linalg.norm(scaling.transform([[5.0, 2.0]]), axis=1)
    array([1.])
    """

    # of those in pickles that were made before there were these
    bends, bent_, mixing_ = False, None, None

    def __init__(self, bias=1.0, standardise=True, evenness=1.0, bends=False):
        self.bias = as_non_negative(bias, "bias")
        self.standardise = standardise
        self.evenness = as_share(evenness, "evenness")
        self.bends = bends

    def __repr__(self):
        names = ("bias", "standardise", "evenness", "bends")
        return f"InputScaling({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def fit(self, X, *, sample_weight=None):
        """Learn mean and scale of each column.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Finite.
        sample_weight : array_like of shape (n,), optional
            Finite, above 0: as if each sample were there so many times.

        Returns
        -------
        InputScaling
            The object itself.

        Raises
        ------
        TypeError, ValueError
            If X is not a matrix of finite real numbers.

        Notes
        -----
        Cost: O(n d).

        Examples
        --------
        >>> InputScaling().fit([[0.0, 1.0], [2.0, 1.0]]).mean_
        array([1., 1.])
        """
        X = as_real_matrix(X, "X", np.float64)
        self.mixing_ = None
        weights = as_sample_weight(sample_weight, len(X))
        self.bent_ = _long_tails(X, weights) if self.bends else None
        X = self.bent(X)
        if not self.standardise:
            self.mean_, self.deviation_ = np.zeros(X.shape[1]), np.ones(X.shape[1])
            return self
        # powers of two, so that dividing rounds nothing and squares neither overflow nor vanish
        scales = _power_of_two(X, axis=0)
        scaled = X / scales
        mean = np.average(scaled, axis=0, weights=weights)
        deviation = np.sqrt(np.average((scaled - mean) ** 2, axis=0, weights=weights))
        # a column constant up to rounding has no scale: leave its (near zero) values alone
        varies = deviation > 1e-12 * np.abs(mean)
        mean, deviation = mean * scales, deviation * scales
        mean = np.where((X == X[0]).all(axis=0), X[0], mean)  # not off by rounding, which is large where numbers are
        if self.evenness < 1 and varies.any():
            largest = deviation[varies].max()
            common = largest * np.sqrt(np.mean((deviation[varies] / largest) ** 2))
            deviation = common * (deviation / common) ** self.evenness
        self.mean_, self.deviation_ = mean, np.where(varies, deviation, 1.0)
        return self

    def transform(self, X):
        """Scale samples.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Finite.

        Returns
        -------
        ndarray of shape (n, d), or (n, d + 1) with a bias, dtype=float64
            Rows of unit norm; a row of zeros stays zero.

        Raises
        ------
        TypeError, ValueError
            If X is not a matrix of d columns of finite real numbers.
        RuntimeError
            If `fit` was not called.

        Notes
        -----
        Cost: O(n d).

        Examples
        --------
        >>> InputScaling(bias=1.0).fit([[0.0], [2.0]]).transform([[1.0]])
        array([[0., 1.]])
        """
        if not hasattr(self, "mean_"):
            raise RuntimeError("the scaling has not seen data yet: call fit(X) first")
        X = self.bent(as_real_matrix(X, "X", np.float64, n_columns=self.mean_.size))
        constant = self.bias * np.sqrt(X.shape[1])
        with np.errstate(over="ignore"):
            scaled = (X - self.mean_) / self.deviation_
        if self.bias:
            scaled = np.column_stack([scaled, np.full(len(X), constant)])
        beyond = ~np.isfinite(scaled).all(axis=1)
        if beyond.any():
            scaled[beyond] = self._directions(X[beyond], constant)
        scaled /= _power_of_two(scaled, axis=1)[:, None]
        scaled = self._mixed(scaled)
        norms = np.linalg.norm(scaled, axis=1, keepdims=True)
        return scaled / np.where(norms > 0, norms, 1.0)

    def scaled(self, X):
        """Samples with their columns scaled and the constant one, but rows of any norm: `transform` without its end.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Finite.

        Returns
        -------
        ndarray of shape (n, d), or (n, d + 1) with a bias
            Rows that overflow are zeros.

        Notes
        -----
        Cost: O(n d).

        Examples
        --------
        >>> InputScaling(bias=1.0).fit([[0.0], [2.0]]).scaled(np.array([[3.0]]))
        array([[2., 1.]])
        """
        X = self.bent(X)
        with np.errstate(over="ignore"):
            scaled = (X - self.mean_) / self.deviation_
        if self.bias:
            scaled = np.column_stack([scaled, np.full(len(X), self.bias * np.sqrt(X.shape[1]))])
        scaled[~(np.abs(scaled).max(axis=1, initial=0.0) < 1e150)] = 0.0
        return self._mixed(scaled)

    @property
    def middle_(self):
        """What is in the middle of each column of X, shape (d,): what to take for numbers that are missing."""
        if self.bent_ is None:
            return self.mean_
        middle, (places, medians, spreads) = self.mean_.copy(), self.bent_
        places = places.astype(np.int64)
        middle[places] = medians + spreads * np.sinh(self.mean_[places])
        return middle

    def bent(self, X):
        """Samples with their columns that have long tails through arcsinh, as `fit` found them; others as they are.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Finite.

        Returns
        -------
        ndarray of shape (n, d)

        Notes
        -----
        Cost: O(n d).

        Examples
        --------
        >>> X = np.exp(np.arange(12.0))[:, None]
        >>> InputScaling(bends=True).fit(X).bent(X)[[0, -1]].round(1)
        array([[-0.9],
               [ 6.7]])
        """
        if self.bent_ is None:
            return X
        places, medians, spreads = self.bent_
        X, places = X.copy(), places.astype(np.int64)
        with np.errstate(over="ignore"):
            far = (X[:, places] - medians) / spreads
        X[:, places] = np.arcsinh(np.clip(far, -1e150, 1e150))
        return X

    def _mixed(self, scaled):
        """Standardised columns times `mixing_`; the constant column stays."""
        if self.mixing_ is None:
            return scaled
        d = self.mean_.size
        return np.column_stack([scaled[:, :d] @ self.mixing_, scaled[:, d:]])

    def _directions(self, X, constant):
        """Scaled rows that would overflow, each divided by a power of two. Cost: O(numbers)."""
        mantissas, exponents = np.frexp(X / 2 - self.mean_ / 2)
        divisors, of_divisors = np.frexp(self.deviation_)
        mantissas, exponents = mantissas / divisors, exponents + 1 - of_divisors
        if self.bias:
            mantissa, exponent = np.frexp(constant)
            mantissas = np.column_stack([mantissas, np.full(len(X), mantissa)])
            exponents = np.column_stack([exponents, np.full(len(X), exponent)])
        largest = exponents.max(axis=1, keepdims=True, where=mantissas != 0, initial=-9999)
        return np.ldexp(mantissas, exponents - largest)


def _long_tails(X, weights):
    """Columns with long tails, as `InputScaling.bent_` has them."""
    found, weights = [], np.ones(len(X)) if weights is None else weights
    for place, column in enumerate(X.T):
        values, groups = np.unique(column, return_inverse=True)
        if len(values) < FEWEST_VALUES or not np.isfinite(values[-1] - values[0]):
            continue
        mass = np.bincount(groups, weights)
        median = _weighted_median(values, mass)
        distances = np.abs(values - median)
        order = np.argsort(distances, kind="stable")
        spread = _weighted_median(distances[order], mass[order]) or np.average(distances, weights=mass)
        deviations = (values - np.average(values, weights=mass)) / distances.max()
        skewness = np.average(deviations**3, weights=mass) / np.average(deviations**2, weights=mass) ** 1.5
        if abs(skewness) > LEAST_SKEWNESS:
            found.append((place, median, spread))
    return np.array(found).T if found else None


def _weighted_median(values, weights):
    """Of ascending values."""
    return float(values[np.searchsorted(np.cumsum(weights), 0.5 * weights.sum())])


def _power_of_two(X, axis):
    """For each row or column a power of two that is about its largest number; 1 for zeros."""
    largest = np.abs(X).max(axis=axis)
    return np.where(largest > 0, np.ldexp(1.0, np.frexp(largest)[1] - 1), 1.0)
