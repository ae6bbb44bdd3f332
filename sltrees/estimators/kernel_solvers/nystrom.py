"""Kernel ridge regression on some centres: a sum of their kernel functions, fitted to any number of samples.

The functions k(., z_j) of m centres z_j are the features. All that samples tell of them is an m x m matrix and a few
vectors, sums over samples: they are gone through in strips, once, and more of them can be added later.
"""

from __future__ import annotations

import copy

import numpy as np

from sltrees.linalg.cholesky import CholeskyFactor, raise_until_definite

STRIP = 2048  # samples whose features are held at a time
PANEL = 256  # columns of a task
_LEAST_JITTER = 1e-280  # where the kernel is 0
_JITTER = 1e-13  # of the diagonal, times m: where centres are dependent up to rounding


class NystromSystem:
    """What samples tell of the features that centres give: the normal equations.

    Parameters
    ----------
    kernel : sltrees.kernels.unit_rows.UnitRowsKernel
    centres : ndarray of shape (m, d)
        Rows of unit norm.
    n_outputs : int

    Attributes
    ----------
    centres : ndarray of shape (m, d)
    products : ndarray of shape (m, m)
        K_mn S K_nm: on and below the diagonal; above it, nothing is said.
    targets : ndarray of shape (m, C + 1)
        K_mn S [Y, 1].
    totals : ndarray of shape (C + 1,)
        1^T S [Y, 1].

    Notes
    -----
    Memory: 8 m^2 bytes, and as many each for two factors while it is solved; 16 KiB m while samples are added.
    """

    def __init__(self, kernel, centres, n_outputs):
        m = len(centres)
        self.kernel, self.centres = kernel, np.ascontiguousarray(centres)
        self.products = np.zeros((m, m))
        self.targets, self.totals = np.zeros((m, n_outputs + 1)), np.zeros(n_outputs + 1)

    @staticmethod
    def bytes_needed(m, n_outputs):
        """Bytes that a system of m centres takes, with all that solving it takes. Cost: O(m / 256)."""
        factors = 2 * CholeskyFactor.bytes_needed(m)
        # features while samples are added; or columns that threads divide, copies of them for LAPACK included
        scratch = max(2 * STRIP - m, 12 * PANEL) * m
        return 8 * (2 * m * m + scratch + 4 * m * (n_outputs + 2)) + factors

    def extended(self):
        """A copy that can be added to, of which this one learns nothing. Cost: O(m^2)."""
        other = copy.copy(self)
        other.products, other.targets, other.totals = self.products.copy(), self.targets.copy(), self.totals.copy()
        return other

    def include(self, other):
        """Add what another system of the same centres was told. Sets: products, targets, totals. Cost: O(m^2)."""
        self.products += other.products
        self.targets += other.targets
        self.totals += other.totals

    def add(self, X, Y, weights, executor, advance=None):
        """Add samples.

        Parameters
        ----------
        X, Y, weights : ndarray of shape (n, d), (n, C), (n,)
        executor : ThreadExecutor
        advance : callable, optional
            advance(done, total), in samples.

        Notes
        -----
        Sets: products, targets, totals; after an exception they are of no use. The result does not depend on the number
        of threads, and up to rounding not on how samples come in parts. Cost: O(n m (m + d)).
        """
        m = len(self.centres)
        features, scaled = np.empty((STRIP, m)), np.empty((STRIP, m))
        panels = [slice(start, min(start + PANEL, m)) for start in range(0, m, PANEL)]
        for start in range(0, len(X), STRIP):
            rows = slice(start, min(start + STRIP, len(X)))
            n_rows = rows.stop - start
            right = weights[rows, None] * np.column_stack([Y[rows], np.ones(n_rows)])

            def fill(panel, rows=rows, n_rows=n_rows):
                self.kernel.fill(features[:n_rows, panel], X[rows], self.centres[panel])
                np.multiply(features[:n_rows, panel], weights[rows, None], out=scaled[:n_rows, panel])

            def sum_up(panel, n_rows=n_rows, right=right):
                part = features[:n_rows, panel].T
                self.products[panel, : panel.stop] += part @ scaled[:n_rows, : panel.stop]
                self.targets[panel] += part @ right

            executor.map(fill, panels)
            executor.map(sum_up, panels)
            self.totals += right.sum(axis=0)
            if advance is not None:
                advance(rows.stop, len(X))

    def between_centres(self, executor):
        """The Cholesky factor of the kernel of centres, a little raised on its diagonal."""
        factor = CholeskyFactor(len(self.centres))
        jitter = max(_JITTER * len(self.centres) * self.kernel.of_itself, _LEAST_JITTER)

        def fill(rows, columns, out):
            self.kernel.fill(out, self.centres[rows], self.centres[columns])

        raise_until_definite(lambda c: factor.factorise_filled(fill, c, executor), jitter)
        return factor

    def take_away(self, dual, constants):
        """Subtract a function of the centres from all targets. Sets: targets, totals. Cost: O(m^2 C)."""
        products = np.tril(self.products)
        features = self.targets[:, -1:].copy()  # of ones
        self.targets[:, :-1] -= products @ dual + np.tril(products, -1).T @ dual + features * constants
        self.totals[:-1] -= features[:, 0] @ dual + self.totals[-1] * constants

    def whitened(self, root, executor, pull=0.0):
        """The normal equations in orthonormal features: L^-1 K_mn S K_nm L^-T, for L L^T the kernel of centres.

        Parameters
        ----------
        root : CholeskyFactor
            Of `between_centres`.
        executor : ThreadExecutor
        pull : ndarray of shape (m, C), optional
            The ridge times the values at the centres of a function that the solution is added to.

        Returns
        -------
        matrix : ndarray of shape (m, m)
            On and below the diagonal.
        targets : ndarray of shape (m, C + 1)

        Notes
        -----
        Cost: O(2 m^3).
        """
        m = len(self.centres)
        matrix = np.tril(self.products)
        matrix += np.tril(self.products, -1).T
        panels = [slice(start, min(start + PANEL, m)) for start in range(0, m, PANEL)]

        def divide(panel):
            columns = np.ascontiguousarray(matrix[:, panel])
            root.forward(columns)
            matrix[:, panel] = columns

        executor.map(divide, panels)
        matrix = matrix.T  # L^-1 A is not symmetric; its transpose, divided again, is
        executor.map(divide, panels)
        targets = self.targets.copy()
        targets[:, :-1] -= pull
        root.forward(targets)
        return matrix, targets


