"""What `compare/training.py` measures against: the same network with no neuron left out, in NumPy and in PyTorch.

Everything works through blocks of neurons whose products with the data stay in cache, with buffers allocated once.
"""

import statistics
import time

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

from sltrees.execution.threads import ThreadExecutor

# ---------------------------------------------------------------------- timing


def seconds(method):
    begin = time.perf_counter()
    method()
    return time.perf_counter() - begin


def seconds_for(budget, method):
    """Median seconds of calls that together fill a budget; a single call where one takes as long."""
    times = [seconds(method)]
    while sum(times) < budget:
        times.append(seconds(method))
    return statistics.median(times)


def fastest(build, sizes, rounds=5):
    """The block size whose method, made by build(size), has the least median time; sizes take turns."""
    methods = {size: build(size) for size in sizes}
    found = {size: [] for size in sizes}
    for method in methods.values():
        method()
    for _ in range(rounds):
        for size, method in methods.items():
            found[size].append(seconds(method))
    return min(sizes, key=lambda size: statistics.median(found[size]))


# ---------------------------------------------------------------------- the forward pass


class ForwardPass:
    """One dense forward pass of a network over all samples: the unit in which training is priced.

    Parameters
    ----------
    W : ndarray of shape (m, d)
        Made beforehand, all of it.
    signs : ndarray of shape (m,)
    shift : float
    X : ndarray of shape (n, d)
        All in the dtype of W.
    block : int
        Neurons at a time.
    """

    SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)

    def __init__(self, W, signs, shift, X, block):
        self.W, self.signs, self.shift, self.X, self.block = W, signs, W.dtype.type(shift), X, block
        self._buffers = [self._buffer()]

    def _buffer(self):
        return np.empty((self.block, len(self.X)), dtype=self.W.dtype)

    @classmethod
    def best_block(cls, X, n_threads):
        """The block size with which a pass over 2^15 neurons is fastest."""
        rng = np.random.default_rng(0)
        W = rng.standard_normal((2**15, X.shape[1]), dtype=np.float32).astype(X.dtype)
        signs = np.ones(len(W), dtype=X.dtype)
        with threadpool_limits(limits=n_threads, user_api="blas"):
            return fastest(lambda block: cls(W, signs, 1.0, X, block), cls.SIZES)

    def __call__(self):
        """f on the samples; BLAS uses the threads it is given."""
        return self._part(0, len(self.W), self._buffers[0]) / np.sqrt(len(self.W))

    def by_blocks(self, executor):
        """The same, with blocks on the threads of an executor, so that no operation runs on one thread only."""
        n_parts = executor.n_threads
        while len(self._buffers) < n_parts:
            self._buffers.append(self._buffer())
        edges = np.linspace(0, len(self.W), n_parts + 1).astype(int)
        parts = zip(edges[:-1], edges[1:], self._buffers[:n_parts], strict=True)
        return sum(executor.map(lambda part: self._part(*part), parts)) / np.sqrt(len(self.W))

    def _part(self, start, stop, buffer):
        total = np.zeros(len(self.X), dtype=self.W.dtype)
        for lo in range(start, stop, self.block):
            hi = min(lo + self.block, stop)
            z = buffer[: hi - lo]
            np.matmul(self.W[lo:hi], self.X.T, out=z)
            np.subtract(z, self.shift, out=z)
            np.maximum(z, 0, out=z)
            total += self.signs[lo:hi] @ z
        return total

    BUDGET = 0.05  # seconds: the first pass of several also wakes the threads

    def seconds(self, n_threads):
        with threadpool_limits(limits=n_threads, user_api="blas"):
            return seconds_for(self.BUDGET, self)

    def seconds_by_blocks(self, n_threads):
        with ThreadExecutor(n_threads) as executor:
            return seconds_for(self.BUDGET, lambda: self.by_blocks(executor))


# ---------------------------------------------------------------------- Gauss-Newton


