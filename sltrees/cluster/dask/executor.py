"""The executor "dask": neurons live on the workers of a Dask cluster (extra "dask").

A cluster is dask.distributed's: a scheduler, worker processes on any machines, a client in this process. On each worker
one `ShardHost` is made, as an actor, which stays there; what it does it is told by direct calls. What crosses the
network is what calls carry: see docs/guide/scaling_out.md.
"""

from __future__ import annotations

import contextlib
import importlib.util
import threading
import warnings
import weakref

from sltrees._validation import as_integer, as_non_negative
from sltrees.cluster.dask.calls import Calls
from sltrees.cluster.dask.connection import Connection, LocalWorkers, connect, refuse_client
from sltrees.cluster.dask.hosts import Hosts
from sltrees.cluster.messages import ClusterLostError, Request
from sltrees.cluster.remote_group import RemoteGroup
from sltrees.execution.threads import ThreadExecutor
from sltrees.network.use import fetch

_DEPOSITS_AT_A_TIME = 32  # workers that get samples at the same time


class DaskExecutor:
    """Train networks on the workers of a Dask cluster, by method "certified".

    To be given to `NewtonTrainer` as `executor`. Results are those of "threads" and "inline", bit for bit, whatever the
    number of workers and their speed. A worker that is lost costs time alone: what it held is made again on another.

    Parameters
    ----------
    client : distributed.Client or str, optional
        Of the cluster, or the address of its scheduler, such as "tls://scheduler:8786". By default a cluster of
        processes on this machine is started, and stopped when the executor is closed.
    n_workers : int, optional
        Processes of a cluster that is started here; by default one for each processor.
    threads_per_worker : int, optional
        Likewise; by default processors are shared out among the workers.
    memory_limit : float or str, optional
        Of each worker of a cluster that is started here, in bytes, or such as "4GiB"; by default memory is shared out.
    n_threads : int, optional
        Threads of this process, which solves the Gram systems; by default one per processor.
    patience : float, default 60.0
        Seconds for which to wait for a worker where there is none, and (at least 10) for one that is paused, or busy
        with tasks of others, to take neurons.

    Attributes
    ----------
    n_threads : int
    dashboard_link : str or None
        Where the cluster shows what it does, while the executor is open, if bokeh is installed.
    traffic : dict of str to dict
        For each worker ("sent" to it, "received" from it, "calls"): bytes of the arrays in calls, and their number.

    Raises
    ------
    sltrees.cluster.messages.ClusterLostError
        When it is opened, if there is no cluster, or it has no worker.
    RuntimeError
        Likewise, if the workers have other versions or round otherwise than this process.
    TypeError, ValueError
        If a parameter breaks its rule.

    Notes
    -----
    Opened by ``with``; a trainer opens one that is not, for as long as it trains. When it is closed, networks that live
    on its workers are brought to this process: `ShiftedReLUNetwork.fetch`. Where there is no room, they are lost, and a
    warning is issued.

    Cost: that of starting processes, some seconds, where there is no cluster yet.

    References
    ----------
    https://distributed.dask.org for clusters, and how to secure them.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
    >>> from sltrees.cluster.dask.executor import DaskExecutor
    >>> with DaskExecutor(n_workers=2) as executor:  # doctest: +SKIP
    ...     network = ShiftedReLUNetwork(2**20, random_state=0)
    ...     result = NewtonTrainer(network, executor=executor).fit(np.eye(5), np.arange(5.0))
    ...     outputs = network.predict(np.eye(5))
    """

    dashboard_link = None

    def __init__(
        self,
        client=None,
        *,
        n_workers=None,
        threads_per_worker=None,
        memory_limit=None,
        n_threads=None,
        patience=60.0,
    ):
        refuse_client(client)
        self._given, self._local = client, LocalWorkers(n_workers, threads_per_worker, memory_limit)
        if client is not None and self._local != (None, None, None):
            raise ValueError("n_workers, threads_per_worker and memory_limit are for a cluster that is started here")
        for name, value in (("n_workers", n_workers), ("threads_per_worker", threads_per_worker)):
            if value is not None:
                as_integer(value, name, minimum=1)
        self._threads = ThreadExecutor(n_threads)
        self.n_threads = self._threads.n_threads
        self.patience = as_non_negative(patience, "patience")
        self._opened = 0  # times
        self._door = threading.RLock()  # held while it is opened and closed
        self._connection = self._hosts = self._calls = None  # while it is closed
        self._networks = weakref.WeakSet()
        self.traffic = {}

    def __deepcopy__(self, memo):
        return self  # it stands for a cluster, of which there is one

    def __reduce__(self):
        raise TypeError("an executor cannot be pickled: it stands for a cluster")

    # ------------------------------------------------------------------ opening and closing

    def __enter__(self):
        with self._door:
            if not self._opened:
                self._open()
            self._opened += 1
        return self

    def _open(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self._forget_cluster)
            client = connect(stack, self._given, self._local, self.n_threads, self.patience)
            self.traffic = {}
            self._connection = Connection(client, self.patience)
            self._hosts = Hosts(self._connection)
            self._calls = Calls(self._connection, self._hosts, self.traffic)
            self._hosts.make_all()
            stack.enter_context(self._threads)
            self.dashboard_link = None if importlib.util.find_spec("bokeh") is None else client.dashboard_link
            self._exit = stack.pop_all()

    def _forget_cluster(self):
        self._connection = self._hosts = self._calls = self.dashboard_link = None

    def __exit__(self, *exception):
        with self._door:
            self._opened -= 1
            if self._opened:
                return
            with self._exit:  # whatever happens
                pressed = [error for network in list(self._networks) if (error := self._bring_home(network))]
                self._hosts.release()
                if pressed:
                    raise pressed[0]

    def _bring_home(self, network):
        """Fetch a network that lives here. Returns Ctrl-C, which does not cut it off: it would be lost."""
        if network.state.neurons.cluster is not self:
            return None
        pressed = None
        for _ in range(2):  # Ctrl-C may come before it has begun
            try:
                self._threads.map(fetch, [network])  # what is begun is waited for
            except KeyboardInterrupt as error:
                pressed = error
            except Exception as error:
                warnings.warn(f"a network is lost with its cluster: {error}", RuntimeWarning, stacklevel=3)
                break
            if network.state.neurons.cluster is None:
                break
        return pressed

    # ------------------------------------------------------------------ as `Cluster`

    def _while_open(self, part):
        """A part that is there while the executor is open; ClusterLostError otherwise."""
        if part is None:
            raise ClusterLostError("the executor is closed, and what lived on its workers is lost")
        return part

    def workers(self):
        """As of `Cluster`: the scheduler is asked."""
        return self._while_open(self._connection).workers()

    def wait_for_workers(self):
        """As of `Cluster`, for `patience` seconds."""
        return self._while_open(self._connection).wait_for_workers()

    @property
    def memory(self):
        """As of `Cluster`: the sum of the limits that the scheduler knows."""
        return self._while_open(self._connection).memory

    def call(self, requests, *, stoppable=True, progress=None):
        """As of `Cluster`."""
        return self._while_open(self._calls).call(requests, stoppable, progress)

    def deposit(self, addresses, X, fingerprint):
        """As of `Cluster`. Not by Dask's scatter: where a worker dies in it, the scheduler copies on for ever."""
        requests = [Request(address, "deposit", (X, fingerprint)) for address in addresses]
        for first in range(0, len(requests), _DEPOSITS_AT_A_TIME):  # memory: each is a message
            self.call(requests[first : first + _DEPOSITS_AT_A_TIME])  # who is lost is noticed when asked

    def forget(self, held):
        """As of `Cluster`."""
        calls = self._calls
        if calls is not None:
            calls.forget(held)

    @property
    def cluster(self):
        """As of `Cluster`."""
        return self

    def place(self, here, network, planes, skin, ridge, progress):
        """As of `Cluster`."""
        group, state = RemoteGroup.built(self, network, planes, skin, ridge, progress)
        self._networks.add(network)
        return group, state

    def map(self, function, blocks, progress=None):
        """As of `ThreadExecutor`, on threads of this process."""
        return self._threads.map(function, blocks, progress)

    def run_all(self, function, blocks):
        """As of `ThreadExecutor`, on threads of this process."""
        return self._threads.run_all(function, blocks)

    def run(self, function, *arguments):
        """As of `ThreadExecutor`, on a thread of this process."""
        return self._threads.run(function, *arguments)
