"""The trainer: Gauss-Newton steps with damping on a shifted-ReLU network.

With residual e = f - y, displacement D = W - W(0), ridge alpha >= 0 towards W(0) and damping lam >= 0, c = alpha + lam,
the step p minimises |e + J p|^2/2 + alpha |D + p|^2/2 + lam |p|^2/2::

    solve (G + c I) g = e - (alpha/c) J D       G = J J^T; alpha = 0: the last term is absent
    D <- (1 - alpha/c) D - J^T g

so that e + J p = c g is the predicted residual. The loss |e|^2/2 + alpha |D|^2/2 never rises, but for rounding of the
weights in the dtype of the network: a step that raises it is refused, and lam raised. alpha and lam are given relative
to trace(G)/n at the first call of `fit` on a set of samples.

Weights s of the samples turn |e|^2 into sum_i s_i e_i^2, as if each sample were there s_i times: then e, J and J D
stand for themselves times s^(1/2), row by row, g for g / s^(1/2), and n for sum_i s_i. In the code "scaled" is what is
meant so.
"""

from __future__ import annotations

import contextlib
import time
import typing
import warnings

import numpy as np

from sltrees._memory import array_bytes, physical_memory
from sltrees._validation import (
    as_choice,
    as_flag,
    as_integer,
    as_max_memory,
    as_non_negative,
    as_real_vector,
    as_sample_weight,
    as_targets,
)
from sltrees.callbacks import Checkpoint, PrintProgress, as_callbacks
from sltrees.cluster.choose import LOCAL_EXECUTORS, as_executor, make_executor
from sltrees.cluster.messages import ClusterLostError
from sltrees.gram.matrix import MAX_GRAM, GramMatrix
from sltrees.gram.matrix_free import MatrixFreeGram
from sltrees.linalg.leave_one_out import ALPHAS, RidgeProblem
from sltrees.methods.bpsw import BPSWHadamardMethod, BPSWMethod
from sltrees.methods.certified.method import CertifiedMethod
from sltrees.methods.dense import DenseMethod
from sltrees.methods.trees import TreesMethod
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.network import ShiftedReLUNetwork, sample_fingerprint
from sltrees.network.shift import resolve_shift
from sltrees.records import MESSAGES, PHASES, RIDGE_MESSAGE, IterationRecord, TrainingResult, TrainingStatus
from sltrees.training.damping import LevenbergMarquardt
from sltrees.training.lineage import GRAMS, Lineage, read_checkpoint
from sltrees.training.validation_set import ValidationSet

# What decides how a run goes, besides network and data.
RUN_PARAMETERS = ("method", "alpha", "tol", "max_iter", "max_gram", "patience", "restore_best")

METHODS = {
    "certified": CertifiedMethod,
    "trees": TreesMethod,
    "dense": DenseMethod,
    "bpsw": BPSWMethod,
    "bpsw-srht": BPSWHadamardMethod,
}

# A predicted decrease of the loss below this share of it is rounding.
NEGLIGIBLE_DECREASE = 16 * np.finfo(np.float64).eps

# Outputs carried along are computed anew from the weights before their rounding error could change the decrease of the
# loss by this share.
NEGLIGIBLE_DOUBT = 0.05

# Without a ridge, a loss that falls by less than this share in several steps running has reached its floor. (Minima
# often lie on kinks, where neurons start and stop firing however short the step, so the gradient need not vanish.)
FLAT_DECREASE = 1e-8
FLAT_STEPS = 3


