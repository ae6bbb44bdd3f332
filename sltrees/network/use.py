"""Who may do what with a network: draw or train it, one at a time; read it, at any time and from any thread."""

from __future__ import annotations

import contextlib
import threading

_CLAIMS = threading.Lock()


def claim(network, by):
    """Say that a network is being drawn or trained; RuntimeError if it already is, or never can be.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    by : object
        Who does it: `network.in_training`, until that is False again.

    Examples
    --------
    In a `try`, for Ctrl-C may fall before it returns; and undone by no call, for Ctrl-C takes effect between calls, and
    cannot keep it from that:

    >>> from sltrees import ShiftedReLUNetwork
    >>> network, me = ShiftedReLUNetwork(100), object()
    >>> try:
    ...     claim(network, me)
    ... finally:
    ...     if network.in_training is me:
    ...         network.in_training = False
    """
    with _CLAIMS:
        refuse_untrainable(network)
        network.in_training = by


def refuse_in_training(network):
    """RuntimeError if somebody draws or trains the network."""
    if network.in_training:
        raise RuntimeError("the network is being trained: it can be predicted with, but not initialised or trained")


def refuse_compacted(network):
    """RuntimeError if the network was compacted."""
    if network.state.compacted:
        raise RuntimeError("the network was compacted: it can predict, but not be drawn or trained any more")


def refuse_untrainable(network):
    """RuntimeError if the network cannot be trained, now or ever."""
    refuse_in_training(network)
    refuse_compacted(network)


def refuse_undrawn(network):
    """RuntimeError if the network has no neurons yet."""
    if not network.state.is_drawn:
        raise RuntimeError("the network has no neurons yet: call initialize(X), or train it with NewtonTrainer.fit")


@contextlib.contextmanager
def standing(network):
    """Inside, no step is applied to the neurons, whoever trains them: gives the state that is to be read."""
    state = network.state
    if state.method is None:
        yield state
    else:
        with state.method.standing():
            yield state


def independent_state(network):
    """The state of a copy, that nobody trains: displacements are written down, and neurons in this process.

    Cost: O(k d) where neurons are elsewhere, or O(active pairs d) where displacements are implied.
    """
    with standing(network) as state:
        neurons = state.neurons.written_down(network)
    return state.changed(neurons=neurons, method=None, near=None)


def frozen(network, executor):
    """The neurons as they stand, for good: what `restore` takes. Cost: O(active pairs d)."""
    with standing(network) as state:
        return state.neurons.frozen(executor)


def restore(network, neurons):
    """Go back to neurons of `frozen`, and forget the method that implied others."""
    with standing(network):  # nothing is half applied
        network.state = network.state.changed(neurons=neurons, method=None)


def write_down(network):
    """Make all displacements arrays, shard by shard, and forget the method that implied them.

    An interruption leaves some implied: by rows that nobody moves any more. On a cluster they are written down when
    training begins anew.
    """
    with standing(network):  # nothing is half applied
        network.state = network.state.changed(method=None)
    for k in range(len(network.state.neurons.shards)):  # the memory of its rows goes before the next one's comes
        network.state = network.state.changed(neurons=network.state.neurons.with_written_down(k))


def fetch(network, max_memory=None):
    """Have the neurons in this process, with displacements written down.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    max_memory : float, optional
        Bytes; by default all that the machine has available.

    Raises
    ------
    MemoryError
        If they are elsewhere, and have no room here.
    """
    with standing(network) as state:  # a step that was being kept when a cluster was lost is kept by all
        network.state = state.changed(neurons=state.neurons.written_down(network, max_memory), method=None)


def move_to(network, executor):
    """Have the neurons where an executor can train them. They come from a cluster, if at all: it draws its own."""
    if network.state.neurons.cluster not in (None, executor.cluster):
        fetch(network)


def compact(network):
    """Keep what predictions need, and no more: see `ShiftedReLUNetwork.compact`. Cost: O(k) and active pairs."""
    if network.state.neurons.cluster is not None:
        fetch(network)
    with standing(network):
        # first: from here on nobody may train, however far this gets
        network.state = network.state.changed(compacted=True)
    for k in range(len(network.state.neurons.shards)):
        neurons = network.state.neurons.with_compacted(k, moved_alone=network.init == "paired")
        network.state = network.state.changed(neurons=neurons)
    neurons = network.state.neurons.without_empty()
    network.state = network.state.changed(neurons=neurons, method=None, seen=None, scales={})
