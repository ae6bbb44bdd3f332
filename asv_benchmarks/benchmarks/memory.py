"""Peak memory of whole processes. Take `Reference` away from the others: it is what Python and the imports need."""

import numpy as np

from .common import METHODS, THREADS, ShiftedReLUNetwork, digits, needed, normal_values, trainer, unit_rows

CorrelationTrees = needed("CorrelationTrees")
ThresholdTree = needed("ThresholdTree")
shifted_ntk = needed("shifted_ntk")


class Reference:
    def peakmem_reference(self):
        pass


class OneTree:
    def setup(self):
        ThresholdTree(np.zeros(1))

    def peakmem_threshold_tree(self):
        """Of 2^24 float32: 64 MiB, which are copied."""
        ThresholdTree(normal_values(2**24))


class Trees:
    def setup(self):
        CorrelationTrees(np.zeros((1, 1)), np.zeros((1, 1)))

    def peakmem_correlation_trees(self):
        """2^16 weights, 2^8 data points: products of 64 MiB."""
        CorrelationTrees(unit_rows(2**16), unit_rows(2**8, seed=1))


class Training:
    timeout = 300
    param_names = ("method",)
    params = (METHODS,)

    def setup(self, method):
        self.trainer = trainer(method, 2**16, tol=1e-3)

    def peakmem_fit(self, method):
        self.trainer.fit(*digits())


class Network:
    def setup(self):
        self.network = ShiftedReLUNetwork(2**20, random_state=0)

    def peakmem_initialize(self):
        self.network.initialize(digits()[0], n_threads=THREADS)


class Kernel:
    def setup(self):
        shifted_ntk(np.eye(2))

    def peakmem_shifted_ntk(self):
        """Of 2000 samples with themselves: 31 MiB."""
        shifted_ntk(unit_rows(2000), shift=2.5)
