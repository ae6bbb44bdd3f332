"""How much memory runs take beside what was announced of it: a program, so that nothing else is in its memory.

    python tests/announced_memory.py 0 3

runs cases 0 and 3 of `CASES` and prints for each, as JSON, its bytes: at the peak, beyond what was there before, and
announced. Each runs in a process of its own, forked when all that runs need for themselves (modules, buffers of BLAS)
is there.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import scipy.linalg

import sltrees._memory
import sltrees.estimators.kernel_ridge as kernel_ridge
import sltrees.network.memory as network_memory
from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.execution.threads import ThreadExecutor
from sltrees.training.budget import Budget

N_THREADS = 2


def problem(n, d):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X, np.sin(3 * X[:, 0]) + 0.1 * rng.standard_normal(n)


def train(X, y, width, *, max_iter=10, shift=1.0, dtype="float32", **options):
    network = ShiftedReLUNetwork(width, shift=shift, dtype=dtype, random_state=0)
    NewtonTrainer(network, n_threads=N_THREADS, max_iter=max_iter, tol=1e-3, **options).fit(X, y)


def solve(X, y, **options):
    kernel_ridge.KernelRidge(n_threads=N_THREADS, **options).fit(X, y[:, None])


# name, samples, features, what is run with them
CASES = [
    ("wide", 300, 10, lambda X, y: train(X, y, 1 << 17, max_iter=2)),
    ("narrow", 2400, 10, lambda X, y: train(X, y, 2048, max_iter=2)),
    ("products", 1500, 10, lambda X, y: train(X, y, 1 << 14, max_gram=10, alpha=1.0, max_iter=1)),
    ("trees", 1000, 10, lambda X, y: train(X, y, 1 << 14, method="trees", max_iter=1)),
    ("eigen", 1400, 10, lambda X, y: solve(X, y)),
    ("cholesky", 3600, 10, lambda X, y: solve(X, y, solver="cholesky", alpha=1e-2)),
    ("nystrom", 4600, 10, lambda X, y: solve(X, y, solver="nystrom", alpha=1e-2, max_centres=2048)),
]


def use_blas(_=None):
    """Have BLAS make the buffers that a thread keeps."""
    A = np.random.default_rng(0).standard_normal((400, 400))
    A = A @ A.T + np.eye(400)
    scipy.linalg.cholesky(A)
    scipy.linalg.blas.dtrsm(1.0, A, A)
    (A.astype(np.float32) @ A.astype(np.float32)).sum()
    np.linalg.eigh(A[:200, :200])


def status(name):
    """Bytes that the kernel tells of this process."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name + ":"))
    return 1024 * int(line.split()[1])


def measure(number):
    """Bytes of a case: taken, announced."""
    _, n, d, run = CASES[number]
    run(*problem(60, d))
    use_blas()
    with ThreadExecutor(N_THREADS) as executor:
        executor.map(use_blas, range(N_THREADS))
    announced = []

    def hear(needed, *_, **__):
        announced.append(float(needed))

    network_memory.check_memory = kernel_ridge.check_memory = hear
    Budget._fits_whatever_fires = lambda self: False  # else nothing is estimated
    X, y = problem(n, d)
    sltrees._memory.return_freed_memory()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is there
    before = status("VmRSS")
    run(X, y)
    return status("VmHWM") - before, max(announced)


def main(numbers):
    for number in numbers:
        child = os.fork()
        if child == 0:
            taken, announced = measure(number)
            print(json.dumps({"case": CASES[number][0], "taken": taken, "announced": announced}), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            sys.exit(1)


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]] or range(len(CASES)))
