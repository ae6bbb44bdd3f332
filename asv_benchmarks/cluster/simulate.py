"""What training on a cluster would cost: small measurements here, and a simulation of many workers from them.

    python asv_benchmarks/cluster/simulate.py                      measure, write the costs, print the tables
    python asv_benchmarks/cluster/simulate.py --costs FILE         from costs that were measured before
    python asv_benchmarks/cluster/simulate.py --quick              from those of docs/figures/cluster_costs.csv
    python asv_benchmarks/cluster/simulate.py --quick --write-page also writes the tables to docs/guide/scaling_out.md
    python asv_benchmarks/cluster/simulate.py --quick --check      beside runs on two workers of this machine

Measured are seconds of what workers do (by shard, by neuron, by flip), of what the client does (calls, bytes, sums, the
n x n system, factorised), and counts of neurons and bytes. Simulated is one accepted iteration at shift "auto" on the
digits (n = 1000, d = 64), as `sltrees.cluster.remote_group.RemoteGroup` makes it: solve, then three rounds of calls to
all workers, "review", "count_flips" and "keep". A message passes queues: the client's event loop (seconds a call), its
link, the scheduler's loop and link unless calls go to workers directly, the worker, and the same way back; sums begin
when all have answered. Each moment remembers what was waited for on the way to it, so that shares add up to the time.

Counts of neurons are expectations of the package itself at each width; visits and flips are a power of the width,
fitted to runs of widths 2^14 to 2^20 and taken to go on. One process on one machine was measured: memory bandwidth that
workers of a machine share, and the loss of packets, are not in the model.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
from asv_benchmarks.cluster.costs import STORED, WIDTHS, measure, read_costs, write_costs
from asv_benchmarks.compare.parts import pages
from sltrees.cluster.portions import Portion

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "guide" / "scaling_out.md"

N_SAMPLES, N_FEATURES = 1000, 64
WORKERS = (10, 100, 1000)

# What a time is made of, in the order of the columns.
PARTS = ("link", "calls", "sums", "workers", "solve", "latency", "between")
LINK, CALLS, SUMS, WORK, SOLVE, LATENCY, BETWEEN = range(len(PARTS))


# ---------------------------------------------------------------------- the model


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What is not measured here: machines and the network between them.

    Attributes
    ----------
    n_workers, threads : int
        Workers, and threads of each.
    bandwidth : float
        Bytes a second of every link, each way.
    latency : float
        Seconds that the network takes, one way.
    spread : float
        Workers take 1 + spread |N(0, 1)| times as long as measured.
    memory : float
        Bytes of a worker.
    direct : bool
        Calls go from the client to workers; otherwise by way of the scheduler.
    tree : bool
        Workers pass calls on and add up answers in pairs; the client talks to one.
    dense_counts : bool
        Flips of H come as an array of n x n int32; otherwise as `CountedPairs`, whatever is smallest.
    matrix_free : bool
        H is not formed: systems are solved by products that workers make.
    """

    n_workers: int = 10
    threads: int = 8
    bandwidth: float = 1.25e9
    latency: float = 2e-4
    spread: float = 0.1
    memory: float = 32e9
    direct: bool = False
    tree: bool = False
    dense_counts: bool = False
    matrix_free: bool = False


