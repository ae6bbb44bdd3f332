"""Networks, one for each output, as the model of an estimator.

They learn Y from X as they are: rows of unit norm, targets of mean 0. What is minimised is the sum over samples of
weight times squared error, plus a ridge on how far the weights of the network move.
"""

from __future__ import annotations

import contextlib
import copy

import numpy as np

from sltrees._memory import available_memory
from sltrees._validation import as_integer, as_non_negative
from sltrees.callbacks import Callback
from sltrees.cluster.choose import LOCAL_EXECUTORS, make_executor
from sltrees.cluster.messages import ClusterLostError
from sltrees.estimators.kernel_ridge import joined
from sltrees.execution.threads import ThreadExecutor, default_threads
from sltrees.gram.matrix import GramMatrix
from sltrees.gram.shared import SharedGram
from sltrees.losses.classes import OneOfClasses
from sltrees.losses.scaled import ScaledLoss
from sltrees.methods.certified.method import CertifiedMethod
from sltrees.methods.certified.skin import choose_skin
from sltrees.network.drawing import draw_alike, shift_for, to_be_drawn_alike
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.network import ShiftedReLUNetwork
from sltrees.network.samples import samples_for
from sltrees.network.shift import validate_shift
from sltrees.network.state import with_state
from sltrees.network.use import independent_state
from sltrees.records import TrainingStatus
from sltrees.training.budget import bytes_at_most
from sltrees.training.objective import LossOfOutputs
from sltrees.training.ridge import alpha_left_out
from sltrees.training.softmax import train_classes
from sltrees.training.trainer import NewtonTrainer, fit_alike, take_trained

# Up to so many pairs of a neuron and a sample the choice of a skin costs more than it saves.
SMALL, SKIN_OF_SMALL = 1 << 21, 1.0


class _GivesUpWith(Callback):
    """Stops a training once those that an executor runs are to end."""

    executor = None  # of one that was copied: it goes on

    def __init__(self, executor):
        self.executor = executor

    def __getstate__(self):
        return {}

    def on_iteration(self, trainer, record):
        """Whether to stop."""
        return self.executor is not None and self.executor.gives_up


