"""Features that are means of targets, learned again from some of the samples: so that folds are left out of them."""

from __future__ import annotations

import typing

import numpy as np

from sltrees.preprocessing import InputScaling
from sltrees.tables._rates import learn_rates, rates_of_others


class CodedByTargets(typing.NamedTuple):
    """Samples of which some features are rates of categories.

    Attributes
    ----------
    places : ndarray of shape (columns, outputs), dtype=int64
        The features that are rates of a column of words, one for each output.
    codes : ndarray of shape (n, columns), dtype=int64
        The category of each sample.
    parts : ndarray of shape (n, columns), dtype=int64
        As of `sltrees.tables._rates.deal_into_parts`.
    targets : ndarray of shape (n, outputs)
    weights : ndarray of shape (n,)
    """

    places: np.ndarray
    codes: np.ndarray
    parts: np.ndarray
    targets: np.ndarray
    weights: np.ndarray

    def of(self, samples):
        """The same of some samples. Cost: O(samples)."""
        return CodedByTargets(self.places, *(array[samples] for array in self[1:]))

    def within(self, X, seen):
        """Features of all samples as they are where rates are learned from some of them alone.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        seen : ndarray of shape (n,), dtype=bool
            The samples that are learned from.

        Returns
        -------
        ndarray of shape (n, d)

        Notes
        -----
        Cost: O(n d).

        Examples
        --------
        >>> codes, targets = np.array([[0], [0], [1], [1], [0]]), np.array([[2.0], [2.0], [7.0], [7.0], [-5.0]])
        >>> coded = CodedByTargets(np.array([[1]]), codes, np.array([[0, 1, 0, 1, 0]]).T, targets, np.ones(5))
        >>> coded.within(np.zeros((5, 2)), np.array([True, True, True, True, False]))[:, 1]
        array([2., 2., 7., 7., 2.])
        """
        X, weights = X.copy(), self.weights[seen] / np.mean(self.weights[seen])
        for places, codes, parts in zip(self.places, self.codes.T, self.parts.T, strict=True):
            n_categories = int(codes.max(initial=-1)) + 1
            some = codes[seen], self.targets[seen], weights, n_categories
            rates, mean = learn_rates(*some)
            X[np.ix_(~seen, places)] = np.concatenate([rates, [mean]])[codes[~seen]]
            X[np.ix_(seen, places)] = rates_of_others(*some, parts[seen])
        return X


class CodedFeatures(np.ndarray):
    """Features, shape (n, d), that were encoded before an estimator is given them, and what is coded of them."""

    coded = None

    @classmethod
    def of(cls, X, places, codes, parts, targets, weights=None):
        """The features X, of which those at `places` are coded, by samples of equal or these weights. Cost: O(1)."""
        features = X.view(cls)
        features.coded = CodedByTargets(places, codes, parts, targets, np.ones(len(X)) if weights is None else weights)
        return features


def features_within(X, coded, seen):
    """Features of all samples where those of `seen` are learned from; as they are if none are coded. Cost: O(n d)."""
    return X if coded is None else coded.within(X, seen)


def fitted_alike(scaling, X, weights):
    """A scaling with the same parameters as another one, fitted to other samples. Cost: O(n d)."""
    other = InputScaling(scaling.bias, scaling.standardise, scaling.evenness, scaling.bends)
    return other.fit(X, sample_weight=weights)
