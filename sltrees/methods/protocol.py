"""What training asks of a method: the members that every class of `sltrees.methods.choose.METHODS` has.

A run sets a method up, and then for each step::

    trial = method.try_step(step)
    method.keep(trial, gram, seconds)  # or method.drop(trial)

To find who fires in another way: a class with these members in a file of this folder, and a line in `METHODS`.
"""

from __future__ import annotations

import typing

import numpy as np

from sltrees.records import StepCounts


class Trial(typing.Protocol):
    """A step that is tried. Until it is kept or dropped, nobody who reads the network sees it, but for method "trees".

    Attributes
    ----------
    counts : StepCounts
        What finding the firing patterns after the step took.
    """

    counts: StepCounts

    @property
    def outputs(self) -> np.ndarray:
        """f on the training samples after the step, shape (n,), float64: asked for before it is kept or dropped."""

    @property
    def jacobian_displacement(self) -> np.ndarray:
        """J D after the step, likewise; meaningless without a ridge."""

    @property
    def error(self) -> float:
        """Root mean square that rounding errors of outputs may have, of those before the step or of those after it.

        0 once both are computed from the weights.
        """


class Method(typing.Protocol):
    """The neurons of a network in training: which fire where, what they give, and how steps move them.

    An interruption (Ctrl-C, a cluster that is lost, an exception) may fall anywhere. After it `abandon` leaves the
    network with the last step kept: a step is kept by all neurons or by none, and one that is being kept is finished.

    Attributes
    ----------
    gram_held_as : tuple of str
        How G may be held: keys of `sltrees.gram.HELD_AS`. Which of them it is, `sltrees.training.budget` says. With
        "products" or "sketch" among them the method is a `MethodWithProducts`, with "preconditioned" a
        `MethodWithPairs`, with "sketch" a `MethodWithSketch`.
    leaves_out_silent : bool
        Whether what it holds goes with the neurons that are materialised.
    kept : Trial or None
        That which was kept last in this run.
    n_fired : int
        (neuron, sample) pairs that fire.
    is_worn : bool
        Whether training should go on from the weights as they are, with a method that is set up anew.
    """

    gram_held_as: typing.ClassVar[tuple]
    leaves_out_silent: typing.ClassVar[bool]
    kept: Trial | None
    n_fired: int
    is_worn: bool

    @classmethod
    def set_up(cls, network, planes, y, executor, progress, *, ridge) -> typing.Self:
        """Draw the network, or take it as it stands, and find what fires.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        planes : Hyperplanes
            Of the samples, for the shift that the network has or will have.
        y : ndarray of shape (n,)
        executor : executor
            That of the run.
        progress : callable
            Called as progress(stage)(done, total) for stage 0, 1 of 2.
        ridge : bool
            Whether steps may shrink displacements.
        """

    @staticmethod
    def bytes_needed(network, planes, y, neurons, n_threads=1, *, alpha=0.0, before=None) -> float:
        """Bytes that it takes besides the initial weights of so many materialised neurons, before it is set up.

        Parameters
        ----------
        network, planes, y
            As of `set_up`.
        neurons : float
        n_threads : int, default 1
        alpha : float, default 0.0
            Ridge of the run, in its units.
        before : Method, optional
            That of the run before, which is there, if it can go on: its bytes are not counted again.
        """

    # ------------------------------------------------------------------ where training stands

    @property
    def outputs(self) -> np.ndarray:
        """f on the training samples after the last step kept, shape (n,), float64."""

    @property
    def jacobian_displacement(self) -> np.ndarray:
        """J D there, likewise; meaningless without a ridge."""

    @property
    def error(self) -> float:
        """Root mean square that rounding errors of `outputs` may have; 0 once they are computed from the weights."""

    @property
    def bytes_resident(self) -> int:
        """Bytes held for the neurons."""

    def synchronise(self, trial=None) -> None:
        """Compute f and J D from the weights, where they were carried along: those here, and those of a trial."""

    def count_pairs(self, gram) -> None:
        """Form G from the firing patterns after the last step kept, whatever it was before.

        Parameters
        ----------
        gram : GramSystem
        """

    # ------------------------------------------------------------------ a step

    def try_step(self, step) -> Trial:
        """See what D <- shrink D - J^T g leads to.

        Parameters
        ----------
        step : object with g, shrink, change, pushed, size
            As of `sltrees.training.step.Step`.
        """

    def keep(self, trial, gram, seconds) -> None:
        """Take the step: the network stands there now, and G is that of its firing patterns.

        Interrupted, the step is kept or not, which `kept` tells after `abandon`; G is that of no pattern then.

        Parameters
        ----------
        trial : Trial
            The last one.
        gram : GramSystem
            That of the run.
        seconds : dict
            What it took is added to "gram" (counting pairs, forming G) and "step" (all else).
        """

    def drop(self, trial) -> None:
        """Do not take the step: all is as before it, bit for bit.

        Parameters
        ----------
        trial : Trial
            The last one.
        """

    # ------------------------------------------------------------------ the end of a run

    def abandon(self) -> None:
        """After an interruption: finish a step that was being kept, drop one that was not. May be called again.

        The network is right then, and so is `kept`; nothing else here has to be, but what `synchronise` needs.
        """

    def release(self) -> None:
        """The run is over, however it ended: a step that is being kept is finished by who looks next, if it is not.

        May be called again.
        """


class MethodWithProducts(Method, typing.Protocol):
    """A method that multiplies by G without forming it."""

    def gram_product(self, v) -> np.ndarray:
        """G v, shape (n,), float64, for v of shape (n,)."""

    def gram_diagonal(self) -> np.ndarray:
        """diag(G), shape (n,)."""


class MethodWithPairs(MethodWithProducts, typing.Protocol):
    """A method that lists who fires on what both ways, for fast products and for columns of G."""

    def gram_product_by_pairs(self, v) -> np.ndarray:
        """G v, shape (n,), float64, for v of shape (n,)."""

    def pair_columns(self, samples) -> np.ndarray:
        """Neurons that fire both on each sample and on some of them, shape (q, n), int32, for indices of shape (q,)."""


class MethodWithSketch(MethodWithProducts, typing.Protocol):
    """A method that sketches G."""

    def approximate_gram(self, executor) -> np.ndarray:
        """An array near G, shape (n, n), C order, float64, that nobody else holds."""
