"""Whether two processes compute alike: results must not depend on which worker does what."""

from __future__ import annotations

import hashlib
import platform

import numpy as np
import scipy

from sltrees._core import _primitives
from sltrees._core._boundary import aligned_empty
from sltrees._core._normals import fill_normals
from sltrees._versions import VERSION
from sltrees.execution.threads import ThreadExecutor


class UnlikeWorkerError(RuntimeError):
    """Results would depend on which worker does what."""


_ADVICE = {"kernels": ": processors may have other instructions; SLTREES_SIMD=avx2 has them all use the same, say"}


def describe_arithmetic():
    """What decides how this process rounds, as far as it can be told: versions, machine, and bits of some results.

    Of products, through BLAS, and of the kernels at the level of instructions that is in use.

    Returns
    -------
    dict of str to str

    Notes
    -----
    Cost: some 10^6 multiplications.

    Examples
    --------
    >>> sorted(describe_arithmetic())
    ['kernels', 'machine', 'numpy', 'products', 'python', 'scipy', 'sltrees']
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
        "kernels": _hash_of_kernels(),
    }


def _hash_of_kernels():
    """Bits of sums and normal numbers, whose order of operations is that of the instructions that compute them."""
    normals = np.empty(1000, dtype=np.float32)
    fill_normals(np.random.SeedSequence(0), normals)
    sha = hashlib.sha256(normals.tobytes())
    for dtype in (np.float32, np.float64):
        for length in (16, 64, 208):  # of rows: whole blocks, in loops that are unrolled and behind them
            rows = _aligned(np.sin(np.arange(1, 5 * length + 1, dtype=np.float64)), dtype).reshape(5, length)
            at, out, y = np.array([1, 4, 0, 2], dtype=np.int32), _aligned(np.zeros(4), dtype), _aligned(rows[3], dtype)
            _primitives.dots(rows[3], at, rows, out)
            _primitives.add_rows(y, _aligned(out, dtype), at, rows)
            sha.update(out.tobytes() + y.tobytes())
            sha.update(np.float64(_primitives.dot(rows[0], rows[1])).tobytes())
    return sha.hexdigest()


def _aligned(values, dtype):
    """A copy where kernels may read it."""
    copy = aligned_empty(values.size, dtype)
    copy[:] = values
    return copy


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
                f"here it is {value}" + _ADVICE.get(name, "")
            )
