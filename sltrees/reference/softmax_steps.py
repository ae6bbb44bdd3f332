"""Gauss-Newton steps for networks of classes, dense: in turns, and jointly with one row of the system a sample.

Of a sample whose class is y, with logits f, the loss of the softmax is log(1 + exp z) for the margin

    z = log(sum_(k != y) exp f_k) - f_y

of the other classes over the right one: the logistic loss of one number. Its derivatives by f are v = (q, -1 at y), for
the shares q_k = p_k / (1 - p_y) of the other classes, so that the slope (1 - p_y) v is that of the softmax, exactly.
The curvature p_y (1 - p_y) v v^T has rank one. It is positive semidefinite, and what it lacks of that of the softmax,
diag(p) - p p^T, is (1 - p_y) (diag(q) - q q^T) among the other classes: nothing where these are one class.

So the Jacobian of the margins has one row a sample, whatever the number of classes, and G of it is the sum over classes
of diag(v_c) G_c diag(v_c).

References
----------
Korbit, Zanon, "Fast Gauss-Newton for multiclass cross-entropy", arXiv 2605.06081.
"""

from __future__ import annotations

import typing

import numpy as np
import scipy.special

from sltrees.losses.classes import LogisticLoss
from sltrees.reference.twins import dense_jacobian, network_outputs
from sltrees.training.damping import LevenbergMarquardt

FORMS = ("turns", "one row")


class SoftmaxSteps(typing.NamedTuple):
    """What `softmax_gauss_newton` did.

    Attributes
    ----------
    weights : list of ndarray of shape (C, m, d)
        At the start, and after each step that was tried.
    losses : list of float
        With the ridge, likewise.
    accepted : list of bool
        Of each step.
    """

    weights: list
    losses: list
    accepted: list


def margins(logits, labels):
    """Margins of the other classes over the right one, and their derivatives by the logits.

    Parameters
    ----------
    logits : ndarray of shape (n, C)
    labels : ndarray of shape (n,), dtype=int

    Returns
    -------
    z : ndarray of shape (n,)
    directions : ndarray of shape (n, C)

    Notes
    -----
    Cost: O(n C).

    Examples
    --------
    >>> margins(np.array([[0.0, 0.0, 0.0]]), np.array([1]))
    (array([0.69314718]), array([[ 0.5, -1. ,  0.5]]))
    """
    rows = np.arange(len(labels))
    others = np.array(logits, dtype=np.float64)
    others[rows, labels] = -np.inf
    together = scipy.special.logsumexp(others, axis=1)
    directions = np.exp(others - together[:, None])
    directions[rows, labels] = -1.0
    return together - logits[rows, labels], directions


def softmax_gauss_newton(W, signs, shift, X, labels, *, form, alpha=0.0, max_iter=10):
    """Damped Gauss-Newton steps for networks of classes that begin alike, with dense matrices throughout.

    Minimised is the log-loss of the softmax, and alpha |D_c|^2/2 for each network.

    Parameters
    ----------
    W : ndarray of shape (m, d)
        Initial weights of each network, float64.
    signs : ndarray of shape (m,)
    shift : float
    X : ndarray of shape (n, d)
    labels : ndarray of shape (n,), dtype=int
        From 0 on, each there.
    form : {"turns", "one row"}
        "turns": one network after the other, as `sltrees.SoftmaxTrainer`. "one row": all at once, by the system of
        margins.
    alpha : float, default 0.0
        Relative to trace(G)/n at the start.
    max_iter : int, default 10
        Turns of each network, or joint steps, refused ones included.

    Returns
    -------
    SoftmaxSteps

    Raises
    ------
    ValueError
        If `form` is neither.

    Notes
    -----
    Logits begin with the logarithms of the shares of classes. Parabolas reach as far as those of the logistic loss do.
    Cost: O(C m n^2 d) for a turn of each network, or a joint step.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> W, labels = np.repeat(rng.standard_normal((200, 3)), 2, axis=0), np.array([0, 1, 2])
    >>> signs = np.tile([1.0, -1.0], 200)
    >>> for form in ("turns", "one row"):
    ...     found = softmax_gauss_newton(W, signs, 0.5, np.eye(3), labels, form=form, alpha=1e-3, max_iter=6)
    ...     bool(found.losses[-1] < 0.1 * found.losses[0])
    True
    True
    """
    if form not in FORMS:
        raise ValueError(f"form must be one of {FORMS}, got {form!r}")
    problem = _Problem(W, signs, shift, X, labels, alpha)
    turns = range(problem.n_classes) if form == "turns" else [None]
    rules, weights = {turn: LevenbergMarquardt(len(X)) for turn in turns}, np.stack([W] * problem.n_classes)
    found = SoftmaxSteps([weights], [problem.loss(weights)], [])
    for _ in range(max_iter):
        for turn in turns:
            lam = rules[turn].damping * problem.unit
            step, promised = problem.joint_step(weights, lam) if turn is None else problem.turn(weights, turn, lam)
            before, after = found.losses[-1], problem.loss(weights + step)
            found.accepted.append(bool(after < before))
            if found.accepted[-1]:
                weights = weights + step
                rules[turn].accept((before - after) / promised)
            else:
                rules[turn].refuse()
            found.weights.append(weights)
            found.losses.append(min(before, after))
    return found


