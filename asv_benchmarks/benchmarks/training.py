"""Training on the digits: an iteration by phase, all of it, and what it looks at. The methods are a parameter."""

from .common import AVAILABLE, METHODS, digits, needed, sizes, trainer

GramMatrix = needed("GramMatrix")

WIDTH = 2**14
WIDTHS = sizes(2**12, 2**15)
TOLERANCE = 1e-5
ITERATIONS = 4  # of which phases are timed: the later ones, in which little moves, are part of Fit
PHASES = ["gram", "solve", "step", "outputs"]


class Phases:
    """Seconds that four iterations spend in a phase, as their records tell; drawing the network is in none."""

    number = 1
    timeout = 300
    param_names = ("method", "phase")
    params = (METHODS, PHASES)

    def setup(self, method, phase):
        self.trainer = trainer(method, WIDTH, tol=0.0, max_iter=ITERATIONS)
        self.samples = digits()
        self.seconds = 0.0
        self.timer = lambda: self.seconds  # asv reads it before and after a run, instead of the clock

    def time_phase(self, method, phase):
        history = self.trainer.fit(*self.samples).history
        assert len(history) == ITERATIONS
        self.seconds += sum(record.seconds[phase] for record in history)


class Fit:
    """From nothing to an RMSE of 1e-5, 500 digits."""

    number = 1
    timeout = 300
    param_names = ("method", "width")
    params = (METHODS, WIDTHS)

    def setup(self, method, width):
        self.trainer = trainer(method, width, tol=TOLERANCE)
        self.samples = digits()

    def time_fit(self, method, width):
        result = self.trainer.fit(*self.samples)
        assert result.status == "converged", result.message


class Work:
    """What such a run at width 2^14 counts: the same on every machine, but for how each rounds."""

    timeout = 300
    param_names = ("method",)
    params = (METHODS,)

    def setup_cache(self):
        """One run of each method, for all that is counted."""
        runs = {}
        for method in METHODS:
            if method in AVAILABLE:
                newton = trainer(method, WIDTH, tol=TOLERANCE)
                runs[method] = newton.fit(*digits()), newton.network.neurons_.size
        return runs

    def setup(self, runs, method):
        if method not in runs:
            raise NotImplementedError(f"this commit has no method {method!r}")
        self.result, self.materialised = runs[method]

    def total(self, name):
        return sum(getattr(record, name) for record in self.result.history)

    def track_iterations(self, runs, method):
        return self.result.n_iter

    def track_fired_pairs(self, runs, method):
        """Before the first step."""
        return self.result.history[0].fired_pairs

    def track_visited_neurons(self, runs, method):
        return self.total("visited_neurons")

    def track_candidates(self, runs, method):
        return self.total("candidates")

    def track_cg_steps(self, runs, method):
        return self.total("cg_steps")

    def track_bytes_per_neuron(self, runs, method):
        """At most, without the Gram matrix."""
        most = max(record.bytes_resident for record in self.result.history)
        return (most - GramMatrix.bytes_needed(len(digits()[0]))) / self.materialised

    track_iterations.unit = "iterations"
    track_fired_pairs.unit = "pairs"
    track_visited_neurons.unit = "visits"
    track_candidates.unit = "pairs"
    track_cg_steps.unit = "steps"
    track_bytes_per_neuron.unit = "bytes"
