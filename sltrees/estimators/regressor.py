"""The regressor."""

from __future__ import annotations

import numbers
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_pinball_score, d2_tweedie_score, r2_score

from sltrees.estimators.base import NewtonEstimator
from sltrees.estimators.documentation import documented
from sltrees.estimators.intervals import residual_quantiles
from sltrees.estimators.kernel_ridge import MAX_CENTRES
from sltrees.estimators.parameters import as_eval_set
from sltrees.estimators.targets import numbers_of
from sltrees.losses import HalfGammaLoss, HalfPoissonLoss, HuberLoss, SmoothPinballLoss
from sltrees.losses.robust import weighted_quantile

_DEVIATION = 1.4826  # of a normal distribution, by its median absolute deviation
_LEAST, _LARGEST = -700.0, 709.0  # outputs whose exponentials are above 0, and finite
_OF_MEANS = {"poisson": HalfPoissonLoss, "gamma": HalfGammaLoss}  # losses whose outputs are logarithms
_FAR = 2.0  # deviations beyond which targets are clipped, where scales are chosen by squared errors


@documented
class NewtonRegressor(RegressorMixin, NewtonEstimator):
    """Regression with very wide networks of shifted ReLU neurons, or the kernel that they tend to.

    No tuning is needed: inputs and targets are scaled inside, the ridge is chosen by exact leave-one-out errors, and
    cross-validation decides whether weights should move far.

    Parameters
    ----------
    %(parameters_of_models)s
    loss : {"squared", "huber", "quantile", "poisson", "gamma"}, default "squared"
        What is minimised. "huber": the squared error up to 1.345 deviations, as errors of samples left out tell them,
        and linear beyond, so that outliers change little. "quantile": predictions are quantiles. "poisson": for counts,
        "gamma": for amounts above 0 whose errors are relative; predictions are exponentials, above 0. See the page
        "Losses".
    quantile : float, default 0.5
        Of the loss "quantile": above 0 and below 1.
    %(parameters_of_runs)s

    Attributes
    ----------
    %(attributes_of_choice)s
    validation_score_ : float or None
        `score` at samples left out, of what was chosen; None if unknown. Where it was chosen among many it is a little
        too good.
    residuals_ : ndarray of shape (k, C) or None
        Targets less outputs at the k samples that were left out, each by a model that had not seen it; None if unknown.
        Those of the first fit, where `partial_fit` added samples.
    residual_weights_ : ndarray of shape (k,) or None
        Weights of these samples.
    residual_scales_ : ndarray of shape (k, C) or None
        What errors there are expected to be in proportion to: outputs for the loss "gamma", their roots for "poisson",
        1 for all others.
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
    # of estimators in pickles that were made before there were these
    quantile, residuals_, residual_weights_, residual_scales_ = 0.5, None, None, None

    def __init__(  # those of both, under the name that errors give for a parameter that there is not
        self,
        model="auto",
        *,
        width=4096,
        shift=1.0,
        alpha="loo",
        solver="auto",
        max_centres=MAX_CENTRES,
        target_scale=1.0,
        bias=1.0,
        standardise=True,
        evenness="auto",
        bends="auto",
        feature_learning="auto",
        metric="diagonal",
        categorical_features="from_dtype",
        tol=1e-3,
        max_iter=50,
        patience=None,
        n_folds=3,
        search_seconds=20.0,
        loss="squared",
        quantile=0.5,
        warm_start=False,
        callbacks=(),
        dtype="float64",
        n_jobs=None,
        executor="threads",
        random_state=None,
        verbose=0,
    ) -> None:
        super().__init__(
            model,
            width=width,
            shift=shift,
            alpha=alpha,
            solver=solver,
            max_centres=max_centres,
            target_scale=target_scale,
            bias=bias,
            standardise=standardise,
            evenness=evenness,
            bends=bends,
            feature_learning=feature_learning,
            metric=metric,
            categorical_features=categorical_features,
            tol=tol,
            max_iter=max_iter,
            patience=patience,
            n_folds=n_folds,
            search_seconds=search_seconds,
            warm_start=warm_start,
            callbacks=callbacks,
            dtype=dtype,
            n_jobs=n_jobs,
            executor=executor,
            random_state=random_state,
            verbose=verbose,
        )
        self.loss = loss
        self.quantile = quantile

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X, y, sample_weight=None, eval_set=None, *, X_val=None, y_val=None) -> Self:
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
        return self._fit(X, y, sample_weight, as_eval_set(eval_set, X_val, y_val))

    def partial_fit(self, X, y, sample_weight=None) -> Self:
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

    def predict(self, X) -> npt.NDArray[Any]:
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
        outputs = self._predicted(self._outputs(X))
        return outputs[:, 0] if self._target_shape == () else outputs

    def score(self, X, y, sample_weight=None) -> float:
        """How much of the loss predictions explain: 1 if they are right, 0 if a constant is as good.

        Parameters
        ----------
        %(samples)s
        y : array_like of shape (n,) or (n, C)
        %(sample_weight)s

        Returns
        -------
        float
            R^2; for the losses "quantile", "poisson" and "gamma" D^2, the share of the pinball loss or deviance.

        Raises
        ------
        %(errors_of_outputs)s

        Notes
        -----
        %(cost_of_outputs)s

        Examples
        --------
        >>> model = NewtonRegressor("kernel", alpha=1e-6).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
        >>> bool(model.score([[0.0], [2.0]], [0.0, 2.0]) > 0.99)
        True
        """
        return self._share_explained(np.asarray(y), self.predict(X), sample_weight)

    def predict_interval(self, X, coverage=0.9) -> Any:
        """Intervals that hold targets with a given probability.

        Parameters
        ----------
        %(samples)s
        coverage : float, default 0.9
            The probability, above 0 and below 1.

        Returns
        -------
        ndarray of shape (n, 2) or (n, 2, C), as y was
            The lower and the upper end. Infinite where fewer than (1 + coverage) / (1 - coverage) samples were left
            out.

        Raises
        ------
        %(errors_of_outputs)s
            Also if `coverage` is not between 0 and 1, or no outputs at samples left out are known: those of networks
            that were asked for, of "exact" beyond 20,000 samples, or of fewer than three samples.

        Notes
        -----
        The same quantiles of `residuals_` are added to all predictions; for the losses "gamma" and "poisson" those of
        `residuals_` over `residual_scales_`, times what errors are in proportion to there. New samples must be like
        those that were learned from: of the same distribution, and not further ones of the same patient or year. Over
        such the probability is right on average, and not for each kind of sample: intervals are too wide where errors
        are small, and too narrow where they are large; far outside the range that was learned from (`outside_range`)
        they say nothing.

        %(cost_of_outputs)s

        Examples
        --------
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(-1, 1, (300, 1))
        >>> y = X[:, 0] + 0.1 * rng.standard_normal(300)
        >>> lower, upper = NewtonRegressor("kernel").fit(X[:200], y[:200]).predict_interval(X[200:]).T
        >>> bool(0.8 < np.mean((lower <= y[200:]) & (y[200:] <= upper)) < 0.98)
        True
        """
        if not (isinstance(coverage, numbers.Real) and 0 < coverage < 1):
            raise ValueError(f"coverage must be above 0 and below 1, got {coverage!r}")
        outputs = self._predicted(self._outputs(X))
        if self.residuals_ is None:
            raise ValueError("predict_interval needs outputs at samples left out, but none are known of this model")
        residuals = self.residuals_ if self.residual_scales_ is None else self.residuals_ / self.residual_scales_
        around = residual_quantiles(residuals, self.residual_weights_, float(coverage))
        ends = outputs[:, None] + self._scale_of_errors(outputs)[:, None] * around
        return ends[:, :, 0] if self._target_shape == () else ends

    @property
    def has_one_target(self):
        """Whether predictions have shape (n,), as targets had in `fit`, rather than (n, C)."""
        return self._target_shape == ()

    def _validate_samples(self, X, y, sample_weight, *, reset):
        X, y, weights = self._features_and_targets(X, y, sample_weight, reset, multi_output=True, y_numeric=True)
        return X, np.asarray(y, dtype=np.float64), weights

    def _as_numbers(self, y):
        return numbers_of(y)

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

    def _posed(self, targets, weights):
        """Loss, targets as it has them and as squared errors suit them, and the units of raw outputs."""
        centre, spread = getattr(self, "centre_", None), getattr(self, "spread_", None)
        if self.loss_ in _OF_MEANS:
            loss, is_poisson = _OF_MEANS[self.loss_](), self.loss_ == "poisson"
            if centre is None:
                largest = targets.max(axis=0)
                centre = np.log(np.average(targets / largest, axis=0, weights=weights)) + np.log(largest)
                spread = np.ones(targets.shape[1])
            Y = targets / np.exp(centre)  # so that ridges and curvatures mean the same in all units
            with np.errstate(divide="ignore", invalid="ignore"):  # of what who calls refuses
                return loss, Y, np.sqrt(Y) if is_poisson else np.log(Y), centre, spread
        if centre is None:
            centre, spread = _middle(targets, weights)
        Y = (targets - centre) / spread
        loss = HuberLoss(1.345) if self.loss_ == "huber" else SmoothPinballLoss(self.quantile)
        return loss, Y, np.clip(Y, -_FAR, _FAR), centre, spread

    def _refuse_under_loss(self, targets, eval_samples):
        super()._refuse_under_loss(targets, eval_samples)
        if self.loss_ not in _OF_MEANS:
            return
        loss = _OF_MEANS[self.loss_]()
        loss.refuse(targets)
        if eval_samples is not None:
            try:
                loss.refuse(np.concatenate([targets, eval_samples[1]]))  # held out may be zeros alone
            except ValueError as error:
                raise ValueError(f"eval_set: {error}") from None

    def _predicted(self, outputs):
        """What outputs predict."""
        return np.exp(np.clip(outputs, _LEAST, _LARGEST)) if self.loss_ in _OF_MEANS else outputs

    def _scale_of_errors(self, outputs):
        """What errors are in proportion to where these are predicted."""
        if self.loss_ not in _OF_MEANS:
            return np.ones_like(outputs)
        return np.maximum(outputs if self.loss_ == "gamma" else np.sqrt(outputs), np.finfo(np.float64).tiny)

    def _share_explained(self, y, predictions, weights):
        if y.ndim == 2 and y.shape[1] > 1 and self.loss_ != "squared":
            columns = zip(y.T, predictions.T, strict=True)
            return float(np.mean([self._share_explained(*pair, weights) for pair in columns]))
        varies = bool(np.ptp(y))  # of constants all scores are those of squares: 1 or 0
        if varies and self.loss_ in _OF_MEANS:
            return float(d2_tweedie_score(y, predictions, sample_weight=weights, power=1 + (self.loss_ == "gamma")))
        if varies and self.loss_ == "quantile":
            return float(d2_pinball_score(y, predictions, sample_weight=weights, alpha=self.quantile))
        return float(r2_score(y, predictions, sample_weight=weights))

    def _judge(self, y, weights, wanted, left_out):
        """Sets: validation_score_, `score` at samples left out, if it is known; residuals_ there."""
        if self._is_under_loss():
            is_mean = self.loss_ in _OF_MEANS
            wanted = wanted * np.exp(self.centre_) if is_mean else self.centre_ + self.spread_ * wanted
            left_out = self._predicted(self.centre_ + self.spread_ * left_out)
            self.residuals_ = wanted - left_out if len(y) else None
        else:
            self.residuals_ = self.spread_ * (wanted - left_out) if len(y) else None
        self.residual_weights_ = weights if len(y) else None
        self.residual_scales_ = None
        if len(y) and self._is_under_loss():
            self.residual_scales_ = self._scale_of_errors(left_out)
        self.validation_score_ = self._share_explained(wanted, left_out, weights) if len(y) > 1 else None


def _middle(targets, weights):
    """Medians of columns, and deviations as far as the middle half tells them: 1 where nothing does."""
    centre = np.array([weighted_quantile(column, weights, 0.5) for column in targets.T])
    distances = np.abs(targets - centre)
    spread = _DEVIATION * np.array([weighted_quantile(column, weights, 0.5) for column in distances.T])
    means = np.average(distances, axis=0, weights=weights)
    spread = np.where(spread > 1e-6 * means, spread, means)
    return centre, np.where(spread > 0, spread, 1.0)
