"""On what the experiment was run, as rows of a CSV file."""

from __future__ import annotations

import csv
import importlib.metadata
import os
import platform
import time
from pathlib import Path

from threadpoolctl import threadpool_info

BLAS_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
PACKAGES = ("sltrees", "numpy", "scipy", "scikit-learn", "torch")


def describe(arguments, options):
    """What is worth knowing of this machine and this run.

    Parameters
    ----------
    arguments : list of str
        Of the command.
    options : argparse.Namespace

    Returns
    -------
    dict of str to str
    """
    found = {
        "command": " ".join(["python -m asv_benchmarks.experiment", *arguments]),
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "system": platform.platform(aliased=True, terse=True),
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    found["BLAS"] = ", ".join(dict.fromkeys(_of_pool(pool) for pool in blas))
    found["load before"] = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    found["threads"] = str(options.threads)
    found["runs of each"] = str(options.repeats)
    found["limit of a run"] = f"{options.limit:g} s in the table, {options.sweep_limit:g} s in sweeps"
    return found


def warnings():
    """What will spoil the comparison, in a line each."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    busy = f"WARNING: the load of this machine is {load:.1f}: BLAS and PyTorch suffer most from others"
    return [busy] * (load > 0.5) + [
        f"WARNING: {name}={os.environ[name]} makes BLAS another, mostly slower one, and so every comparison: unset it"
        for name in BLAS_VARIABLES
        if name in os.environ
    ]


def write(path, found):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("what", "value"), *found.items()])


def read(path):
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return dict(list(csv.reader(file))[1:])


def _of_pool(pool):
    return " ".join(str(pool[key]) for key in ("internal_api", "version", "architecture") if pool.get(key))


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
