"""The regressor."""

from __future__ import annotations

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import validate_data

from sltrees.estimators.base import NewtonEstimator, as_dense
from sltrees.estimators.documentation import documented


@documented
class NewtonRegressor(RegressorMixin, NewtonEstimator):
    """Regression with very wide networks of shifted ReLU neurons, or the kernel that they tend to.

    No tuning is needed: inputs and targets are scaled inside, the ridge is chosen by exact leave-one-out errors, and
    cross-validation decides whether weights should move far.

    Parameters
    ----------
    %(parameters_of_models)s
    %(parameters_of_runs)s

    Attributes
    ----------
    %(attributes_of_choice)s
    validation_score_ : float or None
        R^2 at samples left out, of what was chosen; None if unknown. Where it was chosen among many it is a little
        too good.
    %(attributes_of_models)s

    Notes
    -----
    Samples with equal rows are learned from as one of their joint weight. Errors are those of observations: each sample
    is left out alone, or with its fold, and others with the same row may stay. A sample of weight 2 is learned from as
    two, and left out as one. The order of samples changes nothing but rounding.

    Cost: O(n^3) time and O(n^2) memory for n distinct rows; for the kernel of more than 10,000, O(n) of both.

    References
    ----------
    %(reference)s

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1.0, 1.0, 30)[:, None]
    >>> model = NewtonRegressor(random_state=0).fit(X, np.sin(3 * X[:, 0]))
    >>> bool(model.score(X, np.sin(3 * X[:, 0])) > 0.999)
    True
    """

    _needs_left_out, _name_in_files = False, "regressor"

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X, y, sample_weight=None, eval_set=None):
        """Learn.

        Parameters
        ----------
        %(samples_or_parts)s
        y : array_like of shape (n,) or (n, C)
            Finite.
        %(sample_weight)s
        %(eval_set)s

        Returns
        -------
        self

        Raises
        ------
        %(errors_of_learning)s

        Notes
        -----
        %(cost_of_fit)s

        Examples
        --------
        >>> NewtonRegressor("kernel").fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]).predict([[1.0]]).round(2)
        array([1.])
        """
        return self._fit(X, y, sample_weight, eval_set)

    def partial_fit(self, X, y, sample_weight=None):
        """Learn from further samples, too.

        Parameters
        ----------
        %(samples_or_parts)s
        y : array_like of shape (n,) or (n, C)
            Finite.
        %(sample_weight)s

        Returns
        -------
        self

        Raises
        ------
        %(errors_of_learning)s

        Notes
        -----
        %(notes_of_partial_fit)s

        Examples
        --------
        >>> model = NewtonRegressor("kernel").partial_fit([[0.0], [1.0]], [0.0, 1.0]).partial_fit([[2.0]], [2.0])
        >>> len(model.fitted_model_.X_)
        3
        """
        if not hasattr(self, "fitted_model_"):
            return self._fit(X, y, sample_weight, None)
        return self._extend(X, y, sample_weight)

    def predict(self, X):
        """Predictions.

        Parameters
        ----------
        %(samples)s

        Returns
        -------
        ndarray of shape (n,) or (n, C), as y was

        Raises
        ------
        %(errors_of_outputs)s

        Notes
        -----
        %(cost_of_outputs)s

        Examples
        --------
        >>> NewtonRegressor("kernel").fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]).predict([[2.0]]).round(2)
        array([2.])
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if self._target_shape == () else outputs

    def _validate_samples(self, X, y, *, reset):
        X, y = validate_data(
            self, X, y, reset=reset, dtype=np.float64, accept_sparse="csr", multi_output=True, y_numeric=True
        )
        return as_dense(X), np.asarray(y, dtype=np.float64)

    def _learn_coding(self, y, weights, classes):
        self._target_shape = y.shape[1:]

    def _code(self, y):
        if y.shape[1:] != self._target_shape:
            shape = ", ".join(["n", *map(str, self._target_shape)])
            raise ValueError(f"y must have shape ({shape}) as in fit, got {y.shape}")
        return y.reshape(len(y), -1)

    def _with_class_weights(self, y, weights):
        return weights

    def _strata(self, Y):
        return np.zeros(len(Y))

    def _judge(self, y, weights, wanted, left_out):
        """Sets: validation_score_, the R^2 at samples left out, if it is known."""
        self.validation_score_ = float(r2_score(wanted, left_out, sample_weight=weights)) if len(y) > 1 else None
