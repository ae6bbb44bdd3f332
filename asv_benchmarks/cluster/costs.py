"""What workers and the client of a cluster take for each thing they do, measured on this machine, and kept in a file.

`simulate.py` makes of it what training would take on many machines.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np

from sltrees.cluster.portions import Portion

STORED = Path(__file__).resolve().parents[2] / "docs" / "figures" / "cluster_costs.csv"

MEASURED_WIDTHS = (2**14, 2**16, 2**18, 2**20)
WIDTHS = (2**20, 2**26, 10**9, 10**10, 10**11, 10**12)


def measure():
    """All costs, measured on this machine: what `read_costs` gives."""
    from sltrees.datasets.parity import digits_parity

    X, y, _, _ = digits_parity()
    costs = {"at_width": {}}
    costs |= measure_workers(X, y)
    costs |= measure_client(X, y)
    costs |= measure_cluster()
    setup = measure_setup(X, y)
    for width in sorted({*WIDTHS, *MEASURED_WIDTHS}):
        costs["at_width"][width] = expected_at(X, y, width, setup)
    return costs


def timed(seconds, function):
    """A function that appends to a list (its first argument, its arguments, what it returns, seconds)."""

    def wrapped(self, *arguments, **options):
        began = time.perf_counter()
        result = function(self, *arguments, **options)
        seconds.append((self, arguments, result, time.perf_counter() - began))
        return result

    return wrapped


def watched_run(X, y, width, **options):
    """Train on one thread: (result, calls of each method of `ShardGroup`)."""
    from sltrees import NewtonTrainer, ShiftedReLUNetwork
    from sltrees.methods.certified.group import ShardGroup

    calls = {name: [] for name in ("review", "count_flips", "keep", "product")}
    kept = {name: getattr(ShardGroup, name) for name in calls}
    try:
        for name, function in kept.items():
            setattr(ShardGroup, name, timed(calls[name], function))
        network = ShiftedReLUNetwork(width, random_state=0)
        return NewtonTrainer(network, tol=1e-3, n_threads=1, **options).fit(X, y), calls
    finally:
        for name, function in kept.items():
            setattr(ShardGroup, name, function)


def fitted(rows):
    """Non-negative coefficients of sums of counts, (counts, seconds) for each row, by least relative squares."""
    from scipy.optimize import nnls

    seconds = np.array([row[1] for row in rows])
    return nnls(np.array([row[0] for row in rows], dtype=float) / seconds[:, None], np.ones(len(rows)))[0]


def measure_workers(X, y):
    """Seconds of one thread for what shards are asked, and how visits and flips go with the width."""
    rows, means = {"review": [], "count_flips": [], "keep": [], "product": []}, []
    for width in MEASURED_WIDTHS:
        result, calls = watched_run(X, y, width)
        counts = [outcome[0] for _, _, outcome, _ in calls["review"]]
        for part, (group, _, _, seconds) in zip(counts, calls["review"], strict=True):
            rows["review"].append(((len(group.shards), part.visited), seconds))
        accepted = [record for record in result.history if record.accepted]
        for record, (group, _, _, seconds) in zip(accepted, calls["keep"], strict=True):
            rows["keep"].append(((len(group.shards), record.visited_neurons), seconds))
        flipped = [record for record in accepted if record.flips]
        for record, (group, _, _, seconds) in zip(flipped, calls["count_flips"], strict=True):
            rows["count_flips"].append(((len(group.shards), record.flips), seconds))
        means.append([np.mean([getattr(r, name) for r in accepted]) for name in ("visited_neurons", "flips")])
    steps = []
    for width in MEASURED_WIDTHS[:3]:
        result, calls = watched_run(X, y, width, max_gram=0)
        steps += [record.cg_steps for record in result.history]
        for group, _, _, seconds in calls["product"]:
            rows["product"].append(((len(group.shards), group.n_fired), seconds))
    (visited_exponent, visited), (flips_exponent, flips) = np.polyfit(np.log(MEASURED_WIDTHS), np.log(means), 1).T
    names = {"review": "visited", "count_flips": "flip", "keep": "visited", "product": "pair"}
    found = {}
    for name, of in names.items():
        first = name.removeprefix("count_")
        found[f"{first}_shard"], found[f"{first}_{of}"] = map(float, fitted(rows[name]))
    return found | {
        "visited_exponent": float(visited_exponent),
        "visited_factor": float(np.exp(visited)),
        "flips_exponent": float(flips_exponent),
        "flips_factor": float(np.exp(flips)),
        "cg_steps": float(np.mean(steps)),
    }


def best_of(function, repeats=7):
    """Shortest seconds of several calls."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def measure_client(X, y):
    """Seconds of this process: the system, what it is made of, and sums."""
    from sltrees.execution.threads import ThreadExecutor
    from sltrees.gram.matrix import GramMatrix
    from sltrees.gram.pair_counts import CountedPairs

    n, rng = len(X), np.random.default_rng(0)
    weights = rng.standard_normal((4096, X.shape[1]))
    fires = (weights @ X.T > 1.5).astype(np.int32)
    counts = fires.T @ fires
    few = np.where(rng.random((n, n)) < 0.02, 1, 0).astype(np.int32)
    whole, sparse = CountedPairs.of(counts // 8), CountedPairs.of(few)
    total, vector = np.zeros((n, n), np.int32), np.zeros(n)
    gram = GramMatrix(X, 4096, solver="cholesky")
    gram.counts[...] = np.triu(counts, 1)
    gram.counts[np.diag_indices(n)] = counts.diagonal()
    with ThreadExecutor() as executor:
        gram.refresh(executor)
        shift = 1e-3 * gram.trace / n

        def solve():
            gram.refresh(executor)
            gram.solve(shift, y, executor)

        refresh = best_of(lambda: gram.refresh(executor))
        solving = best_of(solve) - refresh
    return {
        "solve": solving,
        "refresh": refresh,
        "encode_counts": best_of(lambda: CountedPairs.of(few)),
        "seconds_per_dense_count": best_of(lambda: whole.add_to(total)) / n**2,
        "seconds_per_sparse_count": best_of(lambda: sparse.add_to(total)) / sparse.values.size,
        "seconds_per_number": best_of(lambda: [vector + vector for _ in range(100)]) / (100 * n),
    }


class Echo:
    """Lives on a worker and answers with as many bytes as it is asked for."""

    def reply(self, size):
        """That many bytes."""
        return np.zeros(size, np.uint8)


def measure_cluster():
    """Seconds of calls to workers of this machine, by number and by byte, and the bytes of a worker that does nothing.

    A call of one worker alone takes the latency of Dask on one machine; many at the same time take what the client's
    event loop (and here, on the same processors, the workers') needs for each.
    """
    from sltrees._memory import physical_memory
    from sltrees.cluster.dask.executor import DaskExecutor
    from sltrees.cluster.messages import Request

    with DaskExecutor(n_workers=2, threads_per_worker=1, memory_limit=physical_memory() / 8) as executor:
        addresses = list(executor.workers())
        # "stop" does nothing but answer: there is no other call
        one = [Request(addresses[0], "stop", ())]
        many = [Request(address, "stop", ()) for address in addresses] * 100
        alone = best_of(lambda: executor.call(one), 50)
        together = best_of(lambda: executor.call(many), 5) / len(many)
        client = executor._connection.client
        with client.as_current():
            made = client.submit(Echo, actor=True, workers=addresses[:1])
            echo = made.result()
            small, large = (best_of(lambda size=size: echo.reply(size).result()) for size in (1 << 10, 1 << 25))
        process = client.run(_resident_bytes)
    return {
        "seconds_per_call_alone": alone,
        "seconds_per_call": together,
        "seconds_per_byte": max(0.0, (large - small) / (1 << 25)),
        "bytes_of_process": float(max(process.values())),
    }


def _resident_bytes():
    """Of the process it runs in."""
    import psutil

    return psutil.Process().memory_info().rss


def measure_setup(X, y):
    """Seconds of one thread, by sampling, for each draw (dense) or proposal (rejection)."""
    from sltrees import NewtonTrainer, ShiftedReLUNetwork

    found = {}
    for sampling, width in (("dense", 2**20), ("rejection", 2**24)):
        network = ShiftedReLUNetwork(width, sampling=sampling, random_state=0)
        result = NewtonTrainer(network, n_threads=1, max_iter=0).fit(X, y)
        found[sampling] = result.seconds_setup / _drawn(network, X)
    return found


def _drawn(network, X):
    """Draws that are looked at: half the width, or proposals."""
    from sltrees.network.drawing import sampling_for

    planes = _planes(network, X)
    sampling = sampling_for(network, planes)
    draws = network.width / network.copies
    return draws if sampling.name == "dense" else draws * float(planes.firing.sum())


def _planes(network, X):
    from sltrees.network.hyperplanes import Hyperplanes
    from sltrees.network.shift import resolve_shift

    return Hyperplanes(X, resolve_shift(network.shift, network.width, len(X)))


def expected_at(X, y, width, setup):
    """What the package expects of a width: neurons, pairs, shards, bytes, and from that seconds of set-up."""
    from sltrees import ShiftedReLUNetwork
    from sltrees.methods.certified.method import CertifiedMethod
    from sltrees.network.drawing import sampling_for
    from sltrees.network.memory import bytes_needed, neurons_expected

    network = ShiftedReLUNetwork(width, random_state=0)
    planes = _planes(network, X)
    sampling = sampling_for(network, planes)
    neurons = neurons_expected(network, planes)
    scratch = sampling.bytes_needed(X.shape)
    drawing = bytes_needed(network, planes, 1, neurons=neurons) - scratch
    return {
        "neurons": neurons,
        "pairs": width * float(planes.firing.sum()),
        "shards": len(sampling.tasks(planes, 0)),
        "units": Portion.whole(network, planes).of,
        "bytes": drawing + CertifiedMethod.bytes_needed(network, planes, y, neurons),
        "bytes_of_thread": scratch,
        "setup": setup[sampling.name] * _drawn(network, X),
    }


def write_costs(path, costs):
    """Write costs as rows (name, width, value); the width is empty where it does not matter."""
    rows = [(name, "", value) for name, value in costs.items() if name != "at_width"]
    rows += [(name, width, value) for width, of in costs["at_width"].items() for name, value in of.items()]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "width", "value"))
        writer.writerows((name, width, f"{value:.6g}") for name, width, value in rows)


def read_costs(path=STORED):
    """Costs of a file: dict of name to float, and under "at_width" such a dict for each width."""
    costs = {"at_width": {}}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            of = costs["at_width"].setdefault(int(row["width"]), {}) if row["width"] else costs
            of[row["name"]] = float(row["value"])
    return costs