class _Problem:
    """What is minimised, and steps for it."""

    def __init__(self, W, signs, shift, X, labels, alpha):
        self.initial, self._network, self._X, self._labels = W, (signs, shift, X), X, labels
        self._Y, self._logistic = np.eye(labels.max() + 1)[labels], LogisticLoss()
        self.n_classes = self._Y.shape[1]
        offsets = np.log(self._Y.mean(axis=0))
        self._offsets = offsets - offsets.mean()
        self.unit = float(np.sum(self._jacobian(W) ** 2)) / len(X)
        self.ridge = alpha * self.unit

    def _jacobian(self, w):
        return dense_jacobian(w, *self._network)

    def _logits(self, weights):
        return np.stack([network_outputs(w, *self._network) for w in weights], axis=1) + self._offsets

    def loss(self, weights):
        """Of all networks, with the ridge."""
        logits = self._logits(weights)
        losses = scipy.special.logsumexp(logits, axis=1) - np.sum(self._Y * logits, axis=1)
        return float(np.sum(losses) + 0.5 * self.ridge * np.sum((weights - self.initial) ** 2))

    def turn(self, weights, c, lam):
        """The step of network c with damping lam, and the decrease that it promises."""
        p = scipy.special.softmax(self._logits(weights), axis=1)[:, c]
        directions = np.zeros((len(p), self.n_classes))
        directions[:, c] = 1.0
        return self._step(weights, directions, p - self._Y[:, c], p * (1.0 - p), lam)

    def joint_step(self, weights, lam):
        """The step of all networks by the system of margins, likewise."""
        z, directions = margins(self._logits(weights), self._labels)
        slopes = self._logistic.gradient(0.0, z)
        return self._step(weights, directions, slopes, self._logistic.curvature(0.0, z), lam)

    def _step(self, weights, directions, slopes, curvatures, lam):
        """For a loss of one number a sample, whose derivatives by the logits are `directions`."""
        h, c = np.maximum(curvatures, np.abs(slopes) / self._logistic.reach), self.ridge + lam
        pull = self.ridge / c if self.ridge else 0.0  # c is 0, too, before the first damping
        moved, G, pulled = weights - self.initial, np.diag(c / h), np.zeros(len(h))
        rows = [v[:, None] * self._jacobian(w) if v.any() else None for v, w in zip(directions.T, weights, strict=True)]
        moves = [k for k, J in enumerate(rows) if J is not None]
        for k in moves:
            G += rows[k] @ rows[k].T
            pulled += rows[k] @ moved[k].ravel()
        if c:
            g = np.linalg.solve(G, slopes / h - pull * pulled)
        else:  # of repeated samples G is singular, and where their labels differ no step fits them
            g = np.linalg.lstsq(np.sqrt(h)[:, None] * G, slopes / np.sqrt(h), rcond=None)[0]
        step, change = np.zeros_like(weights), np.zeros(len(h))
        for k in moves:
            step[k] = -pull * moved[k] - (rows[k].T @ g).reshape(moved[k].shape)
            change += rows[k] @ step[k].ravel()
        promised = -(slopes @ change + 0.5 * h @ change**2 + self.ridge * np.sum(step * (moved + 0.5 * step)))
        return step, float(promised)
