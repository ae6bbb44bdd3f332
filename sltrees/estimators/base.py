"""Estimators with the conventions of scikit-learn (extra "sklearn")."""

from __future__ import annotations

import copy
import numbers
import os

import numpy as np

from sltrees.callbacks import as_callbacks
from sltrees.estimators.calibration import learn_sharpness, probabilities
from sltrees.estimators.distinct_samples import distinct_samples
from sltrees.estimators.kernel_ridge import KernelRidge, Networks
from sltrees.estimators.model_search import hold_out, search_models
from sltrees.estimators.packing import KIND, pack_estimator, unpack_estimator
from sltrees.execution.threads import default_threads
from sltrees.files.archive import read_archive, write_archive
from sltrees.files.contents import making_sense
from sltrees.network.random_streams import MAX_SEED
from sltrees.preprocessing import InputScaling

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.metrics import r2_score
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError('the estimators need scikit-learn 1.6 or newer: pip install "sltrees[sklearn]"') from error

MODELS = ("auto", "kernel", "network")
EVENNESSES = (1.0, 0.5, 0.0)  # that evenness="auto" compares
KERNEL_SHIFT = 1.0


class _NewtonEstimator(BaseEstimator):
    """What regressor and classifier have in common; they differ in how targets are coded as columns of numbers."""

    def __init__(
        self,
        model="auto",
        *,
        width=4096,
        shift=1.0,
        alpha="loo",
        target_scale=1.0,
        bias=1.0,
        standardise=True,
        evenness="auto",
        tol=1e-3,
        max_iter=50,
        patience=None,
        n_folds=4,
        search_seconds=20.0,
        warm_start=False,
        callbacks=(),
        dtype="float64",
        n_jobs=None,
        executor="threads",
        random_state=None,
        verbose=0,
    ):
        self.model = model
        self.width = width
        self.shift = shift
        self.alpha = alpha
        self.target_scale = target_scale
        self.bias = bias
        self.standardise = standardise
        self.evenness = evenness
        self.tol = tol
        self.max_iter = max_iter
        self.patience = patience
        self.n_folds = n_folds
        self.search_seconds = search_seconds
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.executor = executor
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ------------------------------------------------------------------ learning

    def _fit(self, X, y, sample_weight, eval_set, classes=None):
        """Learn as another estimator, and be that one in the end: an error leaves this one as it is."""
        self._validate_parameters()
        fresh = copy.copy(self)
        model = self._model_to_go_on_with()
        if model is None:
            _forget(fresh)
        try:
            fresh._fit_fresh(X, y, sample_weight, eval_set, classes, model)
        except KeyboardInterrupt:
            if hasattr(fresh, "fitted_model_"):  # it can predict
                self._become(fresh)
            raise
        self._become(fresh)
        return self

    def _become(self, fresh):
        _forget(self)
        self.__dict__.update(vars(fresh))

    def _fit_fresh(self, X, y, sample_weight, eval_set, classes, model):
        """Sets: all that is learned. `model` is one to go on with, or None."""
        seed = self._seed()
        X, y = self._validate_samples(X, y, reset=model is None)
        X, y, weights = self._weighted(X, y, sample_weight)
        if not len(X):
            raise ValueError("sample_weight must be above 0 for at least one sample, got none")
        if model is None:
            self._learn_coding(y, weights, classes)
        targets, weights = self._code(y), self._with_class_weights(y, weights)
        if model is None:
            # with it the distinct samples have the mean weight 1: only ratios of weights count
            self._weight_unit = float(weights.sum() / len(np.unique(X, axis=0)))
        weights = weights / self._weight_unit
        if model is None:
            self.centre_, self.spread_ = _centre_and_spread(targets, weights)
        eval_samples = self._eval_samples(eval_set)
        if model is not None:
            distinct, Y = self._scaled(self.scaling_, X, targets, weights)
            model.__dict__.update(self._training_options(eval_set))
            if self.alpha != "loo":
                model.alpha_ = float(self.alpha)
            model.resume(distinct.X, Y, distinct.weights, self._scaled_eval_set(eval_samples))
            return
        kernel, errors = self._choose_scaling(X, targets, weights)
        distinct, Y = self._scaled(self.scaling_, X, targets, weights)

        def judge(left_out):
            """Say how good outputs of samples left out are, and learn how sure probabilities may be."""
            outputs = np.full(targets.shape, np.nan) if left_out is None else left_out[distinct.groups]
            known = ~np.isnan(outputs[:, 0])
            wanted = (targets[known] - self.centre_) / self.spread_
            self._judge(y[known], weights[known], wanted, outputs[known])

        eval_set = self._scaled_eval_set(eval_samples)
        self._shaped_by = self._shaping_parameters()
        self._learn(distinct.X, Y, distinct.weights, eval_set, kernel, judge, seed)
        self._report_scalings(errors)

    def _scaled(self, scaling, X, targets, weights):
        """Distinct samples, and their targets, as models know them."""
        distinct = distinct_samples(scaling.transform(X), targets, weights)
        return distinct, (distinct.Y - self.centre_) / self.spread_

    def _choose_scaling(self, X, targets, weights):
        """Scale columns so that the kernel has the smallest leave-one-out error. Sets: scaling_, evenness_.

        Returns the kernel, fitted, or None if nobody needs it, and the error for each evenness that was compared.
        """
        auto = isinstance(self.evenness, str)
        evennesses = EVENNESSES if auto and self.standardise else (1.0 if auto else float(self.evenness),)
        scalings = [
            InputScaling(self.bias, self.standardise, evenness).fit(X, sample_weight=weights) for evenness in evennesses
        ]
        kernels = [None]
        if self.model != "network" or len(scalings) > 1:
            kernels = []
            for scaling in scalings:
                distinct, Y = self._scaled(scaling, X, targets, weights)
                alpha = self.alpha if isinstance(self.alpha, str) else float(self.alpha)
                kernel = KernelRidge(shift=self._kernel_shift(), alpha=alpha, n_threads=self._n_threads())
                kernels.append(kernel.fit(distinct.X, Y, distinct.weights))
        errors = [np.inf if kernel is None else kernel.error_ for kernel in kernels]
        best = int(np.argmin(errors))
        self.scaling_, self.evenness_ = scalings[best], evennesses[best]
        return kernels[best], dict(zip(evennesses, errors, strict=True)) if len(errors) > 1 else {}

    def _report_scalings(self, errors):
        """Put what was compared of scalings into the table of candidates, behind all others."""
        table = self.selection_
        n_rows = len(table["model"])
        table["evenness"] = [self.evenness_] * n_rows
        for evenness, error in errors.items():
            if evenness != self.evenness_:
                row = {"model": "kernel", "evenness": evenness, "error": error if np.isfinite(error) else None}
                row["outcome"] = "scales columns worse, by leave-one-out errors"
                for name, column in table.items():
                    column.append(row.get(name))

    def _learn(self, X, Y, weights, eval_set, kernel, judge, seed):
        """Choose a model and learn. Sets: fitted_model_, selection_, model_, and what `judge` does."""
        search = None
        if self.model == "network":
            self.selection_ = {"model": ["network"], "error": [None], "outcome": ["asked for"]}
        else:
            # first of all: whatever is interrupted from here on leaves something that predicts
            self._take(kernel, "kernel", judge, kernel.left_out_)
            error = kernel.error_ if np.isfinite(kernel.error_) else None
            self.selection_ = {"model": ["kernel"], "error": [error], "outcome": ["asked for"]}
        if self.model == "auto":
            self.selection_["outcome"] = ["chosen: interrupted before there was anything to compare"]
            search = search_models(
                X,
                Y,
                weights,
                self._strata(Y),
                shift=self._kernel_shift(),
                n_folds=self.n_folds,
                seconds=self.search_seconds,
                random_state=seed,
                n_threads=self._n_threads(),
            )
            self.selection_ = search.table
        if self.model == "kernel" or (search is not None and search.chosen is None):
            return
        training, left_out = self._training_options(eval_set), None
        if search is None:
            model = self._networks(seed, **training)
            if self._needs_left_out:
                alike = self._networks(seed, tol=self.tol, max_iter=self.max_iter, n_threads=self._n_threads())
                left_out = hold_out(alike, X, Y, weights, self._strata(Y), self.n_folds, seed)
        else:
            del training["tol"], training["max_iter"]  # as it was measured
            model, left_out = search.chosen.build(seed, dtype=self.dtype, **training), search.left_out
        model.draw(X, Y, weights)
        self._take(model, "network", judge, left_out)
        model.resume(X, Y, weights, eval_set)

    def _take(self, model, name, judge, left_out):
        """Sets: fitted_model_, model_, and what `judge` does. It can predict, trained or not."""
        judge(left_out)
        self.fitted_model_, self.model_ = model, name

    def _kernel_shift(self):
        """The shift of the kernel; where networks have a policy, a usual one: scalings are compared by it alone."""
        return KERNEL_SHIFT if isinstance(self.shift, str) else float(self.shift)

    def _networks(self, random_state, **training):
        """Networks as the parameters ask for them."""
        return Networks(
            width=self.width,
            shift=self.shift,
            alpha=self.alpha if isinstance(self.alpha, str) else float(self.alpha),
            target_scale=float(self.target_scale),
            dtype=self.dtype,
            random_state=random_state,
            **training,
        )

    def _training_options(self, eval_set):
        return {
            "tol": self.tol,
            "max_iter": self.max_iter,
            "patience": None if eval_set is None else self.patience,
            "callbacks": tuple(self.callbacks),
            "verbose": int(self.verbose),
            "n_threads": self._n_threads(),
            "executor": self.executor,
        }

    def _model_to_go_on_with(self):
        """The networks to go on with: if warm_start asks for it, and what is there is still what is asked for."""
        model = getattr(self, "fitted_model_", None)
        if not self.warm_start or not isinstance(model, Networks) or self._shaping_parameters() != self._shaped_by:
            return None
        return model

    def _shaping_parameters(self):
        """The parameters that networks which are trained on cannot change."""
        names = {"model", "width", "shift", "target_scale", "bias", "standardise", "evenness", "class_weight", "dtype"}
        return {name: value for name, value in self.get_params(deep=False).items() if name in names}

    def _extend(self, X, y, sample_weight):
        """Learn from further samples, too, with scaling, coding and model as they are."""
        self._validate_parameters()
        X, y = self._validate_samples(X, y, reset=False)
        X, y, weights = self._weighted(X, y, sample_weight)
        targets, weights = self._code(y), self._with_class_weights(y, weights) / self._weight_unit
        if len(X):
            Y = (targets - self.centre_) / self.spread_
            model = self.fitted_model_
            model.n_threads = self._n_threads()
            if isinstance(model, Networks):
                model.__dict__.update(self._training_options(None))
            model.extend(self.scaling_.transform(X), Y, weights)
        return self

    def _outputs(self, X):
        """Outputs in the units of the coded targets, shape (n, C)."""
        check_is_fitted(self, "fitted_model_")
        X = _as_dense(validate_data(self, X, reset=False, dtype=np.float64, accept_sparse="csr"))
        self.fitted_model_.n_threads = self._n_threads()
        return self.centre_ + self.spread_ * self.fitted_model_.predict(self.scaling_.transform(X))

    @property
    def n_iter_(self):
        """Newton steps of the last training, the most of any output; 1 for the kernel, which is solved at once."""
        if isinstance(self.fitted_model_, KernelRidge):
            return 1
        return max((1, *(result.n_iter for result in self.fitted_model_.results_)))

    @property
    def history_(self):
        """For each output the records of its last training, a list of `IterationRecord`; none for the kernel."""
        return [result.history for result in getattr(self.fitted_model_, "results_", ())]

    # ------------------------------------------------------------------ files

    def save(self, path):
        """Write the fitted estimator to a file, which takes the place of the one that was there in one instant.

        Parameters
        ----------
        path : str or os.PathLike
            Nothing is appended to the name.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If it was not fitted.
        OSError
            If the file cannot be written. What was there before is untouched after any of these.

        Notes
        -----
        An npz file without pickle: see `sltrees.files.archive.write_archive`. Callbacks, and a `random_state` that is a
        generator, are left behind. Cost: O(bytes).

        Examples
        --------
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/model.npz"
        >>> NewtonRegressor("kernel").fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]).save(path)
        >>> NewtonRegressor.load(path).predict([[1.0]]).round(2)
        array([1.])
        """
        check_is_fitted(self, "fitted_model_")
        write_archive(path, KIND, *pack_estimator(self))

    @classmethod
    def load(cls, path):
        """Read an estimator that was saved.

        Parameters
        ----------
        path : str or os.PathLike

        Returns
        -------
        NewtonRegressor or NewtonClassifier
            It predicts the same, bit for bit, and learns from further samples.

        Raises
        ------
        sltrees.files.archive.ArchiveError
            If the file is foreign, damaged, of a newer version, or holds something else. Nothing in it is ever run.
        OSError
            If there is no such file, or it cannot be read.

        Notes
        -----
        Cost: O(bytes).

        Examples
        --------
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/model.npz"
        >>> NewtonClassifier("kernel").fit([[0.0], [1.0], [2.0]], ["a", "b", "b"]).save(path)
        >>> NewtonClassifier.load(path).predict([[0.0], [2.0]])
        array(['a', 'b'], dtype='<U1')
        """
        _, header, arrays, _ = read_archive(path, KIND)
        with making_sense(path, repr(KIND)):
            return unpack_estimator(header, arrays, cls)

    # ------------------------------------------------------------------ checks

    def _validate_parameters(self):
        def require(good, rule, value):
            if not good:
                raise ValueError(f"{rule}, got {value!r}")

        def is_real(value):
            return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))

        require(self.model in MODELS, f"model must be one of {', '.join(map(repr, MODELS))}", self.model)
        loo = isinstance(self.alpha, str) and self.alpha == "loo"
        require(
            loo or (is_real(self.alpha) and 0 < self.alpha < np.inf),
            "alpha must be 'loo' or finite and above 0",
            self.alpha,
        )
        require(
            is_real(self.target_scale) and 0 < self.target_scale < np.inf,
            "target_scale must be finite and above 0",
            self.target_scale,
        )
        is_count = isinstance(self.n_folds, numbers.Integral) and self.n_folds >= 2
        require(is_count, "n_folds must be an integer, at least 2", self.n_folds)
        require(
            is_real(self.search_seconds) and self.search_seconds >= 0,
            "search_seconds must be at least 0",
            self.search_seconds,
        )
        require(
            self.model == "network" or (is_real(self.shift) and 0 <= self.shift < np.inf),
            f"shift must be a number, at least 0, for model={self.model!r}",
            self.shift,
        )
        for name in ("standardise", "warm_start"):
            require(isinstance(getattr(self, name), (bool, np.bool_)), f"{name} must be a bool", getattr(self, name))
        as_callbacks(self.callbacks)
        auto = isinstance(self.evenness, str)
        require(not auto or self.evenness == "auto", "evenness must be 'auto' or from 0 to 1", self.evenness)
        InputScaling(self.bias, self.standardise, 1.0 if auto else self.evenness)
        self._networks(0, **self._training_options(None))
        if self.patience is not None:
            self._networks(0, patience=self.patience)

    def _weighted(self, X, y, sample_weight):
        """Samples of weight above 0, and their weights."""
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        with np.errstate(over="ignore"):
            total = weights.sum()
        if not np.isfinite(total):
            raise ValueError(f"the sum of sample_weight must be finite in float64, got weights up to {weights.max():g}")
        present = weights > 0
        return (X, y, weights) if present.all() else (X[present], y[present], weights[present])

    def _eval_samples(self, eval_set):
        """Samples and coded targets of an evaluation set; None for None."""
        if eval_set is None:
            return None
        pair = eval_set[0] if isinstance(eval_set, list) and len(eval_set) == 1 else eval_set
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise ValueError("eval_set must be a pair (X, y), or a list of one such pair")
        X, y = self._validate_samples(*pair, reset=False)
        return X, self._code(y)

    def _scaled_eval_set(self, eval_samples):
        """The same as the model knows samples and targets."""
        if eval_samples is None:
            return None
        X, targets = eval_samples
        return self.scaling_.transform(X), (targets - self.centre_) / self.spread_

    def _seed(self):
        state = self.random_state
        if isinstance(state, numbers.Integral) and not isinstance(state, bool):
            if not 0 <= state <= MAX_SEED:
                raise ValueError(f"random_state must be from 0 to 2^128 - 1, got {state!r}")
            return int(state)
        return int(check_random_state(state).randint(2**31))

    def _n_threads(self):
        if self.n_jobs is None:
            limit = os.environ.get("OMP_NUM_THREADS", "")  # where joblib runs workers, it says so here
            return min(default_threads(), int(limit)) if limit.isdigit() and int(limit) else default_threads()
        if not isinstance(self.n_jobs, numbers.Integral) or self.n_jobs == 0:
            raise ValueError(f"n_jobs must be None or an integer other than 0, got {self.n_jobs!r}")
        n_jobs = int(self.n_jobs) if self.n_jobs > 0 else max(1, default_threads() + 1 + int(self.n_jobs))
        return min(n_jobs, default_threads())  # more would only need memory


