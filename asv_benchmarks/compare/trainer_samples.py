"""Objective against time where samples are many: Newton steps beside L-BFGS and Adam of PyTorch, on the same network.

    python asv_benchmarks/compare/trainer_samples.py [--samples 30000 100000] [--features 50] [--width 16384]
        [--alphas 1e-2 1e-1] [--contenders newton lbfgs adam-0.01 ...] [--limit 600] [--max-iter 30]
        [--csv docs/figures/trainer_samples.csv] [--again]
    python asv_benchmarks/compare/trainer_samples.py --check [--samples 4000]

Rows of X are normal numbers over their norm; the target is that of "six_factors" in `many_samples.py`, of mean 0 and
variance 1, with noise. All contenders begin at the same W(0) with the same signs and shift ("auto"), and lower

    |f - y|^2 / 2 + alpha trace(G)/n |W - W(0)|^2 / 2,        trace(G)/n at W(0),

on all samples, PyTorch in float32 with the gradient written down in blocks of samples. Each contender runs in a process
of its own until --limit seconds; what it saw of the objective goes to the CSV when it ends, with its peak memory, and
is not run again unless --again. Drawing W(0) is in the time of "newton" alone.

--check compares, at a size where both are possible, exact steps on the preconditioned system, and steps with forcing
terms, with those of the Cholesky path.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one

RATES = (1e-2, 3e-2, 1e-1, 3e-1)
CONTENDERS = ("newton", "lbfgs", *(f"adam-{rate:g}" for rate in RATES))
FIELDS = ("contender", "n", "d", "width", "alpha", "seconds", "objective", "rmse", "cg_steps", "setup", "peak_gib")
HISTORY = 10  # pairs that L-BFGS keeps
BLOCK = 1024  # samples that PyTorch looks at at a time


def problem(n, d):
    """X of unit rows, and y."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    Z = X * math.sqrt(d)
    y = np.sin(2 * Z[:, 0]) + Z[:, 1] * Z[:, 2] + np.abs(Z[:, 3]) + np.tanh(Z[:, 4] - Z[:, 5])
    y += 0.3 * rng.standard_normal(n)
    return X, (y - y.mean()) / y.std()


def network_of(width):
    from sltrees import ShiftedReLUNetwork

    return ShiftedReLUNetwork(width, random_state=0)


def run_newton(n, d, width, alpha, limit, max_iter):
    """Points of `NewtonTrainer`, and seconds of its set-up."""
    from sltrees import NewtonTrainer
    from sltrees.callbacks import Callback

    class Limit(Callback):
        def on_iteration(self, trainer, record):
            print(
                f"  {record.iteration}: loss {record.loss:.6g}, rmse {record.rmse:.4f}, damping {record.damping:.2g}, "
                f"gain {record.gain_ratio:.3f}, {record.cg_steps} steps, {record.refactorings} preconditioners, "
                f"{record.visited_neurons} visited, {record.flips} flips, {record.fired_pairs} fired, "
                + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in record.seconds.items())
                + f"; {record.seconds_elapsed:.1f} s",
                file=sys.stderr,
                flush=True,
            )
            return record.seconds_elapsed > limit

    X, y = problem(n, d)
    trainer = NewtonTrainer(network_of(width), alpha=alpha, max_iter=max_iter, tol=1e-4, callbacks=[Limit()])
    result = trainer.fit(X, y)
    elapsed = [result.seconds_setup, *(record.seconds_elapsed for record in result.history)]
    points = [
        (seconds, record.loss, record.rmse, record.cg_steps)
        for seconds, record in zip(elapsed, result.history, strict=False)
    ]
    print(f"  {result.status}: {result.message}", file=sys.stderr)
    return [*points, (elapsed[-1], result.loss, result.rmse, 0)], result.seconds_setup


class DenseNetwork:
    """The network with its objective in PyTorch, and what was seen of it while it was trained."""

    def __init__(self, n, d, width, alpha, limit):
        import torch

        self.torch = torch
        X, y = problem(n, d)
        ours = network_of(width).initialize(X)
        W, signs = ours.dense_weights()
        self.shift, self.limit = float(ours.shift_), limit
        self.W, self.start = torch.from_numpy(W), torch.from_numpy(W.copy())
        self.factors = torch.from_numpy((signs / math.sqrt(width)).astype(np.float32))
        self.X, self.y = torch.from_numpy(X.astype(np.float32)), torch.from_numpy(y.astype(np.float32))
        self.W.grad = torch.zeros_like(self.W)
        self.block = torch.empty((width, BLOCK))
        fired = sum((self.products(x) > 0).sum().item() for x in self.X.split(BLOCK))
        self.ridge = alpha * fired / width / n
        self.points, self.began = [], time.perf_counter()

    def products(self, x):
        out = self.block[:, : len(x)] if len(x) == BLOCK else self.torch.empty((len(self.W), len(x)))
        return self.torch.addmm(self.torch.tensor(-self.shift), self.W, x.T, out=out)

    def objective(self):
        """The objective at W, with its gradient in W.grad; TimeoutError beyond the limit."""
        with self.torch.no_grad():
            moved = self.W - self.start
            gradient, squares = self.W.grad, 0.0
            gradient.zero_()
            for x, y in zip(self.X.split(BLOCK), self.y.split(BLOCK), strict=True):
                z = self.products(x).relu_()
                residual = self.factors @ z - y
                squares += residual.double().square().sum().item()
                gradient.addmm_(z.sign_(), residual[:, None] * x)
            gradient.mul_(self.factors[:, None]).add_(moved, alpha=self.ridge)
            value = 0.5 * squares + 0.5 * self.ridge * moved.double().square().sum().item()
        seconds = time.perf_counter() - self.began
        self.points.append((seconds, value, math.sqrt(squares / len(self.y)), 0))
        if seconds > self.limit:
            raise TimeoutError
        return self.torch.tensor(value)