class Networks:
    """One network for each output, all with the same initial neurons, trained by Newton steps.

    Parameters
    ----------
    width : int
        m, of each network.
    shift : {"auto", "paper", "density"} or float
    alpha : float or "loo"
        Ridge, relative to trace(G)/n. "loo": that with the smallest leave-one-out error of the networks linearised
        where training begins, the same for all outputs.
    target_scale : float, default 1.0
        Networks learn target_scale Y: the larger, the farther weights move, and the less the model is a kernel's.
    loss : Loss, optional
        Of one output, in place of squared errors: networks learn logits, say, and `Y` is what it is of. With a
        `target_scale` outputs are larger by it. One that couples outputs is the multinomial one, under which networks
        take turns: `sltrees.training.softmax`.
    offsets : ndarray of shape (C,), optional
        With a loss: what is added to outputs.
    init, sampling, dtype, random_state
        Of `ShiftedReLUNetwork`.
    n_threads, executor, callbacks, verbose, tol, max_iter, patience, first_damping
        Of `NewtonTrainer`; `tol` in units of Y.

    Attributes
    ----------
    networks_ : list of ShiftedReLUNetwork
    trainers_ : list of NewtonTrainer
    results_ : list of TrainingResult
        Of the last run of each.
    samples_ : tuple (X, Y, weights)
        Trained on.
    alpha_ : float

    Notes
    -----
    The samples are visited once to draw all networks: initial weights are shared, and so is what finds the samples near
    to each neuron. Cost: O(m n d), and for each output that of `NewtonTrainer.fit`.

    Examples
    --------
    >>> X = np.eye(4)
    >>> model = Networks(width=512, alpha=1e-6, random_state=0).fit(X, np.array([[-1.0], [1.0], [-1.0], [1.0]]))
    >>> np.round(model.predict(X).ravel(), 3)
    array([-1.,  1., -1.,  1.])
    """

    name = "network"
    # of models in pickles that were made before there were these
    first_damping, loss, offsets = 0.0, None, None
    lift = 0.0  # (C,) is added to outputs once all is trained, so that quantiles are those of samples left out

    def __init__(
        self,
        *,
        width,
        shift="auto",
        alpha=1e-2,
        target_scale=1.0,
        loss=None,
        offsets=None,
        init="paired",
        sampling="auto",
        dtype="float64",
        random_state=None,
        n_threads=None,
        executor="threads",
        callbacks=(),
        verbose=0,
        tol=1e-3,
        max_iter=50,
        patience=None,
        first_damping=0.0,
    ):
        self.width, self.shift = as_integer(width, "width", minimum=1), validate_shift(shift)
        self.alpha, self.target_scale = alpha if isinstance(alpha, str) else float(alpha), float(target_scale)
        self.loss, self.offsets = loss, offsets
        self.network_options = {"init": init, "sampling": sampling, "dtype": dtype, "random_state": random_state}
        self.n_threads, self.executor, self.callbacks, self.verbose = n_threads, executor, callbacks, verbose
        self._cluster = None  # while it is open
        self.tol, self.max_iter = as_non_negative(tol, "tol"), as_integer(max_iter, "max_iter", minimum=0)
        self.first_damping = as_non_negative(first_damping, "first_damping")
        self.patience = None if patience is None else as_integer(patience, "patience", minimum=1)
        self.samples_, self.results_ = None, []

    def __repr__(self):
        return f"Networks(width={self.width}, shift={self.shift!r}, target_scale={self.target_scale!r})"

    def fit(self, X, Y, weights=None, eval_set=None, observations=None):
        """Draw networks and train them. Sets: the attributes."""
        with self._open_cluster():
            return self.draw(X, Y, weights, observations).resume(X, Y, weights, eval_set)

    @contextlib.contextmanager
    def _open_cluster(self):
        """Inside, one cluster serves all networks, if a cluster is to train them."""
        if self.executor in LOCAL_EXECUTORS or self._cluster is not None:
            yield
            return
        with make_executor(self.executor, self.n_threads) as self._cluster:
            try:
                yield
            finally:
                self._cluster = None

    def draw(self, X, Y, weights=None, observations=None):
        """Draw the networks for samples and choose the ridge. Sets: `networks_`, `alpha_`.

        `observations` are those that samples were merged of, if they were: the ridge is chosen by leaving these out.
        They can predict, but for those of a cluster, which are drawn there when they are trained.
        """
        blank = self._blank()
        samples = samples_for(blank, X)
        planes = Hyperplanes(samples, shift_for(blank, samples.X))
        skin = SKIN_OF_SMALL
        if self.width * len(X) > SMALL:
            skin = choose_skin(blank, planes, np.sqrt(np.mean(self._lacking(Y, weights) ** 2, axis=1)))
        with self._open_cluster():
            if self._cluster is not None:
                self.networks_ = to_be_drawn_alike(blank, Y.shape[1], planes, skin=skin)
            else:
                with ThreadExecutor(self.n_threads) as executor:
                    self.networks_ = draw_alike(blank, Y.shape[1], planes, skin=skin, executor=executor)
            self.alpha_ = self._choose_alpha(planes, Y, weights, observations) if self.alpha == "loo" else self.alpha
        self.samples_ = X, Y, weights
        self.trainers_ = [self._trainer(network, self.alpha_) for network in self.networks_]
        return self

    def take(self, networks, samples, alpha, results):
        """Take networks that were drawn for the samples and trained on them elsewhere. Sets: the attributes."""
        self.networks_, self.samples_, self.alpha_, self.results_ = networks, samples, alpha, results
        self.trainers_ = [self._trainer(network, alpha) for network in networks]
        X, Y, weights = samples
        for trainer, targets in zip(self.trainers_, self._targets(Y).T, strict=True):
            take_trained(trainer, X, targets, weights, alpha)
        return self

    def to_extend(self):
        """The same model, of which `extend` leaves this one as it is, whatever happens.

        Samples that join have networks go on in rows of their own: only states are shared, which are replaced rather
        than changed. Cost: O(1) for each output; `extend` then has the rows of both in memory, until one is dropped.
        """
        other = copy.copy(self)
        other.networks_ = [with_state(network, network.state) for network in self.networks_]
        other.trainers_ = [copy.copy(trainer) for trainer in self.trainers_]
        for trainer, network in zip(other.trainers_, other.networks_, strict=True):
            trainer.network = network
        return other

    def to_keep(self):
        """The same model as it is, whatever `resume` makes of this one.

        It predicts the same, bit for bit. Rows are left behind: were it trained on, it would begin anew from the
        weights. Cost: O(active pairs d) for each output.
        """
        other = self.to_extend()
        for network in other.networks_:
            network.state = independent_state(network)
        return other

    def extend(self, X, Y, weights=None):
        """Train on further samples, too, from the weights as they are. Sets: `samples_`, `results_`.

        Outputs that an interruption kept from samples of an earlier call are given these as well. Any other error may
        leave outputs that know the samples beside some that do not: see `to_extend`.
        """
        X, Y, weights = self.samples_ = joined(self.samples_, (X, Y, weights))

        if self.loss is not None and self.loss.couples:
            n = min(getattr(trainer, "n_samples_", 0) for trainer in self.trainers_)  # that all have seen
            return self._train_together(X, Y, weights, None, n_samples_before=n)

        def train(trainer, targets, **share):
            self._tell(trainer, patience=None, **share)  # there is nothing to wait for
            n = getattr(trainer, "n_samples_", 0)
            new_weights = None if weights is None else weights[n:]
            step = trainer.extend if n else trainer.fit
            return step(X[n:], targets[n:], sample_weight=new_weights)

        with self._open_cluster():
            return self._train_each(train)

    def resume(self, X, Y, weights=None, eval_set=None):
        """Train from the weights as they are on samples that may be others. Sets: `samples_`, `results_`."""
        self.samples_ = X, Y, weights
        # where none was trained, none has moved: they fire alike
        have_moved = any(hasattr(trainer, "n_samples_") for trainer in self.trainers_)
        shared = None if have_moved or len(self.trainers_) == 1 else SharedGram()
        if self.loss is not None and self.loss.couples:
            return self._train_together(X, Y, weights, eval_set, shared=shared)

        def train(trainer, targets, **share):
            self._tell(trainer, patience=self.patience, **share)
            held_out = None
            if eval_set is not None:
                held_out = eval_set[0], self._targets(eval_set[1])[:, self.trainers_.index(trainer)]
            samples = {"sample_weight": weights, "eval_set": held_out}
            if shared is None:
                return trainer.fit(X, targets, **samples)
            return fit_alike(trainer, shared, X, targets, **samples)

        with self._open_cluster():
            return self._train_each(train)

    def change(self, **training):
        """Change how it is trained from now on: n_threads, executor, callbacks, verbose, tol, max_iter, patience."""
        self.__dict__.update(training)

    def _tell(self, trainer, patience, **share):
        """Give a trainer the parameters as they are now, but for its share of the threads, if it has one."""
        told = self._trainer(trainer.network, self.alpha_)
        told.__dict__.update(share, patience=patience)
        names = (
            "alpha",
            "tol",
            "max_iter",
            "patience",
            "first_damping",
            "n_threads",
            "executor",
            "callbacks",
            "verbose",
        )
        trainer.__dict__.update({name: getattr(told, name) for name in names})

    def _train_each(self, train):
        """Train all outputs, each by train(trainer, targets). Sets: `results_`."""
        at_once = self._outputs_at_once()
        if at_once > 1:
            self._train_at_once(train, at_once)
        else:
            self._train_in_turn(train)
        return self

    def _train_together(self, X, Y, weights, eval_set, **options):
        """Train all outputs under a loss of them together. Sets: `results_`."""
        patience = None if eval_set is None else self.patience
        with self._open_cluster():
            for trainer in self.trainers_:
                self._tell(trainer, patience=patience)
            samples = samples_for(self.networks_[0], X)
            self.results_ = train_classes(self.trainers_, samples, Y, weights, eval_set, **options)
        if self.results_[0].status is TrainingStatus.INTERRUPTED:
            raise KeyboardInterrupt
        if self.results_[0].status is TrainingStatus.CLUSTER_LOST:
            raise ClusterLostError(self.results_[0].message)
        return self

    def _outputs_at_once(self):
        """How many outputs are trained at a time: more than one where nobody watches, and all have room."""
        if self.executor != "threads" or self.callbacks or self.verbose:
            return 1
        n_threads = default_threads() if self.n_threads is None else self.n_threads
        X, Y, _ = self.samples_
        room = available_memory() // bytes_at_most(self.width, *X.shape, n_threads) - 1  # one for what they share
        return int(min(n_threads, Y.shape[1], room))

    def _train_at_once(self, train, at_once):
        """So many outputs at a time, each on its share of the threads: one has too little for all. Sets: `results_`.

        After Ctrl-C or an error, those that are under way end after an iteration, and no others begin.
        """
        n_threads, results = default_threads() if self.n_threads is None else self.n_threads, {}
        with ThreadExecutor(at_once) as executor:
            share = {"n_threads": n_threads // at_once, "callbacks": (_GivesUpWith(executor),)}
            if share["n_threads"] == 1:
                share["executor"] = "inline"

            def run(k):
                results[k] = train(self.trainers_[k], self._targets(self.samples_[1])[:, k], **share)

            try:
                executor.map(run, range(len(self.trainers_)))
            finally:
                self.results_ = [results[k] for k in sorted(results)]
                for trainer in self.trainers_:
                    self._tell(trainer, self.patience)

    def _train_in_turn(self, train):
        """One output after the other. Sets: `results_`."""
        results = []
        try:
            for trainer, targets in zip(self.trainers_, self._targets(self.samples_[1]).T, strict=True):
                results.append(train(trainer, targets))
                if results[-1].status is TrainingStatus.INTERRUPTED:
                    raise KeyboardInterrupt  # the other outputs have not been trained
                if results[-1].status is TrainingStatus.CLUSTER_LOST:
                    raise ClusterLostError(results[-1].message)
        finally:
            self.results_ = results

    def _targets(self, Y):
        """What networks learn: squared errors have target_scale in their targets, other losses in themselves."""
        return self.target_scale * Y if self.loss is None else Y

    def _loss(self, k):
        """Parameters of a trainer for the loss of output k."""
        if self.loss is None:
            return {}
        loss = self.loss
        if loss.couples:  # beside outputs of 0
            n_outputs = len(self.offsets)
            loss = OneOfClasses().against(np.reshape(self.offsets, (1, -1)), np.zeros((1, n_outputs)), k)
        return {"loss": ScaledLoss(loss, self.target_scale), "offset": self.target_scale * float(self.offsets[k])}

    def _lacking(self, Y, weights):
        """How far outputs have to go, about: shape (n, C)."""
        if self.loss is None:
            return self.target_scale * Y
        losses = [self._loss(k) for k in range(Y.shape[1])]
        objectives = [
            LossOfOutputs(loss["loss"], y, weights, loss["offset"]) for y, loss in zip(Y.T, losses, strict=True)
        ]
        return np.stack([objective.targets for objective in objectives], axis=1)

    def _blank(self):
        return ShiftedReLUNetwork(self.width, shift=self.shift, **self.network_options)

    def _trainer(self, network, alpha):
        return NewtonTrainer(
            network,
            **self._loss(next(k for k, other in enumerate(self.networks_) if other is network)),
            alpha=alpha,
            tol=self.tol * self.target_scale,
            max_iter=self.max_iter,
            patience=self.patience,
            first_damping=self.first_damping,
            n_threads=self.n_threads,
            executor=self._cluster or self.executor,
            callbacks=self.callbacks,
            verbose=self.verbose,
        )

    def _choose_alpha(self, planes, Y, weights, observations):
        """By the leave-one-out errors of the networks linearised at W(0), where they share one Gram matrix."""
        with self._cluster or ThreadExecutor(self.n_threads) as executor:
            network = self.networks_[0]
            if self._cluster is not None:  # each is drawn when it is trained: this one is for here alone
                (network,) = to_be_drawn_alike(network, 1, planes, skin=network.state.near.skin)
            method = CertifiedMethod.set_up(
                network, planes, Y[:, 0], executor, lambda stage: lambda done, total: None, ridge=True
            )
            gram = GramMatrix(planes.X, self.width)
            method.count_pairs(gram)
            method.release()
            if network.init != "paired":
                start = network.predict(planes.X)[:, None] / self.target_scale
                Y = Y - start
                if observations is not None:
                    observations = observations._replace(Y=observations.Y - start[observations.groups])
            return alpha_left_out(gram.matrix, Y, executor, weights=weights, observations=observations)

    def predict(self, X):
        """Outputs, shape (n, C). Cost: that of `ShiftedReLUNetwork.predict` for each."""
        outputs = [network.predict(X, n_threads=self.n_threads) for network in self.networks_]
        outputs = np.stack(outputs, axis=1) / self.target_scale
        return outputs if self.loss is None else outputs + self.offsets + self.lift