class NewtonRegressor(RegressorMixin, _NewtonEstimator):
    """Regression with very wide networks of shifted ReLU neurons, or the kernel that they tend to.

    No tuning is needed: inputs and targets are scaled inside, the ridge is chosen by exact leave-one-out errors, and
    cross-validation decides whether weights should move far.

    Parameters
    ----------
    model : {"auto", "kernel", "network"}, default "auto"
        "kernel": the lazy limit, a network so wide that its weights hardly move; it is kernel ridge regression with
        `sltrees.shifted_ntk`. "network": networks of `width` neurons, one for each output, trained by Newton steps.
        "auto": the kernel, unless networks whose weights move far turn out clearly better in cross-validation.
    width : int, default 4096
        m, of "network".
    shift : float, default 1.0
        b. For "network" also "auto", "paper" or "density", see `sltrees.ShiftedReLUNetwork`.
    alpha : float or "loo", default "loo"
        Ridge, relative to the mean of the diagonal of the kernel. "loo": what has the smallest leave-one-out error,
        which is exact for the kernel and for a network linearised at its initial weights.
    target_scale : float, default 1.0
        Of "network": targets are multiplied by it and outputs divided. The larger, the farther weights move.
    bias : float, default 1.0
        Of the constant column that samples are given, see `sltrees.preprocessing.InputScaling`.
    standardise : bool, default True
        Bring columns to mean 0 and divide them by scales. Rows are always scaled to unit norm, after that.
    evenness : float or "auto", default "auto"
        Of the scales of columns, see `sltrees.preprocessing.InputScaling`: 1 gives all columns the same weight, 0 keeps
        their proportions. "auto": what gives the kernel the smallest leave-one-out error, of 1, 0.5 and 0.
    tol, max_iter, patience
        Of `sltrees.NewtonTrainer`, for "network"; `tol`, 1e-3 by default, is in units of the standard deviation of the
        targets, `max_iter` is 50. `patience` counts steps without progress on the `eval_set`.
    n_folds : int, default 4
        Of cross-validation; for "network" one of so many parts is left out once, to see how good it is.
    search_seconds : float, default 20.0
        For "auto": the time that cross-validating networks may take, in seconds of one core of a server processor by a
        cost model: it is no clock, so that the result does not depend on the machine. 0: no search, the kernel.
    warm_start : bool, default False
        Whether `fit` goes on with the networks, scaling and coding of the last fit, and with what that found out about
        models and probabilities. Of parameters `alpha` (if a number), `tol`, `max_iter` and `patience` may have
        changed: if others that shape the model did, or if it is the kernel, `fit` begins anew.
    callbacks : sequence of sltrees.callbacks.Callback, default ()
        Told of the training of each network that is kept, one output after the other.
    dtype : {"float64", "float32"}, default "float64"
        Of networks.
    n_jobs : int, optional
        Threads; -1: one per processor. None: likewise, or as many as the environment variable OMP_NUM_THREADS says,
        where joblib tells its workers. The result does not depend on it.
    executor : {"threads", "inline", "dask"} or sltrees.cluster.dask.executor.DaskExecutor, default "threads"
        Who trains the networks that are kept: see `NewtonTrainer`. The result does not depend on it. It is not in
        files; and an estimator with a DaskExecutor cannot be pickled, nor be given to other processes.
    random_state : int, RandomState or None, default None
        The source of the weights and folds. An int gives the same result each time.
    verbose : int, default 0
        1 prints a row per Newton step.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        If samples came with names of their columns.
    model_ : {"kernel", "network"}
        What was chosen.
    selection_ : dict of str to list
        The candidates, as a table (``pandas.DataFrame(estimator.selection_)``): "model", "width", "target_scale",
        "alpha"; "error", the mean squared error at samples left out, of targets of mean 0 and variance 1; "difference"
        from the kernel's error and its "standard_error"; "folds" that were learned for; "evenness"; "outcome".
    validation_score_ : float or None
        R^2 at samples left out, of what was chosen; None if unknown. Where it was chosen among many it is a little
        too good.
    fitted_model_ : sltrees.estimators.kernel_ridge.KernelRidge or sltrees.estimators.kernel_ridge.Networks
    scaling_ : sltrees.preprocessing.InputScaling
    evenness_ : float
        Of `scaling_`.
    n_iter_ : int
        Newton steps of the last training, the most of any output; 1 for the kernel.
    history_ : list of list of IterationRecord
        For each output the steps of its last training; empty for the kernel.

    Notes
    -----
    Equal samples count as one of their joint weight, so that none is left out and known all the same; the order of
    samples changes nothing but rounding. Cost: O(n^3) time and O(n^2) memory for n distinct samples.

    References
    ----------
    Deng, Hu, Song, Weinstein, Zhuo, "Training Overparametrized Neural Networks in Sublinear Time", arXiv 2208.04508.

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
        X : array_like or sparse matrix of shape (n, d)
            Finite. Sparse matrices are made dense; frames of pandas and polars keep the names of their columns.
        y : array_like of shape (n,) or (n, C)
            Finite.
        sample_weight : array_like of shape (n,), optional
            At least 0. Only their ratios count; a sample of weight 0 is left out.
        eval_set : tuple (X, y), optional
            Not learned from: networks are told of in their history how well they do there, and end as the best they
            were. No effect on the kernel.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter, samples or targets break their rules.
        MemoryError
            If there is no room for n x n matrices.
        KeyboardInterrupt
            On Ctrl-C. If there was a model by then, the estimator is that: the kernel, or networks as far as they were
            trained. Else, as after any other error, it is as it was.

        Notes
        -----
        Cost: O(n^3); with "auto" also what `search_seconds` allows, for networks that of `NewtonTrainer.fit`.

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
        X : array_like or sparse matrix of shape (n, d)
            Finite. Sparse matrices are made dense; frames of pandas and polars keep the names of their columns.
        y : array_like of shape (n,) or (n, C)
            Finite.
        sample_weight : array_like of shape (n,), optional
            At least 0. Only their ratios count; a sample of weight 0 is left out.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter, samples or targets break their rules.
        MemoryError
            If there is no room for n x n matrices.
        KeyboardInterrupt
            On Ctrl-C. If there was a model by then, the estimator is that: the kernel, or networks as far as they were
            trained. Else, as after any other error, it is as it was.

        Notes
        -----
        The first call is one of `fit`. Later ones keep scaling, coding, model and ridge: the kernel learns from all
        samples anew; networks are given the neurons that the new samples need and are trained on. Cost: O(n^3) for the
        kernel, that of `NewtonTrainer.extend` for networks.

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
        X : array_like or sparse matrix of shape (n, d)
            Finite. Sparse matrices are made dense; frames of pandas and polars keep the names of their columns.

        Returns
        -------
        ndarray of shape (n,) or (n, C), as y was

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` was not called.
        ValueError
            If X has another number of columns, or names of columns, or holds anything but finite numbers.

        Notes
        -----
        Cost: O(n_train (d + 300)) per sample for the kernel, O(m d) per output for networks.

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
        return _as_dense(X), np.asarray(y, dtype=np.float64)

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


class NewtonClassifier(ClassifierMixin, _NewtonEstimator):
    """Classification with very wide networks of shifted ReLU neurons, or the kernel that they tend to.

    Each class has an output that learns +1 for it and -1 for the others (two classes share one); the largest output
    wins, and a softmax of them gives probabilities.

    Parameters
    ----------
    model : {"auto", "kernel", "network"}, default "auto"
        "kernel": the lazy limit, a network so wide that its weights hardly move; it is kernel ridge regression with
        `sltrees.shifted_ntk`. "network": networks of `width` neurons, one for each output, trained by Newton steps.
        "auto": the kernel, unless networks whose weights move far turn out clearly better in cross-validation.
    width : int, default 4096
        m, of "network".
    shift : float, default 1.0
        b. For "network" also "auto", "paper" or "density", see `sltrees.ShiftedReLUNetwork`.
    alpha : float or "loo", default "loo"
        Ridge, relative to the mean of the diagonal of the kernel. "loo": what has the smallest leave-one-out error,
        which is exact for the kernel and for a network linearised at its initial weights.
    target_scale : float, default 1.0
        Of "network": targets are multiplied by it and outputs divided. The larger, the farther weights move.
    bias : float, default 1.0
        Of the constant column that samples are given, see `sltrees.preprocessing.InputScaling`.
    standardise : bool, default True
        Bring columns to mean 0 and divide them by scales. Rows are always scaled to unit norm, after that.
    evenness : float or "auto", default "auto"
        Of the scales of columns, see `sltrees.preprocessing.InputScaling`: 1 gives all columns the same weight, 0 keeps
        their proportions. "auto": what gives the kernel the smallest leave-one-out error, of 1, 0.5 and 0.
    tol, max_iter, patience
        Of `sltrees.NewtonTrainer`, for "network"; `tol`, 1e-3 by default, is in units of the standard deviation of the
        targets, `max_iter` is 50. `patience` counts steps without progress on the `eval_set`.
    n_folds : int, default 4
        Of cross-validation; for "network" one of so many parts is left out once, to see how good it is.
    search_seconds : float, default 20.0
        For "auto": the time that cross-validating networks may take, in seconds of one core of a server processor by a
        cost model: it is no clock, so that the result does not depend on the machine. 0: no search, the kernel.
    class_weight : None, "balanced" or dict, default None
        Factors of the weights of samples: "balanced" gives classes the same total weight, a dict maps labels to
        factors.
    warm_start : bool, default False
        Whether `fit` goes on with the networks, scaling and coding of the last fit, and with what that found out about
        models and probabilities. Of parameters `alpha` (if a number), `tol`, `max_iter` and `patience` may have
        changed: if others that shape the model did, or if it is the kernel, `fit` begins anew.
    callbacks : sequence of sltrees.callbacks.Callback, default ()
        Told of the training of each network that is kept, one output after the other.
    dtype : {"float64", "float32"}, default "float64"
        Of networks.
    n_jobs : int, optional
        Threads; -1: one per processor. None: likewise, or as many as the environment variable OMP_NUM_THREADS says,
        where joblib tells its workers. The result does not depend on it.
    executor : {"threads", "inline", "dask"} or sltrees.cluster.dask.executor.DaskExecutor, default "threads"
        Who trains the networks that are kept: see `NewtonTrainer`. The result does not depend on it. It is not in
        files; and an estimator with a DaskExecutor cannot be pickled, nor be given to other processes.
    random_state : int, RandomState or None, default None
        The source of the weights and folds. An int gives the same result each time.
    verbose : int, default 0
        1 prints a row per Newton step.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Ascending.
    sharpness_ : float
        What outputs are multiplied by before the softmax: learned at samples left out, see
        `sltrees.estimators.calibration`.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        If samples came with names of their columns.
    model_ : {"kernel", "network"}
        What was chosen.
    selection_ : dict of str to list
        The candidates, as a table (``pandas.DataFrame(estimator.selection_)``): "model", "width", "target_scale",
        "alpha"; "error", the mean squared error at samples left out, of targets of mean 0 and variance 1; "difference"
        from the kernel's error and its "standard_error"; "folds" that were learned for; "evenness"; "outcome".
    validation_score_ : float or None
        Accuracy at samples left out, of what was chosen; None if unknown. Where it was chosen among many it is a little
        too good.
    fitted_model_ : sltrees.estimators.kernel_ridge.KernelRidge or sltrees.estimators.kernel_ridge.Networks
    scaling_ : sltrees.preprocessing.InputScaling
    evenness_ : float
        Of `scaling_`.
    n_iter_ : int
        Newton steps of the last training, the most of any output; 1 for the kernel.
    history_ : list of list of IterationRecord
        For each output the steps of its last training; empty for the kernel.

    Notes
    -----
    Equal samples count as one of their joint weight, so that none is left out and known all the same; the order of
    samples changes nothing but rounding. Cost: O(n^3) time and O(n^2) memory for n distinct samples, with networks for
    each output.

    References
    ----------
    Deng, Hu, Song, Weinstein, Zhuo, "Training Overparametrized Neural Networks in Sublinear Time", arXiv 2208.04508.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0, 0.1], [0.2, 0.0], [1.0, 0.9], [0.8, 1.0]])
    >>> model = NewtonClassifier(random_state=0).fit(X, ["low", "low", "high", "high"])
    >>> model.predict([[0.1, 0.1], [0.9, 0.9]])
    array(['low', 'high'], dtype='<U4')
    """

    _needs_left_out, _name_in_files = True, "classifier"

    def __init__(
        self,
        model="auto",
        *,
        width=4096,
        shift=1.0,
        alpha="loo",
        target_scale=1.0,
        bias=1.0,
        standardise=True,
        evenness="auto",
        tol=1e-3,
        max_iter=50,
        patience=None,
        n_folds=4,
        search_seconds=20.0,
        class_weight=None,
        warm_start=False,
        callbacks=(),
        dtype="float64",
        n_jobs=None,
        executor="threads",
        random_state=None,
        verbose=0,
    ):
        super().__init__(
            model,
            width=width,
            shift=shift,
            alpha=alpha,
            target_scale=target_scale,
            bias=bias,
            standardise=standardise,
            evenness=evenness,
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
        self.class_weight = class_weight

    def fit(self, X, y, sample_weight=None, eval_set=None):
        """Learn.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, d)
            Finite. Sparse matrices are made dense; frames of pandas and polars keep the names of their columns.
        y : array_like of shape (n,)
            Labels: numbers or strings.
        sample_weight : array_like of shape (n,), optional
            At least 0. Only their ratios count; a sample of weight 0 is left out.
        eval_set : tuple (X, y), optional
            Not learned from: networks are told of in their history how well they do there, and end as the best they
            were. No effect on the kernel.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter, samples or targets break their rules.
        MemoryError
            If there is no room for n x n matrices.
        KeyboardInterrupt
            On Ctrl-C. If there was a model by then, the estimator is that: the kernel, or networks as far as they were
            trained. Else, as after any other error, it is as it was.

        Notes
        -----
        Cost: O(n^3); with "auto" also what `search_seconds` allows, for networks that of `NewtonTrainer.fit`.

        Examples
        --------
        >>> NewtonClassifier("kernel").fit([[0.0], [1.0], [2.0]], [5, 5, 7]).predict([[2.0]])
        array([7])
        """
        return self._fit(X, y, sample_weight, eval_set)

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Learn from further samples, too.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, d)
            Finite. Sparse matrices are made dense; frames of pandas and polars keep the names of their columns.
        y : array_like of shape (n,)
            Labels: numbers or strings.
        classes : array_like, optional
            All labels that will ever come; by default those of the first call.
        sample_weight : array_like of shape (n,), optional
            At least 0. Only their ratios count; a sample of weight 0 is left out.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter, samples or targets break their rules.
        MemoryError
            If there is no room for n x n matrices.
        KeyboardInterrupt
            On Ctrl-C. If there was a model by then, the estimator is that: the kernel, or networks as far as they were
            trained. Else, as after any other error, it is as it was.

        Notes
        -----
        The first call is one of `fit`. Later ones keep scaling, coding, model and ridge: the kernel learns from all
        samples anew; networks are given the neurons that the new samples need and are trained on. Cost: O(n^3) for the
        kernel, that of `NewtonTrainer.extend` for networks.

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

    def decision_function(self, X):
        """Outputs: the larger, the likelier the class.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, d)
            Finite. Sparse matrices are made dense; frames of pandas and polars keep the names of their columns.

        Returns
        -------
        ndarray of shape (n,) for two classes, positive for the second; else of shape (n, n_classes)

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` was not called.
        ValueError
            If X has another number of columns, or names of columns, or holds anything but finite numbers.

        Notes
        -----
        Cost: O(n_train (d + 300)) per sample for the kernel, O(m d) per output for networks.

        Examples
        --------
        >>> NewtonClassifier("kernel").fit([[0.0], [1.0], [2.0]], [5, 5, 7]).decision_function([[2.0]]) > 0
        array([ True])
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if len(self.classes_) <= 2 else outputs

    def predict(self, X):
        """The likeliest class.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, d)
            Finite. Sparse matrices are made dense; frames of pandas and polars keep the names of their columns.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` was not called.
        ValueError
            If X has another number of columns, or names of columns, or holds anything but finite numbers.

        Notes
        -----
        Cost: O(n_train (d + 300)) per sample for the kernel, O(m d) per output for networks.

        Examples
        --------
        >>> NewtonClassifier("kernel").fit([[0.0], [1.0], [2.0]], [5, 5, 7]).predict([[0.0], [2.0]])
        array([5, 7])
        """
        outputs = self._outputs(X)
        return self.classes_[self._likeliest(outputs)]

    def predict_proba(self, X):
        """Probabilities of the classes, in the order of `classes_`.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, d)
            Finite. Sparse matrices are made dense; frames of pandas and polars keep the names of their columns.

        Returns
        -------
        ndarray of shape (n, n_classes)

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` was not called.
        ValueError
            If X has another number of columns, or names of columns, or holds anything but finite numbers.

        Notes
        -----
        Cost: O(n_train (d + 300)) per sample for the kernel, O(m d) per output for networks.

        Examples
        --------
        >>> NewtonClassifier("kernel").fit([[0.0], [1.0], [2.0]], [5, 5, 7]).predict_proba([[2.0]]).shape
        (1, 2)
        """
        outputs = self._outputs(X)
        return np.ones((len(outputs), 1)) if len(self.classes_) == 1 else probabilities(outputs, self.sharpness_)

    def _validate_samples(self, X, y, *, reset):
        X, y = validate_data(self, X, y, reset=reset, dtype=np.float64, accept_sparse="csr")
        check_classification_targets(y)
        return _as_dense(X), y

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

    def _judge(self, y, weights, wanted, left_out):
        """Sets: validation_score_, the accuracy at samples left out, if it is known; sharpness_ of probabilities."""
        self.validation_score_, self.sharpness_ = None, 1.0
        if len(y):
            left_out = self.centre_ + self.spread_ * left_out
            labels = self._labels(y)
            self.validation_score_ = float(np.average(self._likeliest(left_out) == labels, weights=weights))
            self.sharpness_ = learn_sharpness(left_out, labels, weights)


def _forget(estimator):
    """Drop what was learned."""
    for name in list(vars(estimator)):
        if name.endswith("_") and not name.startswith("_"):
            delattr(estimator, name)


def _centre_and_spread(targets, weights):
    """Weighted mean and standard deviation of each column, 1 where it is constant; without overflow."""
    scales = np.abs(targets).max(axis=0)
    scales = np.where(scales > 0, scales, 1.0)
    scaled = targets / scales
    centre = weights @ scaled / weights.sum()
    spread = np.sqrt(weights @ (scaled - centre) ** 2 / weights.sum())
    return centre * scales, np.where(spread > 1e-12 * np.abs(centre), spread * scales, 1.0)


def _as_dense(X):
    return X.toarray() if hasattr(X, "toarray") else X


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