def run_torch(contender, n, d, width, alpha, limit):
    """Points of an optimiser of PyTorch."""
    import torch

    network = DenseNetwork(n, d, width, alpha, limit)
    try:
        if contender == "lbfgs":
            torch.optim.LBFGS(
                [network.W],
                max_iter=10**9,
                max_eval=10**9,
                history_size=HISTORY,
                line_search_fn="strong_wolfe",
                tolerance_grad=0.0,
                tolerance_change=0.0,
            ).step(network.objective)
        else:
            optimiser = torch.optim.Adam([network.W], lr=float(contender.partition("-")[2]), fused=True)
            while True:
                network.objective()
                optimiser.step()
    except TimeoutError:
        pass
    return network.points, 0.0


def run(arguments):
    """One run, in this process: its points as JSON on the last line."""
    contender, n, d, width, alpha, limit, max_iter = json.loads(arguments)
    if contender == "newton":
        points, setup = run_newton(n, d, width, alpha, limit, max_iter)
    else:
        points, setup = run_torch(contender, n, d, width, alpha, limit)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"points": points, "setup": setup, "peak": peak}))


def check(n, d, width, alphas):
    """Differences of losses and outputs from the Cholesky path, for each alpha and accuracy."""
    from sltrees import NewtonTrainer
    from sltrees.training import budget

    X, y = problem(n, d)
    for alpha in alphas:
        network = network_of(width)
        budget.MAX_GRAM = 20_000
        exact = NewtonTrainer(network, alpha=alpha, max_iter=8, tol=1e-9).fit(X, y)
        outputs = network.predict(X)
        budget.MAX_GRAM = 0  # as if there were more: "auto" has forcing terms then
        for forcing in (0.0, 1e-4, 1e-2, "auto"):
            began, network = time.perf_counter(), network_of(width)
            result = NewtonTrainer(network, alpha=alpha, max_iter=8, tol=1e-9, max_gram=0, forcing=forcing).fit(X, y)
            rms = float(np.sqrt(np.mean((network.predict(X) - outputs) ** 2)))
            steps = [record.cg_steps for record in result.history]
            print(
                f"n {n}, alpha {alpha:g}, forcing {forcing}: loss {result.loss / exact.loss - 1:+.1e}, "
                f"outputs {rms:.1e} (rms of the Cholesky path {np.sqrt(np.mean(outputs**2)):.2f}), steps {steps}, "
                f"{time.perf_counter() - began:.1f} s against {exact.seconds:.1f} s",
                flush=True,
            )


def main():
    """Run what is asked for and is not in the CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[30_000, 100_000])
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--width", type=int, default=2**14)
    parser.add_argument("--alphas", type=float, nargs="+", default=[1e-2, 1e-1])
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS))
    parser.add_argument("--limit", type=float, default=600.0)
    parser.add_argument("--max-iter", type=int, default=30)
    parser.add_argument("--csv", type=Path, default=Path("docs/figures/trainer_samples.csv"))
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        return run(options.run)
    if options.check:
        return [check(n, options.features, options.width, options.alphas) for n in options.samples]
    rows = list(csv.DictReader(options.csv.open())) if options.csv.exists() else []
    for n in options.samples:
        for alpha in options.alphas:
            for contender in options.contenders:
                case = (contender, n, options.features, options.width, alpha)
                same = [row for row in rows if tuple(row[name] for name in FIELDS[:5]) == tuple(map(str, case))]
                if same and not options.again:
                    continue
                print(*case, file=sys.stderr, flush=True)
                text = json.dumps([*case, options.limit, options.max_iter])
                done = subprocess.run([sys.executable, __file__, "--run", text], stdout=subprocess.PIPE, check=True)
                outcome = json.loads(done.stdout.splitlines()[-1])
                rows = [row for row in rows if row not in same]
                for point in outcome["points"]:
                    numbers = [*point, outcome["setup"], outcome["peak"]]
                    rows.append(dict(zip(FIELDS, map(str, [*case, *(f"{x:.10g}" for x in numbers)]), strict=True)))
                with options.csv.open("w", newline="") as file:
                    writer = csv.DictWriter(file, FIELDS)
                    writer.writeheader()
                    writer.writerows(rows)
                last = outcome["points"][-1]
                print(f"  objective {last[1]:.6g} after {last[0]:.0f} s, {outcome['peak']:.2f} GiB", file=sys.stderr)
    return None


if __name__ == "__main__":
    main()
