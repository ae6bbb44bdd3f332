"""What both estimators have in common: scaling, the choice of a model, learning, files."""

from __future__ import annotations

import copy
import sys
import threading
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sltrees.estimators.columns_of_samples import ColumnsOfSamples
from sltrees.estimators.distinct_samples import distinct_samples, joined_pairs, order_of
from sltrees.estimators.kernel_ridge import EIGEN_SAMPLES, LEFT_OUT_SAMPLES, MAX_CENTRES, KernelRidge
from sltrees.estimators.model_search import (
    INTERRUPTED,
    NETWORK_SAMPLES,
    TOO_MANY,
    SearchWarning,
    hold_out,
    outputs_without,
    search_models,
)
from sltrees.estimators.networks import Networks
from sltrees.estimators.networks_under_loss import extend_networks_under_loss, fit_networks_under_loss
from sltrees.estimators.packing import KIND, pack_estimator, unpack_estimator
from sltrees.estimators.parameters import n_threads_of, seed_of, validate_parameters
from sltrees.estimators.parted.collections import is_collection
from sltrees.estimators.parted.learning import extend_parts, fit_parts
from sltrees.estimators.progress import Progress
from sltrees.estimators.scaling_choice import choose_scaling
from sltrees.estimators.selection import with_scalings
from sltrees.estimators.targets import centre_and_spread, error_left_out
from sltrees.estimators.under_loss import extend_under_loss, fit_under_loss
from sltrees.execution.blas import BlasHold
from sltrees.execution.interrupts import DISGUISES, interrupt_behind
from sltrees.files.archive import read_archive, write_archive
from sltrees.files.contents import making_sense

KERNEL_SHIFT = 1.0
SHARE_LEFT_OUT = 5  # one in so many of many samples is, where features are coded by targets
_CLAIMS = threading.Lock()


