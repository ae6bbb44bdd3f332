"""One `ShardHost` on each worker of a Dask cluster: an actor, which stays there."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid

from distributed.protocol import to_serialize

from sltrees.cluster.arithmetic import UnlikeWorkerError, refuse_unlike
from sltrees.cluster.dask.connection import LISTED_SECONDS
from sltrees.cluster.host import ShardHost
from sltrees.cluster.messages import ClusterLostError

_HAS_PACKAGE = "__import__('importlib.util').util.find_spec('sltrees') is not None"


class Hosts:
    """The hosts of a cluster, made when they are first asked. Coroutines are for the event loop of the client.

    Parameters
    ----------
    connection : Connection

    Attributes
    ----------
    actors : dict of str to distributed.Future
        By address of the worker.
    """

    def __init__(self, connection):
        self._connection = connection
        self.actors = {}
        self._alike = set()  # keys of those that compute as this process does
        self._released = False

    def make_all(self):
        """Make a host on each worker; RuntimeError if one computes otherwise than this process."""
        connection = self._connection
        hosts = [connection.submit(self.made(address)) for address in connection.wait_for_workers()]
        lost = []
        for host in hosts:
            try:
                host.result()
            except (KeyError, OSError) as error:  # it went, or is not ready: others may have come
                lost.append(error)
        if connection.unready:
            connection.wait_for_workers()  # none of them
        elif len(lost) == len(hosts):
            raise ClusterLostError(f"no worker could be given neurons: {lost[-1]}")

    def release(self):
        """Let all go: nobody asks them any more."""
        actors, self.actors, self._released = self.actors, {}, True
        for actor in actors.values():
            with contextlib.suppress(Exception):
                actor.release()

    def ready(self, address):
        """The actor on a worker, if it has been made and compared with this process, or else None. Cost: O(1)."""
        actor = self.actors.get(address)
        return actor if actor is not None and actor.key in self._alike else None

    def lose(self, address, actor):
        """The actor is gone, or whichever is there if that is None: whoever comes to this address has another."""
        if actor is None or self.actors.get(address) is actor:
            self.actors.pop(address, None)

    async def made(self, address, given_up=lambda: False):
        """The actor on a worker, made if there is none. Runs in the event loop alone, so that there is one.

        KeyError or OSError if the worker is gone, or has not made it after `answering_seconds`, or once nobody waits
        for it, as `given_up()` says; UnlikeWorkerError if it computes otherwise than this process.
        """
        connection = self._connection
        if connection.is_unready(address):
            raise OSError("it was paused or busy, or did not answer")
        if address not in self.actors:
            await self._require_package(address)
            n_threads = (await connection.listed())[address]["nthreads"]
            if self._released:
                raise OSError("the executor is closed")
            if address not in self.actors:
                self.actors[address] = connection.client.submit(
                    ShardHost,
                    n_threads,
                    actor=True,
                    workers=[address],
                    allow_other_workers=False,
                    pure=False,
                    key=f"sltrees-shards-{uuid.uuid4().hex}",
                )
        actor = self.actors[address]
        if actor.key not in self._alike:
            await self._wait_for(address, actor, given_up)
            reply = await self.reply(address, actor, "describe", ())
            refuse_unlike(address, reply["result"])
            self._alike.add(actor.key)
        return actor

    async def _wait_for(self, address, actor, given_up):
        """Wait until a worker has made its actor; OSError where it does not."""
        connection, looked = self._connection, time.monotonic()
        patience = connection.answering_seconds
        deadline = looked + patience
        while not actor.done():
            await asyncio.sleep(2e-3)
            if given_up():
                raise OSError("nobody waits for it")
            if time.monotonic() > deadline:
                connection.set_unready(address)
                self.actors.pop(address, None)
                raise OSError(f"it has made no host in {patience:g} seconds: it is paused, or busy")
            if time.monotonic() - looked > LISTED_SECONDS:  # one that goes before it is made is not heard of again
                looked = time.monotonic()
                if address not in await connection.listed():
                    raise OSError("the worker went before it had made its host")
        if actor.status != "finished":
            raise OSError(f"the worker could not make its host: {actor.status}")

    async def _require_package(self, address):
        """UnlikeWorkerError if a worker has no sltrees: it would end where it reads what it cannot import."""
        looked = self._connection.client.run(eval, _HAS_PACKAGE, workers=[address], on_error="return")
        found = await self._connection.while_listed(address, asyncio.ensure_future(looked))
        if found.get(address) is False:
            raise UnlikeWorkerError(f"worker {address} has no package sltrees")

    async def reply(self, address, actor, method, arguments):
        """What a worker answers; OSError once the scheduler lists it no longer: connecting may be tried for long."""
        client = self._connection.client
        message = {
            "function": method,
            "actor": actor.key,
            "args": [to_serialize(argument) for argument in arguments],
            "kwargs": {},
        }
        # not by distributed.Actor: its futures never end where anything but OSError is raised between
        if client.direct_to_workers:
            reply = asyncio.ensure_future(client.rpc(address).actor_execute(**message))
        else:
            message["op"] = "actor_execute"
            reply = asyncio.ensure_future(client.scheduler.proxy(worker=address, msg=message))
        return await self._connection.while_listed(address, reply)
