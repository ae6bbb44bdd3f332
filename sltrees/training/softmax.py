"""The trainer of classes: a network for each, under the log-loss of the softmax of all outputs."""

from __future__ import annotations

import itertools
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sltrees._validation import as_max_memory, as_real_array, as_sample_weight
from sltrees.callbacks import Checkpoint, as_callbacks
from sltrees.gram.shared import SharedGram
from sltrees.losses.choose import described_loss, description_of
from sltrees.losses.classes import HalfMultinomialLoss, OneOfClasses
from sltrees.losses.scaled import ScaledLoss
from sltrees.network.network import ShiftedReLUNetwork
from sltrees.network.packing import header_of
from sltrees.network.samples import Samples, samples_for
from sltrees.network.use import refuse_untrainable
from sltrees.records import TrainingResult
from sltrees.training.checkpoint_file import read_checkpoint_of_classes
from sltrees.training.lineage import Lineage
from sltrees.training.run import Run
from sltrees.training.run_of_classes import LossOfLastOutputs, RunOfClasses, ValidationSetOfClass
from sltrees.training.trainer import OF_SAMPLES, RUN_PARAMETERS, NewtonTrainer
from sltrees.training.validation_set import as_eval_set


class SoftmaxTrainer:
    """Train networks, one for each class, by damped Gauss-Newton steps that they take in turn.

    Minimised is the sum over samples of minus the logarithm of the probability that a softmax of the outputs gives to
    the right class, and alpha |D|^2/2 of each network.

    Parameters
    ----------
    networks : list of ShiftedReLUNetwork
        At least two, of the same dtype, trained in place.
    options : object
        By name: parameters of `NewtonTrainer`, which are the same for all networks, but for `loss` and `offset`.
        `max_iter` counts turns of each, `tol` is that of the log-loss as described there, and alpha is no "loo".
        `max_memory` is that of all networks, `patience` counts rounds of one turn each, refused steps included.
        Callbacks are told of the iterations of all networks, and of which it is by `trainer` alone: `CSVLog` and
        `ProgressBar` have those of all in one.

    Attributes
    ----------
    trainers_ : list of NewtonTrainer
        One for each network: `offset_`, `alpha_` and `n_samples_` are theirs. They are not to be trained alone: their
        loss is of the others as they last were.
    offsets_ : ndarray of shape (C,)
        What is added to outputs: the logarithms of the shares of classes, once `fit` was called; AttributeError before.

    Raises
    ------
    TypeError, ValueError
        If a parameter breaks its rule, or networks are fewer than two, not distinct, or of several dtypes.

    Notes
    -----
    Each step is one of `NewtonTrainer` on the loss of one output, log(exp(f) + exp(others)) - y f, whose slope p - y
    and curvature p (1 - p) are exact: certificates, solvers, executors and checkpoints are as there.

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> X, Y = np.eye(6), np.eye(3)[[0, 0, 1, 1, 2, 2]]
    >>> networks = [ShiftedReLUNetwork(2000, random_state=0) for _ in range(3)]
    >>> trainer = SoftmaxTrainer(networks, alpha=1e-2, tol=1e-3)
    >>> [result.status.value for result in trainer.fit(X, Y)]
    ['converged', 'converged', 'converged']
    >>> trainer.predict(X).argmax(axis=1)
    array([0, 0, 1, 1, 2, 2])
    """

    def __init__(self, networks, **options: Any) -> None:
        networks = _as_networks(networks)
        for name in ("loss", "offset"):
            if name in options:
                raise TypeError(f"{name} must not be given: it is that of the softmax")
        if as_max_memory(options.get("max_memory")) is not None:
            options["max_memory"] = options["max_memory"] / len(networks)
        self.networks = networks
        self.trainers_ = [
            NewtonTrainer(network, loss=ScaledLoss(OneOfClasses(), 1.0), offset=0.0, **options) for network in networks
        ]
        self._samples = self._resumed = None

    @property
    def offsets_(self) -> npt.NDArray[Any]:
        """As of the class."""
        if not all(hasattr(trainer, "offset_") for trainer in self.trainers_):
            raise AttributeError("SoftmaxTrainer has no offsets_ yet: call fit(X, Y) first")
        return np.array([trainer.offset_ for trainer in self.trainers_])

    @classmethod
    def from_checkpoint(
        cls, path, *, n_threads=None, executor="threads", max_memory=None, callbacks=(), verbose=0
    ) -> Self:
        """A trainer whose `fit` goes on where a run was cut off, bit for bit: as `NewtonTrainer.from_checkpoint`.

        Parameters
        ----------
        path : str or os.PathLike
            Of a `sltrees.callbacks.Checkpoint`.
        n_threads, executor, max_memory, callbacks, verbose : optional
            As of `NewtonTrainer.from_checkpoint`; bytes are those of all networks.

        Returns
        -------
        SoftmaxTrainer

        Raises
        ------
        sltrees.files.archive.ArchiveError, OSError, TypeError, ValueError
            As there.

        Notes
        -----
        Cost: O(bytes) to read the file.

        Examples
        --------
        >>> import tempfile
        >>> from sltrees import ShiftedReLUNetwork
        >>> path, X, Y = tempfile.mkdtemp() + "/training.npz", np.eye(4), np.eye(2)[[0, 0, 1, 1]]
        >>> networks = [ShiftedReLUNetwork(2000, random_state=0) for _ in range(2)]
        >>> trainer = SoftmaxTrainer(networks, alpha=0.1, max_iter=3, callbacks=[Checkpoint(path)])
        >>> n_iter = [result.n_iter for result in trainer.fit(X, Y)]
        >>> resumed = SoftmaxTrainer.from_checkpoint(path)
        >>> [result.n_iter for result in resumed.fit(X, Y)] == n_iter
        True
        >>> resumed.networks[0].digest() == networks[0].digest()
        True
        """
        callbacks = as_callbacks(callbacks)
        if not any(isinstance(callback, Checkpoint) for callback in callbacks):
            callbacks += (Checkpoint(path),)
        options = {"n_threads": n_threads, "executor": executor, "max_memory": max_memory, "verbose": verbose}
        options["callbacks"] = callbacks
        # bad ones are not the file's fault
        cls([ShiftedReLUNetwork(2, random_state=0) for _ in range(2)], **options)

        def make_trainer(networks, parameters):
            trainer = cls(networks, **options)
            told = options | {"max_memory": trainer.trainers_[0].max_memory}
            trainer.trainers_ = [
                NewtonTrainer(network, **told, **of_one | {"loss": described_loss(of_one["loss"])})
                for network, of_one in zip(networks, parameters, strict=True)
            ]
            return trainer

        trainer, trainer._resumed = read_checkpoint_of_classes(path, make_trainer)
        return trainer

    def fit(self, X, Y, *, sample_weight=None, eval_set=None) -> list[TrainingResult]:
        """Train.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Finite.
        Y : array_like of shape (n, C)
            Of each sample 1 for its class and 0 for others, or probabilities.
        sample_weight : array_like of shape (n,), optional
            Finite, above 0.
        eval_set : tuple (X_val, Y_val), optional
            As of `NewtonTrainer.fit`: networks end as those, after equally many turns, of the lowest log-loss on it.

        Returns
        -------
        list of TrainingResult
            One for each network, all of one status. Ctrl-C does not raise, as of `NewtonTrainer.fit`: each network then
            is that of its last step kept.

        Raises
        ------
        TypeError, ValueError, MemoryError, RuntimeError, sltrees.cluster.messages.ClusterLostError
            As `NewtonTrainer.fit`; ValueError also if networks were drawn for other numbers of features than X has.
            MemoryError is of all networks, and comes before any is drawn.

        Notes
        -----
        Cost: for each network that of `NewtonTrainer.fit`, and O(n C) a turn; all are in memory at a time. G of
        networks that begin alike is counted once.

        Examples
        --------
        >>> from sltrees import ShiftedReLUNetwork
        >>> networks = [ShiftedReLUNetwork(2000, random_state=0) for _ in range(2)]
        >>> results = SoftmaxTrainer(networks, alpha=0.1, tol=1e-3).fit(np.eye(4), np.eye(2)[[0, 0, 1, 1]])
        >>> results[0].mean_loss == results[1].mean_loss
        True
        """
        samples = self._samples_for(X)
        Y, weights = self._targets(Y, "Y", len(samples)), as_sample_weight(sample_weight, len(samples))
        return self._train(samples, Y, weights, eval_set)

    def extend(self, X_new, Y_new, *, sample_weight=None, eval_set=None) -> list[TrainingResult]:
        """Add samples to those trained on, and go on from the weights as they are: as `NewtonTrainer.extend`.

        Parameters
        ----------
        X_new : array_like of shape (q, d)
        Y_new : array_like of shape (q, C)
        sample_weight, eval_set : optional
            As of `fit`.

        Returns
        -------
        list of TrainingResult

        Raises
        ------
        TypeError, ValueError, MemoryError, RuntimeError
            As `fit`; RuntimeError also if it was not called, or was cut off before all networks were drawn.

        Notes
        -----
        Cost: for each network that of `NewtonTrainer.extend`.

        Examples
        --------
        >>> from sltrees import ShiftedReLUNetwork
        >>> X, Y = np.eye(4), np.eye(2)[[0, 0, 1, 1]]
        >>> networks = [ShiftedReLUNetwork(2000, random_state=0) for _ in range(2)]
        >>> trainer = SoftmaxTrainer(networks, alpha=0.1, tol=1e-3)
        >>> trainer.fit(X[:3], Y[:3])[0].status
        'converged'
        >>> trainer.extend(X[3:], Y[3:])[0].status
        'converged'
        """
        if self._samples is None:
            raise RuntimeError("there are no samples yet to which others could be added: call fit(X, Y) first")
        X, Y, weights = self._samples
        X_new = self._samples_for(X_new).X
        Y_new = self._targets(Y_new, "Y_new", len(X_new))
        new_weights = as_sample_weight(sample_weight, len(X_new))
        if weights is not None or new_weights is not None:
            old, new = (
                np.ones(len(rows)) if each is None else each for rows, each in ((X, weights), (X_new, new_weights))
            )
            weights = np.concatenate([old, new])
        samples = Samples(np.concatenate([X, X_new], dtype=X_new.dtype))  # that of the networks as they are by now
        Y, before = np.concatenate([Y, Y_new]), self._of_samples()
        try:
            return self._train(samples, Y, weights, eval_set, n_samples_before=len(X))
        except BaseException:
            self._give_back(before)  # also where Ctrl-C fell behind all else: who calls again adds the samples once
            raise

    def predict(self, X) -> npt.NDArray[Any]:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array_like of shape (k, d)

        Returns
        -------
        ndarray of shape (k, C)

        Raises
        ------
        TypeError, ValueError
            As `ShiftedReLUNetwork.predict`.
        RuntimeError
            If a network has no neurons yet.
        AttributeError
            If networks have, but `fit` was not called.

        Notes
        -----
        Cost: for each network that of `ShiftedReLUNetwork.predict`.

        Examples
        --------
        >>> from sltrees import ShiftedReLUNetwork
        >>> trainer = SoftmaxTrainer([ShiftedReLUNetwork(2000, random_state=0) for _ in range(2)], alpha=0.1)
        >>> results = trainer.fit(np.eye(4), np.eye(2)[[0, 0, 1, 1]])
        >>> (trainer.predict(np.eye(4)) > 0.5)[:, 0]
        array([ True,  True, False, False])
        """
        raw = np.stack([network.predict(X) for network in self.networks], axis=1) + self.offsets_
        return HalfMultinomialLoss().predictions(raw / self.trainers_[0].loss_.scale)

    def _samples_for(self, X):
        networks = _as_networks([trainer.network for trainer in self.trainers_])  # again: they may be others by now
        for network in networks:
            refuse_untrainable(network)
        n_features = [network.state.n_features for network in networks]
        drawn = {n for n in n_features if n is not None}
        if len(drawn) > 1:
            raise ValueError(f"networks must be drawn for samples of the same number of features, got {n_features}")
        return samples_for(networks[0], X, n_columns=next(iter(drawn), None))

    def _targets(self, Y, name, n):
        C = len(self.networks)
        hint = f": of each sample 1 for its class and 0 for others, np.eye({C})[labels], or probabilities"
        Y = as_real_array(Y, name, np.float64, shape=(n, C), hint=hint)
        HalfMultinomialLoss().refuse(Y)
        return Y

    def _train(self, samples, Y, weights, eval_set, n_samples_before=0):
        eval_set = as_eval_set(eval_set, self.trainers_[0].patience)
        if eval_set is not None:
            X_val = samples_for(self.trainers_[0].network, eval_set[0], "X_val", samples.X.shape[1]).X
            eval_set = X_val, self._targets(eval_set[1], "Y_val", len(X_val))
        before, resumed, has_returned = self._of_samples(), self._resumed, False

        def settle():
            # as of NewtonTrainer: samples are there once networks were drawn for them, those that join if it returned
            if _were_drawn_for(self.trainers_, samples) and (has_returned or not n_samples_before):
                self._samples = samples.X, Y, weights
            else:
                self._give_back(before)
            if resumed is not None and all(lineage.begun and not lineage.replaying for lineage in resumed):
                self._resumed = None

        try:
            try:
                if resumed is None and not n_samples_before:
                    constants = HalfMultinomialLoss().constant(Y, np.ones(len(Y)) if weights is None else weights)
                    for trainer, constant in zip(self.trainers_, constants, strict=True):
                        trainer.offset = trainer.loss_.scale * float(constant)
                results = train_classes(
                    self.trainers_,
                    samples,
                    Y,
                    weights,
                    eval_set,
                    n_samples_before=n_samples_before,
                    shared=SharedGram() if _begin_alike(self.trainers_) else None,
                    resumed=resumed,
                )
                has_returned = True
                return results
            finally:
                settle()
        finally:
            settle()  # again: what Ctrl-C fell into is made up for

    def _of_samples(self):
        """What this trainer, and that of each network, knows of samples: a list of dicts. Cost: O(1) for each."""
        names = (*OF_SAMPLES, "offset")
        return [{name: value for name, value in vars(each).items() if name in names} for each in self._all()]

    def _give_back(self, before):
        """Have them know what they did. Cost: O(1) for each."""
        everyone, names = self._all(), (*OF_SAMPLES, "offset")
        others = [{name: value for name, value in vars(each).items() if name not in names} for each in everyone]
        whole = [other | own for other, own in zip(others, before, strict=True)]
        # in one statement, so that Ctrl-C cannot fall between
        list(map(setattr, everyone, itertools.repeat("__dict__"), whole))

    def _all(self):
        return [self, *self.trainers_]


def _begin_alike(trainers):
    """Whether networks will be drawn with the same neurons, so that G is counted once for all. Cost: O(1) for each."""
    networks = [trainer.network for trainer in trainers]
    return (
        trainers[0].method == "certified"
        and not any(network.state.is_drawn for network in networks)
        and all(header_of(network) == header_of(networks[0]) for network in networks)
    )


def _were_drawn_for(trainers, samples):
    """Whether all networks were drawn for samples, by a run that may have been interrupted later."""
    return all(trainer._samples is not None and trainer._samples[0] is samples.X for trainer in trainers)


def _as_networks(networks):
    """Networks of different classes that can be trained together, as a list."""
    if not isinstance(networks, (list, tuple)):
        raise TypeError(f"networks must be a list of ShiftedReLUNetwork, got {type(networks).__name__}")
    for network in networks:
        if not isinstance(network, ShiftedReLUNetwork):
            raise TypeError(f"networks must be a list of ShiftedReLUNetwork, got {type(network).__name__} among them")
    if len(networks) < 2:
        raise ValueError(f"networks must be at least 2, one for each class, got {len(networks)}")
    if len({id(network) for network in networks}) < len(networks):
        raise ValueError("networks must be distinct, one for each class, got one of them twice")
    dtypes = [network.dtype.name for network in networks]
    if len(set(dtypes)) > 1:  # samples are converted once, for all
        raise ValueError(f"networks must have the same dtype, got {', '.join(dtypes)}")
    return list(networks)


def train_classes(trainers, samples, Y, weights=None, eval_set=None, *, n_samples_before=0, shared=None, resumed=None):
    """Train networks that take turns, one for each class.

    Parameters
    ----------
    trainers : list of NewtonTrainer
        Of losses `ScaledLoss(OneOfClasses(), scale)`, each with one of its own, and offsets that are numbers.
    samples : Samples
    Y : ndarray of shape (n, C)
    weights : ndarray of shape (n,) or None
    eval_set : tuple (X_val, Y_val) of ndarrays, optional
    n_samples_before, shared
        As of `Run`.
    resumed : list of Lineage, optional
        To be replayed.

    Returns
    -------
    list of TrainingResult

    Raises
    ------
    MemoryError, RuntimeError, sltrees.cluster.messages.ClusterLostError
        As `SoftmaxTrainer.fit`.
    ValueError
        If what is to be replayed is of other data.

    Notes
    -----
    Cost: as of `SoftmaxTrainer.fit`. What is given is not checked.
    """
    first = trainers[0]
    held_out = losses_held_out = None
    if eval_set is not None:
        held_out = [ValidationSetOfClass(eval_set[0], y, keep_best=first.restore_best) for y in eval_set[1].T]
        scale = first.loss_.scale
        losses_held_out = [
            LossOfLastOutputs(ScaledLoss(OneOfClasses(), scale), y, offset=trainer.offset)
            for trainer, y in zip(trainers, eval_set[1].T, strict=True)
        ]
    lineages = resumed
    if resumed is not None or any(isinstance(callback, Checkpoint) for callback in first.callbacks):
        data = [_data(samples, y, weights, None if held_out is None else held_out[c]) for c, y in enumerate(Y.T)]
        if resumed is None:
            lineages = [
                Lineage.of_new_run(_parameters(trainer), of_class, n_samples_before)
                for trainer, of_class in zip(trainers, data, strict=True)
            ]
        else:
            n_samples_before = resumed[0].n_samples_before
            for trainer, lineage, of_class in zip(trainers, resumed, data, strict=True):
                lineage.check(trainer.network, of_class, "SoftmaxTrainer")
    try:
        for trainer in trainers:
            trainer._lineage = lineages
        runs = [
            Run(
                trainer,
                samples,
                np.ascontiguousarray(Y[:, c]),
                weights,
                n_samples_before,
                None if held_out is None else held_out[c],
                None if lineages is None else lineages[c],
                shared,
            )
            for c, trainer in enumerate(trainers)
        ]
        shared = None  # runs let go of it once they have begun
        turns = RunOfClasses(
            runs,
            Y,
            losses_held_out,
            None if eval_set is None else eval_set[1],
            patience=first.patience,
            keep_best=first.restore_best,
        )
        return turns.fit()
    finally:
        for trainer in trainers:
            trainer._lineage = None


def _data(samples, y, weights, validation):
    """What a lineage is of."""
    data = {"X": samples, "y": np.ascontiguousarray(y)} | ({} if weights is None else {"sample_weight": weights})
    if validation is not None:
        data |= {"X_val": validation.X, "y_val": np.ascontiguousarray(validation.y)}
    return data


def _parameters(trainer):
    """What decides the run of one network."""
    return {name: getattr(trainer, name) for name in RUN_PARAMETERS} | {"loss": description_of(trainer.loss_)}
