"""What the suites share: names that older commits lack, the methods of training, and the digits.

asv sets a benchmark up again before every sample, and a sample is then one call of it. So set-up is cheap, what it
needs is kept from one sample to the next, and what takes microseconds is called in a loop inside the benchmark.
"""

import functools
import importlib
import os

import numpy as np

THREADS = 2


def sizes(*values):
    """Sizes of problems, the smallest first: it alone where quick_run.py looks whether benchmarks run at all."""
    return list(values[:1] if os.environ.get("SLTREES_QUICK_RUN") else values)


# Names that other modules than `sltrees` define: where commits have them, the newest first.
MODULES = {
    "CholeskyFactor": ("sltrees.linalg.cholesky", "sltrees.cholesky"),
    "GramMatrix": ("sltrees.gram",),
    "Hyperplanes": ("sltrees.network.hyperplanes", "sltrees.hyperplanes"),
    "KernelRidge": ("sltrees.estimators.kernel_ridge",),
    "METHODS": ("sltrees.methods.choose", "sltrees.training.trainer", "sltrees.trainer"),
    "NewtonRegressor": ("sltrees.estimators",),
    "ThreadExecutor": ("sltrees.execution.threads", "sltrees.executors"),
    "UnitRowsKernel": ("sltrees.kernels.unit_rows",),
    "choose_skin": ("sltrees.methods.certified.skin", "sltrees.method_certified"),
    "draw": ("sltrees.network.drawing",),
    "pivoted_cholesky": ("sltrees.linalg.pivoted_cholesky",),
    "resolve_shift": ("sltrees.network.shift", "sltrees.shift"),
    "slopes": ("sltrees.kernels.derivatives",),
    "digits_parity": ("sltrees.datasets.parity", "sltrees._demo"),
}


def found(name):
    """What this commit calls so; None if it has no such thing."""
    for module in MODULES.get(name, ("sltrees",)):
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    return None


def needed(name):
    """What this commit calls so; without such a thing, a stand-in that has asv skip whatever sets itself up with it.

    asv skips a benchmark whose set-up raises NotImplementedError; from elsewhere it would be a failure.
    """

    def missing(*args, **kwargs):
        raise NotImplementedError(f"this commit has no {name}")

    return found(name) or missing


NewtonTrainer = needed("NewtonTrainer")
ShiftedReLUNetwork = needed("ShiftedReLUNetwork")
digits_parity = functools.cache(needed("digits_parity"))
AVAILABLE = found("METHODS") or {}

# asv counts combinations of parameters by number, so two commits have to agree on the first ones: a list of what this
# commit has would mix them up. Methods that a commit lacks are skipped there, new ones come last.
METHODS = list(dict.fromkeys(["certified", "trees", "dense", "bpsw", *AVAILABLE]))


def digits(n=500):
    """The first digits of those to train on, and their parity."""
    X, y, _, _ = digits_parity()
    return X[:n], y[:n]


def trainer(method, width, *, sampling="auto", **options):
    """A trainer of a network that was not drawn yet, which `fit` does."""
    if method not in AVAILABLE:
        raise NotImplementedError(f"this commit has no method {method!r}")
    network = ShiftedReLUNetwork(width, sampling=sampling, random_state=0)
    return NewtonTrainer(network, method=method, n_threads=THREADS, **options)


@functools.cache
def normal_values(n):
    """Standard normal values, float32; read only, as all benchmarks of a process share them."""
    values = np.random.default_rng(0).standard_normal(n, dtype=np.float32)
    values.flags.writeable = False
    return values


@functools.cache
def unit_rows(n, d=64, seed=0):
    """Random directions, float32, read only."""
    rows = np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows.flags.writeable = False
    return rows
