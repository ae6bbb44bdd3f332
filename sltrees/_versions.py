"""Which version this is, and what to put into a bug report."""

from __future__ import annotations

import importlib.metadata
import platform

from threadpoolctl import threadpool_info

from sltrees._core import _simd
from sltrees.execution.threads import default_threads

try:
    VERSION = importlib.metadata.version("sltrees")
except importlib.metadata.PackageNotFoundError:  # run from a source tree that was not installed
    VERSION = "unknown"

_PACKAGES = ("sltrees", "numpy", "scipy", "threadpoolctl", "cython", "scikit-learn")


def show_versions() -> None:
    """Print versions, processor features in use and BLAS libraries.

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> show_versions()  # doctest: +ELLIPSIS
    python: ...
    """
    print(f"python: {platform.python_version()} ({platform.platform()})")
    for package in _PACKAGES:
        try:
            print(f"{package}: {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{package}: not installed")
    print(f"SIMD level: {_simd.active_level_name()} of {', '.join(_simd.supported_levels())}")
    print(f"threads: {default_threads()}")
    for library in threadpool_info():
        if library["user_api"] == "blas":
            print(f"BLAS: {library['internal_api']} {library['version']}, {library['num_threads']} threads")
