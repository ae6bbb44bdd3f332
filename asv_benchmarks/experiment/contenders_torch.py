"""PyTorch on the same network: W(0), signs and shift are ours, and W alone is trained, in float32 on the full batch.

All m neurons take part. The gradient is written down, in blocks of neurons that stay in cache: automatic
differentiation of the plain formula makes several arrays of m n numbers anew in each iteration. Drawing W(0) is not
timed.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from asv_benchmarks.experiment.outcome import Outcome, Stopwatch

HISTORY = 10  # pairs that L-BFGS keeps: 100, the default of PyTorch, would be 200 copies of the weights
BLOCK = 2048  # neurons


class Stop(Exception):
    """Ends a run of an optimiser from within; no error."""


class Network:
    """The network with the loss |f - y|^2/2, and what was seen of it while it was trained."""

    def __init__(self, case, target, limit, n_threads):
        torch.set_num_threads(n_threads)
        problem = case.problem()
        ours = case.network().initialize(problem.X, n_threads=n_threads)
        W, signs = ours.dense_weights()
        self.shift, self.target, self.limit = ours.shift_, target, limit
        self.W = torch.from_numpy(W)
        self.factors = torch.from_numpy((signs / math.sqrt(len(signs))).astype(np.float32))
        self.X, self.y = torch.from_numpy(problem.X), torch.from_numpy(problem.y.astype(np.float32))
        self.fires = torch.empty((len(W), case.n))
        self.W.grad = torch.empty_like(self.W)
        self.points, self.watch = [], Stopwatch()

    def outputs(self, X, fires):
        """f; `fires` becomes 1 where a neuron fires on a sample, else 0."""
        offset = torch.tensor(-self.shift)
        total = torch.zeros(len(X))
        for W, factors, block in zip(*(all_.split(BLOCK) for all_ in (self.W, self.factors, fires)), strict=True):
            torch.addmm(offset, W, X.T, out=block).relu_()
            total += factors @ block
            block.sign_()
        return total

    @torch.no_grad()
    def loss(self):
        """The loss at W, with its gradient in W.grad; `Stop` at the target and beyond the limit."""
        residual = self.outputs(self.X, self.fires) - self.y
        squares = residual.square().sum()
        rmse = math.sqrt(squares.item() / len(self.y))
        self.points.append((self.watch.seconds(), rmse))
        if rmse <= self.target:
            raise Stop("reached")
        if self.watch.seconds() > self.limit:
            raise Stop("limit")
        weighted = residual[:, None] * self.X
        for fires, factors, gradient in zip(
            *(all_.split(BLOCK) for all_ in (self.fires, self.factors, self.W.grad)), strict=True
        ):
            torch.mm(fires, weighted, out=gradient).mul_(factors[:, None])
        return 0.5 * squares

    def train(self, optimise):
        """Run an optimiser until it is stopped; it returns where it cannot go on. Returns an `Outcome`."""
        try:
            optimise()
            status = "stalled"
        except Stop as stop:
            status = str(stop)
        seconds = self.watch.seconds()
        return Outcome(self.points, len(self.points) - 1, seconds, 0.0, status, self.predict, self.shift)

    def predict(self, X):
        return self.outputs(torch.from_numpy(X), torch.empty((len(self.W), len(X)))).numpy().astype(np.float64)


def run_adam(rate, case, target, limit, n_threads):
    """Full-batch Adam with a constant learning rate."""
    network = Network(case, target, limit, n_threads)
    optimiser = torch.optim.Adam([network.W], lr=rate, fused=True)

    def optimise():
        while True:
            network.loss()
            optimiser.step()

    return network.train(optimise)


def run_lbfgs(case, target, limit, n_threads):
    """L-BFGS with the strong Wolfe line search; an iteration is an evaluation of loss and gradient."""
    network = Network(case, target, limit, n_threads)
    optimiser = torch.optim.LBFGS(
        [network.W],
        max_iter=10**9,
        max_eval=10**9,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=0.0,
        tolerance_change=0.0,
    )
    return network.train(lambda: optimiser.step(network.loss))
