"""The executor "dask": neurons live on the workers of a Dask cluster (extra "dask").

A cluster is dask.distributed's: a scheduler, worker processes on any machines, a client in this process. On each worker
one `ShardHost` is made, as an actor, which stays there; what it does it is told by direct calls. What crosses the
network is what calls carry: see docs/guide/scaling_out.md.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib
import importlib.util
import itertools
import threading
import time
import typing
import uuid
import warnings
import weakref

import numpy as np

from sltrees._validation import as_integer, as_non_negative
from sltrees.cluster.host import NotHeldError, ShardHost, describe_arithmetic
from sltrees.execution.threads import ClusterLostError, ThreadExecutor

_PROGRESS_SECONDS = 0.2  # between looks at how far hosts are
# That a worker may take to make its host, and the scheduler to answer, however impatient one is.
_MAKING_SECONDS = 10.0
_STARTING_SECONDS = 60.0  # that workers of a cluster started here may take, however impatient one is
_DEPOSITS_AT_A_TIME = 32  # workers that get samples at the same time
_HAS_PACKAGE = "__import__('importlib.util').util.find_spec('sltrees') is not None"
_SETTLING_SECONDS = 10.0  # for which a worker may take to end what it does after Ctrl-C
_LISTED_SECONDS = 1.0  # between looks at whether a worker that has not answered yet is still there


class LostError(RuntimeError):
    """A worker does not answer any more, or has no host that knows what it is asked."""


class UnlikeWorkerError(RuntimeError):
    """Results would depend on which worker does what."""


class Request(typing.NamedTuple):
    """A call of a method of a `ShardHost`, without the number of the call."""

    address: str
    method: str
    arguments: tuple


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
    ImportError
        If dask.distributed is not installed.
    sltrees.execution.threads.ClusterLostError
        When it is opened, if there is no cluster, or it has no worker.
    RuntimeError
        Likewise, if the workers have other versions or round otherwise than this process.
    TypeError, ValueError
        If a parameter breaks its rule.

    Notes
    -----
    Opened by ``with``; a trainer opens one that is not, for as long as it trains. When it is closed, networks that live
    on its workers are brought to this process: `ShiftedReLUNetwork.fetch`. Where there is no room, they are gone, with
    a warning.

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

    is_cluster = True

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
        self._distributed = _imported()
        self._dask = importlib.import_module("dask")
        if client is not None and not isinstance(client, (str, self._distributed.Client)):
            raise TypeError(
                f"client must be a distributed.Client or the address of a scheduler, got {type(client).__name__}"
            )
        if isinstance(client, str):
            _refuse_address(client)
        if client is not None and (n_workers, threads_per_worker, memory_limit) != (None, None, None):
            raise ValueError("n_workers, threads_per_worker and memory_limit are for a cluster that is started here")
        if isinstance(client, self._distributed.Client) and client.asynchronous:
            raise ValueError("client must not be asynchronous: the trainer waits for what it asks")
        for name, value in (("n_workers", n_workers), ("threads_per_worker", threads_per_worker)):
            if value is not None:
                as_integer(value, name, minimum=1)
        self._given, self._local = client, (n_workers, threads_per_worker, memory_limit)
        self._threads = ThreadExecutor(n_threads)
        self.n_threads = self._threads.n_threads
        self.patience = as_non_negative(patience, "patience")
        self._opened = 0  # times
        self._door = threading.RLock()  # held while it is opened and closed
        self._client = None
        self._hosts = {}  # by address of the worker: future of the actor
        self._alike = set()  # keys of those that compute as this process does
        self._unready = {}  # by address of workers that were paused, busy or silent for too long: until when
        self._calls = itertools.count(1)
        self._given_up = set()  # numbers of calls that nobody waits for any more
        self._networks = weakref.WeakSet()
        self.traffic = {}

    # ------------------------------------------------------------------ the cluster

    def __deepcopy__(self, memo):
        return self  # it stands for a cluster, of which there is one

    def __reduce__(self):
        raise TypeError("an executor cannot be pickled: it stands for a cluster")

    def __enter__(self):
        with self._door:
            if not self._opened:
                self._open()
            self._opened += 1
        return self

    def _open(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self._forget_cluster)
            self._client = client = self._connected(stack)
            self.traffic = {}
            self.wait_for_workers()
            self._make_hosts()
            stack.enter_context(self._threads)
            self.dashboard_link = None if importlib.util.find_spec("bokeh") is None else client.dashboard_link
            self._exit = stack.pop_all()

    def _forget_cluster(self):
        self._hosts, self._alike, self._unready, self._given_up = {}, set(), {}, set()
        self._client = self.dashboard_link = None

    def _connected(self, stack):
        """A client, which is closed with the stack if it was made here."""
        if isinstance(self._given, self._distributed.Client):
            return self._given
        try:
            if self._given is not None:
                client = self._distributed.Client(self._given, set_as_default=False, timeout=self.patience)
                return stack.enter_context(_closing(client))
            n_workers, n_threads, memory_limit = self._local
            # by default a worker is given up that happens to be away 15 seconds after an earlier death
            stack.enter_context(self._dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}))
            n_workers = n_workers or self.n_threads
            cluster = self._distributed.LocalCluster(
                n_workers=0,  # none before somebody is there who will close it
                threads_per_worker=n_threads or max(1, self.n_threads // n_workers),
                memory_limit="auto" if memory_limit is None else memory_limit,
                dashboard_address="127.0.0.1:0",  # for this machine alone
                preload=["sltrees.cluster.dask.preload"],
            )
            stack.callback(_closed_quietly, cluster)
            client = self._distributed.Client(cluster, set_as_default=False, direct_to_workers=True)
            stack.enter_context(_closing(client))
            cluster.scale(n_workers)
            client.wait_for_workers(n_workers, timeout=max(_STARTING_SECONDS, self.patience))
        except (OSError, TimeoutError) as error:
            raise ClusterLostError(f"there is no cluster: {error}") from error
        except TypeError as error:  # certificates that an address wants
            raise ValueError(f"the client cannot be made: {error}") from error
        return client

    def __exit__(self, *exception):
        with self._door:
            self._opened -= 1
            if self._opened:
                return
            with self._exit:  # whatever happens
                pressed = [error for network in list(self._networks) if (error := self._bring_home(network))]
                hosts, self._hosts = self._hosts, {}  # nobody asks them any more
                for actor in hosts.values():
                    with contextlib.suppress(Exception):
                        actor.release()
                if pressed:
                    raise pressed[0]

    def _bring_home(self, network):
        """Fetch a network that lives here. Returns Ctrl-C, which does not cut it off: it would be lost."""
        home = network._home
        if home is None or not home.lives_on(self):
            return None
        pressed = None
        for _ in range(2):  # Ctrl-C may come before it has begun
            try:
                self._threads.map(network._fetch, [None])  # what is begun is waited for
            except KeyboardInterrupt as error:
                pressed = error
            except Exception as error:
                warnings.warn(f"a network is lost with its cluster: {error}", RuntimeWarning, stacklevel=3)
                break
            if network._home is None:
                break
        return pressed

    dashboard_link = None

    def workers(self):
        """What the scheduler knows of the workers that can be asked: dict of address to dict. Cost: O(workers)."""
        if self._client is None:
            raise ClusterLostError("the executor is closed")
        try:
            workers = self._submit(self._listed()).result()
        except OSError as error:
            raise ClusterLostError(f"the scheduler does not answer: {error}") from error
        alive = ("running", "paused", "init")
        return {
            address: worker
            for address, worker in workers.items()
            if worker.get("status", "running") in alive and not self._is_unready(address)
        }

    def _set_unready(self, address):
        """Do without a worker for longer than it is waited for others."""
        self._unready[address] = time.monotonic() + max(_MAKING_SECONDS, 2 * self.patience)

    def _is_unready(self, address):
        return time.monotonic() < self._unready.get(address, 0.0)

    async def _listed(self):
        """The workers that the scheduler lists; OSError if it does not answer for `patience` seconds."""
        try:
            patience = max(_MAKING_SECONDS, self.patience)
            identity = await asyncio.wait_for(self._client.scheduler.identity(), patience)
        except (AttributeError, OSError, RuntimeError, TimeoutError) as error:  # a client may have closed itself
            raise OSError(f"{type(error).__name__}: {error}") from error
        return identity["workers"]

    def wait_for_workers(self):
        """Workers once there are any; ClusterLostError if there are none for `patience` seconds."""
        deadline = time.monotonic() + self.patience
        while True:
            workers = self.workers()
            if workers:
                return workers
            if time.monotonic() > deadline:
                unready = ": those there are paused, or busy" if self._unready else ""
                raise ClusterLostError(f"the cluster had no worker for {self.patience:g} seconds{unready}")
            time.sleep(0.1)

    @property
    def memory(self):
        """Bytes that all workers together may use. Cost: O(workers)."""
        if not self.workers():  # none is ready; but a run begins, and they may be by now
            self._unready.clear()
        limits = [worker.get("memory_limit") or 0 for worker in self.wait_for_workers().values()]
        return float(sum(limits)) if all(limits) else float("inf")

    def _make_hosts(self):
        """Make a host on each worker; RuntimeError if one computes otherwise than this process."""
        hosts = [self._submit(self._host(address)) for address in self.wait_for_workers()]
        lost = []
        for host in hosts:
            try:
                host.result()
            except (KeyError, OSError) as error:  # it went, or is not ready: others may have come
                lost.append(error)
        if self._unready:
            self.wait_for_workers()  # none of them
        elif len(lost) == len(hosts):
            raise ClusterLostError(f"no worker could be given neurons: {lost[-1]}")

    # ------------------------------------------------------------------ calls

    def call(self, requests, *, stoppable=True, progress=None):
        """Make calls at the same time and wait for all.

        Parameters
        ----------
        requests : list of Request
        stoppable : bool, default True
            Ctrl-C makes them end where they are; otherwise it takes effect once all are done.
        progress : callable, optional
            Called as progress(blocks done) now and then.

        Returns
        -------
        list
            What they return, in the order of the requests; a LostError where a worker did not answer, or did not hold
            what it was asked of.

        Raises
        ------
        Exception
            That of the first call that raised another.
        """
        if self._client is None:
            raise ClusterLostError("the executor is closed, and what lived on its workers is lost")
        number = next(self._calls) if stoppable else 0
        futures = []
        try:
            for request in requests:
                futures.append(self._submit(self._call(request, (number, *request.arguments))))
            outcomes = self._waited(futures, requests, progress)
        except KeyboardInterrupt:
            self._settle(futures, requests, number)
            raise
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, LostError):
                raise outcome
        return outcomes

    def _waited(self, futures, requests, progress):
        looked = time.monotonic()
        waiting = set(futures)
        while waiting:
            _, waiting = concurrent.futures.wait(waiting, timeout=_PROGRESS_SECONDS)
            if progress is not None and waiting and time.monotonic() - looked >= _PROGRESS_SECONDS:
                looked = time.monotonic()
                looks = self._ask_quickly({request.address for request in requests}, "progress").values()
                done, _ = concurrent.futures.wait(looks, timeout=1.0)
                told = [look.result() for look in done]
                progress(sum(blocks for blocks in told if isinstance(blocks, int)))
        return [future.result() for future in futures]

    def _settle(self, futures, requests, number):
        """After Ctrl-C: nothing goes on once this returns, whatever else is pressed meanwhile.

        A worker that does not even say how far it is for `_SETTLING_SECONDS` is done without from here on.
        """
        if number:
            self._given_up.add(number)  # nobody waits for a host that is not made yet
        addresses = {request.address for request in requests}
        waiting, looks = set(futures), None
        while waiting:
            try:
                if looks is None:
                    if number:
                        self._ask_quickly(addresses, "stop", number)
                    looks = self._ask_quickly(addresses, "progress")
                    deadline = time.monotonic() + _SETTLING_SECONDS
                waiting = concurrent.futures.wait(waiting, max(0.0, deadline - time.monotonic())).not_done
                if time.monotonic() >= deadline:
                    for future in waiting:
                        address = requests[futures.index(future)].address
                        if not looks[address].done():
                            self._set_unready(address)
                            future.cancel()
                    looks = None
            except KeyboardInterrupt:
                continue

    def _ask_quickly(self, addresses, method, *arguments):
        """Futures of quick calls by address."""
        return {a: self._submit(self._call(Request(a, method, ()), arguments, quick=True)) for a in addresses}

    async def _call(self, request, arguments, quick=False):
        """One call: what it returns, or the exception that it raised. LostError if there is nobody to answer.

        A quick one does not make a host where there is none, and is not counted.
        """
        address = request.address
        host = self._hosts.get(address)
        if quick and (host is None or host.key not in self._alike):
            return LostError(f"{address}: its host is not made yet")
        try:
            if not quick:
                host = await self._host(address, number=arguments[0])
            reply = await self._reply(address, host, request.method, arguments)
        except UnlikeWorkerError as error:
            return error
        except (AttributeError, KeyError, OSError, RuntimeError) as error:
            if host is None or self._hosts.get(address) is host:
                self._hosts.pop(address, None)  # whoever comes to this address has another
            return LostError(f"{address}: {str(error) or type(error).__name__}")
        except Exception as error:  # what a message says that cannot be read
            return error
        if not quick:
            traffic = self.traffic.setdefault(address, {"sent": 0, "received": 0, "calls": 0})
            traffic["calls"] += 1
            traffic["sent"] += payload_bytes(arguments)
        if reply["status"] != "OK":
            error = reply["exception"]
            return LostError(str(error)) if isinstance(error, NotHeldError) else error
        result = reply["result"]
        if not quick:
            traffic["received"] += payload_bytes(result)
        return result

    async def _reply(self, address, host, method, arguments):
        """What a worker answers; OSError once the scheduler lists it no longer: connecting may be tried for long."""
        from distributed.protocol import to_serialize

        message = {
            "function": method,
            "actor": host.key,
            "args": [to_serialize(argument) for argument in arguments],
            "kwargs": {},
        }
        # not by distributed.Actor: its futures never end where anything but OSError is raised between
        if self._client.direct_to_workers:
            reply = asyncio.ensure_future(self._client.rpc(address).actor_execute(**message))
        else:
            message["op"] = "actor_execute"
            reply = asyncio.ensure_future(self._client.scheduler.proxy(worker=address, msg=message))
        return await self._while_listed(address, reply)

    async def _while_listed(self, address, reply):
        """What is awaited of a worker; OSError once the scheduler lists it no longer."""
        try:
            while not (await asyncio.wait([reply], timeout=_LISTED_SECONDS))[0]:
                if address not in await self._listed():
                    raise OSError("the scheduler lists it no longer")
            return reply.result()
        finally:
            reply.cancel()

    async def _host(self, address, number=0):
        """The actor on a worker, made if there is none. Runs in the event loop alone, so that there is one.

        KeyError or OSError if the worker is gone, or has not made it after `patience` seconds, UnlikeWorkerError if it
        computes otherwise than this process.
        """
        if self._is_unready(address):
            raise OSError("it was paused or busy, or did not answer")
        if address not in self._hosts:
            await self._require_package(address)
            n_threads = (await self._listed())[address]["nthreads"]
            if address not in self._hosts:
                self._hosts[address] = self._client.submit(
                    ShardHost,
                    n_threads,
                    actor=True,
                    workers=[address],
                    allow_other_workers=False,
                    pure=False,
                    key=f"sltrees-shards-{uuid.uuid4().hex}",
                )
        host, looked = self._hosts[address], time.monotonic()
        if host.key in self._alike:
            return host
        patience = max(_MAKING_SECONDS, self.patience)
        deadline = looked + patience
        while not host.done():
            await asyncio.sleep(2e-3)
            if number in self._given_up:
                raise OSError("nobody waits for it")
            if time.monotonic() > deadline:
                self._set_unready(address)
                self._hosts.pop(address, None)
                raise OSError(f"it has made no host in {patience:g} seconds: it is paused, or busy")
            if time.monotonic() - looked > _LISTED_SECONDS:  # one that goes before it is made is not heard of again
                looked = time.monotonic()
                if address not in await self._listed():
                    raise OSError("the worker went before it had made its host")
        if host.status != "finished":
            raise OSError(f"the worker could not make its host: {host.status}")
        reply = await self._reply(address, host, "describe", ())
        refuse_unlike(address, reply["result"])
        self._alike.add(host.key)
        return host

    async def _require_package(self, address):
        """UnlikeWorkerError if a worker has no sltrees: it would end where it reads what it cannot import."""
        looked = self._client.run(eval, _HAS_PACKAGE, workers=[address], on_error="return")
        found = await self._while_listed(address, asyncio.ensure_future(looked))
        if found.get(address) is False:
            raise UnlikeWorkerError(f"worker {address} has no package sltrees")

    def deposit(self, addresses, X, fingerprint):
        """Have samples on workers, before they are named in a recipe.

        Not by Dask's scatter: where a worker dies in the middle of it, the scheduler copies on for ever.

        Parameters
        ----------
        addresses : list of str
        X : ndarray of shape (n, d)
        fingerprint : str

        Notes
        -----
        Cost: n d numbers to each worker.
        """
        requests = [Request(address, "deposit", (X, fingerprint)) for address in addresses]
        for first in range(0, len(requests), _DEPOSITS_AT_A_TIME):  # memory: each is a message
            self.call(requests[first : first + _DEPOSITS_AT_A_TIME])  # who is lost is noticed when asked

    def forget(self, held):
        """Let holdings go, without waiting and whatever became of the cluster: list of (address, key)."""
        client = self._client
        if client is not None and client.status == "running":
            with contextlib.suppress(ClusterLostError):
                self._submit(self._forgotten(held))

    async def _forgotten(self, held):
        with contextlib.suppress(OSError):
            listed = await self._listed()  # connecting to who is gone would be tried for long
            calls = [
                self._call(Request(address, "forget", ()), (key,), quick=True)
                for address, key in held
                if address in listed
            ]
            await asyncio.gather(*calls)

    def _submit(self, coroutine):
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._client.loop.asyncio_loop)
        except (AttributeError, RuntimeError) as error:
            coroutine.close()
            raise ClusterLostError(f"the client is closed: {error}") from error

    # ------------------------------------------------------------------ what every executor does, in this process

    def map(self, function, blocks, progress=None):
        """As `ThreadExecutor.map`, on threads of this process."""
        return self._threads.map(function, blocks, progress)

    def run_all(self, function, blocks):
        """As `ThreadExecutor.run_all`, on threads of this process."""
        return self._threads.run_all(function, blocks)

    def run(self, function, *arguments):
        """As `ThreadExecutor.run`, on a thread of this process."""
        return self._threads.run(function, *arguments)

    def build_group(self, network, planes, skin, ridge, progress):
        """Have the neurons of a network on the workers, with lists over samples: (RemoteGroup, state of the network).

        Parameters
        ----------
        network : ShiftedReLUNetwork
            Undrawn, or with its neurons here or there.
        planes : Hyperplanes
        skin : float
        ridge : bool
        progress : callable
            As of `CertifiedMethod.set_up`.
        """
        from sltrees.cluster.remote_group import RemoteGroup  # it calls us

        group, state = RemoteGroup.built(self, network, planes, skin, ridge, progress)
        self._networks.add(network)
        return group, state


def refuse_unlike(address, found):
    """UnlikeWorkerError if a worker that describes itself so computes otherwise than this process.

    Parameters
    ----------
    address : str
    found : dict of str to str
        Of its `describe_arithmetic`.

    Notes
    -----
    Cost: that of `describe_arithmetic`.

    Examples
    --------
    >>> refuse_unlike("tcp://10.0.0.1:4000", describe_arithmetic())
    """
    for name, value in describe_arithmetic().items():
        if found.get(name) != value:
            raise UnlikeWorkerError(
                f"results would depend on which worker does what: {name} of worker {address} is {found.get(name)}, "
                f"here it is {value}"
            )


def _refuse_address(address):
    """ValueError if it is none of a scheduler: a client that is given it would hang when it is closed."""
    from distributed.comm.addressing import parse_address, parse_host_port

    try:
        scheme, location = parse_address(address)
        if scheme in ("tcp", "tls"):
            parse_host_port(location)
    except ValueError as error:
        raise ValueError(f"client must be an address such as 'tcp://host:8786', got {address!r}: {error}") from error


def payload_bytes(message):
    """Bytes of the arrays in a message, wherever they are in it. Cost: O(parts).

    Examples
    --------
    >>> payload_bytes([np.zeros(3), {"x": (np.zeros(2, np.float32), None)}])
    32
    """
    if isinstance(message, np.ndarray):
        return message.nbytes
    if isinstance(message, dict):
        return sum(payload_bytes(part) for part in message.values())
    if isinstance(message, (tuple, list)):
        return sum(payload_bytes(part) for part in message)
    return 0


def _imported():
    """The package distributed; ImportError that names the extra."""
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise ImportError(
            'executor "dask" needs dask.distributed: pip install "sltrees[dask]"', name="distributed"
        ) from error


@contextlib.contextmanager
def _closing(client):
    try:
        yield client
    finally:
        _closed_quietly(client)


def _closed_quietly(closable):
    """Close, whatever state it is in, as a scheduler may be gone, and whatever is pressed meanwhile."""
    pressed = None
    while True:
        try:
            with contextlib.suppress(Exception):
                closable.close(timeout=10)
            break
        except KeyboardInterrupt as error:
            pressed = error
    if pressed is not None:
        raise pressed
