"""Whether two processes compute alike: results must not depend on which worker does what."""

from __future__ import annotations

import hashlib
import platform

import numpy as np
import scipy

from sltrees._versions import VERSION
from sltrees.execution.threads import ThreadExecutor


class UnlikeWorkerError(RuntimeError):
    """Results would depend on which worker does what."""


def describe_arithmetic():
    """What decides how this process rounds, as far as it can be told: versions, machine, and a product's bits.

    Returns
    -------
    dict of str to str

    Notes
    -----
    Cost: some 10^6 multiplications.

    Examples
    --------
    >>> sorted(describe_arithmetic())
    ['machine', 'numpy', 'products', 'python', 'scipy', 'sltrees']
    """
    sha = hashlib.sha256()
    with ThreadExecutor(1) as executor:  # BLAS on one thread, as where it counts

        def multiply(dtype):
            a = np.sin(np.arange(128 * 77, dtype=np.float64)).reshape(128, 77).astype(dtype)
            return (a @ np.ascontiguousarray(a[:100].T)).tobytes()

        for product in executor.map(multiply, (np.float32, np.float64)):
            sha.update(product)
    return {
        "sltrees": VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
        "products": sha.hexdigest(),
    }


def refuse_unlike(address, found):
    """UnlikeWorkerError if a worker that describes itself so computes otherwise than this process.

    Parameters
    ----------
    address : str
    found : dict of str to str
        Of its `describe_arithmetic`.

    Notes
    -----
    Cost: that of `describe_arithmetic`.

    Examples
    --------
    >>> refuse_unlike("tcp://10.0.0.1:4000", describe_arithmetic())
    """
    for name, value in describe_arithmetic().items():
        if found.get(name) != value:
            raise UnlikeWorkerError(
                f"results would depend on which worker does what: {name} of worker {address} is {found.get(name)}, "
                f"here it is {value}"
            )
