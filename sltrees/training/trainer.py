"""The trainer: what users say of a run, and what they are told of it. The run itself is `sltrees.training.run`."""

from __future__ import annotations

from typing import Self

import numpy as np

from sltrees._validation import (
    as_choice,
    as_flag,
    as_integer,
    as_max_memory,
    as_non_negative,
    as_number,
    as_real_vector,
    as_sample_weight,
    as_targets,
)
from sltrees.callbacks import Checkpoint, as_callbacks
from sltrees.cluster.choose import LOCAL_EXECUTORS, as_executor
from sltrees.losses.choose import as_loss, described_loss, description_of
from sltrees.methods.choose import METHODS
from sltrees.network.network import ShiftedReLUNetwork
from sltrees.network.samples import Samples, samples_for
from sltrees.network.use import refuse_untrainable
from sltrees.records import TrainingResult
from sltrees.training.checkpoint_file import read_checkpoint, write_checkpoint, write_checkpoint_of_classes
from sltrees.training.lineage import Lineage
from sltrees.training.run import Run
from sltrees.training.validation_set import ValidationSet, as_eval_set

# What decides how a run goes, besides network and data.
RUN_PARAMETERS = ("method", "alpha", "tol", "max_iter", "max_gram", "forcing", "first_damping")
RUN_PARAMETERS += ("patience", "restore_best", "loss", "offset")

# What a trainer knows of the samples that it was given.
OF_SAMPLES = ("_samples", "n_samples_", "n_validation_samples_", "alpha_", "offset_")

