"""What regressor and classifier document alike, written once and put into the docstrings of both."""

from __future__ import annotations

import inspect
import re
import textwrap

TEXTS = {
    # ------------------------------------------------------------------ classes
    "parameters_of_models": """\
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
    which is exact for the kernel and for a network linearised at its initial weights. Of more than 1,500 distinct
    samples, by that of 1,500 which are drawn; "nystrom" checks it by samples held out.
solver : {"auto", "cholesky", "nystrom", "exact"}, default "auto"
    Of the kernel. Up to 1,500 distinct samples all but "nystrom" compare all ridges, by eigenvectors. "cholesky": one
    factorisation, O(n^3). "nystrom": functions of some of the samples, the centres, block by block, O(n) for very many
    samples; of more than 40. "exact": the same solution as "cholesky", beyond 20,000 samples by conjugate gradients to
    a residual of 1e-6. "auto": "cholesky" up to 10,000
    distinct samples, "nystrom" beyond.
max_centres : int, default 16384
    Of "nystrom", at most: fewer are taken if more no longer lower the error at samples that are held out.
target_scale : float, default 1.0
    Of "network": targets are multiplied by it and outputs divided. The larger, the farther weights move.
bias : float, default 1.0
    Of the constant column that samples are given, see `sltrees.preprocessing.InputScaling`.
standardise : bool, default True
    Bring columns to mean 0 and divide them by scales. Rows are always scaled to unit norm, after that.
evenness : float or "auto", default "auto"
    Of the scales of columns, see `sltrees.preprocessing.InputScaling`: 1 gives all columns the same weight, 0 keeps
    their proportions. "auto": what gives the kernel the smallest leave-one-out error, of 1, 0.5 and 0.
bends : "auto" or bool, default "auto"
    Whether columns with long tails go through arcsinh first, see `sltrees.preprocessing.InputScaling`. "auto": if that
    lowers the leave-one-out error of the kernel by more than a standard error of the difference.
feature_learning : "auto", False or int, default "auto"
    Rounds in which scales of columns are learned: those along which the kernel model does not vary shrink, so that
    columns that do not matter vanish. "auto": as many as lower errors of folds in which the scales were learned without
    the fold, under the rule of one standard error; none for model="network". See
    `sltrees.estimators.feature_learning`.
metric : {"diagonal", "full"}, default "diagonal"
    What is learned so. "diagonal": scales of columns. "full": a matrix, so that directions shrink that are no columns;
    worth a try where many samples have few features, and liable to overfit small tables.
categorical_features : "from_dtype" or array_like, default "from_dtype"
    The columns to take as categories: their names or positions, or a mask. "from_dtype": those of a frame whose type is
    category, string or object. They are encoded, as dates are, by `sltrees.estimators.FrameEncoder`.
tol, max_iter, patience
    Of `sltrees.NewtonTrainer`, for "network"; `tol`, 1e-3 by default, is in units of the standard deviation of the
    targets, `max_iter` is 50. `patience` counts steps without progress on the `eval_set`.
n_folds : int, default 3
    Of cross-validation: the same folds for rounds of learning scales and for models; for "network" one of so many parts
    is left out once, to see how good it is. Samples with equal rows may be in different folds, as everywhere in
    scikit-learn.
search_seconds : float, default 20.0
    For "auto": the time that cross-validating networks may take, in seconds of one core of a server processor by a
    cost model: it is no clock, so that the result does not depend on the machine. Where it is too short they are
    compared on fewer samples, chosen by `random_state` with equal shares of each class, and a `SearchWarning` says
    so. 0: no search, the kernel.""",
    "parameters_of_runs": """\
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
    The source of weights, folds and samples that are drawn. An int gives the same result each time; None does for the
    kernel alone.
verbose : int, default 0
    1 prints a row per Newton step, and for the kernel of many samples what is done and how long it will take.""",
    "attributes_of_choice": """\
n_features_in_ : int
feature_names_in_ : ndarray of str
    If samples came with names of their columns.
model_ : {"kernel", "network"}
    What was chosen.
selection_ : sltrees.estimators.selection.Selection
    The candidates, a dict of columns that prints as a table (``pandas.DataFrame(estimator.selection_)`` makes a frame):
    "model", "width", "target_scale", "alpha"; "error", the mean squared error by the folds of the comparison of models,
    of targets of mean 0 and variance 1 (of a model that was asked for that at samples left out); "difference" from the
    kernel's error on the same folds, and its "standard_error"; "folds", how many these were; "evenness"; "outcome".
    Where not all rows are of all samples also "samples", how many. Rows of different folds or samples compare by their
    differences, not by their errors. Errors that chose how columns are scaled are in columns of their own:
    "leave_one_out_error" of evennesses and "bends" ("scaling_error", by folds, where columns are coded by means of
    targets), "rounds_error" and "rounds_standard_error" of "rounds" of feature learning.""",
    "attributes_of_models": """\
fitted_model_ : sltrees.estimators.kernel_ridge.KernelRidge or sltrees.estimators.networks.Networks
encoder_ : sltrees.estimators.FrameEncoder or None
    What makes features of X; None where X is numbers alone, which are taken as they are.
scaling_ : sltrees.preprocessing.InputScaling
evenness_ : float
    Of `scaling_`.
feature_scales_ : ndarray of shape (features,)
    What standardised features are multiplied by (without an `encoder_` these are the columns of X): 1, unless scales
    were learned. With metric="full", where they are multiplied by the matrix `scaling_.mixing_`, the norms of its rows.
feature_importances_ : ndarray of shape (d,)
    The share of each column of X in the spread of samples that rounds have scaled, or that one would scale where none
    is used: what the function varies along. Those of columns that vary are equal where it is no better than a constant,
    and where samples are fewer than 20 a fold. Only with `feature_learning`.
feature_ranges_ : ndarray of shape (2, features)
    The least and the largest values that were learned from.
n_iter_ : int
    Newton steps of the last training, the most of any output; 1 for the kernel.
history_ : list of list of IterationRecord
    For each output the steps of its last training; empty for the kernel.""",
    "reference": """\
Deng, Hu, Song, Weinstein, Zhuo, "Training Overparametrized Neural Networks in Sublinear Time", arXiv 2208.04508.""",
    # ------------------------------------------------------------------ methods
    "samples": """\
X : array_like or sparse matrix of shape (n, d)
    Numbers, or a frame of pandas or polars that has categories, strings, booleans and dates, too. NaN and None are
    missing: they become the median, or a category of their own, see `FrameEncoder`; where none was missing in `fit`,
    the mean. Infinities are refused. Sparse matrices are made dense.""",
    "samples_or_parts": """\
X : array_like, sparse matrix, or collection of Dask, of shape (n, d)
    Numbers, or a frame of pandas or polars that has categories, strings, booleans and dates, too. NaN and None are
    missing: they become the median, or a category of their own, see `FrameEncoder`. Infinities are refused. Sparse
    matrices are made dense. With arrays and tables of Dask, of finite numbers, of which y and sample_weight are others,
    the kernel is learned part by part: see the page "Scaling out".""",
    "sample_weight": """\
sample_weight : array_like of shape (n,), optional
    At least 0. Only their ratios count; a sample of weight 0 is left out.""",
    "eval_set": """\
eval_set : tuple (X, y), optional
    Not learned from: networks are told of in their history how well they do there, and end as the best they
    were. No effect on the kernel.
X_val, y_val : array_like, optional
    The same as two arguments, of which a pipeline can transform the first: see the page "Estimators".""",
    "errors_of_learning": """\
TypeError, ValueError
    If a parameter, samples or targets break their rules.
MemoryError
    If there is no room for what the solver needs: n x n matrices for "cholesky".
RuntimeError
    If the estimator is learning already, in another thread or because this is called by a callback.
KeyboardInterrupt
    On Ctrl-C. If there was a model by then, the estimator is that: the kernel, or networks that were asked for, as
    far as they are trained. Else, as after any other error, it is as it was.""",
    "cost_of_fit": """\
Cost: O(n^3) up to 10,000 distinct samples, for the kernel O(n) for each block of centres beyond; with "auto" also what
`search_seconds` allows, for networks that of `NewtonTrainer.fit`.""",
    "notes_of_partial_fit": """\
The first call is one of `fit`. Later ones keep scaling, coding, model and ridge: the kernel learns from all samples
anew, or where there are blocks of centres is corrected; networks are given the neurons that the new samples need
and are trained on. All or nothing: after an error the estimator knows none of the samples, for each output; after
Ctrl-C the next call makes up for outputs that do not know them yet. Cost: O(n^3) for the kernel, that of the new
samples where there are blocks, that of `NewtonTrainer.extend` for networks, of which the rows (near lists and
certificates) as they were are kept in memory until the new ones are trained.""",
    "errors_of_outputs": """\
sklearn.exceptions.NotFittedError
    If `fit` was not called.
ValueError
    If X has another number of columns, or names of columns, or holds what cannot be a number where one must be.""",
    "cost_of_outputs": """\
Cost: O(n_train d) per sample for the kernel, or O(M d) with M centres; O(m d) per output for networks.""",
}

_PLACE = re.compile(r"^( *)%\((\w+)\)s$", re.MULTILINE)


def documented(cls):
    """Put `TEXTS` into the docstrings of a class and its methods: a line "%(samples)s" stands for the text "samples".

    Parameters
    ----------
    cls : type

    Returns
    -------
    type
        The class.

    Notes
    -----
    Cost: O(characters).

    Examples
    --------
    >>> @documented
    ... class Model:
    ...     def predict(self, X):
    ...         '''Predictions.
    ...
    ...         %(cost_of_outputs)s
    ...         '''
    >>> print(inspect.getdoc(Model.predict))
    Predictions.
    <BLANKLINE>
    Cost: O(n_train d) per sample for the kernel, or O(M d) with M centres; O(m d) per output for networks.
    """
    for thing in (cls, *filter(inspect.isfunction, vars(cls).values())):
        if thing.__doc__ is not None:  # it is under python -OO
            thing.__doc__ = _PLACE.sub(lambda place: textwrap.indent(TEXTS[place[2]], place[1]), thing.__doc__)
    return cls
