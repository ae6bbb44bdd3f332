"""Calls of the hosts of a Dask cluster: one, many at the same time, and what Ctrl-C does to them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import time

from sltrees.cluster.arithmetic import UnlikeWorkerError
from sltrees.cluster.messages import ClusterLostError, LostError, NotHeldError, Request, payload_bytes

_PROGRESS_SECONDS = 0.2  # between looks at how far hosts are
_SETTLING_SECONDS = 10.0  # for which a worker may take to end what it does after Ctrl-C


class Calls:
    """Calls of methods of hosts.

    Parameters
    ----------
    connection : Connection
    hosts : Hosts
    traffic : dict of str to dict
        By address of the worker: bytes "sent" and "received", and number of "calls". It is written to.
    """

    def __init__(self, connection, hosts, traffic):
        self._connection, self._hosts, self._traffic = connection, hosts, traffic
        self._numbers = itertools.count(1)
        self._given_up = set()  # numbers of calls that nobody waits for any more

    def call(self, requests, stoppable, progress):
        """As `Cluster.call`."""
        number = next(self._numbers) if stoppable else 0
        futures = []
        try:
            for request in requests:
                futures.append(self._connection.submit(self._call(request, (number, *request.arguments))))
            outcomes = self._waited(futures, requests, progress)
        except KeyboardInterrupt:
            self._settle(futures, requests, number)
            raise
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, LostError):
                raise outcome
        return outcomes

    def _waited(self, futures, requests, progress):
        """What all return, once they do."""
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
        """After Ctrl-C: all calls have ended when this returns, even after further Ctrl-C.

        A worker that does not even say how far it is for `_SETTLING_SECONDS` is skipped from here on.
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
                            self._connection.set_unready(address)
                            future.cancel()
                    looks = None
            except KeyboardInterrupt:
                continue

    def _ask_quickly(self, addresses, method, *arguments):
        """Futures of quick calls by address."""
        submit = self._connection.submit
        return {a: submit(self._call(Request(a, method, ()), arguments, quick=True)) for a in addresses}

    async def _call(self, request, arguments, quick=False):
        """One call: what it returns, or the exception that it raised. LostError if there is nobody to answer.

        A quick one does not make a host where there is none, and is not counted.
        """
        address, hosts = request.address, self._hosts
        host = hosts.ready(address) if quick else hosts.actors.get(address)
        if quick and host is None:
            return LostError(f"{address}: its host is not made yet")
        try:
            if not quick:
                host = await hosts.made(address, lambda: arguments[0] in self._given_up)
            reply = await hosts.reply(address, host, request.method, arguments)
        except UnlikeWorkerError as error:
            return error
        except (AttributeError, KeyError, OSError, RuntimeError) as error:
            hosts.lose(address, host)
            return LostError(f"{address}: {str(error) or type(error).__name__}")
        except Exception as error:  # what a message says that cannot be read
            return error
        if not quick:
            traffic = self._traffic.setdefault(address, {"sent": 0, "received": 0, "calls": 0})
            traffic["calls"] += 1
            traffic["sent"] += payload_bytes(arguments)
        if reply["status"] != "OK":
            error = reply["exception"]
            return LostError(str(error)) if isinstance(error, NotHeldError) else error
        result = reply["result"]
        if not quick:
            traffic["received"] += payload_bytes(result)
        return result

    def forget(self, held):
        """As `Cluster.forget`."""
        if self._connection.client.status == "running":
            with contextlib.suppress(ClusterLostError):
                self._connection.submit(self._forgotten(held))

    async def _forgotten(self, held):
        with contextlib.suppress(OSError):
            listed = await self._connection.listed()  # connecting to who is gone would be tried for long
            calls = [
                self._call(Request(address, "forget", ()), (key,), quick=True)
                for address, key in held
                if address in listed
            ]
            await asyncio.gather(*calls)