class NewtonTrainer:
    """Train a `ShiftedReLUNetwork` by damped Gauss-Newton steps.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        Trained in place. One that was trained before goes on from where it is.
    method : {"certified", "trees", "dense", "bpsw", "bpsw-srht"}, default "certified"
        "certified": visit only the neurons that may have changed their firing pattern; certificates say which cannot.
        "trees": each iteration asks correlation trees which neurons fire, forms G from the fired pairs alone,
        solves, and updates the moved weights in the trees. The others leave no neuron out, and are there to measure
        by: "dense" forms G in O(m n^2); "bpsw" solves with G by conjugate gradients to a backward error of 1e-8,
        preconditioned by a sketch of random signs, "bpsw-srht" by one of a subsampled Hadamard transform. All take the
        same steps, up to rounding or that error.
    alpha : float or "loo", default 0.0
        Ridge towards the initial weights, relative to trace(G)/n when the network was first trained on the samples.
        "loo": that of `sltrees.linalg.leave_one_out.ALPHAS` with the smallest leave-one-out error of the network
        linearised where `fit` begins: exact, and a good choice where weights move little, that is, for wide networks.
    tol : float, default 1e-6
        Training stops when the training RMSE is at most `tol`; with alpha > 0, also when a full step would change the
        training outputs by at most `tol` in root mean square, or when the loss fell by less than the share `tol` in
        each of three steps.
    max_iter : int, default 50
        Iterations at most, refused steps included.
    n_threads : int, optional
        By default one per processor. The result does not depend on it.
    executor : {"threads", "inline", "dask"} or sltrees.cluster.dask.executor.DaskExecutor, default "threads"
        Who runs the blocks of neurons: a pool of `n_threads` threads, the calling thread, or ("certified" only) the
        workers of a Dask cluster. "dask" starts one on this machine for each call. The result does not depend on it;
        that of further calls differs by rounding where the network moved in between.
    max_memory : float, optional
        Bytes that may be used; by default all that the machine has.
    max_gram : int, optional
        The largest number of samples for which G is held as an n x n array; beyond, its systems are solved by products
        with it alone ("certified" only). By default 20,000, or fewer where memory does not allow it.
    patience : int, optional
        With an `eval_set`, training stops when so many accepted steps in a row have not lowered the RMSE on it; by
        default it never does for that.
    restore_best : bool, default True
        With an `eval_set`, leave the network with the weights of the lowest RMSE on it, whatever ended training but
        Ctrl-C. They are copied when they are reached: k d numbers of memory for k materialised neurons.
    callbacks : sequence of sltrees.callbacks.Callback, default ()
    verbose : int, default 0
        1 prints a row per iteration.

    Attributes
    ----------
    n_samples_ : int
        n, once `fit` was called.
    n_validation_samples_ : int
        Those of `eval_set`, likewise; 0 without one.
    alpha_ : float
        The ridge, likewise.

    Raises
    ------
    TypeError, ValueError
        If a parameter breaks its rule.

    References
    ----------
    Deng, Hu, Song, Weinstein, Zhuo, "Training Overparametrized Neural Networks in Sublinear Time", arXiv 2208.04508,
    Algorithm 1 and Theorem 1.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 8))
    >>> X /= np.linalg.norm(X, axis=1, keepdims=True)
    >>> y = X[:, 0] * X[:, 1]
    >>> network = ShiftedReLUNetwork(2**13, shift="paper", random_state=0, dtype="float64")
    >>> result = NewtonTrainer(network, tol=1e-10).fit(X, y)
    >>> result.status, result.rmse < 1e-10
    ('converged', True)
    """

    def __init__(
        self,
        network,
        *,
        method="certified",
        alpha=0.0,
        tol=1e-6,
        max_iter=50,
        n_threads=None,
        executor="threads",
        max_memory=None,
        max_gram=None,
        patience=None,
        restore_best=True,
        callbacks=(),
        verbose=0,
    ):
        if not isinstance(network, ShiftedReLUNetwork):
            raise TypeError(f"network must be a ShiftedReLUNetwork, got {type(network).__name__}")
        self.network = network
        self.method = as_choice(method, "method", tuple(METHODS))
        self.alpha = alpha if isinstance(alpha, str) and alpha == "loo" else as_non_negative(alpha, "alpha")
        self.tol = as_non_negative(tol, "tol")
        self.max_iter = as_integer(max_iter, "max_iter", minimum=0)
        self.n_threads = None if n_threads is None else as_integer(n_threads, "n_threads", minimum=1)
        self.executor = as_executor(executor)
        if self.method != "certified" and self.executor not in LOCAL_EXECUTORS:
            raise ValueError(f"executor 'dask' runs method 'certified' alone, got method {self.method!r}")
        self.max_memory = as_max_memory(max_memory)
        self.max_gram = None if max_gram is None else as_integer(max_gram, "max_gram", minimum=0)
        self.patience = None if patience is None else as_integer(patience, "patience", minimum=1)
        self.restore_best = as_flag(restore_best, "restore_best")
        self.callbacks = as_callbacks(callbacks)
        self.verbose = as_integer(verbose, "verbose", minimum=0)
        self._samples = None  # (X, y, sample_weight) of the last call of fit that drew its network
        self._lineage = None  # of the run that is under way, if a callback wants it
        self._resumed = None  # the lineage that the next run has to replay

    @classmethod
    def from_checkpoint(cls, path, *, n_threads=None, executor="threads", max_memory=None, callbacks=(), verbose=0):
        """A trainer whose `fit` goes on where a run was cut off, and ends as that run would have, bit for bit.

        Parameters
        ----------
        path : str or os.PathLike
            Of a `sltrees.callbacks.Checkpoint`.
        n_threads, executor, max_memory : optional
            As of the class: the result does not depend on them.
        callbacks : sequence of sltrees.callbacks.Callback, default ()
            They are told of all iterations, those made before the run was cut off included. Unless there is a
            `Checkpoint` among them, one for `path` is added.
        verbose : int, default 0
            As of the class.

        Returns
        -------
        NewtonTrainer
            With a network as the run found it, and the other parameters of the run. Call its `fit` with the same
            samples and targets (of `extend`: with all, the old ones first) and the same `eval_set`: it raises
            ValueError, and changes nothing, if they are others, and RuntimeError if this machine rounds otherwise than
            the one that wrote the checkpoint.

        Raises
        ------
        sltrees.files.archive.ArchiveError
            If the file is damaged, foreign, of a newer version, or holds no checkpoint: a ValueError.
        OSError
            If there is no such file, or it cannot be read.
        TypeError, ValueError
            If a parameter breaks its rule.

        Notes
        -----
        `fit` draws the network again and replays the iterations of the file: each costs what it cost, but for the
        solution of its system (one factor is made again, or one sketch where G is not held as an array). What is
        replayed is compared with what was recorded, bit for bit. Where that is cut off, too, the file is untouched and
        another call of this method begins anew. A run that had ended ends again in the same way.
        `seconds_elapsed` and `seconds` go on from that of the last iteration in the file.

        Cost: O(bytes) to read the file.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
        >>> from sltrees.callbacks import Callback, Checkpoint
        >>> class PowerCut(Callback):
        ...     def on_iteration(self, trainer, record):
        ...         if record.iteration == 1:
        ...             raise SystemExit
        >>> path = tempfile.mkdtemp() + "/training.npz"
        >>> X, y = np.eye(5), np.arange(5.0)
        >>> trainer = NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0), callbacks=[Checkpoint(path), PowerCut()])
        >>> try:
        ...     result = trainer.fit(X, y)
        ... except SystemExit:
        ...     pass
        >>> resumed = NewtonTrainer.from_checkpoint(path)
        >>> resumed.fit(X, y).status
        'converged'
        >>> uncut = NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0))
        >>> uncut.fit(X, y).status
        'converged'
        >>> resumed.network.digest() == uncut.network.digest()
        True
        """
        options = {"n_threads": n_threads, "executor": executor, "max_memory": max_memory, "verbose": verbose}
        callbacks = tuple(callbacks)
        if not any(isinstance(callback, Checkpoint) for callback in callbacks):
            callbacks += (Checkpoint(path),)
        cls(ShiftedReLUNetwork(2, random_state=0), callbacks=callbacks, **options)  # bad ones are not the file's fault

        def make_trainer(network, parameters):
            if set(parameters) != set(RUN_PARAMETERS):
                raise ValueError(f"'parameters' must be {', '.join(RUN_PARAMETERS)}, got {', '.join(parameters)}")
            return cls(network, callbacks=callbacks, **options, **parameters)

        trainer, lineage = read_checkpoint(path, make_trainer)
        trainer._resumed = lineage
        return trainer

    def fit(self, X, y, *, sample_weight=None, eval_set=None):
        """Train until the training RMSE is at most `tol`.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Finite. Rows of unit norm are what the shift policies are made for.
        y : array_like of shape (n,)
            Finite.
        sample_weight : array_like of shape (n,), optional
            Of the squared errors: finite, above 0. A sample of weight 2 counts as two.
        eval_set : tuple (X_val, y_val), optional
            Samples and targets that are not trained on, of shapes (q, d) and (q,), finite: the history has the RMSE on
            them, and the network ends as that with the lowest (see `patience` and `restore_best`). They change nothing
            else, bit for bit.

        Returns
        -------
        TrainingResult
            Ctrl-C does not raise: it ends training with the status "interrupted", and the network is that
            of the last step taken, with an `eval_set`, too. Calling `fit` again goes on from there. Nor does it raise
            where a cluster is lost: the status is "cluster_lost", and the network is as before, if it was here then.

        Raises
        ------
        TypeError, ValueError
            If X, y, sample_weight or eval_set has the wrong shape or holds anything but finite real numbers, if there
            is a `patience` and no eval_set, or if there are too many samples for alpha="loo".
        MemoryError
            If more than `max_memory` bytes would be needed. The network is as it was after any of these.
        RuntimeError
            If the network is being trained by somebody else; or workers of a cluster compute otherwise.
        sltrees.cluster.messages.ClusterLostError
            If there is no cluster when training begins.

        Warns
        -----
        UserWarning
            If the shift had to be lowered so that neurons fire on every sample.

        Notes
        -----
        Cost, per iteration: O(n^2) to O(n^3) for the Gram system, and for each neuron visited O((c_r + candidates) d),
        with c_r the number of samples on which it fires; with method="trees" O(sum_r c_r^2 + k n d) for k materialised
        neurons. O(m n d) once, to draw the network. See docs/background/how_it_stays_sublinear.md.

        With method="certified" the network keeps what training knows of its neurons, so that another call on the same
        samples goes on without drawing or building anything; `ShiftedReLUNetwork.compact` gives that memory back. (Not
        where weights were restored.) With an `eval_set` each accepted step costs a prediction of it besides, and
        O(active pairs d) to copy the weights if they are the best.

        Examples
        --------
        >>> import numpy as np
        >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
        >>> trainer = NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0), tol=1e-4)
        >>> trainer.fit(np.eye(5), np.arange(5.0)).status
        'converged'
        """
        network = self.network
        network._require_trainable()  # here, too: before anything is said of X
        X = network._as_samples(X)
        y = as_targets(y, "y", len(X))
        weights = as_sample_weight(sample_weight, len(X))
        return self._train(X, y, weights, self._as_validation_set(eval_set, X.shape[1]))

    def extend(self, X_new, y_new, *, sample_weight=None, eval_set=None):
        """Add samples to those trained on, and go on from the weights as they are.

        The network is given the neurons that fire on the new samples and on none of the old ones: with the shift that
        it has, it then is distributed as if all samples had been there from the start. (Trained on no others, it even
        is the same network, up to rounding.)

        Parameters
        ----------
        X_new : array_like of shape (q, d)
            Finite.
        y_new : array_like of shape (q,)
            Finite.
        sample_weight : array_like of shape (q,), optional
            Of the new samples; by default 1 each.
        eval_set : tuple (X_val, y_val), optional
            As of `fit`.

        Returns
        -------
        TrainingResult
            On all samples, the old ones first. Interrupted before anything was drawn, the samples are not added.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As `fit`; then no sample is added.
        RuntimeError
            If `fit` was not called, or the network is being trained by somebody else.

        Notes
        -----
        Cost: O(m q d) to draw (under rejection, in proportion to the neurons that are added), O(k q d) to extend the
        near lists of the k materialised neurons, one visit of each, O(n^2 + pairs) for G, and iterations as of `fit`.
        With method="trees", or where the ridge comes or goes, lists or trees are built anew, O(k n d). With alpha > 0
        the ridge is relative to trace(G)/n at W(0), as it would have been had all samples been there from the start, if
        it was that for the old ones.

        Examples
        --------
        >>> import numpy as np
        >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
        >>> trainer = NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0), tol=1e-4)
        >>> trainer.fit(np.eye(5)[:4], np.arange(4.0)).status
        'converged'
        >>> trainer.extend(np.eye(5)[4:], [4.0]).status
        'converged'
        >>> bool(np.allclose(trainer.network.predict(np.eye(5)), np.arange(5.0), atol=1e-3))
        True
        """
        if self._samples is None:
            raise RuntimeError("there are no samples yet to which others could be added: call fit(X, y) first")
        network = self.network
        network._require_trainable()
        X, y, weights = self._samples
        X_new = network._as_samples(X_new)
        y_new = as_real_vector(y_new, "y_new", np.float64, length=len(X_new))
        new_weights = as_sample_weight(sample_weight, len(X_new))
        if weights is not None or new_weights is not None:
            old = np.ones(len(X)) if weights is None else weights
            weights = np.concatenate([old, np.ones(len(X_new)) if new_weights is None else new_weights])
        validation = self._as_validation_set(eval_set, X.shape[1])
        n_before, X = len(X), np.concatenate([X, X_new])
        y = as_targets(np.concatenate([y, y_new]), "y", len(X))
        return self._train(X, y, weights, validation, n_before=n_before)

    def _train(self, X, y, weights, validation, n_before=0):
        """Run, with a lineage where one is to be replayed, or where a callback wants it."""
        lineage = self._resumed
        if lineage is not None or any(isinstance(callback, Checkpoint) for callback in self.callbacks):
            data = {"X": X, "y": y} | ({} if weights is None else {"sample_weight": weights})
            data |= {} if validation is None else {"X_val": validation.X, "y_val": validation.y}
            if lineage is None:
                parameters = {name: getattr(self, name) for name in RUN_PARAMETERS}
                if n_before and self.alpha == "loo":  # samples that join change no ridge
                    parameters["alpha"] = self.alpha_
                lineage = Lineage.of_new_run(parameters, data, n_before)
            else:
                lineage.check(self.network, data)
        self._lineage = lineage
        try:
            n_before = n_before if lineage is None else lineage.n_before
            return _Run(self, X, y, weights, n_before, validation, lineage).fit()
        finally:
            self._lineage = None
            if lineage is not None and lineage.begun and not lineage.replaying:
                self._resumed = None

    @property
    def has_ridge(self):
        """Whether there may be a ridge: alpha is "loo" or above 0."""
        return self.alpha == "loo" or self.alpha > 0

    def _as_validation_set(self, eval_set, n_columns):
        """A ValidationSet of it, or None."""
        if eval_set is None:
            if self.patience is not None:
                raise ValueError(
                    f"patience={self.patience} needs an eval_set: without one there is nothing to wait for"
                )
            return None
        if not isinstance(eval_set, (tuple, list)) or len(eval_set) != 2:
            raise TypeError(f"eval_set must be a tuple (X_val, y_val), got {type(eval_set).__name__}")
        X = self.network._as_samples(eval_set[0], "X_val", n_columns)
        y = as_targets(eval_set[1], "y_val", len(X))
        return ValidationSet(X, y, patience=self.patience, keep_best=self.restore_best)

    def _choose_gram(self, planes, y, executor, validation=None, lineage=None):
        """GramMatrix or MatrixFreeGram; MemoryError if network and Gram matrix together need more than allowed."""
        network, method, X = self.network, METHODS[self.method], planes.X
        n, d = X.shape
        limit = physical_memory() if self.max_memory is None else self.max_memory
        allowed, n_threads, fits_here = [self.max_memory], executor.n_threads, True
        if executor.is_cluster and self.max_memory is None:
            limit = executor.memory
            allowed = [limit, "all workers together have"]
            fits_here = GramMatrix.bytes_needed(n, n_threads) <= physical_memory()
        gram = GramMatrix.bytes_needed(n, n_threads)
        if self.alpha == "loo":
            gram += 40 * n * n  # the eigenvectors, their squares, and what finding them takes
        # where each neuron could fire on each sample and leave its lists there is nothing to estimate, which takes time
        most = gram + network.width * (64.0 * n + 64.0 * d + 512.0) + 64.0 * n * d
        plain = validation is None and lineage is None and network._method is None
        plain = plain and not issubclass(method, DenseMethod)
        if plain and most <= limit and fits_here and n <= MAX_GRAM and self.max_gram is None:
            return GramMatrix
        neurons = network.neurons_expected(planes)
        without = X.nbytes + array_bytes(*X.shape, dtype=np.float64)
        without += network.bytes_needed(planes, self.n_threads, neurons=neurons)
        if validation is not None:
            without += validation.bytes_needed(neurons, network.dtype)
        needed = method.bytes_needed(network, planes, y, neurons, n_threads)
        kept = network._method
        if lineage is not None:
            without += lineage.bytes_needed(network)
            kept = None  # the run begins anew
        if method is CertifiedMethod and kept is not None and kept.serves(X, self.has_ridge):
            # training goes on with what is there: of that, half may be holes before a pool is closed
            needed = max(needed - 0.5 * kept.bytes_resident, 0.5 * kept.bytes_resident)
        without += needed
        if method.gram_class is not None:
            if self.alpha == "loo":
                raise ValueError(
                    f"alpha='loo' needs the Gram matrix as an array, which method {self.method!r} never forms; "
                    "give alpha as a number"
                )
            network.check_memory(without + method.gram_class.bytes_needed(n), X, *allowed)
            return method.gram_class
        with_array = without + gram
        as_array = with_array <= limit and fits_here and n <= MAX_GRAM if self.max_gram is None else n <= self.max_gram
        if lineage is not None and lineage.gram is not None:
            as_array = GRAMS[lineage.gram] is GramMatrix
        if self.alpha == "loo" and not as_array and method.gram_product is not None:
            raise ValueError(
                f"alpha='loo' needs the Gram matrix as an array, which has no room for {n} samples "
                f"(max_gram {self.max_gram}, max_memory {self.max_memory}); give alpha as a number"
            )
        if as_array or method.gram_product is None:
            network.check_memory(with_array, X, *allowed)
            return GramMatrix
        network.check_memory(without + MatrixFreeGram.bytes_needed(n), X, *allowed)
        return MatrixFreeGram


