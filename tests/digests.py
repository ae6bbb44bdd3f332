"""Digests of what came out, what decides on this machine how numbers round, and cases that are run to be digested."""

import contextlib
import hashlib
import importlib
import importlib.util
import json
import platform
import typing
import warnings

import numpy as np
import scipy
from threadpoolctl import threadpool_limits

from sltrees._core import _simd

# What of an iteration depends neither on time nor on how many threads hold memory.
NUMBERS = (
    "iteration",
    "rmse",
    "loss",
    "validation_rmse",
    "damping",
    "accepted",
    "gain_ratio",
    "fired_pairs",
    "reported_neurons",
    "cleared_neurons",
    "visited_neurons",
    "candidates",
    "flips",
    "rebuilt_lists",
    "cg_steps",
    "refactorings",
)
ENDS = ("status", "message", "n_iter", "rmse", "loss", "validation_rmse", "best_iteration")


def checksum(value):
    """16 hexadecimal digits, the same for values that are the same bit for bit."""
    return hashlib.sha256(json.dumps(_plain(value)).encode()).hexdigest()[:16]


def _plain(value):
    """What JSON can say of a value; it writes floats so that they can be read again as they were."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            return value.tolist()
        data = hashlib.sha256(np.ascontiguousarray(value).data).hexdigest()
        return [value.dtype.name, list(value.shape), data]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return [[key, _plain(item)] for key, item in value.items()]
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def described(result):
    """All numbers of a TrainingResult that must come out again."""
    history = [[getattr(record, name) for name in NUMBERS] for record in result.history]
    return [[getattr(result, name) for name in ENDS], history]


_PRODUCTS = (lambda a: a @ a[:60].T, lambda a: a @ a[0], lambda a: a[0] @ a[1])


def arithmetic():
    """What decides how numbers round here: versions, instruction sets, and the bits of some results."""
    entries = np.arange(90 * 77) * 0x9E3779B1 % 2**32 / 2.0**31 - 1.0
    a = entries.reshape(90, 77)
    with threadpool_limits(1, user_api="blas"):
        square = a @ a.T + np.eye(90)
        results = {
            "products": [product(a.astype(dtype)) for dtype in (np.float32, np.float64) for product in _PRODUCTS],
            "factors": [scipy.linalg.cholesky(square), *scipy.linalg.eigh(square)],
            "functions": [np.exp(a), np.log(2.0 + a), np.sin(a), scipy.special.ndtri(0.5 + 0.4 * a)],
        }
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
        "simd": _simd.active_level_name(),
    } | {name: checksum(value) for name, value in results.items()}


def unlike(recorded):
    """Where arithmetic was recorded that is not that of here, a sentence on it; else None."""
    here = arithmetic()
    other = [f"{name} {here[name]}, not {recorded.get(name)}" for name in here if recorded.get(name) != here[name]]
    return f"numbers round otherwise here than where this was recorded: {'; '.join(other)}" if other else None


# ---------------------------------------------------------------------- cases

# Where the executor of clusters may be found: it has no name that stays.
CLUSTERS = ("sltrees.cluster.dask.executor", "sltrees.dask_executor")
N_WORKERS = 2


class Where(typing.NamedTuple):
    """Who runs a case."""

    executor: typing.Any
    n_threads: int

    @property
    def options(self):
        """Of trainers."""
        return {"executor": self.executor, "n_threads": self.n_threads}

    @property
    def of_estimator(self):
        """Of estimators."""
        return {"executor": self.executor, "n_jobs": self.n_threads}


ALONE = ("inline",)  # nothing is left to an executor
THREADS = ("threads-1", "threads-2")
LOCAL = ("inline", *THREADS)
ALL = (*LOCAL, "dask")
CASES = {}  # name: (function of Where, names of executors)


def case(executors=LOCAL):
    """Make a function a case."""

    def add(function):
        CASES[function.__name__.replace("_", "-")] = function, executors
        return function

    return add


def cluster_of_here():
    """An executor of a cluster on this machine, to be opened; ImportError where the extra "dask" is missing."""
    importlib.import_module("distributed")
    module = next((name for name in CLUSTERS if _is_there(name)), CLUSTERS[0])
    return importlib.import_module(module).DaskExecutor(n_workers=N_WORKERS, threads_per_worker=1)


def _is_there(module):
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.util.find_spec(module) is not None
    return False


class Runner:
    """Runs cases; one cluster, which is started when it is needed, serves them all. To be closed."""

    def __init__(self):
        self._exit = contextlib.ExitStack()
        self._cluster = None
        self._found = {}

    def close(self):
        """Stop the cluster, if there is one."""
        self._exit.close()

    def run(self, name, executor):
        """Digests of a case, which is run once: dict of str to str."""
        if (name, executor) not in self._found:
            self._found[name, executor] = self._run(name, executor)
        return self._found[name, executor]

    def _run(self, name, executor):
        if executor == "dask" and self._cluster is None:
            self._cluster = self._exit.enter_context(cluster_of_here())
        kind, _, n_threads = executor.partition("-")
        where = Where(self._cluster if kind == "dask" else kind, int(n_threads or 1))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="shift lowered", category=UserWarning)
            warnings.filterwarnings("ignore", message="search_seconds=.* is too short", category=UserWarning)
            return CASES[name][0](where)

    def differences(self, name, executors, expected=None):
        """Run a case by several executors: what the first found, and lines on whatever is not as expected of it."""
        lines = []
        for executor in executors:
            try:
                found = self.run(name, executor)
            except Exception as error:  # the other cases are of interest, too
                lines.append(f"{name}, {executor}: {type(error).__name__}: {error}")
                continue
            expected = expected or found
            parts = [part for part in [*expected, *found] if found.get(part) != expected.get(part)]
            if parts:
                lines.append(f"{name}, {executor}: {', '.join(dict.fromkeys(parts))}")
        return expected, lines
