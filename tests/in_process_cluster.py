"""A cluster without machines: hosts in this process, which messages go to as bytes."""

import asyncio
import itertools
import pickle
import weakref

from sltrees.cluster.arithmetic import refuse_unlike
from sltrees.cluster.host import ShardHost
from sltrees.cluster.messages import ClusterLostError, LostError, NotHeldError, Request
from sltrees.cluster.remote_group import RemoteGroup
from sltrees.execution.inline import InlineExecutor


class InProcessCluster:
    """A `Cluster` whose workers are hosts in this process.

    Parameters
    ----------
    n_workers : int

    Attributes
    ----------
    hosts : dict of str to ShardHost
        By address; empty while it is closed.
    asked : list of Request
    """

    n_threads = 1

    def __init__(self, n_workers):
        self.n_workers = n_workers
        self.hosts, self.asked = {}, []
        self._inline = InlineExecutor()
        self._numbers = itertools.count(1)
        self._networks = weakref.WeakSet()
        self._opened = 0

    def restart(self, address):
        """Have another process at an address, which holds nothing."""
        self.hosts[address] = ShardHost(1)

    def leave(self, address):
        """Have nobody at an address any more."""
        del self.hosts[address]

    def holders(self):
        """Addresses of hosts that hold something."""
        return [address for address, host in self.hosts.items() if host._holdings]

    def __enter__(self):
        if not self._opened:
            self._inline.__enter__()
            for k in range(self.n_workers):
                self.restart(f"host-{k}")
            for address, host in self.hosts.items():
                refuse_unlike(address, asyncio.run(host.describe()))
        self._opened += 1
        return self

    def __exit__(self, *exception):
        if self._opened == 1:
            for network in list(self._networks):
                if network.shift_ is not None:
                    network.fetch()
            self.hosts = {}
            self._inline.__exit__(*exception)
        self._opened -= 1

    def __deepcopy__(self, memo):
        return self

    def workers(self):
        return {address: {} for address in self.hosts}

    def wait_for_workers(self):
        if not self.hosts:
            raise ClusterLostError("nobody is left")
        return self.workers()

    @property
    def memory(self):
        return float("inf")

    def call(self, requests, *, stoppable=True, progress=None):
        if not self._opened:
            raise ClusterLostError("the cluster is closed")
        number = next(self._numbers) if stoppable else 0

        def answers(some):
            return [self._answer(number, request, progress) for request in some]

        together = [[request] for request in requests] if stoppable else [requests]  # Ctrl-C comes between
        return list(itertools.chain.from_iterable(self._inline.map(answers, together)))

    def _answer(self, number, request, progress):
        self.asked.append(request)
        host = self.hosts.get(request.address)
        if host is None:
            return LostError(f"{request.address} is gone")
        try:
            outcome = getattr(host, request.method)(number, *as_bytes(request.arguments))
        except NotHeldError as error:
            return LostError(str(error))
        if progress is not None:
            progress(sum(asyncio.run(host.progress()) for host in self.hosts.values()))
        return as_bytes(outcome)

    def deposit(self, addresses, X, fingerprint):
        self.call([Request(address, "deposit", (X, fingerprint)) for address in addresses])

    def forget(self, held):
        for address, key in held:
            if address in self.hosts:
                self.hosts[address].forget(key)

    @property
    def cluster(self):
        return self

    def place(self, here, network, planes, skin, ridge, progress):
        group, state = RemoteGroup.built(self, network, planes, skin, ridge, progress)
        self._networks.add(network)
        return group, state

    def map(self, function, blocks, progress=None):
        return self._inline.map(function, blocks, progress)

    def run_all(self, function, blocks):
        return self._inline.run_all(function, blocks)

    def run(self, function, *arguments):
        return self._inline.run(function, *arguments)


def as_bytes(message):
    """What arrives of a message: nothing that is shared with who sent it."""
    return pickle.loads(pickle.dumps(message))
