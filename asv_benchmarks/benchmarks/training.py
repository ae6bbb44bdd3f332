"""Setting up, training and predicting on the shipped digits."""

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees._demo import digits_parity
from sltrees.gram import GramMatrix
from sltrees.trainer import METHODS


class Training:
    """Parity of 1,000 digits."""

    number = 1
    timeout = 300
    param_names = ("method", "width", "shift")
    params = (["trees"], [2**12, 2**14, 2**16], ["paper", "auto"])

    def setup(self, method, width, shift):
        self.X, self.y, self.X_test, _ = digits_parity()
        self.network = ShiftedReLUNetwork(width, shift=shift, random_state=0)
        self.trainer = NewtonTrainer(self.network, method=method, n_threads=2)

    def time_initialize(self, method, width, shift):
        self.network.initialize(self.X)

    def time_fit(self, method, width, shift):
        self.trainer.fit(self.X, self.y)

    def peakmem_fit(self, method, width, shift):
        self.trainer.fit(self.X, self.y)

    def track_iterations(self, method, width, shift):
        return self.trainer.fit(self.X, self.y).n_iter

    def track_fired_share(self, method, width, shift):
        record = self.trainer.fit(self.X, self.y).history[0]
        return record.fired_pairs / (width * len(self.X))

    track_iterations.unit = "iterations"
    track_fired_share.unit = "share of pairs"


class Certified:
    """method="certified": what it leaves out, and what it keeps in memory."""

    number = 1
    timeout = 300
    param_names = ("width", "shift")
    params = ([2**12, 2**14, 2**16], ["paper", "auto"])

    def setup(self, width, shift):
        if "certified" not in METHODS:
            raise NotImplementedError("older versions have no such method")  # asv leaves the benchmark out
        self.X, self.y, _, _ = digits_parity()
        self.network = ShiftedReLUNetwork(width, shift=shift, random_state=0)
        self.trainer = NewtonTrainer(self.network, method="certified", n_threads=2)

    def time_fit(self, width, shift):
        self.trainer.fit(self.X, self.y)

    def peakmem_fit(self, width, shift):
        self.trainer.fit(self.X, self.y)

    def track_visited_below_1e_3(self, width, shift):
        """In the first iteration that begins below RMSE 1e-3."""
        history = self.trainer.fit(self.X, self.y).history
        visited = next(record.visited_neurons for record in history if record.rmse < 1e-3)
        return visited / self.network.neurons_.size

    def track_visited_in_all(self, width, shift):
        history = self.trainer.fit(self.X, self.y).history
        return sum(record.visited_neurons for record in history) / self.network.neurons_.size

    def track_bytes_per_neuron(self, width, shift):
        """Without the Gram matrix."""
        most = max(record.bytes_resident for record in self.trainer.fit(self.X, self.y).history)
        return (most - GramMatrix.bytes_needed(len(self.X))) / self.network.neurons_.size

    track_visited_below_1e_3.unit = "share of materialised neurons"
    track_visited_in_all.unit = "visits per materialised neuron"
    track_bytes_per_neuron.unit = "bytes"


class Predict:
    """Predictions of a trained network."""

    param_names = ("width",)
    params = ([2**12, 2**16],)

    def setup(self, width):
        X, y, self.X_test, _ = digits_parity()
        self.network = ShiftedReLUNetwork(width, random_state=0)
        NewtonTrainer(self.network, max_iter=3).fit(X, y)

    def time_predict(self, width):
        self.network.predict(self.X_test)


class Memory:
    """The floor under the figures of peak memory."""

    def peakmem_reference(self):
        digits_parity()