@dataclasses.dataclass(frozen=True)
class Load:
    """What one worker has to do, and to answer.

    Attributes
    ----------
    seconds : float
        Of one thread.
    sent, received : float
        Bytes to it and from it.
    sums : float
        Seconds that adding its answer up takes.
    """

    seconds: float
    sent: float
    received: float
    sums: float


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What comes out for one width and cluster.

    Attributes
    ----------
    seconds : float
        Of an iteration.
    parts : ndarray of shape (7,)
        The same, by `PARTS`.
    setup : float
        Seconds of drawing and building lists.
    sent, received : float
        Bytes of an iteration to the busiest worker and from it.
    memory : float
        Bytes that the busiest worker needs.
    n_busy : int
        Workers that hold anything.
    fits : bool
    """

    seconds: float
    parts: np.ndarray
    setup: float
    sent: float
    received: float
    memory: float
    n_busy: int
    fits: bool

    @property
    def bottleneck(self):
        """The largest part."""
        return PARTS[int(np.argmax(self.parts))]


def served(arrivals, seconds, part):
    """A queue with one server: moments at which jobs leave it.

    Parameters
    ----------
    arrivals : list of ndarray of shape (7,)
        Each a moment, as what was waited for until then; moments are sums.
    seconds : list of float
        That each job takes.
    part : int
        What that time is counted as.

    Returns
    -------
    list of ndarray
        In the order of the jobs; served is who comes first.
    """
    left = [None] * len(arrivals)
    moments = np.array(arrivals).sum(axis=1).tolist()
    free, when = None, -math.inf
    for k in sorted(range(len(arrivals)), key=moments.__getitem__):
        # who finds the server busy has waited for what the server waited for
        free = (arrivals[k] if moments[k] >= when else free).copy()
        free[part] += seconds[k]
        when = max(moments[k], when) + seconds[k]
        left[k] = free
    return left


def later(moment, seconds, part):
    """A moment so many seconds after another."""
    moment = moment.copy()
    moment[part] += seconds
    return moment


def round_of_calls(began, loads, costs, cluster, speeds):
    """The moment at which all workers have answered and their answers are added up.

    Parameters
    ----------
    began : ndarray of shape (7,)
    loads : list of Load
    costs : dict
        As `read_costs`.
    cluster : Cluster
    speeds : list of float
        Times as long as measured that each worker takes.
    """
    call, byte = costs["seconds_per_call"], costs["seconds_per_byte"]
    work = [load.seconds / cluster.threads * speed for load, speed in zip(loads, speeds, strict=True)]
    if cluster.tree:
        return _round_by_tree(began, loads, costs, cluster, work)
    out = [call / 2 + byte * load.sent for load in loads]
    back = [call / 2 + byte * load.received for load in loads]
    moments = [began] * len(loads)
    for _ in range(1 if cluster.direct else 2):  # the client, and a scheduler, which reads and writes all again
        moments = served(moments, out, CALLS)
        moments = served(moments, [load.sent / cluster.bandwidth for load in loads], LINK)
        moments = [later(moment, cluster.latency, LATENCY) for moment in moments]
    moments = [later(moment, seconds, WORK) for moment, seconds in zip(moments, work, strict=True)]
    for _ in range(1 if cluster.direct else 2):
        moments = [later(moment, cluster.latency, LATENCY) for moment in moments]
        moments = served(moments, [load.received / cluster.bandwidth for load in loads], LINK)
        moments = served(moments, back, CALLS)
    last = moments[int(np.argmax(np.array(moments).sum(axis=1)))]
    return later(last, sum(load.sums for load in loads), SUMS)


def _round_by_tree(began, loads, costs, cluster, work):
    """The same if workers pass calls on and answers back in pairs: no queue is longer than two."""
    call, byte = costs["seconds_per_call"], costs["seconds_per_byte"]
    levels = math.ceil(math.log2(len(loads) + 1))
    sent, received = max(load.sent for load in loads), max(load.received for load in loads)
    sums = max(load.sums for load in loads)
    hop = cluster.latency + call
    moment = later(began, levels * (hop + 2 * sent * (byte + 1 / cluster.bandwidth)), BETWEEN)
    moment = later(moment, max(work), WORK)
    return later(moment, levels * (hop + 2 * received * (byte + 1 / cluster.bandwidth) + 2 * sums), BETWEEN)


def bytes_of_counts(increments, n_samples):
    """Bytes of `CountedPairs` after so many increments anywhere among n^2 counts, and how many are not 0."""
    cells = n_samples**2
    filled = cells * -math.expm1(-increments / cells)
    width = 1 if increments < 20 * cells else 2 if increments < 2000 * cells else 4
    return min((4 + width) * filled, width * cells), filled


def nodes_of(start, stop):
    """Nodes of a `FixedSum` of terms start, ..., stop - 1."""
    count = 0
    while start < stop:
        size = start & -start or 1 << (stop - start).bit_length()
        while size > stop - start:
            size >>= 1
        start, count = start + size, count + 1
    return count


def forecast(width, costs, cluster, seed=0):
    """Simulate an iteration.

    Parameters
    ----------
    width : int
        One of those in the costs.
    costs : dict
        As `read_costs`.
    cluster : Cluster
    seed : int, default 0
        Of the speeds of workers.

    Returns
    -------
    Forecast
    """
    n, of = N_SAMPLES, costs["at_width"][width]
    shards, units = int(of["shards"]), int(of["units"])
    portions = Portion(0, units, units).cut(cluster.n_workers)
    shares = [(portion.stop - portion.start) / units for portion in portions]
    speeds = 1 + cluster.spread * np.abs(np.random.Generator(np.random.SFC64(seed)).standard_normal(len(portions)))
    visited = min(of["neurons"], costs["visited_factor"] * width ** costs["visited_exponent"])
    flips = min(of["pairs"], costs["flips_factor"] * width ** costs["flips_exponent"])
    fired = of["pairs"] / of["neurons"]

    review, count, keep, product = [], [], [], []
    for portion, share in zip(portions, shares, strict=True):
        held = shards * share
        nodes = nodes_of(portion.start * shards // units, portion.stop * shards // units)
        sums = costs["seconds_per_number"] * n * nodes
        seconds = costs["review_shard"] * held + costs["review_visited"] * visited * share
        review.append(Load(seconds, 8 * n, 8 * (n + 1) * nodes, sums))
        received, filled = bytes_of_counts(flips * share * fired, n)
        seconds = costs["flips_shard"] * held + costs["flips_flip"] * flips * share + costs["encode_counts"]
        sparse = received < n**2
        sums = filled * costs["seconds_per_sparse_count"] if sparse else n**2 * costs["seconds_per_dense_count"]
        if cluster.dense_counts:
            received, sums = 4.0 * n**2, n**2 * costs["seconds_per_dense_count"]
        count.append(Load(seconds, 0.0, received, sums))
        seconds = costs["keep_shard"] * held + costs["keep_visited"] * visited * share
        keep.append(Load(seconds, 0.0, 0.0, 0.0))
        seconds = costs["product_shard"] * held + costs["product_pair"] * of["pairs"] * share
        product.append(Load(seconds, 8 * n, 8 * n * nodes, costs["seconds_per_number"] * n * nodes))

    moment = np.zeros(len(PARTS))
    rounds = [review, count, keep]
    if cluster.matrix_free:
        rounds = [product] * round(costs["cg_steps"]) + [review, keep]
    else:
        moment = later(moment, costs["solve"] + costs["refresh"], SOLVE)
    for loads in rounds:
        moment = round_of_calls(moment, loads, costs, cluster, speeds)

    largest = max(shares)
    memory = of["bytes"] * largest + costs["bytes_of_process"]
    memory += cluster.threads * (of["bytes_of_thread"] + (0 if cluster.matrix_free else 4 * n**2))
    busiest = shares.index(largest)
    return Forecast(
        seconds=float(moment.sum()),
        parts=moment,
        setup=float(of["setup"] * max(shares * speeds) / cluster.threads),
        sent=sum(loads[busiest].sent for loads in rounds),
        received=sum(loads[busiest].received for loads in rounds),
        memory=memory,
        n_busy=len(portions),
        fits=memory <= cluster.memory,
    )


# ---------------------------------------------------------------------- tables


def as_seconds(seconds):
    """With two digits that count."""
    return f"{seconds:,.0f}" if seconds >= 99.5 else f"{seconds:.2g}"


def as_bytes(number):
    """With two digits that count, and a unit."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 999.5 or unit == "TB":
            return f"{number:,.0f} {unit}" if number >= 99.5 or unit == "B" else f"{number:.2g} {unit}"
        number /= 1000.0
    raise AssertionError


