"""Samples on the workers of a cluster: a set that no worker's memory holds, a worker that is killed, what travels.

    python asv_benchmarks/cluster/samples.py
    python asv_benchmarks/cluster/samples.py --samples 6000000 --memory-limit 700MB --max-centres 512
    python asv_benchmarks/cluster/samples.py --estimate        what 10^8 samples take on 100 machines, from this one

Friedman's first function (d = 20, noise 1) is written to Parquet files, and a `NewtonRegressor("kernel")` learns from
them through dask.dataframe: on the workers, once more while one of them is killed, and in this process, a group of
parts after the other. The three models have to be the same, bit for bit: exit status 1 if they are not. It says the
seconds of each, the score at new samples, the megabytes of the set in memory and of what a worker may have, and those
that went from worker to worker and here.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import signal
import sys
import tempfile
import threading
import time

import numpy as np
import pandas as pd
from sklearn.datasets import make_friedman1

from sltrees.estimators import NewtonRegressor
from sltrees.estimators.kernel_solvers.nystrom import NystromSystem
from sltrees.execution.threads import ThreadExecutor
from sltrees.kernels.unit_rows import UnitRowsKernel

D, ROWS_OF_A_PART = 20, 65_536
BLOCK, N_BLOCKS = 2048, 8


def write_set(folder, n):
    """Parquet files of so many samples. Cost: O(n d); one part is in memory at a time."""
    for at, start in enumerate(range(0, n, ROWS_OF_A_PART)):
        X, y = make_friedman1(min(ROWS_OF_A_PART, n - start), n_features=D, noise=1.0, random_state=at)
        table = pd.DataFrame(X, columns=[f"x{j}" for j in range(D)]).assign(y=y)
        table.to_parquet(folder / f"part-{at:05d}.parquet")


def learn(folder, max_centres):
    """A model of all files, and the seconds that it took."""
    import dask.dataframe as dd  # here, so that --help needs no extra

    table, began = dd.read_parquet(folder), time.perf_counter()
    names = [name for name in table.columns if name != "y"]
    model = NewtonRegressor("kernel", random_state=0, max_centres=max_centres).fit(table[names], table["y"])
    return model, time.perf_counter() - began


def travelled(client):
    """Bytes that workers have sent since they began, to one another and to others who asked."""
    return sum(client.run(lambda dask_worker: dask_worker.transfer_outgoing_bytes_total).values())


def compare(options):
    """Exit status: whether the models are the same."""
    import distributed
    from dask.utils import parse_bytes

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_set(folder, options.samples)
        X, y = make_friedman1(20_000, n_features=D, noise=1.0, random_state=10**6)
        X = pd.DataFrame(X, columns=[f"x{j}" for j in range(D)])
        size = 8 * options.samples * (D + 1)
        limit = parse_bytes(options.memory_limit)
        print(f"{options.samples:,} samples, {size / 1e6:.0f} MB; {options.workers} workers of {limit / 1e6:.0f} MB")
        outputs = []
        with (
            distributed.LocalCluster(
                options.workers, threads_per_worker=1, memory_limit=limit, dashboard_address="127.0.0.1:0"
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            seconds = 0.0
            for killed in (False, True):
                before, pids = travelled(client), list(client.run(os.getpid).values())
                if killed:
                    threading.Timer(0.5 * seconds, os.kill, (pids[0], signal.SIGKILL)).start()
                model, seconds = learn(folder, options.max_centres)
                outputs.append(model.predict(X))
                said = "on workers, one killed" if killed else "on workers"
                moved = "" if killed else f", {(travelled(client) - before) / 1e6:.0f} MB sent by workers"
                print(f"{said}: {seconds:.1f} s, R^2 {model.score(X, y):.4f}{moved}", flush=True)
        model, seconds = learn(folder, options.max_centres)
        outputs.append(model.predict(X))
        print(f"here: {seconds:.1f} s, R^2 {model.score(X, y):.4f}")
        same = all(np.array_equal(outputs[0], other) for other in outputs[1:])
        print("the same bits" if same else "NOT the same bits")
        return 0 if same else 1


def estimate(n=10**8, machines=100, cores=32, link=1.25e9):
    """What very many samples take on many machines, in seconds, from what a core of this one does."""
    rng, kernel = np.random.default_rng(0), UnitRowsKernel(1.0)
    X = rng.standard_normal((8192, D + 1))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    system = NystromSystem(kernel, X[:BLOCK], 1)
    with ThreadExecutor(1) as executor:
        began = time.perf_counter()
        system.add(X, X[:, :1], np.ones(len(X)), executor)
        of_sums = (time.perf_counter() - began) / len(X)
        began = time.perf_counter()
        kernel.times(X, X[:BLOCK], np.ones((BLOCK, 1)), executor)
        of_outputs = (time.perf_counter() - began) / len(X)
    total = machines * cores
    sums = N_BLOCKS * n * of_sums / total
    outputs = N_BLOCKS * (N_BLOCKS - 1) / 2 * n * of_outputs / total
    reading = (N_BLOCKS + 3) * n * 8 * (D + 1) / (machines * 0.5e9)
    a_sum = 8 * BLOCK * (BLOCK + 3)
    tree = N_BLOCKS * np.ceil(np.log2(total)) * a_sum / link
    groups = n / 32_768
    calls = (N_BLOCKS + 3) * 2 * groups * 0.5e-3
    client = N_BLOCKS * 3 * BLOCK**3 / 2e10 + N_BLOCKS * a_sum / link
    print(f"{n:.0e} samples, d = {D}, {N_BLOCKS} blocks of {BLOCK}, {machines} machines of {cores} cores, seconds:")
    for name, seconds in (
        ("normal equations", sums),
        ("outputs of blocks before", outputs),
        ("reading, 0.5 GB/s a machine", reading),
        ("sums from machine to machine, 10 Gbit/s", tree),
        (f"{2 * groups:,.0f} tasks a pass, 0.5 ms each in the scheduler", calls),
        ("the client: factors", client),
    ):
        print(f"  {name:55} {seconds:8.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=400_000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--memory-limit", default="1GB")
    parser.add_argument("--max-centres", type=int, default=512)
    parser.add_argument("--estimate", action="store_true")
    options = parser.parse_args()
    return estimate() if options.estimate else compare(options)


if __name__ == "__main__":
    sys.exit(main())
