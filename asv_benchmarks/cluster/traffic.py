"""What crosses the network between a trainer and each worker of a Dask cluster in an iteration, against a model.

    python asv_benchmarks/cluster/traffic.py
    python asv_benchmarks/cluster/traffic.py --samples 60 500 --alpha 0 1e-3 --workers 3

Linux alone, as root: each worker has a network namespace, and the counters of its interface tell what crosses the wire,
headers of all layers included. The model knows the number of calls, n, the nodes of sums and the numbers q of pairs
whose counts change, as the calls report them; what a call without arrays and a byte of an array cost on the wire, and
what an idle cluster sends in a second, is measured before, with an actor that does nothing:

    to a worker      n float64 for each review
    from a worker    nodes (n + 1, and n more with a ridge) float64 for each review,
                     nodes n float64, 2 n with a ridge, where outputs are computed from the weights,
                     min(q (4 + s), n^2 s) for each count of flips, s the bytes of the smallest integer that holds it

Packets that acknowledge and carry nothing are counted apart, and are not in the model: how many segments the kernel
acknowledges at once, from one to dozens, depends on the moment. Exit status 1 if for any worker and direction the rest
of what crosses the wire is farther than 10% from the model.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests"))
from network_namespaces import NamespacedCluster, why_unavailable
from problems import random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback
from sltrees.cluster.arithmetic import describe_arithmetic
from sltrees.cluster.dask.executor import DaskExecutor
from sltrees.cluster.messages import Request
from sltrees.cluster.portions import Portion
from sltrees.gram.pair_counts import CountedPairs
from sltrees.methods.certified.trajectory import Advance
from sltrees.records import StepCounts

KEY = ("0" * 32, Portion(0, 1, 1))  # as long as those of holdings
TOLERANCE = 0.1
BULK = 1_000_000  # bytes
ACKNOWLEDGEMENT = 14 + 20 + 32  # bytes of a packet without data: headers of Ethernet, IP and TCP


class Idler:
    """An actor that answers as a `ShardHost` does, and does nothing."""

    def describe(self):
        """What a host says of itself, so that it is taken for one."""
        return describe_arithmetic()

    def run(self, call, key, what, arguments):
        """What is asked of a holding, with arrays of one number."""
        if what == "review":
            return StepCounts(10000, 10000, 10000, 10000, 10000, 10000), {(1, 100): np.zeros(1)}
        if what == "nodes":
            return StepCounts(10000, 10000, 10000, 10000, 10000, 10000), {(1, 100): np.zeros(1), (2, 100): np.zeros(1)}
        if what == "outputs":
            return {(1, 100): np.zeros(1)}
        if what == "count_flips":
            return CountedPairs(np.zeros(1, np.uint32), np.zeros(1, np.int8))
        if what == "keep":
            return 100000, 10000000
        return np.random.default_rng(0).bytes(arguments[0]) if what == "bulk" else None


class RecordingExecutor(DaskExecutor):
    """Remembers which calls were made to each worker, and what of the answers the model is made of."""

    def __init__(self, client):
        super().__init__(client)
        self.made = collections.defaultdict(list)  # by address: (what, nodes or bytes of counts)

    def call(self, requests, **options):
        """As of `DaskExecutor`."""
        outcomes = super().call(requests, **options)
        for request, outcome in zip(requests, outcomes, strict=True):
            what = request.arguments[1] if request.method == "run" else request.method
            size = 0
            if what == "review":
                size = len(outcome[1])
            elif what == "outputs":
                size = len(outcome)
            elif what == "count_flips":
                q, s = np.count_nonzero(outcome.values), outcome.values.itemsize
                pairs = q if outcome.numbers is not None else outcome.values.size
                size = min(q * (4 + s), pairs * s if outcome.numbers is None else np.inf)
            self.made[request.address].append((what, size))
        return outcomes


class Costs:
    """Bytes on the wire, (to, from) the worker: of each kind of call, of a byte, and of a second.

    Parameters
    ----------
    cluster : NamespacedCluster
    executor : RecordingExecutor
        Open.
    """

    def __init__(self, cluster, executor):
        address, client = cluster.worker_addresses[0], executor._connection.client
        idler = client.submit(Idler, actor=True, workers=[address], pure=False)
        idler.result()
        actors = executor._hosts.actors
        host, actors[address] = actors[address], idler

        def measured(what, *arguments, calls=30):
            before = data_bytes(cluster, 0)
            began = time.monotonic()
            for _ in range(calls):
                executor.call([Request(address, "run", (KEY, what, arguments))])
            seconds = time.monotonic() - began
            return (data_bytes(cluster, 0) - before - self.idle * seconds) / calls

        before = data_bytes(cluster, 0)
        time.sleep(5.0)
        self.idle = (data_bytes(cluster, 0) - before) / 5.0
        measured("warm")
        advance = Advance(np.zeros(1), 0.5, 0.5, False)
        self.calls = {
            "empty": measured("empty"),
            "review": measured("review", advance),
            "outputs": measured("outputs", True),
            "count_flips": measured("count_flips", 10000),
            "keep": measured("keep", 10, True),
        }
        self.node = measured("nodes", advance) - self.calls["review"]  # each further node of a sum
        to = measured("empty", np.random.default_rng(0).bytes(BULK), calls=5) - self.calls["empty"]
        back = measured("bulk", BULK, calls=5) - self.calls["empty"]
        self.byte = np.array([to[0], back[1]]) / BULK
        actors[address] = host
        idler.release()

    def __str__(self):
        calls = ", ".join(f"{what} {to:.0f} + {back:.0f}" for what, (to, back) in self.calls.items())
        return (
            f"bytes to + from a worker: idle {self.idle[0]:.0f} + {self.idle[1]:.0f} a second; calls with arrays of "
            f"one number: {calls}; a byte {self.byte[0]:.3f}, {self.byte[1]:.3f}"
        )

    def model(self, made, n, ridge, seconds):
        """(payload, wire) of calls, each (to, from) a worker."""
        wire, payload = self.idle * seconds, np.zeros(2)
        for what, size in made:
            wire = wire + self.calls.get(what, self.calls["empty"])
            arrays, contained = np.zeros(2), np.zeros(2)  # these are in what the call costs
            if what == "review":
                arrays[:], contained[:] = (8 * n, 8 * size * (n + 1 + (n if ridge else 0))), (8, 8 * size)
            elif what == "outputs":
                arrays[1], contained[1] = 8 * size * (2 * n if ridge else n), 8 * size
            elif what == "count_flips":
                arrays[1], contained[1] = size, 5
            if what in ("review", "outputs"):
                wire = wire + self.node * (size - 1)
            wire = wire + np.maximum(arrays - contained, 0) * self.byte
            payload += arrays
        return payload, wire


def acknowledgement_bytes(cluster, k):
    """Of packets without data on the wire of worker k, (to, from) it."""
    return np.array(cluster.acknowledgements(k)) * ACKNOWLEDGEMENT


def data_bytes(cluster, k):
    """On the wire of worker k, (to, from) it, with headers and without acknowledgements that carry nothing."""
    return np.array(cluster.wire_bytes(k)) - acknowledgement_bytes(cluster, k)


class Meter(Callback):
    """Takes what crossed wires between the first and the last iteration."""

    def __init__(self, cluster, executor):
        self.cluster, self.executor = cluster, executor
        self.readings = []

    def on_iteration(self, trainer, record):
        """Read all counters."""
        traffic = self.executor.traffic
        self.readings.append(
            (
                time.monotonic(),
                [data_bytes(self.cluster, k) for k in range(self.cluster.n_workers)],
                [np.array([traffic[a]["sent"], traffic[a]["received"]]) for a in self.cluster.worker_addresses],
                [len(self.executor.made[a]) for a in self.cluster.worker_addresses],
                [acknowledgement_bytes(self.cluster, k) for k in range(self.cluster.n_workers)],
            )
        )


def measure(options, cluster, executor, costs, n, alpha):
    """Train once and print a row for each worker and direction; whether the model holds."""
    X, y = random_problem(0, n, options.features)
    meter = Meter(cluster, executor)
    network = ShiftedReLUNetwork(options.width, sampling="dense", random_state=0)
    trainer = NewtonTrainer(
        network, alpha=alpha, tol=1e-12, max_iter=options.iterations, executor=executor, callbacks=[meter]
    )
    trainer.fit(X, y)
    first, last = meter.readings[0], meter.readings[-1]
    iterations, good = len(meter.readings) - 1, True
    for k, address in enumerate(cluster.worker_addresses):
        made = executor.made[address][first[3][k] : last[3][k]]
        payload, wire = costs.model(made, n, alpha > 0, last[0] - first[0])
        crossed, counted, acknowledged = (last[what][k] - first[what][k] for what in (1, 2, 4))
        for direction, name in enumerate(("to", "from")):
            ratio = wire[direction] / crossed[direction]
            good &= abs(crossed[direction] / wire[direction] - 1.0) <= TOLERANCE
            print(
                f"{n:6d} {alpha:7g} {k:6d}  {name:<9} {len(made) / iterations:5.1f} "
                f"{acknowledged[direction] / iterations:9.0f} {crossed[direction] / iterations:12.0f} "
                f"{wire[direction] / iterations:12.0f} {ratio:7.3f} "
                f"{counted[direction] / iterations:12.0f} {payload[direction] / iterations:12.0f}"
            )
    return good


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=2**17)
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--samples", type=int, nargs="+", default=[60, 500])
    parser.add_argument("--alpha", type=float, nargs="+", default=[0.0, 1e-3])
    parser.add_argument("--iterations", type=int, default=8)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument(
        "--by-scheduler", action="store_true", help="calls go by the scheduler, not to workers directly"
    )
    options = parser.parse_args(arguments)
    if why_unavailable() is not None:
        parser.error(why_unavailable())
    good = True
    with (
        NamespacedCluster(options.workers) as cluster,
        cluster.client(direct_to_workers=not options.by_scheduler) as client,
        RecordingExecutor(client) as executor,
    ):
        costs = Costs(cluster, executor)
        print(costs)
        print(
            "     n   alpha worker  direction calls      acks         wire        model   ratio      counted      model"
        )
        print("                                                        bytes an iteration, then those of arrays")
        for n in options.samples:
            for alpha in options.alpha:
                good &= measure(options, cluster, executor, costs, n, alpha)
    print(f"the wire {'is' if good else 'is NOT'} within {TOLERANCE:.0%} of the model, but for acknowledgements")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
