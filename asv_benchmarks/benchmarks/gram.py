"""Forming and solving Gram systems: a factorisation, and a step of conjugate gradients with an old factor."""

import numpy as np

from sltrees.executors import ThreadExecutor
from sltrees.gram import GramMatrix

STEPS = 10


class Gram:
    """Random samples on the sphere, and counts as of neurons that fire rarely; one thread."""

    param_names = ("n",)
    params = ([256, 512, 1024, 2048, 4096],)
    timeout = 300

    def setup(self, n):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((n, 64))
        X /= np.linalg.norm(X, axis=1, keepdims=True)
        self.right = rng.standard_normal(n)
        self.executor = ThreadExecutor(1).__enter__()
        self.gram = GramMatrix(X, 10_000)
        self.gram.counts[...] = np.triu(rng.poisson(100, (n, n)), 1)
        self.gram.counts[np.diag_indices(n)] = 2000
        self.gram.refresh(self.executor)
        self.c = 1e-3 * self.gram.trace / n
        self.gram.solve(self.c, self.right, self.executor)

    def teardown(self, n):
        self.executor.__exit__(None, None, None)

    def time_refresh(self, n):
        self.gram.refresh(self.executor)

    def time_factorise(self, n):
        self.gram._factorise(self.c, self.executor)

    def time_ten_steps_with_an_old_factor(self, n):
        self.gram._conjugate_gradients(1e-3 * self.c, self.right, self.executor, max_steps=STEPS, tol=0.0)

    def time_solve_again(self, n):
        self.gram.solve(self.c, self.right, self.executor)
