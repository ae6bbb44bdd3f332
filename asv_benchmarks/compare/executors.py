"""What training on a Dask cluster of this machine costs beside threads, and whether it survives the death of workers.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python asv_benchmarks/compare/executors.py
    python asv_benchmarks/compare/executors.py --kills 20

The first trains the same network, on the shipped digits, by threads and on LocalClusters in turn, and prints medians of
ratios of seconds, taken round by round; the cluster is started before, and its start is told apart. The second kills a
worker by SIGKILL at a random moment of each run. Both compare digests, and say whether a process was left behind. Exit
status 1 if a digest differs, a run does not converge, or a process is left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import sys
import threading
import time

import numpy as np
import psutil

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.cluster.dask.executor import DaskExecutor
from sltrees.datasets.parity import digits_parity


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=float, default=2**20)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=0, help="runs with a worker killed, instead of comparing seconds")
    options = parser.parse_args(arguments)
    before = set(psutil.Process().children(recursive=True))
    good = killed(options) if options.kills else compared(options)
    left = [p for p in set(psutil.Process().children(recursive=True)) - before if is_left(p)]
    print(f"processes left behind: {len(left)}")
    return 0 if good and not left else 1


def is_left(process):
    """Whether it still runs after a moment; multiprocessing's tracker of resources is the interpreter's own."""
    with contextlib.suppress(psutil.Error):
        if "resource_tracker" in " ".join(process.cmdline()):
            return False
        process.wait(5)
        return False
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def trained(width, executor):
    """Train anew: seconds, of which set-up, and the digest."""
    X, y, X_test, _ = digits_parity()
    network = ShiftedReLUNetwork(width, random_state=0)
    began = time.perf_counter()
    result = NewtonTrainer(network, executor=executor).fit(X, y)
    seconds = time.perf_counter() - began
    outputs = network.predict(X_test)
    return seconds, result, network.digest(), outputs


def compared(options):
    """Print a row for each number of workers; whether all digests are the same."""
    seconds, setups, digests = {}, {}, set()
    with contextlib.ExitStack() as stack:
        contenders = {"threads": "threads"}
        for n_workers in options.workers:
            began = time.perf_counter()
            contenders[f"dask, {n_workers}"] = executor = stack.enter_context(DaskExecutor(n_workers=n_workers))
            print(f"started {n_workers} worker(s) in {time.perf_counter() - began:.1f} s")
            trained(2**16, executor)  # so that all modules are there
        for k in range(options.rounds):
            order = list(contenders) if k % 2 == 0 else list(reversed(contenders))
            for name in order:
                time_taken, result, digest, outputs = trained(options.width, contenders[name])
                seconds.setdefault(name, []).append(time_taken)
                setups.setdefault(name, []).append(result.seconds_setup)
                digests.add((digest, outputs.tobytes(), str(result.status), result.n_iter))
        print(f"width {options.width:.0f}, {options.rounds} rounds; medians of seconds, and of ratios by round")
        print(f"{'executor':12} {'seconds':>8} {'ratio':>6} {'least':>6} {'most':>6} {'set-up':>7} {'ratio':>6}")
        for name in contenders:
            ratios = [a / b for a, b in zip(seconds[name], seconds["threads"], strict=True)]
            setup = [a / b for a, b in zip(setups[name], setups["threads"], strict=True)]
            print(
                f"{name:12} {statistics.median(seconds[name]):8.3f} {statistics.median(ratios):6.2f} "
                f"{min(ratios):6.2f} {max(ratios):6.2f} {statistics.median(setups[name]):7.3f} "
                f"{statistics.median(setup):6.2f}"
            )
    print("all the same, bit for bit" if len(digests) == 1 else f"{len(digests)} different results")
    return len(digests) == 1 and {status for _, _, status, _ in digests} == {"converged"}


def killed(options):
    """Train with a worker killed at a random moment, over and over; whether all runs give the undisturbed network."""
    undisturbed, result, digest, outputs = trained(options.width, "threads")
    with DaskExecutor(n_workers=max(2, options.workers[-1])) as executor:
        longest = max(undisturbed, trained(options.width, executor)[0])
    rng, good = np.random.default_rng(0), True
    for k in range(options.kills):
        with DaskExecutor(n_workers=max(2, options.workers[-1])) as executor:
            pids = list(executor._connection.client.run(os.getpid).values())  # one a worker
            victim = pids[k % len(pids)]
            after = rng.uniform(0.0, longest)
            timer = threading.Timer(after, os.kill, (victim, signal.SIGKILL))
            timer.start()
            seconds, again, found, predicted = trained(options.width, executor)
            timer.join()
        same = found == digest and np.array_equal(outputs, predicted) and again.n_iter == result.n_iter
        same &= str(again.status) == str(result.status) == "converged"
        good &= same
        verdict = "same" if same else "OTHER"
        print(f"run {k:2}: killed after {after:.2f} s, {again.status} in {seconds:.2f} s, {verdict}")
    print(f"undisturbed, by threads: {undisturbed:.2f} s; workers were killed within {longest:.2f} s")
    return good


if __name__ == "__main__":
    sys.exit(main())
