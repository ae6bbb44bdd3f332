"""The classifier."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from sltrees.estimators.base import NewtonEstimator
from sltrees.estimators.calibration import learn_sharpness, log_probabilities, probabilities
from sltrees.estimators.documentation import documented
from sltrees.estimators.kernel_ridge import MAX_CENTRES
from sltrees.estimators.loss_choice import choose_loss
from sltrees.estimators.parameters import as_eval_set
from sltrees.estimators.targets import indicators_of
from sltrees.losses import HalfMultinomialLoss, LogisticLoss


@documented
class NewtonClassifier(ClassifierMixin, NewtonEstimator):
    """Classification with very wide networks of shifted ReLU neurons, or the kernel that they tend to.

    Each class has an output that learns +1 for it and -1 for the others (two classes share one); the largest output
    wins, and a softmax of them gives probabilities.

    Parameters
    ----------
    %(parameters_of_models)s
    loss : {"squared", "log_loss", "auto"}, default "squared"
        "squared": outputs learn +1 and -1, and probabilities are fitted to those of samples left out. "log_loss": the
        negative logarithm of the probability of the right class is minimised, so that outputs are logits, also
        those of networks. "auto": "log_loss" if with it probabilities of samples left out
        by folds have a log-loss that is smaller by a standard error, else "squared": `loss_`. See the page "Losses".
    class_weight : None, "balanced" or dict, default None
        Factors of the weights of samples: "balanced" gives classes the same total weight, a dict maps labels to
        factors.
    %(parameters_of_runs)s

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Ascending.
    sharpness_ : float
        What outputs are multiplied by before the softmax: learned at samples left out, see
        `sltrees.estimators.calibration`; 1 of networks that were asked for under the log-loss.
    %(attributes_of_choice)s
    validation_score_ : float or None
        Accuracy at samples left out, of what was chosen; None if unknown. Where it was chosen among many it is a little
        too good.
    confusion_ : ndarray of shape (n_classes, n_classes) or None
        The weight of samples of each class (row) for which each class was predicted (column) by a model that had not
        seen them; None if unknown. Of the first fit, where `partial_fit` added samples.
    %(attributes_of_models)s

    Notes
    -----
    Samples with equal rows are learned from as one of their joint weight. Errors are those of observations: each sample
    is left out alone, or with its fold, and others with the same row may stay. A sample of weight 2 is learned from as
    two, and left out as one. The order of samples changes nothing but rounding.

    Cost: O(n^3) time and O(n^2) memory for n distinct rows, with networks for each output; for the kernel of more than
    10,000 distinct rows, O(n) of both.

    References
    ----------
    %(reference)s

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0, 0.1], [0.2, 0.0], [1.0, 0.9], [0.8, 1.0]])
    >>> model = NewtonClassifier(random_state=0).fit(X, ["low", "low", "high", "high"])
    >>> model.predict([[0.1, 0.1], [0.9, 0.9]])
    array(['low', 'high'], dtype='<U4')
    """

    _needs_left_out, _name_in_files = True, "classifier"
    confusion_ = None  # of estimators in pickles that were made before there was this

    def __init__(
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
        class_weight=None,
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
        self.class_weight = class_weight

    def fit(self, X, y, sample_weight=None, eval_set=None, *, X_val=None, y_val=None) -> Self:
        """Learn.

        Parameters
        ----------
        %(samples_or_parts)s
        y : array_like of shape (n,)
            Labels: numbers or strings.
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
        >>> NewtonClassifier("kernel").fit([[0.0], [1.0], [2.0]], [5, 5, 7]).predict([[2.0]])
        array([7])
        """
        return self._fit(X, y, sample_weight, as_eval_set(eval_set, X_val, y_val))

    def partial_fit(self, X, y, classes=None, sample_weight=None) -> Self:
        """Learn from further samples, too.

        Parameters
        ----------
        %(samples_or_parts)s
        y : array_like of shape (n,)
            Labels: numbers or strings.
        classes : array_like, optional
            All labels that will ever come; by default those of the first call.
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
        >>> model = NewtonClassifier("kernel").partial_fit([[0.0], [1.0]], ["a", "b"], classes=["a", "b", "c"])
        >>> model.partial_fit([[5.0]], ["c"]).predict([[5.0]])
        array(['c'], dtype='<U1')
        """
        if not hasattr(self, "fitted_model_"):
            return self._fit(X, y, sample_weight, None, classes)
        if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes must be those of the first call, {self.classes_}, got {np.unique(classes)}")
        return self._extend(X, y, sample_weight)

    def decision_function(self, X) -> npt.NDArray[Any]:
        """Outputs: the larger, the likelier the class.

        Parameters
        ----------
        %(samples)s

        Returns
        -------
        ndarray of shape (n,) for two classes, positive for the second; else of shape (n, n_classes)

        Raises
        ------
        %(errors_of_outputs)s

        Notes
        -----
        %(cost_of_outputs)s

        Examples
        --------
        >>> NewtonClassifier("kernel").fit([[0.0], [1.0], [2.0]], [5, 5, 7]).decision_function([[2.0]]) > 0
        array([ True])
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if len(self.classes_) <= 2 else outputs

    def predict(self, X) -> npt.NDArray[Any]:
        """The likeliest class.

        Parameters
        ----------
        %(samples)s

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        %(errors_of_outputs)s

        Notes
        -----
        %(cost_of_outputs)s

        Examples
        --------
        >>> NewtonClassifier("kernel").fit([[0.0], [1.0], [2.0]], [5, 5, 7]).predict([[0.0], [2.0]])
        array([5, 7])
        """
        outputs = self._outputs(X)
        return self.classes_[self._likeliest(outputs)]

    def predict_proba(self, X) -> npt.NDArray[Any]:
        """Probabilities of the classes, in the order of `classes_`.

        Parameters
        ----------
        %(samples)s

        Returns
        -------
        ndarray of shape (n, n_classes)

        Raises
        ------
        %(errors_of_outputs)s

        Notes
        -----
        %(cost_of_outputs)s

        Examples
        --------
        >>> NewtonClassifier("kernel").fit([[0.0], [1.0], [2.0]], [5, 5, 7]).predict_proba([[2.0]]).shape
        (1, 2)
        """
        outputs = self._outputs(X)
        return np.ones((len(outputs), 1)) if len(self.classes_) == 1 else probabilities(outputs, self.sharpness_)

    def predict_log_proba(self, X) -> npt.NDArray[Any]:
        """Logarithms of the probabilities of the classes, in the order of `classes_`.

        Parameters
        ----------
        %(samples)s

        Returns
        -------
        ndarray of shape (n, n_classes)
            Finite also where a probability is below the least number there is.

        Raises
        ------
        %(errors_of_outputs)s

        Notes
        -----
        %(cost_of_outputs)s

        Examples
        --------
        >>> model = NewtonClassifier("kernel").fit([[0.0], [1.0], [2.0]], [5, 5, 7])
        >>> bool(np.allclose(np.exp(model.predict_log_proba([[2.0]])), model.predict_proba([[2.0]])))
        True
        """
        outputs = self._outputs(X)
        return np.zeros((len(outputs), 1)) if len(self.classes_) == 1 else log_probabilities(outputs, self.sharpness_)

    def _validate_samples(self, X, y, sample_weight, *, reset):
        X, y, weights = self._features_and_targets(X, y, sample_weight, reset)
        check_classification_targets(y)
        return X, y, weights

    def _as_numbers(self, y):
        check_classification_targets(y)
        return indicators_of(y)

    def _learn_coding(self, y, weights, classes):
        self.classes_ = np.unique(y if classes is None else classes)
        totals = np.bincount(self._labels(y), weights, minlength=len(self.classes_))
        self._class_weights = _weights_of_classes(self.class_weight, self.classes_.tolist(), totals)

    def _labels(self, y):
        """Positions among the classes."""
        positions = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
        unknown = self.classes_[positions] != y
        if unknown.any():
            label = y[unknown][:1].tolist()[0]
            raise ValueError(f"y holds {label!r}, which is not among the classes {self.classes_}")
        return positions

    def _code(self, y):
        """+1 for the class of a column, -1 for others; two classes share a column, that of the second."""
        labels = self._labels(y)
        columns = np.arange(len(self.classes_)) if len(self.classes_) > 2 else np.array([1])
        return np.where(labels[:, None] == columns, 1.0, -1.0)

    def _with_class_weights(self, y, weights):
        return weights * self._class_weights[self._labels(y)]

    def _strata(self, Y):
        return Y.argmax(axis=1) if Y.shape[1] > 1 else np.sign(Y[:, 0])

    def _likeliest(self, outputs):
        """Positions of the classes with the largest outputs."""
        if len(self.classes_) == 1:
            return np.zeros(len(outputs), dtype=int)
        return (outputs[:, 0] > 0).astype(int) if len(self.classes_) == 2 else outputs.argmax(axis=1)

    def _is_under_loss(self):
        return self.loss_ != "squared" and len(self.classes_) > 1

    def _loss_of(self, X, y, weights, seed, coded):
        """As of `NewtonEstimator`; of one class there is nothing to learn."""
        if self.loss != "auto":
            return self.loss
        return "squared" if len(self.classes_) == 1 else choose_loss(self, X, y, weights, seed, coded)

    def _posed(self, targets, weights):
        """Loss, targets as it has them and as squared errors suit them, and the units of raw outputs."""
        n_outputs = targets.shape[1]
        loss = LogisticLoss() if n_outputs == 1 else HalfMultinomialLoss()
        return loss, 0.5 * (targets + 1.0), targets, np.zeros(n_outputs), np.ones(n_outputs)

    def _judge(self, y, weights, wanted, left_out):
        """Sets: validation_score_, the accuracy at samples left out, if it is known; sharpness_ of probabilities."""
        self.validation_score_, self.sharpness_, self.confusion_ = None, 1.0, None
        if self._is_under_loss() and len(self.classes_) == 2:
            self.sharpness_ = 0.5  # outputs are logits: the first of two classes has the opposite one
        if len(y):
            left_out = self.centre_ + self.spread_ * left_out
            labels = self._labels(y)
            likeliest, n_classes = self._likeliest(left_out), len(self.classes_)
            self.validation_score_ = float(np.average(likeliest == labels, weights=weights))
            cells = np.bincount(labels * n_classes + likeliest, weights, minlength=n_classes**2)
            self.confusion_ = cells.reshape(n_classes, n_classes)
            learned = learn_sharpness(left_out, labels, weights)
            if not self._is_under_loss():
                self.sharpness_ = learned
            elif self.model != "network":  # of which one fold alone is known
                # logits are as sure as the loss made them, but for what samples left out say that is too much
                self.sharpness_ = min(self.sharpness_, learned)


def _weights_of_classes(class_weight, classes, totals):
    """The weight of each class; `totals` are those of its samples."""
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, str) and class_weight == "balanced":
        there = np.where(totals > 0, totals, np.inf)
        return np.where(totals > 0, totals.sum() / (np.count_nonzero(totals) * there), 1.0)
    if not isinstance(class_weight, dict):
        raise ValueError(f"class_weight must be None, 'balanced' or a dict, got {class_weight!r}")
    unknown = [label for label in class_weight if label not in classes]
    if unknown:
        raise ValueError(f"class_weight must name classes that are there, {classes}, got {unknown}")
    weights = np.array([class_weight.get(label, 1.0) for label in classes], dtype=np.float64)
    if not np.all((weights > 0) & np.isfinite(weights)):
        raise ValueError(f"class_weight must be finite and above 0, got {class_weight}")
    return weights
