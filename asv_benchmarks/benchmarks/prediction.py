"""Predictions of a trained network."""

import functools

from .common import THREADS, digits, digits_parity, sizes, trainer


@functools.cache
def trained(width):
    newton = trainer("certified", width, tol=0.0, max_iter=3)
    newton.fit(*digits())
    return newton.network


class Predict:
    """797 digits that it was not trained on."""

    param_names = ("width",)
    params = (sizes(2**12, 2**16),)

    def setup(self, width):
        self.network = trained(width)
        _, _, self.X_test, _ = digits_parity()

    def time_predict(self, width):
        self.network.predict(self.X_test, n_threads=THREADS)
