"""
Validation, early stopping and a callback
=========================================

Targets with noise: a network that is trained to the end learns the noise, too. Three ways out: stop early, by samples
that are not trained on; a ridge chosen by leave-one-out errors; or a rule of your own, in a callback.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback
from sltrees.plotting import plot_convergence

rng = np.random.default_rng(0)
X = rng.standard_normal((600, 6))
X /= np.linalg.norm(X, axis=1, keepdims=True)
y = np.sin(3.0 * X[:, 0]) + X[:, 1] + 0.4 * rng.standard_normal(600)
X, X_val, y, y_val = X[:300], X[300:], y[:300], y[300:]


def network():
    """The same network for all."""
    return ShiftedReLUNetwork(2**13, random_state=0)


# %%
# With an ``eval_set`` the history has the RMSE on it. ``patience`` ends training, and the network is left as the best
# that it was: here after one or two Newton steps, which go that far.

runs = {}
trainer = NewtonTrainer(network(), alpha=0.01, tol=1e-8, patience=3)
runs["alpha = 0.01"] = trainer.fit(X, y, eval_set=(X_val, y_val))

# %%
# ``alpha="loo"`` needs no such samples to choose the ridge. Here they only look on.

trainer = NewtonTrainer(network(), alpha="loo", tol=1e-3)
runs["alpha by leave-one-out"] = trainer.fit(X, y, eval_set=(X_val, y_val))
print(f"chosen ridge: {trainer.alpha_:.3g}")


# %%
# A callback sees each iteration, and ends training by returning a true value.
class StopAtNoise(Callback):
    """Stop when the training RMSE is that of the noise."""

    def on_iteration(self, trainer, record):
        """Compare."""
        return record.rmse < 0.4


trainer = NewtonTrainer(network(), alpha=0.01, callbacks=[StopAtNoise()])
runs["stopped at the noise"] = trainer.fit(X, y, eval_set=(X_val, y_val))

for name, result in runs.items():
    print(f"{name:>24}: {result.status}, RMSE on samples left out {result.validation_rmse:.3f}")

fig, axes = plt.subplots(1, 3, figsize=(11, 3.5), sharey=True, layout="constrained")
for ax, (name, result) in zip(axes, runs.items(), strict=True):
    plot_convergence(result, ax)
    ax.set_title(name)
plt.show()
