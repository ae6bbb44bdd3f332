"""Forming and solving Gram systems: a factorisation, and a step of conjugate gradients with an old factor."""

import functools
import inspect

import numpy as np

from .common import needed, sizes, unit_rows

GramMatrix = needed("GramMatrix")
ThreadExecutor = needed("ThreadExecutor")

STEPS = 10


@functools.cache
def solved(n):
    """A Gram matrix with counts as of neurons that fire rarely, factorised with a ridge; the ridge; a right side."""
    rng = np.random.default_rng(0)
    gram = GramMatrix(unit_rows(n).astype(np.float64), 10_000)
    gram.counts[...] = np.triu(rng.poisson(100, (n, n)), 1)
    gram.counts[np.diag_indices(n)] = 2000
    right = rng.standard_normal(n)
    with ThreadExecutor(1) as executor:
        gram.refresh(executor)
        c = 1e-3 * gram.trace / n
        gram.solve(c, right, executor)
    return gram, c, right


class Gram:
    """One thread. All but the first leave the matrix as it is, and the first makes the same one again."""

    param_names = ("n",)
    params = (sizes(256, 1024, 2048),)
    timeout = 300

    def setup(self, n):
        self.gram, self.c, self.right = solved(n)
        self.executor = ThreadExecutor(1).__enter__()
        wanted = inspect.signature(self.gram._conjugate_gradients).parameters
        self.roots = (np.ones(n),) if "roots" in wanted else ()  # commits before losses have none

    def teardown(self, n):
        self.executor.__exit__(None, None, None)

    def time_refresh(self, n):
        self.gram.refresh(self.executor)

    def time_factorise(self, n):
        self.gram._factorise(self.c, self.executor)

    def time_ten_steps_with_an_old_factor(self, n):
        self.gram._conjugate_gradients(1e-3 * self.c, self.right, self.executor, *self.roots, max_steps=STEPS, tol=0.0)

    def time_solve_again(self, n):
        self.gram.solve(self.c, self.right, self.executor)
