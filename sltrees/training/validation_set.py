"""Samples held out of training: what the network makes of them step by step, and its best weights so far.

The best weights are those of the lowest RMSE, or of the lowest loss where it is another than that of squared errors.
"""

from __future__ import annotations

import numpy as np

from sltrees._memory import array_bytes
from sltrees.network.neurons import outputs
from sltrees.network.use import frozen, standing


class ValidationSet:
    """The loss on samples that are not trained on, and when to stop for it.

    Parameters
    ----------
    X : ndarray of shape (q, d)
    y : ndarray of shape (q,)
    patience : int, optional
        Looks in a row without an improvement after which there is no hope; by default there always is.
    keep_best : bool, default True
        Copy the weights whenever they are the best so far.

    Attributes
    ----------
    rmse, mean_loss : float
        At the last look; NaN before the first.
    best_rmse, best_mean_loss : float
        Those of the best so far; of the first look where no other is better.
    best_iteration : int or None
        Iterations made when it was reached.
    best : Neurons or None
        Those of the network then, if it was to be kept.

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> from sltrees.execution.inline import InlineExecutor
    >>> X, y = np.eye(3), np.ones(3)
    >>> network = ShiftedReLUNetwork(100, shift=0.0, random_state=0).initialize(X)
    >>> validation = ValidationSet(X, y, patience=1)
    >>> with InlineExecutor() as executor:
    ...     validation.look(network, executor, 0)
    >>> validation.rmse, validation.best_iteration, validation.is_hopeless
    (1.0, 0, False)
    """

    def __init__(self, X, y, *, patience=None, keep_best=True):
        self.X, self.y = X, y
        self._patience, self._keep_best = patience, keep_best
        self.rmse = self.best_rmse = self.mean_loss = self.best_mean_loss = float("nan")
        self.best_iteration = self.best = None
        self._n_since_best = 0

    def bytes_needed(self, n_neurons, dtype):
        """Bytes for the samples, and for the best weights of so many neurons. Cost: O(1)."""
        best = n_neurons * array_bytes(self.X.shape[1], dtype=dtype) if self._keep_best else 0.0
        return self.X.nbytes + 3 * self.y.nbytes + best

    def look(self, network, executor, iteration, objective=None):
        """Predict with the network as it stands after so many iterations.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        executor : ThreadExecutor
        iteration : int
        objective : LossOfOutputs, optional
            Of these samples; by default squared errors.

        Notes
        -----
        Sets: all attributes. An interruption may leave no best weights. Cost: that of a prediction of X, and
        O(active pairs d) where these weights are the best and kept.
        """
        with standing(network) as state:
            found = outputs(network, state.neurons, self.X, executor)
        if objective is None:
            with np.errstate(over="ignore", invalid="ignore"):
                rmse = float(np.sqrt(np.mean((found - self.y) ** 2)))
                mean_loss = 0.5 * rmse**2
            now, best = rmse, self.best_rmse
        else:
            fit = objective.at(found)
            rmse, mean_loss = fit.rmse, fit.mean_loss
            now, best = mean_loss, self.best_mean_loss
        if self.best_iteration is None or now < best or np.isnan(best) > np.isnan(now):
            self.best = None  # its memory goes first
            if self._keep_best:
                self.best = frozen(network, executor)
            self.best_rmse, self.best_mean_loss, self.best_iteration, self._n_since_best = rmse, mean_loss, iteration, 0
        else:
            self._n_since_best += 1
        self.rmse, self.mean_loss = rmse, mean_loss

    @property
    def is_best(self):
        """Whether the last look saw the best weights."""
        return self._n_since_best == 0

    @property
    def is_hopeless(self):
        """Whether `patience` looks in a row have not improved on the best."""
        return self._patience is not None and self._n_since_best >= self._patience


def as_eval_set(eval_set, patience):
    """A pair of samples held out and targets, of which neither is looked at, or None.

    Parameters
    ----------
    eval_set : tuple (X_val, y_val) or None
    patience : int or None
        Of the trainer.

    Returns
    -------
    tuple or list or None

    Raises
    ------
    TypeError
        If it is no pair.
    ValueError
        If there is a patience, and nothing to wait for.

    Examples
    --------
    >>> as_eval_set(([[1.0]], [2.0]), patience=None)
    ([[1.0]], [2.0])
    """
    if eval_set is None:
        if patience is not None:
            raise ValueError(f"patience={patience} needs an eval_set: without one there is nothing to wait for")
        return None
    if not isinstance(eval_set, (tuple, list)) or len(eval_set) != 2:
        raise TypeError(f"eval_set must be a tuple (X_val, y_val), got {type(eval_set).__name__}")
    return eval_set