class NumpyNetwork:
    """All weights of a network, and the two passes that Gauss-Newton makes over them, in NumPy.

    Parameters
    ----------
    W : ndarray of shape (m, d)
        Copied.
    signs : ndarray of shape (m,)
    shift : float
    X : ndarray of shape (n, d)
        All in the dtype of W.
    block : int
    n_threads : int
        Of BLAS.
    """

    SIZES = (1024, 2048, 4096, 8192, 16384)

    def __init__(self, W, signs, shift, X, block, n_threads):
        self.W, self.signs, self.shift, self.X = W.copy(), signs, W.dtype.type(shift), X
        self.block, self.n_threads = block, n_threads
        self._z = np.empty((block, len(X)), dtype=W.dtype)
        self._mask = np.empty_like(self._z)
        self._bits = np.empty(self._z.shape, dtype=bool)
        self._step = np.empty((block, X.shape[1]), dtype=W.dtype)

    def threads(self):
        return threadpool_limits(limits=self.n_threads, user_api="blas")

    def _firing(self, lo):
        """z - shift and the mask of a block of neurons."""
        W = self.W[lo : lo + self.block]
        z, bits, mask = (buffer[: len(W)] for buffer in (self._z, self._bits, self._mask))
        np.matmul(W, self.X.T, out=z)
        np.subtract(z, self.shift, out=z)
        np.greater(z, 0, out=bits)
        np.copyto(mask, bits)
        return z, mask

    def look(self):
        """f in float64, and H: how many neurons fire on both samples."""
        n = len(self.X)
        outputs, H, part = np.zeros(n), np.zeros((n, n), dtype=self.W.dtype), np.empty((n, n), dtype=self.W.dtype)
        for lo in range(0, len(self.W), self.block):
            z, mask = self._firing(lo)
            np.maximum(z, 0, out=z)
            outputs += self.signs[lo : lo + self.block] @ z
            H += np.matmul(mask.T, mask, out=part)
        return outputs / np.sqrt(len(self.W)), H.astype(np.float64)

    def move(self, g):
        """W <- W - J^T g."""
        g, scaled = g.astype(self.W.dtype), self.signs / self.signs.dtype.type(np.sqrt(len(self.W)))
        for lo in range(0, len(self.W), self.block):
            mask = self._firing(lo)[1]
            mask *= g
            step = np.matmul(mask, self.X, out=self._step[: len(mask)])
            step *= scaled[lo : lo + self.block, None]
            self.W[lo : lo + self.block] -= step


class TorchNetwork:
    """The same in PyTorch, on the CPU. Raises ImportError where it is not installed."""

    SIZES = NumpyNetwork.SIZES

    def __init__(self, W, signs, shift, X, block, n_threads):
        import torch

        self.torch, self.n_threads, self.block = torch, n_threads, block
        self.W, self.signs, self.X = torch.from_numpy(W).clone(), torch.from_numpy(signs), torch.from_numpy(X)
        self.shift = float(W.dtype.type(shift))
        self._z = torch.empty((block, len(X)), dtype=self.W.dtype)
        self._mask = torch.empty_like(self._z)

    def threads(self):
        self.torch.set_num_threads(self.n_threads)
        return self.torch.inference_mode()

    def _firing(self, lo):
        W = self.W[lo : lo + self.block]
        z, mask = self._z[: len(W)], self._mask[: len(W)]
        self.torch.mm(W, self.X.T, out=z)
        z.sub_(self.shift)
        self.torch.gt(z, 0, out=mask)
        return z, mask

    def look(self):
        n = len(self.X)
        outputs = self.torch.zeros(n, dtype=self.torch.float64)
        H = self.torch.zeros((n, n), dtype=self.W.dtype)
        for lo in range(0, len(self.W), self.block):
            z, mask = self._firing(lo)
            outputs += self.signs[lo : lo + self.block] @ z.clamp_(min=0)
            H.addmm_(mask.T, mask)
        return outputs.numpy() / np.sqrt(len(self.W)), H.numpy().astype(np.float64)

    def move(self, g):
        g, scaled = self.torch.from_numpy(g).to(self.W.dtype), self.signs / float(np.sqrt(len(self.W)))
        for lo in range(0, len(self.W), self.block):
            mask = self._firing(lo)[1].mul_(g)
            self.W[lo : lo + self.block] -= (mask @ self.X).mul_(scaled[lo : lo + self.block, None])


def best_block(kind, X, shift, n_threads):
    """The block size with which `look` is fastest on 2^14 neurons."""
    W = np.random.default_rng(0).standard_normal((2**14, X.shape[1]), dtype=np.float32).astype(X.dtype)
    networks = {size: kind(W, np.ones(len(W), X.dtype), shift, X, size, n_threads) for size in kind.SIZES}
    with networks[kind.SIZES[0]].threads():
        return fastest(lambda size: networks[size].look, kind.SIZES, rounds=3)


def gauss_newton(network, X, y, dampings):
    """Dense Gauss-Newton with given damping, relative to trace(G)/n at the start, as the trainer has it.

    Parameters
    ----------
    network : NumpyNetwork or TorchNetwork
        Trained in place.
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
    dampings : list of float
        One for each iteration to make.

    Returns
    -------
    tuple
        Seconds in all, seconds of each iteration, and the RMSE before the first iteration and after each.

    Notes
    -----
    Cost: O(m n^2) per iteration.
    """
    with network.threads():
        begin = time.perf_counter()
        products = X.astype(np.float64) @ X.T.astype(np.float64) / len(network.W)
        outputs, H = network.look()
        scale = float(np.sum(np.diag(products) * np.diag(H))) / len(y)
        rmse, each = [float(np.sqrt(np.mean((outputs - y) ** 2)))], []
        for damping in dampings:
            start = time.perf_counter()
            G = products * H
            G[np.diag_indices_from(G)] += damping * scale
            g = scipy.linalg.cho_solve(scipy.linalg.cho_factor(G, overwrite_a=True), outputs - y)
            network.move(g)
            outputs, H = network.look()
            rmse.append(float(np.sqrt(np.mean((outputs - y) ** 2))))
            each.append(time.perf_counter() - start)
        return time.perf_counter() - begin, each, rmse