class _Run:
    """One call of `fit`: its state, and its steps in the order of `fit`."""

    def __init__(self, trainer, X, y, weights, n_before=0, validation=None, lineage=None):
        self.trainer = trainer
        self.X, self.y, self.sample_weight = X, y, weights
        self.is_weighted = _is_weighted(weights)
        self.weights = weights if self.is_weighted else 1.0  # plain 1 changes no bit of what it multiplies
        self.roots = np.sqrt(self.weights)
        self.total_weight = float(weights.sum()) if self.is_weighted else len(y)
        self.validation, self.lineage = validation, lineage
        self.n_before = n_before  # samples that were trained on before others joined
        self.history = []
        self.callbacks = trainer.callbacks + ((PrintProgress(),) if trainer.verbose else ())
        self.method = None
        self.kept = None  # the state that a step being kept leads to
        self.n_kept = 0  # steps that the method had kept before it
        self.restored = None  # shards that the network is about to be given back, and their state
        self.left = None  # the state that it leaves for them
        self.before = None  # of a network that is here, and about to be trained elsewhere
        self.cluster_error = None
        self.state = _State(None, None, 0.0, float("nan"), float("nan"))
        self.started = time.perf_counter()
        self.seconds_setup = 0.0

    def fit(self):
        """Set up, iterate, finish; an interruption at any moment leaves the network at the last step kept."""
        network = self.trainer.network
        network._claim()
        try:
            with make_executor(self.trainer.executor, self.trainer.n_threads) as self.executor:
                try:
                    self.set_up()
                    status = self.iterate()
                    if self.lineage is not None:
                        self.lineage.check_end(status)
                    self.synchronise()
                    self.restore_best()
                    self.method.release()
                except KeyboardInterrupt:
                    status = self.interrupted()
                except ClusterLostError as error:
                    status = self.lost(error)
                except BaseException:
                    self.interrupted()
                    raise
        except KeyboardInterrupt:  # while a cluster was started, or stopped
            status = TrainingStatus.INTERRUPTED
        finally:
            if self.method is not None:
                self.method.release()  # also where settling failed: whoever looks next finishes what was being kept
            network._in_training = False
            self.gram = self.method = None  # they hold each other, and the network its rows
        return self.finish(status)

    def interrupted(self):
        """After Ctrl-C: the status, once the network is that of the last step kept."""
        try:
            self.settle()
        except ClusterLostError as error:
            return self.lost(error)
        return TrainingStatus.INTERRUPTED

    def lost(self, error):
        """The cluster is gone: the status. A network that was here before is as it was. Sets: cluster_error."""
        self.cluster_error = error
        network = self.trainer.network
        if self.before is not None:
            network.__dict__.update(self.before)
        elif self.method is not None:
            self.method.forsake()
        return TrainingStatus.CLUSTER_LOST

    def settle(self):
        """After Ctrl-C: take back a step that was not kept, whatever else is pressed meanwhile. Sets: state."""
        while self.method is not None:
            try:
                if self.restored is not None and self.trainer.network._shards is self.restored[0]:
                    self.state = self.restored[1]  # the interruption fell between restoring and saying so
                    self.method.release()
                    return
                self.restored = self.left = None
                self.method.abandon()
                if self.kept is not None and self.method.n_kept > self.n_kept:
                    self.state = self.kept  # the interruption fell between keeping the step and saying so
                if self.state.residual is not None:
                    self.synchronise()
                self.method.release()
                return
            except KeyboardInterrupt:
                continue

    def set_up(self):
        """Draw the network, build the method, form G. Sets: all that steps need."""
        trainer, network = self.trainer, self.trainer.network
        # the shift may be lowered, with a warning, when the network is drawn: not twice
        shift = network.shift_ if network.shift_ is not None else _quiet_shift(network, len(self.X))
        self.planes = Hyperplanes(self.X, shift)
        # before anything else: nothing has happened if there is too little memory
        gram_class = trainer._choose_gram(self.planes, self.y, self.executor, self.validation, self.lineage)
        if self.lineage is not None:
            self.lineage.begin(network, gram_class, self.executor)
        if self.executor.is_cluster:
            network._move_to(self.executor)  # from another cluster
            if network._home is None:  # lists are written to where displacements are written down
                self.before = network.__dict__ | {"_shards": list(network._shards)}
        n_stages = 2

        def progress(stage):
            def report(done, total):
                for callback in self.callbacks:
                    callback.on_setup(trainer, stage * total + done, n_stages * total)

            return report

        self.set_up_method(progress)
        trainer._samples, trainer.n_samples_ = (self.X, self.y, self.sample_weight), len(self.X)
        trainer.n_validation_samples_ = 0 if self.validation is None else len(self.validation.y)
        if gram_class is GramMatrix:
            self.gram = GramMatrix(self.roots[:, None] * self.X if self.is_weighted else self.X, network.width)
        else:  # of whatever method there is when it is asked
            self.gram = gram_class(
                lambda v: self.roots * self.method.gram_product(self.roots * v),
                lambda: self.weights * self.method.gram_diagonal(),
                len(self.y),
                *self.approximations(),
            )
        self.method.count_pairs(self.gram)
        self.scale = self.choose_scale()
        self.relative_alpha = trainer.alpha_ = self.choose_alpha()
        self.alpha = self.relative_alpha * self.scale
        self.rule = LevenbergMarquardt(len(self.y))
        self.flat_steps = 0  # accepted steps in a row that hardly lowered the loss
        self.state = self.evaluate(self.displacement_squared(network._shards))
        self.validate(0)
        self.seconds_setup = time.perf_counter() - self.started
        for callback in self.callbacks:
            callback.on_start(trainer)

    def approximations(self):
        """What a method that sketches G gives its solver besides products."""
        if self.method.gram_class is None:
            return ()
        return (lambda executor: np.reshape(self.roots, (-1, 1)) * self.method.approximate_gram(executor) * self.roots,)

    def choose_scale(self):
        """The unit of alpha and damping: trace(G)/n when the network was first trained on the samples.

        It is kept with the network, so that training on the same samples goes on with the same loss. Where samples
        joined, G is that of W(0) for them, as it would have been had all been there from the start.
        """
        network, n = self.trainer.network, self.n_before
        scales, trace = network._scales, self.gram.trace
        before = scales.get(self.fingerprint_of(n)) if n else None
        if before is not None:
            weights = np.broadcast_to(self.weights, len(self.y))
            trace = before * weights[:n].sum() + network._initial_trace(self.X[n:], self.executor, weights[n:])
        # G = 0: nothing fires, and any unit will do
        return scales.setdefault(self.fingerprint_of(len(self.y)), trace / self.total_weight) or 1.0

    def fingerprint_of(self, n):
        """What tells the first n samples and their weights from others."""
        weights = None if self.sample_weight is None else self.sample_weight[:n]
        return sample_fingerprint(self.X[:n], weights if _is_weighted(weights) else None)

    def choose_alpha(self):
        """The ridge relative to the scale; "loo": by the leave-one-out errors of the network linearised here."""
        trainer = self.trainer
        if trainer.alpha != "loo":
            return trainer.alpha
        if self.n_before and getattr(trainer, "alpha_", None) is not None:
            return trainer.alpha_  # samples joined: the loss stays the same but for them
        # linear in D: what the network would learn from D = 0
        target = self.y - self.method.outputs() + self.method.jacobian_displacement()
        kernel = self.gram.matrix / self.roots
        kernel /= np.reshape(self.roots, (-1, 1))
        weights = self.weights if self.is_weighted else None
        return self.executor.run(lambda: RidgeProblem(kernel, target[:, None], weights=weights).choose(ALPHAS))

    def set_up_method(self, progress):
        """Draw the network, or take it as it stands, and build what the method needs. Sets: method."""
        trainer = self.trainer
        self.method = METHODS[trainer.method].set_up(
            trainer.network, self.planes, self.y, self.executor, progress, ridge=trainer.has_ridge
        )

    def begin_anew(self):
        """Go on from the weights written down, with coefficients of zero. Sets: method, gram, state."""
        self.method.release()
        self.method = None
        self.trainer.network._write_down()  # its lists go before new ones come
        self.set_up_method(lambda stage: None)
        self.method.count_pairs(self.gram)
        self.state = self.evaluate(self.displacement_squared(self.trainer.network._shards))

    def displacement_squared(self, shards):
        """|D|^2 if there is a ridge, from the weights; steps carry it along by its recurrence, and read none."""
        return self.trainer.network._with_shards(shards)._displacement_squared(self.executor) if self.alpha else 0.0

    def evaluate(self, displacement_squared, **which):
        """Residual and loss at the current weights, as a `_State`; with kept=True at those of the last step kept."""
        residual = self.method.outputs(**which) - self.y
        jacobian_displacement = self.method.jacobian_displacement(**which) if self.alpha else None
        loss = self.loss_of(residual, displacement_squared)
        return _State(residual, jacobian_displacement, displacement_squared, loss, self.rms(residual))

    def synchronise(self):
        """Make residual and loss those of the weights as they are, where they were carried along. Sets: state."""
        if self.method.outputs_error > 0:
            self.method.synchronise()
            self.state = self.evaluate(self.state.displacement_squared)

    def validate(self, iteration):
        """See what the network makes of the validation set, if there is one, after so many iterations."""
        if self.validation is not None:
            self.validation.look(self.trainer.network, self.executor, iteration)

    def restore_best(self):
        """Give the network the best weights on the validation set, if they are not the last. Sets: state."""
        network, best = self.trainer.network, None if self.validation is None else self.validation.best
        if best is None or self.validation.is_best:
            return
        # all there is to compute comes first, so that Ctrl-C finds the network and its state as they were or restored
        residual = network._with_shards(best)._predict(self.X, self.executor) - self.y
        squared = self.displacement_squared(best)
        state = _State(residual, None, squared, self.loss_of(residual, squared), self.rms(residual))
        self.restored, self.left = (best, state), self.state
        network._restore(best)
        self.state = state

    def loss_of(self, residual, displacement_squared):
        """|e|^2/2 + alpha |D|^2/2, e scaled."""
        scaled = self.roots * residual
        return 0.5 * float(scaled @ scaled) + 0.5 * self.alpha * displacement_squared

    def rms(self, vector):
        """Root of the weighted mean square."""
        return float(np.sqrt(np.sum(self.weights * vector**2) / self.total_weight))

    def iterate(self):
        """Newton steps until one of the statuses applies; returns it."""
        for _ in range(self.trainer.max_iter):
            if self.has_converged():
                return TrainingStatus.CONVERGED
            seconds = dict.fromkeys(PHASES if self.validation is not None else PHASES[:-1], 0.0)
            step = self.solve(seconds)
            if step is None:
                return self.why_stuck()
            # with lam <= alpha a step goes at least half of the way to the minimum of the model
            if self.alpha and step.damping <= self.relative_alpha and step.change_rms <= self.trainer.tol:
                return TrainingStatus.CONVERGED
            if step.predicted_decrease <= NEGLIGIBLE_DECREASE * self.state.loss:
                return self.why_stuck()
            self.take(step, seconds)
            if self.method.is_worn:
                self.begin_anew()
            if self.tell_callbacks():
                return TrainingStatus.STOPPED
            if self.validation is not None and self.validation.is_hopeless:
                return TrainingStatus.EARLY_STOPPED
            if self.flat_steps == FLAT_STEPS and self.state.rmse > self.trainer.tol:
                return TrainingStatus.CONVERGED if self.alpha else self.why_stuck()
        return TrainingStatus.CONVERGED if self.has_converged() else TrainingStatus.MAX_ITER

    def has_converged(self):
        """Whether the training RMSE is at most tol, also as computed from the weights. Sets: state."""
        if self.state.rmse <= self.trainer.tol:
            self.synchronise()  # as a rule the last thing to do
        return self.state.rmse <= self.trainer.tol

    def solve(self, seconds):
        """The step at the present damping, or at the least at which it can be computed; None where there is none."""
        self.solved_before = self.gram.n_cg_steps, self.gram.n_factorisations
        longest = np.sqrt(float(np.finfo(self.trainer.network.dtype).max)) / 1e3  # beyond it products overflow
        with _timed(seconds, "solve"):
            while not self.rule.exhausted:
                step = self.step_at(self.rule.damping)
                if step is not None and step.length <= longest:
                    return step
                self.rule.refuse()
        return None

    def step_at(self, damping):
        """Solve for the step at one damping; None if G + c I is not positive definite."""
        c = self.alpha + damping * self.scale
        ratio = self.alpha / c if self.alpha else 0.0
        right = self.state.residual
        if self.alpha:
            right = right - ratio * self.state.jacobian_displacement
        g = self.solve_system(c, self.roots * right)
        with np.errstate(over="ignore", invalid="ignore"):  # such a step is refused for its length
            return None if g is None else _Step(self, g, damping, 1.0 - ratio)

    def solve_system(self, c, right):
        """Solve (G + c I) g = right, or recall the solution where a lineage is replayed."""
        if self.lineage is None:
            return self.gram.solve(c, right, self.executor)
        return self.lineage.solve(self.gram, c, right, self.executor)

    def take(self, step, seconds):
        """Try a step; keep it if the loss falls, else undo it. Sets: state, gram, rule, flat_steps, history."""
        before, fired = self.state, self.method.n_fired
        validation_rmse = float("nan") if self.validation is None else self.validation.rmse
        with _timed(seconds, "step"):
            counts = self.method.take_step(step)
        with _timed(seconds, "outputs"):
            trial = self.evaluate(step.displacement_squared)
            # rounding of the outputs that were carried along must not decide
            doubt = self.method.outputs_error * len(self.y) * (before.rmse + trial.rmse + self.method.outputs_error)
            doubt *= np.max(self.weights)
            if doubt > NEGLIGIBLE_DOUBT * abs(before.loss - trial.loss):
                self.method.synchronise()
                before = self.state = self.evaluate(before.displacement_squared, kept=True)
                trial = self.evaluate(step.displacement_squared)
        ratio = (before.loss - trial.loss) / step.predicted_decrease
        accepted = bool(trial.loss < before.loss)  # False also for NaN
        if accepted:
            self.kept, self.n_kept = trial, self.method.n_kept
            if counts.flips:
                with _timed(seconds, "gram"):
                    self.method.count_flips(self.gram)
            if self.validation is not None:
                self.validation.rmse = float("nan")  # until it is known
            with _timed(seconds, "step"):
                self.method.commit()
            self.state, self.kept = trial, None
            if self.validation is not None:
                with _timed(seconds, "validation"):
                    self.validate(len(self.history) + 1)
            flat = before.loss - trial.loss <= (self.trainer.tol if self.alpha else FLAT_DECREASE) * before.loss
            self.flat_steps = self.flat_steps + 1 if flat else 0
            self.rule.accept(ratio)
        else:
            with _timed(seconds, "step"):
                self.method.undo()
            with _timed(seconds, "outputs"):
                self.synchronise()  # a refusal is rare: make sure of where it leaves us
            before = self.state
            self.rule.refuse()
        self.record(
            IterationRecord(
                iteration=len(self.history),
                rmse=before.rmse,
                loss=before.loss,
                validation_rmse=validation_rmse,
                damping=step.damping,
                accepted=accepted,
                gain_ratio=ratio,
                fired_pairs=fired,
                reported_neurons=counts.reported,
                cleared_neurons=counts.cleared,
                visited_neurons=counts.visited,
                candidates=counts.candidates,
                flips=counts.flips,
                rebuilt_lists=counts.rebuilt,
                cg_steps=self.gram.n_cg_steps - self.solved_before[0],
                refactorings=self.gram.n_factorisations - self.solved_before[1],
                bytes_resident=self.method.bytes_resident
                + self.gram.bytes_needed(len(self.y), self.executor.n_threads),
                seconds=seconds,
                seconds_elapsed=time.perf_counter() - self.started,
            )
        )

    def record(self, record):
        """An iteration is over. Sets: history, and where a replay ends, started."""
        if self.lineage is not None:
            replayed = self.lineage.replaying
            record = self.lineage.append(record, self.gram)
            if replayed and not self.lineage.replaying:  # the time between is not the run's
                self.started = time.perf_counter() - record.seconds_elapsed
        self.history.append(record)

    def tell_callbacks(self):
        """Call every callback; True if one of them asks to stop."""
        asked = [callback.on_iteration(self.trainer, self.history[-1]) for callback in self.callbacks]
        return any(asked)

    def why_stuck(self):
        """No step lowers the loss: because G is singular, or for another reason."""
        return TrainingStatus.SINGULAR if self.gram.is_singular(self.executor) else TrainingStatus.STALLED

    def finish(self, status):
        """The result, after telling the callbacks."""
        last, message = self.state if self.left is None else self.left, MESSAGES[status]
        if status is TrainingStatus.CONVERGED and last.rmse > self.trainer.tol:
            message = RIDGE_MESSAGE
        if self.cluster_error is not None:
            message += f": {self.cluster_error}"
        if self.left is not None:
            message += (
                f"; given back are the weights after {self.validation.best_iteration} iterations, best on eval_set"
            )
        result = TrainingResult(
            status=status,
            message=message,
            n_iter=len(self.history),
            rmse=self.state.rmse,
            loss=self.state.loss,
            validation_rmse=self.final_validation_rmse(),
            best_iteration=None if self.validation is None else self.validation.best_iteration,
            history=self.history,
            seconds_setup=self.seconds_setup,
            seconds=time.perf_counter() - self.started,
        )
        for callback in self.callbacks:
            callback.on_end(self.trainer, result)
        return result

    def final_validation_rmse(self):
        """Of the network as it ends."""
        if self.validation is None:
            return float("nan")
        return self.validation.rmse if self.left is None else self.validation.best_rmse