class NewtonEstimator(ColumnsOfSamples, BaseEstimator):
    """What regressor and classifier have in common; they differ in how targets are coded as columns of numbers.

    A subclass says

    - `_needs_left_out`: whether outputs at samples left out are needed even of a model that was asked for;
    - `_name_in_files`: what files call the class;
    - `_validate_samples(X, y, sample_weight, reset)`: X of float64, y and weights, checked, of samples of weight above
      0; `reset`: they are those of a first fit;
    - `_as_numbers(y)`: targets that columns of many categories are encoded by, shape (n, outputs);
    - `_learn_coding(y, weights, classes)`: sets what codes targets;
    - `_code(y)`: targets as columns of numbers, shape (n, C);
    - `_with_class_weights(y, weights)`: weights of samples times those of their classes;
    - `_strata(Y)`: what folds are to have equal shares of;
    - `_posed(targets, weights)`: what the loss is of, if it is not the squared error;
    - `_judge(y, weights, wanted, left_out)`: sets what outputs at samples left out tell.
    """

    # of estimators in pickles that were made before there were these parameters
    solver, max_centres, feature_learning, metric, loss = "auto", MAX_CENTRES, False, "diagonal", "squared"
    bends = False
    loss_ = "squared"  # that the model was learned under, whatever `set_params` says since

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
        self.solver = solver
        self.max_centres = max_centres
        self.target_scale = target_scale
        self.bias = bias
        self.standardise = standardise
        self.evenness = evenness
        self.bends = bends
        self.feature_learning = feature_learning
        self.metric = metric
        self.categorical_features = categorical_features
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

    _learning = None  # who is, while somebody is

    def _alone(self, learn, *arguments):
        """The result of a call that learns, while no other does: RuntimeError if one is under way.

        BLAS is held to one thread from the beginning to the end: between two calls that hold it, threads of its own
        would wait for work on a processor that ours have work for, and results would depend on how many there are.
        """
        me, hold, handled = object(), BlasHold(), sys.exc_info()[1]
        try:
            with _CLAIMS:
                if self._learning is not None:
                    raise RuntimeError("the estimator is learning already: one fit or partial_fit at a time")
                self._learning = me
            hold.begin()
            return learn(*arguments)
        except DISGUISES as error:
            interrupt = interrupt_behind(error, handled)
            if interrupt is None:
                raise
            raise interrupt from None
        finally:
            if self._learning is me:  # without a call, so that Ctrl-C cannot fall between
                self._learning = None
            hold.release()

    def __getstate__(self):
        """What copies and pickles hold: nobody learns with them."""
        return {name: value for name, value in super().__getstate__().items() if name != "_learning"}

    def _fit(self, *arguments):
        return self._alone(self._fit_alone, *arguments)

    def _fit_alone(self, X, y, sample_weight, eval_set, classes=None):
        """Learn as another estimator, and be that one in the end: an error leaves this one as it is."""
        validate_parameters(self)
        fresh, handled = copy.copy(self), sys.exc_info()[1]
        model = self._model_to_go_on_with()
        if model is None:
            _forget(fresh)
        try:
            fresh._fit_fresh(X, y, sample_weight, eval_set, classes, model, self)
        except (KeyboardInterrupt, *DISGUISES) as error:
            if interrupt_behind(error, handled) is not None and hasattr(fresh, "fitted_model_"):  # it can predict
                self._become(fresh)
            raise
        self._become(fresh)
        return self

    def _become(self, fresh):
        _forget(self)
        self.__dict__.update(vars(fresh))

    def _fit_fresh(self, X, y, sample_weight, eval_set, classes, model, before):
        """Sets: all that is learned. `model` is one to go on with, of the estimator `before`, or None."""
        seed = seed_of(self.random_state)
        if is_collection(X) or is_collection(y):
            _forget(self)  # the kernel, whatever it was, begins anew
            fit_parts(self, X, y, sample_weight, eval_set, classes, seed)
            return
        X, y, weights = self._validate_samples(X, y, sample_weight, reset=model is None)
        coded = vars(self).pop("_rated", None)
        if coded is not None:  # equal features may be of different categories: nothing depends on which comes first
            order = order_of(np.column_stack([X, coded.codes, coded.parts]), coded.targets, weights)
            X, y, weights, coded = X[order], y[order], weights[order], coded.of(order)
        if model is None:
            self._learn_coding(y, weights, classes)
        targets, weights = self._code(y), self._with_class_weights(y, weights)
        if model is None:
            # with it the distinct samples have the mean weight 1: only ratios of weights count
            n_distinct = len(np.unique(X, axis=0))
            self._weight_unit = float(weights.sum() / n_distinct)
        weights = weights / self._weight_unit
        eval_samples = self._eval_samples(eval_set)
        self.loss_ = self._loss_of(X, y, weights, seed, coded)
        if self._is_under_loss():
            self._refuse_under_loss(targets, eval_samples)
            n_samples = len(X)
            if coded is None:  # whose means are those of samples as they came
                chosen, weights = joined_pairs(X, targets, weights)
                X, y, targets = X[chosen], y[chosen], targets[chosen]
        if self._is_under_loss() and self.model == "network":
            fit_networks_under_loss(self, X, y, targets, weights, eval_samples, seed, n_samples, coded)
            return
        if self._is_under_loss():
            fit_under_loss(self, X, y, targets, weights, eval_samples, seed, n_samples, coded)
            return
        if model is None:
            self.centre_, self.spread_ = centre_and_spread(targets, weights)
        if model is not None:
            distinct = self._scaled(self.scaling_, X, targets, weights)
            eval_samples = self._scaled_eval_set(eval_samples)
            before.fitted_model_ = model.to_keep()
            model.change(**self._training_options(eval_set))
            if self.alpha != "loo":
                model.alpha_ = float(self.alpha)
            model.resume(distinct.X, distinct.Y, distinct.weights, eval_samples)
            return
        progress = Progress() if self.verbose else None
        choice = self._choose_scaling(X, targets, weights, n_distinct, seed, progress, coded)
        distinct = self._scaled(self.scaling_, X, targets, weights)
        coded = None if coded is None else coded.of(distinct.order)
        kernel = self._kernel_of_all(choice, distinct, seed, progress, X[distinct.order], coded)

        def judge(left_out):
            """Say how good outputs of samples left out are, and learn how sure probabilities may be."""
            outputs = np.full(targets.shape, np.nan)
            if left_out is not None:
                outputs[distinct.order] = left_out
            known = ~np.isnan(outputs[:, 0])
            wanted = (targets[known] - self.centre_) / self.spread_
            # here each sample counts as one: their mean weight is 1
            self._judge(y[known], weights[known] * (len(X) / n_distinct), wanted, outputs[known])

        eval_set = self._scaled_eval_set(eval_samples)
        self._shaped_by = self._shaping_parameters()
        self._learn(distinct, X[distinct.order], eval_set, kernel, choice, judge, seed, progress, coded)
        self._report_scalings(choice)

    def _scaled(self, scaling, X, targets, weights):
        """Distinct samples as models know them, with their targets."""
        distinct = distinct_samples(scaling.transform(X), targets, weights)
        return distinct.with_targets(lambda Y: (Y - self.centre_) / self.spread_)

    def _choose_scaling(self, X, targets, weights, n_distinct, seed, advance, coded=None):
        """How columns are scaled. Sets: scaling_, evenness_, feature_scales_, feature_importances_."""
        learning = self.feature_learning
        Y = (targets - self.centre_) / self.spread_
        choice = choose_scaling(
            X,
            Y,
            weights,
            self._strata(Y),
            options=(self.bias, self.standardise),
            evenness=self.evenness,
            bends=self.bends,
            rounds=False if learning == "auto" and self.model == "network" else learning,
            n_folds=self.n_folds,
            metric=self.metric,
            needs_kernel=self.model != "network",
            many=n_distinct > EIGEN_SAMPLES or self.solver == "nystrom",
            kernel=self._kernel_options(),
            # without a random_state the kernel is the same each time, too
            rng=np.random.default_rng(0 if self.random_state is None else seed),
            n_threads=n_threads_of(self.n_jobs),
            coded=coded,
            advance=advance,
        )
        self.scaling_, self.evenness_ = choice.scaling, choice.evenness
        d, learned = X.shape[1], choice.learned
        self.feature_scales_ = np.ones(d) if learned is None else learned.scales
        if learned is not None:
            self.feature_importances_ = self._of_columns(learned.importances)
        return choice

    def _kernel_options(self):
        alpha = self.alpha if isinstance(self.alpha, str) else float(self.alpha)
        return {"shift": self._kernel_shift(), "alpha": alpha}

    def _kernel_of_all(self, choice, distinct, seed, advance, X, coded):
        """The kernel learned from all samples; None if nobody needs it. X and `coded` are of the observations."""
        if choice.kernel is None or choice.are_all:
            return choice.kernel
        kernel = self._kernel_for_many(choice, seed, advance)
        kernel.fit(distinct.X, distinct.Y, distinct.weights, distinct.merged_of)
        if coded is not None:  # what it left out itself is in the features of others
            seen, others = distinct.observations, choice.others(distinct.order)
            out = np.zeros(len(X), dtype=bool)
            out[np.random.default_rng(seed).permutation(others)[: min(len(X) // SHARE_LEFT_OUT, LEFT_OUT_SAMPLES)]] = (
                True
            )
            alike, scale = self._kernel_for_many(choice, seed, advance), choice.scale(**self._kernel_options())
            kernel.left_out_ = outputs_without(alike, X, seen.Y, seen.weights, out, scale, coded)
        kernel.advance = None  # of this call
        return kernel

    def _kernel_for_many(self, choice, seed, advance):
        """The kernel as it is to be learned from more samples than choices were made on."""
        return KernelRidge(
            **self._kernel_options(),
            solver=self.solver,
            max_centres=self.max_centres,
            first_alpha=choice.kernel.alpha_,
            random_state=0 if self.random_state is None else seed,
            n_threads=n_threads_of(self.n_jobs),
            advance=advance,
        )

    def _is_under_loss(self):
        """Whether the loss is not the squared error."""
        return self.loss_ != "squared"

    def _loss_of(self, X, y, weights, seed, coded):
        """The loss that is learned under."""
        return self.loss

    def _refuse_under_loss(self, targets, eval_samples):
        """ValueError for an evaluation set that only the squared error has; and for targets, by some estimators."""
        if eval_samples is not None and self.model == "kernel":
            raise ValueError(f"eval_set must be None for the loss {self.loss!r}: the kernel does not look at it")

    def _coded(self, y, weights):
        """Targets and weights of samples of weight above 0 as the model knows them, after the first fit."""
        targets, weights = self._code(y), self._with_class_weights(y, weights)
        return (targets - self.centre_) / self.spread_, weights / self._weight_unit

    def _report_scalings(self, choice):
        """Put what was compared of scalings into the table of candidates, behind all others. Sets: selection_."""
        self.selection_ = with_scalings(self.selection_, choice, self.evenness_, self.feature_learning == "auto")

    def _learn(self, distinct, X, eval_set, kernel, choice, judge, seed, progress, coded):
        """Choose a model and learn. Sets: fitted_model_, selection_, model_, and what `judge` does.

        X are the observations of `distinct`, not scaled, and `coded` is of these.
        """
        search, seen, scale = None, distinct.observations, choice.scale(**self._kernel_options())
        rows = distinct.X[seen.groups] if scale is None else X
        each = rows, seen.Y, seen.weights, self._strata(seen.Y)  # one by one
        if self.model == "network":
            self.selection_ = {"model": ["network"], "error": [None], "outcome": ["asked for"]}
        else:
            # first of all: whatever is interrupted from here on leaves something that predicts
            left_out = choice.honest(kernel.left_out_, distinct.order)
            self._adopt(kernel, "kernel", judge, left_out)
            error = error_left_out(left_out, seen)
            self.selection_ = {"model": ["kernel"], "error": [error], "outcome": ["asked for"]}
        too_many = len(distinct.X) > NETWORK_SAMPLES
        if self.model == "auto" and too_many:
            self.selection_["outcome"] = [TOO_MANY]
        elif self.model == "auto":
            self.selection_["outcome"] = [INTERRUPTED]
            search = search_models(
                *each,
                shift=self._kernel_shift(),
                n_folds=self.n_folds,
                seconds=self.search_seconds,
                random_state=seed,
                n_threads=n_threads_of(self.n_jobs),
                scale=scale,
                out_of_fold=choice.out_of_fold(distinct.order),
                alpha=self._kernel_options()["alpha"] if coded is None else kernel.alpha_,
                first_alpha=kernel.alpha_,
                coded=coded,
                advance=progress,
            )
            if search.chosen is None:
                self.selection_ = search.table
            if search.shortage is not None:
                warnings.warn(search.shortage, SearchWarning, stacklevel=7)  # of who calls fit
        if progress is not None:
            progress.end()  # what networks say of their training are lines
        if self.model == "kernel" or (self.model == "auto" and (search is None or search.chosen is None)):
            return
        training, left_out = self._training_options(eval_set), None
        if search is None:
            model = self._new_networks(seed, **training)
            if self._needs_left_out:
                alike = self._new_networks(
                    seed, tol=self.tol, max_iter=self.max_iter, n_threads=n_threads_of(self.n_jobs)
                )
                left_out = hold_out(alike, *each, self.n_folds, seed, scale, coded)
        else:
            del training["tol"], training["max_iter"]  # as it was measured
            model, left_out = search.chosen.build(seed, dtype=self.dtype, **training), search.left_out
        samples = distinct.X, distinct.Y, distinct.weights
        model.draw(*samples, distinct.merged_of)
        if search is None:
            self._adopt(model, "network", judge, left_out)
            model.resume(*samples, eval_set)
            return
        model.resume(*samples, eval_set)
        self._adopt(model, "network", judge, left_out, search.table)

    def _adopt(self, model, name, judge, left_out, table=None):
        """Sets: fitted_model_, model_, selection_ if it is given, and what `judge` does: all of it, or nothing."""
        before = dict(vars(self))
        try:
            judge(left_out)
            if table is not None:
                self.selection_ = table
            self.fitted_model_, self.model_ = model, name
        except BaseException:
            self.__dict__.update(before)
            raise

    def _kernel_shift(self):
        """The shift of the kernel; where networks have a policy, a usual one: scalings are compared by it alone."""
        return KERNEL_SHIFT if isinstance(self.shift, str) else float(self.shift)

    def _new_networks(self, random_state, **training):
        """Networks as the parameters ask for them."""
        asked_for = {
            "width": self.width,
            "shift": self.shift,
            "alpha": self.alpha if isinstance(self.alpha, str) else float(self.alpha),
            "target_scale": float(self.target_scale),
            "dtype": self.dtype,
            "random_state": random_state,
        }
        return Networks(**asked_for | training)

    def _training_options(self, eval_set):
        return {
            "tol": self.tol,
            "max_iter": self.max_iter,
            "patience": None if eval_set is None else self.patience,
            "callbacks": tuple(self.callbacks),
            "verbose": int(self.verbose),
            "n_threads": n_threads_of(self.n_jobs),
            "executor": self.executor,
        }

    def _model_to_go_on_with(self):
        """The networks to go on with: if warm_start asks for it, and what is there is still what is asked for."""
        model = getattr(self, "fitted_model_", None)
        if not self.warm_start or self.loss != "squared" or not isinstance(model, Networks):
            return None
        if self._shaping_parameters() != self._shaped_by:
            return None
        return model

    def _shaping_parameters(self):
        """The parameters that networks which are trained on cannot change."""
        names = {"model", "width", "shift", "target_scale", "bias", "standardise", "evenness", "class_weight", "dtype"}
        names |= {"bends", "feature_learning", "metric", "categorical_features"}
        return {name: value for name, value in self.get_params(deep=False).items() if name in names}

    def _extend(self, *arguments):
        return self._alone(self._extend_alone, *arguments)

    def _extend_alone(self, X, y, sample_weight):
        """Learn from further samples, too, with scaling, coding and model as they are: all, or after an error none."""
        validate_parameters(self)
        if self.loss not in (self.loss_, "auto"):
            raise ValueError(f"loss must be {self.loss_!r} as in fit, got {self.loss!r}")
        if is_collection(X) or is_collection(y):
            extend_parts(self, X, y, sample_weight)
            return self
        X, y, weights = self._validate_samples(X, y, sample_weight, reset=False)
        with np.errstate(over="ignore"):
            targets, weights = self._code(y), self._with_class_weights(y, weights) / self._weight_unit
        if not np.isfinite(weights.sum()):
            raise ValueError("sample_weight must not be larger than those of the first call by more than float64 holds")
        if len(X) and self._is_under_loss():
            extend = extend_networks_under_loss if isinstance(self.fitted_model_, Networks) else extend_under_loss
            extend(self, X, targets, weights)
        elif len(X):
            Y = (targets - self.centre_) / self.spread_
            X, fresh = self.scaling_.transform(X), self.fitted_model_.to_extend()
            fresh.n_threads, progress = n_threads_of(self.n_jobs), Progress() if self.verbose else None
            if isinstance(fresh, Networks):
                fresh.change(**self._training_options(None))
            else:
                fresh.advance = progress
            try:
                fresh.extend(X, Y, weights)
                if progress is not None:
                    fresh.advance = None
                    progress.end()
                self.fitted_model_ = fresh
            except KeyboardInterrupt:
                self.fitted_model_ = fresh  # whole, as far as it is trained; the next call makes up for the rest
                raise
        return self

    def _outputs(self, X):
        """Outputs in the units of the coded targets, shape (n, C)."""
        check_is_fitted(self, "fitted_model_")
        X = self._features(X)
        self.fitted_model_.n_threads = n_threads_of(self.n_jobs)
        return self.centre_ + self.spread_ * self.fitted_model_.predict(self.scaling_.transform(X))

    @property
    def n_iter_(self) -> Any:
        """Newton steps of the last training, the most of any output; 1 for the kernel, which is solved at once."""
        if isinstance(self.fitted_model_, KernelRidge):
            return 1
        return max((1, *(result.n_iter for result in self.fitted_model_.results_)))

    @property
    def history_(self) -> Any:
        """For each output the records of its last training, a list of `IterationRecord`; none for the kernel."""
        return [result.history for result in getattr(self.fitted_model_, "results_", ())]

    # ------------------------------------------------------------------ files

    def save(self, path) -> None:
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
        >>> from sltrees.estimators import NewtonRegressor
        >>> path = tempfile.mkdtemp() + "/model.npz"
        >>> NewtonRegressor("kernel").fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]).save(path)
        >>> NewtonRegressor.load(path).predict([[1.0]]).round(2)
        array([1.])
        """
        check_is_fitted(self, "fitted_model_")
        write_archive(path, KIND, *pack_estimator(self))

    @classmethod
    def load(cls, path) -> Self:
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
        >>> from sltrees.estimators import NewtonClassifier
        >>> path = tempfile.mkdtemp() + "/model.npz"
        >>> NewtonClassifier("kernel").fit([[0.0], [1.0], [2.0]], ["a", "b", "b"]).save(path)
        >>> NewtonClassifier.load(path).predict([[0.0], [2.0]])
        array(['a', 'b'], dtype='<U1')
        """
        _, header, arrays, _ = read_archive(path, KIND)
        with making_sense(path, repr(KIND)):
            return unpack_estimator(header, arrays, cls)

    # ------------------------------------------------------------------ checks

    def _eval_samples(self, eval_set):
        """Samples and coded targets of an evaluation set; None for None."""
        if eval_set is None:
            return None
        pair = eval_set[0] if isinstance(eval_set, list) and len(eval_set) == 1 else eval_set
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise ValueError("eval_set must be a pair (X, y), or a list of one such pair")
        X, y, _ = self._validate_samples(*pair, None, reset=False)
        return X, self._code(y)

    def _scaled_eval_set(self, eval_samples):
        """The same as the model knows samples and targets."""
        if eval_samples is None:
            return None
        X, targets = eval_samples
        return self.scaling_.transform(self._filled(X)), (targets - self.centre_) / self.spread_


def _forget(estimator):
    """Drop what was learned."""
    for name in list(vars(estimator)):
        if name.endswith("_") and not name.startswith("_"):
            delattr(estimator, name)
