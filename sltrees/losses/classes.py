"""Losses of classes: the negative logarithm of the probability that the right one is given."""

from __future__ import annotations

import numpy as np
import scipy.special

_LEAST = 1e-10  # curvature where a class is certain

LEAST_SHARE = 1e-6  # of a class, for its logit


class LogisticLoss:
    """log(1 + exp(f)) - y f for labels y of 0 and 1: raw outputs are logits.

    Examples
    --------
    >>> LogisticLoss().predictions(np.array([[0.0], [800.0]])).ravel()
    array([0.5, 1. ])
    """

    couples, is_newton, reach = False, True, 4.0

    def refuse(self, y):
        """As of `Loss`: numbers that are not from 0 to 1."""
        if not ((y >= 0) & (y <= 1)).all():
            raise ValueError(f"y must be from 0 to 1 for the logistic loss, got from {y.min():g} to {y.max():g}")

    def value(self, y, f):
        """As of `Loss`."""
        return np.logaddexp(0.0, f) - y * f

    def gradient(self, y, f):
        """As of `Loss`."""
        return scipy.special.expit(f) - y

    def curvature(self, y, f):
        """As of `Loss`."""
        return np.maximum(scipy.special.expit(f) * scipy.special.expit(-f), _LEAST)

    def constant(self, y, weights):
        """As of `Loss`: the logit of the share, which is kept from 0 and 1."""
        return scipy.special.logit(np.clip(weights @ y / weights.sum(), LEAST_SHARE, 1.0 - LEAST_SHARE))

    def predictions(self, f):
        """As of `Loss`: probabilities."""
        return scipy.special.expit(f)


class HalfMultinomialLoss:
    """log(sum_c exp(f_c)) - sum_c y_c f_c for y that are 1 for the class and 0 for others.

    The curvature of a sample is one number: that of a sphere above the second derivative P = diag(p) - p p^T, whose
    eigenvalues are at most 2 max_c p_c (1 - p_c), by its row sums, and at most 1/2 (Boehning 1992). So all outputs
    share one system. Of two classes it is the second derivative itself along the only direction that matters.

    References
    ----------
    Boehning, "Multinomial logistic regression algorithm", Annals of the Institute of Statistical Mathematics 44 (1992).

    Examples
    --------
    >>> HalfMultinomialLoss().value(np.array([[1.0, 0.0, 0.0]]), np.zeros((1, 3))).round(3)
    array([[1.099]])
    """

    couples, is_newton, reach = True, False, np.inf

    def refuse(self, y):
        """As of `Loss`: rows that are no probabilities."""
        if not ((y >= 0).all() and np.allclose(y.sum(axis=1), 1.0)):
            raise ValueError("rows of y must be at least 0 and sum to 1 for the multinomial loss")

    def value(self, y, f):
        """As of `Loss`."""
        return scipy.special.logsumexp(f, axis=1, keepdims=True) - np.sum(y * f, axis=1, keepdims=True)

    def gradient(self, y, f):
        """As of `Loss`."""
        return scipy.special.softmax(f, axis=1) - y

    def curvature(self, y, f):
        """As of `Loss`."""
        p = scipy.special.softmax(f, axis=1)
        bound = 2.0 * np.max(p * (1.0 - p), axis=1, keepdims=True)
        return np.clip(bound, _LEAST, 0.5)

    def constant(self, y, weights):
        """As of `Loss`: logarithms of shares, kept from 0, of mean 0."""
        logarithms = np.log(np.maximum(weights @ y / weights.sum(), LEAST_SHARE))
        return logarithms - logarithms.mean()

    def predictions(self, f):
        """As of `Loss`: probabilities."""
        return scipy.special.softmax(f, axis=1)


class OneOfClasses(LogisticLoss):
    """`HalfMultinomialLoss` as one output sees it, others being as they are: log(exp(f) + exp(others)) - y f - rest.

    Gradient and curvature, p (1 - p) for the probability p of the class, are those of the multinomial loss in this
    output.

    Attributes
    ----------
    others : ndarray of shape (n, 1) or float
        log(sum_c exp(f_c)) over the other classes.
    rest : ndarray of shape (n, 1) or float
        sum_c y_c f_c over them.

    Examples
    --------
    >>> loss = OneOfClasses().against(np.array([[0.0, 0.0, 9.9]]), np.array([[1.0, 0.0, 0.0]]), 2)
    >>> loss.predictions(np.zeros((1, 1))).round(3)
    array([[0.333]])
    """

    def __init__(self):
        self.others = self.rest = 0.0

    def against(self, logits, y, c):
        """Itself as of class c, beside others with these logits and targets, shape (n, C). Cost: O(n C)."""
        logits, y = np.delete(logits, c, axis=1), np.delete(y, c, axis=1)
        others = scipy.special.logsumexp(logits, axis=1, keepdims=True)
        self.others, self.rest = others, np.sum(y * logits, axis=1, keepdims=True)
        return self

    def value(self, y, f):
        """As of `Loss`."""
        return np.logaddexp(f, self.others) - y * f - self.rest

    def gradient(self, y, f):
        """As of `Loss`."""
        return super().gradient(y, f - self.others)

    def curvature(self, y, f):
        """As of `Loss`."""
        return super().curvature(y, f - self.others)

    def predictions(self, f):
        """As of `Loss`: the probability of the class."""
        return super().predictions(f - self.others)