class _State(typing.NamedTuple):
    """Where training stands: what the loss is made of."""

    residual: np.ndarray | None  # (n,) f - y
    jacobian_displacement: np.ndarray | None  # (n,) J D, only with alpha > 0
    displacement_squared: float  # |D|^2, only with alpha > 0
    loss: float
    rmse: float


class _Step:
    """A step p = (shrink - 1) D - J^T g that was solved for, and what the linear model says of it."""

    def __init__(self, run, scaled_g, damping, shrink):
        state, pull = run.state, 1.0 - shrink
        self.g, self.damping, self.shrink = run.roots * scaled_g, damping, shrink
        scaled_push = run.gram.product(scaled_g)
        energy = float(scaled_g @ scaled_push)  # |J^T g|^2
        self.pushed = pushed = scaled_push / run.roots  # J J^T g
        # root of sum_ij (G_ij g_j)^2, from above: what rounding of the entries of G would do to G g
        self.size = float(np.sqrt(run.gram.norm * np.sum(np.square(scaled_g) * run.gram.diagonal)))
        self.size /= float(np.min(run.roots))
        squared, drift, change = state.displacement_squared, 0.0, -pushed
        if run.alpha:
            drift = float(state.jacobian_displacement @ self.g)  # <D, J^T g>
            change = change - pull * state.jacobian_displacement  # J p
        self.displacement_squared = max(0.0, shrink**2 * squared - 2.0 * shrink * drift + energy)
        length_squared = pull**2 * squared + 2.0 * pull * drift + energy
        # rounding may leave a little below 0; NaN means that something overflowed
        self.length = float(np.sqrt(max(length_squared, 0.0))) if np.isfinite(length_squared) else np.inf
        self.change = change
        self.change_rms = run.rms(change)
        self.predicted_decrease = state.loss - run.loss_of(state.residual + change, self.displacement_squared)


def _is_weighted(weights):
    return weights is not None and bool(np.any(weights != 1.0))


@contextlib.contextmanager
def _timed(seconds, phase):
    """Add the seconds spent inside to one phase."""
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[phase] += time.perf_counter() - began


def _quiet_shift(network, n_samples):
    """The shift that `initialize` will choose, without its warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return resolve_shift(network.shift, network.width, n_samples)
