"""A client of a Dask cluster, its scheduler, and which workers can be asked (extra "dask")."""

from __future__ import annotations

import asyncio
import contextlib
import time
import typing

from sltrees.cluster.messages import ClusterLostError

try:
    import dask
    import distributed
    from distributed.comm.addressing import parse_address, parse_host_port
    from distributed.security import Security
except ImportError as error:
    raise ImportError('executor "dask" needs dask.distributed: pip install -e ".[dask]"') from error

# That a worker may take to make its host, and the scheduler to answer, however impatient one is.
MAKING_SECONDS = 10.0
LISTED_SECONDS = 1.0  # between looks at whether a worker that has not answered yet is still there
_STARTING_SECONDS = 60.0  # that workers of a cluster started here may take, however impatient one is


class LocalWorkers(typing.NamedTuple):
    """The workers of a cluster that is started on this machine; None: what is the default."""

    number: int | None
    threads_per_worker: int | None
    memory_limit: float | str | None


class Connection:
    """What there is of a cluster while its executor is open: the client, and what the scheduler knows of workers.

    Coroutines are for the event loop of the client, which `submit` gives them to.

    Parameters
    ----------
    client : distributed.Client
    patience : float
        Seconds for which to wait for a worker where there is none.

    Attributes
    ----------
    unready : dict of str to float
        By address of workers that were paused, busy or silent for too long: until when they are done without.
    """

    def __init__(self, client, patience):
        self.client, self.patience = client, patience
        self.unready = {}

    @property
    def answering_seconds(self):
        """That a worker may take to make its host, and the scheduler to answer. Cost: O(1)."""
        return max(MAKING_SECONDS, self.patience)

    def submit(self, coroutine):
        """Have the event loop of the client run this: a future. ClusterLostError if the client is closed."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self.client.loop.asyncio_loop)
        except (AttributeError, RuntimeError) as error:
            coroutine.close()
            raise ClusterLostError(f"the client is closed: {error}") from error

    def workers(self):
        """As `Cluster.workers`."""
        try:
            workers = self.submit(self.listed()).result()
        except OSError as error:
            raise ClusterLostError(f"the scheduler does not answer: {error}") from error
        alive = ("running", "paused", "init")
        return {
            address: worker
            for address, worker in workers.items()
            if worker.get("status", "running") in alive and not self.is_unready(address)
        }

    def wait_for_workers(self):
        """As `Cluster.wait_for_workers`."""
        deadline = time.monotonic() + self.patience
        while True:
            workers = self.workers()
            if workers:
                return workers
            if time.monotonic() > deadline:
                unready = ": those there are paused, or busy" if self.unready else ""
                raise ClusterLostError(f"the cluster had no worker for {self.patience:g} seconds{unready}")
            time.sleep(0.1)

    @property
    def memory(self):
        """As `Cluster.memory`."""
        if not self.workers():  # none is ready; but a run begins, and they may be by now
            self.unready.clear()
        limits = [worker.get("memory_limit") or 0 for worker in self.wait_for_workers().values()]
        return float(sum(limits)) if all(limits) else float("inf")

    def set_unready(self, address):
        """Skip a worker for longer than others are waited for."""
        self.unready[address] = time.monotonic() + max(MAKING_SECONDS, 2 * self.patience)

    def is_unready(self, address):
        """Whether a worker is skipped for now. Cost: O(1)."""
        return time.monotonic() < self.unready.get(address, 0.0)

    async def listed(self):
        """The workers that the scheduler lists; OSError if it does not answer for `answering_seconds`."""
        try:
            identity = await asyncio.wait_for(self.client.scheduler.identity(), self.answering_seconds)
        except (AttributeError, OSError, RuntimeError, TimeoutError) as error:  # a client may have closed itself
            raise OSError(f"{type(error).__name__}: {error}") from error
        return identity["workers"]

    async def while_listed(self, address, reply):
        """What is awaited of a worker; OSError once the scheduler lists it no longer."""
        try:
            while not (await asyncio.wait([reply], timeout=LISTED_SECONDS))[0]:
                if address not in await self.listed():
                    raise OSError("the scheduler lists it no longer")
            return reply.result()
        finally:
            reply.cancel()


def connect(stack, given, local, n_threads, patience):
    """A client, which is closed with the stack if it was made here, and so is a cluster.

    Parameters
    ----------
    stack : contextlib.ExitStack
    given : distributed.Client, str or None
        A client, the address of a scheduler, or None: a cluster is started on this machine.
    local : LocalWorkers
        Of that.
    n_threads : int
        Processors for its workers, by default.
    patience : float

    Returns
    -------
    distributed.Client
    """
    if isinstance(given, distributed.Client):
        return given
    try:
        if given is not None:
            client = distributed.Client(given, set_as_default=False, timeout=patience)
            return stack.enter_context(_closing(client))
        # by default a worker is given up that happens to be away 15 seconds after an earlier death
        stack.enter_context(dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}))
        n_workers = local.number or n_threads
        cluster = distributed.LocalCluster(
            n_workers=0,  # none before somebody is there who will close it
            threads_per_worker=local.threads_per_worker or max(1, n_threads // n_workers),
            memory_limit="auto" if local.memory_limit is None else local.memory_limit,
            dashboard_address="127.0.0.1:0",  # for this machine alone
            security=_own_security(),
            preload=["sltrees.cluster.dask.preload"],
        )
        stack.callback(_closed_quietly, cluster)
        client = distributed.Client(cluster, set_as_default=False, direct_to_workers=True)
        stack.enter_context(_closing(client))
        cluster.scale(n_workers)
        client.wait_for_workers(n_workers, timeout=max(_STARTING_SECONDS, patience))
    except (OSError, TimeoutError) as error:
        raise ClusterLostError(f"there is no cluster: {error}") from error
    except TypeError as error:  # certificates that an address wants
        raise ValueError(f"the client cannot be made: {error}") from error
    return client


def _own_security():
    """Credentials that nobody but this process and its workers have: other users of the machine can reach its ports.

    They are held in memory, and given to workers when they are started.
    """
    try:
        return Security.temporary()
    except ImportError as error:
        raise ImportError('a cluster that is started here needs cryptography: pip install -e ".[dask]"') from error


def refuse_client(client):
    """TypeError or ValueError if it is neither a client that can be waited for nor the address of a scheduler."""
    if client is not None and not isinstance(client, (str, distributed.Client)):
        raise TypeError(
            f"client must be a distributed.Client or the address of a scheduler, got {type(client).__name__}"
        )
    if isinstance(client, str):
        _refuse_address(client)
    if isinstance(client, distributed.Client) and client.asynchronous:
        raise ValueError("client must not be asynchronous: the trainer waits for what it asks")


def _refuse_address(address):
    """ValueError if it is none of a scheduler: a client that is given it would hang when it is closed."""
    try:
        scheme, location = parse_address(address)
        if scheme in ("tcp", "tls"):
            parse_host_port(location)
    except ValueError as error:
        raise ValueError(f"client must be an address such as 'tcp://host:8786', got {address!r}: {error}") from error


@contextlib.contextmanager
def _closing(client):
    try:
        yield client
    finally:
        _closed_quietly(client)


def _closed_quietly(closable):
    """Close, whatever state it is in, as a scheduler may be gone, and even after further Ctrl-C."""
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