# What samples that join do not change, where it is chosen.
_OF_SAMPLES_BEFORE = ("alpha_", "offset_")


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
        Training stops when the training RMSE is at most `tol` (under another loss than squared errors times the
        standard deviation of the targets, if that is below 1); with alpha > 0, or under another loss, also when a full
        step would change the training outputs by at most `tol` in root mean square (weighted by the curvature of the
        loss: the root of what the step lowers it by), or when the loss fell by less than the share `tol` (of what it is
        below that of the constant `offset_`, if it is another) in each of three steps.
    max_iter : int, default 50
        Iterations at most, refused steps included.
    n_threads : int, optional
        By default one per processor. The result does not depend on it.
    executor : {"threads", "inline", "dask"} or sltrees.cluster.dask.executor.DaskExecutor, default "threads"
        Who runs the blocks of neurons: a pool of `n_threads` threads, the calling thread, or ("certified" only) the
        workers of a Dask cluster. "dask" starts one on this machine for each call. The result does not depend on it;
        that of further calls differs by rounding where the network moved in between.
    max_memory : float, optional
        Bytes that may be used; by default all that the machine has available.
    max_gram : int, optional
        The largest number of samples for which G is held as an n x n array; beyond, its systems are solved by
        conjugate gradients on products with it ("certified" only). By default 20,000, or fewer where memory does not
        allow it.
    forcing : "auto" or float, default "auto"
        How near a step has to come to the exact Newton step where G is not held as an array (an array is factorised,
        and all steps are exact): a share of its length, at least 0 and below 1; 0 is to rounding. "auto": by the
        forcing terms of Eisenstat and Walker, a tenth at most, and the less the faster training converges; to rounding
        where `max_gram` is given, for up to 20,000 samples. See docs/guide/many_samples.md.
    first_damping : float, default 0.0
        Damping of the first step of `fit`, relative to trace(G)/n. Where the width suffices a full step is good, and
        0 is right; where weights move far all the same, full steps are refused until damping has risen to some 0.3.
    loss : {"squared", "log_loss", "poisson", "gamma"} or sltrees.losses.Loss, default "squared"
        What is minimised, in place of squared errors: its sum over samples, and alpha |D|^2/2. An object of
        `sltrees.losses`, such as `HuberLoss(1.0)`, or one of your own, which is checked by finite differences before
        training begins: see docs/guide/losses.md. Outputs of the network, and `offset_`, are raw: the loss has the
        predictions that they stand for.
    offset : float or "auto", default "auto"
        What is added to outputs under another loss than squared errors; by default the constant that fits the targets
        best, those of the first call for samples that `extend` adds.
    patience : int, optional
        With an `eval_set`, training stops when so many accepted steps in a row have not lowered the RMSE on it; by
        default it never does for that. (Under another loss than squared errors the loss on it, also in what follows.)
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
    offset_ : float
        What is added to outputs, likewise: 0 for squared errors, else `offset` or what the loss has as its constant.
    loss_ : Loss or None
        None for squared errors.

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

    # of trainers from pickles of earlier versions, whose steps were exact, and whose first was a full one
    forcing, first_damping = 0.0, 0.0
    loss, loss_, offset = "squared", None, "auto"  # likewise

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
        forcing="auto",
        first_damping=0.0,
        loss="squared",
        offset="auto",
        patience=None,
        restore_best=True,
        callbacks=(),
        verbose=0,
    ) -> None:
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
        self.forcing = as_forcing(forcing)
        self.first_damping = as_non_negative(first_damping, "first_damping")
        self.loss, self.loss_ = loss, as_loss(loss)
        self.offset = offset if isinstance(offset, str) and offset == "auto" else as_number(offset, "offset")
        self._check_loss()
        self.patience = None if patience is None else as_integer(patience, "patience", minimum=1)
        self.restore_best = as_flag(restore_best, "restore_best")
        self.callbacks = as_callbacks(callbacks)
        self.verbose = as_integer(verbose, "verbose", minimum=0)
        self._samples = None  # (X, y, sample_weight) of the last call of fit that drew its network
        self._lineage = None  # of the run that is under way, if a callback wants it
        self._resumed = None  # the lineage that the next run has to replay

    def _check_loss(self):
        """ValueError for what a loss has not."""
        if self.loss_ is None and self.offset not in ("auto", 0.0):
            raise ValueError(f"offset must be 'auto' or 0 for the loss 'squared', got {self.offset}")
        if self.loss_ is not None and self.loss_.couples:
            raise ValueError(
                f"loss must be one of a single output, got {type(self.loss_).__name__}, which couples them"
            )
        if self.loss_ is not None and self.alpha == "loo":
            raise ValueError(
                "alpha='loo' is for the loss 'squared': give alpha as a number, chosen by samples held out"
            )

    def _offset_for(self, n_samples_before):
        """What a run is to add to outputs; None: the constant that fits best."""
        if self.offset != "auto":
            return self.offset
        return getattr(self, "offset_", None) if n_samples_before else None

    @classmethod
    def from_checkpoint(
        cls, path, *, n_threads=None, executor="threads", max_memory=None, loss=None, callbacks=(), verbose=0
    ) -> Self:
        """A trainer whose `fit` goes on where a run was cut off, and ends as that run would have, bit for bit.

        Parameters
        ----------
        path : str or os.PathLike
            Of a `sltrees.callbacks.Checkpoint`.
        n_threads, executor, max_memory : optional
            As of the class: the result does not depend on them.
        loss : Loss, optional
            That of the run, if it was the user's own. (Another one is found out where the run is replayed.)
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
            # as runs of earlier versions were
            earlier = {"forcing": 0.0, "first_damping": 0.0, "loss": "squared", "offset": "auto"}
            parameters = earlier | parameters
            before = {name: float(parameters.pop(name)) for name in _OF_SAMPLES_BEFORE if name in parameters}
            if set(parameters) != set(RUN_PARAMETERS):
                raise ValueError(f"'parameters' must be {', '.join(RUN_PARAMETERS)}, got {', '.join(parameters)}")
            parameters["loss"] = described_loss(parameters["loss"], loss)
            trainer = cls(network, callbacks=callbacks, **options, **parameters)
            trainer.__dict__.update(before)
            return trainer

        trainer, lineage = read_checkpoint(path, make_trainer)
        trainer._resumed = lineage
        return trainer

    def fit(self, X, y, *, sample_weight=None, eval_set=None) -> TrainingResult:
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
            If more than `max_memory` bytes would be needed. The network is as it was after any of these. Where memory
            runs out later, all the same, it is that of the last step kept, whole, and `fit` goes on from there.
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
        return self._fit_alike(X, y, sample_weight, eval_set)

    def _fit_alike(self, X, y, sample_weight, eval_set, shared=None):
        network = self.network
        refuse_untrainable(network)  # here, too: before anything is said of X
        samples = samples_for(network, X)
        y = as_targets(y, "y", len(samples))
        weights = as_sample_weight(sample_weight, len(samples))
        validation = self._as_validation_set(eval_set, samples.X.shape[1])
        return self._train(samples, y, weights, validation, shared=shared)

    def extend(self, X_new, y_new, *, sample_weight=None, eval_set=None) -> TrainingResult:
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
            As `fit`.
        RuntimeError
            If `fit` was not called, or the network is being trained by somebody else. After any exception, also one
            that a callback raises, no sample is added: the next call goes on from the samples of the last that
            returned, and from the weights of the last step kept.

        Notes
        -----
        Cost: O(m q d) to draw (under rejection, in proportion to the neurons that are added), O(k q d) to extend the
        near lists of the k materialised neurons, one visit of each, O(n^2 + pairs) for G, and iterations as of `fit`.
        With method="trees", or where the ridge comes or goes, lists or trees are rebuilt, O(k n d). With alpha > 0
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
        refuse_untrainable(network)
        X, y, weights = self._samples
        X_new = samples_for(network, X_new).X
        y_new = as_real_vector(y_new, "y_new", np.float64, length=len(X_new))
        new_weights = as_sample_weight(sample_weight, len(X_new))
        if weights is not None or new_weights is not None:
            old = np.ones(len(X)) if weights is None else weights
            weights = np.concatenate([old, np.ones(len(X_new)) if new_weights is None else new_weights])
        validation = self._as_validation_set(eval_set, X.shape[1])
        samples = Samples(np.concatenate([X, X_new]))
        y = as_targets(np.concatenate([y, y_new]), "y", len(samples))
        before = {name: value for name, value in vars(self).items() if name in OF_SAMPLES}
        try:
            return self._train(samples, y, weights, validation, n_samples_before=len(X))
        except BaseException:
            self.__dict__.update(before)  # in one statement, so that Ctrl-C cannot fall between
            raise

    def write_checkpoint(self, path) -> None:
        """Write what the run under way needs to go on to a file, which is replaced in one instant.

        For callbacks, once training has begun: `sltrees.callbacks.Checkpoint` is one that calls this, and only a run
        with one remembers what there is to write.

        Parameters
        ----------
        path : str or os.PathLike

        Returns
        -------
        int
            Iterations in the file: those made, or where a run is resumed all that were made before it was cut off.

        Raises
        ------
        OSError
            If the file cannot be written. What was there before is untouched.
        RuntimeError
            If no run with a `Checkpoint` has begun.

        Notes
        -----
        Cost: O(bytes): 8 n for each iteration, and the network if it was drawn before the run.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
        >>> from sltrees.callbacks import Callback, Checkpoint
        >>> folder = tempfile.mkdtemp()
        >>> class Milestone(Callback):
        ...     def on_iteration(self, trainer, record):
        ...         if record.rmse < 0.1:
        ...             trainer.write_checkpoint(f"{folder}/{record.iteration}.npz")
        >>> callbacks = [Checkpoint(f"{folder}/last.npz"), Milestone()]
        >>> trainer = NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0), callbacks=callbacks)
        >>> trainer.fit(np.eye(5), np.arange(5.0)).status
        'converged'
        """
        if isinstance(self._lineage, list):  # of networks that take turns, which begin one by one
            begun = all(lineage.begun for lineage in self._lineage)
            return write_checkpoint_of_classes(path, self._lineage) if begun else 0
        if self._lineage is None or not self._lineage.begun:
            raise RuntimeError("no run with a Checkpoint among its callbacks has begun: there is nothing to write")
        return write_checkpoint(path, self._lineage)

    def _train(self, samples, y, weights, validation, n_samples_before=0, shared=None):
        """Run, with a lineage where one is to be replayed, or where a callback wants it."""
        lineage = self._resumed
        if lineage is not None or any(isinstance(callback, Checkpoint) for callback in self.callbacks):
            data = {"X": samples, "y": y} | ({} if weights is None else {"sample_weight": weights})
            data |= {} if validation is None else {"X_val": validation.X, "y_val": validation.y}
            if lineage is None:
                parameters = {name: getattr(self, name) for name in RUN_PARAMETERS}
                parameters["loss"] = description_of(self.loss_)
                if n_samples_before:
                    parameters |= {name: value for name, value in vars(self).items() if name in _OF_SAMPLES_BEFORE}
                lineage = Lineage.of_new_run(parameters, data, n_samples_before)
            else:
                lineage.check(self.network, data)
        self._lineage = lineage
        try:
            n_samples_before = n_samples_before if lineage is None else lineage.n_samples_before
            return Run(self, samples, y, weights, n_samples_before, validation, lineage, shared).fit()
        finally:
            self._lineage = None
            if lineage is not None and lineage.begun and not lineage.replaying:
                self._resumed = None

    def _as_validation_set(self, eval_set, n_columns):
        """A ValidationSet of it, or None."""
        eval_set = as_eval_set(eval_set, self.patience)
        if eval_set is None:
            return None
        X = samples_for(self.network, eval_set[0], "X_val", n_columns).X
        y = as_targets(eval_set[1], "y_val", len(X))
        return ValidationSet(X, y, patience=self.patience, keep_best=self.restore_best)


def fit_alike(trainer, shared, X, y, *, sample_weight=None, eval_set=None):
    """`NewtonTrainer.fit` of one of several networks with the same neurons, none of which has moved.

    Parameters
    ----------
    trainer : NewtonTrainer
    shared : SharedGram
        The same for all of them, as are `X` and `sample_weight`.
    X, y, sample_weight, eval_set
        As of `NewtonTrainer.fit`.

    Returns
    -------
    TrainingResult
        That of `NewtonTrainer.fit`, bit for bit.

    Notes
    -----
    Cost: that of `NewtonTrainer.fit`, but for what is shared.

    Examples
    --------
    >>> from sltrees.gram.shared import SharedGram
    >>> trainers = [NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0)) for _ in range(2)]
    >>> shared = SharedGram()
    >>> for trainer, y in zip(trainers, (np.arange(5.0), -np.arange(5.0))):
    ...     result = fit_alike(trainer, shared, np.eye(5), y)
    ...     result.status, result.history[0].refactorings
    ('converged', 0)
    ('converged', 0)
    """
    return trainer._fit_alike(X, y, sample_weight, eval_set, shared)


def as_forcing(value):
    """`forcing` as it is kept: "auto", or a float.

    Raises
    ------
    TypeError, ValueError
        If it is neither "auto" nor a number of at least 0 and below 1.

    Examples
    --------
    >>> as_forcing("auto"), as_forcing(0)
    ('auto', 0.0)
    """
    if isinstance(value, str) and value == "auto":
        return value
    value = as_non_negative(value, "forcing")
    if not value < 1:
        raise ValueError(f"forcing must be 'auto' or a number of at least 0 and below 1, got {value}")
    return value


def take_trained(trainer, X, y, sample_weight, alpha):
    """Have a trainer go on from where another one was: `extend` adds to samples that its network was trained on there.

    Parameters
    ----------
    trainer : NewtonTrainer
        Of a network that was drawn for the samples and trained on them, such as one from a file.
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
    sample_weight : ndarray of shape (n,) or None
        Of the same meaning as for `NewtonTrainer.fit`, and checked as there.
    alpha : float
        The ridge of the last run.

    Notes
    -----
    Cost: O(n d).

    Examples
    --------
    >>> network = ShiftedReLUNetwork(2000, random_state=0)
    >>> status = NewtonTrainer(network).fit(np.eye(5)[:4], np.arange(4.0)).status
    >>> other = NewtonTrainer(network)
    >>> take_trained(other, np.eye(5)[:4], np.arange(4.0), None, 0.0)
    >>> other.extend(np.eye(5)[4:], [4.0]).status
    'converged'
    """
    trainer._samples = samples_for(trainer.network, X).X, y, sample_weight
    trainer.n_samples_, trainer.n_validation_samples_, trainer.alpha_ = len(X), 0, alpha