def as_width(width):
    """As a power."""
    tens = round(math.log10(width))
    return f"10^{tens}" if 10**tens == width else f"2^{width.bit_length() - 1}"


def forecast_tables(costs, cluster, widths=WIDTHS, workers=WORKERS):
    """A row for each width and number of workers: of time, and of what else a worker needs."""
    times, needs = [], []
    for width in widths:
        for n_workers in workers:
            found = forecast(width, costs, dataclasses.replace(cluster, n_workers=n_workers))
            label = f"{as_width(width)}, {n_workers:,}"
            if found.n_busy < n_workers:
                label += f" ({found.n_busy} busy)"
            shares = [f"{100 * part / found.seconds:.0f}" for part in found.parts]
            times.append([label, as_seconds(found.seconds), *shares[: len(PARTS) if cluster.tree else BETWEEN]])
            memory = as_bytes(found.memory) + ("" if found.fits else " (too much)")
            needs.append([label, as_seconds(found.setup), as_bytes(found.sent), as_bytes(found.received), memory])
    names = PARTS if cluster.tree else PARTS[:BETWEEN]
    head = ["width, workers", "s an iteration", *(f"{part} %" for part in names)]
    return {
        "forecast": pages.table(head, times),
        "needs": pages.table(["width, workers", "set-up s", "to a worker", "from it", "its memory"], needs),
    }


