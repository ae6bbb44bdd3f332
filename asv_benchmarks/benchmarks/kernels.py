"""The infinite-width kernel: samples of one norm, as the estimators make them, and of any."""

import numpy as np

from sltrees import shifted_ntk


class ShiftedNTK:
    """Random directions in 64 dimensions; every processor."""

    param_names = ("n", "norms", "shift")
    params = ([500, 2000], ["equal", "any"], [0.0, 2.5])
    timeout = 300

    def setup(self, n, norms, shift):
        rng = np.random.default_rng(0)
        self.X = rng.standard_normal((n, 64))
        self.X /= np.linalg.norm(self.X, axis=1, keepdims=True)
        if norms == "any":
            self.X *= rng.uniform(0.5, 2.0, (n, 1))
        self.Y = self.X[::-1].copy()

    def time_of_one_set(self, n, norms, shift):
        shifted_ntk(self.X, shift=shift)

    def time_of_two_sets(self, n, norms, shift):
        shifted_ntk(self.X, self.Y, shift)

    def peakmem_of_two_sets(self, n, norms, shift):
        shifted_ntk(self.X, self.Y, shift)
