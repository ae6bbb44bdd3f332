"""The infinite-width kernel: samples of one norm, as the estimators make them, and of any."""

import numpy as np

from .common import needed, unit_rows

shifted_ntk = needed("shifted_ntk")

N = 1000


class ShiftedNTK:
    """1000 random directions in 64 dimensions, float64; every processor."""

    param_names = ("norms", "shift")
    params = (["equal", "any"], [0.0, 2.5])

    def setup(self, norms, shift):
        self.X = unit_rows(N).astype(np.float64)
        if norms == "any":
            self.X *= np.random.default_rng(0).uniform(0.5, 2.0, (N, 1))
        self.Y = self.X[::-1].copy()
        shifted_ntk(self.X[:1], shift=shift)

    def time_of_one_set(self, norms, shift):
        shifted_ntk(self.X, shift=shift)

    def time_of_two_sets(self, norms, shift):
        shifted_ntk(self.X, self.Y, shift)
