"""Drawing a network: all neurons against the bare product of their matrices, or only those that fire; more samples."""

import functools
import statistics
import time

import numpy as np

from .common import THREADS, ShiftedReLUNetwork, digits, found, needed, trainer, unit_rows

Hyperplanes = needed("Hyperplanes")
ThreadExecutor = needed("ThreadExecutor")
choose_skin = needed("choose_skin")
resolve_shift = needed("resolve_shift")
# in older commits it is a method
draw = found("draw") or getattr(ShiftedReLUNetwork, "_draw", None)

WIDTH = 2**17
N = 1000
ROWS = 256  # of a product: with 1000 samples 1 MB, as when drawing
ROUNDS = 3


@functools.cache
def planes_and_skin(shift):
    """Of random directions. The skin is chosen from estimates that take long, so that is done once."""
    X, network = unit_rows(N), ShiftedReLUNetwork(WIDTH, shift=shift)
    planes = Hyperplanes(X, resolve_shift(network.shift, WIDTH, N))
    return planes, choose_skin(network, planes, np.sign(X[:, 0]))


class Dense:
    """2^17 neurons in pairs, 1000 samples on the sphere in 64 dimensions, float32."""

    number = 1
    timeout = 300
    param_names = ("shift",)
    params = (["auto", "paper"],)

    def setup(self, shift):
        self.planes, self.skin = planes_and_skin(shift)
        self.columns = np.ascontiguousarray(unit_rows(N).T)
        self.products = [np.zeros((ROWS, N), dtype=np.float32) for _ in range(THREADS)]

    def time_initialize(self, shift):
        ShiftedReLUNetwork(WIDTH, shift=shift, random_state=0).initialize(unit_rows(N), n_threads=THREADS)

    def time_draw_with_near_lists(self, shift):
        with ThreadExecutor(THREADS) as executor:
            draw(ShiftedReLUNetwork(WIDTH, shift=shift, random_state=0), self.planes, self.skin, executor)

    def multiply_all(self):
        """The product of weights and samples alone: weights and memory are there."""

        def multiply(products):
            for _ in range(WIDTH // 2 // ROWS // THREADS):
                np.matmul(unit_rows(N)[:ROWS], self.columns, out=products)

        with ThreadExecutor(THREADS) as executor:
            executor.map(multiply, self.products)

    def track_initialize_ratio(self, shift):
        return self.ratio(self.time_initialize, shift)

    def track_draw_with_near_lists_ratio(self, shift):
        return self.ratio(self.time_draw_with_near_lists, shift)

    track_initialize_ratio.unit = "share of the rate of the bare product"
    track_draw_with_near_lists_ratio.unit = "share of the rate of the bare product"

    def ratio(self, body, *params):
        """Both by turns, so that a machine that slows down does so for both; the median."""

        def seconds(function, *arguments):
            start = time.perf_counter()
            function(*arguments)
            return time.perf_counter() - start

        body(*params)
        return statistics.median(seconds(self.multiply_all) / seconds(body, *params) for _ in range(ROUNDS))


class Rejection:
    """Those of 2^22 neurons that fire on 500 digits, as they are and with a bias that makes them alike."""

    number = 1
    timeout = 300
    param_names = ("bias",)
    params = ([0.0, 1.0],)

    def setup(self, bias):
        X, _ = digits()
        self.X = np.column_stack([X, np.full(len(X), bias)]).astype(np.float32)
        self.X /= np.linalg.norm(self.X, axis=1, keepdims=True)
        self.network = ShiftedReLUNetwork(2**22, sampling="rejection", random_state=0)

    def time_initialize(self, bias):
        self.network.initialize(self.X, n_threads=THREADS)

    def track_materialised(self, bias):
        self.network.initialize(self.X, n_threads=THREADS)
        return self.network.neurons_.size

    track_materialised.unit = "neurons"


class Extend:
    """25 digits that join 475 others, at width 2^16; set-up trains on the others."""

    number = 1
    repeat = 5
    warmup_time = 0.0
    timeout = 300
    param_names = ("sampling",)
    params = (["dense", "rejection"],)

    def setup(self, sampling):
        X, y = digits()
        self.trainer = trainer("certified", 2**16, sampling=sampling, tol=1e-3)
        self.trainer.fit(X[:475], y[:475])
        self.new = X[475:], y[475:]

    def time_extend(self, sampling):
        self.trainer.extend(*self.new)