class NystromFit:
    """The solution of a system for one ridge.

    Parameters
    ----------
    system : NystromSystem
    root : CholeskyFactor
    whitened : tuple
        What `NystromSystem.whitened` returned.
    ridge : float
        Above 0, in units of the kernel. It is raised by factors of ten where the matrix is singular to working
        precision.
    executor : ThreadExecutor

    Attributes
    ----------
    ridge : float
    dual : ndarray of shape (m, C)
        Of the centres.
    constants : ndarray of shape (C,)

    Notes
    -----
    With features phi = L^-1 k(Z, x), H = Phi^T S Phi + ridge I, q = Phi^T S 1 and s = 1^T S 1, it solves

        [H, q; q^T, s] [gamma; constant] = [Phi^T S Y; 1^T S Y],

    and the leverage of an observation of weight w is w (phi^T H^-1 phi + (1 - phi^T H^-1 q)^2 / (s - q^T H^-1 q)): its
    residual, once it is left out, is that residual divided by 1 minus the leverage, exactly. Cost: O(m^3 / 3).
    """

    def __init__(self, system, root, whitened, ridge, executor):
        matrix, targets = whitened
        self._system, self._root, self._executor = system, root, executor
        self._factor = CholeskyFactor(len(matrix))
        self.ridge = raise_until_definite(lambda c: self._factor.factorise(matrix, c, executor), ridge)
        seen = self._factor.solve(targets, executor)
        self._of_ones = seen[:, -1].copy()
        self._rest = float(system.totals[-1] - targets[:, -1] @ self._of_ones)
        self.constants = (system.totals[:-1] - targets[:, -1] @ seen[:, :-1]) / self._rest
        self.dual = seen[:, :-1] - self._of_ones[:, None] * self.constants
        root.backward(self.dual)

    def outputs(self, X):
        """Outputs at rows of unit norm, shape (n, C). Cost: O(n m (d + C))."""
        system = self._system
        return system.kernel.times(X, system.centres, self.dual, self._executor) + self.constants

    def left_out(self, X, Y, weights):
        """For observations that were learned from, once each alone is left out: its output minus its target, (N, C).

        Notes
        -----
        Cost: O(N m^2).
        """
        system = self._system

        def of_strip(start):
            rows = slice(start, start + PANEL)
            features = system.kernel.between(system.centres, X[rows])
            residuals = features.T @ self.dual + self.constants - Y[rows]
            self._root.forward(features)
            ones = 1.0 - self._of_ones @ features
            self._factor.forward(features)
            leverages = np.einsum("ij,ij->j", features, features) + ones**2 / self._rest
            rest = np.maximum(1.0 - weights[rows] * leverages, np.finfo(np.float64).eps)
            return residuals / rest[:, None]

        return np.concatenate(self._executor.map(of_strip, range(0, len(X), PANEL)))