OPTIONS = {
    "as it is": {},
    "direct": {"direct": True},
    "tree": {"tree": True},
    "dense H": {"dense_counts": True},
    "matrix-free": {"matrix_free": True},
}


def options_table(costs, cluster, widths=WIDTHS, workers=WORKERS):
    """Seconds of an iteration and what most of them are, for each option of the model."""
    body = []
    for width in widths:
        for n_workers in workers:
            cells = []
            for options in OPTIONS.values():
                found = forecast(width, costs, dataclasses.replace(cluster, n_workers=n_workers, **options))
                cells.append(f"{as_seconds(found.seconds)} {found.bottleneck}")
            body.append([f"{as_width(width)}, {n_workers:,}", *cells])
    return pages.table(["width, workers", *OPTIONS], body)


def check_table(costs, widths=(2**18, 2**20), repeats=5):
    """Seconds of an iteration, and of set-up, on two workers of this machine beside those of the model."""
    from sltrees import NewtonTrainer, ShiftedReLUNetwork
    from sltrees.cluster.dask.executor import DaskExecutor
    from sltrees.datasets.parity import digits_parity

    X, y, _, _ = digits_parity()
    cluster = Cluster(2, threads=1, bandwidth=np.inf, latency=0.0, spread=0.0, direct=True)
    rows = []
    with DaskExecutor(n_workers=2, threads_per_worker=1) as executor:
        for width in widths:
            runs = []
            for _ in range(repeats + 1):  # the first makes what workers keep
                result = NewtonTrainer(ShiftedReLUNetwork(width, random_state=0), executor=executor).fit(X, y)
                runs.append(((result.seconds - result.seconds_setup) / result.n_iter, result.seconds_setup))
            found = forecast(width, costs, cluster)
            for name, measured, model in zip(
                ("an iteration", "set-up"), np.median(runs[1:], axis=0), (found.seconds, found.setup), strict=True
            ):
                rows.append((as_width(width), name, as_seconds(measured), as_seconds(model), f"{measured / model:.2f}"))
    return pages.table(("width", "of", "measured s", "model s", "measured / model"), rows)


def main(arguments=None):
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--costs", type=Path, help="read the costs from this file instead of measuring")
    parser.add_argument("--quick", action="store_true", help=f"the same as --costs {STORED.relative_to(ROOT)}")
    parser.add_argument("--check", action="store_true", help="run on two workers here, too, and compare")
    parser.add_argument("--write-page", action="store_true", help="write the tables to docs/guide/scaling_out.md")
    parser.add_argument("--workers", type=int, nargs="+", default=list(WORKERS))
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS), help="of those in the costs")
    for field in dataclasses.fields(Cluster):
        if field.name != "n_workers":
            name = f"--{field.name.replace('_', '-')}"
            if isinstance(field.default, bool):
                parser.add_argument(name, action="store_true")
            else:
                parser.add_argument(name, type=type(field.default), default=field.default)
    options = parser.parse_args(arguments)
    path = options.costs or (STORED if options.quick else None)
    if path is None:
        costs = measure()
        write_costs(STORED, costs)
        path = STORED
    costs = read_costs(path)  # also where they were measured now: as many digits as the next reader gets
    given = {f.name: getattr(options, f.name) for f in dataclasses.fields(Cluster) if f.name != "n_workers"}
    cluster = Cluster(**given)
    tables = {
        **forecast_tables(costs, cluster, options.widths, options.workers),
        "options": options_table(costs, cluster, options.widths, options.workers),
    }
    if options.check:
        tables["check"] = check_table(costs)
    for name, text in tables.items():
        print(f"\n{name}\n\n{text}")
        if options.write_page:
            pages.rewrite(PAGE, text, name)


if __name__ == "__main__":
    main()
