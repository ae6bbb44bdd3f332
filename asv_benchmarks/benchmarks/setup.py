"""Drawing a network: all neurons against the bare product of their matrices, or only those that fire; more samples."""

import statistics
import time

import numpy as np

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees._demo import digits_parity
from sltrees.executors import ThreadExecutor
from sltrees.hyperplanes import Hyperplanes
from sltrees.method_certified import choose_skin

THREADS = 2
ROWS = 256  # of a product: with 1000 samples 1 MB, as when drawing
ROUNDS = 5


class Dense:
    """1000 samples on the sphere in 64 dimensions, pairs of neurons, float32."""

    number = 1
    timeout = 300
    param_names = ("width", "shift")
    params = ([2**16, 2**20], ["auto", "paper"])

    def setup(self, width, shift):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((1000, 64)).astype(np.float32)
        self.X = X / np.linalg.norm(X, axis=1, keepdims=True)
        self.planes = Hyperplanes(self.X, self.network(width, shift)._shift_for(self.X))
        self.skin = choose_skin(self.network(width, shift), self.planes, np.sign(self.X[:, 0]))
        self.weights = rng.standard_normal((ROWS, 64)).astype(np.float32)
        self.columns = np.ascontiguousarray(self.X.T)
        self.products = [np.zeros((ROWS, 1000), dtype=np.float32) for _ in range(THREADS)]

    def network(self, width, shift):
        return ShiftedReLUNetwork(width, shift=shift, random_state=0)

    def time_initialize(self, width, shift):
        self.network(width, shift).initialize(self.X, n_threads=THREADS)

    def time_draw_with_near_lists(self, width, shift):
        with ThreadExecutor(THREADS) as executor:
            self.network(width, shift)._draw(self.planes, self.skin, executor)

    def time_bare_product(self, width, shift):
        """What cannot be done without: weights and memory are there."""

        def multiply(products):
            for _ in range(width // 2 // ROWS // THREADS):
                np.matmul(self.weights, self.columns, out=products)

        with ThreadExecutor(THREADS) as executor:
            executor.map(multiply, self.products)

    def peakmem_initialize(self, width, shift):
        self.network(width, shift).initialize(self.X, n_threads=THREADS)

    def track_initialize_ratio(self, width, shift):
        return self.ratio(self.time_initialize, width, shift)

    def track_draw_with_near_lists_ratio(self, width, shift):
        return self.ratio(self.time_draw_with_near_lists, width, shift)

    track_initialize_ratio.unit = "share of the rate of the bare product"
    track_draw_with_near_lists_ratio.unit = "share of the rate of the bare product"

    def ratio(self, body, width, shift):
        """Both by turns, so that a machine that slows down does so for both; the median."""

        def seconds(function):
            start = time.perf_counter()
            function(width, shift)
            return time.perf_counter() - start

        body(width, shift)
        return statistics.median(seconds(self.time_bare_product) / seconds(body) for _ in range(ROUNDS))


class Rejection:
    """1000 digits, as they are and with a bias that makes them alike."""

    number = 1
    timeout = 300
    param_names = ("width", "bias")
    params = ([2**22, 2**26], [0.0, 1.0])

    def setup(self, width, bias):
        X, _, _, _ = digits_parity()
        self.X = np.column_stack([X, np.full(len(X), bias)]).astype(np.float32)
        self.X /= np.linalg.norm(self.X, axis=1, keepdims=True)

    def draw(self, width):
        network = ShiftedReLUNetwork(width, sampling="rejection", random_state=0)
        return network.initialize(self.X, n_threads=THREADS)

    def time_initialize(self, width, bias):
        self.draw(width)

    def track_materialised(self, width, bias):
        return int(self.draw(width).neurons_.size)

    track_materialised.unit = "neurons"


class Extend:
    """25 digits that join 900 others, at width 2^20."""

    number = 1
    repeat = 5
    warmup_time = 0.0
    timeout = 300
    param_names = ("sampling",)
    params = (["dense", "rejection"],)

    def setup(self, sampling):
        X, y, _, _ = digits_parity()
        self.new = X[900:925], y[900:925]
        network = ShiftedReLUNetwork(2**20, sampling=sampling, random_state=0)
        self.trainer = NewtonTrainer(network, tol=1e-3, n_threads=THREADS)
        self.trainer.fit(X[:900], y[:900])

    def time_extend(self, sampling):
        self.trainer.extend(*self.new)
